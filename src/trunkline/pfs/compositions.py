"""Open commits and file sets as trees that can be read: their layers, applied on top of their base.

The result is computed by the first reader and cached for later readers of the same layers
(docs/design/decisions/0029-open-commits-are-read-in-memory.md). It is never recorded: nothing of it is in the
object store or the database, and no row refers to it. Finishing a commit applies the layers again, durably.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.storage import file_values
from trunkline.storage.apply_deltas import apply_deltas
from trunkline.storage.scratch_chunks import ScratchChunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trunkline.storage.chunks import ChunkId, ChunkSink, ChunkSource
    from trunkline.storage.sums import TreeId
    from trunkline.storage.trees import Trees

#: Results in the cache. Each holds up to a megabyte of memory, and a temporary file for the rest.
_KEPT = 32


class FileTree(Struct, frozen=True):
    """A file tree, and where its nodes and its files' chunks are read."""

    trees: Trees
    tree: TreeId
    chunks: ChunkSource

    def trees_with(self, other: FileTree) -> Trees:
        """Return trees through which this tree and another can be compared."""
        if not isinstance(other.chunks, ScratchChunks):
            return self.trees
        if not isinstance(self.chunks, ScratchChunks):
            return other.trees
        return self.trees.through(_Both(self.chunks, other.chunks))

    def store_chunks(self, writer: ChunkSink, value: bytes) -> None:
        """Store those chunks of a file through ``writer`` that only this tree has, before the file is copied.

        Args:
            writer: of the commit that the file is copied to.
            value: of the file.
        """
        if isinstance(self.chunks, ScratchChunks):
            listed = file_values.chunks_of(self.chunks, value)
            for id in (*file_values.nodes_of(self.chunks, value), *(id for id, _ in listed)):
                if id in self.chunks:
                    writer.add(self.chunks.read(id))


class _Both:
    """The chunks of two sources."""

    def __init__(self, first: ScratchChunks, second: ScratchChunks) -> None:
        self._first = first
        self._second = second

    def read(self, id: ChunkId) -> bytes:
        """Return a chunk's bytes."""
        return (self._first if id in self._first else self._second).read(id)

    def read_many(self, ids: Iterable[ChunkId]) -> Iterator[bytes]:
        """Yield the bytes of each chunk."""
        return map(self.read, ids)

    def prefetch(self, ids: Iterable[ChunkId]) -> None:
        """Load chunks into the store's cache."""
        self._second.prefetch([id for id in ids if id not in self._first])


class Compositions:
    """The trees of the layers that were read last. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[TreeId, ...], _Entry] = OrderedDict()

    def get(
        self, trees: Trees, store: ChunkSource, base: TreeId, deltas: Sequence[TreeId], folder: str | None
    ) -> FileTree:
        """Return base and deltas as one tree. Blocks; cheap when the same was read recently.

        Args:
            trees: the store's file trees.
            store: the store's chunks.
            base: the tree to start from.
            deltas: to be applied in this order.
            folder: of temporary files; None for the system's.

        Raises:
            FailedPrecondition: they contradict each other.
        """
        if not deltas:
            return FileTree(trees, base, store)
        key = (base, *deltas)
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            if len(self._entries) > _KEPT:
                self._entries.popitem(last=False)
        with entry.lock:  # many readers of a new layer apply it once
            if entry.result is None:
                scratch = ScratchChunks(store, folder)
                applied = apply_deltas(trees, scratch, base, deltas)
                if applied.problem:
                    raise errors.FailedPrecondition(f"the open commit cannot be read: {applied.problem}")
                entry.result = FileTree(trees.through(scratch), applied.tree, scratch)
            return entry.result


class _Entry:
    """A result that may still be computed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.result: FileTree | None = None
