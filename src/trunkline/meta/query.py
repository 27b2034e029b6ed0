"""Hot statements: written in SQLAlchemy Core, compiled once per dialect, run on the driver's own cursor.

A small statement costs 100 to 200 µs through ``Connection.execute`` and 5 to 10 µs through the driver, and an empty
commit runs two dozen of them (``benchmarks/commits.py``). What Core gives is kept: one text of each query
for every database, names checked against the schema, and the types' conversions. A query for a list of values
(``IN``) is compiled for each power of two of them (``ListQuery``). Other statements whose text depends on their
values go through ``Connection``.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import exc

from trunkline.meta import pipelining

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Row = tuple[Any, ...]


class Query:
    """A statement with named parameters. Runs inside the connection's transaction, which must have begun."""

    __slots__ = ("_plans", "_statement")

    def __init__(
        self, statement: sa.Select[Any] | sa.CompoundSelect[Any] | sa.Insert | sa.Update | sa.Delete
    ) -> None:
        self._statement = statement
        self._plans: dict[str, _Plan] = {}

    def rows(self, conn: sa.Connection, **values: object) -> list[Row]:
        """Return all rows."""
        plan, cursor = self._execute(conn, values)
        return plan.fetch(conn, cursor)

    def first(self, conn: sa.Connection, **values: object) -> Row | None:
        """Return the first row, or None."""
        plan, cursor = self._execute(conn, values)
        row: Row | None = cursor.fetchone()
        cursor.close()
        return plan.row(row) if row is not None and plan.converts else row

    def value(self, conn: sa.Connection, **values: object) -> Any:
        """Return the first column of the first row, or None."""
        row = self.first(conn, **values)
        return row[0] if row is not None else None

    def run(self, conn: sa.Connection, **values: object) -> int:
        """Write, and return how many rows were changed."""
        _, cursor = self._execute(conn, values)
        count: int = cursor.rowcount
        cursor.close()
        return count

    def send(self, conn: sa.Connection, **values: object) -> None:
        """Write. On PostgreSQL the answer is not waited for: an error is raised by a later statement or COMMIT."""
        self.ask(conn, values)

    def ask(self, conn: sa.Connection, values: dict[str, object]) -> Any:
        """Run it, on PostgreSQL without waiting; return the cursor for ``answer``."""
        plan = self._plan(conn, values)
        return queue(conn, plan.text, plan.parameters(values))

    def answer(self, conn: sa.Connection, cursor: Any) -> list[Row]:
        """Return all rows of a cursor of ``ask``, after ``flush``."""
        return self._plan(conn, {}).fetch(conn, cursor)

    def _plan(self, conn: sa.Connection, values: dict[str, object]) -> _Plan:
        plan = self._plans.get(conn.dialect.name)
        if plan is None:
            plan = self._plans[conn.dialect.name] = _Plan(self._statement, conn.dialect, tuple(values))
        return plan

    def _execute(self, conn: sa.Connection, values: dict[str, object]) -> tuple[_Plan, Any]:
        plan = self._plan(conn, values)
        cursor = _run(conn, plan.text, plan.parameters(values))
        if not plan.described and cursor.description is not None:
            plan.describe(conn.dialect, cursor)
        return plan, cursor


class ListQuery:
    """A query of the rows that belong to a list of values; one statement for each power of two of values."""

    __slots__ = ("_column", "_queries", "_statement")

    def __init__(self, statement: sa.Select[Any], column: sa.ColumnElement[Any]) -> None:
        """Make it.

        Args:
            statement: selects the rows of all values.
            column: has the values.
        """
        self._statement = statement
        self._column = column
        self._queries: dict[int, Query] = {}

    def rows(self, conn: sa.Connection, values: Sequence[object], **others: object) -> list[Row]:
        """Return the rows of the values; their order is the statement's.

        Args:
            conn: connection of the transaction.
            values: of the column, each once.
            **others: parameters of the statement.
        """
        if not values:
            return []
        size = 1 << (len(values) - 1).bit_length()
        query = self._queries.get(size)
        if query is None:
            bound = [sa.bindparam(f"value_{at}", type_=self._column.type) for at in range(size)]
            query = self._queries[size] = Query(self._statement.where(self._column.in_(bound)))
        filled = [
            *values,
            *([values[-1]] * (size - len(values))),
        ]  # the last one fills up: IN ignores repetitions
        return query.rows(conn, **others, **{f"value_{at}": value for at, value in enumerate(filled)})


class RowUpdate:
    """Sets columns of a row that is found by its number; one statement for each set of columns that is asked for."""

    __slots__ = ("_queries", "_table")

    def __init__(self, table: sa.Table) -> None:
        self._table = table
        self._queries: dict[tuple[str, ...], Query] = {}

    def send(self, conn: sa.Connection, number: int, values: Mapping[str, object]) -> None:
        """Set columns of one row; see ``Query.send``.

        Args:
            conn: connection of the transaction.
            number: of the row.
            values: by the name of the column.
        """
        names = tuple(values)
        query = self._queries.get(names)
        if query is None:
            columns = self._table.c
            bound = {name: sa.bindparam(f"new_{name}", type_=columns[name].type) for name in names}
            statement = self._table.update().where(columns.id == sa.bindparam("number")).values(bound)
            query = self._queries[names] = Query(statement)
        query.send(conn, number=number, **{f"new_{name}": value for name, value in values.items()})


