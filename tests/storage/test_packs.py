"""Packs: laid out as frozen, readable from their end, verified before they are stored, refused when damaged."""

from __future__ import annotations

import json
import struct
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from storage_world import MemoryIndex, World, noise

from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.errors import DataLoss, FailedPrecondition
from trunkline.formats import pack_format
from trunkline.formats.codecs import RAW, ZSTD, decode, encode
from trunkline.formats.pack_format import (
    ROW_BYTES,
    TAIL_BYTES,
    TRAILER_BYTES,
    PackLayout,
    first_damaged,
    read_table,
    table_rows,
)
from trunkline.storage.chunks import chunk_id
from trunkline.storage.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT = b"the quick brown fox jumps over the lazy dog\n" * 100
GOLDEN = Path(__file__).parents[1] / "golden" / "pack-2.json"


def parts_of(pieces: Sequence[bytes]) -> list[bytes | memoryview]:
    """Return a pack of these chunks as its writer holds it."""
    layout = PackLayout("packs/00/test")
    ids = [blake3(piece).digest() for piece in pieces]
    codecs, stored = encode(pieces)
    count, body = layout.add(ids, pieces, codecs, stored)
    assert count == len(pieces)
    return [body, layout.end()]


def pack_of(pieces: Sequence[bytes]) -> bytes:
    return b"".join(parts_of(pieces))


def with_trailer(
    chunks: bytes,
    table: bytes,
    *,
    codec: int = RAW,
    version: int = 2,
    rows: int | None = None,
    size: int | None = None,
) -> bytes:
    """Return a pack whose trailer matches its hash, whatever else is wrong; written from docs/design/format.md."""
    count = len(table) // ROW_BYTES if rows is None else rows
    stored = len(chunks) if size is None else size
    tail = (
        table
        + b"TLPK"
        + struct.pack("<HBBIIIIQ", version, codec, 0, count, len(table), 41 * count, 0, stored)
    )
    return chunks + tail + blake3(tail).digest()


def table_of(*rows: tuple[bytes, int, int, int]) -> bytes:
    """Return the table of chunks given as id, stored bytes, length and codec."""
    ids, stored, lengths, codecs = zip(*rows, strict=True)
    numbers = struct.pack(f"<{2 * len(rows)}I", *stored, *lengths)
    return b"".join(ids) + numbers + bytes(codecs)


def table_in(pack: bytes) -> bytes:
    """Read the table of a pack from its end."""
    return read_table("packs/00/test", len(pack), lambda start, size: pack[start : start + size])


def test_packs_are_laid_out_as_frozen(world: World) -> None:
    """Chunks one after the other without framing, the table in columns, the trailer."""
    pieces = [noise(300, 5), b"short", noise(10, 6)]
    writer = world.store.writer()
    writer.add_many(pieces)
    (pack,) = writer.seal()
    table = table_of(*((blake3(piece).digest(), len(piece), len(piece), 0) for piece in pieces))

    assert world.objects.get(pack.pack) == with_trailer(b"".join(pieces), table)
    assert [entry[1:] for entry in pack.entries] == [(0, 300, 300, RAW), (300, 5, 5, RAW), (305, 10, 10, RAW)]


def test_a_pack_of_the_first_release_of_the_format_can_be_read() -> None:
    """Both codecs and a compressed table; every later release must read it."""
    golden = json.loads(GOLDEN.read_text())
    pack = bytes.fromhex(golden["pack"])

    rows = list(table_rows(table_in(pack)))

    assert [[id.hex(), *rest] for id, *rest in rows] == golden["rows"]
    assert pack[-TRAILER_BYTES + 6] == ZSTD
    chunks = [decode(id, codec, length, pack[at : at + stored]) for id, at, stored, length, codec in rows]
    assert chunks == [TEXT[: 44 * 50], *(noise(300, seed) for seed in range(8)), b"short"]
    assert first_damaged("packs/00/golden", [pack[: rows[-1][1] + 5], pack[rows[-1][1] + 5 :]]) is None


