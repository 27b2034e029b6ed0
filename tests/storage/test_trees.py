"""Trees: the laws that everything above relies on, proved with segments of a few rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_world import TINY, CountingSource, World

from trunkline.errors import DataLoss
from trunkline.storage.builder import FROZEN, TreeFormat
from trunkline.storage.chunks import ChunkId
from trunkline.storage.segments import (
    EMPTY,
    Segment,
    Sums,
    TreeId,
    TreeKind,
    decode_manifest,
    decode_segment,
    encode_manifest,
    encode_segment,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "trees.json").read_text())

#: The size of a row is its value's length, so that sums are easy to tell.
SIZED = TreeKind(size_of=len, content_of=bytes)

keys = st.binary(min_size=1, max_size=3)
values = st.binary(max_size=40) | st.binary(min_size=500, max_size=1500)
rows = st.dictionaries(keys, values, max_size=70)
changes = st.dictionaries(keys, st.none() | values, max_size=40)


@pytest.fixture(scope="module")
def tiny() -> World:
    """One store for all examples: what is stored twice has the same id, which is what is proved."""
    return World(format=TINY, kind=SIZED)


def applied(before: dict[bytes, bytes], change: dict[bytes, bytes | None]) -> dict[bytes, bytes]:
    after: dict[bytes, bytes | None] = {**before, **change}
    return {key: value for key, value in after.items() if value is not None}


def summed(table: dict[bytes, bytes]) -> Sums:
    """Sums by the words of the format document."""
    lanes = [0, 0, 0, 0]
    for key, value in table.items():
        digest = blake3(len(key).to_bytes(4, "little") + key + value).digest()
        for lane in range(4):
            lanes[lane] = (lanes[lane] + int.from_bytes(digest[8 * lane : 8 * lane + 8], "little")) % 2**64
    return Sums(len(table), sum(map(len, table.values())), (lanes[0], lanes[1], lanes[2], lanes[3]))


@given(rows)
def test_a_tree_holds_its_rows_in_order(tiny: World, table: dict[bytes, bytes]) -> None:
    tree = tiny.build(table)

    assert list(tiny.cold().scan(tree)) == sorted(table.items())
    assert list(tiny.trees.scan(tree, reverse=True)) == sorted(table.items(), reverse=True)
    assert (tree == EMPTY) == (not table)


@given(rows, keys, st.none() | keys)
def test_a_range_holds_the_rows_of_the_range(
    tiny: World, table: dict[bytes, bytes], lo: bytes, hi: bytes | None
) -> None:
    tree = tiny.build(table)
    expected = {key: value for key, value in table.items() if lo <= key and (hi is None or key < hi)}

    assert list(tiny.trees.scan(tree, lo, hi)) == sorted(expected.items())
    assert list(tiny.trees.scan(tree, lo, hi, reverse=True)) == sorted(expected.items(), reverse=True)
    assert tiny.trees.summary(tree, lo, hi) == summed(expected)
    assert tiny.trees.summary(tree) == summed(table)


@given(rows, keys, st.integers(0, 80), st.integers(0, 80))
def test_rows_are_found_by_key_and_by_position(
    tiny: World, table: dict[bytes, bytes], key: bytes, start: int, stop: int
) -> None:
    tree = tiny.build(table)
    ordered = sorted(table.items())

    assert tiny.trees.get(tree, key) == table.get(key)
    assert tiny.trees.next_row(tree, key) == next((row for row in ordered if row[0] >= key), None)
    assert tiny.trees.rows(tree, start, stop) == ordered[start:stop]


@given(rows, changes)
@settings(max_examples=150)
def test_a_merged_tree_is_the_tree_of_its_rows(
    tiny: World, table: dict[bytes, bytes], change: dict[bytes, bytes | None]
) -> None:
    merged = tiny.merge(tiny.build(table), change)

    assert merged == tiny.build(applied(table, change))


@given(rows, st.lists(changes, max_size=4))
def test_changes_may_be_merged_in_any_portions(
    tiny: World, table: dict[bytes, bytes], portions: list[dict[bytes, bytes | None]]
) -> None:
    tree = tiny.build(table)
    for portion in portions:
        tree = tiny.merge(tree, portion)
        table = applied(table, portion)

    assert tree == tiny.build(table)


@given(rows, changes, st.booleans(), keys, st.none() | keys)
@settings(max_examples=120)
def test_a_diff_is_what_differs(
    tiny: World,
    table: dict[bytes, bytes],
    change: dict[bytes, bytes | None],
    unrelated: bool,
    lo: bytes,
    hi: bytes | None,
) -> None:
    other = {key: value for key, value in change.items() if value is not None}
    after = other if unrelated else applied(table, change)
    expected = [
        (key, table.get(key), after.get(key))
        for key in sorted({*table, *after})
        if table.get(key) != after.get(key)
    ]
    old, new = tiny.build(table), tiny.build(after)

    assert list(tiny.trees.diff(old, new)) == expected
    assert list(tiny.trees.diff(old, new, lo, hi)) == [
        row for row in expected if row[0] >= lo and (hi is None or row[0] < hi)
    ]


def big_table(count: int) -> dict[bytes, bytes]:
    return {b"/dir%02d/file%06d\0default" % (n % 50, n): blake3(b"%d" % n).digest() for n in range(count)}


@pytest.fixture(scope="module")
def big() -> tuple[World, dict[bytes, bytes], TreeId]:
    world = World(kind=SIZED)
    table = big_table(60_000)
    return world, table, world.build(table)


@pytest.mark.parametrize("key", [b"/", b"/dir25/file030025\0default", b"/dir25/new\0default", b"/zzz"])
def test_changing_one_row_of_many_reads_and_writes_a_few_segments(
    big: tuple[World, dict[bytes, bytes], TreeId], key: bytes
) -> None:
    world, table, tree = big
    cold = world.cold()
    source = cold._source
    assert isinstance(source, CountingSource)
    assert len(world.trees.manifest(tree).segments) > 30

    # Reads through the writer go on to the store of the writer; what the trees themselves read is counted.
    writer = world.store.writer()
    known = len(world.index.places)
    merged = world.trees.merge(writer, tree, [(key, b"changed")])
    world.index.record_all(writer.seal())
    differences = list(cold.diff(tree, merged))

    assert differences == [(key, table.get(key), b"changed")]
    assert len(world.index.places) - known <= 4
    assert source.reads.total() <= 8


def test_a_merge_reads_only_the_segments_that_it_changes() -> None:
    world = World(kind=SIZED)
    tree = world.build(big_table(60_000))
    writer = world.store.writer()
    source = CountingSource(world.store)

    class Counted:
        """The writer, with its reads counted."""

        add = staticmethod(writer.add)
        read = staticmethod(source.read)

    world.cold().merge(Counted(), tree, [(b"/dir25/new\0default", b"new")])  # type: ignore[arg-type]

    assert source.reads.total() <= 4
    writer.abort()


def test_a_summary_reads_only_the_edges(big: tuple[World, dict[bytes, bytes], TreeId]) -> None:
    world, table, tree = big
    cold = world.cold()
    source = cold._source
    assert isinstance(source, CountingSource)

    sums = cold.summary(tree, b"/dir10/", b"/dir400")

    assert sums == summed({key: value for key, value in table.items() if b"/dir10/" <= key < b"/dir400"})
    assert source.reads.total() <= 3


def test_equal_trees_are_equal_without_reading(big: tuple[World, dict[bytes, bytes], TreeId]) -> None:
    world, _, tree = big
    cold = world.cold()

    assert list(cold.diff(tree, tree)) == []
    assert cold._source.reads.total() == 0  # type: ignore[attr-defined]


def test_long_rows_make_short_segments_whose_ends_the_content_chooses() -> None:
    """Rows of big files: were only the byte limit to cut, one new row would shift every later segment."""
    world = World(kind=SIZED)
    table = {b"/f%04d\0t" % n: bytes(24_000) + b"%d" % n for n in range(1500)}
    tree = world.build(table)
    before = {segment.id for segment in world.trees.manifest(tree).segments}

    merged = world.merge(tree, {b"/f0000x\0t": bytes(24_000)})

    after = {segment.id for segment in world.trees.manifest(merged).segments}
    assert len(before) > 20
    assert len(after - before) <= 4
    assert max(segment.length for segment in world.trees.manifest(tree).segments) <= (1 << 20) + 60_000


def test_a_writer_sees_its_own_trees_before_they_are_sealed() -> None:
    world = World(kind=SIZED)
    writer = world.store.writer()
    tree = world.trees.build(writer, sorted(big_table(3000).items()))

    through = world.cold().through(writer)

    assert list(through.scan(tree)) == sorted(big_table(3000).items())
    writer.abort()


def test_the_bytes_of_segments_and_manifests_are_frozen() -> None:
    """Stored trees must stay readable, and equal trees must keep equal ids, in every later release."""
    golden_rows = {bytes.fromhex(key): bytes.fromhex(value) for key, value in GOLDEN["rows"].items()}
    segment = encode_segment(list(golden_rows), list(golden_rows.values()))
    entry = Segment(b"a", b"zz", ChunkId(bytes(range(32))), 1 << 33, Sums(7, 1 << 40, (1, 2**64 - 1, 3, 4)))

    assert segment.hex() == GOLDEN["segment"]
    assert decode_segment(segment).keys == list(golden_rows)
    assert decode_segment(segment).values == list(golden_rows.values())
    assert encode_manifest([entry, entry]).hex() == GOLDEN["manifest"]
    assert decode_manifest(bytes.fromhex(GOLDEN["manifest"])).segments == [entry, entry]
    assert EMPTY.hex() == GOLDEN["empty"]


def test_the_ends_of_segments_are_frozen(big: tuple[World, dict[bytes, bytes], TreeId]) -> None:
    """Other ends would store every tree anew and make every diff read everything."""
    world, _, tree = big

    assert TreeFormat() == FROZEN
    assert [segment.sums.rows for segment in world.trees.manifest(tree).segments] == GOLDEN["ends"]
    assert tree.hex() == GOLDEN["tree"]


@pytest.mark.parametrize("decode", [decode_segment, decode_manifest])
def test_foreign_bytes_are_refused(decode: object) -> None:
    with pytest.raises(DataLoss, match="begins with b'XXXX'"):
        decode(b"XXXX\0\0\0\0")  # type: ignore[operator]
