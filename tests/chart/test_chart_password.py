"""The way that the chart hands over the database's password: beside a URL without one, in PGPASSWORD."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import postgres_server
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What would have to be escaped inside a URL.
PASSWORD = "p@ss/wo:rd%?"


@pytest.fixture
def url() -> Iterator[str]:
    """URL of a database whose owner must give a password."""
    server = postgres_server.PostgresServer()
    try:
        with server.database() as name:
            [(place,)] = server.execute("SHOW hba_file")
            rules = Path(str(place))
            rules.write_text(f"local {name} keeper scram-sha-256\n{rules.read_text()}")
            server.execute("SELECT pg_reload_conf()")
            server.execute(f"CREATE ROLE keeper LOGIN PASSWORD '{PASSWORD}'")
            server.execute(f"ALTER DATABASE {name} OWNER TO keeper")
            yield f"postgresql://keeper@/{name}?host={server.socket}"
    finally:
        server.close()


def serve(data: Path, **variables: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "trunkline.cli", "serve", "--data", str(data), "--listen", "127.0.0.1:0"]
    return subprocess.Popen(
        command, env={**os.environ, **variables}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_the_password_comes_beside_the_url_and_needs_no_escaping(url: str, tmp_path: Path) -> None:
    with serve(tmp_path / "right", TRUNKLINE_DATABASE=url, PGPASSWORD=PASSWORD) as server:
        assert server.stdout is not None
        ready = server.stdout.readline()
        server.terminate()
        _, output = server.communicate(timeout=60)
    with serve(tmp_path / "wrong", TRUNKLINE_DATABASE=url, PGPASSWORD="another") as refused:
        _, error = refused.communicate(timeout=60)

    assert json.loads(ready)["ready"] is True
    assert server.returncode == 0
    assert PASSWORD not in output
    assert refused.returncode != 0
    assert 'does not let role "keeper" in' in error
    assert "another" not in error