@given(st.lists(st.binary(min_size=1, max_size=2000), min_size=1, max_size=60, unique=True))
def test_the_table_at_the_end_names_every_chunk(pieces: list[bytes]) -> None:
    pack = pack_of(pieces)

    rows = list(table_rows(table_in(pack)))

    assert [decode(id, codec, length, pack[at : at + size]) for id, at, size, length, codec in rows] == pieces
    assert first_damaged("packs/00/test", parts_of(pieces)) is None


def test_a_table_that_is_longer_than_the_first_read_takes_one_more() -> None:
    pieces = [number.to_bytes(4, "big") for number in range(4000)]
    pack = pack_of(pieces)
    reads: list[tuple[int, int]] = []

    def get(start: int, size: int) -> bytes:
        reads.append((start, size))
        return pack[start : start + size]

    table = read_table("packs/00/test", len(pack), get)

    assert [row[0] for row in table_rows(table)] == [blake3(piece).digest() for piece in pieces]
    assert len(reads) == 2
    assert reads[0] == (len(pack) - TAIL_BYTES, TAIL_BYTES)
    assert sum(reads[1]) == reads[0][0]


def test_a_pack_of_tiny_chunks_ends_before_its_table_outgrows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_format, "PACK_BYTES", 10_000)
    layout = PackLayout("packs/00/test")
    pieces = [bytes([number % 256, number // 256]) for number in range(2000)]
    ids = [blake3(piece).digest() for piece in pieces]

    count, _ = layout.add(ids, pieces, [RAW] * 2000, pieces)

    assert layout.is_full
    assert count == 10_000 // (2 + ROW_BYTES) + 1


# --- what is not a pack -------------------------------------------------------------------------------------

PIECES = [noise(700, 1), TEXT, noise(900, 2)]
WHOLE = pack_of(PIECES)
ID = blake3(b"abc").digest()


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        WHOLE[:40],
        WHOLE[:-1],
        WHOLE[1:],
        WHOLE + b"\0",
        WHOLE[100:],
        noise(5000, 3),
        WHOLE[:-32] + noise(32, 4),
        WHOLE[:2000] + pack_of([noise(50, 5)]),
        with_trailer(b"abc", table_of((ID, 3, 3, RAW)), rows=2),
        with_trailer(b"abc", table_of((ID, 3, 3, RAW)), size=4),
        with_trailer(b"ab", table_of((ID, 3, 3, RAW))),
        with_trailer(b"abc", table_of((ID, 3, 4, RAW))),
        with_trailer(b"abc", table_of((ID, 3, 0, ZSTD))),
        with_trailer(b"abc", table_of((ID, 3, 3, RAW), (ID, 0, 7, ZSTD))),
        with_trailer(b"abc", table_of((ID, 3, 3, RAW)), codec=ZSTD),
        with_trailer(b"abc", zstandard.compress(b"x" * 82), codec=ZSTD, rows=1),
        with_trailer(b"abc", b"", rows=10**8),
    ],
    ids=[
        "empty",
        "shorter than a trailer",
        "truncated",
        "without its first byte",
        "longer",
        "without its first chunks",
        "foreign",
        "another hash",
        "the end of another pack",
        "fewer rows than it says",
        "shorter than its trailer says",
        "shorter than its table says",
        "raw, of another length",
        "a chunk without bytes",
        "a chunk without stored bytes",
        "a table that is not compressed",
        "a table of another length",
        "a hundred million rows",
    ],
)
def test_what_is_not_a_whole_pack_is_data_loss_that_names_it(damaged: bytes) -> None:
    with pytest.raises(DataLoss, match="packs/00/test"):
        table_in(damaged)


@pytest.mark.parametrize("at", range(-len(WHOLE) + sum(row[2] for row in table_rows(table_in(WHOLE))), 0, 3))
def test_a_flipped_bit_in_table_or_trailer_is_noticed(at: int) -> None:
    flipped = bytearray(WHOLE)
    flipped[at] ^= 0x10

    with pytest.raises((DataLoss, FailedPrecondition), match="packs/00/test"):
        table_in(bytes(flipped))


@pytest.mark.parametrize(
    "newer",
    [
        with_trailer(b"abc", table_of((ID, 3, 3, RAW)), version=3),
        with_trailer(b"abc", table_of((ID, 3, 3, RAW)), codec=16),
        with_trailer(b"abc", table_of((ID, 3, 3, 16))),
    ],
    ids=["version", "codec of the table", "codec of a chunk"],
)
def test_a_pack_of_a_newer_release_is_refused_and_not_called_damaged(newer: bytes) -> None:
    with pytest.raises(FailedPrecondition, match="packs/00/test"):
        table_in(newer)


def test_a_chunk_under_an_unknown_codec_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match=ID.hex()):
        decode(ID, 16, 3, b"abc")


