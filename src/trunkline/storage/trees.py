"""Trees: sorted rows under one content address. Building, changing, comparing, reading.

A tree is a manifest of segments (``segments`` has the bytes, ``builder`` the rule where a segment ends).
Equal ranges of rows are equal segments, so every operation skips what it does not need: changing one row of a
million reads and writes one segment and the manifest, comparing two trees reads only segments that are not in
both, and the sums of a range cost its two edge segments. Nothing here knows what rows mean.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import islice
from typing import TYPE_CHECKING

from trunkline.runtime import cancellation
from trunkline.storage.builder import FROZEN, TreeBuilder
from trunkline.storage.chunks import ChunkId
from trunkline.storage.lru import ByteCache
from trunkline.storage.segments import (
    EMPTY,
    Manifest,
    Rows,
    Sums,
    TreeId,
    TreeKind,
    decode_manifest,
    decode_segment,
    encode_manifest,
    total,
)
from trunkline.storage.tree_diff import compare
from trunkline.storage.tree_merge import merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trunkline.storage.builder import TreeFormat
    from trunkline.storage.chunks import ChunkSink, ChunkSource
    from trunkline.storage.segments import Segment

#: Rows built into a tree are taken in runs of this many.
_RUN_ROWS = 4096
#: What a row costs in memory beside its bytes: two objects and two places in a list.
_ROW_BYTES = 82
_SEGMENT_BYTES = 400

_EMPTY_MANIFEST = Manifest([])


class Trees:
    """All trees of one kind in a store. May be used from any thread.

    Args:
        store: where chunks are read; a ``ChunkSink`` to read what it has not sealed yet.
        kind: what the rows sum up to.
        format: where segments end; only tests give another than the frozen one.
        cache_bytes: bytes of decoded segments and manifests that are cached.
    """

    def __init__(
        self,
        store: ChunkSource,
        kind: TreeKind,
        *,
        format: TreeFormat = FROZEN,
        cache_bytes: int = 64 << 20,
    ) -> None:
        self.kind = kind
        self._source = store
        self._format = format
        self._manifests: ByteCache[bytes, Manifest] = ByteCache(cache_bytes)
        self._segments: ByteCache[ChunkId, Rows] = ByteCache(cache_bytes)

    def of(self, kind: TreeKind) -> Trees:
        """Return the trees of another kind in the same store."""
        return self._view(self._source, kind)

    def through(self, source: ChunkSource) -> Trees:
        """Return the same trees and those whose chunks only ``source`` has, such as an unsealed writer."""
        return self._view(source, self.kind)

    # --- writing ---------------------------------------------------------------------------------------

    def build(self, writer: ChunkSink, rows: Iterable[tuple[bytes, bytes]]) -> TreeId:
        """Store a tree of rows.

        Args:
            writer: stores the new chunks.
            rows: key and value; sorted by key, keys distinct.
        """
        return self.build_runs(writer, _in_runs(rows))

    def build_runs(self, writer: ChunkSink, runs: Iterable[tuple[list[bytes], list[bytes]]]) -> TreeId:
        """Store a tree of rows that come as runs of keys and values."""
        builder = self._builder(writer)
        for keys, values in runs:
            builder.extend(keys, values)
        return self._store(writer, builder.finish())

    def merge(self, writer: ChunkSink, base: TreeId, changes: Iterable[tuple[bytes, bytes | None]]) -> TreeId:
        """Store the tree that ``base`` becomes by changes; costs the segments that they touch.

        Args:
            writer: stores the new chunks.
            base: the tree to start from.
            changes: key and new value, None to delete the row if it is there; sorted, keys distinct.
        """
        builder = self._builder(writer)
        merge(self.through(writer), self.manifest(base), changes, builder)
        return self._store(writer, builder.finish())

    # --- comparing -------------------------------------------------------------------------------------

    def diff(
        self, old: TreeId, new: TreeId, lo: bytes = b"", hi: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
        """Yield ``(key, old value, new value)`` of each row that differs, None where there is none.

        Costs the segments that are not in both trees.

        Args:
            old: the first tree.
            new: the second tree.
            lo: the first key.
            hi: the key after the last; None: no end.
        """
        if old == new:
            return
        if old == EMPTY:
            for key, value in self.scan(new, lo, hi):
                yield key, None, value
            return
        yield from compare(self, self.manifest(old), self.manifest(new), lo, hi)

    # --- reading ---------------------------------------------------------------------------------------

    def get(self, tree: TreeId, key: bytes) -> bytes | None:
        """Return a row's value, or None when there is no such row."""
        rows, at = self._seek(tree, key)
        return rows.values[at] if rows and rows.keys[at] == key else None

    def next_row(self, tree: TreeId, key: bytes) -> tuple[bytes, bytes] | None:
        """Return the first row whose key is ``key`` or after it."""
        rows, at = self._seek(tree, key)
        return (rows.keys[at], rows.values[at]) if rows else None

    def scan(
        self, tree: TreeId, lo: bytes = b"", hi: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows with ``lo <= key < hi`` in key order, or backwards.

        Args:
            tree: the tree to read.
            lo: the first key.
            hi: the key after the last; None: no end.
            reverse: yield the rows in descending order.
        """
        manifest = self.manifest(tree)
        first, stop = _range(manifest, lo, hi)
        order = range(first, stop)
        for number in reversed(order) if reverse else order:
            cancellation.check()
            rows = self.rows_of(manifest.segments[number])
            keys, values = rows.keys, rows.values
            # Nothing is copied: most scans begin in the middle of a segment and end after a row or two.
            start, end = _cut(rows, lo, hi) if number in (first, stop - 1) else (0, len(keys))
            for at in range(end - 1, start - 1, -1) if reverse else range(start, end):
                yield keys[at], values[at]

    def runs(self, tree: TreeId) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Yield all rows segment by segment: keys and values. The lists must not be changed."""
        for segment in self.manifest(tree).segments:
            cancellation.check()
            rows = self.rows_of(segment)
            yield rows.keys, rows.values

    def rows(self, tree: TreeId, start: int, stop: int) -> list[tuple[bytes, bytes]]:
        """Return the rows from one position to another; positions beyond the end are ignored.

        Args:
            tree: the tree to read.
            start: first position.
            stop: position after the last row.
        """
        manifest = self.manifest(tree)
        stop = min(stop, manifest.starts[-1])
        if start >= stop:
            return []
        number = bisect_right(manifest.starts, start) - 1
        rows_found: list[tuple[bytes, bytes]] = []
        while number < len(manifest.segments) and (before := manifest.starts[number]) < stop:
            rows = self.rows_of(manifest.segments[number])
            low, high = max(0, start - before), stop - before
            rows_found += zip(rows.keys[low:high], rows.values[low:high], strict=True)
            number += 1
        return rows_found

    def summary(self, tree: TreeId, lo: bytes = b"", hi: bytes | None = None) -> Sums:
        """Sum up a range of rows; reads at most the two segments at its edges.

        Args:
            tree: the tree to read.
            lo: the first key.
            hi: the key after the last; None: no end.
        """
        manifest = self.manifest(tree)
        first, stop = _range(manifest, lo, hi)
        parts = []
        for number in range(first, stop):
            segment = manifest.segments[number]
            if segment.first >= lo and (hi is None or segment.last < hi):
                parts.append(segment.sums)
            else:
                rows = self.rows_of(segment)
                parts.append(rows.sums(self.kind, *_cut(rows, lo, hi)))
        return parts[0] if len(parts) == 1 else total(parts)

    # --- for the modules that share the work -----------------------------------------------------------

    def manifest(self, tree: TreeId) -> Manifest:
        """Return a tree's manifest."""
        if tree == EMPTY:
            return _EMPTY_MANIFEST
        manifest = self._manifests.get(tree)
        if manifest is None:
            manifest = decode_manifest(self._source.read(ChunkId(tree)))
            self._keep_manifest(tree, manifest)
        return manifest

    def rows_of(self, segment: Segment) -> Rows:
        """Return a segment's rows."""
        rows = self._segments.get(segment.id)
        if rows is None:
            rows = decode_segment(self._source.read(segment.id))
            self._keep_rows(segment, rows.keys, rows.values, rows)
        return rows

    def _seek(self, tree: TreeId, key: bytes) -> tuple[Rows | None, int]:
        manifest = self.manifest(tree)
        number = bisect_left(manifest.lasts, key)
        if number == len(manifest.lasts):
            return None, 0
        rows = self.rows_of(manifest.segments[number])
        return rows, bisect_left(rows.keys, key)

    def _builder(self, writer: ChunkSink) -> TreeBuilder:
        return TreeBuilder(writer, self.kind, self._format, self._keep_rows)

    def _store(self, writer: ChunkSink, segments: list[Segment]) -> TreeId:
        if not segments:
            return EMPTY
        tree = TreeId(writer.add(encode_manifest(segments)))
        self._keep_manifest(tree, Manifest(segments))
        return tree

    def _keep_manifest(self, tree: TreeId, manifest: Manifest) -> None:
        self._manifests.put(tree, manifest, _SEGMENT_BYTES * (1 + len(manifest.segments)))

    def _keep_rows(
        self, segment: Segment, keys: list[bytes], values: list[bytes], rows: Rows | None = None
    ) -> None:
        self._segments.put(segment.id, rows or Rows(keys, values), segment.length + _ROW_BYTES * len(keys))

    def _view(self, source: ChunkSource, kind: TreeKind) -> Trees:
        other = Trees.__new__(Trees)
        other.kind = kind
        other._source = source
        other._format = self._format
        other._manifests = self._manifests
        other._segments = self._segments
        return other


def _range(manifest: Manifest, lo: bytes, hi: bytes | None) -> tuple[int, int]:
    """Return the first segment that reaches into a range of keys, and the first behind it."""
    first = bisect_left(manifest.lasts, lo)
    if hi is None:
        return first, len(manifest.lasts)
    return first, bisect_left(manifest.segments, hi, lo=first, key=_first_key)


def _first_key(segment: Segment) -> bytes:
    return segment.first


def _cut(rows: Rows, lo: bytes, hi: bytes | None) -> tuple[int, int]:
    """Return the positions of a range of keys within a segment."""
    start = bisect_left(rows.keys, lo)
    return start, len(rows.keys) if hi is None else bisect_left(rows.keys, hi, lo=start)


def _in_runs(rows: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[list[bytes], list[bytes]]]:
    rows = iter(rows)
    while run := list(islice(rows, _RUN_ROWS)):
        yield [key for key, _ in run], [value for _, value in run]
