"""The database: transactions as plain functions, run in the database's own threads.

``await db.run(fn, …)`` runs ``fn(tx, …)`` in a write transaction, ``await db.read(fn, …)`` in a read
snapshot. A transaction function waits for nothing but the database, so holding it open costs nobody.
On SQLite there is one writer thread; functions that queue up while one commits share the next commit
(group commit), each in its own savepoint, so that one that fails takes nothing else with it.

What a transaction changed is announced after its commit: ``tx.wake(topic)`` collects topics, and loops
that wait on them (``events.Wakeups``) look again. A lost announcement costs latency, never correctness.

This module knows no table.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy import event

from trunkline import errors

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("trunkline.meta")

#: Threads that serve reads; reads are short, two cores rarely fill more.
READERS = 4
#: Most functions that share one commit: bounds how long the first one waits.
GROUP = 64
#: Seconds a second process's transaction is waited for. There is only ours; backups may hold the file.
BUSY_TIMEOUT = 10.0


class Tx:
    """One write in progress. Owned by the writer thread for the time of one function."""

    __slots__ = ("conn", "topics")

    def __init__(self, conn: sa.Connection) -> None:
        self.conn = conn
        self.topics: set[str] = set()

    def wake(self, *topics: str) -> None:
        """Announce ``topics`` once this transaction is committed."""
        self.topics.update(topics)


class Database:
    """A database and the threads that use it."""

    def __init__(self, url: str, announce: Callable[[Iterable[str]], None]) -> None:
        """Open ``url``; ``announce`` is called from the writer thread with the topics of each commit.

        Raises:
            Unavailable: the database cannot be opened.
        """
        self.url = sa.make_url(url)
        self._announce = announce
        self._engine = _engine(self.url)
        self._queue: queue.SimpleQueue[tuple[Future[Any], Callable[[Tx], Any]] | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="meta-read")
        self._local = threading.local()
        #: Every thread's connection for reads, to be closed with the database.
        self._reading: list[sa.Connection] = []
        self._writer = threading.Thread(target=self._write_loop, name="meta-write", daemon=True)
        self._writer.start()

    @property
    def engine(self) -> sa.Engine:
        """The engine, for migrations."""
        return self._engine

    async def run(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn(tx, …)`` in a write transaction and return its value once it is durable.

        Raises:
            ResourceExhausted: the disk is full; nothing was written.
            Exception: whatever ``fn`` raises; its writes are rolled back.
        """
        return await asyncio.wrap_future(self._submit(fn, *args, **kwargs))

    def run_blocking(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like ``run``, for threads. Never from the event loop or inside a transaction function."""
        return self._submit(fn, *args, **kwargs).result()

    async def read(
        self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fn(connection, …)`` in a snapshot of the database."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, lambda: self.read_blocking(fn, *args, **kwargs))

    def read_blocking(
        self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like ``read``, for threads."""
        conn: sa.Connection | None = getattr(self._local, "conn", None)
        if conn is None or conn.closed or conn.invalidated:
            conn = self._local.conn = self._engine.connect()
            self._reading.append(conn)
        try:
            conn.begin()
            return fn(conn, *args, **kwargs)
        except sa.exc.DBAPIError as error:
            raise translated(error) from error
        finally:
            conn.rollback()

    def close(self) -> None:
        """Finish what is queued and close."""
        self._queue.put(None)
        self._writer.join()
        self._readers.shutdown()
        for conn in self._reading:
            conn.close()
        self._engine.dispose()

    def _submit(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        self._queue.put((future, lambda tx: fn(tx, *args, **kwargs)))
        return future

    def _write_loop(self) -> None:
        closing = False
        with self._engine.connect() as conn:
            while not closing:
                first = self._queue.get()
                if first is None:
                    return
                batch = [first]
                while len(batch) < GROUP and not closing:
                    try:
                        following = self._queue.get_nowait()
                    except queue.Empty:
                        break
                    if following is None:
                        closing = True
                    else:
                        batch.append(following)
                self._commit_batch(conn, batch)

    def _commit_batch(
        self, conn: sa.Connection, batch: list[tuple[Future[Any], Callable[[Tx], Any]]]
    ) -> None:
        """Run every function of the batch in one commit, then tell each its fate."""
        conn.begin()
        results: list[tuple[Future[Any], Any]] = []
        topics: set[str] = set()
        alone = len(batch) == 1
        for future, fn in batch:
            if not future.set_running_or_notify_cancel():
                continue
            tx = Tx(conn)
            try:
                if alone:
                    value = fn(tx)
                else:
                    with conn.begin_nested():
                        value = fn(tx)
            except sa.exc.DBAPIError as error:
                future.set_exception(translated(error))
            except BaseException as error:  # noqa: BLE001 - the caller gets it
                future.set_exception(error)
            else:
                results.append((future, value))
                topics |= tx.topics
        try:
            if results:
                conn.commit()
            else:
                conn.rollback()
        except sa.exc.DBAPIError as error:
            conn.rollback()
            for future, _ in results:
                future.set_exception(translated(error))
            return
        # Announced before the callers resume, so that their own later waits see a newer stamp at most once.
        if topics:
            self._announce(topics)
        for future, value in results:
            future.set_result(value)


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        raise errors.InvalidArgument(
            f"database {url.render_as_string()!r} is not supported; use sqlite:///FILE"
        )
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        # sqlite3's own transaction handling starts them too late (before the first write, not the first
        # read): switch it off and begin explicitly below.
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",  # an acknowledged commit survives a power cut
            "foreign_keys=ON",
            f"busy_timeout={int(BUSY_TIMEOUT * 1000)}",
            "cache_size=-65536",  # KiB: keeps the chunk index's upper levels in memory
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(conn: sa.Connection) -> None:
        writer = threading.current_thread().name == "meta-write"
        conn.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return engine


def translated(error: sa.exc.DBAPIError) -> BaseException:
    """Turn a driver's error into ours where the user can do something about it."""
    text = str(error.orig)
    if "full" in text or "No space" in text:
        return errors.ResourceExhausted(
            f"the database cannot grow ({text}); free space on its disk and send the request again"
        )
    if "unable to open" in text or "readonly" in text or "disk I/O" in text:
        return errors.Unavailable(
            f"the database cannot be used ({text}); check its folder's permissions and disk"
        )
    if "locked" in text:
        return errors.Unavailable(
            f"the database is held by another process for more than {BUSY_TIMEOUT:.0f} s ({text})"
        )
    return error


def inserted_id(result: sa.CursorResult[Any]) -> int:
    """Return the number of the row that an INSERT made."""
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def sqlite_url(folder: str | os.PathLike[str]) -> str:
    """Return the URL of the SQLite database inside a data folder."""
    return f"sqlite:///{os.path.join(os.fspath(folder), 'trunkline.db')}"
