"""Reads chunks from packs, and owns the threads that reading and writing share.

A read finds the chunk in the index, gets its range of the pack, decompresses and checks it. Reads of many
chunks get neighbouring ranges of a pack at once and stay a bounded step ahead of the reader.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from trunkline.errors import DataLoss
from trunkline.storage.chunks import ChunkId, Location, decode
from trunkline.storage.lru import ByteCache
from trunkline.storage.packing import INLINE_BYTES, UPLOADS, ChunkWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from trunkline.ports import ObjectStore
    from trunkline.storage.chunks import ChunkIndex

#: Chunks looked up and read in one step of ``read_many``; a step of large chunks ends earlier.
_STEP_CHUNKS = 256
#: Bytes of chunks in one step. Two steps are held at a time.
_STEP_BYTES = 8 << 20
#: Bytes between two ranges of a pack that are cheaper read than skipped.
_GAP_BYTES = 64 << 10


class ChunkStore:
    """All chunks of a store. May be used from any thread.

    Args:
        objects: where the packs are.
        index: where the chunks are in them.
        threads: threads that compress and decompress; by default one per processor.
        cache_bytes: how many bytes of chunks to keep at hand.
        inline_bytes: a write's only pack goes into the chunk index instead of the object store up to this
            size: one durable write in place of two, and no swarm of tiny objects.
    """

    def __init__(
        self,
        objects: ObjectStore,
        index: ChunkIndex,
        *,
        threads: int | None = None,
        cache_bytes: int = 64 << 20,
        inline_bytes: int = INLINE_BYTES,
    ) -> None:
        self._objects = objects
        self._index = index
        self._inline_bytes = inline_bytes
        self._cache: ByteCache[ChunkId, bytes] = ByteCache(cache_bytes)
        self._pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, "chunks")
        self._uploads = ThreadPoolExecutor(UPLOADS, "packs")

    def close(self) -> None:
        """End the threads; open writers must be sealed or aborted before."""
        self._pool.shutdown()
        self._uploads.shutdown()

    def writer(self) -> ChunkWriter:
        """Begin a write."""
        return ChunkWriter(self._objects, self._index, self, self._pool, self._uploads, self._inline_bytes)

    def lengths(self, ids: Sequence[ChunkId]) -> dict[ChunkId, int]:
        """Return the bytes of those chunks that are stored; the others are left out."""
        return {id: place.length for id, place in self._index.find(ids).items()}

    def places(self, ids: Sequence[ChunkId]) -> dict[ChunkId, Location]:
        """Return where those chunks lie that are stored; for who reads them without this store."""
        return self._index.find(ids)

    @property
    def objects(self) -> ObjectStore:
        """Return where the packs are; for who moves whole packs without this store."""
        return self._objects

    def read(self, id: ChunkId) -> bytes:
        """Return a chunk's bytes.

        Raises:
            DataLoss: the chunk is not in the index or its bytes do not match its id.
        """
        data = self._cache.get(id)
        if data is None:
            place = self._find([id])[id]
            stored = place.inline
            if stored is None:
                stored = self._objects.get(place.pack, place.offset, place.stored)
            data = decode(id, place, stored)
            self._cache.put(id, data, len(data))
        return data

    def prefetch(self, ids: Iterable[ChunkId]) -> None:
        """Read chunks into the cache, many together."""
        wanted = [id for id in dict.fromkeys(ids) if self._cache.get(id) is None]
        for id, data in zip(wanted, self.read_many(wanted), strict=True):
            self._cache.put(id, data, len(data))

    def read_many(self, ids: Iterable[ChunkId]) -> Iterator[bytes]:
        """Yield the bytes of each chunk, in the order asked for, reading one step ahead of the caller.

        Raises:
            DataLoss: as ``read`` does, when it comes to that chunk or a little earlier.
        """
        wanted = iter(ids)
        first = list(islice(wanted, 2))
        if len(first) == 1:  # the usual small file: no hand-over
            yield self.read(first[0])
            return
        coming: deque[_Step] = deque()
        for step in self._steps(chain(first, wanted)):
            coming.append(step)
            if len(coming) > 1:
                yield from coming.popleft().chunks()
        while coming:
            yield from coming.popleft().chunks()

    def _steps(self, ids: Iterator[ChunkId]) -> Iterator[_Step]:
        while batch := list(islice(ids, _STEP_CHUNKS)):
            places = self._find(batch)
            start = size = 0
            for position, id in enumerate(batch, 1):
                size += places[id].length
                if size >= _STEP_BYTES or position == len(batch):
                    yield self._start(batch[start:position], places)
                    start, size = position, 0

    def _start(self, ids: list[ChunkId], places: dict[ChunkId, Location]) -> _Step:
        """Let the pool read the chunks of a step, neighbours of a pack together."""
        distinct = sorted({(places[id].pack, places[id].offset, id) for id in ids})
        share = _STEP_BYTES // 4  # so that a step is worked on by several threads
        runs: list[list[tuple[ChunkId, Location]]] = []
        for _, _, id in distinct:
            place = places[id]
            if runs:
                begin, end = runs[-1][0][1], runs[-1][-1][1]
                if (
                    place.pack == end.pack
                    and place.offset <= end.offset + end.stored + _GAP_BYTES
                    and place.offset + place.stored <= begin.offset + share
                ):
                    runs[-1].append((id, place))
                    continue
            runs.append([(id, place)])
        return _Step(ids, [self._pool.submit(self._read_run, run) for run in runs])

    def _read_run(self, run: list[tuple[ChunkId, Location]]) -> dict[ChunkId, bytes]:
        if run[0][1].inline is not None:
            return {id: decode(id, place, place.inline) for id, place in run if place.inline is not None}
        start, last = run[0][1].offset, run[-1][1]
        data = memoryview(self._objects.get(last.pack, start, last.offset + last.stored - start))
        return {
            id: decode(id, place, bytes(data[place.offset - start : place.offset - start + place.stored]))
            for id, place in run
        }

    def _find(self, ids: list[ChunkId]) -> dict[ChunkId, Location]:
        places = self._index.find(ids)
        for id in ids:
            if id not in places:
                raise DataLoss(
                    f"chunk {id.hex()} is not in the chunk index; "
                    "the database is older than what refers to it: restore a newer copy"
                )
        return places


@dataclass(slots=True)
class _Step:
    """Chunks that are being read together."""

    ids: list[ChunkId]
    runs: list[Future[dict[ChunkId, bytes]]]

    def chunks(self) -> Iterator[bytes]:
        found: dict[ChunkId, bytes] = {}
        for run in self.runs:
            found.update(run.result())
        for id in self.ids:
            yield found[id]
