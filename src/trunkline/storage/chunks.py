"""Chunks: runs of bytes stored once and named by their content. The words that the layers above share.

A chunk's bytes lie in a pack; only the chunk index (SQL, known here by its protocol) says where. This
module holds the types and the two codecs; ``store`` reads chunks and ``packing`` writes them.
"""

from __future__ import annotations

import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType, Protocol

import zstandard
from blake3 import blake3

from trunkline.errors import DataLoss

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: The BLAKE3-256 of a chunk's uncompressed bytes, 32 bytes.
ChunkId = NewType("ChunkId", bytes)

RAW = 0
ZSTD = 1

#: zstd level 1: over twice the speed of level 3 for 5 % more bytes (docs/benchmarks.md).
_LEVEL = 1
#: A chunk is kept raw when zstd leaves more than this share of it: reading it back is then a mere copy.
_WORTHWHILE = 0.97
#: From so many chunks on, every eighth is tried before all are: enough to meet any kind that is frequent.
_SAMPLED = 32
_SAMPLE_STEP = 8

#: A chunk in ``PackRecord.columns``: id, offset, stored bytes, bytes, codec.
ENTRY = struct.Struct("<32sIIIB")


@dataclass(frozen=True, slots=True)
class Location:
    """Where a chunk lies."""

    pack: str
    #: First byte of the stored chunk in the pack.
    offset: int
    #: Bytes in the pack.
    stored: int
    #: Bytes of the chunk itself.
    length: int
    #: ``RAW`` or ``ZSTD``.
    codec: int
    #: The stored bytes themselves when the index keeps the pack; None when it is an object.
    inline: bytes | None = None


@dataclass(frozen=True, slots=True)
class PackRecord:
    """A pack that must now be made known to the chunk index; its bytes are durable or come with it."""

    pack: str
    #: Bytes of the whole object, the hash at its end included.
    size: int
    #: The chunks in it, packed: a stream of a million small files holds a million of them.
    columns: bytes
    #: Bytes of its chunks, as stored and uncompressed.
    stored_bytes: int
    chunk_bytes: int
    #: The pack itself when it is small: the index keeps it. None when it is in the object store.
    body: bytes | None = None

    def __len__(self) -> int:
        return len(self.columns) // ENTRY.size

    @property
    def entries(self) -> Iterator[tuple[ChunkId, int, int, int, int]]:
        """Yield ``(chunk id, offset, stored, length, codec)`` of each chunk, in order of offset."""
        return ENTRY.iter_unpack(self.columns)


class ChunkIndex(Protocol):
    """Says where chunks lie. ``find`` may be called from any thread."""

    def find(self, ids: Sequence[ChunkId]) -> dict[ChunkId, Location]:
        """Return the places of those chunks that are known; the others are left out."""


class ChunkSource(Protocol):
    """Anything that chunks can be read from: the store, or a writer that sees its own unsealed chunks."""

    def read(self, id: ChunkId) -> bytes:
        """Return a chunk's bytes.

        Raises:
            DataLoss: the chunk is nowhere, or its bytes do not match its id.
        """

    def read_many(self, ids: Iterable[ChunkId]) -> Iterator[bytes]:
        """Yield the bytes of each chunk, in the order asked for."""

    def prefetch(self, ids: Iterable[ChunkId]) -> None:
        """Bring chunks close that will be read soon, in any order."""


def chunk_id(data: bytes | memoryview) -> ChunkId:
    """Return the id of a chunk."""
    return ChunkId(blake3(data).digest())


def encode(pieces: Sequence[bytes | memoryview]) -> tuple[list[int], list[bytes | memoryview]]:
    """Compress chunks where it pays; return the codec of each, and the stored bytes of each.

    Small chunks go through zstd in one call: each call lets other threads run and must then wait for its
    turn again, which for a kilobyte costs more than the compression. Of many, a sample is tried first, in one
    frame: on pictures and the like zstd gives up at once (30 µs for 256 KiB), but not on a kilobyte (5 µs each).
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


def _is_worthwhile(packed: bytes, data: bytes | memoryview) -> bool:
    """Whether zstd made something noticeably smaller."""
    return len(packed) <= len(data) * _WORTHWHILE


def decode(id: ChunkId, location: Location, stored: bytes) -> bytes:
    """Undo ``encode`` and check the bytes against the id.

    Raises:
        DataLoss: they do not match.
    """
    data = stored
    if location.codec == ZSTD:
        try:
            data = _codecs.decompressor.decompress(stored, max_output_size=location.length)
        except zstandard.ZstdError as error:
            raise _damaged(id, location) from error
    if chunk_id(data) != id:
        raise _damaged(id, location)
    return data


def _damaged(id: ChunkId, location: Location) -> DataLoss:
    return DataLoss(
        f"chunk {id.hex()} at {location.offset} in pack {location.pack!r} does not match its id; "
        "its bytes were changed in the object store: restore the pack from a copy"
    )


class _Codecs(threading.local):
    """A compressor and a decompressor per thread: neither may be used by two at once."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


_codecs = _Codecs()
