"""The one connection that writes; on PostgreSQL, the lease that makes it the only one anywhere.

A data folder's lock keeps a second server away from a SQLite file. Several machines reach one PostgreSQL, so
there the connection itself is the lease: its session holds an advisory lock, and everything is written
through that session. A server that loses the connection has lost the lock and, in the same moment, all means
of writing; PostgreSQL gives the lock to the next one only when the old session's transaction is undone.

Each transaction also moves a row of ``setting`` that names the holder's epoch. This says two things: whether
another server has been active in between (then this one must not go on), and whether a transaction whose
COMMIT was not answered has been committed (then it must not be run again). docs/design/states.md has the
whole argument.

Used by one thread at a time.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import time
import uuid
from typing import TYPE_CHECKING

import sqlalchemy as sa

from trunkline import errors
from trunkline.meta import dialects, pipelining, query, schema

if TYPE_CHECKING:
    from typing import Any

log = logging.getLogger("trunkline.meta")

#: First half of the advisory lock's key, "trkl"; the second is the schema, for several in one database.
LOCK = 0x74726B6C
#: Rows of ``setting``: who is active, for people, and the last write as ``EPOCH:NUMBER``.
ACTIVE, LAST_WRITE = "active_server", "last_write"

_ACQUIRE = f"SELECT pg_try_advisory_lock({LOCK}, hashtext(current_schema()))"
_MOVE_EPOCH = f"UPDATE setting SET value = %s WHERE name = '{LAST_WRITE}' AND value = %s"
_READ = "SELECT value FROM setting WHERE name = '{}'"
#: The session that holds the lock, and what shows that it is alive: when its last statement began, and whether the
#: database itself is at work for it.
_HOLDER = f"""
SELECT a.pid, a.query_start::text, a.state = 'active' AND a.wait_event_type IS DISTINCT FROM 'Client'
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = {LOCK}::oid
   AND l.objid = (hashtext(current_schema())::bigint & 4294967295)::oid
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class LeaseHeld(errors.Unavailable):
    """Another server is active."""


class Writer:
    """Writes to a database that nobody else may open."""

    #: Whether holding on to the connection is what makes it this process's turn.
    leased = False
    #: Who is active instead, once another server has taken over.
    superseded = ""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._conn: sa.Connection | None = None
        #: The database's file, if it has one, and its identity since it was opened first.
        self._path = engine.url.database or ""
        self._file: tuple[int, int] | None = None

    def connection(self) -> sa.Connection:
        """Return the connection, made anew if it was lost.

        Raises:
            Unavailable: the database does not answer or cannot be written, or another server is active (``LeaseHeld``).
        """
        if self._conn is None:
            self.check_file()
            self._check_permissions()
            try:
                self._conn = self._engine.connect()
                self._file = self._file or self._identity()
                self._conn.info[dialects.BEGIN] = "BEGIN IMMEDIATE"
            except sa.exc.DBAPIError as error:
                raise dialects.translated(error, self._engine.url) from error
        return self._conn

    def begin(self) -> None:
        """Begin a transaction on the connection.

        Raises:
            Unavailable: the database's file was removed or replaced.
        """
        self.check_file()
        self._current().begin()

    def check_file(self) -> None:
        """Check that the database's file is the one that was opened first.

        What is written to a removed file is lost with the last process that has it open.

        Raises:
            Unavailable: it was removed or replaced.
        """
        if self._file and self._identity() != self._file:
            self.superseded = (
                f"the database file {self._path} was removed or replaced while this server used it; this server stops,"
                " put the file back or restore it from a backup before it is started again"
            )
            raise errors.Unavailable(self.superseded)

    def _identity(self) -> tuple[int, int] | None:
        """Return what distinguishes the file from every other one; None when there is none."""
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _check_permissions(self) -> None:
        """Check that this user may write to each file of the database that exists.

        SQLite opens one that may only be read as well, and its side files then refuse writes of later servers too.

        Raises:
            Unavailable: one of them cannot be written.
        """
        for file in (self._path, f"{self._path}-wal", f"{self._path}-shm"):
            if os.path.exists(file) and not os.access(file, os.W_OK):
                raise errors.Unavailable(
                    f"the database file {file} is not writable for this server's user; give the user write permission,"
                    " such as with chmod u+w"
                )

    def verify(self) -> None:
        """See whether the open transaction may be committed; an exception ended its last function.

        Raises:
            Unavailable: another server has been active since the last write; the transaction is undone.
            sqlalchemy.exc.DBAPIError: a statement that was sent before has failed.
        """

    def commit(self) -> None:
        """Make the transaction durable.

        Raises:
            Unavailable: another server has been active since the last write; the transaction is undone.
        """
        self._current().commit()

    def rollback(self) -> None:
        """Undo the transaction."""
        self._current().rollback()

    def lost(self, error: BaseException | None) -> bool:
        """Whether the connection is gone; the next call of ``connection`` makes a new one then."""
        if self._conn is not None and not dialects.lost(self._conn, error):
            return False
        self.close()
        return True

    def landed(self) -> bool:
        """Whether the transaction whose COMMIT was not answered is committed; asked on a new connection."""
        raise NotImplementedError("SQLite answers every COMMIT")

    def check(self) -> None:
        """See whether the connection is still there; to be called now and then while nothing is written."""

    def end_idle_holder(self, seconds: float) -> None:
        """End the session of an active server that has done nothing for ``seconds``, seen from here."""
        raise NotImplementedError("nobody else opens a SQLite database")

    def close(self) -> None:
        """Close the connection, and so end the lease."""
        if self._conn is not None:
            dialects.drop(self._conn)
            self._conn = None

    def _current(self) -> sa.Connection:
        assert self._conn is not None
        return self._conn


