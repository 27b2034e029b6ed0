"""Trees: the laws that everything above relies on, proved with nodes of a few items against plain models."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING
from zlib import crc32

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from naive_trees import NaiveTrees
from storage_world import TINY, CountingSource, World, nodes_of

from trunkline.storage.files import FILES
from trunkline.storage.lru import ByteCache
from trunkline.storage.nodes import Inner, Leaf
from trunkline.storage.sums import DATUM_TREE, EMPTY, Sums, TreeId, TreeKind, decode_entry, is_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def by_length(values: Sequence[bytes]) -> tuple[int, Sequence[bytes]]:
    """The size of a row is its value's length, so that sums are easy to compute."""
    return sum(map(len, values)), values


FLAT = replace(TINY, own=0, summed_of=by_length)
NESTED = replace(TINY, summed_of=by_length)
LARGE = replace(FILES, summed_of=by_length)

plain_keys = st.binary(min_size=1, max_size=3).map(lambda key: key.replace(b"/", b".") + b"\0")
names = st.sampled_from([b"a", b"a-b", b"a0", b"b", b"dir", b"n1", b"n2", b"n3", b"x" * 150])
paths = st.lists(names, min_size=1, max_size=5).map(lambda parts: b"/" + b"/".join(parts))
path_keys = st.builds(lambda path, tag: path + b"\0" + tag, paths, st.sampled_from([b"default", b"ab/c"]))
values = st.binary(max_size=40) | st.binary(min_size=88, max_size=88) | st.binary(min_size=500, max_size=1500)

Table = dict[bytes, bytes]
Changes = dict[bytes, bytes | None]


def tables(keys: st.SearchStrategy[bytes], most: int = 70) -> st.SearchStrategy[Table]:
    return st.dictionaries(keys, values, max_size=most)


def changes_of(keys: st.SearchStrategy[bytes]) -> st.SearchStrategy[Changes]:
    return st.dictionaries(keys, st.none() | values, max_size=40)


KINDS = {"flat": (FLAT, plain_keys), "nested": (NESTED, path_keys)}
WORLDS: dict[str, World] = {}


@pytest.fixture(params=sorted(KINDS), scope="module")
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """One store for all examples: what is stored twice has the same id, which is what is proved."""
    name: str = request.param
    world = WORLDS[name] = World(kind=KINDS[name][0])
    yield name
    world.store.close()


def applied(before: Table, change: Changes) -> Table:
    after: Changes = {**before, **change}
    return {key: value for key, value in after.items() if value is not None}


def within(table: Table, lo: bytes, hi: bytes | None) -> Table:
    return {key: value for key, value in table.items() if lo <= key and (hi is None or key < hi)}


def summed(table: Table) -> Sums:
    """Sums by the words of the format document."""
    lanes = [0, 0, 0, 0]
    for key, value in table.items():
        digest = blake3(len(key).to_bytes(4, "little") + key + value).digest()
        for lane in range(4):
            lanes[lane] = (lanes[lane] + int.from_bytes(digest[8 * lane : 8 * lane + 8], "little")) % 2**64
    return Sums(len(table), sum(map(len, table.values())), (lanes[0], lanes[1], lanes[2], lanes[3]))


