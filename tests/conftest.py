"""Fixtures for all tests: databases, object stores, and a whole server in a thread of the test process.

The server is that of ``trunkline serve``; a test gives it a clock, a disk that can be full (``LimitedObjects``), and a
fleet whose workers come when the test says so.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import hypothesis
import pachyderm_sdk
import postgres_server
import pytest
from certificates import Authority
from held_fleet import HeldFleet
from leaks import (  # noqa: F401 - fixtures and hooks for all tests
    _module_leaves_nothing_behind,
    _test_leaves_nothing_behind,
    pytest_fixture_post_finalizer,
    pytest_fixture_setup,
)
from manual_clock import ManualClock
from msgspec.structs import replace
from patience import PATIENCE
from s3_server import S3Server, s3_server

from trunkline.app import composition, drivers, serve
from trunkline.app.settings import Settings
from trunkline.drivers.objects.local import LocalObjects
from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.errors import ResourceExhausted
from trunkline.meta import install
from trunkline.meta.database import Database, sqlite_url
from trunkline.meta.wakeups import Wakeups

# Properties are judged by their outcome, never by how long an example took. The nightly profile searches longer:
# scripts/test --nightly.
hypothesis.settings.register_profile("usual", deadline=None, max_examples=50)
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("TRUNKLINE_HYPOTHESIS_PROFILE", "usual"))

# moto reads it when it is imported, which any test of this process may do first.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from trunkline.pfs.repository import VersionedStore
    from trunkline.ports import HttpServer


def pytest_xdist_auto_num_workers() -> int:
    """Return the workers of ``-n auto``: tests wait half of their time, for processes, disks and clocks."""
    return len(os.sched_getaffinity(0)) * 3 // 2 or 1


def pytest_sessionfinish() -> None:
    """End what tests started for the whole session."""
    postgres_server.close_shared()


@pytest.fixture
def postgres() -> postgres_server.PostgresServer:
    """A real PostgreSQL, shared by the tests of this process."""
    return postgres_server.shared()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new, empty database; the test runs once with each kind."""
    with postgres_server.database_url(request.param, tmp_path) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def installed_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of the database of a new installation; the test runs once with each kind."""
    with postgres_server.database_url(request.param, tmp_path, installed=True) as url:
        yield url


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA for the certificates of tests."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def core(tmp_path: Path) -> Iterator[composition.Core]:
    """An empty store without a server: nothing happens in it but what the test does."""
    loop = asyncio.new_event_loop()
    wakeups, clock = Wakeups(loop), ManualClock()
    db = Database(sqlite_url(tmp_path), wakeups.announce)
    install.install(db, clock.now())
    core = composition.core(db, MemoryObjects(), wakeups, clock)
    yield core
    core.versions.chunks.close()
    db.close()
    loop.close()


class LimitedObjects(LocalObjects):
    """A folder on a disk that is full when the test says so, with what such a disk raises."""

    full = False

    def put(self, key: str, parts: Sequence[bytes | memoryview]) -> None:
        if self.full:
            raise ResourceExhausted(f"cannot store object {key!r}: the disk of the test is full; make room")
        super().put(key, parts)


#: An address for a server of a test.
ANY_PORT = "127.0.0.1:0"


class Served:
    """A store and its server. ``address`` is set while it serves."""

    def __init__(self, folder: Path, listen: str = ANY_PORT, **changes: Any) -> None:
        self.folder = folder
        self._changes = changes
        self.listen = listen
        self.clock = ManualClock()
        self.objects = LimitedObjects(folder / "objects")
        self.fleet = HeldFleet()
        self.address = ""
        self._clients: list[pachyderm_sdk.Client] = []
        self.versions: VersionedStore

    def client(self) -> pachyderm_sdk.Client:
        host, _, port = self.address.rpartition(":")
        client = pachyderm_sdk.Client(host=host, port=int(port))
        self._clients.append(client)
        return client

    def close_clients(self) -> None:
        """End the clients' connections; a stream that a test left unread keeps a thread of gRPC otherwise."""
        for client in self._clients:
            client._channel.close()  # the SDK has no method for it

    async def serve(self, ready: Callable[[asyncio.Event], None]) -> None:
        settings = Settings(data=self.folder, listen=(self.listen,), **self._changes)
        running = serve.running(settings, clock=self.clock, objects=self.objects, fleet=self.fleet)
        async with running as server:
            self.address, self.versions = server.address, server.versions
            stop = asyncio.Event()
            ready(stop)
            await stop.wait()
        del self.versions  # the test still holds this object while it is checked for open files


@contextmanager
def serving(folder: Path, listen: str = ANY_PORT, **changes: Any) -> Iterator[Served]:
    """Serve the store in ``folder`` while the context is open; ``changes`` are settings."""
    served = Served(folder, listen, **changes)
    started = threading.Event()
    stops: list[Callable[[], None]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def ready(stop: asyncio.Event) -> None:
            stops.append(lambda: loop.call_soon_threadsafe(stop.set))
            started.set()

        await served.serve(ready)

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="server")
    thread.start()
    try:
        assert started.wait(PATIENCE), "the server did not start"
        yield served
    finally:
        served.close_clients()
        for stop in stops:
            stop()
        thread.join()


@pytest.fixture(params=["h2corn", "hypercorn"])
def http_server(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., HttpServer]:
    """Each HTTP server in turn, as a function that lets it listen."""
    if request.param != "h2corn":
        pytest.importorskip(request.param)
    settings = Settings(data=tmp_path, listen=("127.0.0.1:0",), http_server=request.param)
    return lambda tls=None, **changes: drivers.http_server(replace(settings, **changes), tls)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server; each test makes a bucket or a prefix of its own."""
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="session")
def serve_folder() -> Callable[..., AbstractContextManager[Served]]:
    """How to serve the store in a folder, again and again."""
    return serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    """A server with an empty store of its own."""
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def client(server: Served) -> pachyderm_sdk.Client:
    """The published SDK, unmodified, connected to the server."""
    return server.client()
