"""Group commit: the one thread that writes to the database, and the transactions that it runs.

Functions that queue up while one transaction commits share the next commit, each in its own savepoint, so that one
that fails undoes nothing else.

A connection to PostgreSQL can be lost at any moment. What ran on the lost one runs again on a new one, unless it is
committed; so a transaction function may run more than once and must leave nothing behind but what it writes and
returns. After ``connections.PATIENCE`` the callers get UNAVAILABLE.

What a transaction changed is announced after its commit: ``tx.wake(topic)`` collects topics, and loops that wait on
them (``wakeups.Wakeups``) read again. A lost announcement costs latency, never correctness. Events (``tx.record``) are
written as part of the transaction, and published after its commit.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from msgspec import Struct, field

from trunkline import errors
from trunkline.meta import connections, dialects, query
from trunkline.meta.event_log import Batch, EventWriter
from trunkline.meta.leader import LeaseHeld, writer
from trunkline.meta.pipelining import UnexpectedRows
from trunkline.runtime import failpoints
from trunkline.runtime.supervision import Supervisor
from trunkline.telemetry import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from trunkline.model.events import Event

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("trunkline.meta")

#: Most functions that share one commit: bounds how long the first one waits.
GROUP = 64
#: Seconds between two checks whether an idle connection still holds the lease. Each also shows a server that waits
#: for the lease that this one is alive.
CHECK = 1.0

_WRITER_FAILED = "the thread that writes to the database has failed; the server ends, start it again"


class Tx:
    """A write in progress. Used by the writer thread, during one function."""

    __slots__ = ("conn", "events", "handovers", "reports", "topics")

    def __init__(self, conn: sa.Connection) -> None:
        self.conn = conn
        self.events: list[Event] = []
        self.topics: set[str] = set()
        self.reports: list[Callable[[], None]] = []
        self.handovers: list[Callable[[], None]] = []

    def wake(self, *topics: str) -> None:
        """Announce ``topics`` once this transaction is committed."""
        self.topics.update(topics)

    def record(self, event: Event) -> None:
        """Add an event to the log, as part of this transaction."""
        self.events.append(event)

    def before_wake(self, handover: Callable[[], None]) -> None:
        """Call ``handover`` once, in the writer's thread, when this transaction is committed, before its topics wake.

        It leaves values in memory for those that wake; it must be quick and raise nothing.
        """
        self.handovers.append(handover)

    def after_commit(self, report: Callable[[], None]) -> None:
        """Call ``report`` once, in the writer's thread, when this transaction is committed.

        It is for logs and metrics: it must be quick, and what it raises is logged and has no other effect.
        """
        self.reports.append(report)


class _Call(Struct, frozen=True):
    """A function that waits to be run in a transaction, and the future of its value."""

    future: Future[Any]
    fn: Callable[[Tx], Any]
    #: What is called inside, whose name is logged when it is slow.
    operation: Callable[..., Any]


class _Effects(Struct):
    """What happens when a transaction is committed."""

    topics: set[str] = field(default_factory=set)
    reports: list[Callable[[], None]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    handovers: list[Callable[[], None]] = field(default_factory=list)
    #: The events as they are in the log.
    batch: Batch | None = None

    def clear(self) -> None:
        """Nothing happens: it is not committed."""
        self.topics, self.reports, self.events, self.handovers, self.batch = set(), [], [], [], None

    def add(self, tx: Tx) -> None:
        """Add what one of the transaction's functions asked for."""
        self.topics |= tx.topics
        self.reports += tx.reports
        self.events += tx.events
        self.handovers += tx.handovers


class _Outcome(Struct, frozen=True):
    """The result of a function, returned to its caller once its transaction is durable."""

    value: Any = None
    error: BaseException | None = None


class _ConnectionLost(Exception):
    """The connection was lost while a transaction ran on it."""

    def __init__(self, message: str, *, committing: bool = False) -> None:
        super().__init__(message)
        #: COMMIT may have been sent.
        self.committing = committing


