"""The codecs of chunks (docs/design/format.md, Packs): which one a chunk is stored with, and back. Pure functions.

Depends on nothing else of the store, as ``pack_format``.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import zstandard
from blake3 import blake3

from trunkline.errors import FailedPrecondition

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A chunk's codec: stored as it is, or as one zstd frame. The format record lists their names by these numbers.
RAW = 0
ZSTD = 1

#: zstd level 1: more than twice the speed of level 3 for 5 % more bytes (docs/benchmarks.md).
_LEVEL = 1
#: A chunk stays raw when zstd leaves more than this share of it; reading it is then only a copy.
_WORTHWHILE = 0.97
#: From this many chunks on, every eighth is tried first; that is enough to notice content that compresses.
_SAMPLED = 32
_SAMPLE_STEP = 8
#: A chunk of this size or more is tried by slices of it first, so many and of so many bytes, spread evenly.
_SLICED_BYTES, _SLICES, _SLICE_BYTES = 256 << 10, 8, 4 << 10


def encode(pieces: Sequence[bytes | memoryview]) -> tuple[list[int], list[bytes | memoryview]]:
    """Compress chunks where it saves space; return the codec of each and the stored bytes of each.

    Small chunks go through zstd in one call: each call releases the interpreter lock and has to acquire it
    again, which for a kilobyte costs more than the compression. Of many chunks, and of a large one, a sample is
    tried first in one frame: zstd gives up at once on 256 KiB of incompressible bytes (30 µs), but not on a
    kilobyte (5 µs); and it writes all bytes of a large chunk again before it says that nothing was gained.
    """
    codecs, stored = [RAW] * len(pieces), list(pieces)
    if len(pieces) >= _SAMPLED and not _compresses(b"".join(pieces[::_SAMPLE_STEP])):
        return codecs, stored
    places = [
        at for at, piece in enumerate(pieces) if len(piece) < _SLICED_BYTES or _compresses(_slices(piece))
    ]
    if len(places) > 1:
        segments = thread_codecs.compressor.multi_compress_to_buffer([pieces[at] for at in places], threads=0)
        packed = [segments[number].tobytes() for number in range(len(places))]
    else:
        packed = [thread_codecs.compressor.compress(pieces[at]) for at in places]
    for at, smaller in zip(places, packed, strict=True):
        if is_worthwhile(smaller, pieces[at]):
            codecs[at], stored[at] = ZSTD, smaller
    return codecs, stored


def decode(id: bytes, codec: int, length: int, stored: bytes | bytearray | memoryview) -> bytes | None:
    """Reverse ``encode`` for one chunk and check its content.

    Args:
        id: the chunk's id.
        codec: ``RAW`` or ``ZSTD``.
        length: bytes of the chunk.
        stored: its bytes in the pack.

    Returns:
        The chunk, or None when the bytes do not match the id or the length.

    Raises:
        FailedPrecondition: a newer release wrote the chunk with a codec that this one does not know.
    """
    if codec == RAW:
        data = bytes(stored)
    elif codec == ZSTD:
        try:
            if zstandard.frame_content_size(stored) not in (length, UNKNOWN_SIZE):
                return None  # decompression would take what the frame says
            data = thread_codecs.decompressor.decompress(stored, max_output_size=length)
        except zstandard.ZstdError:
            return None
    else:
        raise unknown_codec(f"chunk {id.hex()}", codec)
    return data if len(data) == length and blake3(data).digest() == id else None


def unknown_codec(what: str, codec: int) -> FailedPrecondition:
    """Return the error for stored bytes that only a newer release can decode.

    Args:
        what: the chunk, or the table of a pack.
        codec: its number.
    """
    return FailedPrecondition(
        f"{what} is stored under codec {codec}, which this release does not know; use a release that reads it"
    )


def _compresses(sample: bytes) -> bool:
    """Return whether the bytes that a sample was taken of are worth compressing."""
    return is_worthwhile(thread_codecs.compressor.compress(sample), sample)


def _slices(piece: bytes | memoryview) -> bytes:
    """Return the sample of a large chunk."""
    last = len(piece) - _SLICE_BYTES
    starts = (last * number // (_SLICES - 1) for number in range(_SLICES))
    return b"".join(piece[start : start + _SLICE_BYTES] for start in starts)


def is_worthwhile(packed: bytes, data: bytes | memoryview) -> bool:
    """Return whether compression saves enough space."""
    return len(packed) <= len(data) * _WORTHWHILE


#: What zstd says of a frame that does not name the bytes of its content.
UNKNOWN_SIZE = -1


class _Codecs(threading.local):
    """A compressor and a decompressor per thread: neither may be used by two threads at once."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


#: Those of the calling thread.
thread_codecs = _Codecs()
