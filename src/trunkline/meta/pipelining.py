"""PostgreSQL's pipeline mode: statements whose answers nobody reads yet travel with the next one that is read.

A connection that takes part has a ``Pipelining`` as its attribute ``pipelining``. ``queue`` sends a statement and
does not wait; ``execute`` and ``flush`` wait for everything that was sent. Nothing else changes: PostgreSQL runs the
statements one after the other, and after one that fails it skips the rest up to the end of the message. The
first error is raised by whoever waits next. docs/design/decisions/0036-statements-that-travel-together.md
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import psycopg


class UnexpectedRows(Exception):
    """A queued statement changed another number of rows than it had to."""


class Pipelining:
    """The statements under way on one psycopg connection. Used by one thread at a time."""

    __slots__ = ("_connection", "_expected", "_mode", "_pipeline", "reading")

    def __init__(self, connection: psycopg.Connection[Any], *, reading: bool) -> None:
        self._connection = connection
        #: Whether its transactions only read, so that nobody has to wait for their end.
        self.reading = reading
        #: psycopg's pipeline mode while the connection is in it.
        self._mode: AbstractContextManager[psycopg.Pipeline] | None = None
        self._pipeline: psycopg.Pipeline | None = None
        #: Queued statements, each with the number of rows that it has to change.
        self._expected: list[tuple[psycopg.Cursor[Any], int]] = []

    @property
    def waiting(self) -> bool:
        """Whether statements were sent whose answers have not been read."""
        return self._mode is not None

    def queue(
        self, text: Any, values: Any = None, *, control: bool = False, changes: int | None = None
    ) -> Any:
        """Send a statement without waiting for its answer.

        Args:
            text: one statement in the driver's own SQL.
            values: its parameters, or None.
            control: it begins or ends a transaction or savepoint, so it is not worth being prepared.
            changes: rows that it has to change; checked with its answer.

        Returns:
            The cursor, which has the answer after ``flush``.

        Raises:
            psycopg.Error: a statement sent before has failed, or the connection is lost.
        """
        if self._mode is None:
            mode = self._connection.pipeline()
            self._pipeline = mode.__enter__()
            self._mode = mode
        cursor = self._connection.cursor()
        cursor.execute(text, values, prepare=False if control else None)
        if changes is not None:
            self._expected.append((cursor, changes))
        return cursor

    def execute(self, cursor: Any, text: Any, values: Any = None, *, many: bool = False) -> None:
        """Run a statement and wait for its answer and all before it.

        Args:
            cursor: has the answer afterwards.
            text: one statement in the driver's own SQL.
            values: its parameters; a list of them when ``many``.
            many: run it once for each.

        Raises:
            psycopg.Error: this statement or one that was sent before has failed.
            UnexpectedRows: a queued statement did not change what it had to.
        """
        try:
            if many:
                cursor.executemany(text, values)
            else:
                cursor.execute(text, values)
        except BaseException:
            self.abandon()
            raise
        self.flush()

    def flush(self) -> None:
        """Wait for the answers of all that was sent.

        Raises:
            psycopg.Error: the first statement that failed; what was sent after it did not run.
            UnexpectedRows: a queued statement did not change what it had to.
        """
        mode, self._mode, self._pipeline = self._mode, None, None
        expected, self._expected = self._expected, []
        if mode is not None:
            mode.__exit__(None, None, None)
        for cursor, changes in expected:
            if cursor.rowcount != changes:
                raise UnexpectedRows(f"{cursor.rowcount} rows were changed instead of {changes}")

    def abandon(self) -> None:
        """Wait for the answers of all that was sent, and ignore them: the transaction is undone anyway."""
        with contextlib.suppress(Exception):
            self.flush()

    def commit(self) -> None:
        """End the transaction together with what was sent before; undo it when one of them failed."""
        if self._mode is None:
            self._connection.commit()
            return
        try:
            self.queue("COMMIT", control=True)
            self.flush()
        except BaseException:
            self.rollback()
            raise

    def rollback(self) -> None:
        """Undo the transaction. One that only reads is ended without waiting for the answer."""
        # Of what was queued and not waited for, nobody knows whether it failed: END would be skipped then.
        if self.reading and not self.waiting and self._connection.info.transaction_status.name == "INTRANS":
            # Not ROLLBACK, with which psycopg forgets the statements that it has prepared.
            self.queue("END", control=True)
            self._end_message()
            return
        self.abandon()
        if not self._connection.closed:
            self._connection.rollback()

    def _end_message(self) -> None:
        """Let the session be idle once it has done what was sent; the answers are read with those that follow."""
        assert self._pipeline is not None
        pgconn = self._connection.pgconn
        pgconn.pipeline_sync()
        self._pipeline.result_queue.append(None)
        pgconn.flush()


def of(connection: Any) -> Pipelining | None:
    """Return what queues the statements of a driver's connection, or None when each is waited for."""
    pipelining: Pipelining | None = getattr(connection, "pipelining", None)
    return pipelining
