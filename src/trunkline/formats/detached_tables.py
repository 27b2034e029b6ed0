"""Tables of packs of format 1, which end with a hash of the whole pack and have none: objects of their own.

The conversion from format 1 writes them (docs/design/format.md, Packs), so that the chunk index can be built again from
the store alone. Pure functions over bytes.
"""

from __future__ import annotations

import struct
from array import array
from itertools import chain
from typing import TYPE_CHECKING

from trunkline.formats.codecs import RAW
from trunkline.formats.pack_format import damaged_pack, encode_tail, read_table

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Bytes at the end of a pack of format 1: a hash of all before them.
HASH_BYTES = 32
#: What a table of such a pack has as the id of bytes that belong to no known chunk.
NO_CHUNK = bytes(32)


def encode(pack: str, size: int, rows: Iterable[tuple[bytes, int, int, int, int]]) -> bytes:
    """Return table and trailer of a pack of format 1, which are an object of their own.

    Bytes of the pack that no row names have a row with the id ``NO_CHUNK``.

    Args:
        pack: the pack's name, for errors.
        size: bytes of the whole pack; the last ones are its hash.
        rows: ``(chunk id, offset, stored bytes, length, codec)`` of its chunks, in the order of their bytes.

    Raises:
        DataLoss: the rows are not those of such a pack.
    """
    ids, codecs = bytearray(), bytearray()
    sizes, lengths = array("I"), array("I")
    end, last = 0, size - HASH_BYTES
    for id, offset, stored, length, codec in chain(rows, ((NO_CHUNK, last, 0, 0, RAW),)):
        if offset < end or offset + stored > last:
            raise damaged_pack(
                pack, f"the chunk index has chunk {id.hex()} at offset {offset}, where it cannot be"
            )
        for row in ((NO_CHUNK, offset - end, offset - end, RAW), (id, stored, length, codec)):
            if row[1]:
                ids += row[0]
                sizes.append(row[1])
                lengths.append(row[2])
                codecs.append(row[3])
        end = offset + stored
    count = len(codecs)
    numbers = struct.pack(f"<{2 * count}I", *sizes, *lengths)
    return encode_tail(b"".join((ids, numbers, codecs)), last)


def read(pack: str, size: int, data: bytes) -> bytes:
    """Return the table of a pack of format 1 from the object that ``encode`` made.

    Args:
        pack: the pack's name, for errors.
        size: bytes of the pack.
        data: the object.

    Raises:
        DataLoss: the object is damaged or belongs to another pack.
        FailedPrecondition: a newer release wrote it.
    """
    start = size - HASH_BYTES

    def get(first: int, length: int) -> bytes:
        return data[max(0, first - start) :][:length]

    return read_table(pack, start + len(data), get)


def key_of(pack: str) -> str:
    """Return the key of the object with table and trailer of a pack of format 1."""
    return "tables" + pack[pack.index("/") :]
