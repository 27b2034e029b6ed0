"""The value of a file tree's row: the file's content by its chunks, and its attributes.

A value holds the chunk list itself, or for a list of more than ``LONGEST_INLINE`` bytes the address of the list, which
is stored in pieces (docs/design/format.md, File trees). Size, hash and what enters a folder's sum are read from the
value alone; only the chunks of a long list need a read.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from blake3 import blake3

from trunkline.errors import DataLoss, InvalidArgument
from trunkline.formats.chunking import REF
from trunkline.model import limits
from trunkline.storage import chunk_lists
from trunkline.storage.chunks import ChunkId

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trunkline.storage.chunks import ChunkSink, ChunkSource

#: Bytes of a chunk list up to which it stands in the value. A longer one in a node would be written again by each
#: commit that changes a neighbour.
LONGEST_INLINE = 1024

#: The first byte of a value: how the content is stored, and whether attributes come before it.
_INLINE = 1
_LONG = 2
_ATTRIBUTES = 0x80
#: The start of a value with an inline list and without attributes.
INLINE = bytes((_INLINE,))

#: Bytes of the commonest value: one chunk, no attributes.
_ONE_CHUNK = 1 + REF.size
#: Layouts of such a value: what enters a folder's sum, and the bytes of the file.
_ONE_CONTENT, _ONE_SIZE = f"x{REF.size}s", f"{_ONE_CHUNK - 4}xI"
#: Address of the list, chunks, bytes, file hash.
_LONG_BODY = struct.Struct("<32sIQ32s")
_LENGTH = struct.Struct("<H")
#: Magic, version, kind, level, flags, unused, entries: the header of nodes, without a prefix.
_HEADER = struct.Struct("<2sBBBBHI")
_MAGIC = b"TN"
_VERSION = 2
_LIST_KIND = 5
#: Address of a piece, chunks, bytes.
_PIECE = struct.Struct("<32sIQ")
#: Chunks of a piece: at least, and at most.
_LEAST = 64
_MOST = 1024


def inline(chunks: bytes) -> bytes:
    """Return the value of a file with a chunk list of at most ``LONGEST_INLINE`` bytes and no attributes."""
    return INLINE + chunks


def encode(writer: ChunkSink, chunks: bytes, attributes: bytes = b"") -> bytes:
    """Return the value of a file, after storing its chunk list if it is long.

    Args:
        writer: takes the pieces of a long list.
        chunks: the chunk list (``chunk_lists``).
        attributes: encoded attributes, as ``attributes_of`` returns them.
    """
    if len(chunks) <= LONGEST_INLINE:
        form, body = _INLINE, chunks
    else:
        form, body = _LONG, _store(writer, chunks)
    return _with_attributes(form, attributes) + body


def size_of(value: bytes) -> int:
    """Return a file's bytes."""
    if len(value) == _ONE_CHUNK and value[0] == _INLINE:
        return int.from_bytes(value[33:], "little")
    form, start = _parse(value)
    if form == _LONG:
        return int(_LONG_BODY.unpack_from(value, start)[2])
    return chunk_lists.size_of(value[start:])


def count_of(value: bytes) -> int:
    """Return the number of a file's chunks."""
    form, start = _parse(value)
    if form == _LONG:
        return int(_LONG_BODY.unpack_from(value, start)[1])
    return (len(value) - start) // REF.size


def hash_of(value: bytes) -> bytes:
    """Return a file's hash: of one chunk its id, so that it is the BLAKE3 of the file; else over the ids."""
    if len(value) == _ONE_CHUNK and value[0] == _INLINE:
        return value[1:33]
    form, start = _parse(value)
    if form == _LONG:
        return bytes(_LONG_BODY.unpack_from(value, start)[3])
    return chunk_lists.hash_of(value[start:])


def content_of(value: bytes) -> bytes:
    """Return what of a value enters the sum of a folder: never the attributes."""
    if value[:1] == INLINE:
        return value[1:]
    form, start = _parse(value)
    if form == _LONG:
        _, _, size, digest = _LONG_BODY.unpack_from(value, start)
        return b"L" + bytes(digest) + int(size).to_bytes(8, "little")
    return value[start:]


