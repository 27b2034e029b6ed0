"""The commands of the pages about EKS that need an AWS account, a cluster, or a server that simulates Fargate.

A page says which test runs them; the runner of pages runs the others.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

from handbook_page import ROOT, blocks_run_by, read_page

if TYPE_CHECKING:
    from pathlib import Path

#: In the order in which a reader follows them.
PATHS = ("docs/operate/eks.md", "docs/operate/eks-nodes.md", "docs/operate/eks-choose.md")
PAGE = "\n".join((ROOT / path).read_text() for path in PATHS)
_BLOCKS = [block for path in PATHS for block in read_page(ROOT / path).blocks]


def blocks(language: str) -> list[str]:
    """Return the blocks of a language."""
    return [block.text for block in _BLOCKS if block.language == language]


def commands(test: str) -> list[str]:
    """Return the commands that a test runs, in the page's order; ``test`` is its ``__file__``."""
    return [line for path in PATHS for block in blocks_run_by(test, path) for line in block.text.splitlines()]


def shown_behind(command: str) -> list[str]:
    """Return the lines that the page shows behind a command, without what it leaves out."""
    for block, following in pairwise(_BLOCKS):
        if block.text.splitlines()[-1] == command and following.language == "text":
            return [line for line in following.text.splitlines() if line != "..."]
    return []


def clone(folder: Path) -> Path:
    """Make a folder in which the page's commands find what they name."""
    folder.mkdir()
    for name in ("examples", "charts"):
        (folder / name).symlink_to(ROOT / name)
    tools = folder / "bin"
    tools.mkdir()
    program = tools / "trunkline"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m trunkline.cli "$@"\n')
    program.chmod(0o755)
    return folder


def run(
    command: str, folder: Path, timeout: float = 90, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as somebody at a shell in the clone would."""
    variables = (
        os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder)} | environment
    )
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
