"""Applies deltas to a file tree, and reports what keeps the result from being a finished commit's tree.

Deltas are merged in key order, so that applying many costs no more than applying one with all their rows. A
delete sorts before everything it deletes; within its range, the base's rows join the stream and are dropped
from the result.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from itertools import groupby, islice, repeat
from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.errors import InvalidArgument
from trunkline.storage import file_values
from trunkline.storage.deltas import APPEND, DELETE_TAGGED, DELTA, REPLACE
from trunkline.storage.sums import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.storage.chunks import ChunkSink, ChunkSource
    from trunkline.storage.sums import TreeId
    from trunkline.storage.trees import Trees

#: Changes whose ends are read together.
_JOINED_TOGETHER = 256
#: Bytes up to which an end is read together with others; all of a step stay well below the store's cache.
_SMALL_END = 64 << 10
#: Operations that add content.
_ADDING = {APPEND[0], REPLACE[0]}
#: The "delta" that a row of the base comes from.
_BASE = -1


class Applied(Struct, frozen=True):
    """What came of applying deltas."""

    tree: TreeId
    #: Why the tree must not be a finished commit's; None when it may.
    problem: str | None


def apply_deltas(
    trees: Trees,
    writer: ChunkSink,
    base: TreeId,
    deltas: Sequence[TreeId],
    source: ChunkSource | None = None,
) -> Applied:
    """Apply deltas to a file tree, in order; costs what they touch.

    Args:
        trees: the store's file trees.
        writer: takes the new nodes; the deltas may be its own, not sealed yet.
        base: the tree to change; it has no problem of its own.
        deltas: as ``DeltaWriter.finish`` returned them, those of several writers one after the other.
        source: where the nodes of the deltas are read; None for ``writer``.
    """
    delta_trees = trees.through(writer if source is None else source).of(DELTA)
    trees = trees.through(writer)
    try:
        tree = _apply(trees, delta_trees, writer, base, deltas)
    except _TooManyChunks as error:
        return Applied(base, error.message)
    return Applied(tree, find_problem(trees, base, tree))


class _TooManyChunks(Exception):
    """A file would have more chunks than the limit."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def _apply(
    trees: Trees, delta_trees: Trees, writer: ChunkSink, base: TreeId, deltas: Sequence[TreeId]
) -> TreeId:
    deltas = [delta for delta in deltas if delta != EMPTY]
    if base == EMPTY and len(deltas) == 1:
        return trees.build_runs(writer, _added(delta_trees, deltas[0]))
    if base == EMPTY:
        return trees.build_runs(writer, _added_by_many(trees, delta_trees, writer, deltas))
    return trees.merge(writer, base, _joined(writer, _changes(trees, delta_trees, base, deltas)))


def find_problem(trees: Trees, base: TreeId, tree: TreeId) -> str | None:
    """Say what keeps a tree from being a finished commit's; looks only around rows that ``base`` has not.

    The texts are those of the Pachyderm API, which puts them into a commit's error.

    Args:
        trees: reads the trees.
        base: the tree before the changes; it has no problem.
        tree: the tree after the changes.
    """
    previous, previous_tag, checked = b"", b"", b""
    old = _Before(trees, base)
    for key, before, after in trees.diff(base, tree):
        if before is not None or after is None:
            continue
        path, _, tag = key.rpartition(b"\0")
        if path == previous:
            return _duplicate(path, previous_tag, tag)
        previous, previous_tag = path, tag
        # Two new rows in each other's way are both met here; one may also be in the way of an old one: of the same
        # path, or below it.
        row = old.next_row(path + b"\0")
        if row is not None and row[0] < path + b"0":
            tags = [row[0].rpartition(b"\0")[2] for row in trees.scan(tree, path + b"\0", path + b"\1")]
            if len(tags) > 1:
                return _duplicate(path, *tags[:2])
            if _is_taken(trees, tree, path + b"/"):
                return _collision(path)
        folder = path[: path.rindex(b"/") + 1]
        if folder != checked:
            end = folder.find(b"/", 1)
            while end != -1:
                if not checked.startswith(folder[: end + 1]) and _is_taken(trees, tree, folder[:end] + b"\0"):
                    return _collision(folder[:end])
                end = folder.find(b"/", end + 1)
            checked = folder
    return None


def _is_taken(trees: Trees, tree: TreeId, prefix: bytes) -> bool:
    """Whether any key starts with ``prefix``."""
    row = trees.next_row(tree, prefix)
    return row is not None and row[0].startswith(prefix)


