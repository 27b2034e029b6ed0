"""Tar archives of files in a store, made piece by piece.

An entry's name is its absolute path, a directory's ends with ``/``; mode and time are zero, as in
Pachyderm. Short ASCII names, nearly all there are, get a ustar header
from this module, in 2 µs instead of the 20 µs of the standard library, which makes the PAX headers of the others.
"""

from __future__ import annotations

import tarfile
from collections import deque
from typing import TYPE_CHECKING

from trunkline.storage import files as storage_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trunkline.storage.chunks import ChunkSource
    from trunkline.storage.files import FileEntry

BLOCK = 512
#: Zeros that end an archive.
END = bytes(2 * BLOCK)
#: Bytes of a name in a ustar header.
MAX_NAME = 100
#: Bytes of a file that the size field of a ustar header can say: eleven octal digits.
MAX_SIZE = 8**11

# Mode, user and group are zero; "%011o" is the size, zeros are the time, the checksum counts as spaces.
_FIELDS = b"0000000\0" * 3
_TIME = b"00000000000\0"
_SUM_PLACE = b" " * 8
_REST = b"\0" * MAX_NAME + b"ustar\x0000" + b"\0" * 64 + b"0000000\0" * 2 + b"\0" * 167
_SUM = sum(_FIELDS) + sum(_TIME) + sum(_SUM_PLACE) + sum(_REST)


def header(path: str, size: int) -> bytes:
    """Return the header of an entry; a path that ends with ``/`` is a directory."""
    is_dir = path.endswith("/")
    if not path.isascii() or len(path) > MAX_NAME or size >= MAX_SIZE:
        info = tarfile.TarInfo(path)
        info.mode = 0
        info.type = tarfile.DIRTYPE if is_dir else tarfile.REGTYPE
        info.size = size
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
    name = path.encode()
    length = b"%011o\0" % size
    kind = tarfile.DIRTYPE if is_dir else tarfile.REGTYPE
    total = _SUM + sum(name) + sum(length) + kind[0]
    return b"".join((name.ljust(MAX_NAME, b"\0"), _FIELDS, length, _TIME, b"%06o\0 " % total, kind, _REST))


def archive(store: ChunkSource, entries: Iterable[FileEntry]) -> Iterator[bytes]:
    """Yield an archive of files and directories, in the order they come, in pieces of any size.

    The files' bytes are read ahead across files, so that small ones come together.
    """
    waiting: deque[FileEntry] = deque()

    def values() -> Iterator[bytes]:
        for entry in entries:
            waiting.append(entry)
            yield entry.value

    entered = 0
    padding = b""
    for number, piece in storage_files.read_all(store, values()):
        while entered <= number:
            entry = waiting.popleft()
            entered += 1
            yield padding + _head(entry)
            padding = bytes(-_size(entry) % BLOCK)
        yield piece
    yield padding
    for entry in waiting:
        yield _head(entry)
    yield END


def _head(entry: FileEntry) -> bytes:
    return header(entry.path, _size(entry))


def _size(entry: FileEntry) -> int:
    """Return the bytes that follow an entry's header; a directory's size is that of its files."""
    return 0 if entry.is_dir else entry.size
