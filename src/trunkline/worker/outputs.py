"""Finds what a command has written to /pfs/out, as the files that will be uploaded.

Links count as what they lead to, as commands see it: a link into an input or anywhere else is a file with that
content, a link to a folder is that folder. (The worker lives in the private root too; in a pod the launcher has
replaced the links that lead out of /pfs.) What is not
content (pipes, sockets, devices, empty folders) is left out without a word, as Pachyderm does.

Must not change anything below /pfs/out.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from trunkline.errors import InvalidArgument
from trunkline.model import paths

if TYPE_CHECKING:
    from collections.abc import Iterator


class OutputFile(NamedTuple):
    """A file to be uploaded."""

    #: Path below /pfs/out, with a leading slash.
    path: str
    #: Where its bytes are, links followed.
    file: str
    size_bytes: int


def find(out: str, links_within: str = "") -> Iterator[OutputFile]:
    """Yield every output file below the folder ``out``.

    Args:
        out: the folder.
        links_within: folder that links must not lead out of, because commands see other files outside of it than
            the worker does; empty when both see the same.

    Raises:
        InvalidArgument: a name cannot be stored, or a link leads nowhere or in a circle.
    """
    return _walk(out, "", (), links_within)


def _walk(
    folder: str, below: str, above: tuple[tuple[int, int], ...], links_within: str
) -> Iterator[OutputFile]:
    """Walk ``folder``, known to the user as ``below``; ``above`` identifies the folders that led here."""
    status = os.stat(folder)
    this = (status.st_dev, status.st_ino)
    if this in above:
        raise InvalidArgument(
            f"output link {_shown(below)} leads back to a folder that holds it; remove the link from /pfs/out"
        )
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError:
        raise InvalidArgument(
            f"output folder {_shown(below)} may not be read; give it read permission"
        ) from None
    for entry in entries:
        path = f"{below}/{entry.name}"
        real = entry.path
        try:
            if entry.is_symlink():
                real = os.path.realpath(entry.path, strict=True)
                if links_within and not real.startswith(links_within + "/"):
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            status = entry.stat()
        except OSError as error:
            raise InvalidArgument(
                f'output {_shown(path)} is a link to "{_shown(os.readlink(entry.path))}", which cannot be '
                f"followed ({error.strerror}); write the file itself or a link to one that exists"
            ) from error
        if stat.S_ISREG(status.st_mode):
            paths.validate(path)
            yield OutputFile(path, real, status.st_size)
        elif stat.S_ISDIR(status.st_mode):
            yield from _walk(entry.path, path, (*above, this), links_within)


def _shown(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
