"""What "put file" sends: which local files go to which paths, and their bytes as ready-made messages.

All files of a command go in one stream, so they arrive together or not at all. Local files that are worth
it go by their chunks (``sending``); whatever cannot be read twice, and what is small, goes as it is.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from trunkline.cli.exit_codes import UsageError
from trunkline.errors import InvalidArgument, NotFound, Unimplemented
from trunkline.protowire import add_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

    from trunkline.client.channel import Channel
    from trunkline.rpc.gen import pfs_pb2

#: Bytes of a file in one message: large enough to be cheap, small enough to show progress and to flow.
PIECE = 1 << 20
#: Bytes of all files from which it pays to ask what the server lacks: less is sent in the time of asking.
WORTH_ASKING = 1 << 20
STDIN = "-"
_SCHEMES = ("http://", "https://", "s3://", "gs://", "gcs://", "as://", "wasb://")


class Upload(NamedTuple):
    """A source and where it goes."""

    source: str  # a local path, ``-``, or a URL that the server reads itself
    path: str
    size: int | None  # bytes, None when not known

    @property
    def is_url(self) -> bool:
        """Whether the server fetches it."""
        return self.source.startswith(_SCHEMES)


def plan(
    sources: Sequence[str], path: str, *, recursive: bool, skipped: Callable[[str], None]
) -> list[Upload]:
    """Say what goes where.

    Args:
        sources: local files or folders, ``-``, URLs.
        path: where to; empty to keep the sources' own names, a folder if it ends in ``/`` or there are
            several sources.
        recursive: whether folders are taken.
        skipped: called with a sentence for each entry of a folder that is left out.

    Raises:
        UsageError: standard input without a path, or a folder without ``recursive``.
        NotFound: a source is missing.
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
        name = os.path.basename(os.path.normpath(source))
        is_folder = not source.startswith(_SCHEMES) and os.path.isdir(source)
        # "put file repo@b -r -f ." and "-f .." put the content, as there is no name to keep.
        named = as_folder and not (is_folder and (path or name in (".", "..", "/")))
        target = f"{path}/{name}" if named or (is_folder and as_folder and len(sources) > 1) else path
        if is_folder:
            if not recursive:
                raise UsageError(f"{source} is a folder; add -r to put everything below it")
            uploads += _folder(source, target, skipped)
        else:
            uploads.append(Upload(source, _joined(target), _size(source)))
    return uploads


def _folder(source: str, path: str, skipped: Callable[[str], None]) -> Iterator[Upload]:
    """Yield the files below a folder; links are followed, but not into a folder that contains them."""

    def failed(error: OSError) -> None:
        raise error

    for folder, subfolders, names in os.walk(source, followlinks=True, onerror=failed):
        for name in sorted(subfolders):
            full = os.path.join(folder, name)
            if os.path.islink(full) and _contains(os.path.realpath(full), os.path.realpath(folder)):
                subfolders.remove(name)
                skipped(f"left out {full}: it links to a folder that contains it")
        subfolders.sort()
        for name in sorted(names):
            full = os.path.join(folder, name)
            if os.path.isfile(full):
                yield Upload(full, _joined(f"{path}/{os.path.relpath(full, source)}"), os.path.getsize(full))
            elif os.path.exists(full):
                skipped(f"left out {full}: it is not a regular file")
            else:
                skipped(f"left out {full}: it links to a file that does not exist")


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
        hint = "quote no pattern; repeat -f for each file" if "*" in source else "check the path"
        raise NotFound(f"{source}: {(error.strerror or 'cannot be read').lower()}; {hint}") from error


def send(
    channel: Channel,
    commit: pfs_pb2.Commit,
    uploads: Sequence[Upload],
    *,
    append: bool,
    count: Callable[[int], None],
) -> None:
    """Put everything into a commit, in one stream.

    Args:
        channel: to the server.
        commit: where to.
        uploads: what goes where.
        append: add to files that exist; otherwise they are replaced.
        count: told how many bytes of content got to the server, as they do.
    """
    if not append and sum(upload.size or 0 for upload in uploads) >= WORTH_ASKING:
        from trunkline.cli import chunked_upload

        if chunked_upload.possible(uploads):
            # A server that takes no chunks says so before anything is counted.
            with contextlib.suppress(Unimplemented):
                chunked_upload.put(channel, commit, uploads, count)
                return

    from trunkline.rpc.gen import pfs_pb2

    def requests() -> Iterator[bytes]:
        yield pfs_pb2.ModifyFileRequest(set_commit=commit).SerializeToString()
        yield from messages(uploads, append=append, count=count)

    channel.client_stream("/pfs_v2.API/ModifyFile", requests())


def messages(uploads: Sequence[Upload], *, append: bool, count: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the encoded operations of a ModifyFile stream, after its ``set_commit``.

    Args:
        uploads: what goes where.
        append: add to files that exist; otherwise they are replaced, by a delete before.
        count: told how many bytes of content each message holds.
    """
    for upload in uploads:
        if upload.is_url:
            yield from _url(upload, append=append)
            continue
        if not append:
            yield _delete(upload.path)
        if upload.source == STDIN:
            yield from _pieces(sys.stdin.buffer, upload.path, count)
        else:
            with open(upload.source, "rb", buffering=0) as file:
                yield from _pieces(file, upload.path, count)


def _pieces(file: BinaryIO, path: str, count: Callable[[int], None]) -> Iterator[bytes]:
    piece = file.read(PIECE)
    yield add_file(path, piece)  # an empty file is one message without content
    count(len(piece))
    while piece:
        piece = file.read(PIECE)
        if piece:
            yield add_file(path, piece)
            count(len(piece))


def _delete(path: str) -> bytes:
    from trunkline.rpc.gen import pfs_pb2

    return pfs_pb2.ModifyFileRequest(delete_file=pfs_pb2.DeleteFile(path=path)).SerializeToString()


def _url(upload: Upload, *, append: bool) -> Iterator[bytes]:
    from trunkline.rpc.gen import pfs_pb2

    if not append:
        yield _delete(upload.path)
    source = pfs_pb2.AddFile.UrlSource(url=upload.source)
    yield pfs_pb2.ModifyFileRequest(
        add_file=pfs_pb2.AddFile(path=upload.path, url=source)
    ).SerializeToString()


def read_list(source: str) -> list[str]:
    """Return the sources named in a file, one per line; ``-`` is standard input.

    Raises:
        InvalidArgument: it names none.
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
