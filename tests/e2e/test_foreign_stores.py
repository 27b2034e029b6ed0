"""Stores that a server must not use: the start ends with a message that says what to do, and changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from servers import Server

from trunkline.formats import format_record

if TYPE_CHECKING:
    from pathlib import Path


def refused_start(data: Path, store: Path) -> str:
    """Start a server that must end by itself; return its message."""
    command = [sys.executable, "-m", "trunkline.cli", "serve", "--listen", "127.0.0.1:0"]
    command += ["--data", str(data), "--store", f"file://{store}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode not in (0, 2)
    assert done.stdout == ""
    [message] = [line for line in done.stderr.splitlines() if line.startswith("trunkline: ")]
    return message


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("files", "fragments"),
    [
        (
            {"format": json.dumps(format_record.RECORD | {"format": 3}).encode()},
            ["format 3", "use a release"],
        ),
        ({"format": format_record.encode()[:-9]}, ["'format'", "backup"]),
        ({"format": b"Dear aunt,"}, ["'format'", "backup"]),
        ({"letters/aunt": b"Dear aunt,"}, ["'letters/aunt'", "--store"]),
        ({"log/0000000000000001": b"{}"}, ["'log/0000000000000001'", "--store"]),
    ],
    ids=["newer", "truncated record", "foreign record", "other folder", "log alone"],
)
def test_a_store_that_this_release_cannot_use_is_named_and_not_changed(
    tmp_path: Path, files: dict[str, bytes], fragments: list[str]
) -> None:
    store = tmp_path / "store"
    for key, body in files.items():
        (store / key).parent.mkdir(parents=True, exist_ok=True)
        (store / key).write_bytes(body)

    message = refused_start(tmp_path / "data", store)

    assert [fragment for fragment in fragments if fragment not in message] == []
    assert contents(store) == files


def test_a_second_server_with_a_database_of_its_own_is_refused_while_the_first_one_serves_and_afterwards(
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    server = Server(tmp_path / "first", options=("--store", f"file://{store}"))
    try:
        server.start()
        during = refused_start(tmp_path / "second", store)
        code = server.terminate()
        before = contents(store)
        after = refused_start(tmp_path / "second", store)
    finally:
        server.close()

    assert code == 0
    assert during == after
    assert "holds the data of an installation" in after
    assert contents(store) == before
