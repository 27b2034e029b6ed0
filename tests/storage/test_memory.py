"""What transfers hold in memory: bounded for one of any length, and for all together."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from storage_world import MemoryIndex, World, noise

from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.formats.chunking import MAX_BYTES, SMALLEST_WINDOW_BYTES
from trunkline.formats.pack_format import VERIFY_MEMORY
from trunkline.storage import packing
from trunkline.storage.deltas import DeltaWriter
from trunkline.storage.files import file_trees
from trunkline.storage.store import ChunkStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.storage.chunks import ChunkId
    from trunkline.storage.packing import ChunkWriter

MIB = 1 << 20


def remembered(writer: ChunkWriter) -> int:
    """Return the chunks that a writer keeps in mind."""
    return len(writer._seen) + sum(pack.entries for pack in writer._packs.values())


def small_chunks(count: int, seed: int) -> list[bytes]:
    body = noise(3000, seed)
    return [b"%d %d " % (seed, number) + body for number in range(count)]


def test_a_long_write_has_packs_recorded_early_and_forgets_their_chunks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "REMEMBERED_CHUNKS", 1000)
    writer = world.store.writer()
    most = 0
    ids: list[ChunkId] = []
    for seed in range(70):  # 4 packs
        ids += writer.add_many(small_chunks(1000, seed))
        writer.upload_open_pack()
        most = max(most, remembered(writer))
    early = len(world.index.places)
    middle = writer.read(ids[30_000])
    packs = writer.seal()
    world.index.record_all(packs)

    assert early > 40_000
    assert most < 40_000
    assert middle == small_chunks(1000, 30)[0]
    assert list(world.store.read_many(ids[::5000])) == [small_chunks(1000, n)[0] for n in range(0, 70, 5)]


def test_a_long_write_forgets_the_chunks_that_were_stored_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "REMEMBERED_CHUNKS", 1000)
    for seed in range(10):
        chunks = small_chunks(1000, seed)
        world.write(lambda writer, chunks=chunks: writer.add_many(chunks))
    writer = world.store.writer()

    for seed in range(10):
        writer.add_many(small_chunks(1000, seed))

    assert writer.seal() == []
    assert remembered(writer) < 3000


def test_a_write_of_usual_length_leaves_nothing_when_it_is_aborted(world: World) -> None:
    writer = world.store.writer()
    writer.add_many([noise(MIB, seed) for seed in range(70)])

    writer.abort()

    assert list(world.objects.list("")) == []
    assert world.index.places == {}


def test_many_stalled_uploads_hold_no_more_than_the_budget_together() -> None:
    store = ChunkStore(MemoryObjects(), MemoryIndex(), threads=2, memory_bytes=24 * MIB)
    writers = [store.writer() for _ in range(12)]
    base = noise(MIB)

    for round in range(6):  # each would hold 6 MiB in its open pack
        for number, writer in enumerate(writers):
            writer.add(b"%d %d " % (round, number) + base)

    assert store.budget.held_bytes <= 24 * MIB + 12 * 2 * MIB  # and a batch each that was on its way
    for writer in writers:
        assert len(writer.seal()) > 0
    assert store.budget.held_bytes == 0
    store.close()


def test_many_uploads_and_slow_readers_hold_the_budget_and_little_for_each() -> None:
    store = ChunkStore(MemoryObjects(), index := MemoryIndex(), threads=2, memory_bytes=32 * MIB)
    trees = file_trees(store)
    filler = store.writer()
    ids = filler.add_many([noise(MIB, seed) for seed in range(12)])
    index.record_all(filler.seal())
    readings = [store.read_many(ids) for _ in range(8)]
    uploads = [DeltaWriter(trees, store.writer()) for _ in range(16)]
    most = 0

    for reading in readings:  # and take nothing more
        next(reading)
    for part in range(14):
        for number, upload in enumerate(uploads):
            if number % 2 and part > 7:
                continue  # it stalls
            upload.add(f"/{number}", "", noise(MIB, 1000 * number + part))
            most = max(most, store.budget.held_bytes)
    for upload in uploads[1::2]:
        upload.drain()

    # An upload gathers a window before it is cut, a reader holds one chunk of two steps.
    assert most <= 32 * MIB + 16 * (SMALLEST_WINDOW_BYTES + 2 * MIB) + 8 * 2 * MAX_BYTES
    assert all(upload._writer.uncut_bytes <= MAX_BYTES for upload in uploads[1::2])
    for reading in readings:
        reading.close()
    for upload in uploads:
        upload._writer.abort()
    assert store.budget.held_bytes == 0
    store.close()


@pytest.mark.parametrize(("mebibytes", "packs"), [(3, 0), (5, 1)], ids=["little", "much"])
def test_an_upload_that_pauses_stores_its_open_pack_when_transfers_hold_much(
    mebibytes: int, packs: int
) -> None:
    store = ChunkStore(objects := MemoryObjects(), MemoryIndex(), threads=1, memory_bytes=32 * MIB)
    writer = store.writer()
    upload = DeltaWriter(file_trees(store), writer)
    for part in range(mebibytes):
        upload.add(f"/{part}", "", noise(MIB, part))

    upload.drain()
    with writer._changed:
        writer._changed.wait_for(lambda: writer._jobs + writer._uploading == 0, 20)

    assert len(list(objects.list(""))) == packs
    assert store.budget.held_bytes <= 32 * MIB // 8
    writer.abort()
    store.close()


def test_chunks_whose_neighbours_are_stored_already_do_not_keep_the_buffer_of_all() -> None:
    store = ChunkStore(MemoryObjects(), MemoryIndex(), threads=1)
    writer = store.writer()
    buffer = bytearray(noise(2 * MIB))
    writer.add(bytes(buffer[:MIB]))

    with memoryview(buffer) as view, view[:MIB] as first, view[MIB:] as second:
        writer.add_many([first, second])

    buffer.clear()  # raises BufferError as long as there is a view
    writer.abort()
    store.close()


def test_uploads_beyond_the_budget_all_end() -> None:
    store = ChunkStore(MemoryObjects(), index := MemoryIndex(), threads=2, memory_bytes=8 * MIB)

    def upload(number: int) -> list[ChunkId]:
        writer = store.writer()
        ids = [writer.add(b"%d %d " % (number, part) + noise(MIB, number)) for part in range(10)]
        index.record_all(writer.seal())
        return ids

    with ThreadPoolExecutor(8) as clients:
        written = list(clients.map(upload, range(8)))

    assert sum(len(store.read(id)) for ids in written for id in ids) > 80 * MIB
    assert store.budget.held_bytes == 0
    store.close()


@pytest.mark.parametrize("verify", [True, False])
def test_what_the_verification_of_a_pack_takes_counts(verify: bool) -> None:
    held: list[int] = []

    class Looking(MemoryObjects):
        def put(self, key: str, parts: Sequence[bytes | memoryview]) -> None:
            held.append(store.budget.held_bytes)
            super().put(key, parts)

    store = ChunkStore(Looking(), MemoryIndex(), threads=2, verify=verify)
    writer = store.writer()
    writer.add_many([noise(MIB, seed) for seed in range(3)])
    writer.seal()

    assert held == [pytest.approx(3 * MIB + (VERIFY_MEMORY if verify else 0), abs=1000)]
    assert store.budget.held_bytes == 0
    store.close()


def test_a_writer_that_is_dropped_without_an_end_counts_no_longer() -> None:
    store = ChunkStore(MemoryObjects(), MemoryIndex(), threads=2)
    writer = store.writer()
    for seed in range(4):
        writer.add(noise(MIB, seed))

    del writer
    store.close()  # ends the threads, which may hold the last reference

    assert store.budget.held_bytes == 0


def test_a_reader_that_stops_early_has_made_the_server_read_little(world: World) -> None:
    ids = world.write(lambda writer: writer.add_many([noise(MIB, seed) for seed in range(40)]))
    reading = world.store.read_many(ids)

    next(reading)

    assert world.store.budget.held_bytes <= 4 * MIB
    reading.close()
    assert world.store.budget.held_bytes == 0


def test_readers_beyond_the_budget_do_not_read_ahead() -> None:
    store = ChunkStore(MemoryObjects(), index := MemoryIndex(), threads=2, memory_bytes=4 * MIB)
    writer = store.writer()
    ids = writer.add_many([noise(MIB, seed) for seed in range(30)])
    index.record_all(writer.seal())
    readings = [store.read_many(ids) for _ in range(16)]

    chunks = [next(reading) for reading in readings for _ in range(8)]

    assert len(chunks) == 16 * 8
    assert store.budget.held_bytes <= 4 * MIB + 16 * 2 * MIB  # without a bound 16 MiB each
    for reading in readings:
        reading.close()
    store.close()


#: Prints by how much the process has grown after a burst of uploads that were given up. Memory is returned at
#: intervals, so the last return may be due a moment later.
_BURST = """
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from storage_world import MemoryIndex, noise
from trunkline.app.serve import ARENAS
from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.linux import libc
from trunkline.storage.store import ChunkStore

