"""Trees: sorted rows under one content address. Building, changing, comparing, reading.

A tree is a sequence of small nodes (``nodes`` has the bytes, ``cuts`` the rule where a node ends), and in file trees
the sequences of its large folders (``folders``). Equal ranges of rows are equal nodes, so every operation skips what
it does not need: changing one row of a million reads and writes a node of each level, comparing two trees reads only
nodes that are not in both, and the sums of a folder stand where the folder is named. Here keys are full keys: nobody
above needs to know which folders are sequences.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from trunkline.storage import folder_reads, row_reads
from trunkline.storage.chunks import ChunkId
from trunkline.storage.folders import FolderWriter
from trunkline.storage.node_reader import Ahead, NodeCache, NodeReader
from trunkline.storage.sequences import Base, SequenceWriter
from trunkline.storage.sums import EMPTY, Sums, TreeId, named
from trunkline.storage.tree_diff import compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trunkline.storage.chunks import ChunkSink, ChunkSource
    from trunkline.storage.folder_reads import Folder
    from trunkline.storage.sums import TreeKind

#: Rows built into a tree are taken in runs of this many.
_RUN_ROWS = 4096
#: Changes whose nodes are read together.
_CHANGES_AHEAD = 512


class Trees:
    """All trees of one kind in a store. May be used from any thread.

    Args:
        store: where chunks are read; a ``ChunkSink`` to read what it has not sealed yet.
        kind: how they are stored, and what the rows sum up to.
        cache_bytes: bytes of inner nodes that are cached, and as many of leaves.
    """

    def __init__(self, store: ChunkSource, kind: TreeKind, *, cache_bytes: int = 64 << 20) -> None:
        self.kind = kind
        self._source = store
        self._cache = NodeCache(cache_bytes)
        self.reader = NodeReader(store, kind, self._cache)

    def of(self, kind: TreeKind) -> Trees:
        """Return the trees of another kind in the same store."""
        return self._view(self._source, kind, self._cache)

    def through(self, source: ChunkSource) -> Trees:
        """Return the same trees and those whose chunks only ``source`` has, such as an unsealed writer."""
        return self._view(source, self.kind, self._cache)

    def passing(self) -> Trees:
        """Return the same trees for a pass over many leaves, which would take the place of all others in the cache."""
        return self._view(self._source, self.kind, self._cache.with_few_leaves())

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
        target = self._writer(writer, None)
        for keys, values in runs:
            target.extend(keys, values)
        return _finished(target)

    def merge(self, writer: ChunkSink, base: TreeId, changes: Iterable[tuple[bytes, bytes | None]]) -> TreeId:
        """Store the tree that ``base`` becomes by changes; costs the nodes that they touch.

        Args:
            writer: stores the new chunks.
            base: the tree to start from.
            changes: key and new value, None to delete the row if it is there; sorted, keys distinct.
        """
        if base == EMPTY:
            return self.build(writer, ((key, value) for key, value in changes if value is not None))
        target = self._writer(writer, base)
        reader = self.through(writer).reader
        top, cut = ChunkId(base), len(self.kind.top)
        changes = iter(changes)
        while batch := list(islice(changes, _CHANGES_AHEAD)):
            if len(batch) > 1 and row_reads.has_row(
                reader, top, self.kind.top, batch[0][0][cut:], batch[-1][0][cut:]
            ):
                reader.read_paths(top, [key[cut:] for key, _ in batch])
            for key, value in batch:
                target.put(key, value)
        return _finished(target)

    # --- comparing -------------------------------------------------------------------------------------

    def diff(
        self, old: TreeId, new: TreeId, lo: bytes = b"", hi: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
        """Yield ``(key, old value, new value)`` of each row that differs, None where there is none.

        Costs the nodes that are not in both trees.

        Args:
            old: the first tree.
            new: the second tree.
            lo: the first key.
            hi: the key after the last; None: no end.
        """
        bounds = self._within(lo, hi)
        if old == new or bounds is None:
            return iter(())
        return compare(self.reader, _top(old), _top(new), self.kind.top, *bounds)

    # --- reading ---------------------------------------------------------------------------------------

    def get(self, tree: TreeId, key: bytes) -> bytes | None:
        """Return a row's value, or None when there is no such row."""
        if tree == EMPTY or not key.startswith(self.kind.top):
            return None
        return row_reads.get(self.reader, ChunkId(tree), key[len(self.kind.top) :])

    def next_row(self, tree: TreeId, key: bytes) -> tuple[bytes, bytes] | None:
        """Return the first row whose key is ``key`` or after it."""
        bounds = self._within(key, None)
        if tree == EMPTY or bounds is None:
            return None
        return row_reads.next_row(self.reader, ChunkId(tree), self.kind.top, bounds[0])

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
        bounds = self._within(lo, hi)
        if tree == EMPTY or bounds is None:
            return
        top, ahead = self.reader.node(ChunkId(tree)), Ahead()
        for keys, values in row_reads.runs(self.reader, top, self.kind.top, *bounds, ahead, reverse=reverse):
            yield from zip(keys, values, strict=True)

    def runs(self, tree: TreeId) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Yield all rows in runs: keys and values."""
        if tree == EMPTY:
            return iter(())
        top = self.reader.node(ChunkId(tree))
        return row_reads.runs(self.reader, top, self.kind.top, b"", None, Ahead(eager=True))

    def rows(self, tree: TreeId, start: int, stop: int) -> list[tuple[bytes, bytes]]:
        """Return the rows from one position to another; positions beyond the end are ignored.

        Args:
            tree: the tree to read.
            start: first position.
            stop: position after the last row.
        """
        if tree == EMPTY or start >= stop:
            return []
        return row_reads.positions(self.reader, ChunkId(tree), self.kind.top, start, stop)

    def summary(self, tree: TreeId, lo: bytes = b"", hi: bytes | None = None) -> Sums:
        """Sum up a range of rows; reads only the nodes at its edges.

        Args:
            tree: the tree to read.
            lo: the first key.
            hi: the key after the last; None: no end.
        """
        bounds = self._within(lo, hi)
        if tree == EMPTY or bounds is None:
            return Sums()
        return named(row_reads.range_sums(self.reader, ChunkId(tree), self.kind.top, *bounds))

    def folder(self, tree: TreeId, path: bytes) -> Folder | None:
        """Return the folder at a path with its slash, or None when no row is below it."""
        return None if tree == EMPTY else folder_reads.locate(self.reader, ChunkId(tree), path)

    # -----------------------------------------------------------------------------------------------------

    def _writer(self, writer: ChunkSink, base: TreeId | None) -> FolderWriter | SequenceWriter:
        reader = self.through(writer).reader
        address = None if base is None else ChunkId(base)
        if self.kind.own:
            return FolderWriter(reader, writer, address)
        return SequenceWriter(reader, writer, self.kind.top, None if address is None else Base(address))

    def _within(self, lo: bytes, hi: bytes | None) -> tuple[bytes, bytes | None] | None:
        """Return a range of full keys in terms of the top sequence; None when it holds no key."""
        top = self.kind.top
        if not lo.startswith(top):
            if lo > top:
                return None
            lo = top
        if hi is not None:
            if hi <= lo:
                return None
            hi = hi[len(top) :] if hi.startswith(top) else None
        return lo[len(top) :], hi

    def _view(self, source: ChunkSource, kind: TreeKind, cache: NodeCache) -> Trees:
        other = Trees.__new__(Trees)
        other.kind = kind
        other._source = source
        other._cache = cache
        other.reader = NodeReader(source, kind, cache)
        return other


def _top(tree: TreeId) -> ChunkId | None:
    return None if tree == EMPTY else ChunkId(tree)


def _finished(target: FolderWriter | SequenceWriter) -> TreeId:
    written = target.finish()
    return EMPTY if written is None else TreeId(written.address)


def _in_runs(rows: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[list[bytes], list[bytes]]]:
    rows = iter(rows)
    while run := list(islice(rows, _RUN_ROWS)):
        yield [key for key, _ in run], [value for _, value in run]
