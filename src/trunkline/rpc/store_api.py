"""Files by their chunks (``protos/trunkline/store/store.proto``): who cuts files himself sends what is missing.

A file is taken at its word only as far as it is checked: every chunk that it names is stored or came before
it on the stream, has the length that the file says, and could be a cut. Chunks are named here, never by who
sends them. Whether the cuts lie where ``cutting`` would have put them is the sender's affair: a file that is
cut otherwise is the same file, only found equal to nothing.

The stream is fed, in batches, as a stream of ``ModifyFile`` is (``pfs_write``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from trunkline import errors
from trunkline.cutting import MAX_BYTES, MIN_BYTES, REF
from trunkline.model import paths
from trunkline.pfs.modify import CommitStream
from trunkline.rpc import convert, frames
from trunkline.rpc.gen import pfs_pb2
from trunkline.rpc.gen import store_pb2 as pb
from trunkline.rpc.parts import Part
from trunkline.rpc.pfs_write import Feed
from trunkline.storage.chunks import ChunkId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from trunkline.pfs.versions import Versions

#: Ids in one question: 8,192 of them are 8 GB of large files, or a folder of as many small ones.
MOST_IDS = 8192
_ID_BYTES = 32

# Field number << 3 | 2 (length-delimited), in PutFilesRequest.
_COMMIT = 1 << 3 | 2
_CHUNKS = 2 << 3 | 2
_FILES = 3 << 3 | 2


class StoreServicer(Part):
    """Answers ``trunkline.store.v1.Store``."""

    raw_requests = frozenset({"PutFiles"})

    async def Missing(self, request: pb.MissingRequest, _context: Any) -> pb.MissingResponse:
        ids = [ChunkId(id) for id in request.ids]
        if len(ids) > MOST_IDS or any(len(id) != _ID_BYTES for id in ids):
            raise errors.InvalidArgument(
                f"the question for {len(ids)} chunks cannot be answered; ask for at most {MOST_IDS} ids of"
                f" {_ID_BYTES} bytes each"
            )
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

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._changes: CommitStream | None = None
        #: Bytes of each chunk that came on this stream or was found in the store.
        self._lengths: dict[ChunkId, int] = {}

    def apply(self, batch: Sequence[bytes]) -> None:
        """Apply frames in order.

        Raises:
            TrunklineError: a frame is wrong, or names chunks that are not there.
        """
        chunks: list[memoryview] = []
        files: list[pb.File] = []
        for frame in batch:
            try:
                for tag, value in frames.fields(memoryview(frame)):
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
        self._lengths.update(zip(ids, map(len, chunks), strict=True))

    def _put(self, files: Sequence[pb.File]) -> None:
        changes = self.opened()
        named = [_refs(file) for file in files]
        self._look_up(id for refs in named for id, _ in refs)
        for file, refs in zip(files, named, strict=True):
            for id, size in refs:
                self._check(file.path, id, size)
            changes.put(
                paths.canonical(file.path),
                file.datum,
                file.chunks,
                size=sum(size for _, size in refs),
                append=file.append,
            )

    def _look_up(self, ids: Iterable[ChunkId]) -> None:
        unknown = list(dict.fromkeys(id for id in ids if id not in self._lengths))
        if unknown:
            self._lengths.update(self._versions.chunks.lengths(unknown))

    def _check(self, path: str, id: ChunkId, size: int) -> None:
        length = self._lengths.get(id)
        if length is None:
            raise errors.FailedPrecondition(
                f'file "{path}" names chunk {id.hex()}, which the store lacks and the stream did not bring'
                " before it; ask which chunks are missing and send them first"
            )
        if length != size:
            raise errors.FailedPrecondition(
                f'file "{path}" names chunk {id.hex()} with {size} bytes, but it has {length}; cut the file again'
            )


def _refs(file: pb.File) -> list[tuple[ChunkId, int]]:
    """Return what a file names.

    Raises:
        InvalidArgument: it cannot be the chunk list of a file.
    """
    if len(file.chunks) % REF.size:
        raise errors.InvalidArgument(
            f'the chunk list of "{file.path}" has {len(file.chunks)} bytes; per chunk there must be {REF.size}'
        )
    refs = list(REF.iter_unpack(file.chunks))
    for _, size in refs[:-1]:
        if not MIN_BYTES <= size <= MAX_BYTES:
            raise errors.InvalidArgument(
                f'the chunk list of "{file.path}" has a chunk of {size} bytes before its last; all but the last'
                f" have {MIN_BYTES} to {MAX_BYTES}: cut the file as the store does"
            )
    return refs
