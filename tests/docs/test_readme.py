"""The README: short, with claims that tests hold, and addresses that readers and links need."""

from __future__ import annotations

import re

from handbook_page import ROOT

README = (ROOT / "README.md").read_text()
#: Lines outside code and comments that a reader is asked to read.
LINES = 60
#: A link to a test: its file, and the name of the function as the link's title.
TEST = re.compile(r'\]\((tests/[\w/]+\.py) "(test_\w+)"\)')


def test_it_is_read_in_a_minute() -> None:
    text = re.sub(r"^```.*?^```|<!--.*?-->", "", README, flags=re.DOTALL | re.MULTILINE)

    assert len([line for line in text.splitlines() if line.strip()]) <= LINES


def test_each_claim_of_its_table_names_tests_that_exist() -> None:
    table = README.partition("## What works")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]

    unproved = [row for row in rows if not TEST.findall(row)]
    missing = [
        f"{file}::{name}"
        for file, name in TEST.findall(table)
        if not (ROOT / file).exists() or f"def {name}(" not in (ROOT / file).read_text()
    ]

    assert len(rows) >= 8
    assert (unproved, missing) == ([], [])


def test_its_picture_is_there_in_both_themes() -> None:
    pictures = re.findall(r'(?:src|srcset)="([^"]+)"', README)

    assert len(pictures) == 2
    assert [picture for picture in pictures if not (ROOT / picture).exists()] == []
