"""Files that come as lists of chunks: what such a list must look like, and that its chunks are there.

Used by whatever takes files so (``store_api``, ``hand_in``). A file is taken at its word only as far as it is
checked: every chunk that it names is stored or came before it on the stream, has the length that the file
says, and could be a cut. Whether the cuts lie where ``cutting`` would have put them is the sender's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.chunking import MAX_BYTES, MIN_BYTES, REF

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trunkline.storage.chunks import ChunkId
    from trunkline.storage.store import ChunkStore


def chunk_list(path: str, chunks: bytes) -> list[tuple[ChunkId, int]]:
    """Return what a file names.

    Raises:
        InvalidArgument: it cannot be the chunk list of a file.
    """
    if len(chunks) % REF.size:
        raise errors.InvalidArgument(
            f'the chunk list of "{path}" has {len(chunks)} bytes; per chunk there must be {REF.size}'
        )
    named = list(REF.iter_unpack(chunks))
    for _, size in named[:-1]:
        if not MIN_BYTES <= size <= MAX_BYTES:
            raise errors.InvalidArgument(
                f'the chunk list of "{path}" has a chunk of {size} bytes before its last; all but the last'
                f" have {MIN_BYTES} to {MAX_BYTES}: cut the file as the store does"
            )
    return named


class NamedChunks:
    """The chunks that files of a stream may name, with their bytes."""

    def __init__(self, chunks: ChunkStore) -> None:
        self._chunks = chunks
        #: Bytes of each chunk that came on this stream or was found in the store.
        self._lengths: dict[ChunkId, int] = {}

    def came(self, chunks: Iterable[tuple[ChunkId, int]]) -> None:
        """Take note of chunks that came on the stream."""
        self._lengths.update(chunks)

    def check(self, files: Iterable[tuple[str, Sequence[tuple[ChunkId, int]]]]) -> None:
        """Make sure that every chunk that files name is there with the bytes that they say.

        Raises:
            FailedPrecondition: one is not.
        """
        files = list(files)
        unknown = list(dict.fromkeys(id for _, named in files for id, _ in named if id not in self._lengths))
        if unknown:
            self._lengths.update(self._chunks.lengths(unknown))
        for path, named in files:
            for id, size in named:
                self._check(path, id, size)

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
