"""Figures of the benchmarks on pages: whole tables, and single numbers within a sentence or a cell.

``scripts/bench`` keeps each table of a run as ``benchmarks/results/NAME.json``. A page shows it between
``<!-- measured: NAME -->`` and ``<!-- end -->``; with ``NAME*``, all results whose names begin so and that no other
part of the page names. A single number stands between ``<!-- figure: NAME; ROW; COLUMN -->`` and ``<!-- end -->``.
ROW and COLUMN are the first words of a row's first cell and of a column's title. The number is the first one of the
cell; ``; 2`` behind the column takes the second. Results that begin with "recorded" come from no single run of
``scripts/bench``; their notes say how they were taken.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from docs_reference.markdown import table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TABLE = re.compile(r"<!-- measured: (?P<name>[\w-]+\*?) -->\n.*?<!-- end -->", re.DOTALL)
FIGURE = re.compile(r"<!-- figure: (?P<place>.+?) -->(?P<number>.*?)<!-- end -->")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


def results(root: Path) -> dict[str, dict[str, Any]]:
    """Return the results of the benchmarks by name.

    Args:
        root: of the repository.
    """
    paths = sorted((root / "benchmarks/results").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def filled(text: str, measured: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a page with its figures as the results have them.

    Args:
        text: of the page.
        measured: the results by name.

    Raises:
        LookupError: there is no such result, row or column, or more than one.
    """
    named = set(TABLE.findall(text))
    text = TABLE.sub(
        lambda match: (
            f"<!-- measured: {match['name']} -->\n\n{_part(match['name'], measured, named)}<!-- end -->"
        ),
        text,
    )
    return FIGURE.sub(
        lambda match: f"<!-- figure: {match['place']} -->{number(match['place'], measured)}<!-- end -->", text
    )


def _part(name: str, measured: Mapping[str, Mapping[str, Any]], named: set[str]) -> str:
    if not name.endswith("*"):
        return f"{_as_text(_result(name, measured))}\n\n"
    others = [other for other in measured if other.startswith(name[:-1]) and other not in named]
    return "".join(f"{measured[other]['title']}: {_as_text(measured[other])}\n\n" for other in others)


def _result(name: str, measured: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    if name not in measured:
        raise LookupError(f'there is no result "{name}" in benchmarks/results; scripts/bench makes it')
    return measured[name]


def number(place: str, measured: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a number of a result.

    Args:
        place: ``NAME; ROW; COLUMN`` or ``NAME; ROW; COLUMN; WHICH``.
        measured: the results by name.

    Raises:
        LookupError: there is no such result, row, column or number, or more than one.
    """
    name, row, column, *which = (part.strip() for part in place.split(";"))
    result = _result(name, measured)
    heads = result["head"]
    index = heads.index(_only(heads, column, place))
    cells = result["rows"]
    line = cells[[cell[0] for cell in cells].index(_only([cell[0] for cell in cells], row, place))]
    return str(_NUMBER.findall(line[index])[int(which[0]) - 1 if which else 0])


def _only(texts: list[str], start: str, place: str) -> str:
    """Return the one text that begins with some words; one that is equal to them comes first."""
    fitting = [text for text in texts if text == start] or [text for text in texts if text.startswith(start)]
    if len(fitting) != 1:
        raise LookupError(
            f'the figure "{place}": {len(fitting)} cells begin with "{start}"; name exactly one'
        )
    return fitting[0]


def _as_text(result: Mapping[str, Any]) -> str:
    """Return a result as a page shows it: when, where and of what, then the table."""
    facts = [result["date"], result["machine"]]
    if result.get("commit"):
        facts.append(f"commit {result['commit']}")
    if result.get("note"):
        facts.append(result["note"])
    if "load" in result:
        facts.append(f"other work at the start: {result['load']} processes")
    return f"{', '.join(facts)}\n\n{table(result['head'], result['rows'])}"
