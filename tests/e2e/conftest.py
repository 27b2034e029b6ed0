from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from ports import reserved_port
from servers import Server

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from pachyderm_sdk import Client

#: Characters of a server's log that the report of a failure shows.
LOG_CHARACTERS = 8_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the end of the servers' logs to the report of a test that failed."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Server) and value.log.exists():
                report.sections.append((f"log of {value.log.name}", value.log.read_text()[-LOG_CHARACTERS:]))
    return report


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with a data folder of its own, for tests that do something to it."""
    server = Server(tmp_path / "data").start()
    yield server
    server.close()


@pytest.fixture
def port() -> Iterator[int]:
    """A port of 127.0.0.1 at which nobody answers until the test lets a program listen there."""
    with reserved_port() as port:
        yield port


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a module; each uses names of its own.

    Its commands find the interpreter of the tests first, as in an activated virtual environment.
    """
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    server = Server(tmp_path_factory.mktemp("shared") / "data", environment={"PATH": path}).start()
    yield server
    server.close()


@pytest.fixture
def client(shared: Server) -> Iterator[Client]:
    """A client of the shared server, which is empty after each test."""
    client = shared.client()
    yield client
    client.pfs.delete_all()
