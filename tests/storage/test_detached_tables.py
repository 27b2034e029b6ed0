"""Packs of format 1 have their tables in objects of their own."""

from __future__ import annotations

import pytest
from blake3 import blake3

from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.errors import DataLoss
from trunkline.formats import detached_tables
from trunkline.formats.detached_tables import NO_CHUNK
from trunkline.formats.pack_format import table_rows
from trunkline.storage.chunks import PackRecord
from trunkline.storage.rebuild import UnreadablePack, pack_records

PACK = "packs/ab/abcd"
#: Chunks of 10, 20 and 30 bytes, as they lie in a pack; the index does not know the second one.
PIECES = [b"a" * 10, b"b" * 20, b"c" * 30]
BODY = b"".join(PIECES)
SIZE = len(BODY) + 32


def row(number: int) -> tuple[bytes, int, int, int, int]:
    piece = PIECES[number]
    return blake3(piece).digest(), BODY.index(piece), len(piece), len(piece), 0


def test_a_table_has_every_byte_of_its_pack_and_names_no_chunk_for_those_that_are_unknown() -> None:
    data = detached_tables.encode(PACK, SIZE, [row(0), row(2)])

    rows = list(table_rows(detached_tables.read(PACK, SIZE, data)))

    assert rows == [row(0), (NO_CHUNK, 10, 20, 20, 0), row(2)]


def test_a_pack_of_which_nothing_is_known_has_a_table_too() -> None:
    data = detached_tables.encode(PACK, SIZE, [])

    assert list(table_rows(detached_tables.read(PACK, SIZE, data))) == [(NO_CHUNK, 0, 60, 60, 0)]


def test_a_table_of_many_chunks_is_read() -> None:
    rows = [(n.to_bytes(32, "big"), 2 * n, 2, 2, 0) for n in range(10_000)]
    data = detached_tables.encode(PACK, 20_032, rows)

    assert list(table_rows(detached_tables.read(PACK, 20_032, data))) == rows


@pytest.mark.parametrize("rows", [[row(1), row(0)], [row(0), row(0)], [(bytes(32), 50, 11, 11, 0)]])
def test_rows_that_do_not_fit_into_the_pack_are_refused(rows: list[tuple[bytes, int, int, int, int]]) -> None:
    with pytest.raises(DataLoss):
        detached_tables.encode(PACK, SIZE, rows)


def test_the_index_is_built_from_the_table_of_a_pack_of_format_1() -> None:
    objects = MemoryObjects()
    objects.put(PACK, [BODY, blake3(BODY).digest()])
    objects.put(detached_tables.key_of(PACK), [detached_tables.encode(PACK, SIZE, [row(0), row(1), row(2)])])

    [record] = pack_records(objects)

    assert isinstance(record, PackRecord)
    assert (record.pack, record.size, record.stored_bytes) == (PACK, SIZE, 60)
    assert list(record.entries) == [row(0), row(1), row(2)]


GOOD = detached_tables.encode(PACK, SIZE, [row(0), row(1), row(2)])


@pytest.mark.parametrize(
    "data",
    [
        GOOD[:-1],
        GOOD[1:],
        b"",
        bytes([GOOD[0] ^ 1]) + GOOD[1:],
        detached_tables.encode(PACK, SIZE - 10, [row(0), row(1)]),
    ],
    ids=["cut at the end", "cut at the start", "empty", "changed", "of another pack"],
)
def test_a_damaged_or_foreign_table_is_named(data: bytes) -> None:
    objects = MemoryObjects()
    objects.put(PACK, [BODY, blake3(BODY).digest()])
    objects.put(detached_tables.key_of(PACK), [data])

    [record] = pack_records(objects)

    assert isinstance(record, UnreadablePack)
    assert record.pack == PACK
