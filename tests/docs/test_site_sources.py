"""The sources of the handbook's site: what the builder changes in pages, and that the menu is complete."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from docs_site import build, sources  # noqa: E402

MENUS = ("Start", "Tutorials", "Concepts", "How-to", "Reference", "Operate", "More")
PLACES = {
    "docs/index.md": "index.md",
    "docs/how-to/ci.md": "how-to/ci.md",
    "docs/reference/cli/index.md": "reference/cli/index.md",
    "docs/pictures/dag.svg": "pictures/dag.svg",
    "docs/pictures/dag-dark.svg": "pictures/dag-dark.svg",
    "examples/opencv/README.md": "examples/opencv.md",
}


def prepared(text: str) -> str:
    return sources.prepared(text, "docs/how-to/ci.md", "how-to/ci.md", PLACES)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[x](../index.md#a)", "[x](../index.md#a)"),
        ("[`x`](../reference/cli)", "[`x`](../reference/cli/index.md)"),
        ("[x](../../examples/opencv/README.md)", "[x](../examples/opencv.md)"),
        ("[x](../../README.md#install)", "[x](../index.md)"),
        ("[the chart](../../charts/trunkline/values.yaml)", "the chart (`charts/trunkline/values.yaml`)"),
        ("[`scripts/test`](../../scripts/test)", "`scripts/test`"),
        ("[x](https://example.org/a.md)", "[x](https://example.org/a.md)"),
        ("`[x](../nowhere.md)`", "`[x](../nowhere.md)`"),
        ("```sh\n[x](../nowhere.md)\n```", "```sh\n[x](../nowhere.md)\n```"),
        ("<!-- file: a.yaml -->\n```yaml\na: 1\n```", '```yaml title="a.yaml"\na: 1\n```'),
        ("  <!-- as: data; file: a -->\n  ```json\n  1\n  ```", '  ```json title="a"\n  1\n  ```'),
        ("<!-- exit: 3 -->\n```console\n$ a\n```", "```console\n$ a\n```"),
    ],
)
def test_links_lead_to_the_site_or_name_a_file_of_the_repository(written: str, expected: str) -> None:
    assert prepared(written) == expected


def test_a_picture_is_shown_in_the_theme_of_the_page() -> None:
    dark = '<source media="(prefers-color-scheme: dark)" srcset="../pictures/dag-dark.svg">'
    light = '<img alt="A DAG" src="../pictures/dag.svg">'

    images = prepared(f"<picture>{dark}{light}</picture>")

    assert images == (
        "![A DAG](../pictures/dag.svg#only-light)\n![A DAG](../pictures/dag-dark.svg#only-dark)"
    )


@pytest.mark.parametrize(
    "text", ["```mermaid\na\n```", "![x](missing.svg)", '<picture><img src="l.svg"></picture>']
)
def test_what_the_site_cannot_show_names_the_page(text: str) -> None:
    with pytest.raises(sources.SourceError, match=r"docs/how-to/ci\.md"):
        prepared(text)


def test_the_front_matter_of_the_runner_does_not_reach_the_site() -> None:
    assert prepared("---\nworld: server\n---\n# CI\n") == "# CI\n"
    assert prepared("---\ndescription: Run it.\n---\n# CI\n").startswith("---\ndescription: Run it.\n---\n")


def test_a_folder_in_the_menu_stands_for_its_pages() -> None:
    titles = {"cli/index.md": "Commands", "cli/b.md": "b", "cli/a.md": "a", "x.md": "X"}

    menu = sources.expanded([{"Reference": [{"Commands": "cli/"}, "x.md"]}], titles, titles)

    assert menu == [
        {"Reference": [{"Commands": ["cli/index.md", {"a": "cli/a.md"}, {"b": "cli/b.md"}]}, "x.md"]}
    ]


def test_old_addresses_lead_to_new_ones() -> None:
    assert build.redirects("# comment\na/\nb/ -> c/d/\n") == {"b/": "c/d/"}


def test_the_menu_has_every_page_and_only_pages_that_exist() -> None:
    places = sources.pages_of(ROOT)
    pages = {page for page in places if page.endswith(".md")}
    titles = {page: sources.title_of((ROOT / places[page]).read_text(), page) for page in pages}
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(), build.Settings)

    menu = sources.expanded(settings["nav"], pages, titles)
    entries = [page for entry in menu for page in sources.pages_below(entry)]
    assert sorted(pages - set(entries)) == [], "these pages need a line in mkdocs.yml"
    assert sorted(set(entries) - pages) == [], "these entries of mkdocs.yml have no page"
    assert len(entries) == len(set(entries))
    assert {next(iter(entry)) for entry in menu} <= set(MENUS)
