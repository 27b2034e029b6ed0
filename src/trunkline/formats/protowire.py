"""The protobuf wire format, written and read by hand where the generated classes cost too much.

The server and the client use it for file content, because copying a mebibyte into and out of a message object
costs ten times the framing. The command line uses it to read the version, because importing protobuf takes longer
than the call. Everything else uses the generated classes.

Imports nothing of Trunkline, so that every layer can use it.
Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Wire types.
VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5

# Field numbers of pfs_v2.ModifyFileRequest.add_file, AddFile.path, AddFile.raw and BytesValue.value.
_ADD_FILE, _PATH, _RAW, _VALUE = 2, 1, 3, 1
# Field number of trunkline.store.v1.PutFilesRequest.chunks.
_CHUNKS = 2

#: Bytes of a varint: of a length or a field's key, which fit 32 bits, and of a value.
_LENGTH_BYTES, _VALUE_BYTES = 5, 10


class WireError(ValueError):
    """The bytes are not a valid message."""


def tag(number: int, wire_type: int = LENGTH_DELIMITED) -> int:
    """Return a field's key: its number and how its value is written."""
    return number << 3 | wire_type


def varint(value: int) -> bytes:
    """Encode an unsigned integer."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def head(number: int, length: int) -> bytes:
    """Encode the key and the length of a length-delimited field."""
    return varint(tag(number)) + varint(length)


def fields(message: bytes | memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the key and the value of each field: of a varint the number, else the bytes, which are not copied.

    Raises:
        WireError: the message is broken.
    """
    view = memoryview(message)
    at, end = 0, len(view)
    try:
        while at < end:
            key = view[at]
            at += 1
            if key >= 0x80:
                key, at = _varint(view, at - 1, _LENGTH_BYTES)
            kind = key & 7
            if kind == LENGTH_DELIMITED:
                size = view[at]
                at += 1
                if size >= 0x80:
                    size, at = _varint(view, at - 1, _LENGTH_BYTES)
            elif kind == VARINT:
                number, at = _varint(view, at, _VALUE_BYTES)
                yield key, number
                continue
            elif kind == FIXED64:
                size = 8
            elif kind == FIXED32:
                size = 4
            else:
                raise WireError(f"the message has a field of wire type {kind}")
            if at + size > end:
                raise IndexError
            yield key, view[at : at + size]
            at += size
    except IndexError as error:
        raise WireError("the message ends within a field") from error


def _varint(view: memoryview, at: int, longest: int) -> tuple[int, int]:
    """Return the number that starts at a place, and where it ends.

    Raises:
        WireError: it has more than ``longest`` bytes.
        IndexError: the message ends within it.
    """
    value = 0
    for position in range(longest):
        byte = view[at + position]
        value |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return value, at + position + 1
    raise WireError(f"the message has a varint of more than {longest} bytes")


# --- specific messages ----------------------------------------------------------------------------------


def add_file(path: str, content: bytes) -> bytes:
    """Encode the ModifyFileRequest that appends ``content`` to the file at ``path``."""
    name = path.encode()
    # Lengths nest, so they are computed from the inside out.
    value = head(_VALUE, len(content)) if content else b""
    raw = head(_RAW, len(value) + len(content))
    name_field = head(_PATH, len(name)) + name
    file_head = head(_ADD_FILE, len(name_field) + len(raw) + len(value) + len(content))
    return b"".join((file_head, name_field, raw, value, content))


def put_chunks(chunks: Iterable[bytes]) -> bytes:
    """Encode the PutFilesRequest that brings ``chunks``."""
    return b"".join(part for chunk in chunks for part in (head(_CHUNKS, len(chunk)), chunk))


def bytes_value(parts: list[bytes]) -> bytes:
    """Encode a BytesValue whose content comes in parts."""
    return b"".join((head(_VALUE, sum(map(len, parts))), *parts))


def bytes_of(message: bytes) -> memoryview:
    """Return the content of an encoded BytesValue without copying it.

    Raises:
        WireError: the message is broken.
    """
    for key, value in fields(message):
        if key == tag(_VALUE) and isinstance(value, memoryview):
            return value
    return memoryview(b"")
