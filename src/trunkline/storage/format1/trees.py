"""Reads trees of format 1: all rows, and the rows in which two trees differ.

A segment that both trees have holds the same rows, so the rows between two such segments in one tree lie between them
in the other tree too: trees are compared gap by gap, and only segments that are not in both are read.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import chain
from typing import TYPE_CHECKING

from trunkline.runtime import cancellation
from trunkline.storage.chunks import ChunkId
from trunkline.storage.format1.segments import EMPTY, decode_manifest, decode_segment
from trunkline.storage.lru import ByteCache
from trunkline.storage.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.storage.chunks import ChunkSource
    from trunkline.storage.format1.segments import Segment
    from trunkline.storage.sums import TreeId

#: Bytes of decoded manifests that are cached, and what one takes for each byte that it has encoded.
_CACHE_BYTES = 64 << 20
_DECODED = 5

Difference = tuple[bytes, bytes | None, bytes | None]


class OldTrees:
    """Trees of format 1, of any kind.

    Args:
        store: where chunks are read.
    """

    def __init__(self, store: ChunkSource) -> None:
        self._store = store
        #: Manifests read last: a tree is compared with the one before it and with the one after it.
        self._manifests: ByteCache[TreeId, list[Segment]] = ByteCache(_CACHE_BYTES)

    def segments(self, tree: TreeId) -> list[Segment]:
        """Return the segments of a tree, in key order."""
        if tree == EMPTY:
            return []
        segments = self._manifests.get(tree)
        if segments is None:
            data = self._store.read(ChunkId(tree))
            segments = decode_manifest(data)
            self._manifests.put(tree, segments, _DECODED * len(data))
        return segments

    def sums(self, tree: TreeId) -> Sums:
        """Return the sums of all rows of a tree."""
        return sum((segment.sums for segment in self.segments(tree)), Sums())

    def runs(self, tree: TreeId) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Yield all rows of a tree, segment by segment: keys and values."""
        for data in self._store.read_many(segment.id for segment in self.segments(tree)):
            cancellation.check()
            yield decode_segment(data)

    def diff(self, old: TreeId, new: TreeId) -> Iterator[Difference]:
        """Yield ``(key, old value, new value)`` of each row that differs, in key order, None where there is none."""
        if old == new:
            return
        before, after = self.segments(old), self.segments(new)
        shared = {segment.id for segment in before}.intersection(segment.id for segment in after)
        first, second = _Side(self._store, before, shared), _Side(self._store, after, shared)
        while True:
            while first.in_gap or second.in_gap:
                # Both sides are compared up to the key where the first of them needs its next segment.
                cancellation.check()
                bound = min(side.last for side in (first, second) if side.in_gap)
                yield from _differences(first.take(bound), second.take(bound))
            if first.done and second.done:
                return
            first.skip()
            second.skip()


def _differences(old: dict[bytes, bytes], new: dict[bytes, bytes]) -> Iterator[Difference]:
    for key in sorted({key for key, _ in chain(old.items() - new.items(), new.items() - old.items())}):
        yield key, old.get(key), new.get(key)


class _Side:
    """One tree's segments, and how far they have been compared."""

    def __init__(self, store: ChunkSource, segments: list[Segment], shared: set[ChunkId]) -> None:
        self._store = store
        self._segments = segments
        self._shared = shared
        self._number = 0
        #: Rows of the current segment that are not compared yet; None before it is read.
        self._rows: tuple[list[bytes], list[bytes]] | None = None

    @property
    def done(self) -> bool:
        """Whether all segments are behind."""
        return self._number == len(self._segments)

    @property
    def in_gap(self) -> bool:
        """Whether the current segment is in this tree only."""
        return not self.done and self._segments[self._number].id not in self._shared

    @property
    def last(self) -> bytes:
        """The last key of the current segment."""
        return self._segments[self._number].last

    def skip(self) -> None:
        """Pass the current segment, which the other tree has as well."""
        self._number += 1

    def take(self, bound: bytes) -> dict[bytes, bytes]:
        """Take the current segment's remaining rows up to a key."""
        if not self.in_gap:
            return {}
        if self._rows is None:
            self._rows = decode_segment(self._store.read(self._segments[self._number].id))
        keys, values = self._rows
        stop = bisect_right(keys, bound)
        rows = dict(zip(keys[:stop], values[:stop], strict=True))
        self._rows = keys[stop:], values[stop:]
        if stop == len(keys):
            self._number, self._rows = self._number + 1, None
        return rows
