"""Transactions in databases that clients name: PostgreSQL, MySQL and SQLite, by SQLAlchemy.

The connection is made to a checked address: PostgreSQL's library takes it beside the name of the host, MySQL's takes a
connected socket.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy import types

from trunkline.drivers.outbound.objects import Files
from trunkline.drivers.outbound.sockets import CONNECT, SILENCE, addresses, connected
from trunkline.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    TrunklineError,
    Unavailable,
)
from trunkline.model.columns import ColumnKind
from trunkline.ports import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trunkline.model.outbound import Rules, Target

#: Seconds that one statement may take, such as the deletion of all rows of a table.
STATEMENT = 600.0
_KINDS: tuple[tuple[type[types.TypeEngine[Any]], ColumnKind], ...] = (
    (types.Boolean, ColumnKind.BOOLEAN),
    (types.Integer, ColumnKind.INTEGER),
    (types.Float, ColumnKind.FLOAT),
    (types.Numeric, ColumnKind.DECIMAL),
    (types.DateTime, ColumnKind.TIMESTAMP),
    (types.Date, ColumnKind.DATE),
    (types.Time, ColumnKind.TIME),
    (types.LargeBinary, ColumnKind.BYTES),
    (types.BINARY, ColumnKind.BYTES),
    (types.VARBINARY, ColumnKind.BYTES),
    (types.JSON, ColumnKind.JSON),
)
_OPTIONS = {"postgres": ("sslmode", "application_name"), "mysql": ("ssl", "charset"), "sqlite": ()}
#: In place of files in which the server's user may have passwords and certificates of its own.
_NO_FILE = "/dev/null/none"
#: What PostgreSQL says of a connection that it will not accept the next time either; there is no code then.
_REFUSED = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "permission denied",
    "no password",
)
_DENIED = ("28000", "28P01", "42501", "3D000")
#: Numbers of MySQL: access denied to a user, a database or a table.
_MYSQL_DENIED = (1044, 1045, 1142, 1698)
_MYSQL_LOST = (2003, 2006, 2013, 1053, 1205, 1213)


@contextmanager
def transaction(rules: Rules, target: Target, password: str) -> Iterator[Tables]:
    """Begin a transaction in a database; see ``ports.Outbound.database``.

    Args:
        rules: what is allowed.
        target: the database.
        password: of its user; empty for none.

    Raises:
        TrunklineError: the database cannot be used, or refuses something.
    """
    options = _options(target)
    connect, dialect = _CONNECTS[target.scheme]
    engine = sa.create_engine(
        f"{dialect}://", creator=lambda: connect(rules, target, password, options), poolclass=sa.NullPool
    )
    try:
        with engine.begin() as connection:
            if target.scheme == "sqlite":
                # The driver itself begins with the first change only.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield Tables(connection, target)
    except TrunklineError:
        raise
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise _translated(target, error) from error
    finally:
        engine.dispose()


class Tables:
    """Implements ``ports.OutboundDatabase``."""

    def __init__(self, connection: sa.Connection, target: Target) -> None:
        self._connection = connection
        self._target = target
        self._targets: dict[str, sa.TableClause] = {}

    def columns(self, table: str) -> Sequence[Column]:
        """See ``ports.OutboundDatabase``."""
        schema, _, name = table.rpartition(".")
        try:
            reflected = sa.Table(
                name, sa.MetaData(), autoload_with=self._connection, schema=schema or None, resolve_fks=False
            )
        except sa.exc.NoSuchTableError:
            raise NotFound(
                f'{self._target} has no table "{table}"; create it, or rename the folder'
            ) from None
        bound = [sa.column(column.name, self._bound(column.type)) for column in reflected.columns]
        self._targets[table] = sa.table(name, *bound, schema=schema or None)
        return [
            Column(column.name, _kind(column.type), bool(column.nullable))
            for column in reflected.columns
            if column.computed is None and not (column.identity is not None and column.identity.always)
        ]

    def _bound(self, kind: types.TypeEngine[Any]) -> types.TypeEngine[Any]:
        """Return the type as which values are passed on for a column."""
        if isinstance(kind, types.JSON):
            kind.none_as_null = True
        ours = isinstance(kind, types.String | types.Enum) or _kind(kind) is not ColumnKind.TEXT
        # PostgreSQL itself reads the text for types such as uuid and arrays.
        return kind if ours or self._target.scheme != "postgres" else types.NullType()

    def clear(self, table: str) -> None:
        """See ``ports.OutboundDatabase``."""
        self._connection.execute(sa.delete(self._targets[table]))

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Insert rows; see ``ports.OutboundDatabase``.

        Args:
            table: the table.
            columns: names of columns.
            rows: a value for each of them.

        Raises:
            InvalidArgument: the database does not accept a value.
        """
        statement = sa.insert(self._targets[table])
        try:
            self._connection.execute(statement, [dict(zip(columns, row, strict=True)) for row in rows])
        except (sa.exc.IntegrityError, sa.exc.DataError) as error:
            raise InvalidArgument(
                f'the database refuses rows for table "{table}": {_reason(error)}; correct the file or the table'
            ) from error


def _kind(kind: types.TypeEngine[Any]) -> ColumnKind:
    return next((ours for base, ours in _KINDS if isinstance(kind, base)), ColumnKind.TEXT)


