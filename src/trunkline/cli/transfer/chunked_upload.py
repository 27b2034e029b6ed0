"""Uploads local files by chunks: only chunks that the server lacks are sent.

Files are split here (``parallel_chunker``); the server reports which chunks it lacks; these are sent before the
files that refer to them, all in one stream, so that all files arrive or none. The queries use a second channel,
because the stream occupies the first.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from trunkline.cli.transfer.parallel_chunker import ParallelChunker
from trunkline.client.stubs import Client
from trunkline.formats.chunking import REF
from trunkline.formats.protowire import put_chunks
from trunkline.rpc.gen import store_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trunkline.cli.transfer.parallel_chunker import FilePart
    from trunkline.cli.transfer.upload_plan import Upload
    from trunkline.client.channel import Channel
    from trunkline.client.stubs import Service
    from trunkline.rpc.gen import pfs_pb2

#: Bytes and number of chunks in one query.
QUERY_BYTES = 32 << 20
QUERY_CHUNKS = 2048
#: Bytes of chunks or of chunk lists in a message: large enough to be cheap, small enough to show progress.
FRAME_BYTES = 1 << 20
#: Bytes of the chunk list of a file in one message, for 230 GB of content; the rest is appended.
LONGEST_LIST = REF.size * 200_000


def possible(uploads: Sequence[Upload]) -> bool:
    """Return whether all sources are files that can be read twice."""
    return not any(upload.is_url or upload.size is None for upload in uploads) and all(
        stat.S_ISREG(os.stat(upload.source).st_mode) for upload in uploads
    )


def put(
    channel: Channel, commit: pfs_pb2.Commit, uploads: Sequence[Upload], count: Callable[[int], None]
) -> None:
    """Put files into a commit, replacing those that exist.

    Args:
        channel: to the server.
        commit: to write to.
        uploads: for which ``possible`` is true.
        count: called with the bytes of content that the server has received, as they arrive.

    Raises:
        Unimplemented: the server does not support chunks; nothing was counted or put.
        OSError: a file cannot be read; nothing was put.
        TrunklineError: the server's error, or a file changed while it was read; nothing was put.
    """
    with channel.sibling() as queries, ParallelChunker(uploads) as chunker:
        sending = _Sending(Client(queries).store, chunker, count)
        channel.client_stream("/trunkline.store.v1.Store/PutFiles", sending.requests(commit))


class _Sending:
    """One upload stream."""

    def __init__(self, store: Service, chunker: ParallelChunker, count: Callable[[int], None]) -> None:
        self._store = store
        self._chunker = chunker
        self._count = count
        #: Chunks that the server has or has been sent.
        self._settled: set[bytes] = set()
        #: The chunk list of the current file.
        self._list: list[bytes] = []

    def requests(self, commit: pfs_pb2.Commit) -> Iterator[bytes]:
        """Yield the messages of the stream."""
        yield store_pb2.PutFilesRequest(commit=commit).SerializeToString()
        batch: list[FilePart] = []
        chunks = size = 0
        for part in self._chunker.parts():
            batch.append(part)
            chunks += len(part.chunks)
            size += part.size
            if chunks >= QUERY_CHUNKS or size >= QUERY_BYTES or len(batch) >= QUERY_CHUNKS:
                yield from self._batch(batch)
                batch, chunks, size = [], 0, 0
        yield from self._batch(batch)

    def _batch(self, batch: Sequence[FilePart]) -> Iterator[bytes]:
        places: dict[bytes, tuple[FilePart, int, int]] = {}
        for part in batch:
            at = part.start
            for id, size in part.chunks:
                if id not in self._settled:
                    places[id] = part, at, size
                at += size
        missing = self._missing(list(places))
        self._settled.update(places)
        lacking = sum(places[id][2] for id in missing)
        self._count(sum(part.size for part in batch) - lacking)
        chunks: list[bytes] = []
        size = 0
        for id in missing:
            part, at, length = places[id]
            chunks.append(part.read(at, length))
            size += length
            if size >= FRAME_BYTES:
                yield put_chunks(chunks)
                self._count(size)
                chunks, size = [], 0
        if chunks:
            yield put_chunks(chunks)
            self._count(size)
        for part in batch:
            self._chunker.sent(part)
        yield from self._files(batch)

    def _missing(self, ids: list[bytes]) -> list[bytes]:
        if not ids:
            return []
        # Never more than a few hundred above ``QUERY_CHUNKS``, as parts are small.
        answer = self._store.Missing(store_pb2.MissingRequest(ids=ids))
        return [ids[position] for position in answer.positions]

    def _files(self, batch: Sequence[FilePart]) -> Iterator[bytes]:
        request = store_pb2.PutFilesRequest()
        size = 0
        for part in batch:
            self._list += [REF.pack(id, length) for id, length in part.chunks]
            if not part.last:
                continue
            chunk_list = b"".join(self._list)
            self._list = []
            for at in range(0, len(chunk_list) or 1, LONGEST_LIST):
                part_list = chunk_list[at : at + LONGEST_LIST]
                request.files.add(path=part.upload.path, chunks=part_list, append=at > 0)
                size += len(part.upload.path) + len(part_list)
                if size >= FRAME_BYTES:
                    yield request.SerializeToString()
                    request, size = store_pb2.PutFilesRequest(), 0
        if request.files:
            yield request.SerializeToString()
