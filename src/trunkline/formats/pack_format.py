"""The layout of packs (docs/design/format.md, Packs). Pure functions over bytes.

A pack is the stored bytes of its chunks, a table of them in columns, and a trailer. So the last bytes of a pack say
where its chunks are, and the chunk index can be built again from the packs alone (``trunkline.storage.rebuild``).

The server writes packs, and so do workers that upload to the object store directly; both read ranges of packs.
Both use this module and that of the chunks' codecs (``codecs``). They depend on neither and import only the two
libraries that the format needs, so that a worker that transfers a large file loads nothing else.
"""

from __future__ import annotations

import contextlib
import struct
import uuid
from array import array
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import zstandard
from blake3 import blake3

from trunkline.errors import DataLoss, FailedPrecondition
from trunkline.formats.codecs import (
    RAW,
    UNKNOWN_SIZE,
    ZSTD,
    decode,
    is_worthwhile,
    thread_codecs,
    unknown_codec,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

#: Version of the layout, in the trailer.
VERSION = 2
#: Bytes of stored chunks and rows of the table after which a pack is complete. Disks and clouds write objects of
#: this size well; larger ones only make the end of a write wait longer.
PACK_BYTES = 64 << 20
#: Chunks at which a pack is sealed: a writer remembers those of packs that are not stored yet, some 300 bytes each.
PACK_CHUNKS = 1 << 16
#: Bytes of a chunk's row in the table: id, stored bytes, bytes of the chunk, codec.
ROW_BYTES = 41
#: Bytes of the trailer.
TRAILER_BYTES = 64
#: Bytes at the end of a pack that are read first: they hold the table of a pack of 1,500 chunks or more.
TAIL_BYTES = 64 << 10
#: Bytes up to which a table is read. No writer makes one of more than ``PACK_BYTES``.
MAX_TABLE_BYTES = 2 * PACK_BYTES
#: Bytes between two chunks of a pack up to which one request for both is cheaper than two requests.
GAP_BYTES = 64 << 10

_MAGIC = b"TLPK"
#: Magic, version, codec of the table, 0, chunks, stored bytes and bytes of the table, 0, stored bytes of the chunks.
_FIELDS = struct.Struct("<4sHBBIIIIQ")

#: Bytes of chunks that are decompressed together when a pack is verified.
_VERIFY_BYTES = 1 << 20
#: Bytes that the verification of a pack takes: chunks that are decompressed together twice, or the largest chunk.
VERIFY_MEMORY = 2 << 20
#: A chunk from this size on is decompressed alone: one copy less.
_ALONE_BYTES = 1 << 16


def new_key() -> str:
    """Return a key for a new pack, which is also the pack's name in the chunk index."""
    name = uuid.uuid4().hex
    return f"packs/{name[:2]}/{name}"


def damaged_pack(pack: str, detail: str) -> DataLoss:
    """Return the error for a pack that cannot be read any more.

    Args:
        pack: its name, which is its key in the object store.
        detail: what reading it showed.
    """
    return DataLoss(
        f"pack {pack!r} is lost or damaged ({detail}); restore the object from a backup, or put the same files again"
        " to store new copies"
    )


def table_rows(table: bytes) -> Iterator[tuple[bytes, int, int, int, int]]:
    """Yield ``(chunk id, offset, stored bytes, length, codec)`` of each chunk, in the order of their bytes."""
    return zip(*_columns(table), strict=False)  # there is one offset more than rows


def _columns(table: bytes) -> tuple[Iterable[bytes], Iterable[int], Sequence[int], Sequence[int], bytes]:
    """Return ids, offsets, stored bytes, lengths and codecs; there is one offset more, the end of the chunks."""
    count = len(table) // ROW_BYTES
    numbers = struct.unpack_from(f"<{2 * count}I", table, 32 * count)
    ids = (table[at : at + 32] for at in range(0, 32 * count, 32))
    stored = numbers[:count]
    return ids, accumulate(stored, initial=0), stored, numbers[count:], table[40 * count :]


class Trailer(NamedTuple):
    """What the last bytes of a pack say of the bytes before."""

    #: Codec of the table.
    codec: int
    #: Chunks in the pack.
    chunks: int
    #: Bytes of the table as it is stored.
    stored_table: int
    #: Stored bytes of the chunks.
    stored_chunks: int

    @property
    def tail_bytes(self) -> int:
        """Bytes of table and trailer."""
        return self.stored_table + TRAILER_BYTES


def read_trailer(pack: str, size: int, tail: bytes) -> Trailer:
    """Return the trailer of a pack.

    Args:
        pack: the pack's name, for errors.
        size: bytes of the whole pack.
        tail: its last bytes; the trailer at least, if the pack is as long.

    Raises:
        DataLoss: these are not the last bytes of a pack of this size.
        FailedPrecondition: a newer release wrote the pack.
    """
    if len(tail) < TRAILER_BYTES:
        raise damaged_pack(pack, f"it has {size} bytes, less than a trailer")
    magic, version, codec, zero, count, stored_table, table, zeros, stored_chunks = _FIELDS.unpack_from(
        tail, len(tail) - TRAILER_BYTES
    )
    if magic != _MAGIC:
        raise damaged_pack(pack, "it does not end with the trailer of a pack")
    if version != VERSION:
        raise FailedPrecondition(
            f"pack {pack!r} has version {version}, this release reads version {VERSION}; use a release that reads it,"
            " or restore the object from a backup if no other release has used the store"
        )
    if table != count * ROW_BYTES or zero or zeros:
        raise damaged_pack(pack, f"its trailer names {count} chunks and a table of {table} bytes")
    if stored_chunks + stored_table + TRAILER_BYTES != size:
        expected = stored_chunks + stored_table + TRAILER_BYTES
        raise damaged_pack(pack, f"it has {size} bytes instead of the {expected} that its trailer names")
    return Trailer(codec, count, stored_table, stored_chunks)


def read_table(
    pack: str, size: int, get: Callable[[int, int], bytes], max_bytes: int = MAX_TABLE_BYTES
) -> bytes:
    """Read the table of a pack from its end: one range, or a second one where a pack has very many chunks.

    Args:
        pack: the pack's name, for errors.
        size: bytes of the whole pack.
        get: returns a range of the pack: first byte, number of bytes.
        max_bytes: bytes of the table that are accepted.

    Returns:
        The table, checked, for ``table_rows``.

    Raises:
        DataLoss: the pack is not what its trailer says.
        FailedPrecondition: a newer release wrote the pack.
    """
    start = max(0, size - TAIL_BYTES)
    tail = get(start, size - start)
    trailer = read_trailer(pack, size, tail)
    if trailer.chunks * ROW_BYTES > max_bytes:
        raise damaged_pack(pack, f"its trailer names {trailer.chunks} chunks, more than a pack has")
    if trailer.tail_bytes > len(tail):
        first = size - trailer.tail_bytes
        tail = get(first, start - first) + tail
    return _read_table(pack, trailer, tail[len(tail) - trailer.tail_bytes :])


def _read_table(pack: str, trailer: Trailer, tail: bytes) -> bytes:
    """Return the table from the bytes of table and trailer; see ``read_table``."""
    if blake3(tail[:-32]).digest() != tail[-32:]:
        raise damaged_pack(pack, "its table does not match the hash in its trailer")
    table = tail[: trailer.stored_table]
    size = trailer.chunks * ROW_BYTES
    if trailer.codec == ZSTD:
        try:
            fits = zstandard.frame_content_size(table) in (size, UNKNOWN_SIZE)
            table = thread_codecs.decompressor.decompress(table, max_output_size=size) if fits else b""
        except zstandard.ZstdError as error:
            raise damaged_pack(pack, f"its table cannot be decompressed: {error}") from error
    elif trailer.codec != RAW:
        raise unknown_codec(f"the table of pack {pack!r}", trailer.codec)
    if len(table) != size:
        raise damaged_pack(pack, f"its table has {len(table)} bytes instead of {size}")
    _, _, stored, lengths, codecs = _columns(table)
    unknown = set(codecs) - {RAW, ZSTD}
    if unknown:
        raise unknown_codec(f"a chunk of pack {pack!r}", min(unknown))
    if sum(stored) != trailer.stored_chunks:
        raise damaged_pack(
            pack, f"the chunks in its table have {sum(stored)} bytes instead of {trailer.stored_chunks}"
        )
    if (
        0 in stored
        or 0 in lengths
        or any(
            codec == RAW and own != length for own, length, codec in zip(stored, lengths, codecs, strict=True)
        )
    ):
        raise damaged_pack(pack, "its table names a chunk whose bytes do not fit its codec")
    return table


class PackLayout:
    """Computes the layout of one pack: its table, size and trailer. The caller writes the bytes.

    Attributes:
        key: of the object.
        size: bytes so far.
        chunk_bytes: bytes of the chunks before compression.
        stored_bytes: bytes of the chunks after it.
        ids: of the chunks, one after the other.
    """

    __slots__ = (
        "_codecs",
        "_lengths",
        "_offsets",
        "_stored",
        "chunk_bytes",
        "ids",
        "key",
        "size",
        "stored_bytes",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        self.size = 0
        self.chunk_bytes = 0
        self.stored_bytes = 0
        self.ids = bytearray()
        self._offsets = array("Q")
        self._stored = array("I")
        self._lengths = array("I")
        self._codecs = bytearray()

    @property
    def entries(self) -> int:
        """Chunks so far."""
        return len(self._codecs)

    @property
    def is_full(self) -> bool:
        """Whether the pack takes no more chunks."""
        return self._fill >= PACK_BYTES or self.entries >= PACK_CHUNKS

    @property
    def most_bytes(self) -> int:
        """Bytes of the pack if it ended now, or a little more."""
        return self._fill + TRAILER_BYTES

    @property
    def _fill(self) -> int:
        return self.stored_bytes + self.entries * ROW_BYTES

    @property
    def table(self) -> bytes:
        """The table so far."""
        count = self.entries
        return b"".join(
            (
                self.ids,
                struct.pack(f"<{count}I", *self._stored),
                struct.pack(f"<{count}I", *self._lengths),
                self._codecs,
            )
        )

    def place(self, entry: int) -> tuple[int, int, int, int]:
        """Return offset, stored bytes, length and codec of the chunk with this number, counted from 0."""
        return self._offsets[entry], self._stored[entry], self._lengths[entry], self._codecs[entry]

    def add(
        self,
        ids: Sequence[bytes],
        pieces: Sequence[bytes | memoryview],
        codecs: Sequence[int],
        stored: Sequence[bytes | memoryview],
    ) -> tuple[int, bytes | memoryview]:
        """Add chunks until the pack is full, at least one.

        Args:
            ids: of the chunks; not empty.
            pieces: the chunks.
            codecs: as ``encode`` returned them.
            stored: as ``encode`` returned them.

        Returns:
            How many of the chunks were added, and their bytes, which follow those added before.
        """
        fills = list(accumulate([len(each) + ROW_BYTES for each in stored], initial=self._fill))
        room = PACK_CHUNKS - self.entries
        count = max(1, min(bisect_left(fills, PACK_BYTES), len(stored), room))
        sizes, lengths = list(map(len, stored[:count])), list(map(len, pieces[:count]))
        *offsets, end = accumulate(sizes, initial=self.size)
        self.ids += b"".join(ids[:count])
        self._offsets.extend(offsets)
        self._stored.extend(sizes)
        self._lengths.extend(lengths)
        self._codecs += bytes(codecs[:count])
        self.chunk_bytes += sum(lengths)
        self.size = self.stored_bytes = end
        return count, stored[0] if count == 1 else b"".join(stored[:count])

    def end(self) -> bytes:
        """Return table and trailer, which end the pack, and count them."""
        tail = encode_tail(self.table, self.stored_bytes)
        self.size += len(tail)
        return tail


def encode_tail(table: bytes, stored_bytes: int) -> bytes:
    """Return table and trailer as they are stored.

    Args:
        table: rows of the chunks.
        stored_bytes: stored bytes of all chunks.
    """
    codec, stored = RAW, table
    packed = thread_codecs.compressor.compress(table)
    if is_worthwhile(packed, table):
        codec, stored = ZSTD, packed
    chunks = len(table) // ROW_BYTES
    fields = (_MAGIC, VERSION, codec, 0, chunks, len(stored), len(table), 0, stored_bytes)
    tail = stored + _FIELDS.pack(*fields)
    return tail + blake3(tail).digest()


def first_damaged(pack: str, parts: Sequence[bytes | memoryview]) -> bytes | None:
    """Decode a whole pack in memory, as a reader would, and compare each chunk with its id.

    Args:
        pack: the pack's name, for errors.
        parts: its bytes. No chunk lies in two of them, and the last one is what ``PackLayout.end`` returned.

    Returns:
        The id of a chunk that does not match, or None when all do.

    Raises:
        DataLoss: table and trailer do not match each other or the bytes before them.
    """
    whole = bytes(parts[-1])
    trailer = read_trailer(pack, sum(map(len, parts)), whole)
    start = end = 0
    body = memoryview(b"")
    coming = iter(parts)
    batch = _Frames()
    for id, offset, stored, length, codec in table_rows(_read_table(pack, trailer, whole)):
        while offset >= end:
            body = memoryview(next(coming))
            start, end = end, end + len(body)
        piece = body[offset - start : offset - start + stored]
        if codec == RAW:
            if blake3(piece).digest() != id:
                return id
        elif length >= _ALONE_BYTES:
            if decode(id, codec, length, piece) is None:
                return id
        else:
            batch.add(id, piece, length)
            if batch.size >= _VERIFY_BYTES:
                damaged = batch.first_damaged()
                if damaged is not None:
                    return damaged
                batch = _Frames()
    return batch.first_damaged()


class _Frames:
    """Compressed chunks that are verified together: one call releases the interpreter lock once for all of them."""

    __slots__ = ("ids", "lengths", "size", "stored")

    def __init__(self) -> None:
        self.ids: list[bytes] = []
        self.stored: list[bytes | bytearray | memoryview] = []
        self.lengths: list[int] = []
        self.size = 0

    def add(self, id: bytes, stored: memoryview, length: int) -> None:
        """Add a chunk."""
        self.ids.append(id)
        self.stored.append(stored)
        self.lengths.append(length)
        self.size += length

    def first_damaged(self) -> bytes | None:
        """Return the id of a chunk that does not match."""
        if len(self.ids) > 1:
            sizes = struct.pack(f"={len(self.lengths)}Q", *self.lengths)
            # Some frame is damaged if this fails; they are decoded one by one then to learn which.
            with contextlib.suppress(zstandard.ZstdError):
                contents = thread_codecs.decompressor.multi_decompress_to_buffer(
                    self.stored, decompressed_sizes=sizes, threads=0
                )
                digests = [blake3(contents[at].tobytes()).digest() for at in range(len(contents))]
                return next((id for id, digest in zip(self.ids, digests, strict=True) if id != digest), None)
        chunks = zip(self.ids, self.stored, self.lengths, strict=True)
        return next((id for id, frame, length in chunks if decode(id, ZSTD, length, frame) is None), None)