def _options(target: Target) -> dict[str, str]:
    """Return the options in a URL's query.

    Raises:
        InvalidArgument: the URL has a password, an unknown option, or no database.
    """
    parts = urlsplit(target.url)
    if parts.password:
        raise InvalidArgument(
            f"the URL of {target} holds a password, and URLs are shown; use a secret (secret.name)"
        )
    options = dict(parse_qsl(parts.query))
    for name in options:
        if name not in _OPTIONS[target.scheme]:
            allowed = ", ".join(_OPTIONS[target.scheme]) or "none"
            raise InvalidArgument(
                f'{target} has the option "{name}", which is not supported; allowed: {allowed}'
            )
    if target.scheme != "sqlite" and (not parts.path.strip("/") or not parts.username):
        raise InvalidArgument(
            f"{target} names no user or no database; write {parts.scheme}://USER@HOST:PORT/NAME"
        )
    return options


def _user(target: Target) -> str:
    return unquote(urlsplit(target.url).username or "")


def _database(target: Target) -> str:
    return unquote(target.path.strip("/"))


def _postgres(rules: Rules, target: Target, password: str, options: dict[str, str]) -> Any:
    try:
        import psycopg
    except ModuleNotFoundError as error:
        raise _missing("postgres") from error
    allowed = addresses(rules, target)
    return psycopg.connect(
        host=",".join([target.host] * len(allowed)),
        hostaddr=",".join(allowed),
        port=target.port,
        user=_user(target),
        password=password or None,
        dbname=_database(target),
        connect_timeout=int(CONNECT),
        tcp_user_timeout=int(SILENCE * 1000),
        options=f"-c statement_timeout={int(STATEMENT * 1000)}",
        passfile=_NO_FILE,
        sslcert=_NO_FILE,
        gssencmode="disable",
        **({"application_name": "trunkline"} | options),  # type: ignore[arg-type]
    )


def _mysql(rules: Rules, target: Target, password: str, options: dict[str, str]) -> Any:
    try:
        import pymysql
    except ModuleNotFoundError as error:
        raise _missing("mysql") from error
    connection = pymysql.connect(
        host=target.host,
        port=target.port,
        user=_user(target),
        password=password,
        database=_database(target),
        charset=options.get("charset", "utf8mb4"),
        connect_timeout=int(CONNECT),
        read_timeout=int(STATEMENT),
        write_timeout=int(SILENCE),
        ssl={} if options.get("ssl") in ("true", "1") else None,
        local_infile=False,
        defer_connect=True,
    )
    connection.connect(connected(rules, target))
    return connection


def _sqlite(rules: Rules, target: Target, password: str, _options: dict[str, str]) -> Any:
    if password:
        raise InvalidArgument(f"{target} takes no password; leave the secret out")
    os.close(Files(rules.folders("sqlite")).opened(target, os.O_RDWR))
    # Autocommit: the transaction begins before the first read.
    return sqlite3.connect(
        f"file:{quote(target.path)}?mode=rw",
        uri=True,
        timeout=SILENCE,
        isolation_level=None,
        check_same_thread=False,
    )


_CONNECTS: dict[str, tuple[Callable[[Rules, Target, str, dict[str, str]], Any], str]] = {
    "postgres": (_postgres, "postgresql+psycopg"),
    "mysql": (_mysql, "mysql+pymysql"),
    "sqlite": (_sqlite, "sqlite+pysqlite"),
}


def _missing(extra: str) -> FailedPrecondition:
    return FailedPrecondition(
        f'the server lacks the extra "{extra}", which such a database needs; its operator can install'
        f" trunkline[{extra}]"
    )


def _reason(error: BaseException) -> str:
    """Return what the driver says, in one line; drivers give values of rows, but no password."""
    original = getattr(error, "orig", None) or error
    text = original.args[-1] if original.args and isinstance(original.args[-1], str) else str(original)
    return "; ".join(text.split("\n")).strip("; ")


def _translated(target: Target, error: Exception) -> TrunklineError:
    """Return the Trunkline error for an error of a database."""
    original: Any = getattr(error, "orig", None) or error
    state = getattr(original, "sqlstate", None) or ""
    number = original.args[0] if original.args and isinstance(original.args[0], int) else 0
    reason = _reason(error)
    if (
        state in _DENIED
        or number in _MYSQL_DENIED
        or (not state and any(part in reason for part in _REFUSED))
    ):
        return PermissionDenied(
            f"{target} refuses access: {reason}; check the user, the secret and the grants"
        )
    lost = isinstance(error, OSError) or getattr(error, "connection_invalidated", False) or not state
    if target.scheme == "postgres" and (lost or state[:2] in ("08", "57", "53", "40", "55")):
        return Unavailable(f"{target} did not answer: {reason}; try again")
    if target.scheme == "mysql" and (isinstance(error, OSError) or number in _MYSQL_LOST):
        return Unavailable(f"{target} did not answer: {reason}; try again")
    if target.scheme == "sqlite" and "locked" in reason:
        return Unavailable(f"{target} is locked by another program; try again")
    return FailedPrecondition(f"{target} refused: {reason}; correct the target or its tables")
