"""The few messages that are written and read by hand.

File content goes through here because copying a mebibyte into and out of a message object costs ten times
the hand-made framing, and the version because importing protobuf takes longer than asking for it. Whatever
else is said to a server uses the generated classes (``stubs``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.errors import DataLoss

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Field numbers of pfs_v2.ModifyFileRequest.add_file, AddFile.path, AddFile.raw and BytesValue.value.
_ADD_FILE, _PATH, _RAW, _VALUE = 2, 1, 3, 1
# Field number of trunkline.store.v1.PutFilesRequest.chunks.
_CHUNKS = 2


def varint(value: int) -> bytes:
    """Encode an unsigned integer."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def add_file(path: str, content: bytes) -> bytes:
    """Encode the ModifyFileRequest that appends ``content`` to the file at ``path``."""
    name = path.encode()
    # Lengths nest, so they are found from the inside out.
    value = _head(_VALUE, len(content)) if content else b""
    raw = _head(_RAW, len(value) + len(content))
    named = _head(_PATH, len(name)) + name
    file = _head(_ADD_FILE, len(named) + len(raw) + len(value) + len(content))
    return b"".join((file, named, raw, value, content))


def put_chunks(chunks: Iterable[bytes]) -> bytes:
    """Encode the PutFilesRequest that brings ``chunks``."""
    return b"".join(part for chunk in chunks for part in (_head(_CHUNKS, len(chunk)), chunk))


def bytes_value(message: bytes) -> memoryview:
    """Return the content of an encoded BytesValue without copying it."""
    view = memoryview(message)
    for number, value in fields(message):
        if number == _VALUE and isinstance(value, memoryview):
            return value
    return view[:0]


def fields(message: bytes) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field; fixed-width ones as their bytes.

    Raises:
        DataLoss: the message is broken.
    """
    view = memoryview(message)
    at = 0
    try:
        while at < len(message):
            key, at = _read_varint(message, at)
            kind = key & 7
            if kind == 0:
                number, at = _read_varint(message, at)
                yield key >> 3, number
                continue
            size = {1: 8, 5: 4}.get(kind, 0)
            if kind == 2:
                size, at = _read_varint(message, at)
            elif not size:
                raise DataLoss(f"the server sent a message with a field of kind {kind}; upgrade the client")
            if at + size > len(message):
                raise IndexError
            yield key >> 3, view[at : at + size]
            at += size
    except IndexError as error:
        raise DataLoss("the server sent a message that ends too early; try again") from error


def _head(number: int, length: int) -> bytes:
    return varint(number << 3 | 2) + varint(length)


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