def _duplicate(path: bytes, first: bytes, second: bytes) -> str:
    name = path.decode()
    return (
        "duplicate path output by different datums "
        f"({name} from {first.decode()} and {name} from {second.decode()})"
    )


def _collision(path: bytes) -> str:
    return f"file / directory path collision ({path.decode()})"


def _added(deltas: Trees, delta: TreeId) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Yield the rows that one delta makes on an empty base: there is nothing to delete or to append to."""
    for keys, values in deltas.runs(delta):
        kinds = {value[0] for value in values}
        if kinds <= {APPEND[0], REPLACE[0]}:
            yield keys, [value[1:] for value in values]
        else:
            rows = [(k, v[1:]) for k, v in zip(keys, values, strict=True) if v[:1] in (APPEND, REPLACE)]
            yield [key for key, _ in rows], [value for _, value in rows]


def _added_by_many(
    trees: Trees, delta_trees: Trees, writer: ChunkSink, deltas: Sequence[TreeId]
) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Yield the rows that several deltas make on an empty base; rows that no other operation touches in runs."""
    ranges: list[tuple[bytes, int]] = []
    for keys, numbers, values in _batches(delta_trees, deltas):
        while ranges and keys[0] >= ranges[-1][0]:
            ranges.pop()
        if not ranges and {value[0] for value in values} <= _ADDING and len(set(keys)) == len(keys):
            yield keys, [value[1:] for value in values]
            continue
        rows = zip(keys, zip(numbers, values, strict=True), strict=True)
        groups = ((key, [row[1] for row in group]) for key, group in groupby(rows, itemgetter(0)))
        changes = _changes_of_groups(trees, EMPTY, groups, ranges, None)
        remaining = [(key, value) for key, value in _joined(writer, changes) if value is not None]
        yield [key for key, _ in remaining], [value for _, value in remaining]


