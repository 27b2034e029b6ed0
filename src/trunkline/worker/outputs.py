"""Lists the files that a command has written to /pfs/out, for the upload.

Links are followed as commands see them: a link to a file is a file with that content, a link to a folder is that
folder. They are followed with the command's permissions, because the worker may read more: the caller switches to
the command's user meanwhile (``access``). Files of ``/proc`` would reveal the worker's own state and are refused. In
a pod the launcher has replaced the links that lead out of /pfs. Pipes, sockets, devices and empty folders are
skipped, as in Pachyderm, except for links to named pipes, which are reported as such.

The walk does not recurse and is limited: links can make 2^30 paths of thirty folders.

This module changes nothing below /pfs/out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from trunkline.errors import InvalidArgument
from trunkline.linux import libc
from trunkline.model import limits, paths
from trunkline.worker import supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trunkline.worker.files import Owner

#: Entries between two checks for an interruption.
_CHECKED = 1_000


class OutputFile(NamedTuple):
    """A file to be uploaded."""

    #: Path below /pfs/out, with a leading slash.
    path: str
    #: Path of its bytes, links followed.
    file: str
    size_bytes: int
    #: A link to a named pipe, which may be a file of a lazy input.
    is_pipe: bool = False


class _Folder(NamedTuple):
    """A folder to be walked."""

    #: Where it is.
    file: str
    #: Path below /pfs/out; empty for that folder itself.
    path: str
    #: Identities of the folders that led here.
    above: tuple[tuple[int, int], ...]
    #: Whether a link leads to it.
    linked: bool


def access(owner: Owner) -> contextlib.AbstractContextManager[None]:
    """Access files with the permissions of the command's user; None when that is the worker's."""
    return contextlib.nullcontext() if owner is None else _access_as(*owner)


@contextlib.contextmanager
def _access_as(user: int, group: int) -> Iterator[None]:
    try:
        with libc.files_as_user(user, group):
            yield
    finally:
        libc.hide_memory()
        supervisor.arm()


def find(
    out: str, links_within: str = "", check: Callable[[], None] = lambda: None
) -> Iterator[OutputFile] | None:
    """Return every output file below the folder ``out``; None when it is empty.

    Args:
        out: the folder.
        links_within: folder that links must not lead out of, because commands and worker see different files outside
            of it; empty when both see the same.
        check: called regularly; an exception of it ends the walk.

    Raises:
        InvalidArgument: a name cannot be stored, a link is broken or circular, or the output exceeds a limit.
    """
    top = _Folder(out, "", (), False)
    above, listing = _list(top)
    return _walk(top, above, listing, links_within, check) if listing else None


def _walk(
    folder: _Folder,
    above: tuple[tuple[int, int], ...],
    listing: list[os.DirEntry[str]],
    links_within: str,
    check: Callable[[], None],
) -> Iterator[OutputFile]:
    waiting: list[_Folder] = []
    files = entries = linked = 0
    while True:
        inner: list[_Folder] = []
        for entry in listing:
            entries += 1
            if entries % _CHECKED == 0:
                check()
            path = f"{folder.path}/{entry.name}"
            file, status = _follow(entry, path, links_within)
            if stat.S_ISREG(status.st_mode):
                files += 1
                _check_file(path, status.st_size, files)
                yield OutputFile(path, file, status.st_size)
            elif stat.S_ISFIFO(status.st_mode) and (entry.is_symlink() or folder.linked):
                yield OutputFile(path, file, 0, is_pipe=True)
            elif stat.S_ISDIR(status.st_mode):
                if path.count("/") > limits.PATH_DEPTH:
                    paths.validate(path)  # raises the error
                inner.append(_Folder(file, path, above, folder.linked or entry.is_symlink()))
        waiting += reversed(inner)
        if not waiting:
            return
        folder = waiting.pop()
        linked += folder.linked
        if linked > limits.LINKED_FOLDERS:
            raise limits.beyond(
                "/pfs/out", linked, limits.LINKED_FOLDERS, "write files instead of links to folders"
            )
        above, listing = _list(folder)


def _list(folder: _Folder) -> tuple[tuple[tuple[int, int], ...], list[os.DirEntry[str]]]:
    """Return the identities of this folder and its ancestors, and its entries by name."""
    status = os.stat(folder.file)
    identity = (status.st_dev, status.st_ino)
    if identity in folder.above:
        raise InvalidArgument(
            f"output link {_printable(folder.path)} leads back to a folder that contains it; "
            f"remove the link from /pfs/out"
        )
    try:
        with os.scandir(folder.file) as listing:
            return (*folder.above, identity), sorted(listing, key=lambda entry: entry.name)
    except PermissionError:
        raise InvalidArgument(
            f"output folder {_printable(folder.path)} may not be read; give it read permission"
        ) from None


def _follow(entry: os.DirEntry[str], path: str, links_within: str) -> tuple[str, os.stat_result]:
    """Return the path of an entry's bytes, and its status; links are followed."""
    try:
        if not entry.is_symlink():
            return entry.path, entry.stat()
        descriptor = libc.open_without_magic(entry.path, os.O_PATH)
        try:
            file = os.readlink(f"/proc/self/fd/{descriptor}")
            if libc.is_on_proc(descriptor):
                raise PermissionError(errno.EACCES, "files of /proc are not data")
            if links_within and not file.startswith(links_within + "/"):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            return file, os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if not entry.is_symlink():
            raise
        raise InvalidArgument(
            f'output {_printable(path)} is a link to "{_printable(os.readlink(entry.path))}", which cannot be '
            f"followed ({error.strerror}); write the file itself or a link to one that exists"
        ) from error


def _check_file(path: str, size_bytes: int, count: int) -> None:
    paths.validate(path)
    if count > limits.DATUM_OUTPUTS:
        raise limits.beyond("the output of the datum", count, limits.DATUM_OUTPUTS, "split its input")
    if size_bytes > limits.OUTPUT_BYTES:
        what = f"output {_printable(path)}"
        raise limits.beyond(what, size_bytes, limits.OUTPUT_BYTES, "write several smaller files")


def open_file(path: str) -> int:
    """Open an output file to read it.

    Raises:
        OSError: it cannot be opened, or is not a regular file any more.
    """
    descriptor = libc.open_without_magic(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if libc.is_on_proc(descriptor):
        os.close(descriptor)
        raise PermissionError(errno.EACCES, "files of /proc are not data", path)
    return descriptor


def _printable(path: str) -> str:
    text = path.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 200 else text[:200] + "…"
