"""The documents: what they point at exists, and what they say can be run."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
FOLDER = ROOT / "docs/design/decisions"
DECISIONS = sorted(FOLDER.glob("[0-9]*.md"))

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
LAYERS = "app|cli|client|drivers|errors|meta|model|pfs|ports|pps|rpc|scaling|storage|worker"
NAME_IN_CODE = re.compile(rf"`((?:{LAYERS})(?:\.\w+)+)`")
CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def prose(document: Path) -> str:
    return CODE_BLOCK.sub("", document.read_text())


def in_the_house(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=in_the_house)
def test_every_link_leads_somewhere(document: Path) -> None:
    targets = [target for target in LINK.findall(prose(document)) if not target.startswith("https://")]

    missing = [target for target in targets if not (document.parent / target.partition("#")[0]).exists()]

    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=in_the_house)
def test_every_name_of_the_code_exists(document: Path) -> None:
    missing = [name for name in NAME_IN_CODE.findall(prose(document)) if not exists(name)]

    assert missing == []


def exists(name: str) -> bool:
    """Tell whether a dotted name below the package is a module, or something inside one."""
    parts = ("trunkline." + name.removesuffix(".py")).split(".")
    for cut in range(len(parts), 1, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[cut:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def test_decisions_are_numbered_and_listed_in_order() -> None:
    listed = LINK.findall((FOLDER / "README.md").read_text())

    assert listed == [page.name for page in DECISIONS]
    numbers = [int(page.name[:4]) for page in DECISIONS]
    assert numbers == sorted(set(numbers))
    for number, page in zip(numbers, DECISIONS, strict=True):
        assert re.match(rf"# 0*{number}[.:] ", page.read_text()), page.name
