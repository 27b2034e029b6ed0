"""Files by their chunks (``protos/trunkline/store/store.proto``): who cuts files himself sends what is missing.

A file is taken at its word only as far as it is checked (``named_chunks``). Chunks are named here, never by
who sends them. A file that is cut otherwise than ``cutting`` does is the same file, only found equal to nothing.

The stream is fed, in batches, as a stream of ``ModifyFile`` is (``pfs_write``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from trunkline import errors
from trunkline.chunking import MAX_BYTES
from trunkline.model import paths
from trunkline.pfs.chunk_list_check import ChunkListChecker, parse_chunk_list
from trunkline.pfs.write_streams import CommitStream
from trunkline.rpc import convert, modify_decoder
from trunkline.rpc.gen import pfs_pb2
from trunkline.rpc.gen import store_pb2 as pb
from trunkline.rpc.pfs_write import Feed
from trunkline.rpc.servicer import ServicerBase
from trunkline.storage.chunks import ChunkId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from trunkline.pfs.repository import VersionedStore

#: Ids in one request: 8,192 of them are 8 GB of large files, or a folder of as many small ones.
MAX_IDS = 8192
ID_BYTES = 32

# Field number << 3 | 2 (length-delimited), in PutFilesRequest.
_COMMIT = 1 << 3 | 2
_CHUNKS = 2 << 3 | 2
_FILES = 3 << 3 | 2


def chunk_ids(ids: Sequence[bytes]) -> list[ChunkId]:
    """Return the chunk ids of a request.

    Raises:
        InvalidArgument: they are too many, or one has another length.
    """
    if len(ids) > MAX_IDS or any(len(id) != ID_BYTES for id in ids):
        raise errors.InvalidArgument(
            f"a request with {len(ids)} chunk ids is not valid; ask for at most {MAX_IDS} ids of {ID_BYTES}"
            " bytes each"
        )
    return [ChunkId(id) for id in ids]


class StoreServicer(ServicerBase):
    """Answers ``trunkline.store.v1.Store``."""

    raw_requests = frozenset({"PutFiles"})

    async def Missing(self, request: pb.MissingRequest, _context: Any) -> pb.MissingResponse:
        ids = chunk_ids(request.ids)
        known = await self._blocking(self._versions.chunks.lengths, ids)
        return pb.MissingResponse(positions=[at for at, id in enumerate(ids) if id not in known])

    async def PutFiles(self, requests: AsyncIterator[bytes], _context: Any) -> pb.PutFilesResponse:
        applier = PutApplier(self._versions)
        async with Feed(self._executor, applier) as feed:
            await feed.receive(requests)
            await feed.finish(lambda: applier.opened().finish())
        return pb.PutFilesResponse()


class PutApplier:
    """Applies the frames of one stream. Blocks; used by one thread at a time."""

    def __init__(self, versions: VersionedStore) -> None:
        self._versions = versions
        self._changes: CommitStream | None = None
        self._checker = ChunkListChecker(versions.chunks)

    def apply(self, batch: Sequence[bytes]) -> None:
        """Apply frames in order.

        Raises:
            TrunklineError: a frame is wrong, or names chunks that are not there.
        """
        chunks: list[memoryview] = []
        files: list[pb.File] = []
        for frame in batch:
            try:
                for tag, value in modify_decoder.fields(memoryview(frame)):
                    if tag == _CHUNKS:
                        chunks.append(value)
                    elif tag == _FILES:
                        files.append(pb.File.FromString(bytes(value)))
                    elif tag == _COMMIT:
                        self._open(pfs_pb2.Commit.FromString(bytes(value)))
            except (DecodeError, ValueError, IndexError) as error:
                raise errors.InvalidArgument(
                    "the stream of files holds bytes that are no PutFilesRequest; upgrade the client"
                ) from error
        # Chunks first: a file of this batch may name a chunk of any frame up to its own.
        self._take(chunks)
        self._put(files)

    def abort(self) -> None:
        """Drop what was applied, unless it is finished."""
        if self._changes is not None:
            self._changes.abort()

    def opened(self) -> CommitStream:
        """Return the changes.

        Raises:
            InvalidArgument: the stream has not said what they are for.
        """
        if self._changes is None:
            raise errors.InvalidArgument(
                "the stream of files names no commit; its first message must name it"
            )
        return self._changes

    def _open(self, target: pfs_pb2.Commit) -> None:
        if self._changes is not None:
            raise errors.InvalidArgument(
                "the stream of files names its commit twice; name it in the first message"
            )
        self._changes = CommitStream(self._versions, convert.commit_name(target))

    def _take(self, chunks: Sequence[memoryview]) -> None:
        changes = self.opened()
        for chunk in chunks:
            if not 0 < len(chunk) <= MAX_BYTES:
                raise errors.InvalidArgument(
                    f"a chunk of {len(chunk)} bytes cannot be stored; cut files into chunks of 1 to {MAX_BYTES} bytes"
                )
        ids = changes.writer.add_many(chunks)
        self._checker.add(zip(ids, map(len, chunks), strict=True))

    def _put(self, files: Sequence[pb.File]) -> None:
        changes = self.opened()
        named = [parse_chunk_list(file.path, file.chunks) for file in files]
        self._checker.check((file.path, refs) for file, refs in zip(files, named, strict=True))
        for file, refs in zip(files, named, strict=True):
            changes.put(
                paths.canonical(file.path),
                file.datum,
                file.chunks,
                size=sum(size for _, size in refs),
                append=file.append,
            )
