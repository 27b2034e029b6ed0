"""Chunk-level uploads: a client that chunks files itself sends only the chunks that the store lacks.

A file is accepted only as far as it is checked (``chunk_list_check``). Chunks get their ids here, never from
the sender. A file that is cut differently than ``chunking`` cuts is the same file, but equal to no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trunkline import errors
from trunkline.formats.chunking import MAX_BYTES
from trunkline.model import paths
from trunkline.pfs.chunk_list_check import ChunkListChecker, parse_chunk_list
from trunkline.pfs.write_streams import CommitStream
from trunkline.storage.chunks import ChunkId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.model.names import CommitName
    from trunkline.pfs.repository import VersionedStore

#: Ids in one request: 8,192 of them are 8 GB of large files, or a folder of as many small ones.
MAX_IDS = 8192
ID_BYTES = 32


def missing(versions: VersionedStore, ids: Sequence[bytes]) -> list[int]:
    """Return the positions of those chunks that the store lacks. Blocks.

    Raises:
        InvalidArgument: there are too many ids, or one has another length.
    """
    if len(ids) > MAX_IDS or any(len(id) != ID_BYTES for id in ids):
        raise errors.InvalidArgument(
            f"a request with {len(ids)} chunk ids is not valid; ask for at most {MAX_IDS} ids of {ID_BYTES}"
            " bytes each"
        )
    chunks = [ChunkId(id) for id in ids]
    stored = versions.chunks.lengths(chunks)
    return [position for position, id in enumerate(chunks) if id not in stored]


class ChunkedFile(NamedTuple):
    """A file that is put by its chunk list."""

    path: str
    #: The datum that writes it; empty for what users put.
    datum: str
    chunks: bytes
    #: Put it after what is there instead of replacing it.
    append: bool


class ChunkedStream(CommitStream):
    """A stream of chunks and files into a commit. Blocks; used by one thread at a time."""

    def __init__(self, versions: VersionedStore, target: CommitName) -> None:
        super().__init__(versions, target)
        self._checker = ChunkListChecker(versions.chunks)

    def add_chunks(self, chunks: Sequence[memoryview]) -> None:
        """Store chunks, which files after them may name.

        Raises:
            InvalidArgument: one is empty or too large.
        """
        for chunk in chunks:
            if not 0 < len(chunk) <= MAX_BYTES:
                raise errors.InvalidArgument(
                    f"a chunk of {len(chunk)} bytes cannot be stored; cut files into chunks of 1 to {MAX_BYTES} bytes"
                )
        ids = self.writer.add_many(chunks)
        self._checker.add(zip(ids, map(len, chunks), strict=True))

    def put_files(self, files: Sequence[ChunkedFile]) -> None:
        """Put files whose chunks are stored or were added before.

        Raises:
            InvalidArgument: a path or a chunk list is not valid.
            FailedPrecondition: a chunk is missing.
        """
        lists = [parse_chunk_list(file.path, file.chunks) for file in files]
        self._checker.check((file.path, chunks) for file, chunks in zip(files, lists, strict=True))
        for file, chunks in zip(files, lists, strict=True):
            size = sum(size for _, size in chunks)
            path = paths.canonical(file.path)
            self.put(path, file.datum, file.chunks, size=size, append=file.append)
