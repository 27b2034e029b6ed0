"""Reads chunks from packs, and owns what reading and writing share: threads, cache and memory budget.

A read looks the chunk up in the index, gets its range of the pack, decompresses and checks it. Reads of many
chunks get neighbouring ranges of a pack with one request and stay a bounded step ahead of the reader.

Damage. A read that finds a pack missing, too short or changed raises ``DataLoss`` and remembers the pack in
memory. From then on its chunks count as not stored: they are stored again when somebody writes them, and the
index entries then name the new copy, which repairs every file that contains them.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import Counter, OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.errors import DataLoss, NotFound
from trunkline.formats.pack_format import GAP_BYTES, damaged_pack
from trunkline.storage.chunks import ChunkId, Location, decode
from trunkline.storage.lru import ByteCache
from trunkline.storage.memory_budget import MemoryBudget
from trunkline.storage.packing import INLINE_BYTES, UPLOADS, ChunkWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from trunkline.ports import ObjectStore
    from trunkline.storage.chunks import ChunkIndex, PackRecord

log = logging.getLogger("trunkline.storage")

#: Chunks looked up and handed to the pool in one go by ``read_many``: a thousand small files are one hand-over.
_STEP_CHUNKS = 1024
#: Bytes of chunks in the first step of ``read_many`` and in the largest; each step doubles. A client that
#: stops reading early has made the server hold little. Two steps are held at a time.
_FIRST_STEP_BYTES = 1 << 20
_STEP_BYTES = 8 << 20
#: Bytes that all transfers of a store hold together (``MemoryBudget``): what one upload at full speed needs (a
#: pack that is filled, ``UPLOADS`` that are on their way, ``IN_FLIGHT``), or the read-ahead of sixteen downloads.
MEMORY_BYTES = 256 << 20
#: Damaged packs that are remembered; beyond that the oldest is forgotten and must be found again by a read.
_DAMAGED_PACKS = 1 << 14


class ChunkStore:
    """All chunks of a store. May be used from any thread.

    Args:
        objects: where the packs are.
        index: where the chunks are in them.
        threads: threads that compress and decompress; by default one per processor.
        cache_bytes: bytes of chunks that are cached.
        inline_bytes: a write's only pack goes into the chunk index instead of the object store up to this
            size: one durable write in place of two, and no swarm of tiny objects.
        memory_bytes: bytes from which on transfers wait for each other.
        verify: decode each pack and compare it with the ids of its chunks before it is stored.
    """

    def __init__(
        self,
        objects: ObjectStore,
        index: ChunkIndex,
        *,
        threads: int | None = None,
        cache_bytes: int = 64 << 20,
        inline_bytes: int = INLINE_BYTES,
        memory_bytes: int = MEMORY_BYTES,
        verify: bool = True,
    ) -> None:
        self._objects = objects
        self._index = index
        self._inline_bytes = inline_bytes
        self._verify = verify
        self._cache: ByteCache[ChunkId, bytes] = ByteCache(cache_bytes)
        self._threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads, "chunks")
        self._uploads = ThreadPoolExecutor(UPLOADS, "packs")
        self.budget = MemoryBudget(memory_bytes)
        #: Weak references: a writer that its owner drops without closing counts no longer.
        self._writers: weakref.WeakSet[ChunkWriter] = weakref.WeakSet()
        self._writers_lock = threading.Lock()
        self._damaged: OrderedDict[str, None] = OrderedDict()
        self._damaged_lock = threading.Lock()

    def close(self) -> None:
        """End the threads; open writers must be sealed or aborted before."""
        self._pool.shutdown()
        self._uploads.shutdown()

    def writer(self) -> ChunkWriter:
        """Begin a write."""
        writer = ChunkWriter(
            self._objects,
            self,
            self._pool,
            self._uploads,
            self._inline_bytes,
            self.budget,
            verify=self._verify,
        )
        with self._writers_lock:
            self._writers.add(writer)
        return writer

    def open_writers(self) -> list[ChunkWriter]:
        """Return the writers that are neither sealed nor aborted."""
        with self._writers_lock:
            return [writer for writer in self._writers if writer.is_open]

    def lengths(self, ids: Sequence[ChunkId]) -> dict[ChunkId, int]:
        """Return the bytes of those chunks that are stored; a chunk whose copy is damaged is not."""
        return {id: location.length for id, location in self.find_intact(ids)[0].items()}

    def places(self, ids: Sequence[ChunkId]) -> dict[ChunkId, Location]:
        """Return where those chunks lie that are stored, for readers that do not use this store."""
        return self._index.find(ids)

    def find_intact(self, ids: Sequence[ChunkId]) -> tuple[dict[ChunkId, Location], frozenset[ChunkId]]:
        """Return the locations of chunks with an intact copy, and the chunks whose only copy is damaged.

        A copy counts as intact until a read finds its pack damaged.
        """
        locations = self._index.find(ids)
        if not self._damaged:
            return locations, frozenset()
        damaged = frozenset(id for id, location in locations.items() if location.pack in self._damaged)
        return {id: place for id, place in locations.items() if id not in damaged}, damaged

    def damaged_among(self, ids: Sequence[ChunkId]) -> frozenset[ChunkId]:
        """Return those of the chunks whose only copy is damaged: a new copy replaces it in the index."""
        return self.find_intact(ids)[1] if self._damaged else frozenset()

    def record(self, pack: PackRecord) -> None:
        """Record a pack in the chunk index before its writer is sealed."""
        self._index.record(pack)

    def remember(self, chunks: Sequence[tuple[ChunkId, bytes | memoryview]]) -> None:
        """Hold the chunks of a small write in the cache: whoever continues it reads them next."""
        for id, piece in chunks:
            self._cache.put(id, bytes(piece), len(piece))

    @property
    def objects(self) -> ObjectStore:
        """The object store, for transfers of whole packs that do not use this store."""
        return self._objects

    def read(self, id: ChunkId) -> bytes:
        """Return a chunk's bytes.

        Raises:
            DataLoss: the chunk is not in the index, its pack is lost, or its bytes do not match its id.
        """
        data = self._cache.get(id)
        if data is None:
            data = self.read_at(id, self._find([id])[id])
            self._cache.put(id, data, len(data))
        return data

    def read_at(self, id: ChunkId, location: Location) -> bytes:
        """Return a chunk's bytes from its location; see ``read``."""
        stored = location.inline
        if stored is None:
            stored = self._get(location.pack, location.offset, location.stored)
        return self._decode(id, location, stored)

    def prefetch(self, ids: Iterable[ChunkId]) -> None:
        """Read chunks into the cache, many together."""
        absent = [id for id in dict.fromkeys(ids) if self._cache.get(id) is None]
        for id, data in zip(absent, self.read_many(absent), strict=True):
            self._cache.put(id, data, len(data))

    def read_many(self, ids: Iterable[ChunkId]) -> Iterator[bytes]:
        """Yield the bytes of each chunk, in the order of ``ids``, reading one step ahead of the caller.

        Raises:
            DataLoss: as ``read`` does, when it comes to that chunk or a little earlier.
        """
        rest = iter(ids)
        first = list(islice(rest, 2))
        if len(first) == 1:  # the usual small file: no hand-over
            yield self.read(first[0])
            return
        reader = self.budget.add_reader()
        coming: deque[_Step] = deque()
        try:
            for step in self._steps(chain(first, rest)):
                coming.append(step)
                reader.held_bytes += step.size
                ahead = 1 if self.budget.allows_read_ahead else 0
                while len(coming) > ahead:
                    yield from coming[0].chunks()
                    reader.held_bytes -= coming.popleft().size
            while coming:
                yield from coming.popleft().chunks()
        finally:
            reader.held_bytes = 0
            self.budget.return_memory()

    def _steps(self, ids: Iterator[ChunkId]) -> Iterator[_Step]:
        limit = _FIRST_STEP_BYTES
        while batch := list(islice(ids, _STEP_CHUNKS)):
            locations = self._find(batch)
            start = size = 0
            for position, id in enumerate(batch, 1):
                size += locations[id].length
                if size >= limit or position == len(batch):
                    yield self._start(batch[start:position], locations, size)
                    start, size = position, 0
                    limit = min(2 * limit, _STEP_BYTES)
                    if not self.budget.allows_read_ahead:
                        limit = _FIRST_STEP_BYTES

    def _start(self, ids: list[ChunkId], locations: dict[ChunkId, Location], size: int) -> _Step:
        """Let the pool read the chunks of a step, neighbours of a pack together."""
        distinct = sorted({(locations[id].pack, locations[id].offset, id) for id in ids})
        share = _STEP_BYTES // 4  # so that several threads work on a step
        runs: list[list[tuple[ChunkId, Location]]] = []
        for _, _, id in distinct:
            location = locations[id]
            if runs:
                begin, end = runs[-1][0][1], runs[-1][-1][1]
                if (
                    location.pack == end.pack
                    and location.offset <= end.offset + end.stored + GAP_BYTES
                    and location.offset + location.stored <= begin.offset + share
                ):
                    runs[-1].append((id, location))
                    continue
            runs.append([(id, location)])
        # No more tasks than threads: handing a task over costs as much as reading a small chunk.
        shares = [runs[at :: self._threads] for at in range(min(self._threads, len(runs)))]
        return _Step(ids, [self._pool.submit(self._read_runs, share) for share in shares], size)

    def _read_runs(self, runs: list[list[tuple[ChunkId, Location]]]) -> dict[ChunkId, bytes]:
        contents: dict[ChunkId, bytes] = {}
        for run in runs:
            contents.update(self._read_run(run))
        return contents

    def _read_run(self, run: list[tuple[ChunkId, Location]]) -> dict[ChunkId, bytes]:
        if run[0][1].inline is not None:
            return {id: self._decode(id, at, at.inline) for id, at in run if at.inline is not None}
        start, last = run[0][1].offset, run[-1][1]
        data = memoryview(self._get(last.pack, start, last.offset + last.stored - start))
        return {
            id: self._decode(id, at, bytes(data[at.offset - start : at.offset - start + at.stored]))
            for id, at in run
        }

    def _get(self, pack: str, start: int, length: int) -> bytes:
        """Read a range of a pack.

        Raises:
            DataLoss: the pack is not there or too short.
        """
        try:
            return self._objects.get(pack, start, length)
        except NotFound as error:
            self._note_damage(pack)
            raise damaged_pack(pack, "the object store has no such object") from error
        except DataLoss as error:
            self._note_damage(pack)
            raise damaged_pack(pack, "the object is shorter than it was written") from error

    def _decode(self, id: ChunkId, location: Location, stored: bytes) -> bytes:
        try:
            return decode(id, location, stored)
        except DataLoss:
            self._note_damage(location.pack)
            raise

    def _note_damage(self, pack: str) -> None:
        with self._damaged_lock:
            if pack in self._damaged:
                return
            self._damaged[pack] = None
            if len(self._damaged) > _DAMAGED_PACKS:
                self._damaged.popitem(last=False)
        log.error("pack %s is lost or damaged", pack, extra={"action": "pack_damaged", "pack": pack})

    def _find(self, ids: list[ChunkId]) -> dict[ChunkId, Location]:
        locations = self._index.find(ids)
        for id in ids:
            if id not in locations:
                raise DataLoss(
                    f"chunk {id.hex()} is not in the chunk index: the database is older than what refers to the"
                    " chunk, or damaged; restore a newer backup, or put the same files again"
                )
        return locations


class _Step(Struct):
    """Chunks that are being read together."""

    ids: list[ChunkId]
    parts: list[Future[dict[ChunkId, bytes]]]
    #: Bytes of the chunks.
    size: int

    def chunks(self) -> Iterator[bytes]:
        """Yield the chunks, and keep none of them longer than it is needed."""
        contents: dict[ChunkId, bytes] = {}
        for part in self.parts:
            contents.update(part.result())
        self.parts.clear()
        uses = Counter(self.ids)
        for id in self.ids:
            uses[id] -= 1
            yield contents[id] if uses[id] else contents.pop(id)
