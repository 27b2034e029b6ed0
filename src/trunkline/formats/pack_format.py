"""The layout of packs and the codecs of chunks (docs/design/format.md, Packs). Pure functions over bytes.

The server writes packs, and so do workers that upload to the object store directly; both read ranges of packs.
Both use this module. It depends on neither and imports only the two libraries that the layout needs, so that a
worker that transfers a large file loads nothing else.
"""

from __future__ import annotations

import struct
import threading
import uuid
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

import zstandard
from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A chunk's codec: stored as it is, or as one zstd frame.
RAW = 0
ZSTD = 1

#: Bytes of chunks after which a pack is complete. Disks and clouds write objects of this size well; larger
#: ones only make the end of a write wait longer.
PACK_BYTES = 64 << 20
#: Bytes of the BLAKE3-256 at the end of a pack.
HASH_BYTES = 32
#: Bytes between two chunks of a pack up to which one request for both is cheaper than two requests.
GAP_BYTES = 64 << 10

#: A row of a pack's table: chunk id, offset in the pack, stored bytes, bytes of the chunk, codec.
ENTRY = struct.Struct("<32sIIIB")

#: zstd level 1: more than twice the speed of level 3 for 5 % more bytes (docs/benchmarks.md).
_LEVEL = 1
#: A chunk stays raw when zstd leaves more than this share of it; reading it is then only a copy.
_WORTHWHILE = 0.97
#: From this many chunks on, every eighth is tried first; that is enough to notice content that compresses.
_SAMPLED = 32
_SAMPLE_STEP = 8


def new_key() -> str:
    """Return a key for a new pack, which is also the pack's name in the chunk index."""
    name = uuid.uuid4().hex
    return f"packs/{name[:2]}/{name}"


def encode(pieces: Sequence[bytes | memoryview]) -> tuple[list[int], list[bytes | memoryview]]:
    """Compress chunks where it saves space; return the codec of each and the stored bytes of each.

    Small chunks go through zstd in one call: each call releases the interpreter lock and has to acquire it
    again, which for a kilobyte costs more than the compression. Of many chunks, a sample is tried first in
    one frame: zstd gives up at once on 256 KiB of incompressible bytes (30 µs), but not on a kilobyte (5 µs).
    """
    codecs, stored = [RAW] * len(pieces), list(pieces)
    if len(pieces) >= _SAMPLED:
        sample = b"".join(pieces[::_SAMPLE_STEP])
        if not _is_worthwhile(_codecs.compressor.compress(sample), sample):
            return codecs, stored
    if len(pieces) == 1:
        packed = [_codecs.compressor.compress(pieces[0])]
    else:
        segments = _codecs.compressor.multi_compress_to_buffer(list(pieces), threads=0)
        packed = [segments[at].tobytes() for at in range(len(pieces))]
    for at, smaller in enumerate(packed):
        if _is_worthwhile(smaller, pieces[at]):
            codecs[at], stored[at] = ZSTD, smaller
    return codecs, stored


def decode(id: bytes, codec: int, length: int, stored: bytes) -> bytes | None:
    """Reverse ``encode`` for one chunk and check its content.

    Args:
        id: the chunk's id.
        codec: ``RAW`` or ``ZSTD``.
        length: bytes of the chunk.
        stored: its bytes in the pack.

    Returns:
        The chunk, or None when the bytes do not match the id.
    """
    data = stored
    if codec == ZSTD:
        try:
            data = _codecs.decompressor.decompress(stored, max_output_size=length)
        except zstandard.ZstdError:
            return None
    return data if blake3(data).digest() == id else None


class PackLayout:
    """Computes the layout of one pack: its table, size and hash. The caller writes the bytes.

    Attributes:
        key: of the object.
        table: one ``ENTRY`` per chunk.
        size: bytes so far.
        entries: chunks so far.
        chunk_bytes: bytes of these chunks before compression.
    """

    __slots__ = ("_hash", "chunk_bytes", "entries", "key", "size", "table")

    def __init__(self, key: str) -> None:
        self.key = key
        self.table = bytearray()
        self.size = 0
        self.entries = 0
        self.chunk_bytes = 0
        self._hash = blake3()

    @property
    def is_full(self) -> bool:
        """Whether the pack takes no more chunks."""
        return self.size >= PACK_BYTES

    def add(
        self,
        ids: Sequence[bytes],
        pieces: Sequence[bytes | memoryview],
        codecs: Sequence[int],
        stored: Sequence[bytes | memoryview],
    ) -> tuple[int, bytes | memoryview]:
        """Add chunks until the pack is full, at least one.

        Args:
            ids: of the chunks; not empty.
            pieces: the chunks.
            codecs: as ``encode`` returned them.
            stored: as ``encode`` returned them.

        Returns:
            How many of the chunks were added, and their bytes, which follow those added before.
        """
        ends = list(accumulate(map(len, stored), initial=self.size))
        count = max(1, min(bisect_left(ends, PACK_BYTES), len(stored)))
        lengths = list(map(len, pieces[:count]))
        # ``map`` stops at the shortest column, ``lengths``.
        self.table += b"".join(map(ENTRY.pack, ids, ends, map(len, stored), lengths, codecs))
        part = stored[0] if count == 1 else b"".join(stored[:count])
        self._hash.update(part)
        self.entries += count
        self.chunk_bytes += sum(lengths)
        self.size = ends[count]
        return count, part

    def end(self) -> bytes:
        """Return the bytes that end the pack, and count them."""
        self.size += HASH_BYTES
        return self._hash.digest()


def _is_worthwhile(packed: bytes, data: bytes | memoryview) -> bool:
    """Return whether compression saves enough space."""
    return len(packed) <= len(data) * _WORTHWHILE


class _Codecs(threading.local):
    """A compressor and a decompressor per thread: neither may be used by two threads at once."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


_codecs = _Codecs()