def gather(conn: sa.Connection, *reads: tuple[Query, dict[str, object]]) -> list[list[Row]]:
    """Return all rows of several queries, each with its parameters; PostgreSQL is asked for all in one message."""
    cursors = [read.ask(conn, values) for read, values in reads]
    flush(conn)
    return [read.answer(conn, cursor) for (read, _), cursor in zip(reads, cursors, strict=True)]


def page_of(
    statement: sa.Select[Any],
    owner: sa.Column[Any],
    number: sa.Column[Any],
    owner_id: int | sa.BindParameter[int],
    *,
    beyond: int | None = None,
    oldest_first: bool = False,
) -> sa.Select[Any]:
    """Restrict a statement to the rows of one owner, in the order of their numbers, as its index has them.

    With ``owner = X ORDER BY id LIMIT n`` PostgreSQL may walk the primary key instead, past all rows of others, when
    it expects to meet an owner's row soon. A range of one owner, ordered by owner and number, leaves it no choice.

    Args:
        statement: selects the columns; the caller limits it.
        owner: the column of the owner, the first of the index.
        number: the column of the row number, the second of the index.
        owner_id: row number of the owner, or the parameter that holds it.
        beyond: only rows after this number in the order.
        oldest_first: the order.
    """
    first, last = owner >= owner_id, owner <= owner_id
    if beyond is not None:
        place, end = sa.tuple_(owner, number), sa.tuple_(sa.literal(owner_id), sa.literal(beyond))
        first, last = (place > end, last) if oldest_first else (first, place < end)
    order = (owner, number) if oldest_first else (owner.desc(), number.desc())
    return statement.where(first, last).order_by(*order)


def like_inside(text: str) -> str:
    """Return the pattern of LIKE, with a backslash as its escape, for what contains a text."""
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"


def require(row: Row | None) -> Row:
    """Return a row that must be there."""
    if row is None:
        raise LookupError("a row that the database holds by its own rules is missing")
    return row


def inserted_id(result: sa.CursorResult[Any]) -> int:
    """Return the number of the row that an INSERT made."""
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def fetch(conn: sa.Connection, text: str, values: Sequence[object]) -> list[Row]:
    """Run the driver's own SQL and return all rows.

    Args:
        conn: connection of the transaction.
        text: SQL with the placeholders of the driver.
        values: of the placeholders.
    """
    rows: list[Row] = _run(conn, text, values).fetchall()
    return rows


def run_many(conn: sa.Connection, text: str, rows: Sequence[Sequence[object]]) -> int:
    """Run the driver's own SQL once for each row of values; return how many rows were changed in all.

    Args:
        conn: connection of the transaction.
        text: SQL with the placeholders of the driver.
        rows: values of the placeholders, once for each execution.
    """
    if not rows:
        return 0
    cursor = _run(conn, text, rows, many=True)
    count: int = cursor.rowcount
    cursor.close()
    return count


def command(conn: sa.Connection, text: str) -> None:
    """Run the driver's own SQL without values."""
    _run(conn, text, None).close()


def control(conn: sa.Connection, text: str) -> None:
    """Begin or end a transaction or savepoint; PostgreSQL's answer is not waited for."""
    sent = pipelining.of(conn.connection.dbapi_connection)
    if sent is None:
        command(conn, text)
        return
    with _raising(conn, text):
        sent.queue(text, control=True)


def queue(conn: sa.Connection, text: str, values: Any, *, changes: int | None = None) -> Any:
    """Run the driver's own SQL; PostgreSQL's answer is not waited for.

    Args:
        conn: with an open transaction.
        text: one statement.
        values: its parameters.
        changes: rows that it has to change, or ``pipelining.UnexpectedRows`` is raised with its answer; only where
            the connection takes part in pipelining.

    Returns:
        The cursor; it has the answer after ``flush``.
    """
    sent = pipelining.of(conn.connection.dbapi_connection)
    if sent is None:
        return _run(conn, text, values)
    with _raising(conn, text):
        return sent.queue(text, values, changes=changes)


def flush(conn: sa.Connection) -> None:
    """Wait for the answers of all that was sent on the connection.

    Raises:
        sqlalchemy.exc.DBAPIError: the first statement that failed.
    """
    sent = pipelining.of(conn.connection.dbapi_connection)
    if sent is not None and sent.waiting:
        with _raising(conn, ""):
            sent.flush()


@contextlib.contextmanager
def undone(conn: sa.Connection) -> Iterator[None]:
    """Undo what is written inside the context at its end."""
    control(conn, "SAVEPOINT undone")
    try:
        yield
        flush(conn)
    except BaseException:
        with contextlib.suppress(exc.DBAPIError, pipelining.UnexpectedRows):
            flush(conn)
        with contextlib.suppress(exc.DBAPIError):  # a lost connection, which the error is about
            _undo(conn)
        raise
    _undo(conn)


