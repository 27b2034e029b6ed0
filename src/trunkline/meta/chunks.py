"""The chunk index: where each chunk is stored. Chunks of bundles are in no index but in the bundle's own table.

The hottest table. A pack's entries arrive together in one ``executemany``; look-ups come in batches.
"""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol

import sqlalchemy as sa

from trunkline.meta.query import Query, fetch, run_many
from trunkline.meta.schema import bundle, chunk, pack, storage_total

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from trunkline.meta.query import Row

#: Ids per look-up statement; SQLite's default limit is 32,766 bound values.
FIND_BATCH = 512


class PackEntries(Protocol):
    """The entries of a sealed pack for the index. Fields as in ``storage.chunks.PackRecord``."""

    @property
    def pack(self) -> str:
        """Name of the pack."""

    @property
    def size(self) -> int:
        """Bytes of the pack."""

    @property
    def stored_bytes(self) -> int:
        """Bytes of its chunks as stored."""

    @property
    def chunk_bytes(self) -> int:
        """Bytes of its chunks."""

    @property
    def body(self) -> bytes | None:
        """The whole pack when it is a bundle."""

    @property
    def replaces(self) -> Collection[bytes]:
        """Chunks whose entries, of a damaged pack, this pack replaces."""

    def __len__(self) -> int:
        """Return the number of chunks."""

    @property
    def entries(self) -> Iterable[tuple[bytes, int, int, int, int]]:
        """(chunk id, offset, stored bytes, length, codec) of each chunk."""


# The ids are joined as rows instead of IN (…): SQLite then takes the index entry by entry (40 % less time).
_FIND = (
    "WITH wanted (id) AS (VALUES {})"
    ' SELECT chunk.id, pack.name, chunk."offset", chunk.stored, chunk.length, chunk.codec'
    " FROM wanted JOIN chunk ON chunk.id = wanted.id JOIN pack ON pack.id = chunk.pack_id"
)
_INSERT = 'INSERT INTO chunk (id, pack_id, "offset", stored, length, codec) VALUES {} ON CONFLICT DO NOTHING'
#: Rows inserted by one statement: 50 at once take 60 % of the time of 50 statements.
INSERT_BATCH = 50

_ADD_PACK = Query(pack.insert().returning(pack.c.id))
_ADD_BUNDLE = Query(bundle.insert())
_BUNDLES = Query(
    sa.select(bundle.c.id, bundle.c.pack, bundle.c.body)
    .where(bundle.c.id > sa.bindparam("after"))
    .order_by(bundle.c.id)
    .limit(sa.bindparam("number"))
)
_COUNT = Query(
    storage_total.update().values(
        {
            column.name: column + sa.bindparam(f"more_{column.name}")
            for column in storage_total.c
            if column.name != "id"
        }
    )
)


def find(conn: sa.Connection, ids: Sequence[bytes]) -> list[Row]:
    """Return the index entries of chunks.

    Rows of (chunk id, pack, offset, stored bytes, length, codec).
    """
    # Plain driver SQL: a look-up of 256 chunks comes with every 256 KiB written.
    mark = _mark(conn)
    rows: list[Row] = []
    in_order = sorted(ids)  # neighbours in the index lie on one page
    for at in range(0, len(in_order), FIND_BATCH):
        batch = tuple(in_order[at : at + FIND_BATCH])
        rows.extend(fetch(conn, _FIND.format(",".join([f"({mark})"] * len(batch))), batch))
    return rows


def recorded_packs(conn: sa.Connection, names: Sequence[str]) -> set[str]:
    """Return those of the packs that are recorded."""
    return set(conn.execute(sa.select(pack.c.name).where(pack.c.name.in_(names))).scalars())


def add(conn: sa.Connection, packs: Iterable[PackEntries], written_bytes: int, now: float) -> None:
    """Insert packs and their chunks; a chunk that another pack already holds keeps its older entry.

    Of a bundle only the bundle itself is inserted: its table says what is in it.

    Args:
        conn: of the transaction.
        packs: durable packs; the entries of the chunks that one replaces are replaced.
        written_bytes: what a client wrote, for the totals.
        now: seconds since the epoch.
    """
    chunks = stored = length = count = 0
    for record in packs:
        replaced, replaced_bytes = _remove_entries(conn, list(record.replaces))
        if record.body is not None:
            _ADD_BUNDLE.send(conn, pack=record.pack, body=record.body)
            added, added_bytes = len(record), record.chunk_bytes
        else:
            added, added_bytes = _add_whole(conn, record, now)
        count += 1
        chunks += added - replaced
        stored += record.stored_bytes
        length += added_bytes - replaced_bytes
    if count or written_bytes:
        _COUNT.send(
            conn,
            more_chunks=chunks,
            more_packs=count,
            more_stored_bytes=stored,
            more_chunk_bytes=length,
            more_written_bytes=written_bytes,
        )


def add_pack(conn: sa.Connection, record: PackEntries, now: float) -> int:
    """Insert a pack without its chunks, which ``add_entries`` inserts; return the number of its row.

    Args:
        conn: of the transaction.
        record: a durable pack of the object store.
        now: seconds since the epoch.
    """
    number = _insert_pack(conn, record, now)
    _COUNT.send(
        conn,
        more_chunks=0,
        more_packs=1,
        more_stored_bytes=record.stored_bytes,
        more_chunk_bytes=0,
        more_written_bytes=0,
    )
    return number


