"""Chunks: stored once, read back checked, durable when sealed."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from storage_world import MemoryIndex, World, noise

from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.errors import DataLoss, ResourceExhausted
from trunkline.formats.codecs import RAW, ZSTD
from trunkline.formats.pack_format import PACK_BYTES, ROW_BYTES, TRAILER_BYTES, read_table
from trunkline.storage.chunks import ChunkId, Location, chunk_id
from trunkline.storage.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT = b"the quick brown fox jumps over the lazy dog\n" * 100


@given(st.lists(st.binary(min_size=1, max_size=3000), max_size=40), st.integers(1, 40))
def test_what_was_written_is_read_back(pieces: list[bytes], split: int) -> None:
    world = World()
    ids: list[ChunkId] = []
    for part in (pieces[:split], pieces[split:]):
        writer = world.store.writer()
        ids += [writer.add(piece) for piece in part]
        assert [writer.read(id) for id in ids] == pieces[: len(ids)]
        world.index.record_all(writer.seal())
        assert writer.bytes_in == sum(map(len, part))

    assert list(world.store.read_many(ids)) == pieces
    assert [world.store.read(id) for id in ids] == pieces
    assert len(world.index.places) == len(set(pieces))
    world.store.close()


def test_a_chunk_is_named_by_its_content(world: World) -> None:
    writer = world.store.writer()

    assert writer.add(b"abc") == blake3(b"abc").digest() == chunk_id(memoryview(b"abc"))
    writer.abort()


def test_a_chunk_is_stored_once_within_a_write_and_between_writes(world: World) -> None:
    first = world.store.writer()
    first.add(noise(5000))
    first.add(noise(5000))
    world.index.record_all(first.seal())
    second = world.store.writer()
    second.add(noise(5000))
    second.add(noise(70, seed=1))
    packs = second.seal()

    assert (first.bytes_in, first.bytes_stored) == (10000, 5000)
    assert (second.bytes_in, second.bytes_stored) == (5070, 70)
    assert [entry[0] for pack in packs for entry in pack.entries] == [chunk_id(noise(70, seed=1))]


def test_a_write_of_known_chunks_makes_no_pack(world: World) -> None:
    world.write(lambda writer: writer.add(TEXT))
    writer = world.store.writer()
    writer.add(TEXT)

    assert writer.seal() == []


def test_compressible_chunks_are_compressed_and_others_kept_raw(world: World) -> None:
    text = world.write(lambda writer: writer.add(TEXT))
    random = world.write(lambda writer: writer.add(noise(4400)))

    assert world.index.places[text].codec == ZSTD
    assert world.index.places[text].stored < len(TEXT) // 10
    assert world.index.places[random].codec == RAW
    assert world.index.places[random].stored == 4400


def test_the_end_of_a_pack_says_where_its_chunks_are(world: World) -> None:
    writer = world.store.writer()
    writer.add_many([noise(1000, seed) for seed in range(300)])
    (pack,) = writer.seal()

    table = read_table(pack.pack, pack.size, partial(world.objects.get, pack.pack))

    assert len(pack) == 300
    assert table == pack.table
    assert world.objects.size(pack.pack) == pack.size
    assert pack.stored_bytes == pack.chunk_bytes == 300_000
    assert pack.pack == f"packs/{pack.pack[6:8]}/{pack.pack[9:]}"


def test_a_long_write_fills_packs_while_it_goes_on(world: World) -> None:
    writer = world.store.writer()
    base = noise(1 << 20)
    pieces = [number.to_bytes(4, "big") + base for number in range(70)]
    ids = [writer.add(piece) for piece in pieces]
    packs = writer.seal()
    world.index.record_all(packs)

    assert len(packs) == 2
    assert PACK_BYTES - 64 * ROW_BYTES <= packs[0].size <= PACK_BYTES + (1 << 20) + 128
    assert all(read == piece for read, piece in zip(world.store.read_many(ids), pieces, strict=True))
    assert writer.read(ids[0]) == pieces[0]
    assert writer.read(ids[-1]) == pieces[-1]


def test_changed_bytes_are_data_loss_and_never_returned(world: World) -> None:
    ids = [world.write(lambda writer: writer.add(noise(2000))), world.write(lambda writer: writer.add(TEXT))]
    for id in ids:
        place = world.index.places[id]
        data = bytearray(world.objects.get(place.pack))
        data[place.offset + place.stored // 2] ^= 1
        world.objects.delete(place.pack)
        world.objects.put(place.pack, [bytes(data)])

    for id in ids:
        with pytest.raises(DataLoss, match=f"chunk {id.hex()} .* does not match its id"):
            world.store.read(id)
        with pytest.raises(DataLoss, match=id.hex()):
            list(world.store.read_many([id, id]))


def test_a_chunk_that_the_index_does_not_know_is_data_loss(world: World) -> None:
    with pytest.raises(DataLoss, match="not in the chunk index"):
        world.store.read(chunk_id(b"never stored"))


def test_reading_many_takes_any_order_and_repetition(world: World) -> None:
    pieces = [noise(100_000, seed) for seed in range(60)] + [noise(100, seed) for seed in range(900)]
    writer = world.store.writer()
    ids = writer.add_many(pieces)
    world.index.record_all(writer.seal())
    order = [(number * 7919) % len(ids) for number in range(len(ids))] + [3, 3, 3]

    assert list(world.store.read_many(ids[n] for n in order)) == [pieces[n] for n in order]
    assert list(world.store.read_many([])) == []


def test_a_writer_reads_chunks_of_earlier_writes_together() -> None:
    objects = CountingObjects()
    world = World(objects)
    before = [noise(50, seed) for seed in range(200)]
    ids = world.write(lambda writer: writer.add_many(before))
    writer = world.store.writer()
    [own] = writer.add_many([b"its own"])

    contents = list(writer.read_many([*ids[:100], own, *ids[100:]]))

    assert contents == [*before[:100], b"its own", *before[100:]]
    assert objects.gets <= 4
    writer.abort()


class CountingObjects(MemoryObjects):
    """Counts the reads."""

    def __init__(self) -> None:
        super().__init__()
        self.gets = 0

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.gets += 1
        return super().get(key, start, length)


def test_many_writers_at_once_do_not_disturb_each_other(world: World) -> None:
    def write(seed: int) -> list[tuple[ChunkId, bytes]]:
        writer = world.store.writer()
        pieces = [noise(3000, seed * 50 + number % 150) for number in range(300)]
        ids = [writer.add(piece) for piece in pieces]
        world.index.record_all(writer.seal())
        return list(zip(ids, pieces, strict=True))

    with ThreadPoolExecutor(4) as pool:
        written = [pair for pairs in pool.map(write, range(8)) for pair in pairs]

    assert len(written) == 8 * 300
    assert all(world.store.read(id) == piece for id, piece in written)


class FullObjects(MemoryObjects):
    """A disk that is full after so many packs."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self._count = threading.Lock()

    def put(self, key: str, parts: Sequence[bytes | memoryview]) -> None:
        with self._count:
            self.room -= 1
            if self.room < 0:
                raise ResourceExhausted("the disk is full; make room and try again")
        super().put(key, parts)