def summed_of(values: Sequence[bytes]) -> tuple[int, Sequence[bytes]]:
    """Return the bytes of many files in all, and ``content_of`` each."""
    count = len(values)
    if set(map(len, values)) == {_ONE_CHUNK}:
        joined = b"".join(values)
        if joined[::_ONE_CHUNK] == INLINE * count:
            contents = struct.unpack(_ONE_CONTENT * count, joined)
            return sum(struct.unpack("<" + _ONE_SIZE * count, joined)), contents
    return sum(map(size_of, values)), list(map(content_of, values))


def attributes_of(value: bytes) -> bytes:
    """Return the encoded attributes; empty when there are none."""
    start = _parse(value)[1]
    return value[3:start] if start > 1 else b""


def list_of(source: ChunkSource, value: bytes) -> bytes:
    """Return a file's chunk list.

    Args:
        source: where the pieces of a long list are read.
        value: of the file.

    Raises:
        DataLoss: the list is lost or damaged.
    """
    form, start = _parse(value)
    if form == _INLINE:
        return value[start:]
    address, count, *_ = _LONG_BODY.unpack_from(value, start)
    pieces = [id for id, _, _ in _pieces(source, ChunkId(address))]
    chunks = b"".join(
        _body(piece, id, 0, REF.size) for piece, id in zip(source.read_many(pieces), pieces, strict=True)
    )
    if len(chunks) != count * REF.size:
        raise DataLoss(
            f"the chunk list {bytes(address).hex()} names {len(chunks) // REF.size} chunks where its file has {count}:"
            " the file was damaged when it was written; put it again"
        )
    return chunks


def chunks_of(source: ChunkSource, value: bytes) -> list[tuple[ChunkId, int]]:
    """Return chunk id and bytes of each chunk; ``source`` reads the pieces of a long list."""
    return chunk_lists.chunks_of(list_of(source, value))


def spans(
    source: ChunkSource, value: bytes, offset: int, length: int | None
) -> Iterator[tuple[ChunkId, int, int, int]]:
    """Yield, for each chunk of a range of the file, its id, first and end byte in the chunk, and its bytes.

    Args:
        source: reads the pieces of a long list that the range touches.
        value: of the file.
        offset: the first byte; beyond the end there is nothing.
        length: bytes at most; None for all that follow.
    """
    form, start = _parse(value)
    remaining = size_of(value) if length is None else length
    skipped = offset
    if form == _INLINE:
        lists: Iterator[bytes] = iter((value[start:],))
    else:
        pieces = _pieces(source, ChunkId(value[start : start + 32]))
        first = 0
        while first < len(pieces) and skipped >= pieces[first][2]:
            skipped -= pieces[first][2]
            first += 1
        lists = (_body(source.read(id), id, 0, REF.size) for id, _, _ in pieces[first:])
    for chunks in lists:
        for id, size in REF.iter_unpack(chunks):
            if remaining <= 0:
                return
            if skipped >= size:
                skipped -= size
                continue
            begin, end = skipped, min(size, skipped + remaining)
            yield ChunkId(id), begin, end, size
            skipped, remaining = 0, remaining - (end - begin)


def nodes_of(source: ChunkSource, value: bytes) -> list[ChunkId]:
    """Return the chunks that a long list is stored in: its head and its pieces; none for an inline list."""
    form, start = _parse(value)
    if form == _INLINE:
        return []
    address = ChunkId(value[start : start + 32])
    return [address, *(id for id, _, _ in _pieces(source, address))]


def concat(writer: ChunkSink, head: bytes, tail: bytes) -> bytes:
    """Return the value of one file followed by another; attributes of ``tail`` replace those of ``head``.

    Args:
        writer: takes the new chunks, and reads the old ones.
        head: value of the first file.
        tail: value of the second file.
    """
    chunks = chunk_lists.concat(writer, list_of(writer, head), list_of(writer, tail))
    return encode(writer, chunks, attributes_of(tail) or attributes_of(head))


