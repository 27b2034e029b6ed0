"""Checks of files that arrive as chunk lists: the list is well formed and the store holds its chunks.

Every chunk that a file names must be in the store, or have arrived before it on the same stream, with the
length that the file says, and must be a possible cut. The cuts need not
be where ``chunking`` would put them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.formats.chunking import MAX_BYTES, MIN_BYTES, REF

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trunkline.storage.chunks import ChunkId
    from trunkline.storage.store import ChunkStore


def parse_chunk_list(path: str, chunks: bytes) -> list[tuple[ChunkId, int]]:
    """Return the chunks of a file, each with its bytes.

    Raises:
        InvalidArgument: the bytes cannot be the chunk list of a file.
    """
    if len(chunks) % REF.size:
        raise errors.InvalidArgument(
            f'the chunk list of "{path}" has {len(chunks)} bytes; it must have {REF.size} for each chunk'
        )
    entries = list(REF.iter_unpack(chunks))
    for _, size in entries[:-1]:
        if not MIN_BYTES <= size <= MAX_BYTES:
            raise errors.InvalidArgument(
                f'the chunk list of "{path}" has a chunk of {size} bytes before its last; all but the last'
                f" have {MIN_BYTES} to {MAX_BYTES}: cut the file as the store does"
            )
    return entries


class ChunkListChecker:
    """The chunks that the files of one stream may name. Used by one thread at a time."""

    def __init__(self, chunks: ChunkStore) -> None:
        self._chunks = chunks
        #: Bytes of each chunk that arrived on this stream or was looked up in the store.
        self._lengths: dict[ChunkId, int] = {}

    def add(self, chunks: Iterable[tuple[ChunkId, int]]) -> None:
        """Record chunks that arrived on the stream, with their bytes."""
        self._lengths.update(chunks)

    def check(self, files: Iterable[tuple[str, Sequence[tuple[ChunkId, int]]]]) -> None:
        """Check that every chunk that the files name exists with the length they state.

        Args:
            files: path and chunks of each file, as ``parse_chunk_list`` returns them.

        Raises:
            FailedPrecondition: a chunk is missing or has another length.
        """
        files = list(files)
        unknown = list(
            dict.fromkeys(id for _, chunks in files for id, _ in chunks if id not in self._lengths)
        )
        if unknown:
            self._lengths.update(self._chunks.lengths(unknown))
        for path, chunks in files:
            for id, size in chunks:
                self._check(path, id, size)

    def _check(self, path: str, id: ChunkId, size: int) -> None:
        length = self._lengths.get(id)
        if length is None:
            raise errors.FailedPrecondition(
                f'file "{path}" names chunk {id.hex()}, which is neither in the store nor earlier on the stream;'
                " ask which chunks are missing and send them first"
            )
        if length != size:
            raise errors.FailedPrecondition(
                f'file "{path}" names chunk {id.hex()} with {size} bytes, but it has {length}; cut the file again'
            )
