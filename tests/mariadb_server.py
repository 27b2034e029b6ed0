"""A real MariaDB for tests: of Debian's mariadb-server-core, installed or unpacked below $MARIADB_ROOT."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = os.environ.get("MARIADB_ROOT", "")
PASSWORD = "pass word"
_SYSTEM = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")
_USER = f"""
FLUSH PRIVILEGES;
CREATE DATABASE egress;
CREATE USER 'writer'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON egress.* TO 'writer'@'127.0.0.1';
"""


def program() -> str | None:
    """Return the server's program; None where it is not installed."""
    return shutil.which(f"{ROOT}/usr/sbin/mariadbd") if ROOT else shutil.which("mariadbd")


@contextlib.contextmanager
def mariadb(folder: Path) -> Iterator[int]:
    """Run a server with the database ``egress`` while the context is open; give its port."""
    path = program()
    assert path is not None
    share = Path(f"{ROOT}/usr/share/mysql")
    data = folder / "data"
    data.mkdir()
    libraries = f"{ROOT}/usr/lib/x86_64-linux-gnu" if ROOT else os.environ.get("LD_LIBRARY_PATH", "")
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
    common = [
        path,
        "--no-defaults",
        f"--datadir={data}",
        f"--basedir={ROOT}/usr",
        f"--lc-messages-dir={share}",
    ]
    if os.geteuid() == 0:
        common.append("--user=root")
    tables = "".join((share / name).read_text() for name in _SYSTEM)
    statements = f"CREATE DATABASE IF NOT EXISTS mysql;\nUSE mysql;\n{tables}{_USER}"
    with (folder / "log").open("wb") as log:
        subprocess.run(
            [*common, "--bootstrap"],
            input=statements.encode(), stdout=log, stderr=log, check=True, env=environment, timeout=PATIENCE,
        )  # fmt: skip
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [*common, "--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder}/socket", "--skip-name-resolve"],
            stdout=log, stderr=log, env=environment,
        )  # fmt: skip
        try:
            _wait(port, process)
            yield port
        finally:
            process.terminate()
            process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError("MariaDB did not start")