def _undo(conn: sa.Connection) -> None:
    control(conn, "ROLLBACK TO SAVEPOINT undone")
    control(conn, "RELEASE SAVEPOINT undone")
    flush(conn)


def _run(conn: sa.Connection, text: str, values: Any, *, many: bool = False) -> Any:
    """Run SQL on a new cursor and wait for its answer."""
    connection: Any = conn.connection.dbapi_connection
    cursor = connection.cursor()
    sent = pipelining.of(connection)
    with _raising(conn, text):
        if sent is not None and sent.waiting:
            sent.execute(cursor, text, values, many=many)
        elif values is None:
            cursor.execute(text)
        elif many:
            cursor.executemany(text, values)
        else:
            cursor.execute(text, values)
    return cursor


class _raising:
    """Raise a driver's error as SQLAlchemy's, so that callers see one kind."""

    __slots__ = ("_conn", "_text")

    def __init__(self, conn: sa.Connection, text: str) -> None:
        self._conn = conn
        self._text = text

    def __enter__(self) -> None:
        pass

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if error is None:
            return
        dbapi: Any = self._conn.dialect.loaded_dbapi
        if isinstance(error, dbapi.Error):
            raise exc.DBAPIError.instance(self._text, None, error, dbapi.Error) from error


class _Plan:
    """A statement as one dialect runs it."""

    __slots__ = (
        "_bind", "_columns", "_constants", "_positions", "_results", "converts", "described", "text",
    )  # fmt: skip

    def __init__(self, statement: Any, dialect: sa.Dialect, names: tuple[str, ...]) -> None:
        insert = getattr(statement, "is_insert", False)
        if insert and not statement._returning:
            statement = statement.inline()  # or PostgreSQL is asked for the row's number, which nobody wants
        compiled = statement.compile(dialect=dialect, column_keys=list(names) if insert else None)
        self.text: str = compiled.string
        self._positions: tuple[str, ...] | None = tuple(compiled.positiontup) if compiled.positional else None
        convert = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect)
            for name, bind in compiled.binds.items()
        }
        self._bind = {name: function for name, function in convert.items() if function is not None}
        self._constants = {
            name: self._converted(name, value) for name, value in compiled.params.items() if name not in names
        }
        if dialect.name == "sqlite":
            self._write_constants()
        columns = [] if not hasattr(statement, "selected_columns") else list(statement.selected_columns)
        self._columns = columns or list(getattr(statement, "_returning", ()))
        #: The columns that are converted: (position, function).
        self._results: list[tuple[int, Any]] = []
        #: Whether any column of the result is converted; known once it is described.
        self.converts = self.described = False

    def _write_constants(self) -> None:
        """Write constants into the text.

        SQLite prepares a statement again for every value of a parameter that it has compared with the condition of a
        partial index (``sqlite3_bind`` and "expired"), which takes up to 0.08 ms.
        """
        assert self._positions is not None
        parts = self.text.split("?")
        if len(parts) != len(self._positions) + 1:
            return  # a text of the statement has a question mark
        text, positions = parts[0], []
        for name, part in zip(self._positions, parts[1:], strict=True):
            value = self._constants.get(name)
            if isinstance(value, int):
                text += f"{int(value)}{part}"
            elif isinstance(value, str):
                text += "'" + value.replace("'", "''") + "'" + part
            else:
                positions.append(name)
                text += "?" + part
        self.text, self._positions = text, tuple(positions)

    def describe(self, dialect: sa.Dialect, cursor: Any) -> None:
        """Learn from the first result which types the driver returns, and so what is to be converted."""
        codes = [column[1] for column in cursor.description]
        functions = [
            column.type.dialect_impl(dialect).result_processor(dialect, code)
            for column, code in zip(self._columns, codes, strict=True)
        ]
        self._results = [(at, function) for at, function in enumerate(functions) if function is not None]
        self.converts = bool(self._results)
        self.described = True

    def fetch(self, conn: sa.Connection, cursor: Any) -> list[Row]:
        """Return all rows of an answer with their columns converted."""
        if not self.described:
            self.describe(conn.dialect, cursor)
        rows: list[Row] = cursor.fetchall()
        return [self.row(row) for row in rows] if self.converts else rows

    def parameters(self, values: dict[str, object]) -> Any:
        """Return the driver's parameters."""
        converted = {name: self._converted(name, value) for name, value in values.items()}
        all_values = self._constants | converted
        return all_values if self._positions is None else [all_values[name] for name in self._positions]

    def row(self, row: Row) -> Row:
        """Return a row with its columns converted."""
        values = list(row)
        for at, convert in self._results:
            if values[at] is not None:
                values[at] = convert(values[at])
        return tuple(values)

    def _converted(self, name: str, value: object) -> object:
        convert = self._bind.get(name)
        return value if convert is None else convert(value)
