"""Connections for reads, and how long a lost database is waited for."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

from trunkline.meta import dialects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds that a lost database is waited for before callers get an error. A restart of PostgreSQL takes 1 to 5.
PATIENCE = 15.0
#: Seconds before the first new attempt to connect; each wait is twice the last, up to the second figure.
PAUSES = (0.05, 0.5)


def pauses(closing: threading.Event, *, leased: bool) -> Iterator[float]:
    """Yield the seconds to wait before each new attempt to use a lost database, until patience ends.

    Args:
        closing: set when the database is being closed; it is not waited for then.
        leased: whether the database is reached over a network; a file is not waited for.
    """
    pause, longest = PAUSES
    end = time.monotonic() + PATIENCE
    while leased and time.monotonic() < end and not closing.is_set():
        yield pause
        pause = min(2 * pause, longest)


class ReadConnections:
    """The connections that reads use: as many as reads have run at the same time, whatever threads they ran in."""

    def __init__(self, engine: sa.Engine, check_file: Callable[[], None]) -> None:
        """Start without a connection.

        Args:
            engine: makes the connections.
            check_file: raises Unavailable when the database's file is not the one that is written to.
        """
        self._engine = engine
        self._check_file = check_file
        self._lock = threading.Lock()
        # Below: guarded by the lock.
        self._closed = False
        #: The one used last comes last, and is used next: its caches are warm.
        self._idle: list[sa.Connection] = []

    def acquire(self) -> sa.Connection:
        """Return a connection for one read; ``release`` must follow.

        Raises:
            Unavailable: the database's file was removed or replaced.
            sqlalchemy.exc.DBAPIError: the database cannot be reached.
        """
        with self._lock:
            if self._idle:
                return self._idle.pop()
        self._check_file()
        conn = self._engine.connect()
        dialects.pipeline(conn, reading=True)
        return conn

    def release(self, conn: sa.Connection) -> None:
        """End the read of a connection and keep it for the next, unless it was dropped."""
        with contextlib.suppress(sa.exc.DBAPIError):
            if not conn.closed:
                conn.rollback()
        with self._lock:
            is_reusable = not (self._closed or conn.closed or conn.invalidated)
            if is_reusable:
                self._idle.append(conn)
        if not is_reusable:
            dialects.drop(conn)

    def drop_idle(self) -> None:
        """Close the idle connections: one was lost, so they probably are too."""
        with self._lock:
            idle, self._idle = self._idle, []
        for conn in idle:
            dialects.drop(conn)

    def close(self) -> None:
        """Close the idle connections now, and the others when their reads end."""
        with self._lock:
            self._closed = True
        self.drop_idle()
