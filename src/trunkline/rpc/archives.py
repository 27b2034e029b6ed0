"""A gzipped tar of small files, made piece by piece."""

from __future__ import annotations

import tarfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from trunkline.pps.queries.dump import File

#: Bytes of a piece.
PIECE = 256 << 10


def tar_gz(files: Iterable[File], modified: float) -> Generator[bytes]:
    """Yield the pieces of an archive. Holds one file at a time.

    Args:
        files: the files.
        modified: their time, in seconds since the epoch.
    """
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)  # 31: gzip's format
    buffer = bytearray()
    for file in files:
        info = tarfile.TarInfo(file.path)
        info.size, info.mtime = len(file.content), int(modified)
        padding = b"\0" * (-len(file.content) % tarfile.BLOCKSIZE)
        for part in (info.tobuf(tarfile.PAX_FORMAT), file.content, padding):
            buffer += packer.compress(part)
        while len(buffer) >= PIECE:
            yield bytes(buffer[:PIECE])
            del buffer[:PIECE]
    buffer += packer.compress(b"\0" * (2 * tarfile.BLOCKSIZE)) + packer.flush()
    for at in range(0, len(buffer), PIECE):
        yield bytes(buffer[at : at + PIECE])
