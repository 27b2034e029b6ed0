"""The plan of "put file": which source is written to which path."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from trunkline.cli.exit_codes import UsageError
from trunkline.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

STDIN = "-"
_SCHEMES = ("http://", "https://", "s3://", "gs://", "az://", "azblob://", "file://")


class Upload(NamedTuple):
    """A source and its path in the repo."""

    source: str  # a local path, ``-``, or a URL that the server reads itself
    path: str
    size: int | None  # bytes, None when not known
    #: Of a URL: all objects below it.
    recursive: bool = False

    @property
    def is_url(self) -> bool:
        """Whether the server reads it itself."""
        return self.source.startswith(_SCHEMES)


def plan(
    sources: Sequence[str], path: str, *, recursive: bool, skipped: Callable[[str], None]
) -> list[Upload]:
    """Return which source is written to which path.

    Args:
        sources: local files or folders, ``-``, URLs.
        path: path in the repo; empty to keep the names of the sources; a folder when it ends in ``/`` or
            there are several sources.
        recursive: whether folders are allowed; of a URL of an object store, all objects below it are put.
        skipped: called with a message for each entry of a folder that is skipped.

    Raises:
        UsageError: standard input without a path, or a folder without ``recursive``.
        NotFound: a source does not exist.
    """
    uploads: list[Upload] = []
    as_folder = not path or path.endswith("/") or len(sources) > 1
    for source in sources:
        if source == STDIN:
            if not path or path.endswith("/"):
                raise UsageError(
                    "standard input has no name; give the path to write, as in repo@branch:/path"
                )
            uploads.append(Upload(source, _joined(path), None))
            continue
        is_url = source.startswith(_SCHEMES)
        name = os.path.basename(os.path.normpath(_without_query(source) if is_url else source))
        is_folder = not is_url and os.path.isdir(source)
        # For ``.`` and ``..`` the content of the folder is put, without a name.
        named = as_folder and not (is_folder and (path or name in (".", "..", "/")))
        target = f"{path}/{name}" if named or (is_folder and as_folder and len(sources) > 1) else path
        if is_folder:
            if not recursive:
                raise UsageError(f"{source} is a folder; add -r to put everything below it")
            uploads += _folder(source, target, skipped)
        else:
            below = recursive and is_url and not source.startswith(("http://", "https://"))
            uploads.append(Upload(source, _joined(target), _size(source), below))
    return uploads


def is_archive(source: str) -> bool:
    """Tell whether a source is a local file that ``put file --untar`` unpacks."""
    return source.endswith((".tar", ".tar.gz", ".tgz")) and not source.startswith(_SCHEMES)


def plan_archive(source: str, folder: str, path: str, skipped: Callable[[str], None]) -> list[Upload]:
    """Unpack an archive and return which of its files is written to which path.

    Args:
        source: the archive.
        folder: an empty one, which must stay until the files are put.
        path: of the folder in the repo that gets them; empty for the root.
        skipped: called with a message for each entry that is skipped.

    Raises:
        InvalidArgument: it is not an archive, or has entries that lead out of it.
        NotFound: it does not exist.
    """
    import tarfile

    _size(source)
    try:
        with tarfile.open(source) as archive:
            archive.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise InvalidArgument(f"{source} cannot be unpacked: {error}; put it without --untar") from error
    return list(_folder(folder, path, skipped))


def _without_query(url: str) -> str:
    return url.partition("#")[0].partition("?")[0]


def _folder(source: str, path: str, skipped: Callable[[str], None]) -> Iterator[Upload]:
    """Yield the files below a folder; links are followed, but not into a folder that contains them."""

    def failed(error: OSError) -> None:
        raise error

    for folder, subfolders, names in os.walk(source, followlinks=True, onerror=failed):
        for name in sorted(subfolders):
            full = os.path.join(folder, name)
            if os.path.islink(full) and _contains(os.path.realpath(full), os.path.realpath(folder)):
                subfolders.remove(name)
                skipped(f"skipped {full}: it links to a folder that contains it")
        subfolders.sort()
        for name in sorted(names):
            full = os.path.join(folder, name)
            if os.path.isfile(full):
                yield Upload(full, _joined(f"{path}/{os.path.relpath(full, source)}"), os.path.getsize(full))
            elif os.path.exists(full):
                skipped(f"skipped {full}: it is not a regular file")
            else:
                skipped(f"skipped {full}: it links to a file that does not exist")


def _contains(folder: str, path: str) -> bool:
    return os.path.commonpath([folder, path]) == folder


def _joined(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part)


def _size(source: str) -> int | None:
    if source.startswith(_SCHEMES):
        return None
    try:
        return os.path.getsize(source)
    except OSError as error:
        hint = "patterns are not expanded; repeat -f for each file" if "*" in source else "check the path"
        raise NotFound(f"{source}: {(error.strerror or 'cannot be read').lower()}; {hint}") from error


def read_list(source: str) -> list[str]:
    """Return the sources named in a file, one per line; ``-`` is standard input.

    Raises:
        InvalidArgument: the file is empty.
    """
    if source == STDIN:
        lines = sys.stdin.read().splitlines()
    else:
        with open(source, encoding="utf-8") as file:
            lines = file.read().splitlines()
    sources = [line.strip() for line in lines if line.strip()]
    if not sources:
        raise InvalidArgument(f"{source} names no files; write one path or URL per line")
    return sources
