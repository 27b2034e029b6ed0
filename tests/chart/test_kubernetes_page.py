"""The pages about Kubernetes: their values are values of the chart, and their messages those of the code."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
import yaml
from chart import CHART, ROOT, rendered

#: In the order in which a reader follows them.
PATHS = (
    "docs/operate/kubernetes.md",
    "docs/operate/kubernetes-security.md",
    "docs/operate/kubernetes-maintain.md",
)
PAGE = "\n".join((ROOT / path).read_text() for path in PATHS)
VALUES = [
    yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
]
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
every_block = pytest.mark.parametrize("values", VALUES, ids=lambda values: ", ".join(values))


def test_there_are_values_in_the_page() -> None:
    assert len(VALUES) == 5


@every_block
def test_the_values_of_the_page_pass_the_schema(values: dict[str, Any]) -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(values)


@every_block
def test_the_values_of_the_page_can_be_rendered(values: dict[str, Any]) -> None:
    assert {"Deployment", "Service"} <= {each["kind"] for each in rendered(values)}


def test_every_value_that_the_page_names_exists() -> None:
    ours = r"`((?:image|workers|database|store|persistence|serviceAccount|rbac|server|networkPolicy)\.[\w.]+)"
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())

    named = set(re.findall(ours, PAGE))

    assert len(named) > 10
    for name in named:
        value: Any = defaults
        for part in name.split("."):
            assert part in value, name
            value = value[part]


def test_the_sentences_of_the_troubleshooting_are_those_that_the_code_says() -> None:
    code = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    rows = PAGE.partition("## When something is wrong")[2].partition("\n# ")[0].splitlines()
    symptoms = [row.split("|")[1] for row in rows if row.startswith("| ")][1:]
    # What Kubernetes itself says is not ours to look for.
    quoted = [
        text for cell in symptoms for text in re.findall(r'"([^"]+)"', cell) if "PersistentVolume" not in text
    ]

    pieces = [
        piece.strip() for text in quoted if "Permission denied" not in text for piece in text.split("…")
    ]

    assert [piece for piece in pieces if piece and piece not in code] == []
