"""The chunk list of a file: per chunk its id and its bytes. ``file_values`` says how a row holds it.

The list is a function of the file's content. Appending cuts again from the start of the last chunk, which may
have ended only because the file ended.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from blake3 import blake3

from trunkline.formats.chunking import REF, Chunker

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trunkline.storage.chunks import ChunkId, ChunkSink


def chunks_of(value: bytes) -> list[tuple[ChunkId, int]]:
    """Return chunk id and bytes of each chunk."""
    return list(REF.iter_unpack(value))


def size_of(value: bytes) -> int:
    """Return a file's bytes."""
    if len(value) == REF.size:
        return int.from_bytes(value[32:], "little")
    return sum(size for _, size in REF.iter_unpack(value))


def hash_of(value: bytes) -> bytes:
    """Return a file's hash: of one chunk its id, so that it is the BLAKE3 of the file; else over the ids."""
    if len(value) == REF.size:
        return value[:32]
    return blake3(b"".join(id for id, _ in REF.iter_unpack(value))).digest()


def edges_of(value: bytes) -> list[tuple[ChunkId, int]]:
    """Return the first and the last chunk of a file: those that joining it to another reads."""
    if len(value) <= REF.size:
        return chunks_of(value)
    return [REF.unpack_from(value), REF.unpack_from(value, len(value) - REF.size)]


def store(writer: ChunkSink, chunks: Sequence[bytes | memoryview]) -> bytes:
    """Store chunks; return the list that names them."""
    ids = writer.add_many(chunks)
    return b"".join(REF.pack(id, len(chunk)) for id, chunk in zip(ids, chunks, strict=True))


def cut(writer: ChunkSink, pieces: Iterable[bytes | memoryview]) -> bytes:
    """Cut a file that comes in pieces, store it, return its chunk list."""
    chunker = Chunker()
    lists = [store(writer, chunker.feed(piece)) for piece in pieces]
    return b"".join([*lists, store(writer, chunker.finish())])


def concat(writer: ChunkSink, head: bytes, tail: bytes) -> bytes:
    """Return the chunk list of one file followed by another.

    Reads the last chunk of ``head``, and of ``tail`` what comes before a cut that both agree on, usually
    a few chunks.

    Args:
        writer: takes the new chunks.
        head: chunk list of the first file.
        tail: chunk list of the second file.
    """
    if not head or not tail:
        return head or tail
    result = [head[: -REF.size]]
    last, size = REF.unpack(head[-REF.size :])
    following = chunks_of(tail)
    #: Where chunks of ``tail`` end, counted from the start of the last chunk of ``head``.
    ends = {end: number for number, end in enumerate(accumulate((s for _, s in following), initial=size))}
    chunker = Chunker()
    position = 0
    for id in [last, *(id for id, _ in following), None]:
        fresh = chunker.feed(writer.read(id)) if id is not None else chunker.finish()
        for number, chunk in enumerate(fresh):
            position += len(chunk)
            if position in ends and id is not None:
                result.append(store(writer, fresh[: number + 1]))
                result.append(tail[ends[position] * REF.size :])
                return b"".join(result)
        result.append(store(writer, fresh))
    return b"".join(result)
