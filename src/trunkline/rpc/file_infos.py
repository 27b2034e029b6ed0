"""Encodes ``FileInfo`` messages by hand: listings have them by the hundred thousand.

All messages about the files of one commit have its name and its time in common, which are encoded once. A test
compares every message with what the generated classes make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.formats.protowire import VARINT, head, tag, varint
from trunkline.rpc import convert
from trunkline.rpc.gen import pfs_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.pfs.files import Snapshot
    from trunkline.pfs.reading import FileEntry

# Keys of fields, a byte each: of FileInfo (the hash with its length, which is always the same) and of its File.
_FILE, _SIZE, _HASH = bytes((tag(1),)), bytes((tag(4, VARINT),)), head(5, 32)
_COMMIT, _PATH, _DATUM = 1, bytes((tag(2),)), bytes((tag(3),))
# Of DiffFileResponse.
_NEW_FILE, _OLD_FILE = 1, 2


class _Varints(dict[int, bytes]):
    """Varints by number; those of nearly all lengths, and of the sizes of small files, are kept."""

    def __missing__(self, number: int) -> bytes:
        encoded = varint(number)
        if number < 1 << 14:
            self[number] = encoded
        return encoded


_VARINTS = _Varints()


class FileInfos:
    """The messages about the files of one commit."""

    def __init__(self, snapshot: Snapshot) -> None:
        commit = convert.commit_message(
            snapshot.commit_name.repo, snapshot.commit_name.id
        ).SerializeToString()
        self._start = head(_COMMIT, len(commit)) + commit
        # Between the file's name and its size: type and time, of files and of directories.
        self._middles = [_middle(kind, snapshot.finished) for kind in (pfs_pb2.FILE, pfs_pb2.DIR)]

    def encoded(self, entries: Iterable[FileEntry]) -> list[bytes]:
        """Return the messages about files and directories, ready for the wire."""
        start, middles, varints, join = self._start, self._middles, _VARINTS, b"".join
        messages: list[bytes] = []
        for path, is_dir, size, digest, datum, _ in entries:
            name = path.encode()
            file = [start, _PATH, varints[len(name)], name]
            if datum:
                name = datum.encode()
                file += _DATUM, varints[len(name)], name
            body = join(file)
            message = [_FILE, varints[len(body)], body, middles[is_dir]]
            if size:
                message += _SIZE, varints[size]
            message += _HASH, digest
            messages.append(join(message))
        return messages


def _middle(file_type: pfs_pb2.FileType, committed: float | None) -> bytes:
    message = pfs_pb2.FileInfo(file_type=file_type)
    if committed is not None:
        convert.set_time(message.committed, committed)
    return message.SerializeToString()


def difference(new: bytes | None, old: bytes | None) -> bytes:
    """Return the encoded ``DiffFileResponse`` about a file; None where there is none."""
    parts: list[bytes] = []
    for field, info in (_NEW_FILE, new), (_OLD_FILE, old):
        if info is not None:
            parts += head(field, len(info)), info
    return b"".join(parts)