class LeaderConnection(Writer):
    """Writes to a PostgreSQL that others reach too."""

    leased = True

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__(engine)
        #: This server's time of being active; empty until it is.
        self._epoch = ""
        self._number = 0
        #: What LAST_WRITE holds, as far as is known, and what the open transaction sets it to.
        self._stored = self._attempted = ""
        #: The cursor of the statement that moved the epoch in the open transaction.
        self._fence: Any = None
        #: The last sign of life of the server that is active instead, and when it was first seen (monotonic).
        self._sign: tuple[object, ...] = ()
        self._sign_at = 0.0

    def connection(self) -> sa.Connection:
        """Return the connection whose session holds the lease; takes the lease first if need be."""
        if self.superseded:
            raise errors.Unavailable(self.superseded)
        if self._conn is None:
            conn: sa.Connection | None = None
            try:
                conn = self._engine.connect()
                conn.info[dialects.BEGIN] = "BEGIN"
                self._acquire(conn)
                dialects.pipeline(conn, reading=False)
            except BaseException as error:
                if conn is not None:
                    dialects.drop(conn)
                if isinstance(error, sa.exc.DBAPIError):
                    raise dialects.translated(error, self._engine.url) from error
                raise
            self._conn = conn
        return self._conn

    def _acquire(self, conn: sa.Connection) -> None:
        [(is_acquired,)] = query.fetch(conn, _ACQUIRE, ())
        if self._epoch:
            stored = self._read(conn, LAST_WRITE)
            if stored not in (self._stored, self._attempted):
                self._give_way(conn)
            self._stored = stored
        if not is_acquired:
            # By another server, or by our own last session, which PostgreSQL has not ended yet.
            raise LeaseHeld(f"{dialects.place(self._engine.url)} is in use by {self._holder(conn)}")
        if not self._epoch:
            self._become_active(conn)

    def _become_active(self, conn: sa.Connection) -> None:
        """Begin an epoch. Makes the table of settings when the database is new."""
        epoch = uuid.uuid4().hex
        holder = f"the server on {socket.gethostname()} (process {os.getpid()})"
        rows = {ACTIVE: json.dumps({"holder": holder}), LAST_WRITE: f"{epoch}:0"}
        with conn.begin():
            schema.setting.create(conn, checkfirst=True)
            conn.execute(schema.setting.delete().where(schema.setting.c.name.in_(rows)))
            conn.execute(
                schema.setting.insert(), [{"name": name, "value": value} for name, value in rows.items()]
            )
        self._epoch = epoch
        self._stored = self._attempted = rows[LAST_WRITE]

    def _give_way(self, conn: sa.Connection) -> None:
        place = dialects.place(self._engine.url)
        if self._read(conn, LAST_WRITE).startswith(f"{self._epoch}:"):
            cause = f"{place} does not hold what this server wrote last: it was replaced, by a backup perhaps"
        else:
            cause = f"{self._holder(conn)} has taken over {place}, to which this one had lost its connection"
        self.superseded = f"{cause}; this server stops, start it again to go on with what is there"
        raise errors.Unavailable(self.superseded)

    def _holder(self, conn: sa.Connection) -> str:
        exists = query.fetch(conn, "SELECT to_regclass('setting')", ())[0][0]
        value = self._read(conn, ACTIVE) if exists else ""
        return str(json.loads(value)["holder"]) if value else "another server"

    def _read(self, conn: sa.Connection, name: str) -> str:
        rows = query.fetch(conn, _READ.format(name), ())
        return str(rows[0][0]) if rows else ""

    def begin(self) -> None:
        """Begin a transaction that is committed only while this server is the active one.

        Nothing is waited for: BEGIN and the epoch travel with the transaction's first statement.
        """
        conn = self._current()
        self._number += 1
        self._attempted = f"{self._epoch}:{self._number}"
        conn.begin()
        self._fence = query.queue(conn, _MOVE_EPOCH, (self._attempted, self._stored), changes=1)

    def verify(self) -> None:
        """Wait for the answers of all that was sent, and see whether the epoch was still this server's."""
        conn = self._current()
        with contextlib.suppress(pipelining.UnexpectedRows):
            query.flush(conn)
        if self._fence.rowcount != 1:
            conn.rollback()
            self._give_way(conn)

    def commit(self) -> None:
        """Make the transaction durable."""
        conn = self._current()
        if self._fence.rowcount != 1:
            self.verify()  # COMMIT is not sent before the epoch is known to be this server's
        raw: Any = conn.connection.dbapi_connection
        if raw.info.transaction_status.name == "INERROR":
            # PostgreSQL answers COMMIT with success and rolls back; what failed had been hidden.
            conn.rollback()
            raise RuntimeError("a write hid a failed statement of its transaction; nothing was written")
        conn.commit()
        self._stored = self._attempted

    def landed(self) -> bool:
        """Whether the transaction whose COMMIT was not answered is committed.

        Exact, because the old session is gone: nobody gets the lock before.
        """
        return self._stored == self._attempted

    def end_idle_holder(self, seconds: float) -> None:
        """End the session of an active server that has done nothing for ``seconds``, seen from here.

        An active server sends a statement every second. One that is frozen, or whose machine is, keeps its session
        and the lock with it. Its time is measured here, on this machine's monotonic clock. Should it go on after
        all, the epoch refuses what it sends.
        """
        conn: sa.Connection | None = None
        try:
            conn = self._engine.connect()
            holder = query.fetch(conn, _HOLDER, ())
            now = time.monotonic()
            sign = tuple(holder[0]) if holder else ()
            if sign != self._sign or not sign or sign[2]:
                self._sign, self._sign_at = sign, now
            elif now - self._sign_at >= seconds:
                log.warning(
                    "%s has not used its database session for %.0f s; its session is ended and this server takes over",
                    self._holder(conn), now - self._sign_at,
                )  # fmt: skip
                query.fetch(conn, f"SELECT pg_terminate_backend({int(holder[0][0])})", ())
                self._sign = ()
        except sa.exc.DBAPIError as error:
            translated = dialects.translated(error, self._engine.url)
            log.warning("cannot see whether the active server is alive: %s", translated)
        finally:
            if conn is not None:
                dialects.drop(conn)

    def check(self) -> None:
        """See whether the session, and so the lease, is still there."""
        if self._conn is not None:
            query.fetch(self._conn, "SELECT 1", ())


def writer(engine: sa.Engine) -> Writer:
    """Return what writes to a database."""
    return LeaderConnection(engine) if engine.dialect.name == "postgresql" else Writer(engine)
