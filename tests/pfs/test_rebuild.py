"""The chunk index of a lost database is built again from the ends of the packs."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING

import pytest

from trunkline.drivers.objects.buckets import BucketObjects
from trunkline.drivers.objects.local import LocalObjects
from trunkline.meta import chunks as chunk_rows
from trunkline.meta import install, schema
from trunkline.meta.database import Database, sqlite_url
from trunkline.pfs.chunk_index import DatabaseChunkIndex
from trunkline.storage.chunks import PackRecord
from trunkline.storage.rebuild import READS, UnreadablePack, pack_records
from trunkline.storage.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from s3_server import S3Server

    from trunkline.meta.database import Tx
    from trunkline.ports import ObjectStore
    from trunkline.storage.chunks import ChunkId


class Store:
    """A chunk store on a database."""

    def __init__(self, folder: Path, objects: ObjectStore) -> None:
        self.objects = objects
        self.db = Database(sqlite_url(folder), lambda _: None)
        install.install(self.db, 1.0)
        self.chunks = self.open()

    def open(self) -> ChunkStore:
        return ChunkStore(self.objects, DatabaseChunkIndex(self.db, lambda: 1.0), threads=2, inline_bytes=0)

    def write(self, *pieces: bytes) -> list[ChunkId]:
        writer = self.chunks.writer()
        ids = writer.add_many(pieces)
        self.record(*writer.seal())
        return ids

    def record(self, *packs: PackRecord) -> None:
        self.db.run_blocking(lambda tx: chunk_rows.add(tx.conn, packs, 0, 1.0))

    def totals(self) -> tuple[int, int, int, int]:
        chunks, packs, stored, length, _ = self.db.read_blocking(chunk_rows.totals)
        return chunks, packs, stored, length

    def forget(self) -> None:
        """Drop the tables of chunks and packs, make them anew, and begin with empty caches."""

        def drop(tx: Tx) -> None:
            schema.chunk.drop(tx.conn)
            schema.pack.drop(tx.conn)
            schema.pack.create(tx.conn)
            schema.chunk.create(tx.conn)
            zeros = {"chunks": 0, "packs": 0, "stored_bytes": 0, "chunk_bytes": 0}
            tx.conn.execute(schema.storage_total.update().values(zeros))

        self.db.run_blocking(drop)
        self.chunks.close()
        self.chunks = self.open()

    def close(self) -> None:
        self.chunks.close()
        self.db.close()


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    if request.param == "local":
        objects: ObjectStore = LocalObjects(tmp_path / "objects")
    else:
        server: S3Server = request.getfixturevalue("s3")
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        objects = BucketObjects(f"s3://ready/{uuid.uuid4().hex}", patience=20.0)
    store = Store(tmp_path, objects)
    yield store
    store.close()


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def replace(objects: ObjectStore, key: str, body: bytes) -> None:
    objects.delete(key)
    objects.put(key, [body])


def test_an_index_that_was_dropped_is_built_again_from_the_packs(store: Store) -> None:
    pieces = [
        b"All work and no play. " * 3000,
        *(noise(800, seed) for seed in range(1600)),
        noise(1 << 20, 7),
    ]
    ids = store.write(*pieces[:900])
    for at in range(900, 1602, 27):  # some packs more than are read at a time
        ids += store.write(*pieces[at : at + 27])
    before = store.totals()
    assert before[1] > READS
    store.forget()

    store.record(*(record for record in pack_records(store.objects) if isinstance(record, PackRecord)))

    assert store.totals() == before
    assert list(store.chunks.read_many(ids)) == pieces


def test_damaged_packs_are_named_and_the_others_are_read(store: Store) -> None:
    intact = store.write(noise(5000, 1))
    first, second, third = (store.write(noise(5000, seed)) for seed in (2, 3, 4))
    names = {id: place.pack for id, place in store.chunks.places([*first, *second, *third]).items()}
    short, swapped, foreign = names[first[0]], names[second[0]], names[third[0]]
    replace(store.objects, short, store.objects.get(short)[:-1])
    replace(store.objects, foreign, noise(5000, 5))
    body = store.objects.get(swapped)
    replace(store.objects, swapped, body + store.objects.get(next(iter(names.values()))))
    store.forget()

    records = list(pack_records(store.objects))

    store.record(*(record for record in records if isinstance(record, PackRecord)))
    unreadable = [record for record in records if isinstance(record, UnreadablePack)]
    assert {record.pack for record in unreadable} == {short, swapped, foreign}
    assert all(record.pack in record.message for record in unreadable)
    assert store.chunks.read(intact[0]) == noise(5000, 1)


def test_what_is_not_a_pack_is_not_read(store: Store) -> None:
    store.objects.put("format", [b"{}"])
    store.objects.put("log/0000000000000001", [b"{}"])

    assert list(pack_records(store.objects)) == []