@given(st.data())
@settings(max_examples=60)
def test_a_tree_gives_its_rows_by_key_range_and_position(kind: str, data: st.DataObject) -> None:
    world, keys = WORLDS[kind], KINDS[kind][1]
    table = data.draw(tables(keys))
    lo = data.draw(
        keys | keys.map(lambda key: key[: len(key) // 2]) | keys.map(lambda key: key.split(b"\0")[0])
    )
    hi = data.draw(st.none() | keys | keys.map(lambda key: key[: len(key) // 2]))
    start, stop = data.draw(st.integers(0, 80)), data.draw(st.integers(0, 80))
    tree = world.build(table)
    ordered = sorted(table.items())
    part = within(table, lo, hi)
    cold = world.cold()

    assert list(cold.scan(tree)) == ordered
    assert [row for run in cold.runs(tree) for row in zip(*run, strict=True)] == ordered
    assert list(cold.scan(tree, reverse=True)) == ordered[::-1]
    assert (tree == EMPTY) == (not table)
    assert list(cold.scan(tree, lo, hi)) == sorted(part.items())
    assert list(cold.scan(tree, lo, hi, reverse=True)) == sorted(part.items(), reverse=True)
    assert cold.summary(tree, lo, hi) == summed(part)
    assert cold.summary(tree) == summed(table)
    assert [cold.get(tree, key) for key, _ in ordered * 2] == [value for _, value in ordered * 2]
    assert cold.get(tree, lo) == table.get(lo)
    assert cold.next_row(tree, lo) == next((row for row in ordered if row[0] >= lo), None)
    assert cold.rows(tree, start, stop) == ordered[start:stop]


@given(st.data())
@settings(max_examples=80)
def test_a_tree_is_a_function_of_its_rows_whatever_their_history(kind: str, data: st.DataObject) -> None:
    world, keys = WORLDS[kind], KINDS[kind][1]
    table = data.draw(tables(keys))
    tree = world.build(table)
    for portion in data.draw(st.lists(changes_of(keys), min_size=1, max_size=4)):
        tree = world.merge(tree, portion)
        table = applied(table, portion)

        assert tree == world.build(table)


@given(tables(path_keys))
@settings(max_examples=60)
def test_a_tree_is_the_one_that_the_format_document_describes(table: Table) -> None:
    world = WORLDS.setdefault("specified", World(kind=NESTED))

    assert world.build(table) == NaiveTrees(NESTED.leaf, NESTED.fan_out, NESTED.own).tree_id(table)


def test_a_large_tree_is_the_one_that_the_format_document_describes(big: tuple[World, Table, TreeId]) -> None:
    _, table, tree = big

    assert tree == NaiveTrees(4096, 32, 1024).tree_id(table)


@given(st.data())
@settings(max_examples=60)
def test_a_diff_is_what_differs(kind: str, data: st.DataObject) -> None:
    world, keys = WORLDS[kind], KINDS[kind][1]
    table, change = data.draw(tables(keys)), data.draw(changes_of(keys))
    unrelated, lo, hi = data.draw(st.booleans()), data.draw(keys), data.draw(st.none() | keys)
    after = applied({} if unrelated else table, change)
    expected = [
        (key, table.get(key), after.get(key))
        for key in sorted({*table, *after})
        if table.get(key) != after.get(key)
    ]
    old, new = world.build(table), world.build(after)

    assert list(world.cold().diff(old, new)) == expected
    assert list(world.trees.diff(old, new, lo, hi)) == [
        row for row in expected if row[0] >= lo and (hi is None or row[0] < hi)
    ]


@given(st.integers(900, 1100), st.integers(900, 1100), st.binary(min_size=1, max_size=1))
def test_a_folder_is_a_sequence_from_its_weight_on(before: int, after: int, value: bytes) -> None:
    """Around 1,024 bytes a folder becomes a sub-tree or rows again; its files are the same to every reader."""
    world = WORLDS.setdefault("around", World(kind=LARGE))

    def table(weight: int, last: bytes) -> Table:
        files = {b"/a/f%d\0tag12"[:-1] % n: bytes(36) for n in range(8)}
        weights = sum(len(key) - 3 + 36 for key in files)
        rest = weight - weights - len(b"end\0default")
        return {**files, b"/a/end\0default": last * rest, b"/z\0default": b""}

    old_rows, new_rows = table(before, b"\0"), table(after, value)
    old = world.build(old_rows)
    new = world.merge(old, new_rows)  # type: ignore[arg-type]  # a mapping to bytes is one to bytes or None
    leaf = world.trees.reader.node(new)  # type: ignore[arg-type]
    assert isinstance(leaf, Leaf)

    assert new == world.build(new_rows)
    assert is_entry(leaf.key(0)) == (after >= 1024)
    assert list(world.trees.diff(old, new)) == [
        (key, old_rows[key], new_rows[key]) for key in sorted(old_rows) if old_rows[key] != new_rows[key]
    ]
    if after >= 1024:
        entry = decode_entry(leaf.value(0))
        assert entry.weight == after
        assert Sums(*entry.sums[:2], entry.sums[2:]) == summed(within(new_rows, b"/a/", b"/a0"))  # type: ignore[arg-type]


def big_table(count: int) -> Table:
    return {
        b"/dir%02d/file%06d\0default" % (n % 50, n): blake3(b"%d" % n).digest() + b"\1\0\0\0"
        for n in range(count)
    }


@pytest.fixture(scope="module")
def big() -> Iterator[tuple[World, Table, TreeId]]:
    world = World(kind=LARGE)
    table = big_table(60_000)
    yield world, table, world.build(table)
    world.store.close()


@pytest.mark.parametrize(
    "key", [b"/\0t", b"/dir25/file030025\0default", b"/dir25/new\0default", b"/new/new\0t", b"/zzz\0t"]
)
def test_changing_one_row_of_many_reads_and_writes_a_few_nodes(
    big: tuple[World, Table, TreeId], key: bytes
) -> None:
    world, table, tree = big
    cold = world.cold()
    source = cold._source
    assert isinstance(source, CountingSource)
    before = {address for address, _ in nodes_of(world.trees, tree)}

    merged = world.merge(tree, {key: b"changed"})
    differences = list(cold.diff(tree, merged))

    fresh = [node for address, node in nodes_of(world.trees, merged) if address not in before]
    assert merged == world.build({**table, key: b"changed"})
    assert differences == [(key, table.get(key), b"changed")]
    assert len(before) > 700
    assert len(fresh) <= 6
    assert source.reads.total() <= 16


def test_deleting_every_row_leaves_the_empty_tree(big: tuple[World, Table, TreeId]) -> None:
    world, table, tree = big

    assert world.merge(tree, dict.fromkeys(table)) == EMPTY


def test_many_changes_at_once_give_the_tree_of_the_rows(big: tuple[World, Table, TreeId]) -> None:
    world, table, tree = big
    change: Changes = {key: None if n % 3 else b"x" for n, key in enumerate(islice(table, 0, None, 7))}
    change |= {b"/dir%02d/add%06d\0default" % (n % 70, n): b"%d" % n for n in range(5000)}

    merged = world.merge(tree, change)

    assert merged == world.build(applied(table, change))
    assert len(list(world.trees.diff(tree, merged))) == len(change)


def test_folders_above_the_changed_one_keep_their_other_folders(big: tuple[World, Table, TreeId]) -> None:
    world, table, tree = big
    cold = world.cold()
    source = cold._source
    assert isinstance(source, CountingSource)

    folder = cold.folder(tree, b"/dir10/")
    assert folder is not None
    sums = folder.sums(cold.reader)

    assert Sums(*sums[:2], sums[2:]) == summed(within(table, b"/dir10/", b"/dir100"))  # type: ignore[arg-type]
    assert source.reads.total() <= 3
    assert cold.folder(tree, b"/dir1/") is None


def test_a_second_look_up_in_a_folder_reads_nothing_above_it(big: tuple[World, Table, TreeId]) -> None:
    world, table, tree = big
    cold = world.cold()
    source = cold._source
    assert isinstance(source, CountingSource)
    first, second = b"/dir25/file000025\0default", b"/dir25/file030025\0default"

    cold.get(tree, first)
    cold.reader.cache.inner = ByteCache(1 << 20)
    cold.reader.cache.leaves = ByteCache(1 << 20)
    source.reads.clear()

    assert cold.get(tree, second) == table[second]
    assert source.reads.total() == 2
    assert TreeId(tree) not in source.reads


def test_a_pass_over_many_leaves_leaves_inner_nodes_in_the_cache_alone(
    big: tuple[World, Table, TreeId],
) -> None:
    world, table, tree = big
    cold = world.cold()
    source = cold._source
    assert isinstance(source, CountingSource)

    assert list(cold.passing().scan(tree)) == sorted(table.items())
    source.reads.clear()

    assert cold.get(tree, b"/dir25/file000025\0default") is not None
    assert cold.get(tree, b"/dir25/file000025\0default") is not None
    assert list(source.reads.values()) == [1, 1]


def test_equal_trees_are_equal_without_reading(big: tuple[World, Table, TreeId]) -> None:
    world, _, tree = big
    cold = world.cold()

    assert list(cold.diff(tree, tree)) == []
    assert cold._source.reads.total() == 0  # type: ignore[attr-defined]


def test_positions_are_read_without_what_is_before() -> None:
    world = World(kind=TreeKind(DATUM_TREE, leaf=16_384, fan_out=32))
    table = {blake3(b"%d" % n).digest(): bytes(200) for n in range(20_000)}
    tree = world.build(table)
    cold = world.cold()

    assert cold.rows(tree, 15_000, 15_100) == sorted(table.items())[15_000:15_100]
    assert cold._source.reads.total() <= 5  # type: ignore[attr-defined]


def test_ids_that_end_with_a_slash_are_no_folders() -> None:
    """A datum's id is any 32 bytes."""
    world = World(kind=TreeKind(DATUM_TREE, leaf=256, fan_out=4))
    table = {bytes([n]) * 31 + b"/": bytes(20) for n in range(1, 200)}
    tree = world.build(table)
    changed = world.merge(tree, {bytes([7]) * 31 + b"/": b"x"})

    assert list(world.cold().scan(tree)) == sorted(table.items())
    assert list(world.trees.diff(tree, changed)) == [(bytes([7]) * 31 + b"/", bytes(20), b"x")]


def test_long_rows_make_small_nodes_whose_ends_the_content_chooses() -> None:
    """Paths of 3,000 bytes and values of a megabyte: no node holds more than one of them beyond its size."""
    world = World(kind=LARGE)
    table = {b"/f%04d\0t" % n: bytes(24_000) + b"%d" % n for n in range(300)}
    table |= {
        b"/" + b"/".join([b"%03d" % (n % 7) + b"y" * 200] * 14) + b"%d\0t" % n: b"z" for n in range(300)
    }
    table[b"/g\0t"] = bytes(1 << 20)
    tree = world.build(table)
    before = {address for address, _ in nodes_of(world.trees, tree)}

    merged = world.merge(tree, {b"/f0000x\0t": bytes(24_000)})

    after = {address for address, _ in nodes_of(world.trees, merged)}
    assert merged == world.build({**table, b"/f0000x\0t": bytes(24_000)})
    assert len(after - before) <= 6
    sizes = [len(node._data) for _, node in nodes_of(world.trees, tree) if isinstance(node, Inner)]
    assert max(sizes) < 32 << 10


@pytest.mark.parametrize("always", [True, False])
def test_names_that_aim_at_the_hash_of_keys_keep_the_tree_correct(always: bool) -> None:
    """A CRC can be aimed at: names that always end a node, or never do. It costs rewriting, never correctness."""

    def ends(key: bytes) -> bool:
        x = crc32(key) * 0x9E3779B97F4A7C15 % 2**64
        return ((x ^ x >> 29) * 0x9E3779B97F4A7C15 % 2**64 >> 32) < 2**26

    candidates = (b"n%06d\0t" % n for n in range(400_000))
    chosen = list(islice((name for name in candidates if ends(name) == always), 1500))
    world = World(kind=LARGE)
    table = {b"/" + name: bytes(36) for name in chosen}
    tree = world.build(table)

    merged = world.merge(tree, {b"/a\0t": bytes(36)})

    assert merged == world.build({**table, b"/a\0t": bytes(36)})
    assert list(world.cold().scan(merged))[1:] == sorted(table.items())


def test_a_writer_sees_its_own_trees_before_they_are_sealed() -> None:
    world = World(kind=LARGE)
    writer = world.store.writer()
    tree = world.trees.build(writer, sorted(big_table(3000).items()))

    through = world.cold().through(writer)

    assert list(through.scan(tree)) == sorted(big_table(3000).items())
    writer.abort()
