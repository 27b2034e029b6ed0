"""The trees of format 1: a manifest names segments of about a thousand rows.

Pure functions between bytes and rows as ``docs/design/format-1.md`` specifies them. Nothing here reads a chunk.
"""

from __future__ import annotations

import struct
from itertools import accumulate, pairwise

from blake3 import blake3
from msgspec import Struct

from trunkline.errors import DataLoss
from trunkline.storage.chunks import ChunkId
from trunkline.storage.sums import Sums, TreeId

_SEGMENT = b"TLS1"
_MANIFEST = b"TLM1"
_COUNT = struct.Struct("<4sI")
_LENGTH = struct.Struct("<I")
#: Chunk id, rows, segment bytes, sum of sizes, content sum.
_SUMS = struct.Struct("<32sIQQ4Q")

#: The tree without rows. It is never stored, and every tree of format 1 without rows has this id.
EMPTY = TreeId(blake3(_COUNT.pack(_MANIFEST, 0)).digest())


class Segment(Struct, frozen=True):
    """A segment as its manifest knows it."""

    first: bytes
    last: bytes
    id: ChunkId
    #: Bytes of the segment's chunk.
    length: int
    sums: Sums


def decode_segment(data: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return keys and values of a segment.

    Raises:
        DataLoss: the bytes are not those of a segment.
    """
    count = _count(data, "segment", _SEGMENT)
    try:
        lengths = struct.unpack_from(f"<{2 * count}I", data, _COUNT.size)
    except struct.error as error:
        raise _damaged("segment") from error
    ends = list(accumulate(lengths, initial=_COUNT.size + 8 * count))
    if ends[-1] != len(data):
        raise _damaged("segment")
    pieces = [data[start:end] for start, end in pairwise(ends)]
    return pieces[:count], pieces[count:]


def decode_manifest(data: bytes) -> list[Segment]:
    """Return the segments of a manifest, in key order.

    Raises:
        DataLoss: the bytes are not those of a manifest.
    """
    segments = []
    at = _COUNT.size
    try:
        for _ in range(_count(data, "manifest", _MANIFEST)):
            keys = []
            for _ in range(2):
                start = at + 4
                at = start + _LENGTH.unpack_from(data, at)[0]
                keys.append(data[start:at])
            id, rows, length, size, *lanes = _SUMS.unpack_from(data, at)
            at += _SUMS.size
            sums = Sums(rows, size, (lanes[0], lanes[1], lanes[2], lanes[3]))
            segments.append(Segment(keys[0], keys[1], ChunkId(id), length, sums))
    except struct.error as error:
        raise _damaged("manifest") from error
    if at != len(data):
        raise _damaged("manifest")
    return segments


def _count(data: bytes, what: str, expected: bytes) -> int:
    if len(data) < _COUNT.size:
        raise _damaged(what)
    mark, count = _COUNT.unpack_from(data)
    if mark != expected:
        raise DataLoss(
            f"a chunk that should be a {what} of format 1 begins with {mark!r}; it belongs to something else: restore"
            " a backup of the database"
        )
    return int(count)


def _damaged(what: str) -> DataLoss:
    return DataLoss(f"a {what} of format 1 is shorter or longer than its lengths say; restore a backup")
