"""The pages of the examples, run as they are written; their output is what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
#: Examples whose pages have blocks of commands, each followed by its output.
EXAMPLES = [
    *("batching", "cron-report", "join-tables", "orders-to-sqlite", "page-server", "sensor", "word-count"),
]
BLOCKS = re.compile(r"^```sh\n(.*?)^```\n\n^```\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_every_example_runs_here_and_is_listed() -> None:
    folders = {path.name for path in (ROOT / "examples").iterdir() if path.is_dir()}
    listed = (ROOT / "docs" / "README.md").read_text()

    assert folders - {"__pycache__"} == {*EXAMPLES, "opencv"}  # test_opencv.py and test_story.py run that one
    assert [name for name in folders if f"examples/{name}/README.md" not in listed] == []


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the options that the pages name, and the packages of the tests for commands."""
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    options = ["--outbound", "sqlite:///tmp/trunkline-example"]
    data = tmp_path_factory.mktemp("examples") / "data"
    server = Server(data, environment={"PATH": path}, options=options).start()
    yield server
    server.close()


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_commands_of_an_example_print_what_its_page_says(
    example: str, shared: Server, tmp_path: Path
) -> None:
    trunkline = tmp_path / "trunkline"
    trunkline.write_text(f'#!/bin/sh\nexec {sys.executable} -m trunkline.cli "$@"\n')
    trunkline.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PACHD_ADDRESS": shared.address,
        "HOME": str(tmp_path),
    }
    blocks = BLOCKS.findall((ROOT / "examples" / example / "README.md").read_text())
    assert blocks

    for commands, output in blocks:
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        assert run.stdout == output
