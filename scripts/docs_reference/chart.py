"""The values of the Helm chart, from its schema and its defaults with their comments."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from docs_reference.markdown import code, table

if TYPE_CHECKING:
    from collections.abc import Iterator

CHART = Path(__file__).resolve().parents[2] / "charts/trunkline"
_KEY = re.compile(r"^( *)([A-Za-z]\w*):")


def values() -> str:
    """Return every value of the chart with type, default and meaning."""
    rows = [(code(path), kind, code(default), meaning) for path, kind, default, meaning in rows_of_chart()]
    return table(("Value", "Type", "Default", "Meaning"), rows)


def rows_of_chart() -> Iterator[tuple[str, str, str, str]]:
    """Yield path, type, default and meaning of each value, in the order of the schema."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    yield from _below(schema, yaml.safe_load(text), comments(text), "")


def comments(text: str) -> dict[str, str]:
    """Return the comment above each value of a file of values, by its path."""
    notes: dict[str, str] = {}
    above: list[str] = []
    way: list[tuple[int, str]] = []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            above.append(line.strip().removeprefix("#").strip())
            continue
        if match := _KEY.match(line):
            indent = len(match[1])
            way = [*(step for step in way if step[0] < indent), (indent, match[2])]
            if above:
                notes[".".join(name for _, name in way)] = " ".join(above)
        above = []
    return notes


def _below(
    schema: dict[str, Any], defaults: object, notes: dict[str, str], place: str
) -> Iterator[tuple[str, str, str, str]]:
    for name, part in schema["properties"].items():
        path = f"{place}.{name}" if place else name
        default = defaults.get(name) if isinstance(defaults, dict) else None
        meaning = notes.get(path) or part.get("description", "")
        if part.get("properties"):
            if meaning:
                yield path, "object", "", meaning
            yield from _below(part, default, notes, path)
        else:
            yield path, _type(part), "" if default is None else json.dumps(default), meaning


def _type(part: dict[str, Any]) -> str:
    if "enum" in part:
        return "one of " + ", ".join(json.dumps(each) for each in part["enum"])
    kind = part.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
