from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with a data folder of its own, for tests that do something to it."""
    server = Server(tmp_path / "data").start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a module; each uses names of its own."""
    server = Server(tmp_path_factory.mktemp("shared") / "data").start()
    yield server
    server.close()
