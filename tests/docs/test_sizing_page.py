"""Each figure on the page about sizing is one of the benchmarks, in the section that the row names."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROW = re.compile(r"^\| [^|]+ \| ([^|]+) \| \[(.+?)\]\(\.\./benchmarks\.md#", re.M)


def test_every_figure_is_in_the_section_of_the_benchmarks_that_the_row_names() -> None:
    sections = re.split(r"^## ", (DOCS / "benchmarks.md").read_text(), flags=re.M)[1:]
    texts = {section.partition("\n")[0]: section for section in sections}
    texts |= {
        piece.partition("\n")[0]: piece
        for section in sections
        for piece in re.split(r"^### ", section, flags=re.M)[1:]
    }

    rows = ROW.findall((DOCS / "operate/sizing.md").read_text())

    assert len(rows) > 5
    missing = [
        (figure, title)
        for figure, title in rows
        if not re.search(rf"(?<![\d.,]){re.escape(figure)}(?![\d])", texts.get(title, ""))
    ]
    assert missing == []