def add_entries(conn: sa.Connection, pack_id: int, rows: Sequence[Row], replaces: Collection[bytes]) -> None:
    """Insert the entries of some chunks of a pack; a chunk that has one keeps it.

    Args:
        conn: of the transaction.
        pack_id: number of the pack's row.
        rows: as ``PackEntries.entries``, sorted.
        replaces: chunks whose older entries are replaced.
    """
    replaced, replaced_bytes = _remove_entries(conn, [row[0] for row in rows if row[0] in replaces])
    added, added_bytes = _add_chunks(conn, pack_id, rows)
    _COUNT.send(
        conn,
        more_chunks=added - replaced,
        more_packs=0,
        more_stored_bytes=0,
        more_chunk_bytes=added_bytes - replaced_bytes,
        more_written_bytes=0,
    )


def sorted_entries(record: PackEntries) -> list[Row]:
    """Return the entries of a pack in the order of the index, where neighbours lie on one page."""
    return sorted(record.entries, key=itemgetter(0))


def bundles(conn: sa.Connection, after: int, number: int) -> list[Row]:
    """Return bundles, the oldest first: rows of (number, pack, body).

    Args:
        conn: of the transaction.
        after: return only bundles with a greater number.
        number: the largest number of bundles.
    """
    return _BUNDLES.rows(conn, after=after, number=number)


def move_bundles(
    conn: sa.Connection,
    numbers: Sequence[int],
    packs: Iterable[PackEntries],
    counted: tuple[int, int, int],
    now: float,
) -> None:
    """Replace bundles by packs of the object store that hold their chunks.

    Args:
        conn: of the transaction.
        numbers: of the bundles.
        packs: durable packs with the chunks of the bundles.
        counted: chunks, stored bytes and bytes of chunks that the totals count for the bundles.
        now: seconds since the epoch.
    """
    copies = chunks = stored = length = 0
    for record in packs:
        added, added_bytes = _add_whole(conn, record, now)
        copies += 1
        chunks += added
        length += added_bytes
        stored += record.stored_bytes
    for at in range(0, len(numbers), FIND_BATCH):
        conn.execute(bundle.delete().where(bundle.c.id.in_(numbers[at : at + FIND_BATCH])))
    _COUNT.send(
        conn,
        more_chunks=chunks - counted[0],
        more_packs=copies - len(numbers),
        more_stored_bytes=stored - counted[1],
        more_chunk_bytes=length - counted[2],
        more_written_bytes=0,
    )


def _insert_pack(conn: sa.Connection, record: PackEntries, now: float) -> int:
    number: int = _ADD_PACK.value(conn, name=record.pack, size=record.size, created_at=now, body=None)
    return number


def _add_whole(conn: sa.Connection, record: PackEntries, now: float) -> tuple[int, int]:
    """Insert a pack and the entries of its chunks; return how many of these are new, and their bytes."""
    return _add_chunks(conn, _insert_pack(conn, record, now), sorted_entries(record))


def _remove_entries(conn: sa.Connection, ids: Sequence[bytes]) -> tuple[int, int]:
    """Delete the entries of chunks; return how many there were, and the bytes of these chunks."""
    count = length = 0
    for at in range(0, len(ids), FIND_BATCH):
        batch = chunk.c.id.in_(ids[at : at + FIND_BATCH])
        sizes = conn.execute(sa.select(chunk.c.length).where(batch)).scalars().all()
        conn.execute(chunk.delete().where(batch))
        count += len(sizes)
        length += sum(sizes)
    return count, length


def _lengths(conn: sa.Connection, pack_id: int, ids: Sequence[bytes]) -> int:
    """Return the bytes of those of the chunks whose entry names the pack."""
    length = 0
    for at in range(0, len(ids), FIND_BATCH):
        batch = chunk.c.id.in_(ids[at : at + FIND_BATCH])
        query = sa.select(chunk.c.length).where(batch, chunk.c.pack_id == pack_id)
        length += sum(conn.execute(query).scalars())
    return length


def _add_chunks(conn: sa.Connection, pack_id: int, rows: Sequence[Row]) -> tuple[int, int]:
    """Insert the entries of chunks that have none; return how many these were, and their bytes."""
    mark = _mark(conn)
    placeholders = f"({mark}, {pack_id}, {mark}, {mark}, {mark}, {mark})"
    whole = len(rows) - len(rows) % INSERT_BATCH
    many = _INSERT.format(", ".join([placeholders] * INSERT_BATCH))
    added = run_many(
        conn,
        many,
        [tuple(chain.from_iterable(rows[at : at + INSERT_BATCH])) for at in range(0, whole, INSERT_BATCH)],
    )
    added += run_many(conn, _INSERT.format(placeholders), rows[whole:])
    if added < len(rows):  # another writer stored some of them first
        return added, _lengths(conn, pack_id, [row[0] for row in rows])
    return added, sum(row[3] for row in rows)


def totals(conn: sa.Connection) -> tuple[int, int, int, int, int]:
    """Return chunks, packs, stored bytes, chunk bytes and bytes ever written."""
    row = conn.execute(sa.select(storage_total)).one()
    return row.chunks, row.packs, row.stored_bytes, row.chunk_bytes, row.written_bytes


def _mark(conn: sa.Connection) -> str:
    """Return how the driver marks a bound value."""
    return "?" if conn.dialect.paramstyle == "qmark" else "%s"
