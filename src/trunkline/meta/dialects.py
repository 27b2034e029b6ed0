"""What differs between SQLite and PostgreSQL: how a connection is engine, and what its errors mean to users.

Everything else of ``meta`` has one text for both. Connections do not begin transactions by themselves:
``conn.begin()`` sends what ``conn.info["begin"]`` says, or what begins a snapshot for reading. A lost
connection is distinguished from a failed statement here (``lost``), because only the first may be tried again.

No message holds a password.
"""

from __future__ import annotations

import contextlib
import importlib.util
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

from trunkline import errors
from trunkline.meta import pipelining, query

if TYPE_CHECKING:
    import sqlite3

#: Key of ``conn.info``: the statement that begins a transaction; a snapshot for reading unless it is set.
BEGIN = "begin"

#: Seconds that the transaction of another process is waited for. Backups may hold the file.
BUSY_TIMEOUT = 10.0
#: The oldest PostgreSQL that the tests ran on, as it numbers itself.
OLDEST_POSTGRES = 150000
#: How soon each end notices that the other no longer answers (a pulled plug): 3 s of silence and 3 probes.
_KEEPALIVE = {"keepalives_idle": 3, "keepalives_interval": 1, "keepalives_count": 3}
#: Milliseconds after which unacknowledged bytes mean that PostgreSQL is gone.
_USER_TIMEOUT = 8000
#: Seconds that one attempt to connect may take.
_CONNECT_TIMEOUT = 5

#: Bytes of a page of a new SQLite database. Each commit changes some twelve rows on as many pages, and each page is
#: written to the log whole (docs/design/decisions/0046-small-pages.md).
_PAGE_BYTES = 1024
#: Bytes of the log after which SQLite copies it into the database.
_CHECKPOINT_BYTES = 4 << 20

# synchronous_commit: an acknowledged commit survives a crash; what is stricter than "on" stays.
# jit: compiling takes longer than any of our queries. Idle sessions must not be ended: one of them holds the lease.
_POSTGRES_SESSION = """
SELECT set_config('synchronous_commit', 'on', false)
 WHERE current_setting('synchronous_commit') IN ('off', 'local');
SET jit = off;
SET idle_session_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET tcp_keepalives_idle = 3;
SET tcp_keepalives_interval = 1;
SET tcp_keepalives_count = 3;
"""


def checked_url(text: str) -> str:
    """Return the URL that a user gave, with the driver that is used for it.

    Raises:
        InvalidArgument: it means no database that can be used.
        FailedPrecondition: the driver for it is not installed.
    """
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError) as error:  # the text of either may hold the password
        raise errors.InvalidArgument(
            "--database is not a valid URL; write it as postgresql://USER:PASSWORD@HOST:PORT/NAME and percent-encode"
            " special characters of the password"
        ) from error
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        if importlib.util.find_spec("psycopg") is None:
            raise errors.FailedPrecondition(
                'PostgreSQL needs a driver that is not installed; install Trunkline with its extra "postgres", in a'
                " clone: pip install '.[postgres]'"
            )
        url = url.set(drivername="postgresql+psycopg")
    elif url.drivername != "sqlite":
        raise errors.InvalidArgument(
            f"--database {url.drivername}:… is not supported; use postgresql://…, or leave it out for SQLite"
        )
    return url.render_as_string(hide_password=False)


def engine(url: sa.URL) -> sa.Engine:
    """Return an engine for ``url``, which connects with the first use.

    Raises:
        InvalidArgument: no such database is supported.
    """
    backend = url.get_backend_name()
    if backend == "sqlite":
        return _sqlite(url)
    if backend == "postgresql":
        return _postgres(url)
    raise errors.InvalidArgument(
        f"database {place(url)} is not supported; use postgresql://USER@HOST/NAME, or SQLite by leaving --database out"
    )


