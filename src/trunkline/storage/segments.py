"""Segments and manifests: the bytes of a tree, and the sums stored beside each segment.

Pure functions between rows and bytes as ``docs/design/format.md`` specifies them. Nothing here reads a
chunk or decides where a segment ends.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NewType, Protocol

from blake3 import blake3

from trunkline.errors import DataLoss
from trunkline.storage.chunks import ChunkId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

#: A tree: the chunk id of its manifest.
TreeId = NewType("TreeId", bytes)

#: Four sums modulo 2^64 (see ``content_sums``).
Lanes = tuple[int, int, int, int]

NO_LANES: Lanes = (0, 0, 0, 0)

_SEGMENT = b"TLS1"
_MANIFEST = b"TLM1"
_COUNT = struct.Struct("<4sI")
_LENGTH = struct.Struct("<I")
#: Chunk id, rows, segment bytes, sum of sizes, content sum.
_SUMS = struct.Struct("<32sIQQ4Q")
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class TreeKind:
    """What a tree's rows are summed up to, per segment and so per range of keys."""

    #: The size that a row's value stands for; None when rows of this kind have none.
    size_of: Callable[[bytes], int] | None = None
    #: What of a row's value enters the content sum, so that ranges can be compared by their hash; None for a kind
    #: without content sums.
    content_of: Callable[[bytes], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """Aggregates of a range of rows, known without reading it. Can be added and subtracted."""

    rows: int = 0
    #: Sum of the rows' sizes.
    size: int = 0
    content: Lanes = NO_LANES

    def __add__(self, other: Sums) -> Sums:
        a, b = self.content, other.content
        content = (a[0] + b[0] & _MASK, a[1] + b[1] & _MASK, a[2] + b[2] & _MASK, a[3] + b[3] & _MASK)
        return Sums(self.rows + other.rows, self.size + other.size, content)

    def __sub__(self, other: Sums) -> Sums:
        a, b = self.content, other.content
        content = (a[0] - b[0] & _MASK, a[1] - b[1] & _MASK, a[2] - b[2] & _MASK, a[3] - b[3] & _MASK)
        return Sums(self.rows - other.rows, self.size - other.size, content)


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment as its manifest knows it."""

    first: bytes
    last: bytes
    id: ChunkId
    #: Bytes of the segment's chunk.
    length: int
    sums: Sums


class Rows:
    """The rows of a segment. Immutable; shared by all readers.

    Attributes:
        keys: sorted.
        values: one for each key.
    """

    __slots__ = ("_asked", "_prefixes", "keys", "values")

    def __init__(self, keys: list[bytes], values: list[bytes]) -> None:
        self.keys = keys
        self.values = values
        self._asked = False
        self._prefixes: tuple[TreeKind, list[array[int]]] | None = None

    def sums(self, kind: TreeKind, start: int, stop: int) -> Sums:
        """Sum up the rows from one position to another.

        Args:
            kind: kind of the tree, which says what its values mean.
            start: first position.
            stop: position after the last row.
        """
        if start >= stop:
            return Sums()
        # A second request usually means a listing of many directories: sum once, subtract often.
        if not self._asked:
            self._asked = True
            return sum_rows(kind, self.keys[start:stop], self.values[start:stop])
        if self._prefixes is None or self._prefixes[0] is not kind:
            columns = [_sizes(kind, self.values), *_lanes(kind, self.keys, self.values)]
            self._prefixes = (
                kind,
                [array("Q", [n & _MASK for n in accumulate(column, initial=0)]) for column in columns],
            )
        size, a, b, c, d = (column[stop] - column[start] & _MASK for column in self._prefixes[1])
        return Sums(stop - start, size, (a, b, c, d))


class SegmentReader(Protocol):
    """Reads the rows of segments of one kind of tree."""

    @property
    def kind(self) -> TreeKind:
        """What the rows sum up to."""

    def rows_of(self, segment: Segment) -> Rows:
        """Return the rows of a segment.

        Raises:
            DataLoss: it is not there, or damaged.
        """


@dataclass(frozen=True, slots=True)
class Manifest:
    """A tree's segments in key order, and what searching them needs."""

    segments: list[Segment]
    #: Last key of each segment.
    lasts: list[bytes] = field(init=False)
    #: Rows before each segment, and of all.
    starts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lasts", [segment.last for segment in self.segments])
        starts = list(accumulate((segment.sums.rows for segment in self.segments), initial=0))
        object.__setattr__(self, "starts", starts)


def total(parts: Sequence[Sums]) -> Sums:
    """Add up many sums."""
    lanes = [sum(part.content[lane] for part in parts) & _MASK for lane in range(4)]
    content = (lanes[0], lanes[1], lanes[2], lanes[3])
    return Sums(sum(part.rows for part in parts), sum(part.size for part in parts), content)


def sum_rows(kind: TreeKind, keys: Sequence[bytes], values: Sequence[bytes]) -> Sums:
    """Sum up rows.

    Args:
        kind: kind of the tree, which says what its values mean.
        keys: keys of the rows, in order.
        values: values of the rows, in the same order.
    """
    lanes = [sum(lane) & _MASK for lane in _lanes(kind, keys, values)]
    return Sums(len(keys), sum(_sizes(kind, values)), (lanes[0], lanes[1], lanes[2], lanes[3]))


def encode_segment(keys: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    """Return a segment's bytes."""
    lengths = struct.pack(f"<{2 * len(keys)}I", *map(len, keys), *map(len, values))
    return b"".join((_COUNT.pack(_SEGMENT, len(keys)), lengths, *keys, *values))


def decode_segment(data: bytes) -> Rows:
    """Return a segment's rows."""
    mark, count = _COUNT.unpack_from(data)
    if mark != _SEGMENT:
        raise _foreign("segment", mark)
    lengths = struct.unpack_from(f"<{2 * count}I", data, _COUNT.size)
    ends = list(accumulate(lengths, initial=_COUNT.size + 8 * count))
    pieces = [data[start:end] for start, end in pairwise(ends)]
    return Rows(pieces[:count], pieces[count:])


def encode_manifest(segments: Sequence[Segment]) -> bytes:
    """Return a manifest's bytes."""
    parts = [_COUNT.pack(_MANIFEST, len(segments))]
    for segment in segments:
        sums = segment.sums
        parts += (
            _LENGTH.pack(len(segment.first)),
            segment.first,
            _LENGTH.pack(len(segment.last)),
            segment.last,
            _SUMS.pack(segment.id, sums.rows, segment.length, sums.size, *sums.content),
        )
    return b"".join(parts)


def decode_manifest(data: bytes) -> Manifest:
    """Return a manifest."""
    mark, count = _COUNT.unpack_from(data)
    if mark != _MANIFEST:
        raise _foreign("manifest", mark)
    segments = []
    at = _COUNT.size
    for _ in range(count):
        keys = []
        for _ in range(2):
            start = at + 4
            at = start + _LENGTH.unpack_from(data, at)[0]
            keys.append(data[start:at])
        id, rows, length, size, *lanes = _SUMS.unpack_from(data, at)
        at += _SUMS.size
        sums = Sums(rows, size, (lanes[0], lanes[1], lanes[2], lanes[3]))
        segments.append(Segment(keys[0], keys[1], ChunkId(id), length, sums))
    return Manifest(segments)


def _sizes(kind: TreeKind, values: Iterable[bytes]) -> Iterable[int]:
    return map(kind.size_of, values) if kind.size_of else (0 for _ in values)


def _lanes(kind: TreeKind, keys: Sequence[bytes], values: Sequence[bytes]) -> list[Sequence[int]]:
    """Return, lane by lane, the four little-endian integers of each row's hash."""
    if kind.content_of is None:
        return [[0] * len(keys)] * 4
    pack = _LENGTH.pack
    digests = [
        blake3(b"%b%b%b" % (pack(len(key)), key, kind.content_of(value))).digest()
        for key, value in zip(keys, values, strict=True)
    ]
    numbers = struct.unpack(f"<{4 * len(digests)}Q", b"".join(digests))
    return [numbers[lane::4] for lane in range(4)]


def _foreign(what: str, mark: bytes) -> DataLoss:
    return DataLoss(
        f"a chunk that should be a {what} begins with {mark!r}; "
        "it belongs to something else or to a newer format: use the release that wrote it"
    )


#: The tree without rows. It is never stored, and every tree without rows has this id.
EMPTY = TreeId(blake3(encode_manifest([])).digest())
