"""Changes a tree by rewriting only the segments that changes touch.

From the segment that a change falls into, rows are cut again until a new cut coincides with an old one; from
there the old segments are reused up to the next change. Because cuts depend only on the rows since the last
cut, the result is the tree that building all rows would give.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from trunkline.storage.segments import Rows, Sums, sum_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trunkline.storage.builder import TreeBuilder
    from trunkline.storage.segments import Manifest, SegmentReader, TreeKind

#: With fewer than one change in so many rows, changes are put in one by one; else all rows are sorted anew.
_SPARSE = 16
#: Changes taken at a time behind the last row of the tree.
_TAIL_CHANGES = 4096

Change = tuple[bytes, bytes | None]


def merge(reader: SegmentReader, base: Manifest, changes: Iterable[Change], builder: TreeBuilder) -> None:
    """Feed ``builder`` with what ``base`` becomes by sorted changes.

    Args:
        reader: reads the segments.
        base: the tree before the changes.
        changes: sorted by key, each key once.
        builder: takes the rows and segments of the result.
    """
    pending = _Changes(changes)
    segments = base.segments
    number = 0
    while number < len(segments):
        if builder.at_cut:
            if pending.next_key is None:
                break
            # A key behind the last row belongs to the last segment, which no cut may have ended.
            target = min(bisect_left(base.lasts, pending.next_key, lo=number), len(segments) - 1)
            builder.reuse(segments[number:target])
            number = target
        segment = segments[number]
        rows = reader.rows_of(segment)
        due = pending.up_to(segment.last)
        if due:
            keys, values, sums = _apply(reader.kind, rows, segment.sums, due)
            builder.extend(keys, values, sums)
        else:
            builder.extend(rows.keys, rows.values, lambda sums=segment.sums: sums)  # type: ignore[misc]
        number += 1
    if number < len(segments):
        builder.reuse(segments[number:])
        return
    while tail := pending.take(_TAIL_CHANGES):
        added = [(key, value) for key, value in tail if value is not None]
        builder.extend([key for key, _ in added], [value for _, value in added])


def _apply(
    kind: TreeKind, rows: Rows, sums: Sums, changes: list[Change]
) -> tuple[list[bytes], list[bytes], Callable[[], Sums] | None]:
    """Return a segment's rows after changes, and how to sum them up if there is a quick way."""
    if len(changes) * _SPARSE > len(rows.keys):
        table: dict[bytes, bytes | None] = dict(zip(rows.keys, rows.values, strict=True))
        table.update(changes)
        remaining = sorted(row for row in table.items() if row[1] is not None)
        return [key for key, _ in remaining], [value for _, value in remaining if value is not None], None
    keys, values = rows.keys.copy(), rows.values.copy()
    removed: list[tuple[bytes, bytes]] = []
    added: list[tuple[bytes, bytes]] = []
    at = 0
    for key, value in changes:
        at = bisect_left(keys, key, lo=at)
        if at < len(keys) and keys[at] == key:
            removed.append((key, values[at]))
            del keys[at], values[at]
        if value is not None:
            keys.insert(at, key)
            values.insert(at, value)
            added.append((key, value))

    def summed() -> Sums:
        return sums - _sum_pairs(kind, removed) + _sum_pairs(kind, added)

    return keys, values, summed


def _sum_pairs(kind: TreeKind, pairs: list[tuple[bytes, bytes]]) -> Sums:
    return sum_rows(kind, [key for key, _ in pairs], [value for _, value in pairs])


class _Changes:
    """The changes that are still to be made."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self._rest = iter(changes)
        self._next = next(self._rest, None)

    @property
    def next_key(self) -> bytes | None:
        """The key of the next change."""
        return self._next[0] if self._next else None

    def up_to(self, last: bytes) -> list[Change]:
        """Take the changes of keys up to ``last``."""
        due = []
        while self._next and self._next[0] <= last:
            due.append(self._next)
            self._next = next(self._rest, None)
        return due

    def take(self, count: int) -> list[Change]:
        """Take the next changes, whatever their keys."""
        due: list[Change] = []
        while self._next and len(due) < count:
            due.append(self._next)
            self._next = next(self._rest, None)
        return due
