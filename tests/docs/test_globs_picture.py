"""The picture and the table of globs are what the glob engine makes of the tree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from trunkline.model.globs import compile_glob

DOCS = Path(__file__).resolve().parents[2] / "docs"
DIAGRAMS = DOCS / "diagrams"
#: What the page puts into its repo.
TREE = ("/", "/2024", "/2024/feb.csv", "/2024/jan.csv", "/2025", "/2025/jan.csv", "/notes.txt")


def test_the_committed_pictures_are_those_that_the_program_draws(tmp_path: Path) -> None:
    committed = {path.name: path.read_text() for path in DIAGRAMS.glob("globs-*.svg")}

    subprocess.run([sys.executable, str(DIAGRAMS / "globs.py"), str(tmp_path)], check=True, timeout=60)

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == committed


def test_the_page_counts_the_datums_of_each_pattern_as_the_engine_does() -> None:
    rows = re.findall(r"^\| `(/\S*)` \| (\d+):", (DOCS / "concepts/datums.md").read_text(), re.M)

    counted = {glob: sum(map(compile_glob(glob).matches, TREE)) for glob, _ in rows}

    assert len(rows) > 5
    assert {glob: int(count) for glob, count in rows} == counted
