"""Cutting: the same content gives the same cuts, however it comes in, today and in ten years."""

from __future__ import annotations

import io
import json
from itertools import accumulate, pairwise
from pathlib import Path

import pyfastcdc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_world import World, noise

from trunkline.formats.chunking import (
    AVERAGE_BYTES,
    MAX_BYTES,
    MIN_BYTES,
    REF,
    Chunker,
    chunk_name,
    chunk_names,
)
from trunkline.storage import chunk_lists

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "cuts.json").read_text())


def whole_cuts(data: bytes) -> list[int]:
    """Cut in one call, by the library alone."""
    cutter = pyfastcdc.FastCDC(
        AVERAGE_BYTES, min_size=MIN_BYTES, max_size=MAX_BYTES, normalized_chunking=2, seed=0
    )
    return [chunk.length for chunk in cutter.cut_buf(data)]


def pushed_cuts(data: bytes, frame: int) -> list[int]:
    chunker = Chunker()
    chunks = [c for at in range(0, len(data), frame) for c in chunker.feed(data[at : at + frame])]
    chunks += chunker.finish()
    assert b"".join(chunks) == data
    return [len(chunk) for chunk in chunks]


@given(st.integers(0, 24 << 20), st.integers(1, 6 << 20), st.integers(4 << 20, 8 << 20), st.integers(1, 9))
@settings(max_examples=15)
def test_cuts_depend_neither_on_the_window_nor_on_pauses(
    size: int, frame: int, window: int, pause: int
) -> None:
    data = noise(size)
    chunker = Chunker()
    chunks: list[bytes | memoryview] = []
    for number, at in enumerate(range(0, size, frame)):
        chunks += chunker.feed(data[at : at + frame], window)
        if number % pause == 0:
            chunks += chunker.drain()
            assert chunker.held_bytes <= MAX_BYTES
    chunks += chunker.finish()

    assert [len(chunk) for chunk in chunks] == whole_cuts(data)


@given(st.integers(0, 24 << 20), st.integers(1, 12 << 20), st.integers(0, 3))
@settings(max_examples=15)
def test_cuts_do_not_depend_on_how_the_bytes_come_in(size: int, frame: int, seed: int) -> None:
    data = noise(size, seed)

    assert pushed_cuts(data, max(frame, size // 2000)) == whole_cuts(data)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_cut_points_are_frozen(case: dict[str, object]) -> None:
    """Other cut points would store every existing file anew: this list must never change."""
    pattern = noise(case["pattern"], case["seed"])  # type: ignore[arg-type]
    data = (pattern * (int(case["size"]) // len(pattern) + 1))[: case["size"]]  # type: ignore[call-overload]

    assert pushed_cuts(data, 1 << 20) == case["cuts"]


@given(st.integers(0, 12 << 20), st.integers(2 << 20, 9 << 20), st.integers(0, 3))
@settings(max_examples=15)
def test_naming_the_chunks_of_a_file_gives_the_cuts_of_the_whole(size: int, room: int, seed: int) -> None:
    """What a client says a file consists of is what the store would have made of it."""
    data = noise(size, seed)
    file = io.BytesIO(data)

    named = list(chunk_names(lambda view: file.readinto(view[: 1 << 20]), bytearray(room + 1)))

    lengths = [length for _, length in named]
    ends = list(accumulate(lengths, initial=0))
    assert lengths == whole_cuts(data)
    assert [id for id, _ in named] == [chunk_name(data[a:b]) for a, b in pairwise(ends)]


def test_an_empty_file_has_no_chunk_and_a_short_one_has_one() -> None:
    assert pushed_cuts(b"", 10) == []
    assert pushed_cuts(noise(MIN_BYTES), 100_000) == [MIN_BYTES]


@given(st.integers(0, 9 << 20), st.integers(0, 9 << 20), st.integers(0, 2))
@settings(max_examples=15)
def test_one_file_put_behind_another_is_cut_like_the_whole(first: int, second: int, seed: int) -> None:
    """The law behind append and copy: the chunk list is a function of the content."""
    world = World()
    head, tail = noise(first, seed), noise(second, seed + 1)
    writer = world.store.writer()

    joined = chunk_lists.concat(writer, chunk_lists.cut(writer, [head]), chunk_lists.cut(writer, [tail]))

    assert [size for _, size in chunk_lists.chunks_of(joined)] == whole_cuts(head + tail)
    assert b"".join(writer.read(id) for id, _ in chunk_lists.chunks_of(joined)) == head + tail
    writer.abort()
    world.store.close()


def test_appending_to_a_long_file_reads_only_around_the_seam() -> None:
    """After the first cut that both agree on, the appended file's chunks are taken as they are."""
    world = World()
    writer = world.store.writer()
    head, tail = chunk_lists.cut(writer, [noise(4 << 20)]), chunk_lists.cut(writer, [noise(64 << 20, seed=1)])
    read: list[bytes] = []

    class Spy:
        def read(self, id: bytes) -> bytes:
            read.append(id)
            return writer.read(id)  # type: ignore[arg-type]

        def add_many(self, pieces: list[bytes]) -> list[bytes]:
            return writer.add_many(pieces)  # type: ignore[return-value]

    joined = chunk_lists.concat(Spy(), head, tail)  # type: ignore[arg-type]

    assert len(read) < 20
    assert joined.endswith(tail[-REF.size * 20 :])
    writer.abort()
    world.store.close()