def test_a_failed_upload_surfaces_at_seal_and_abort_leaves_nothing() -> None:
    world = World(FullObjects(0))
    writer = world.store.writer()
    writer.add(TEXT)

    with pytest.raises(ResourceExhausted, match="disk is full"):
        writer.seal()
    writer.abort()

    assert list(world.objects.list("")) == []
    world.store.close()


def test_a_failed_upload_stops_a_long_write_and_abort_frees_what_was_uploaded() -> None:
    world = World(FullObjects(1))
    writer = world.store.writer()
    base = noise(1 << 20)

    def write_until_it_fails() -> None:
        for number in range(400):
            writer.add(number.to_bytes(4, "big") + base)
        writer.seal()

    with pytest.raises(ResourceExhausted, match="disk is full"):
        write_until_it_fails()
    assert len(list(world.objects.list("packs/"))) == 1
    writer.abort()

    assert list(world.objects.list("")) == []
    world.objects.room = 1  # type: ignore[attr-defined]
    assert world.store.read(world.write(lambda fresh: fresh.add(TEXT))) == TEXT
    world.store.close()


def test_abort_after_seal_keeps_what_was_sealed(world: World) -> None:
    writer = world.store.writer()
    id = writer.add(TEXT)
    world.index.record_all(writer.seal())

    writer.abort()

    assert world.store.read(id) == TEXT


def test_an_index_that_fails_fails_the_write() -> None:
    class BrokenIndex(MemoryIndex):
        def find(self, ids: Sequence[ChunkId]) -> dict[ChunkId, Location]:
            raise ResourceExhausted(f"the database is full at {len(ids)} chunks; make room")

    objects = MemoryObjects()
    store = ChunkStore(objects, BrokenIndex(), threads=1)
    writer = store.writer()
    writer.add(TEXT)

    with pytest.raises(ResourceExhausted, match="database"):
        writer.seal()
    writer.abort()

    assert list(objects.list("")) == []
    store.close()


def test_a_pack_of_an_earlier_release_can_be_read(world: World) -> None:
    """The file holds a pack of format version 1 with both codecs; every later release must read it."""
    golden = json.loads((Path(__file__).parents[1] / "golden" / "pack.json").read_text())
    pack = bytes.fromhex(golden["pack"])
    world.objects.put("packs/00/golden", [pack])
    for id, offset, stored, length, codec in golden["entries"]:
        place = Location("packs/00/golden", offset, stored, length, codec)
        world.index.places[ChunkId(bytes.fromhex(id))] = place

    chunks = list(world.store.read_many(world.index.places))

    assert chunks == [TEXT[: 44 * 50], noise(300, 5), b"short"]
    assert pack[-32:] == blake3(pack[:-32]).digest()
    assert [place.codec for place in world.index.places.values()] == [ZSTD, RAW, RAW]


def test_a_small_write_goes_into_the_index_and_makes_no_object() -> None:
    world = World(inline_bytes=900 + 3 * ROW_BYTES + TRAILER_BYTES)
    writer = world.store.writer()
    ids = [writer.add(noise(300, seed=seed)) for seed in range(3)]

    packs = writer.seal()
    world.index.record_all(packs)

    assert list(world.objects.list("")) == []
    [pack] = packs
    body = pack.body or b""
    assert len(body) == pack.size
    assert read_table(pack.pack, len(body), lambda start, size: body[start : start + size]) == pack.table
    assert [world.store.read(id) for id in ids] == [noise(300, seed=seed) for seed in range(3)]
    assert list(world.store.read_many(ids * 2)) == [noise(300, seed=seed) for seed in range(3)] * 2
    assert writer.read(ids[1]) == noise(300, seed=1)


def test_a_write_over_the_inline_size_is_an_object() -> None:
    world = World(inline_bytes=1000)
    writer = world.store.writer()
    writer.add(noise(1000, seed=1))

    packs = writer.seal()

    assert [pack.body for pack in packs] == [None]
    assert [key for key, _ in world.objects.list("")] == [packs[0].pack]