MIB = 1 << 20


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


libc.share_arenas(ARENAS)  # as the server does: the C library keeps the end of each further arena
store = ChunkStore(MemoryObjects(), MemoryIndex(), threads=2, memory_bytes=16 * MIB)
writers = [store.writer() for _ in range(8)]
before = resident()
with ThreadPoolExecutor(8) as clients:
    list(clients.map(lambda writer: writer.add_many([noise(MIB, n) for n in range(12)]), writers))
for writer in writers:
    writer.abort()
limit = time.monotonic() + 30
while resident() - before > 40 * MIB and time.monotonic() < limit:
    time.sleep(0.1)
print(resident() - before)
store.close()
"""


def test_memory_of_a_burst_of_uploads_goes_back_to_the_system() -> None:
    # A process of its own: what earlier tests left in the C library's heap would be measured, too.
    burst = subprocess.run(
        [sys.executable, "-c", _BURST],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(burst.stdout) < 48 * MIB


#: Prints how much of 120 MB goes back that is freed after the last transfer has ended, as what the HTTP server still
#: holds of answers.
_LATE = """
import resource
import time
from pathlib import Path

from trunkline.storage.memory_budget import MemoryBudget

MIB = 1 << 20


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


budget = MemoryBudget(64 * MIB)
answers = [b"x" * 60_000 for _ in range(2_000)]
last = b"x" * 60_000  # the C library gives the end of its heap back by itself
reader = budget.add_reader()
reader.held_bytes = 120 * MIB
assert not budget.allows_read_ahead
reader.held_bytes = 0
budget.return_memory()
before = resident()
answers.clear()
limit = time.monotonic() + 30
while before - resident() < 100 * MIB and time.monotonic() < limit:
    time.sleep(0.1)
print(before - resident())
"""


def test_memory_that_is_freed_soon_after_the_last_transfer_goes_back_to_the_system() -> None:
    late = subprocess.run([sys.executable, "-c", _LATE], capture_output=True, text=True, check=True)

    assert int(late.stdout) >= 100 * MIB
