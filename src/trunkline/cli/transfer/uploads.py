"""Sends the files of "put file".

All files of a command are sent in one stream, so that all of them arrive or none. Large local files are uploaded by
chunks (``chunked_upload``); small files, and sources that cannot be read twice, are sent as they are.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from trunkline.cli.transfer.upload_plan import STDIN
from trunkline.errors import Unimplemented
from trunkline.formats.protowire import add_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

    from trunkline.cli.transfer.upload_plan import Upload
    from trunkline.client.channel import Channel
    from trunkline.rpc.gen import pfs_pb2

#: Bytes of a file in one message: large enough to be cheap, small enough to show progress.
PIECE = 1 << 20
#: Bytes of all files from which a query for missing chunks pays: fewer bytes are sent in the time of the query.
MIN_CHUNKED_BYTES = 1 << 20


def send(
    channel: Channel,
    commit: pfs_pb2.Commit,
    uploads: Sequence[Upload],
    *,
    append: bool,
    count: Callable[[int], None],
) -> None:
    """Put files into a commit, in one stream.

    Args:
        channel: to the server.
        commit: to write to.
        uploads: sources and their paths.
        append: whether to append to existing files instead of replacing them.
        count: called with the bytes of content that were sent.
    """
    if not append and sum(upload.size or 0 for upload in uploads) >= MIN_CHUNKED_BYTES:
        from trunkline.cli.transfer import chunked_upload

        if chunked_upload.possible(uploads):
            # A server without chunk-level uploads fails before anything is counted.
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
        uploads: sources and their paths.
        append: whether to append to existing files; otherwise a delete before replaces them.
        count: called with the bytes of content of each message.
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
        yield _delete(upload.path + "/" if upload.recursive and upload.path != "/" else upload.path)
    source = pfs_pb2.AddFile.UrlSource(url=upload.source, recursive=upload.recursive)
    yield pfs_pb2.ModifyFileRequest(
        add_file=pfs_pb2.AddFile(path=upload.path, url=source)
    ).SerializeToString()
