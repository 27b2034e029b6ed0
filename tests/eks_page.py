"""The commands of docs/operate/eks.md: where each is run, and a folder like a clone to run them in.

Four tests share it, because the page needs four worlds: nothing at all, an AWS account, a cluster, and a server
that simulates Fargate. ``tests/house`` sees to it that no command is left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/operate/eks.md").read_text()
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
#: Where a command is run, by how it begins; the first that fits.
_PLACES = (
    ("trunkline demo", "demo"),
    ("trunkline serve", "simulation"),
    ("trunkline fargate plan", "offline"),
    ("trunkline fargate render", "offline"),
    ("trunkline nodes", "offline"),
    ("sed ", "offline"),
    ("eksctl ", "offline"),
    ("trunkline fargate", "account"),
    ("kubectl ", "cluster"),
    ("helm ", "cluster"),
    ("trunkline ", "simulation"),
)


def blocks(language: str) -> list[str]:
    """Return the blocks of a language."""
    return [text for kind, text in _BLOCK.findall(PAGE) if kind == language]


def commands(*places: str) -> list[str]:
    """Return the commands that are run in some places, in the page's order."""
    return [line for block in blocks("sh") for line in block.splitlines() if place(line) in places]


def place(command: str) -> str:
    """Return where a command is run, or nothing."""
    return next((where for begin, where in _PLACES if command.startswith(begin)), "")


def said_to(command: str) -> list[str]:
    """Return the lines that the page shows behind a command, without what it leaves out."""
    texts = _BLOCK.findall(PAGE)
    for (_, text), (language, code) in pairwise(texts):
        if text.splitlines()[-1] == command and not language:
            return [line for line in code.splitlines() if line != "…"]
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
