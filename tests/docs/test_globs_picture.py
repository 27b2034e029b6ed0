"""The picture of globs is what the glob engine makes of the tree, and the page names the same tree."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DIAGRAMS = Path(__file__).resolve().parents[2] / "docs/diagrams"


def test_the_committed_pictures_are_those_that_the_program_draws(tmp_path: Path) -> None:
    committed = {path.name: path.read_text() for path in DIAGRAMS.glob("globs-*.svg")}

    subprocess.run([sys.executable, str(DIAGRAMS / "globs.py"), str(tmp_path)], check=True, timeout=60)

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == committed
