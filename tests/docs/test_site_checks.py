"""The checks of the built handbook find what they are for; the data that they compare with is valid."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from docs_site import build, check, digest, links, sources  # noqa: E402

from trunkline import handbook_pages  # noqa: E402

ADDRESSES = {
    value.partition("#")[0]
    for name, value in vars(handbook_pages).items()
    if name.isupper() and name != "MOUNT" and value
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of two pages without a mistake, with the pages that code links to."""
    write(
        tmp_path, "index.html", '<h1 id="top">Start</h1><a href="a/#part">a</a><img src="logo.svg" alt="T">'
    )
    write(tmp_path, "a/index.html", '<h1>A</h1><h2 id="part">Part</h2><a href="..">up</a>')
    write(tmp_path, "logo.svg", "<svg/>")
    for page in ("index", "a"):
        write(tmp_path, f"{page}.md", "# Page")
    for address in ADDRESSES:
        write(tmp_path, f"{address}index.html", "<h1>Page</h1>")
        write(tmp_path, f"{address.rstrip('/')}.md", "# Page")
    return tmp_path


def write(folder: Path, name: str, content: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content)


def test_a_site_without_mistakes_has_no_findings(site: Path) -> None:
    assert check.findings(site, "a/\n") == []


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        ('<h1>B</h1><a href="../nowhere/">x</a>', "leads nowhere"),
        ('<h1>B</h1><a href="../a/#none">x</a>', "names a heading"),
        (
            '<h1>B</h1><script src="https://cdn.example.org/x.js"></script>',
            "loads https://cdn.example.org/x.js",
        ),
        ('<h1>B</h1><link rel="stylesheet" href="//fonts.example.org/x.css">', "from elsewhere"),
        ("<p>text</p>", "has 0 headings of the first level"),
        ("<h1>B</h1><h3>C</h3>", "a heading of level 3 follows one of level 1"),
        ('<h1>B</h1><img src="../logo.svg">', "has no text"),
    ],
)
def test_a_mistake_of_a_page_is_found(site: Path, content: str, finding: str) -> None:
    write(site, "b/index.html", content)
    write(site, "b.md", "# B")

    findings = check.findings(site, "")

    assert len(findings) == 1
    assert findings[0].startswith("b/index.html: ")
    assert finding in findings[0]


def test_a_page_without_markdown_is_found(site: Path) -> None:
    (site / "a.md").unlink()

    assert check.findings(site, "") == ["a/index.html: has no Markdown beside it"]


@pytest.mark.parametrize("addresses", ["gone/\n", "gone/ -> nowhere/\n", "gone/ -> a/\n"])
def test_a_published_address_must_have_a_page_or_lead_to_one(site: Path, addresses: str) -> None:
    assert check.findings(site, addresses) != []


def test_an_old_address_is_a_page_that_leads_to_the_new_one(site: Path) -> None:
    write(site, "gone/index.html", build.redirect("gone/", "a/"))

    assert check.findings(site, "gone/ -> a/\n") == []


def test_the_inline_scripts_of_a_page_are_known_by_hash() -> None:
    page = '<script>go()</script><script src="x.js"></script><script type="application/json">{}</script>'

    assert build.inline_scripts(page) == {build.hash_of("go()")}


def test_at_least_thirty_searches_name_pages_that_exist() -> None:
    text = (ROOT / "docs/searches.txt").read_text()
    targets = [line.partition(" -> ")[2] for line in text.splitlines() if " -> " in line]
    pages = sources.pages_of(ROOT)

    missing = [
        target for target in targets if f"{target[:-1]}.md" not in pages and f"{target}index.md" not in pages
    ]

    assert len(targets) >= 30
    assert missing == []


def test_links_to_other_sites_are_listed_with_the_date_of_the_last_look() -> None:
    dates = links.listed((ROOT / links.NAME).read_text())

    assert len(dates) > 20
    assert set(dates) == links.of_pages(ROOT)
    assert [day for day in dates.values() if not re.fullmatch(r"20\d\d-\d\d-\d\d|never", day)] == []


def test_a_look_dates_the_links_that_answer_and_names_the_others() -> None:
    dates = {"https://a": "2026-01-01", "https://b": "2026-01-02", "https://gone": "2026-01-03"}

    wrong = links.looked_at(
        dates,
        ["https://a", "https://b", "https://new"],
        lambda url: "HTTP 404" if url == "https://b" else "",
        "2026-02-01",
    )

    assert wrong == ["https://b: HTTP 404"]
    assert dates == {"https://a": "2026-02-01", "https://b": "2026-01-02", "https://new": "2026-02-01"}


def test_the_colours_are_those_of_the_console() -> None:
    tokens = (ROOT / "console/src/lib/tokens.ts").read_text()
    colours = re.compile(r"^\s+(?:--)?(\w+): \"?(#[0-9a-fA-F]{6})\b", re.MULTILINE)
    of_console = {(name, colour.lower()) for name, colour in colours.findall(tokens)}

    of_handbook = colours.findall((ROOT / "docs/assets/handbook.css").read_text())

    assert len(of_handbook) == 22
    assert [each for each in of_handbook if each not in of_console] == []


def test_wheels_and_clones_are_built_by_the_same_zensical() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    hook = re.search(r"HANDBOOK_NEEDS = (.*)", (ROOT / "hatch_build.py").read_text())
    pinned = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if "zensical" in line]

    assert pinned[0] in hook[1]
    assert pinned[0] in project["project"]["optional-dependencies"]["docs"]


def test_a_built_handbook_is_that_of_its_sources_until_one_changes(tmp_path: Path) -> None:
    write(tmp_path, "docs/index.md", "# Start")
    write(tmp_path, "site/index.html", "<h1>Start</h1>")
    before = digest.is_built(tmp_path)
    build.pack(tmp_path / "site", tmp_path / digest.PLACE, digest.digest(tmp_path))

    built = digest.is_built(tmp_path)
    write(tmp_path, "docs/index.md", "# Begin")

    assert (before, built, digest.is_built(tmp_path)) == (False, True, False)
