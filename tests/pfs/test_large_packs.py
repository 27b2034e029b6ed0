"""A pack of many chunks enters the chunk index in several transactions, between which others are served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trunkline.drivers.objects.local import LocalObjects
from trunkline.formats.pack_format import PackLayout, new_key
from trunkline.meta import chunks as chunk_rows
from trunkline.meta import install
from trunkline.meta.database import Database, sqlite_url
from trunkline.pfs import chunk_index
from trunkline.pfs.chunk_index import DatabaseChunkIndex
from trunkline.runtime import failpoints
from trunkline.storage import packing
from trunkline.storage.chunks import ChunkId, PackRecord, chunk_id
from trunkline.storage.open_pack import OpenPack
from trunkline.storage.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECES = [b"chunk %d" % number for number in range(450)]
POINT = "chunk_index.partly_recorded"


class Store:
    """A chunk store on a database."""

    def __init__(self, folder: Path) -> None:
        self.db = Database(sqlite_url(folder), lambda _: None)
        install.install(self.db, 1.0)
        self.index = DatabaseChunkIndex(self.db, lambda: 1.0)
        self.chunks = ChunkStore(LocalObjects(folder / "objects"), self.index, threads=1, inline_bytes=0)

    def count(self) -> tuple[int, int, int]:
        """Return chunks, packs and bytes of chunks, as a write between others sees them."""
        chunks, packs, _, length, _ = self.db.run_blocking(lambda tx: chunk_rows.totals(tx.conn))
        return chunks, packs, length


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(chunk_index, "TRANSACTION_CHUNKS", 100)
    monkeypatch.setattr(packing, "TRANSACTION_CHUNKS", 100)
    store = Store(tmp_path)
    yield store
    store.chunks.close()
    store.db.close()


def record_of(ids: list[ChunkId], replaces: frozenset[ChunkId] = frozenset()) -> PackRecord:
    """Return the record of a pack with chunks of eight bytes."""
    layout = PackLayout(new_key())
    layout.add(ids, [b"8 bytes."] * len(ids), [0] * len(ids), [b"8 bytes."] * len(ids))
    return PackRecord(
        layout.key,
        layout.size,
        layout.table,
        stored_bytes=layout.stored_bytes,
        chunk_bytes=layout.chunk_bytes,
        replaces=replaces,
    )


def test_other_writes_are_served_while_a_large_pack_is_recorded(store: Store) -> None:
    writer = store.chunks.writer()
    ids = writer.add_many(PIECES)
    counts: list[int] = []

    with failpoints.armed(POINT, lambda: counts.append(store.count()[0])):
        unrecorded = writer.seal()

    assert counts == [100, 200, 300, 400, 450]
    assert unrecorded == []
    assert store.count() == (450, 1, sum(map(len, PIECES)))
    assert list(store.chunks.read_many(ids)) == PIECES


def test_a_write_that_fails_between_two_transactions_leaves_chunks_that_can_be_read(store: Store) -> None:
    writer = store.chunks.writer()
    ids = writer.add_many(PIECES)
    with failpoints.armed(POINT, failpoints.failing()), pytest.raises(OSError, match="armed"):
        writer.seal()
    writer.abort()
    recorded = list(store.index.find(ids))
    contents = list(store.chunks.read_many(recorded))

    again = store.chunks.writer()
    again.add_many(PIECES)
    again.seal()

    assert len(recorded) == 100
    assert list(map(chunk_id, contents)) == recorded
    assert store.count() == (450, 2, sum(map(len, PIECES)))
    assert list(store.chunks.read_many(ids)) == PIECES


def test_a_large_pack_replaces_damaged_copies_and_keeps_intact_ones(store: Store) -> None:
    ids = [chunk_id(piece) for piece in PIECES]
    first = record_of(ids[:300])
    damaged = frozenset(ids[::7])
    second = record_of(ids, damaged)
    store.index.record(first)

    store.index.record(second)

    places = store.index.find(ids)
    assert {id for id in ids if places[id].pack == second.pack} == damaged | set(ids[300:])
    assert store.count() == (450, 2, 8 * 450)


def test_a_bundle_of_many_chunks_stays_one_row(store: Store) -> None:
    ids = [chunk_id(piece) for piece in PIECES]
    body = OpenPack()
    body.take(ids, list(PIECES), [0] * len(PIECES), list(PIECES))
    body.finish(verify=True)

    store.index.record(body.record(inline=True))

    assert {id: place.inline for id, place in store.index.find(ids).items()} == dict(
        zip(ids, PIECES, strict=True)
    )