class GroupCommit:
    """The thread that writes, and the queue of what it has to write."""

    def __init__(
        self,
        engine: sa.Engine,
        announce: Callable[[Iterable[str]], None],
        superseded: Callable[[str], None],
        supervisor: Supervisor | None,
    ) -> None:
        """Start the thread; the database is opened with the first use.

        Args:
            engine: makes the connection.
            announce: called from the thread with the topics of each commit.
            superseded: called from the thread, once, with a sentence, when another server has taken over the
                database or its file was removed; nothing can be written any more.
            supervisor: is notified when the thread fails; one of its own when None.
        """
        self._url = engine.url
        self._announce = announce
        self._superseded: Callable[[str], None] | None = superseded
        self._writer = writer(engine)
        self._event_writer = EventWriter()
        self._publish: Callable[[Batch], None] | None = None
        #: Held while the writer is used: by the thread, and by ``open``.
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._queue: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        #: Grows with each commit; odd while one is in progress.
        self.stamp = 0
        #: Set when the thread has failed; nothing is written any more.
        self._failed = False
        #: What the thread has taken from the queue.
        self._batch: list[_Call] = []
        # Not started again: what it was doing with the connection when it failed is not known.
        self._thread = (supervisor or Supervisor()).thread("meta-write", self._write, restart=False)

    def open(self, takeover_seconds: float) -> str:
        """Connect, and take the lease; arguments, result and errors as ``Database.open``."""
        with self._writing:
            try:
                self._writer.connection()
            except LeaseHeld as held:
                self._writer.end_idle_holder(takeover_seconds)
                return held.message
        return ""

    def check_file(self) -> None:
        """Check that the file of the database is the one that was opened first; errors as ``Writer.check_file``."""
        self._writer.check_file()

    def publish_events_to(self, publish: Callable[[Batch], None]) -> None:
        """Call ``publish`` with the events of each transaction that is committed from now on, in their order.

        It runs in the writer's thread, and must be quick.
        """
        self._publish = publish

    def close(self) -> None:
        """Finish what is queued, and close the connection."""
        self._closing.set()  # a lost database is not waited for any more
        self._queue.put(None)
        self._thread.join()
        self._writer.close()

    def submit(self, fn: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue ``fn(tx, …)``; the future gets its value once it is durable.

        Args:
            fn: the function to run; gets the transaction first.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.
        """
        future: Future[T] = Future()
        if self._failed:
            future.set_exception(errors.Unavailable(_WRITER_FAILED))
            return future
        operation = args[0] if args and callable(args[0]) else fn
        self._queue.put(_Call(future, lambda tx: fn(tx, *args, **kwargs), operation))
        return future

    @property
    def leased(self) -> bool:
        """Whether the database is one that several servers reach over a network."""
        return self._writer.leased

    def _write(self) -> None:
        """Run the thread; when it fails, fail all writes that wait."""
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
                start = time.perf_counter()
                with self._writing:
                    self._commit(calls)
                names = [getattr(call.operation, "__qualname__", "?") for call in calls]
                events.transaction_done(names, time.perf_counter() - start)

    def _check(self) -> None:
        """Check, while nothing is written, whether the lease is lost; acquire it again if so."""
        with self._writing:
            try:
                self._writer.check()
            except sa.exc.DBAPIError as error:
                log.warning("lost the database: %s", dialects.translated(error, self._url))
                if self._writer.lost(error):
                    with contextlib.suppress(errors.TrunklineError):  # the next write says it
                        self._writer.connection()
        self._report_superseded()

    def _report_superseded(self) -> None:
        if self._writer.superseded and self._superseded is not None:
            report, self._superseded = self._superseded, None
            report(self._writer.superseded)

    def _commit(self, calls: list[_Call]) -> None:
        """Run every function in one commit, on a new connection again if one is lost, and set each future."""
        effects = _Effects()
        outcomes: list[_Outcome] = []
        pauses: Iterator[float] | None = None
        unanswered = False
        while True:
            try:
                self._writer.connection()
                if unanswered and self._writer.landed():
                    break
                unanswered = False
                effects = _Effects()
                outcomes.clear()
                self._attempt(calls, effects, outcomes)
                break
            except (_ConnectionLost, errors.Unavailable) as error:
                if isinstance(error, _ConnectionLost):
                    unanswered = error.committing
                    log.warning("lost the database while writing: %s", error)
                pauses = pauses or connections.pauses(self._closing, leased=self.leased)
                pause = None if self._writer.superseded else next(pauses, None)
                if pause is None:
                    outcomes = [_Outcome(error=self._failure(error, unanswered))] * len(calls)
                    effects = _Effects()
                    break
                self._closing.wait(pause)
            except BaseException as error:  # noqa: BLE001 - the callers get it
                with contextlib.suppress(Exception):
                    self._writer.rollback()
                outcomes = [_Outcome(error=self._translated(error))] * len(calls)
                effects = _Effects()
                break
        self.stamp += self.stamp & 1  # before anybody learns of the commit
        if effects.batch is not None:
            self._event_writer.committed()
            if self._publish is not None:
                self._publish(effects.batch)
        for handover in effects.handovers:
            handover()
        # Announced before the callers resume, so that their own later waits see a newer stamp at most once.
        if effects.topics:
            self._announce(effects.topics)
        for call, outcome in zip(calls, outcomes, strict=True):
            if outcome.error is not None:
                call.future.set_exception(outcome.error)
            else:
                call.future.set_result(outcome.value)
        for report in effects.reports:
            try:
                report()
            except Exception:
                log.exception("a report after a commit failed", extra={"action": "report_failed"})
        self._report_superseded()

    def _attempt(self, calls: list[_Call], effects: _Effects, outcomes: list[_Outcome]) -> None:
        """Run the functions in one transaction; fills the effects, and the outcomes in the order of ``calls``."""
        with self._losing():
            self._writer.begin()
        conn = self._writer.connection()
        for call in calls:
            tx = Tx(conn)
            try:
                value = call.fn(tx) if len(calls) == 1 else _in_savepoint(tx, call.fn)
            except BaseException as error:
                if self._writer.lost(error):
                    raise _ConnectionLost(self._text(error)) from error
                with contextlib.suppress(sa.exc.DBAPIError), self._losing():
                    self._writer.verify()
                outcomes.append(_Outcome(error=self._translated(error)))
            else:
                outcomes.append(_Outcome(value=value))
                effects.add(tx)
        try:
            if effects.events:
                with self._losing():
                    effects.batch = self._event_writer.append(conn, effects.events)
            with self._losing(committing=True):
                if any(outcome.error is None for outcome in outcomes):
                    self.stamp |= 1
                    self._writer.commit()
                else:
                    self._writer.rollback()
        except (sa.exc.DBAPIError, RuntimeError) as error:
            self._writer.rollback()
            ours = self._translated(error)
            outcomes[:] = [outcome if outcome.error else _Outcome(error=ours) for outcome in outcomes]
            effects.clear()

    @contextlib.contextmanager
    def _losing(self, *, committing: bool = False) -> Iterator[None]:
        """Distinguish a lost connection from a failed statement."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            if self._writer.lost(error):
                raise _ConnectionLost(self._text(error), committing=committing) from error
            raise

    def _translated(self, error: BaseException) -> BaseException:
        return dialects.translated(error, self._url) if isinstance(error, sa.exc.DBAPIError) else error

    def _text(self, error: BaseException) -> str:
        return str(self._translated(error))

    def _failure(self, error: _ConnectionLost | errors.Unavailable, unanswered: bool) -> errors.Unavailable:
        """Return the error of a write that is not tried again: the reason, and whether it may be committed."""
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
