"""Chunk-level uploads (``protos/trunkline/store/store.proto``), converted to calls of ``pfs.chunk_uploads``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from trunkline import errors
from trunkline.formats.protowire import fields, tag
from trunkline.pfs import chunk_uploads
from trunkline.pfs.chunk_uploads import ChunkedFile, ChunkedStream
from trunkline.pfs.feed import Feed
from trunkline.rpc import convert
from trunkline.rpc.call import COMMIT_HEADER
from trunkline.rpc.gen import pfs_pb2
from trunkline.rpc.gen import store_pb2 as pb
from trunkline.rpc.servicer import ServicerBase

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from trunkline.pfs.repository import VersionedStore
    from trunkline.rpc.call import Call

# Of PutFilesRequest.
_COMMIT, _CHUNKS, _FILES = map(tag, (1, 2, 3))


class StoreServicer(ServicerBase):
    """Answers ``trunkline.store.v1.Store``."""

    raw_requests = frozenset({"PutFiles"})

    async def Missing(self, request: pb.MissingRequest, call: Call) -> pb.MissingResponse:
        positions = await self._blocking(chunk_uploads.missing, self._store(call), request.ids)
        return pb.MissingResponse(positions=positions)

    async def PutFiles(self, requests: AsyncIterator[bytes], call: Call) -> pb.PutFilesResponse:
        applier = PutApplier(self._store(call))
        async with Feed(self._executor, applier, self._versions.budget) as feed:
            await feed.receive(requests)
            await feed.finish(lambda: applier.opened().finish())
        call.trailing.append((COMMIT_HEADER, applier.opened().commit_id))
        return pb.PutFilesResponse()


class PutApplier:
    """Applies the frames of one stream. Blocks; used by one thread at a time."""

    def __init__(self, versions: VersionedStore) -> None:
        self._versions = versions
        self._stream: ChunkedStream | None = None

    def apply(self, batch: Sequence[bytes]) -> None:
        """Apply frames in order.

        Raises:
            TrunklineError: a frame is not valid, or names chunks that are missing.
        """
        chunks: list[memoryview] = []
        files: list[ChunkedFile] = []
        for frame in batch:
            try:
                for key, value in fields(frame):
                    if isinstance(value, int):
                        continue
                    if key == _CHUNKS:
                        chunks.append(value)
                    elif key == _FILES:
                        file = pb.File.FromString(bytes(value))
                        files.append(ChunkedFile(file.path, file.datum, file.chunks, file.append))
                    elif key == _COMMIT:
                        self._open(pfs_pb2.Commit.FromString(bytes(value)))
            except (DecodeError, ValueError) as error:
                raise errors.InvalidArgument(
                    "the stream of files holds bytes that are not a PutFilesRequest; upgrade the client"
                ) from error
        # Chunks first: a file of this batch may name a chunk of any frame up to its own.
        stream = self.opened()
        stream.add_chunks(chunks)
        stream.put_files(files)

    def drain(self) -> None:
        """Hold as little as possible until the next frame."""
        if self._stream is not None:
            self._stream.drain()

    def abort(self) -> None:
        """Drop what was applied, unless it is finished."""
        if self._stream is not None:
            self._stream.abort()

    def opened(self) -> ChunkedStream:
        """Return the stream into the commit.

        Raises:
            InvalidArgument: the client has not named the commit.
        """
        if self._stream is None:
            raise errors.InvalidArgument(
                "the stream of files names no commit; its first message must name it"
            )
        return self._stream

    def _open(self, target: pfs_pb2.Commit) -> None:
        if self._stream is not None:
            raise errors.InvalidArgument(
                "the stream of files names its commit twice; name it in the first message"
            )
        self._stream = ChunkedStream(self._versions, convert.commit_name(target))
