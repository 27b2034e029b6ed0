"""Numbers of the benchmarks on pages are filled from the results by name, and never typed."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "benchmarks")]

import common  # noqa: E402
from docs_reference import figures  # noqa: E402

RESULTS = {
    "ingest": {
        "date": "2026-11-26",
        "machine": "2 cores",
        "head": ["what", "ms, median (min - max)", "to reach"],
        "rows": [["one file", "1,005.3 (4.5 - 11.4)", "8"], ["one file in one call", "2.6", ""]],
    }
}
#: A number with a unit that only a measurement has.
MEASURED = re.compile(r"\d[\d.,]*\d? ?(?:ms|µs|MiB/s|MB/s|GB/s|files/s|datums/s|commits/s|% of a core)\b")
#: Pages that quote the benchmarks.
QUOTING = [
    "README.md",
    "docs/index.md",
    "docs/compare.md",
    "docs/operate/sizing.md",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs/from").glob("*.md"))),
]


def prose(text: str) -> str:
    """Return a page without blocks, code, and what is filled in."""
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return figures.FIGURE.sub("", figures.TABLE.sub("", re.sub(r"`[^`]*`", "", text)))


def test_numbers_on_pages_are_those_of_the_results():
    measured = figures.results(ROOT)
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]

    texts = {path: text for path in pages if "<!-- end -->" in (text := path.read_text())}

    assert len(measured) > 35
    assert sum(len(figures.FIGURE.findall(text)) for text in texts.values()) > 15
    assert [path.name for path, text in texts.items() if figures.filled(text, measured) != text] == []


def test_pages_that_quote_benchmarks_have_no_typed_measurement():
    typed = [(name, MEASURED.findall(prose((ROOT / name).read_text()))) for name in QUOTING]

    assert len(typed) > 8
    assert [(name, numbers) for name, numbers in typed if numbers] == []


def test_all_tables_of_measurements_on_the_page_of_benchmarks_are_filled():
    assert "|---" not in prose((ROOT / "docs/benchmarks.md").read_text()).replace(" ", "")


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("ingest; one file; ms", "1,005.3"),
        ("ingest; one file; ms; 3", "11.4"),
        ("ingest; one file in; ms", "2.6"),
        ("ingest; one file; to reach", "8"),
    ],
)
def test_a_figure_is_named_by_result_row_and_column(place, number):
    assert figures.number(place, RESULTS) == number


@pytest.mark.parametrize(
    "place", ["export; a; b", "ingest; two files; ms", "ingest; one; ms", "ingest; one file; s"]
)
def test_a_figure_that_names_nothing_or_several_things_is_an_error(place):
    with pytest.raises(LookupError):
        figures.number(place, RESULTS)


def test_a_run_replaces_a_table_on_the_page(tmp_path):
    facts = {"title": "Ingest", "date": "2026-11-27", "machine": "8 cores", "commit": "abc", "load": 0.1}
    common.write_result(
        tmp_path / "benchmarks/results/ingest.json", facts, ["what", "ms"], [["one file", "2.5"]]
    )
    page = "<!-- measured: ingest -->\nold\n<!-- end -->\nIt takes <!-- figure: ingest; one; ms -->9<!-- end --> ms."

    text = figures.filled(page, figures.results(tmp_path))

    assert "8 cores" in text
    assert "| one file | 2.5 |" in text
    assert text.endswith("-->2.5<!-- end --> ms.")


def test_the_name_of_a_result_has_the_program_and_the_title():
    assert common.result_name("tls", "TLS") == "tls"
    assert common.result_name("ingest", "Ingest of 2.15 GB, twice") == "ingest-ingest-of-2-15-gb"
    assert common.result_name("port", "100,000 files: in") == "port-100000-files"
