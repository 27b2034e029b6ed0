"""The database: transactions as plain functions, run in the database's own threads.

``await db.run(fn, …)`` runs ``fn(tx, …)`` in a write transaction, ``await db.read(fn, …)`` in a read
snapshot. A transaction function waits for nothing but the database, so holding it open costs nobody.
There is one writer thread; functions that queue up while one commits share the next commit (group commit),
each in its own savepoint, so that one that fails takes nothing else with it.

A connection to PostgreSQL can be lost at any moment. Connections are made anew, and what ran on the lost
one runs again, unless it is committed; so a transaction function may run more than once and must leave
nothing behind but what it writes and returns. After ``PATIENCE`` the callers get UNAVAILABLE.

What a transaction changed is announced after its commit: ``tx.wake(topic)`` collects topics, and loops
that wait on them (``events.Wakeups``) look again. A lost announcement costs latency, never correctness.

This module knows no table.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from trunkline import errors
from trunkline.meta import dialects, query
from trunkline.meta.leader import LeaseHeld, writer
from trunkline.meta.pipelining import UnexpectedRows
from trunkline.runtime import cancellation, failpoints
from trunkline.runtime.supervision import Supervisor
from trunkline.runtime.threads import FairExecutor
from trunkline.telemetry import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("trunkline.meta")

#: Threads that serve reads; reads are short, two cores rarely fill more.
READERS = 4
#: Threads for the reads of the lane ``threads.CONTROL``: claims, leases and the controller's rounds.
CONTROL_READERS = 2
#: Most functions that share one commit: bounds how long the first one waits.
GROUP = 64
#: Seconds that a lost database is waited for before callers get an error. A restart of PostgreSQL takes 1 to 5.
PATIENCE = 15.0
#: Seconds between two looks whether an idle connection still holds the lease. Each look also shows a server
#: that waits for the lease that this one is alive.
CHECK = 1.0
#: Seconds without any statement of the active server after which one that waits for it takes over.
TAKEOVER_SECONDS = 30.0
#: Seconds before the first new attempt to connect; each wait is twice the last, up to the second figure.
PAUSES = (0.05, 0.5)

_WRITER_FAILED = "the thread that writes to the database has failed; the server ends, start it again"


class Tx:
    """One write in progress. Owned by the writer thread for the time of one function."""

    __slots__ = ("conn", "reports", "topics")

    def __init__(self, conn: sa.Connection) -> None:
        self.conn = conn
        self.topics: set[str] = set()
        self.reports: list[Callable[[], None]] = []

    def wake(self, *topics: str) -> None:
        """Announce ``topics`` once this transaction is committed."""
        self.topics.update(topics)

    def after_commit(self, report: Callable[[], None]) -> None:
        """Call ``report`` once, in the writer's thread, when this transaction is committed.

        It is for logs and metrics: it must be quick, and what it raises is logged and has no other effect.
        """
        self.reports.append(report)


@dataclass(frozen=True, slots=True)
class _Call:
    """A function that waits to be run in a transaction, and who waits for it."""

    future: Future[Any]
    fn: Callable[[Tx], Any]
    #: What is called inside, whose name is logged when it is slow.
    operation: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The result of a function, returned to its caller once its transaction is durable."""

    value: Any = None
    error: BaseException | None = None


class _ConnectionLost(Exception):
    """The connection went while a transaction ran on it."""

    def __init__(self, message: str, *, committing: bool = False) -> None:
        super().__init__(message)
        #: COMMIT may have been sent.
        self.committing = committing


