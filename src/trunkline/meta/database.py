"""The database: transactions as plain functions, run in the database's own threads.

``await db.run(fn, …)`` runs ``fn(tx, …)`` in a write transaction, ``await db.read(fn, …)`` in a read snapshot. A
transaction function waits for nothing but the database, so that it holds the transaction only as long as it needs.
``group_commit`` describes how writes are committed, and what happens when a connection is lost. A lost read runs
again on a new connection.

This module knows no table.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from trunkline.meta import connections, dialects
from trunkline.meta.connections import ReadConnections
from trunkline.meta.group_commit import GroupCommit
from trunkline.runtime import cancellation
from trunkline.runtime.threads import FairExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from trunkline.meta.event_log import Batch
    from trunkline.meta.group_commit import Tx
    from trunkline.runtime.supervision import Supervisor

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("trunkline.meta")

#: Threads that serve reads; reads are short, two cores rarely fill more.
READERS = 4
#: Threads for the reads of the lane ``threads.CONTROL``: claims, leases and the controller's rounds.
CONTROL_READERS = 2
#: Seconds without any statement of the active server after which one that waits for it takes over.
TAKEOVER_SECONDS = 30.0


class Database:
    """A database and the threads that use it."""

    def __init__(
        self,
        url: str,
        announce: Callable[[Iterable[str]], None],
        superseded: Callable[[str], None] = log.error,
        supervisor: Supervisor | None = None,
    ) -> None:
        """Use a database; it is opened with the first use.

        Args:
            url: of SQLAlchemy's form.
            announce: called from the writer thread with the topics of each commit.
            superseded: called from the writer thread, once, with a sentence, when another server has taken
                over the database or its file was removed; nothing can be written any more.
            supervisor: is notified when the writer thread fails; one of its own when None.

        Raises:
            InvalidArgument: no such database is supported.
        """
        self.url = sa.make_url(url)
        self._engine = dialects.engine(self.url)
        self._writes = GroupCommit(self._engine, announce, superseded, supervisor)
        self._is_exclusive = self.url.get_backend_name() == "sqlite"
        self._closing = threading.Event()
        self._readers = FairExecutor(READERS, control=CONTROL_READERS, share=READERS - 1)
        self._connections = ReadConnections(self._engine, self._writes.check_file)
        #: Whether the thread is in a read.
        self._local = threading.local()

    @property
    def engine(self) -> sa.Engine:
        """The engine, for migrations."""
        return self._engine

    def open(self, takeover_seconds: float = TAKEOVER_SECONDS) -> str:
        """Connect, and become the one that writes. Blocks for one attempt.

        Args:
            takeover_seconds: how long the active server may do nothing at all, seen from here over several
                attempts, before its session is ended so that the next attempt succeeds.

        Returns:
            Nothing, or a sentence: which server is active and must be waited for.

        Raises:
            Unavailable: the database cannot be reached; the sentence says what to do.
            FailedPrecondition: it is of a kind that cannot be used.
        """
        return self._writes.open(takeover_seconds)

    @property
    def stamp(self) -> int | None:
        """A number that grows with each commit: what was read since it had its value is what a read would give now.

        None while a commit is in progress, and for a database that another server may write to at any time: SQLite's
        file is in a folder that is locked.
        """
        stamp = self._writes.stamp
        return None if stamp & 1 or not self._is_exclusive else stamp

    def publish_events_to(self, publish: Callable[[Batch], None]) -> None:
        """Hand the events of each commit to ``publish``; see ``GroupCommit.publish_events_to``."""
        self._writes.publish_events_to(publish)

    def check(self) -> None:
        """Check whether the database answers. Blocks.

        Raises:
            Unavailable: it does not.
        """
        self.read_blocking(lambda conn: conn.execute(sa.text("SELECT 1")))

    async def run(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(tx, …)`` in a write transaction and return its value once it is durable.

        Args:
            fn: the function to run; gets the transaction or connection first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.

        Raises:
            ResourceExhausted: the disk is full; nothing was written.
            Exception: whatever ``fn`` raises; its writes are rolled back.
        """
        return await asyncio.wrap_future(self._writes.submit(fn, *args, **kwargs))

    def run_blocking(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like ``run``, for threads. Never from the event loop or inside a transaction function.

        Args:
            fn: the function to run; gets the transaction first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.
        """
        return self._writes.submit(fn, *args, **kwargs).result()

    async def read(
        self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fn(connection, …)`` in a snapshot of the database.

        Args:
            fn: the function to run; gets the connection first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.
        """
        return await self._readers.call(lambda: self.read_blocking(fn, *args, **kwargs))

    def read_blocking(
        self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like ``read``, for threads. Never inside a transaction function.

        Args:
            fn: the function to run; gets the connection first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.
        """
        if getattr(self._local, "in_read", False):
            raise RuntimeError(
                "a read inside a read would see another snapshot; pass the connection on instead"
            )
        self._local.in_read = True
        try:
            return self._read(lambda conn: fn(conn, *args, **kwargs))
        finally:
            self._local.in_read = False

    def _read(self, fn: Callable[[sa.Connection], T]) -> T:
        """Run ``fn`` in a snapshot, again on a new connection if one is lost."""
        pauses: Iterator[float] | None = None
        while True:
            cancellation.check()
            conn = None
            try:
                conn = self._connections.acquire()
                conn.begin()
                return fn(conn)
            except Exception as error:
                is_lost = isinstance(error, sa.exc.DBAPIError) if conn is None else dialects.lost(conn, error)
                pauses = pauses or connections.pauses(self._closing, leased=self._writes.leased)
                pause = next(pauses, None) if is_lost else None
                if is_lost and conn is not None:
                    dialects.drop(conn)
                    self._connections.drop_idle()
                if pause is None:
                    if isinstance(error, sa.exc.DBAPIError):
                        raise dialects.translated(error, self.url) from error
                    raise
                self._closing.wait(pause)
            finally:
                if conn is not None:
                    self._connections.release(conn)

    def close(self) -> None:
        """Finish what is queued and close. A read that a thread cannot end keeps its connection until it ends."""
        self._closing.set()  # a lost database is not waited for any more
        self._writes.close()
        self._readers.shutdown()
        self._connections.close()
        self._engine.dispose()


def sqlite_url(folder: str | os.PathLike[str]) -> str:
    """Return the URL of the SQLite database inside a data folder."""
    return f"sqlite:///{os.path.join(os.fspath(folder), 'trunkline.db')}"