def edges_of(source: ChunkSource, value: bytes) -> list[tuple[ChunkId, int]]:
    """Return the first and the last chunk of a file: those that joining it to another reads."""
    return chunk_lists.edges_of(list_of(source, value))


def check_count(count: int, path: str) -> None:
    """Check that a file does not get more chunks than it may have.

    Args:
        count: its chunks.
        path: the file.

    Raises:
        InvalidArgument: there are more.
    """
    if count > limits.FILE_CHUNKS:
        raise InvalidArgument(
            f'file "{path}" would have {count:,} chunks, the limit is {limits.FILE_CHUNKS:,}; split it into'
            " several files"
        )


def _with_attributes(form: int, attributes: bytes) -> bytes:
    if not attributes:
        return bytes((form,))
    return bytes((form | _ATTRIBUTES,)) + _LENGTH.pack(len(attributes)) + attributes


def _parse(value: bytes) -> tuple[int, int]:
    """Return the form of a value, and where its content begins."""
    if not value:
        raise DataLoss(
            "a row of a file tree has no value: the tree was damaged when it was written; put the file again"
        )
    form, start = value[0] & ~_ATTRIBUTES, 1
    if value[0] & _ATTRIBUTES:
        start = 3 + int.from_bytes(value[1:3], "little")
    body = len(value) - start
    if (form == _INLINE and body >= 0 and body % REF.size == 0) or (
        form == _LONG and body == _LONG_BODY.size
    ):
        return form, start
    raise DataLoss(
        f"a row of a file tree has a value of form {form} with {body} bytes of content; this release reads forms 1"
        " and 2: the store belongs to a newer release, or the row was damaged when it was written"
    )


def _store(writer: ChunkSink, chunks: bytes) -> bytes:
    """Store a long list; return the body of the value that stands for it."""
    ids: list[bytes] = []
    sizes: list[int] = []
    for id, size in REF.iter_unpack(chunks):
        ids.append(id)
        sizes.append(size)
    ends = []
    start = 0
    for end, id in enumerate(ids, 1):
        if end - start >= _LEAST and (id[0] == 0 or end - start >= _MOST):
            ends.append(end)
            start = end
    if start < len(ids):
        ends.append(len(ids))
    starts = [0, *ends[:-1]]
    pieces = writer.add_many(
        [
            _header(0, end - start) + chunks[start * REF.size : end * REF.size]
            for start, end in zip(starts, ends, strict=True)
        ]
    )
    entries = b"".join(
        _PIECE.pack(id, end - start, sum(sizes[start:end]))
        for id, start, end in zip(pieces, starts, ends, strict=True)
    )
    address = writer.add(_header(1, len(pieces)) + entries)
    return _LONG_BODY.pack(address, len(ids), sum(sizes), blake3(b"".join(ids)).digest())


def _header(level: int, count: int) -> bytes:
    return _HEADER.pack(_MAGIC, _VERSION, _LIST_KIND, level, 0, 0, count)


def _pieces(source: ChunkSource, address: ChunkId) -> list[tuple[ChunkId, int, int]]:
    """Return address, chunks and bytes of each piece of a long list."""
    return list(_PIECE.iter_unpack(_body(source.read(address), address, 1, _PIECE.size)))


def _body(data: bytes, id: ChunkId, level: int, entry_bytes: int) -> bytes:
    """Return the entries of a head or piece, after checking its header."""
    if len(data) >= _HEADER.size:
        magic, version, kind, its_level, _, _, count = _HEADER.unpack_from(data)
        if (magic, version, kind, its_level) == (_MAGIC, _VERSION, _LIST_KIND, level) and len(
            data
        ) == _HEADER.size + count * entry_bytes:
            return data[_HEADER.size :]
    raise DataLoss(
        f"chunk {id.hex()} should be a part of a long chunk list and begins with {data[:8].hex()}; it belongs to"
        " something else or to a newer format: use the release that wrote it"
    )
