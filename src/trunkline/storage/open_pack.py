"""A pack while its writer fills and uploads it.

Not thread-safe: the writer (``trunkline.storage.packing``) calls it under its lock, but for ``finish``, which comes
after the last chunk and takes long.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from trunkline.errors import DataLoss, FailedPrecondition
from trunkline.formats.pack_format import PackLayout, first_damaged, new_key
from trunkline.storage.chunks import ChunkId, Location, PackRecord

if TYPE_CHECKING:
    from collections.abc import Iterator


class OpenPack:
    """A pack that is filled, then uploaded, after which only its table is left.

    Attributes:
        layout: its table and sizes.
        closed: whether it takes no more chunks.
        uploaded: whether it is in the object store.
        named: whether the chunk index may name it already, so that the object must stay.
        parts: its bytes, until they are uploaded.
        replaces: chunks whose other copy is damaged.
    """

    def __init__(self) -> None:
        self.layout = PackLayout(new_key())
        self.closed = False
        self.uploaded = False
        self.named = False
        self.parts: list[bytes | memoryview] = []
        self.replaces: set[ChunkId] = set()
        self._starts: list[int] = []

    @property
    def key(self) -> str:
        """The key of the object."""
        return self.layout.key

    @property
    def entries(self) -> int:
        """Chunks in the pack."""
        return self.layout.entries

    def take(
        self,
        ids: list[ChunkId],
        pieces: list[bytes | memoryview],
        codecs: list[int],
        stored: list[bytes | memoryview],
    ) -> int:
        """Append chunks until the pack is full; return how many.

        Args:
            ids: of the chunks; not empty.
            pieces: the chunks.
            codecs: as ``codecs.encode`` returned them.
            stored: as ``codecs.encode`` returned them.
        """
        self._starts.append(self.layout.size)
        count, part = self.layout.add(ids, pieces, codecs, stored)
        self.parts.append(part)
        return count

    def ids(self) -> Iterator[ChunkId]:
        """Yield the ids of the chunks."""
        ids = self.layout.ids
        return (ChunkId(bytes(ids[at : at + 32])) for at in range(0, len(ids), 32))

    def finish(self, *, verify: bool) -> None:
        """End the pack with table and trailer; once, when no chunk comes any more.

        Args:
            verify: decode all of it from memory and compare each chunk with its id.

        Raises:
            DataLoss: a chunk or the table does not match.
        """
        self._starts.append(self.layout.size)
        self.parts.append(self.layout.end())
        if verify:
            try:
                id = first_damaged(self.key, self.parts)
            except (DataLoss, FailedPrecondition) as error:
                raise _damaged_in_memory("its table", self.key) from error
            if id is not None:
                raise _damaged_in_memory(f"chunk {id.hex()}", self.key)

    def release(self) -> None:
        """Drop the bytes: they are in the object store."""
        self.uploaded = True
        self.parts = []

    def locate(self, entry: int) -> tuple[Location, bytes | None]:
        """Return a chunk's location and, unless the pack has been uploaded, its stored bytes."""
        offset, stored, length, codec = self.layout.place(entry)
        location = Location(self.key, offset, stored, length, codec)
        if not self.parts:
            return location, None
        part = bisect_right(self._starts, offset) - 1
        start = offset - self._starts[part]
        return location, bytes(self.parts[part][start : start + stored])

    def record(self, *, inline: bool) -> PackRecord:
        """Return what the chunk index must record."""
        layout = self.layout
        return PackRecord(
            layout.key,
            layout.size,
            layout.table,
            stored_bytes=layout.stored_bytes,
            chunk_bytes=layout.chunk_bytes,
            body=b"".join(self.parts) if inline else None,
            replaces=frozenset(self.replaces),
        )


def _damaged_in_memory(what: str, pack: str) -> DataLoss:
    """Return the error for a pack that is damaged before its upload.

    Args:
        what: the damaged part.
        pack: the pack's name.
    """
    return DataLoss(
        f"{what} does not match when pack {pack!r} is decoded before it is stored, so the memory or a processor of the"
        " server's machine damaged it; nothing of this write is recorded: test the machine, then write again"
    )