def _batches(deltas: Trees, ids: Sequence[TreeId]) -> Iterator[tuple[list[bytes], list[int], list[bytes]]]:
    """Yield the rows of deltas in key order, many at a time: keys, numbers of the deltas, and values.

    All rows of a key are in one batch, in the order of the deltas.
    """
    sources = [(number, deltas.runs(id)) for number, id in enumerate(ids)]
    #: The run that each source is in, by the source's number.
    current: dict[int, tuple[list[bytes], list[bytes], Iterator[tuple[list[bytes], list[bytes]]]]] = {}
    for number, runs in sources:
        run = next(runs, None)
        if run is not None:
            current[number] = (*run, runs)
    while current:
        bound = min(keys[-1] for keys, _, _ in current.values())
        rows: list[tuple[bytes, int, bytes]] = []
        for number, (keys, values, runs) in list(current.items()):
            stop = bisect_right(keys, bound)
            rows += zip(keys[:stop], repeat(number), values[:stop], strict=False)
            if stop < len(keys):
                current[number] = keys[stop:], values[stop:], runs
                continue
            run = next(runs, None)
            if run is None:
                del current[number]
            else:
                current[number] = (*run, runs)
        rows.sort()
        yield [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def _changes(
    trees: Trees, delta_trees: Trees, base: TreeId, deltas: Sequence[TreeId]
) -> Iterator[tuple[bytes, list[bytes] | None]]:
    """Yield key and the parts of the new value (None: delete) of each row that deltas change, in key order."""
    stream = _Stream()
    for number, delta in enumerate(deltas):
        stream.join(number, delta_trees.scan(delta))
    groups = iter(stream.next_group, None)
    return _changes_of_groups(trees, base, groups, [], stream)


def _changes_of_groups(
    trees: Trees,
    base: TreeId,
    groups: Iterator[tuple[bytes, list[tuple[int, bytes]]] | None],
    ranges: list[tuple[bytes, int]],
    stream: _Stream | None,
) -> Iterator[tuple[bytes, list[bytes] | None]]:
    """Do this for operations by key.

    Args:
        trees: reads the base.
        base: the tree to change.
        groups: key, and number of the delta and operation of each of its rows.
        ranges: where the ranges of deletes end that the key is in, the innermost last, with the last delta that has
            one around the key; kept up to date.
        stream: which the base's rows within a range join; None when the base is empty.
    """
    before = _Before(trees, base)
    for group in groups:
        if group is None:
            return
        key, operations = group
        path, _, tag = key.rpartition(b"\0")
        while ranges and key >= ranges[-1][0]:
            ranges.pop()
        deleter = ranges[-1][1] if ranges else _BASE
        if not tag:
            low, high = (path, path[:-1] + b"0") if path.endswith(b"/") else (path + b"\0", path + b"\1")
            if not ranges and stream is not None:
                stream.join(_BASE, trees.scan(base, low, high))
            ranges.append((high, max(deleter, operations[-1][0])))
            continue
        yield key, _parts(before, key, operations, deleter)


def _joined(
    writer: ChunkSink, changes: Iterator[tuple[bytes, list[bytes] | None]]
) -> Iterator[tuple[bytes, bytes | None]]:
    """Join the parts of each file that changes; None stays None.

    Appending reads the end of what is there. Small ends are read many at a time: one by one, each would
    cost a look-up and a read of its own.
    """
    while batch := list(islice(changes, _JOINED_TOGETHER)):
        ends = [
            ref
            for _, parts in batch
            if parts is not None and len(parts) > 1
            for part in parts
            for ref in file_values.edges_of(writer, part)
        ]
        writer.prefetch([id for id, size in ends if size <= _SMALL_END])
        for key, parts in batch:
            if parts is None:
                yield key, None
                continue
            if len(parts) == 1:  # a delta holds no file of too many chunks
                yield key, parts[0]
                continue
            try:
                count = sum(map(file_values.count_of, parts))
                file_values.check_count(count, key.partition(b"\0")[0].decode())
            except InvalidArgument as error:
                raise _TooManyChunks(error.message) from error
            content = parts[0]
            for part in parts[1:]:
                content = file_values.concat(writer, content, part)
            yield key, content


def _parts(
    before: _Before, key: bytes, operations: list[tuple[int, bytes]], deleter: int
) -> list[bytes] | None:
    """Return the file values that make up a row's new value, None when there is none any more.

    Args:
        before: the base.
        key: of the row.
        operations: what deltas do to it: number of the delta and value.
        deleter: the last delta that deletes a range around the row.
    """
    removed = deleter != _BASE
    parts: list[bytes] | None = None
    for number, value in operations:
        kind = value[:1]
        if number == _BASE or number < deleter:
            continue
        if kind == DELETE_TAGGED:
            removed, parts = True, None
        elif kind == REPLACE:
            removed, parts = True, [value[1:]]
        else:
            parts = [*(parts or []), value[1:]]
    if parts is None:
        return None
    present = None if removed else before.get(key)
    return parts if present is None else [present, *parts]


class _Before:
    """The rows of a tree at keys that come in ascending order.

    One look-up answers for all keys before the row that it returns: adding behind what is there, or many rows between
    two that are there, costs one.
    """

    def __init__(self, trees: Trees, tree: TreeId) -> None:
        self._trees = trees
        self._tree = tree
        #: Whether ``_row`` is the first one at or after the last key.
        self._looked = tree == EMPTY
        self._row: tuple[bytes, bytes] | None = None

    def next_row(self, key: bytes) -> tuple[bytes, bytes] | None:
        """Return the first row at or after a key, which is not before the last one."""
        if not self._looked or (self._row is not None and self._row[0] < key):
            self._row = self._trees.next_row(self._tree, key)
            self._looked = True
        return self._row

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, which is not before the last one."""
        row = self.next_row(key)
        return row[1] if row is not None and row[0] == key else None


class _Stream:
    """Rows of several sources in key order; a source may join while the stream is read."""

    def __init__(self) -> None:
        self._heap: list[tuple[bytes, int, bytes, Iterator[tuple[bytes, bytes]]]] = []

    def join(self, number: int, rows: Iterator[tuple[bytes, bytes]]) -> None:
        """Add a source whose next key is not before those already taken."""
        row = next(rows, None)
        if row is not None:
            heapq.heappush(self._heap, (row[0], number, row[1], rows))

    def next_group(self) -> tuple[bytes, list[tuple[int, bytes]]] | None:
        """Take all rows of the next key: source number and value, in order of the numbers."""
        heap = self._heap
        if not heap:
            return None
        key = heap[0][0]
        group = [self._take()]
        while heap and heap[0][0] == key:
            group.append(self._take())
        return key, group

    def _take(self) -> tuple[int, bytes]:
        """Take the first row: source number and value."""
        _, number, value, rows = self._heap[0]
        row = next(rows, None)
        if row is None:
            heapq.heappop(self._heap)
        else:
            heapq.heapreplace(self._heap, (row[0], number, row[1], rows))
        return number, value
