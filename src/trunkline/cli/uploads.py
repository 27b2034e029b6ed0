"""Sends the files of "put file": their bytes as ready-made messages.

All files of a command go in one stream, so they arrive together or not at all. Large local files go by their
chunks (``chunked_upload``); whatever cannot be read twice, and what is small, goes as it is.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from trunkline.cli.upload_plan import STDIN
from trunkline.errors import Unimplemented
from trunkline.protowire import add_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

    from trunkline.cli.upload_plan import Upload
    from trunkline.client.channel import Channel
    from trunkline.rpc.gen import pfs_pb2

#: Bytes of a file in one message: large enough to be cheap, small enough to show progress and to flow.
PIECE = 1 << 20
#: Bytes of all files from which it pays to ask what the server lacks: less is sent in the time of asking.
WORTH_ASKING = 1 << 20


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
