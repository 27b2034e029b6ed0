"""Cuts sorted rows into segments at boundaries that the keys determine, and stores the segments.

The cut rule makes a tree's segments a function of its rows. Equal ranges of rows become equal segments, in
whatever order and from whatever older tree they were written, so they are stored once and every comparison
skips them. The rule depends only on the rows since the segment's start, so cutting can resume at any cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

from trunkline.storage.segments import Segment, encode_segment, sum_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trunkline.storage.chunks import ChunkSink
    from trunkline.storage.segments import Sums, TreeKind


@dataclass(frozen=True, slots=True)
class TreeFormat:
    """Where segments end. Other values than these make another store format; tests use small ones.

    A row weighs 1 and 1 more for every ``unit`` bytes of its key and value. A segment ends after a row
    whose ``crc32(key) % modulus`` is below the row's weight, once it weighs ``least``; and always once it
    weighs ``most``. Weighing bytes keeps segments of long rows (files of thousands of chunks) short, and
    their ends chosen by content instead of by the limit, which would shift all that follows.
    """

    least: int = 256
    most: int = 4096
    modulus: int = 1024
    unit: int = 256


FROZEN = TreeFormat()


class TreeBuilder:
    """Takes sorted rows and finished segments, in key order; stores the segments that are new.

    Attributes:
        segments: those that are complete.
    """

    def __init__(
        self,
        writer: ChunkSink,
        kind: TreeKind,
        format: TreeFormat,
        keep: Callable[[Segment, list[bytes], list[bytes]], None],
    ) -> None:
        self._writer = writer
        self._kind = kind
        self._format = format
        self._keep = keep
        self.segments: list[Segment] = []
        self._keys: list[bytes] = []
        self._values: list[bytes] = []
        self._weight = 0
        self._sums: Callable[[], Sums] | None = None

    @property
    def at_cut(self) -> bool:
        """Whether a segment ended with the last row."""
        return not self._keys

    def reuse(self, segments: Sequence[Segment]) -> None:
        """Take segments of another tree as they are; only at a cut."""
        self.segments += segments

    def extend(self, keys: list[bytes], values: list[bytes], sums: Callable[[], Sums] | None = None) -> None:
        """Take rows.

        Args:
            keys: sorted and after all keys before.
            values: one for each key.
            sums: gives the sums of just these rows, if that is cheaper than summing them up again.
        """
        if not keys:
            return
        stops, self._weight = _cut(self._format, keys, values, self._weight)
        whole = sums if not self._keys else None
        start = 0
        for stop in stops:
            if self._keys:
                self._end(self._keys + keys[start:stop], self._values + values[start:stop], None)
                self._keys, self._values = [], []
            else:
                all_of_them = start == 0 and stop == len(keys)
                self._end(keys[start:stop], values[start:stop], whole if all_of_them else None)
            start = stop
        if start < len(keys):
            self._sums = whole if start == 0 else None
            self._keys += keys[start:]
            self._values += values[start:]

    def finish(self) -> list[Segment]:
        """End the last segment; return all."""
        if self._keys:
            self._end(self._keys, self._values, self._sums)
            self._keys, self._values = [], []
        return self.segments

    def _end(self, keys: list[bytes], values: list[bytes], sums: Callable[[], Sums] | None) -> None:
        data = encode_segment(keys, values)
        totals = sums() if sums else sum_rows(self._kind, keys, values)
        segment = Segment(keys[0], keys[-1], self._writer.add(data), len(data), totals)
        self.segments.append(segment)
        self._keep(segment, keys, values)


def _cut(format: TreeFormat, keys: list[bytes], values: list[bytes], weight: int) -> tuple[list[int], int]:
    """Return after how many of the rows segments end, and what the rows since the last end weigh.

    Args:
        format: the rule.
        keys: of the rows, not empty.
        values: of the rows.
        weight: of the rows since the last end before these.
    """
    if max(map(len, keys)) + max(map(len, values)) < format.unit:
        return _cut_light(format, keys, weight)
    least, most, modulus, unit = format.least, format.most, format.modulus, format.unit
    stops = []
    for stop, (key, value) in enumerate(zip(keys, values, strict=True), 1):
        own = 1 + (len(key) + len(value)) // unit
        weight += own
        if weight >= least and (weight >= most or crc32(key) % modulus < own):
            stops.append(stop)
            weight = 0
    return stops, weight


def _cut_light(format: TreeFormat, keys: list[bytes], weight: int) -> tuple[list[int], int]:
    """Do the same for rows that weigh 1 each, as nearly all do: there is less to look at."""
    stops: list[int] = []
    start = -weight  # where the segment would have begun
    while True:
        begin = max(start + format.least - 1, 0)
        limit = max(start + format.most - 1, begin)
        crcs = map(crc32, keys[begin:limit])
        end = next((at for at, crc in enumerate(crcs, begin) if crc % format.modulus == 0), limit)
        if end >= len(keys):
            return stops, len(keys) - start
        start = end + 1
        stops.append(start)
