"""Chunks that are kept for a time: read like stored ones, and gone without a trace."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest
from storage_world import World, noise

from trunkline.errors import DataLoss
from trunkline.storage.chunks import chunk_id
from trunkline.storage.scratch_chunks import ScratchChunks

if TYPE_CHECKING:
    from pathlib import Path

#: More than what stays in memory.
PIECES = [noise(100_000, seed) for seed in range(30)] + [b"small"]


def test_chunks_are_read_back_beside_those_of_the_store(world: World) -> None:
    stored = world.write(lambda writer: writer.add_many([noise(100, 50), noise(100, 51)]))
    scratch = ScratchChunks(world.store)

    ids = scratch.add_many(PIECES)

    mixed = [ids[0], stored[0], stored[1], ids[29], ids[30], stored[0]]
    assert ids == [chunk_id(piece) for piece in PIECES]
    assert [scratch.read(id) for id in ids] == PIECES
    assert list(scratch.read_many(mixed)) == [
        PIECES[0], noise(100, 50), noise(100, 51), PIECES[29], PIECES[30], noise(100, 50)
    ]  # fmt: skip
    assert ids[0] in scratch
    assert stored[0] not in scratch


def test_nothing_of_them_reaches_the_store(world: World) -> None:
    scratch = ScratchChunks(world.store)
    [id, *_] = scratch.add_many(PIECES)

    assert list(world.objects.list("")) == []
    with pytest.raises(DataLoss):
        world.store.read(id)


def test_their_file_has_no_name_and_ends_with_them(world: World, tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    scratch = ScratchChunks(world.store, str(tmp_path))
    scratch.add_many(PIECES)

    assert list(tmp_path.iterdir()) == []
    assert len(set(os.listdir("/proc/self/fd")) - before) == 1
    del scratch
    gc.collect()
    assert set(os.listdir("/proc/self/fd")) - before == set()
