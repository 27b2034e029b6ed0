"""Cuts files into chunks where their content says so, as the bytes come in.

FastCDC 2020 (Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage
Systems", IEEE TPDS 2020) as ``pyfastcdc`` does it. The parameters are part of the store's format: other
ones would store everything anew. A cut depends only on the bytes since the last cut, which gives the two
laws that the rest of the engine stands on: however the bytes arrive, the cuts are the same; and cutting may
start again at any earlier cut.
"""

from __future__ import annotations

import logging

import pyfastcdc

#: Bytes. A file shorter than the first is one chunk; chunks of about the average make a terabyte a million
#: index rows; the last bounds what a reader must hold.
MIN_BYTES = 512 << 10
AVERAGE_BYTES = 1 << 20
MAX_BYTES = 2 << 20

#: Bytes gathered before they are scanned: what is left after the last sure cut is scanned twice, so the
#: more the better; it is also what every open stream may hold.
_WINDOW_BYTES = 8 << 20

if not pyfastcdc.FastCDC.__module__.startswith("pyfastcdc.cy"):
    logging.getLogger(__name__).warning(
        "pyfastcdc runs without its compiled part, about 200 times slower; install a wheel of it for this "
        "platform, or a C compiler, and reinstall it",
        extra={"action": "slow_chunker"},
    )


class Chunker:
    """Cuts one file. Feed it bytes; it gives back chunks as they become sure, the rest at the end.

    Chunks may be views of what was fed, which therefore must not change.
    """

    def __init__(self) -> None:
        self._cutter = pyfastcdc.FastCDC(
            AVERAGE_BYTES, min_size=MIN_BYTES, max_size=MAX_BYTES, normalized_chunking=2, seed=0
        )
        self._parts: list[bytes | memoryview] = []
        self._held = 0

    def feed(self, data: bytes | memoryview) -> list[bytes | memoryview]:
        """Take the next bytes; return the chunks that nothing later can change."""
        self._parts.append(data)
        self._held += len(data)
        if self._held < _WINDOW_BYTES:
            return []
        return self._cut(sure_only=True)

    def finish(self) -> list[bytes | memoryview]:
        """Return the remaining chunks; the chunker is then as new."""
        if self._held <= MIN_BYTES:
            window, self._parts, self._held = self._join(), [], 0
            return [window] if window else []
        return self._cut(sure_only=False)

    def _cut(self, *, sure_only: bool) -> list[bytes | memoryview]:
        window = memoryview(self._join())
        chunks: list[bytes | memoryview] = [chunk.data for chunk in self._cutter.cut_buf(window)]
        # The end of the window made the last cut, unless the content happens to have made the same.
        rest = chunks.pop() if sure_only else b""
        self._parts, self._held = [rest] if rest else [], len(rest)
        return chunks

    def _join(self) -> bytes | memoryview:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
