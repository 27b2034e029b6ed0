"""Content-defined chunking: splits files at boundaries that their content determines, and computes chunk ids.

FastCDC 2020 (Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage
Systems", IEEE TPDS 2020) as implemented by ``pyfastcdc``. The parameters are part of the store's format: with
others, everything would be stored again. A cut depends only on the bytes since the last cut. The rest of the
engine relies on two consequences: the cuts are the same however the bytes arrive, and cutting can resume at
any earlier cut.

The store splits files that it receives whole; the command line and workers split files themselves, to send only
the chunks that the store lacks. All must get the same chunks, so all use this module, which depends on none of them.
"""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING

import pyfastcdc
from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Bytes. A file shorter than the minimum is one chunk; with chunks of the average size a terabyte has a million
#: index rows; the maximum bounds the memory of a reader.
MIN_BYTES = 512 << 10
AVERAGE_BYTES = 1 << 20
MAX_BYTES = 2 << 20

#: A chunk in the chunk list of a file: its id and its bytes (docs/design/format.md, File trees).
REF = struct.Struct("<32sI")

#: Bytes collected before they are scanned. The bytes after the last final cut are scanned twice, so a larger window
#: costs less time, but it is the memory of each open stream. The smallest window holds a whole chunk and the end of
#: the one before, whatever the content.
WINDOW_BYTES = 8 << 20
SMALLEST_WINDOW_BYTES = 2 * MAX_BYTES

if not pyfastcdc.FastCDC.__module__.startswith("pyfastcdc.cy"):
    logging.getLogger(__name__).warning(
        "pyfastcdc runs without its compiled part, about 200 times slower; install a wheel of it for this "
        "platform, or a C compiler, and reinstall it",
        extra={"action": "slow_chunker"},
    )


class Chunker:
    """Splits one file. ``feed`` returns chunks as soon as they are final, ``finish`` the rest.

    Chunks may be views of the bytes that were passed in, which therefore must not change.
    """

    def __init__(self) -> None:
        self._cutter = _cutter()
        self._parts: list[bytes | memoryview] = []
        self._held = 0

    @property
    def held_bytes(self) -> int:
        """Bytes that were taken and are in no chunk yet."""
        return self._held

    def feed(self, data: bytes | memoryview, window: int = WINDOW_BYTES) -> list[bytes | memoryview]:
        """Take the next bytes; return chunks that later bytes cannot change.

        Args:
            data: the bytes.
            window: bytes to gather before they are cut; does not change where the cuts are.
        """
        self._parts.append(data)
        self._held += len(data)
        return self._cut(final_only=True) if self._held >= window else []

    def drain(self) -> list[bytes | memoryview]:
        """Return the chunks that later bytes cannot change, and keep what follows them: at most one chunk."""
        return self._cut(final_only=True) if self._held > MAX_BYTES else []

    def finish(self) -> list[bytes | memoryview]:
        """Return the remaining chunks and reset the chunker."""
        if self._held <= MIN_BYTES:
            window, self._parts, self._held = self._join(), [], 0
            return [window] if window else []
        return self._cut(final_only=False)

    def _cut(self, *, final_only: bool) -> list[bytes | memoryview]:
        window = memoryview(self._join())
        chunks: list[bytes | memoryview] = [chunk.data for chunk in self._cutter.cut_buf(window)]
        # The last cut is the end of the window, which later bytes may move. It is copied: a view of it would keep
        # the whole window in memory until the next cut.
        rest = bytes(chunks.pop()) if final_only else b""
        self._parts, self._held = [rest] if rest else [], len(rest)
        return chunks

    def _join(self) -> bytes | memoryview:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


def chunk_names(read_into: Callable[[memoryview], int], window: bytearray) -> Iterator[tuple[bytes, int]]:
    """Yield id and size in bytes of each chunk of a file, without holding its content.

    Reading, cutting and hashing release the interpreter lock.

    Args:
        read_into: fills a buffer with the next bytes of the file and returns how many; 0 at its end.
        window: buffer of about ``WINDOW_BYTES``, overwritten.
    """
    cutter = _cutter()
    view = memoryview(window)
    held, ended = 0, False
    while not ended:
        while held < len(view) and not ended:
            count = read_into(view[held:])
            held += count
            ended = not count
        position = 0
        for size in _sizes(cutter, view[:held]):
            if position + size == held and not ended:
                break  # this cut is the end of the window
            yield chunk_name(view[position : position + size]), size
            position += size
        view[: held - position] = view[position:held]
        held -= position


def _sizes(cutter: pyfastcdc.FastCDC, window: memoryview) -> Iterator[int]:
    """Yield the size of each chunk, one at a time: a chunk that is hashed at once is still in the processor's cache."""
    if len(window) > MIN_BYTES:
        for chunk in cutter.cut_buf(window):
            yield chunk.length
    elif window:
        yield len(window)


def chunk_name(data: bytes | memoryview) -> bytes:
    """Return the id of a chunk: the BLAKE3-256 of its bytes."""
    return blake3(data).digest()


def _cutter() -> pyfastcdc.FastCDC:
    return pyfastcdc.FastCDC(
        AVERAGE_BYTES, min_size=MIN_BYTES, max_size=MAX_BYTES, normalized_chunking=2, seed=0
    )
