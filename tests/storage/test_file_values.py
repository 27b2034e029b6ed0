"""The values of file rows: inline and long chunk lists, attributes, and what of them counts."""

from __future__ import annotations

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from storage_world import MemoryIndex, World, noise

from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.errors import DataLoss
from trunkline.formats.chunking import REF
from trunkline.storage import chunk_lists, file_values, files
from trunkline.storage.apply_deltas import apply_deltas
from trunkline.storage.deltas import DeltaWriter
from trunkline.storage.scratch_chunks import ScratchChunks
from trunkline.storage.store import ChunkStore
from trunkline.storage.sums import EMPTY

counts = st.sampled_from([0, 1, 2, 28, 29, 63, 64, 65, 700, 1024, 3000])
attribute_bytes = st.sampled_from([b"", b"\1\x0a\0text/plain", b"\2\x10\0" + bytes(16)])


def chunk_list(count: int, seed: int = 0) -> bytes:
    return b"".join(
        REF.pack(blake3(b"%d %d" % (seed, number)).digest(), number % 1000 + 1) for number in range(count)
    )


def scratch() -> ScratchChunks:
    return ScratchChunks(ChunkStore(MemoryObjects(), MemoryIndex(), threads=1))


@given(counts, attribute_bytes)
def test_a_value_gives_back_list_size_hash_and_attributes(count: int, attributes: bytes) -> None:
    sink, chunks = scratch(), chunk_list(count)

    value = file_values.encode(sink, chunks, attributes)

    assert file_values.list_of(sink, value) == chunks
    assert file_values.count_of(value) == count
    assert file_values.size_of(value) == chunk_lists.size_of(chunks)
    assert file_values.hash_of(value) == chunk_lists.hash_of(chunks)
    assert file_values.attributes_of(value) == attributes
    assert len(value) <= file_values.LONGEST_INLINE + len(attributes) + 3


@given(counts, attribute_bytes)
def test_attributes_do_not_enter_the_sum(count: int, attributes: bytes) -> None:
    sink, chunks = scratch(), chunk_list(count)

    assert file_values.content_of(file_values.encode(sink, chunks, attributes)) == file_values.content_of(
        file_values.encode(sink, chunks)
    )


@given(st.lists(st.tuples(st.sampled_from([0, 1, 1, 1, 2, 29]), attribute_bytes), min_size=1, max_size=5))
def test_many_values_are_summed_up_as_each(shapes: list[tuple[int, bytes]]) -> None:
    sink = scratch()
    values = [
        file_values.encode(sink, chunk_list(count, seed), attributes)
        for seed, (count, attributes) in enumerate(shapes)
    ]

    size, contents = file_values.summed_of(values)

    assert size == sum(map(file_values.size_of, values))
    assert list(contents) == list(map(file_values.content_of, values))


@given(counts, st.integers(0, 1 << 21), st.none() | st.integers(0, 1 << 20))
def test_the_spans_of_a_range_are_those_of_the_whole_list(
    count: int, offset: int, length: int | None
) -> None:
    sink, chunks = scratch(), chunk_list(count)
    value = file_values.encode(sink, chunks)
    end = file_values.size_of(value) if length is None else offset + length
    expected, position = [], 0
    for id, size in REF.iter_unpack(chunks):
        start, stop = max(offset - position, 0), min(end - position, size)
        if start < stop:
            expected.append((id, start, stop, size))
        position += size

    assert list(file_values.spans(sink, value, offset, length)) == expected


def test_appending_to_a_long_list_keeps_its_pieces() -> None:
    sink, chunks = scratch(), chunk_list(5000)

    before = file_values.nodes_of(sink, file_values.encode(sink, chunks))
    after = file_values.nodes_of(sink, file_values.encode(sink, chunks + chunk_list(1, seed=1)))

    assert len(set(after) - set(before)) == 2  # the head and the last piece
    assert len(before) > 10


def test_a_file_with_a_long_list_is_written_read_copied_and_appended_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_values, "LONGEST_INLINE", REF.size)
    data, more = noise(3 << 20), noise(2 << 20, seed=1)
    tree = world.files({"/a": data})
    entry = files.inspect(world.trees, tree, "/a")
    assert entry is not None
    writer = world.store.writer()
    delta = DeltaWriter(world.trees, writer)
    delta.copy("/b", "default", entry.value, append=False)
    delta.add("/a", "default", more)

    applied = apply_deltas(world.trees, writer, tree, delta.finish())
    world.index.record_all(writer.seal())

    contents = {
        file.path: b"".join(files.read(world.store, file.value))
        for file in files.listing(world.trees, applied.tree, "/")
    }
    assert contents == {"/a": data + more, "/b": data}
    assert applied.tree == world.files(contents)
    assert b"".join(files.read(world.store, entry.value, 2_500_000, 100)) == data[2_500_000:2_500_100]


def test_attributes_of_a_copy_are_kept_and_those_of_a_later_append_win(world: World) -> None:
    writer = world.store.writer()
    typed = file_values.encode(writer, chunk_lists.cut(writer, [b"text"]), b"\1\1\0a")
    other = file_values.encode(writer, chunk_lists.cut(writer, [b"more"]), b"\1\1\0b")
    delta = DeltaWriter(world.trees, writer)
    delta.copy("/a", "default", typed, append=False)
    delta.copy("/b", "default", typed, append=False)
    delta.copy("/b", "default", other, append=True)

    applied = apply_deltas(world.trees.through(writer), writer, EMPTY, delta.finish())
    world.index.record_all(writer.seal())

    values = {file.path: file.value for file in files.listing(world.trees, applied.tree, "/")}
    assert [file_values.attributes_of(values[path]) for path in ("/a", "/b")] == [b"\1\1\0a", b"\1\1\0b"]
    assert b"".join(files.read(world.store, values["/b"])) == b"textmore"


@pytest.mark.parametrize(
    "value",
    [b"", b"\0", b"\3" + bytes(36), b"\1" + bytes(35), b"\2" + bytes(36), b"\x81\xff\xff"],
    ids=["empty", "form 0", "form 3", "cut inline list", "cut long list", "cut attributes"],
)
def test_a_value_that_no_release_wrote_is_data_loss(value: bytes) -> None:
    for read in (file_values.size_of, file_values.hash_of, file_values.count_of, file_values.attributes_of):
        with pytest.raises(DataLoss):
            read(value)


@pytest.mark.parametrize("damage", ["foreign", "truncated", "swapped", "newer"])
def test_a_damaged_long_list_is_data_loss_with_its_id(damage: str) -> None:
    class Damaged(ScratchChunks):
        def read(self, id):  # type: ignore[no-untyped-def]
            data = super().read(id)
            if damage == "foreign":
                return b"something else " * 10
            if damage == "truncated":
                return data[:-1]
            if damage == "newer":
                return data[:2] + b"\3" + data[3:]
            return data[:4] + bytes((1 - data[4],)) + data[5:]

    sink = Damaged(ChunkStore(MemoryObjects(), MemoryIndex(), threads=1))
    value = file_values.encode(sink, chunk_list(100))

    with pytest.raises(DataLoss, match=value[1:33].hex()):
        file_values.list_of(sink, value)
