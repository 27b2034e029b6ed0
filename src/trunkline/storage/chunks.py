"""The vocabulary of chunk storage: ids, locations, pack records, and the protocols between the modules.

A chunk is a run of bytes that is stored once and named by its content. Its bytes lie in a pack; only the
chunk index (SQL, known here by its protocol) says where. ``store`` reads chunks and ``packing`` writes them;
``trunkline.formats.pack_format`` has the layout of packs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NewType, Protocol, cast

from blake3 import blake3
from msgspec import Struct

from trunkline.errors import DataLoss
from trunkline.formats.codecs import decode as decode_stored
from trunkline.formats.pack_format import ROW_BYTES, table_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: Chunks that one transaction enters into the index at most: 20 to 40 ms of the database's only writer. A pack of
#: 65,536 tiny chunks takes half a second, for which the commits of others would wait.
TRANSACTION_CHUNKS = 4096

#: The BLAKE3-256 of a chunk's uncompressed bytes, 32 bytes.
ChunkId = NewType("ChunkId", bytes)


class Location(Struct, frozen=True):
    """Where a chunk lies."""

    pack: str
    #: First byte of the stored chunk in the pack.
    offset: int
    #: Bytes in the pack.
    stored: int
    #: Bytes of the chunk itself.
    length: int
    #: ``RAW`` or ``ZSTD``.
    codec: int
    #: The stored bytes themselves when the index keeps the pack; None when it is an object.
    inline: bytes | None = None


class PackRecord(Struct, frozen=True):
    """A pack that the chunk index must record next; its bytes are durable or part of the record."""

    pack: str
    #: Bytes of the whole object, table and trailer included.
    size: int
    #: The chunks in it: the pack's own table, because a stream of a million small files holds a million of them.
    table: bytes
    #: Bytes of its chunks, as stored and uncompressed.
    stored_bytes: int
    chunk_bytes: int
    #: The pack itself when it is small: the index keeps it. None when it is in the object store.
    body: bytes | None = None
    #: Chunks whose earlier copy is damaged: the index replaces their entries with those of this pack.
    replaces: frozenset[ChunkId] = frozenset()

    def __len__(self) -> int:
        return len(self.table) // ROW_BYTES

    @property
    def entries(self) -> Iterator[tuple[ChunkId, int, int, int, int]]:
        """Yield ``(chunk id, offset, stored, length, codec)`` of each chunk, in order of offset."""
        return cast("Iterator[tuple[ChunkId, int, int, int, int]]", table_rows(self.table))


class ChunkIndex(Protocol):
    """Says where chunks lie. May be called from any thread."""

    def find(self, ids: Sequence[ChunkId]) -> dict[ChunkId, Location]:
        """Return the locations of those chunks that are recorded."""

    def record(self, pack: PackRecord) -> None:
        """Record a pack whose bytes are durable, in several transactions if it has many chunks.

        After an error some of its chunks may be recorded, so the pack must stay.
        """


class ChunkSource(Protocol):
    """Anything that chunks can be read from: the store, or a writer that sees its own unsealed chunks."""

    def read(self, id: ChunkId) -> bytes:
        """Return a chunk's bytes.

        Raises:
            DataLoss: the chunk is not stored, or its bytes do not match its id.
        """

    def read_many(self, ids: Iterable[ChunkId]) -> Iterator[bytes]:
        """Yield the bytes of each chunk, in the order of ``ids``."""

    def prefetch(self, ids: Iterable[ChunkId]) -> None:
        """Load chunks into the cache that will be read soon, in any order."""


class ChunkSink(ChunkSource, Protocol):
    """Takes chunks, and reads back those it took."""

    def add(self, data: bytes | memoryview) -> ChunkId:
        """Store a chunk that is not empty and will not change; return its id."""

    def add_many(self, pieces: Sequence[bytes | memoryview]) -> list[ChunkId]:
        """Store several chunks; return the id of each."""


def chunk_id(data: bytes | memoryview) -> ChunkId:
    """Return the id of a chunk."""
    return ChunkId(blake3(data).digest())


def decode(id: ChunkId, location: Location, stored: bytes) -> bytes:
    """Return a chunk from its stored bytes, after comparing them with its id.

    Args:
        id: id of the chunk.
        location: where the chunk is stored, with its codec and length.
        stored: the stored bytes.

    Raises:
        DataLoss: they do not match.
        FailedPrecondition: a newer release wrote them.
    """
    data = decode_stored(id, location.codec, location.length, stored)
    if data is None:
        where = "the database" if location.inline is not None else "the object store"
        raise DataLoss(
            f"chunk {id.hex()} at offset {location.offset} of pack {location.pack!r} does not match its id: the pack"
            f" was changed in {where}; restore it from a backup, or put the same files again to store new copies"
        )
    return data