def _sqlite(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        # sqlite3's own transaction handling starts them too late (before the first write, not the first
        # read): switch it off and begin explicitly below.
        connection.isolation_level = None
        for pragma in (
            f"page_size={_PAGE_BYTES}",  # of a new database; an older one keeps its own
            "journal_mode=WAL",
            f"wal_autocheckpoint={_CHECKPOINT_BYTES // _PAGE_BYTES}",
            "synchronous=FULL",  # an acknowledged commit survives a power cut
            "foreign_keys=ON",
            f"busy_timeout={int(BUSY_TIMEOUT * 1000)}",
            "cache_size=-16384",  # KiB for each connection: keeps the chunk index's upper levels in memory
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(conn: sa.Connection) -> None:
        query.control(conn, conn.info.get(BEGIN, "BEGIN"))

    return engine


def _postgres(url: sa.URL) -> sa.Engine:
    arguments: dict[str, int | str] = {
        "connect_timeout": _CONNECT_TIMEOUT,
        "tcp_user_timeout": _USER_TIMEOUT,
        **_KEEPALIVE,
        "fallback_application_name": "trunkline",
    }
    engine = sa.create_engine(
        url,
        poolclass=sa.pool.NullPool,
        connect_args={name: value for name, value in arguments.items() if name not in url.query},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        version, encoding = connection.info.server_version, connection.info.encoding
        server_encoding = connection.info.parameter_status("server_encoding")
        if version < OLDEST_POSTGRES:
            raise errors.FailedPrecondition(
                f"{place(url)} is PostgreSQL {version // 10000}; Trunkline needs 15 or newer"
            )
        if server_encoding != "UTF8":
            raise errors.FailedPrecondition(
                f"{place(url)} stores text as {server_encoding}; make the database with ENCODING 'UTF8'"
            )
        if encoding != "utf-8":
            connection.execute("SET client_encoding TO 'UTF8'")
        # psycopg's own transaction handling waits for the answer of BEGIN.
        connection.autocommit = True
        connection.execute(_POSTGRES_SESSION)

    @event.listens_for(engine, "begin")
    def begin(conn: sa.Connection) -> None:
        query.control(conn, conn.info.get(BEGIN, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))

    @event.listens_for(engine, "do_execute")
    def execute(cursor: Any, text: str, values: Any, _context: object) -> bool | None:
        return _execute_with_queued(cursor, text, values, many=False)

    @event.listens_for(engine, "do_executemany")
    def executemany(cursor: Any, text: str, values: Any, _context: object) -> bool | None:
        return _execute_with_queued(cursor, text, values, many=True)

    @event.listens_for(engine, "do_execute_no_params")
    def execute_no_params(cursor: Any, text: str, _context: object) -> bool | None:
        return _execute_with_queued(cursor, text, None, many=False)

    engine.dialect.do_commit = _commit  # type: ignore[method-assign,assignment]
    engine.dialect.do_rollback = _rollback  # type: ignore[method-assign,assignment]
    return engine


def _execute_with_queued(cursor: Any, text: str, values: Any, *, many: bool) -> bool | None:
    """Run SQLAlchemy's statement in one message with those that were queued; None when there are none."""
    sent = pipelining.of(cursor.connection)
    if sent is None or not sent.waiting:
        return None
    sent.execute(cursor, text, values, many=many)
    return True


def _commit(connection: Any) -> None:
    (pipelining.of(connection.dbapi_connection) or connection).commit()


def _rollback(connection: Any) -> None:
    (pipelining.of(connection.dbapi_connection) or connection).rollback()


def pipeline(conn: sa.Connection, *, reading: bool) -> None:
    """Send statements whose answers nobody reads together with the next statement; only on PostgreSQL.

    Args:
        conn: to be closed with ``drop``.
        reading: its transactions only read.
    """
    if conn.dialect.name == "postgresql":
        connection: Any = conn.connection.dbapi_connection
        connection.pipelining = pipelining.Pipelining(connection, reading=reading)


def place(url: sa.URL) -> str:
    """Return the database as messages name it, without user and password."""
    if url.get_backend_name() != "postgresql":
        return repr(url.render_as_string())
    host = url.host or str(url.query.get("host", "localhost"))
    return (
        f'database "{url.database or url.username or ""}" at {host}:{url.port or url.query.get("port", 5432)}'
    )


def lost(conn: sa.Connection, error: BaseException | None) -> bool:
    """Whether the connection is lost, so that what ran in its transaction has to run again on a new one."""
    if conn.closed or conn.invalidated:
        return True
    raw = conn.connection.dbapi_connection
    if raw is None or getattr(raw, "closed", False):
        return True
    while error is not None:
        # The server says that it ends the session before the socket shows it.
        state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
        if state in ("57P01", "57P02", "57P03") or state.startswith("08"):
            return True
        error = error.__context__
    return False


def drop(conn: sa.Connection) -> None:
    """Close a connection whose state is unknown."""
    sent = None
    with contextlib.suppress(Exception):
        sent = pipelining.of(conn.connection.dbapi_connection)
    with contextlib.suppress(Exception):
        conn.invalidate()
    with contextlib.suppress(Exception):
        conn.close()
    if sent is not None:
        sent.abandon()  # does not wait: the connection is closed


def translated(error: sa.exc.DBAPIError, url: sa.URL) -> BaseException:
    """Return our error for one of the driver, if the user can act on it; otherwise the same error."""
    if url.get_backend_name() == "postgresql":
        return _translated_postgres(error, url)
    text = str(error.orig)
    if "malformed" in text or "not a database" in text:
        return errors.DataLoss(
            f"the database file {url.database} is damaged ({text}); restore it from a backup, and check the disk"
        )
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


def _translated_postgres(error: sa.exc.DBAPIError, url: sa.URL) -> BaseException:
    where, user = place(url), url.username or "the operating system's user"
    state = getattr(error.orig, "sqlstate", None) or ""
    lines = [line for line in str(error.orig).splitlines() if line.strip()]
    text = lines[-1].strip() if lines and "FATAL" in lines[-1] else (lines or [""])[0].strip()
    if state in ("53100", "58030") or "No space left" in text:
        return errors.ResourceExhausted(
            f"{where} cannot grow ({text}); free space on PostgreSQL's disk and send the request again"
        )
    if state == "53300" or "too many clients" in text or "connection slots" in text:
        return errors.Unavailable(
            f"{where} takes no more connections ({text}); raise max_connections "
            "as docs/operate/databases-stores.md says"
        )
    if state == "42501":
        return errors.FailedPrecondition(
            f'role "{user}" lacks a right in {where} ({text}); make it the owner: ALTER DATABASE … OWNER TO …'
        )
    if state == "25006":
        return errors.Unavailable(f"{where} is read-only ({text}); name the primary, not a standby")
    if state[:2] == "22" or "NUL" in text:
        return errors.InvalidArgument(f"a value cannot be stored ({text}); change it and send it again")
    if state.startswith("28") or "authentication failed" in text or "no pg_hba.conf entry" in text:
        return errors.Unavailable(
            f'{where} does not let role "{user}" in ({text}); check user and password of --database, or PGPASSWORD'
        )
    if state == "3D000" or ("database" in text and "does not exist" in text):
        return errors.Unavailable(f"{where} does not exist ({text}); make it: CREATE DATABASE … OWNER …")
    if 'role "' in text and "does not exist" in text:
        return errors.Unavailable(
            f"{where} has no such user ({text}); make it: CREATE ROLE … LOGIN PASSWORD …"
        )
    if not state or state.startswith(("08", "57P")):
        if not isinstance(error, sa.exc.OperationalError):
            return error
        return errors.Unavailable(
            f"{where} does not answer ({text}); check that PostgreSQL runs there and that --database names it"
        )
    return error