class Database:
    """A database and the threads that use it."""

    def __init__(
        self,
        url: str,
        announce: Callable[[Iterable[str]], None],
        superseded: Callable[[str], None] = log.error,
        supervisor: Supervisor | None = None,
    ) -> None:
        """Say which database; it is opened with the first use.

        Args:
            url: of SQLAlchemy's form.
            announce: called from the writer thread with the topics of each commit.
            superseded: called from the writer thread, once, with a sentence, when another server has taken
                over the database or its file is gone; nothing can be written any more.
            supervisor: is notified when the writer thread fails; one of its own when None.

        Raises:
            InvalidArgument: no such database is supported.
        """
        self.url = sa.make_url(url)
        self._announce = announce
        self._superseded: Callable[[str], None] | None = superseded
        self._engine = dialects.engine(self.url)
        self._writer = writer(self._engine)
        #: Held while the writer is used: by the writer thread, and by whoever takes the lease at the start.
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._queue: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._readers = FairExecutor(READERS, control=CONTROL_READERS, share=READERS - 1)
        self._local = threading.local()
        #: Every thread's connection for reads, to be closed with the database.
        self._reading: list[sa.Connection] = []
        #: Those that a thread reads with now.
        self._in_use: set[sa.Connection] = set()
        #: Set when the writer thread has failed; nothing is written any more.
        self._failed = False
        #: What the writer thread has taken from the queue.
        self._batch: list[_Call] = []
        # Not started again: what it was doing with the connection when it failed is not known.
        self._thread = (supervisor or Supervisor()).thread("meta-write", self._write, restart=False)

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
        with self._writing:
            try:
                self._writer.connection()
            except LeaseHeld as held:
                self._writer.end_idle_holder(takeover_seconds)
                return held.message
        return ""

    def check(self) -> None:
        """Read nothing, to see whether the database answers. Blocks.

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
        return await asyncio.wrap_future(self._submit(fn, *args, **kwargs))

    def run_blocking(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Like ``run``, for threads. Never from the event loop or inside a transaction function.

        Args:
            fn: the function to run; gets the transaction first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.
        """
        return self._submit(fn, *args, **kwargs).result()

    async def read(
        self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``fn(connection, …)`` in a snapshot of the database.

        Args:
            fn: the function to run; gets the connection first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, lambda: self.read_blocking(fn, *args, **kwargs))

    def read_blocking(
        self, fn: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like ``read``, for threads.

        Args:
            fn: the function to run; gets the connection first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.
        """
        pauses: Iterator[float] | None = None
        while True:
            cancellation.check()
            conn = None
            try:
                conn = self._reading_connection()
                self._in_use.add(conn)
                conn.begin()
                return fn(conn, *args, **kwargs)
            except Exception as error:
                gone = isinstance(error, sa.exc.DBAPIError) if conn is None else dialects.lost(conn, error)
                pauses = pauses or self._pauses()
                pause = next(pauses, None) if gone else None
                if gone and conn is not None:
                    dialects.drop(conn)
                if pause is None:
                    if isinstance(error, sa.exc.DBAPIError):
                        raise dialects.translated(error, self.url) from error
                    raise
                self._closing.wait(pause)
            finally:
                if conn is not None:
                    if not conn.closed:
                        with contextlib.suppress(sa.exc.DBAPIError):
                            conn.rollback()
                    self._in_use.discard(conn)

    def _reading_connection(self) -> sa.Connection:
        """Return the thread's own connection."""
        conn: sa.Connection | None = getattr(self._local, "conn", None)
        if conn is None or conn.closed or conn.invalidated:
            if conn is not None:
                self._reading.remove(conn)
                self._local.conn = None
            self._writer.check_file()
            conn = self._local.conn = self._engine.connect()
            dialects.pipeline(conn, reading=True)
            self._reading.append(conn)
        return conn

    def _pauses(self) -> Iterator[float]:
        """Yield how long to wait before each new attempt, until patience ends; a file is not waited for."""
        pause, longest = PAUSES
        end = time.monotonic() + PATIENCE
        while self._writer.leased and time.monotonic() < end and not self._closing.is_set():
            yield pause
            pause = min(2 * pause, longest)

    def close(self) -> None:
        """Finish what is queued and close."""
        self._closing.set()  # a lost database is not waited for any more
        self._queue.put(None)
        self._thread.join()
        self._writer.close()
        self._readers.shutdown()
        for conn in self._reading:
            if conn not in self._in_use:  # else a thread reads that could not be ended: it would crash
                dialects.drop(conn)
        self._engine.dispose()

    def _submit(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        if self._failed:
            future.set_exception(errors.Unavailable(_WRITER_FAILED))
            return future
        operation = args[0] if args and callable(args[0]) else fn
        self._queue.put(_Call(future, lambda tx: fn(tx, *args, **kwargs), operation))
        return future

    def _write(self) -> None:
        """Run the writer thread; when it fails, tell everybody who waits for a write."""
        try:
            self._write_loop()
        except BaseException:
            self._failed = True
            with contextlib.suppress(queue.Empty):
                while True:
                    call = self._queue.get_nowait()
                    if call is not None:
                        self._batch.append(call)
            for call in self._batch:
                if not call.future.done():
                    call.future.set_exception(errors.Unavailable(_WRITER_FAILED))
            raise

    def _write_loop(self) -> None:
        closing = False
        while not closing:
            try:
                first = self._queue.get(timeout=CHECK if self._writer.leased else None)
            except queue.Empty:
                self._check()
                continue
            if first is None:
                return
            self._batch = batch = [first]
            failpoints.reach("meta.write")
            while len(batch) < GROUP and not closing:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    closing = True
                else:
                    batch.append(following)
            calls = [call for call in batch if call.future.set_running_or_notify_cancel()]
            if calls:
                begun = time.perf_counter()
                with self._writing:
                    self._commit(calls)
                names = [getattr(call.operation, "__qualname__", "?") for call in calls]
                events.transaction_done(names, time.perf_counter() - begun)

    def _check(self) -> None:
        """Notice while nothing is written that the lease is lost, and take it again."""
        with self._writing:
            try:
                self._writer.check()
            except sa.exc.DBAPIError as error:
                log.warning("lost the database: %s", dialects.translated(error, self.url))
                if self._writer.lost(error):
                    with contextlib.suppress(errors.TrunklineError):  # the next write says it
                        self._writer.connection()
        self._tell_superseded()

    def _tell_superseded(self) -> None:
        if self._writer.superseded and self._superseded is not None:
            tell, self._superseded = self._superseded, None
            tell(self._writer.superseded)

    def _commit(self, calls: list[_Call]) -> None:
        """Run every function in one commit, again on a new connection if need be, and tell each its fate."""
        topics: set[str] = set()
        reports: list[Callable[[], None]] = []
        outcomes: list[_Outcome] = []
        pauses: Iterator[float] | None = None
        unanswered = False
        while True:
            try:
                self._writer.connection()
                if unanswered and self._writer.landed():
                    break
                unanswered = False
                topics.clear()
                reports.clear()
                outcomes.clear()
                self._attempt(calls, topics, reports, outcomes)
                break
            except (_ConnectionLost, errors.Unavailable) as error:
                if isinstance(error, _ConnectionLost):
                    unanswered = error.committing
                    log.warning("lost the database while writing: %s", error)
                pauses = pauses or self._pauses()
                pause = None if self._writer.superseded else next(pauses, None)
                if pause is None:
                    outcomes = [_Outcome(error=self._gave_up(error, unanswered))] * len(calls)
                    topics.clear()
                    reports.clear()
                    break
                self._closing.wait(pause)
            except BaseException as error:  # noqa: BLE001 - the callers get it
                with contextlib.suppress(Exception):
                    self._writer.rollback()
                outcomes = [_Outcome(error=self._ours(error))] * len(calls)
                topics.clear()
                reports.clear()
                break
        # Announced before the callers resume, so that their own later waits see a newer stamp at most once.
        if topics:
            self._announce(topics)
        for call, outcome in zip(calls, outcomes, strict=True):
            if outcome.error is not None:
                call.future.set_exception(outcome.error)
            else:
                call.future.set_result(outcome.value)
        for report in reports:
            try:
                report()
            except Exception:
                log.exception("a report after a commit failed", extra={"action": "report_failed"})
        self._tell_superseded()

    def _attempt(
        self,
        calls: list[_Call],
        topics: set[str],
        reports: list[Callable[[], None]],
        outcomes: list[_Outcome],
    ) -> None:
        """Run the functions in one transaction; fills the other three in the order of ``calls``."""
        with self._losing():
            self._writer.begin()
        conn = self._writer.connection()
        for call in calls:
            tx = Tx(conn)
            try:
                value = call.fn(tx) if len(calls) == 1 else _in_savepoint(tx, call.fn)
            except BaseException as error:
                if self._writer.lost(error):
                    raise _ConnectionLost(self._said(error)) from error
                with contextlib.suppress(sa.exc.DBAPIError), self._losing():
                    self._writer.verify()
                outcomes.append(_Outcome(error=self._ours(error)))
            else:
                outcomes.append(_Outcome(value=value))
                topics |= tx.topics
                reports += tx.reports
        try:
            with self._losing(committing=True):
                if any(outcome.error is None for outcome in outcomes):
                    self._writer.commit()
                else:
                    self._writer.rollback()
        except (sa.exc.DBAPIError, RuntimeError) as error:
            self._writer.rollback()
            ours = self._ours(error)
            outcomes[:] = [outcome if outcome.error else _Outcome(error=ours) for outcome in outcomes]
            topics.clear()
            reports.clear()

    @contextlib.contextmanager
    def _losing(self, *, committing: bool = False) -> Iterator[None]:
        """Tell a lost connection from a failed statement."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            if self._writer.lost(error):
                raise _ConnectionLost(self._said(error), committing=committing) from error
            raise

    def _ours(self, error: BaseException) -> BaseException:
        return dialects.translated(error, self.url) if isinstance(error, sa.exc.DBAPIError) else error

    def _said(self, error: BaseException) -> str:
        return str(self._ours(error))

    def _gave_up(self, error: _ConnectionLost | errors.Unavailable, unanswered: bool) -> errors.Unavailable:
        """Say why a write is given up, and what is known of it."""
        fate = "whether this was written is not known" if unanswered else "nothing was written"
        return errors.Unavailable(f"{self._writer.superseded or error}; {fate}")


def _in_savepoint(tx: Tx, fn: Callable[[Tx], T]) -> T:
    """Run one of several functions of a transaction, so that what fails in it undoes nothing else."""
    query.control(tx.conn, "SAVEPOINT one_call")
    try:
        value = fn(tx)
        query.flush(tx.conn)  # what it sent and did not wait for is its own to answer for
    except BaseException:
        with contextlib.suppress(sa.exc.DBAPIError, UnexpectedRows):
            query.flush(tx.conn)
        with contextlib.suppress(sa.exc.DBAPIError):
            query.control(tx.conn, "ROLLBACK TO SAVEPOINT one_call")
            query.control(tx.conn, "RELEASE SAVEPOINT one_call")
            query.flush(tx.conn)
        raise
    query.control(tx.conn, "RELEASE SAVEPOINT one_call")
    return value


def inserted_id(result: sa.CursorResult[Any]) -> int:
    """Return the number of the row that an INSERT made."""
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def sqlite_url(folder: str | os.PathLike[str]) -> str:
    """Return the URL of the SQLite database inside a data folder."""
    return f"sqlite:///{os.path.join(os.fspath(folder), 'trunkline.db')}"
