"""Chunks for a short time: on top of a store, readable like the store's own, recorded nowhere.

Reading an open commit applies its layers, which makes nodes and joins files. These chunks are needed only
while somebody reads, so they are kept here instead of in packs: reading writes neither objects nor database
rows, and leaves nothing behind.

Small amounts stay in memory; beyond ``_MEMORY_BYTES`` chunks go to an unnamed temporary file, which the
operating system removes when the last reference is gone, also when the process is killed.
"""

from __future__ import annotations

import threading
import weakref
from itertools import groupby
from typing import TYPE_CHECKING

from trunkline.runtime.temporary_files import TemporaryFile
from trunkline.storage.chunks import ChunkId, chunk_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trunkline.storage.chunks import ChunkSource

#: Bytes of chunks in memory: the tree of a commit with some thousand changed files.
_MEMORY_BYTES = 1 << 20


class ScratchChunks:
    """A ``ChunkSink`` that keeps what it is given until it is dropped. May be used from any thread.

    Args:
        store: where all other chunks are.
        folder: of the temporary file; None for the system's.
    """

    def __init__(self, store: ChunkSource, folder: str | None = None) -> None:
        self._store = store
        self._folder = folder
        self._lock = threading.Lock()
        #: Chunks in memory, and where the others begin in the file and how long they are.
        self._memory: dict[ChunkId, bytes] = {}
        self._places: dict[ChunkId, tuple[int, int]] = {}
        self._memory_bytes = 0
        self._file: TemporaryFile | None = None

    def __contains__(self, id: ChunkId) -> bool:
        """Return whether a chunk is kept here."""
        return id in self._memory or id in self._places

    def add(self, data: bytes | memoryview) -> ChunkId:
        """Keep a chunk.

        Raises:
            ResourceExhausted: the disk of the temporary file is full; nothing was kept.
            Unavailable: the temporary file cannot be written.
        """
        id = chunk_id(data)
        with self._lock:
            if id in self:
                return id
            if self._memory_bytes + len(data) <= _MEMORY_BYTES:
                self._memory[id] = bytes(data)
                self._memory_bytes += len(data)
                return id
            self._places[id] = self._opened().append(data), len(data)
        return id

    def add_many(self, pieces: Sequence[bytes | memoryview]) -> list[ChunkId]:
        """Keep several chunks."""
        return [self.add(piece) for piece in pieces]

    def read(self, id: ChunkId) -> bytes:
        """Return a chunk's bytes, from here or from the store."""
        data = self._memory.get(id)
        if data is not None:
            return data
        place = self._places.get(id)
        if place is None or self._file is None:
            return self._store.read(id)
        return self._file.read(*place)

    def read_many(self, ids: Iterable[ChunkId]) -> Iterator[bytes]:
        """Yield the bytes of each chunk, in the order of ``ids``."""
        for is_own, group in groupby(ids, self.__contains__):
            if is_own:
                yield from map(self.read, group)
            else:
                yield from self._store.read_many(group)

    def prefetch(self, ids: Iterable[ChunkId]) -> None:
        """Load chunks into the store's cache that will be read soon."""
        self._store.prefetch([id for id in ids if id not in self])

    def _opened(self) -> TemporaryFile:
        if self._file is None:
            self._file = TemporaryFile(self._folder)
            weakref.finalize(self, self._file.close)
        return self._file
