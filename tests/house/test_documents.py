"""The documents: links, names and paths in them exist, and the lists of pages and layers are complete."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Pages of commands are all alike and made from a table; scripts/docs check looks at their links.
COMMAND_PAGES = {*ROOT.glob("docs/reference/cli/*.md")} - {ROOT / "docs/reference/cli/index.md"}
DOCUMENTS = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")} - COMMAND_PAGES
)
FOLDER = ROOT / "docs/design/decisions"
DECISIONS = sorted(FOLDER.glob("[0-9]*.md"))

#: Made by scripts/docs build, and not in the repository.
BUILT = ("src/trunkline/handbook",)
PACKAGE = ROOT / "src/trunkline"
PARTS = sorted(  # folders and modules directly below the package
    path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
)
FOLDERS = [
    "benchmarks",
    "charts",
    "docker",
    "docs",
    "examples",
    "launcher",
    "protos",
    "scripts",
    "src",
    "tests",
]

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAME_IN_CODE = re.compile(rf"`((?:{'|'.join(PARTS)})(?:\.\w+)+)`")
PATH_IN_CODE = re.compile(rf"`((?:{'|'.join([*FOLDERS, *PARTS])})/[\w./-]*)`")
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
def test_every_link_to_a_section_names_a_heading(document: Path) -> None:
    links = [
        link.partition("#") for link in LINK.findall(prose(document)) if "#" in link and "://" not in link
    ]

    missing = [
        f"{target}#{anchor}"
        for target, _, anchor in links
        if anchor not in anchors((document.parent / target) if target else document)
    ]

    assert missing == []


def anchors(document: Path) -> list[str]:
    """Return the names by which a link can reach the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("document", DOCUMENTS, ids=in_the_house)
def test_every_dotted_name_of_the_code_exists(document: Path) -> None:
    missing = [name for name in NAME_IN_CODE.findall(prose(document)) if not exists(name)]

    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=in_the_house)
def test_every_path_of_the_code_exists(document: Path) -> None:
    paths = PATH_IN_CODE.findall(prose(document))

    missing = [
        path
        for path in paths
        if path not in BUILT and not (ROOT / path).exists() and not (PACKAGE / path).exists()
    ]

    assert missing == []


def test_names_and_paths_are_recognized_in_the_documents() -> None:
    pages = "".join(map(prose, DOCUMENTS))

    assert len(NAME_IN_CODE.findall(pages)) > 100
    assert len(PATH_IN_CODE.findall(pages)) > 50


def test_the_table_of_layers_names_every_folder_and_module_of_the_package() -> None:
    table = (ROOT / "docs/design/architecture.md").read_text().partition("## Layers")[2].partition("\n## ")[0]

    named = re.findall(r"^\| `(\w+)(?:/|\.py)`", table, re.MULTILINE)

    assert sorted(named) == [part for part in PARTS if part != "__init__"]


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs/README.md"
    listed = {(index.parent / target).resolve() for target in LINK.findall(index.read_text())}
    pages = {page for page in ROOT.glob("docs/**/*.md") if page.parent != FOLDER and page != index}
    pages -= COMMAND_PAGES

    assert pages - listed == set()


def exists(name: str) -> bool:
    """Tell whether a dotted name below the package is a module, or something inside one."""
    parts = ("trunkline." + name.removesuffix(".py")).split(".")
    for length in range(len(parts), 1, -1):
        try:
            value: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            if not hasattr(value, attribute):
                return False
            value = getattr(value, attribute)
        return True
    return False


@pytest.mark.parametrize("document", DOCUMENTS, ids=in_the_house)
def test_no_document_installs_from_an_index_that_does_not_have_the_package(document: Path) -> None:
    commands = re.findall(r"pip install [^`\n]*", document.read_text())

    assert [command for command in commands if "trunkline" in command] == []


def test_decisions_are_numbered_and_listed_in_order() -> None:
    listed = LINK.findall((FOLDER / "README.md").read_text())

    assert listed == [page.name for page in DECISIONS]
    numbers = [int(page.name[:4]) for page in DECISIONS]
    assert numbers == sorted(set(numbers))
    for number, page in zip(numbers, DECISIONS, strict=True):
        assert re.match(rf"# 0*{number}[.:] ", page.read_text()), page.name
