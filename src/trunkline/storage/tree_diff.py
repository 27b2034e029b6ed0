"""Finds the rows in which two trees differ, reading only segments that are not in both.

A segment that both trees have holds the same rows, so the rows between two such segments in one tree lie
between them in the other tree too: the trees are compared gap by gap.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from trunkline.runtime import cancellation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.storage.chunks import ChunkId
    from trunkline.storage.segments import Manifest, Segment, SegmentReader

Difference = tuple[bytes, bytes | None, bytes | None]


def compare(
    reader: SegmentReader, old: Manifest, new: Manifest, lo: bytes, hi: bytes | None
) -> Iterator[Difference]:
    """Yield ``(key, old value, new value)`` in key order for the keys from ``lo`` to before ``hi``.

    Args:
        reader: reads the segments.
        old: the first tree.
        new: the second tree.
        lo: the first key.
        hi: the key after the last; None: no end.
    """
    before, after = _overlapping(old, lo, hi), _overlapping(new, lo, hi)
    shared = {segment.id for segment in before}.intersection(segment.id for segment in after)
    left, right = _Side(reader, before, shared), _Side(reader, after, shared)
    while True:
        while left.in_gap or right.in_gap:
            # Both sides are compared up to the key where the first of them needs its next segment.
            cancellation.check()
            bound = min(side.last for side in (left, right) if side.in_gap)
            yield from _differences(*left.take(bound), *right.take(bound), lo, hi)
        if left.done and right.done:
            return
        left.skip()
        right.skip()


def _overlapping(manifest: Manifest, lo: bytes, hi: bytes | None) -> list[Segment]:
    first = bisect_left(manifest.lasts, lo)
    return [segment for segment in manifest.segments[first:] if hi is None or segment.first < hi]


def _differences(
    old_keys: list[bytes],
    old_values: list[bytes],
    new_keys: list[bytes],
    new_values: list[bytes],
    lo: bytes,
    hi: bytes | None,
) -> Iterator[Difference]:
    if old_keys == new_keys and old_values == new_values:
        return
    old = dict(zip(old_keys, old_values, strict=True))
    new = dict(zip(new_keys, new_values, strict=True))
    for key in sorted({key for key, _ in old.items() ^ new.items()}):
        if key >= lo and (hi is None or key < hi):
            yield key, old.get(key), new.get(key)


class _Side:
    """One tree's segments, and how far they have been compared."""

    def __init__(self, reader: SegmentReader, segments: list[Segment], shared: set[ChunkId]) -> None:
        self._reader = reader
        self._segments = segments
        self._shared = shared
        self._number = 0
        self._row = 0

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

    def take(self, bound: bytes) -> tuple[list[bytes], list[bytes]]:
        """Take the current segment's remaining rows up to a key."""
        if not self.in_gap:
            return [], []
        rows = self._reader.rows_of(self._segments[self._number])
        start, stop = self._row, bisect_right(rows.keys, bound, lo=self._row)
        self._row = stop
        if stop == len(rows.keys):
            self._number, self._row = self._number + 1, 0
        return rows.keys[start:stop], rows.values[start:stop]
