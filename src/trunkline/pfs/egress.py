"""Sends the files of a commit to an object store, or their rows to a database (docs/design/outbound.md). Blocks."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trunkline import errors
from trunkline.pfs import files as snapshots
from trunkline.pfs import reading, row_files, urls
from trunkline.pfs.column_values import converted
from trunkline.runtime import cancellation
from trunkline.storage.sums import EMPTY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from trunkline.model.columns import ColumnKind
    from trunkline.model.names import CommitName
    from trunkline.model.spec import SqlDatabaseEgress
    from trunkline.pfs.files import Snapshot
    from trunkline.pfs.reading import FileEntry
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.row_files import Row
    from trunkline.ports import Column, Outbound, OutboundDatabase

#: Rows that are inserted together.
_BATCH = 1_000
_FORMATS = {"CSV": row_files.csv_rows, "JSON": row_files.json_rows}


class Written(Struct, frozen=True):
    """What an egress has written."""

    #: To an object store.
    size: int = 0
    #: To a database, by table.
    rows: dict[str, int] = {}


def to_objects(files: Callable[[], Snapshot], outbound: Outbound, url: str) -> Written:
    """Write files to objects below a URL, in place of those that exist.

    Args:
        files: returns them, once the URL is checked.
        outbound: stores them.
        url: of a prefix in an object store.

    Raises:
        TrunklineError: as of ``ports.Outbound.write``; all may be done again.
    """
    outbound.check(url)
    snapshot = files()
    return Written(urls.send(snapshot, outbound, "/", url) if snapshot.tree != EMPTY else 0)


def to_database(
    files: Callable[[], Snapshot], outbound: Outbound, target: SqlDatabaseEgress, password: str
) -> Written:
    """Replace the rows of tables by those in files, in one transaction.

    Args:
        files: returns them, once the URL is checked.
        outbound: connects to the database.
        target: the database and the format of the files.
        password: of the database's user; empty for none.

    Raises:
        InvalidArgument: a file is not valid, or does not fit its table.
        NotFound: there is no table for a file.
        TrunklineError: as of ``ports.Outbound.database``; nothing is written then, and all may be done again.
    """
    rows_of, named = checked_format(target)
    outbound.check(target.url)
    snapshot = files()
    written: dict[str, int] = {}
    columns: dict[str, Sequence[Column]] = {}
    with outbound.turn(), outbound.database(target.url, password) as database:
        entries = reading.files_within(snapshot, "/") if snapshot.tree != EMPTY else iter(())
        for entry in entries:
            table = entry.path.split("/")[1]
            if table not in columns:
                columns[table] = database.columns(table)
                database.clear(table)
            layout = _Layout(table, columns[table], named, has_header=rows_of is row_files.csv_rows)
            count = _insert(database, layout, snapshot, entry, rows_of)
            written[table] = written.get(table, 0) + count
    return Written(rows=written)


def checked_format(
    target: SqlDatabaseEgress,
) -> tuple[Callable[[Iterable[bytes]], Iterator[Row]], Sequence[str]]:
    """Return the reader of a format's rows, and the names of the columns in the files.

    Raises:
        InvalidArgument: the format is missing or not valid.
        Unimplemented: it is Parquet.
    """
    kind = target.file_format.type if target.file_format is not None else "UNKNOWN"
    if kind == "PARQUET":
        raise errors.Unimplemented(
            "egress of Parquet files to a database is not supported; write CSV or JSON"
        )
    if target.file_format is None or kind not in _FORMATS:
        raise errors.InvalidArgument(
            "the format of the files is missing; set file_format.type to CSV or JSON"
        )
    names = target.file_format.columns
    if len(set(names)) < len(names):
        raise errors.InvalidArgument("file_format.columns names a column twice; name each once")
    return _FORMATS[kind], names


def finished(versions: VersionedStore, commit: CommitName) -> Snapshot:
    """Return the files of a finished commit. Blocks.

    Raises:
        NotFound: there is no such commit.
        FailedPrecondition: it is not finished.
    """
    snapshot = snapshots.snapshot(versions, commit)
    if snapshot.row is not None and snapshot.finished is None:
        raise errors.FailedPrecondition(
            f"commit {snapshot.name} is not finished; finish it before its egress"
        )
    return snapshot


class _Layout:
    """Which values of a row go into which columns of a table."""

    def __init__(
        self, table: str, columns: Sequence[Column], named: Sequence[str], *, has_header: bool
    ) -> None:
        self.table = table
        by_name = {column.name: column for column in columns}
        self.has_header = has_header and bool(named)
        if not named:
            self.targets = list(columns)
            self.names = [column.name for column in columns]
        elif all(name in by_name for name in named):
            self.targets = [by_name[name] for name in named]
            self.names = list(named)
        elif len(named) == len(columns):
            self.targets = list(columns)
            self.names = list(named)
        else:
            unknown = next(name for name in named if name not in by_name)
            raise errors.InvalidArgument(
                f'table {table} has no column "{unknown}"; it has {", ".join(by_name)}; correct file_format.columns'
            )
        self.kinds: list[ColumnKind] = [column.kind for column in self.targets]


def _insert(
    database: OutboundDatabase,
    layout: _Layout,
    snapshot: Snapshot,
    entry: FileEntry,
    rows_of: Callable[[Iterable[bytes]], Iterator[Row]],
) -> int:
    """Insert the rows of one file; return how many there are."""
    columns = [column.name for column in layout.targets]
    count = 0
    try:
        values = _values(layout, rows_of(snapshot.read(entry)))
        while batch := list(islice(values, _BATCH)):
            cancellation.check()
            database.insert(layout.table, columns, batch)
            count += len(batch)
    except errors.InvalidArgument as error:
        raise errors.InvalidArgument(f"{snapshot.name}:{entry.path}: {error.message}") from error
    return count


def _values(layout: _Layout, rows: Iterator[Row]) -> Iterator[list[object]]:
    """Yield the values of rows in the order of the layout's targets."""
    positions: Sequence[int] = range(len(layout.names))
    if layout.has_header:
        header = next(rows, None)
        if header is None:
            return
        positions = _positions(header, layout.names)
    for row in rows:
        cells: list[Any]
        if isinstance(row.values, dict):
            cells = [row.values.get(name) for name in layout.names]
        elif len(row.values) != len(layout.names):
            raise errors.InvalidArgument(
                f"line {row.line} has {len(row.values)} fields instead of {len(layout.names)}; correct it"
            )
        else:
            cells = [row.values[position] for position in positions]
        yield [_value(row, layout, number, cell) for number, cell in enumerate(cells)]


def _positions(header: Row, names: Sequence[str]) -> list[int]:
    """Return where in a line of CSV each column is."""
    assert isinstance(header.values, list)
    if sorted(map(str, header.values)) != sorted(names):
        columns = ", ".join(map(str, header.values))
        raise errors.InvalidArgument(
            f"line {header.line} names the columns {columns} instead of {', '.join(names)}; correct it, or"
            " file_format.columns"
        )
    return [header.values.index(name) for name in names]


def _value(row: Row, layout: _Layout, number: int, cell: Any) -> object:
    try:
        return converted(cell, layout.kinds[number])
    except errors.InvalidArgument as error:
        raise errors.InvalidArgument(
            f'line {row.line}, column "{layout.targets[number].name}": {error.message}; correct it'
        ) from error
