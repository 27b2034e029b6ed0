"""The chunk index: where each chunk is stored.

The hottest table. A pack's entries arrive together in one ``executemany``; look-ups come in batches.
"""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol

import sqlalchemy as sa

from trunkline.meta.query import Query, fetch, run_many
from trunkline.meta.schema import chunk, pack, storage_total

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
        """The pack itself when the index is to keep it."""

    @property
    def replaces(self) -> Collection[bytes]:
        """Chunks whose entries, of a damaged pack, this pack replaces."""

    @property
    def entries(self) -> Iterable[tuple[bytes, int, int, int, int]]:
        """(chunk id, offset, stored bytes, length, codec) of each chunk."""


# The ids are joined as rows instead of IN (…): SQLite then takes the index entry by entry (40 % less time).
_FIND = (
    "WITH wanted (id) AS (VALUES {})"
    ' SELECT chunk.id, pack.name, chunk."offset", chunk.stored, chunk.length, chunk.codec,'
    ' substr(pack.body, CAST(chunk."offset" + 1 AS INTEGER), chunk.stored)'
    " FROM wanted JOIN chunk ON chunk.id = wanted.id JOIN pack ON pack.id = chunk.pack_id"
)
_INSERT = 'INSERT INTO chunk (id, pack_id, "offset", stored, length, codec) VALUES {} ON CONFLICT DO NOTHING'
#: Rows inserted by one statement: 50 at once take 60 % of the time of 50 statements.
INSERT_BATCH = 50

_ADD_PACK = Query(pack.insert().returning(pack.c.id))
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

    Rows of (chunk id, pack, offset, stored bytes, length, codec, the stored bytes of a pack kept here or None).
    """
    # Plain driver SQL: a look-up of 256 chunks comes with every 256 KiB written.
    mark = _mark(conn)
    rows: list[Row] = []
    for at in range(0, len(ids), FIND_BATCH):
        batch = tuple(sorted(ids[at : at + FIND_BATCH]))  # neighbours in the index lie on one page
        rows.extend(fetch(conn, _FIND.format(",".join([f"({mark})"] * len(batch))), batch))
    return rows


def recorded_packs(conn: sa.Connection, names: Sequence[str]) -> set[str]:
    """Return those of the packs that are recorded."""
    return set(conn.execute(sa.select(pack.c.name).where(pack.c.name.in_(names))).scalars())


def add(conn: sa.Connection, packs: Iterable[PackEntries], written_bytes: int, now: float) -> None:
    """Insert packs and their chunks; a chunk that another pack already holds keeps its older entry.

    Args:
        conn: of the transaction.
        packs: durable packs; the entries of the chunks that one replaces are replaced.
        written_bytes: what a client wrote, for the totals.
        now: seconds since the epoch.
    """
    chunks = stored = length = count = 0
    for record in packs:
        pack_id = _ADD_PACK.value(conn, name=record.pack, size=record.size, created_at=now, body=record.body)
        replaced, replaced_bytes = _remove_entries(conn, list(record.replaces))
        # In the order of the index: neighbours lie on one page.
        rows = sorted(record.entries, key=itemgetter(0))
        added, added_bytes = _add_chunks(conn, pack_id, rows), record.chunk_bytes
        if added < len(rows):  # another writer stored some of them first
            added_bytes = _lengths(conn, pack_id, [row[0] for row in rows])
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


def _add_chunks(conn: sa.Connection, pack_id: int, rows: Sequence[Row]) -> int:
    """Insert the entries of chunks that have none; return how many these were."""
    mark = _mark(conn)
    placeholders = f"({mark}, {pack_id}, {mark}, {mark}, {mark}, {mark})"
    whole = len(rows) - len(rows) % INSERT_BATCH
    many = _INSERT.format(", ".join([placeholders] * INSERT_BATCH))
    added = run_many(
        conn,
        many,
        [tuple(chain.from_iterable(rows[at : at + INSERT_BATCH])) for at in range(0, whole, INSERT_BATCH)],
    )
    return added + run_many(conn, _INSERT.format(placeholders), rows[whole:])


def totals(conn: sa.Connection) -> tuple[int, int, int, int, int]:
    """Return chunks, packs, stored bytes, chunk bytes and bytes ever written."""
    row = conn.execute(sa.select(storage_total)).one()
    return row.chunks, row.packs, row.stored_bytes, row.chunk_bytes, row.written_bytes


def _mark(conn: sa.Connection) -> str:
    """Return how the driver marks a bound value."""
    return "?" if conn.dialect.paramstyle == "qmark" else "%s"