def test_a_frame_that_claims_other_bytes_than_the_table_is_not_decompressed() -> None:
    bomb = zstandard.compress(bytes(1 << 24))

    assert decode(blake3(bytes(1 << 24)).digest(), ZSTD, 100, bomb) is None


# --- verification -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(4))
def test_a_bit_that_flips_in_memory_is_noticed_before_the_upload(number: int) -> None:
    pieces = [noise(700, 1), TEXT, TEXT[5:], noise(900, 2)]
    body, tail = parts_of(pieces)
    rows = list(table_rows(table_in(bytes(body) + bytes(tail))))
    id, offset, stored, *_ = rows[number]
    flipped = bytearray(body)
    flipped[offset + stored // 2] ^= 1

    assert first_damaged("packs/00/test", [bytes(flipped), tail]) == id


@pytest.mark.parametrize("inline_bytes", [0, 1 << 20], ids=["object", "in the index"])
@pytest.mark.parametrize("content", [TEXT, noise(4000, 7)], ids=["compressed", "raw"])
def test_a_write_whose_bytes_change_in_memory_is_neither_stored_nor_recorded(
    inline_bytes: int, content: bytes
) -> None:
    world = World(inline_bytes=inline_bytes)
    memory = bytearray(content)
    writer = world.store.writer()
    writer.add_many([noise(900, 1), memoryview(memory), TEXT[44:]])
    memory[1000] ^= 1  # after its id was computed, before it is compressed

    with pytest.raises(DataLoss, match=chunk_id(content).hex()):
        writer.seal()
    writer.abort()

    assert list(world.objects.list("")) == []
    assert world.index.places == {}


def test_verification_can_be_switched_off() -> None:
    objects, index = MemoryObjects(), MemoryIndex()
    store = ChunkStore(objects, index, threads=1, inline_bytes=0, verify=False)
    memory = bytearray(TEXT)
    writer = store.writer()
    id = writer.add(memoryview(memory))
    memory[1000] ^= 1

    index.record_all(writer.seal())

    with pytest.raises(DataLoss, match=id.hex()):
        store.read(id)
    store.close()


def test_the_table_in_the_record_is_that_of_the_object(world: World) -> None:
    writer = world.store.writer()
    writer.add_many([TEXT, noise(500, 1), *(noise(60, seed) for seed in range(2, 60))])
    (pack,) = writer.seal()

    table = read_table(pack.pack, pack.size, partial(world.objects.get, pack.pack))

    assert list(table_rows(table)) == list(pack.entries)


@pytest.mark.parametrize("size", [256 << 10, 1 << 20])
def test_a_large_chunk_is_compressed_unless_samples_of_it_are_incompressible(size: int) -> None:
    text, random = (TEXT * (size // len(TEXT) + 1))[:size], noise(size)
    mixed = b"".join(random[at : at + 100] + text[at : at + 100] for at in range(0, size, 200))[:size]

    for pieces in ([text], [random], [mixed], [text, random, mixed]):
        codecs, stored = encode(pieces)

        assert codecs == [RAW if piece is random else ZSTD for piece in pieces]
        assert all(len(data) <= len(piece) for data, piece in zip(stored, pieces, strict=True))
        rows = zip(pieces, codecs, stored, strict=True)
        assert all(decode(chunk_id(piece), codec, size, data) == piece for piece, codec, data in rows)
