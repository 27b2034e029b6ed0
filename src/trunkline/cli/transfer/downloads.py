"""Writes the output of "get file".

A file gets its name when it is complete; a failed download leaves nothing under that name.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from trunkline.errors import DataLoss, NotFound
from trunkline.formats.protowire import WireError, bytes_of

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Callable, Iterable, Iterator

COPY = 1 << 20  # bytes copied at once out of a TAR stream
TAR_BUFFER = 32 << 10  # bytes; tarfile copies the whole buffer for every header it reads


def _content(frame: bytes) -> memoryview:
    """Return the content of an encoded BytesValue.

    Raises:
        DataLoss: the message is not valid.
    """
    try:
        return bytes_of(frame)
    except WireError as error:
        raise DataLoss(
            f"the server sent a message that cannot be read: {error}; upgrade the client"
        ) from error


def to_stdout(frames: Iterable[bytes], count: Callable[[int], None]) -> None:
    """Write the content of encoded BytesValue messages to standard output."""
    out = sys.stdout.buffer
    for frame in frames:
        content = _content(frame)
        out.write(content)
        count(len(content))
    out.flush()


def to_file(frames: Iterable[bytes], path: str, count: Callable[[int], None]) -> None:
    """Write the content of encoded BytesValue messages to a file.

    Args:
        frames: the messages.
        path: of the file.
        count: called with the size of each piece of content.
    """
    with _complete(path) as partial, open(partial, "wb", buffering=0) as file:
        for frame in frames:
            content = _content(frame)
            count(len(content))
            while content:
                content = content[file.write(content) :]


def to_folder(frames: Iterable[bytes], root: str, folder: str, count: Callable[[int], None]) -> int:
    """Write the files of a TAR stream below a folder; return their number.

    Args:
        frames: encoded BytesValue messages, together a TAR archive with absolute names.
        root: prefix that is removed from the names.
        folder: to write to; created if needed.
        count: called with the size of each piece of content.

    Raises:
        DataLoss: the archive is damaged or contains a path outside of ``folder``.
    """
    import tarfile

    os.makedirs(folder, exist_ok=True)
    existing = {folder}
    number = 0
    try:
        with tarfile.open(fileobj=_Reader(frames), mode="r|", bufsize=TAR_BUFFER) as archive:  # type: ignore[call-overload]
            for member in archive:
                target = _target(member.name, root, folder)
                if member.isdir():
                    os.makedirs(target, exist_ok=True)
                elif member.isfile():
                    parent = os.path.dirname(target)
                    if parent not in existing:
                        os.makedirs(parent, exist_ok=True)
                        existing.add(parent)
                    _extract(archive, member, target, count)
                    number += 1
    except tarfile.ReadError as error:
        raise DataLoss(f"the server sent a damaged archive ({error}); try again") from error
    return number


def _extract(
    archive: tarfile.TarFile, member: tarfile.TarInfo, target: str, count: Callable[[int], None]
) -> None:
    source = archive.extractfile(member)
    assert source, "a regular file has content"
    with _complete(target) as partial, open(partial, "wb") as file:
        while piece := source.read(COPY):
            file.write(piece)
            count(len(piece))


def _target(name: str, root: str, folder: str) -> str:
    """Return the path of an entry; a server must not be able to write outside of the folder."""
    relative = ("/" + name.strip("/")).removeprefix(root.rstrip("/")).strip("/")
    if ".." in relative.split("/"):
        raise DataLoss(
            f'the server sent a file called "{name}", which is not below {root}; nothing was written'
        )
    return os.path.join(folder, relative) if relative else folder


@contextlib.contextmanager
def _complete(path: str) -> Iterator[str]:
    """Yield a temporary path; rename it to ``path`` at the end, or delete it on failure."""
    if os.path.exists(path) and not os.path.isfile(path):
        yield path  # a device or a pipe is written directly
        return
    parent = os.path.dirname(path) or "."
    if not os.path.isdir(parent):
        raise NotFound(f"{path} cannot be written: folder {parent} does not exist; create it first")
    partial = f"{path}.part{os.getpid()}"
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        raise


class _Reader:
    """The content of messages as a file object for tarfile."""

    def __init__(self, frames: Iterable[bytes]) -> None:
        self._frames = iter(frames)
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        pieces: list[memoryview] = []
        while size:
            if not self._rest:
                frame = next(self._frames, None)
                if frame is None:
                    break
                self._rest = _content(frame)
                continue
            piece = self._rest[:size]
            pieces.append(piece)
            size -= len(piece)
            self._rest = self._rest[len(piece) :]
        return b"".join(pieces)
