"""The README's first pipeline, run as it is written, against a server of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).resolve().parents[2] / "README.md"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where a fresh server answers."""
    command = [sys.executable, "-m", "trunkline.cli", "serve", "--data", str(tmp_path / "data")]
    with subprocess.Popen([*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())["grpc"]
        finally:
            server.terminate()
            server.wait(60)


def test_the_blocks_of_the_readme_run_and_say_what_they_promise(address: str, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    trunkline = tools / "trunkline"
    trunkline.write_text(f'#!/bin/sh\nexec {sys.executable} -m trunkline.cli "$@"\n')
    trunkline.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PACHD_ADDRESS": address,
        "HOME": str(tmp_path),
    }
    runners = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
    host, _, port = address.rpartition(":")

    outputs = []
    for language, block in BLOCK.findall(README.read_text()):
        code = block.replace('host="127.0.0.1", port=30650', f'host="{host}", port={port}')
        run = subprocess.run(
            [*runners[language], code],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert run.returncode == 0, f"{block}\n{run.stderr}"
        outputs.append(run.stdout)

    _, counted, added, from_python = outputs
    assert counted.split()[-1] == "8"  # words of rose.txt
    assert "1 + 2 / 3" in added  # processed + skipped / total
    assert from_python == "b'et tu, Brute?'\n"
