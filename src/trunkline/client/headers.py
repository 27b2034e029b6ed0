"""Header blocks (RFC 7541): encodes a call's headers, decodes a server's answers.

Neither side uses a dynamic table: the client never adds to it and tells the server to keep none. The blocks that
gRPC servers then send are decoded here. Everything else (a dynamic table after all, an unusual field) is decoded by
the hpack library, whose import would cost every command a fifth of its start-up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.client import huffman

if TYPE_CHECKING:
    from hpack import Decoder

Headers = list[tuple[str, str]]

# The entries of the static table (RFC 7541 appendix A) that answers use.
_STATIC = {
    **{
        8 + at: (":status", status)
        for at, status in enumerate(["200", "204", "206", "304", "400", "404", "500"])
    },
    28: ("content-length", ""),
    31: ("content-type", ""),
    33: ("date", ""),
    54: ("server", ""),
}
_INDEXED, _ADDED, _TABLE_SIZE = 0x80, 0x40, 0x20  # first bits of a field's first byte, section 6
_HUFFMAN = 0x80


class HeaderDecoder:
    """Decodes the header blocks of one connection, in the order in which they arrive.

    Args:
        limit: maximum bytes of a decoded block.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        #: Whether the server has confirmed that it keeps no dynamic table.
        self._no_table = False
        #: Set once a block needs the library: from then on the library keeps the decoder's state.
        self._library: Decoder | None = None

    def decode(self, block: bytes) -> Headers:
        """Return the fields of a block.

        Raises:
            OverflowError: they exceed the limit.
            ValueError: the block is broken.
        """
        if self._library is None:
            fields = self._decode_plain(block)
            if fields is not None:
                return fields
        return self._decode_by_library(block)

    def _decode_plain(self, block: bytes) -> Headers | None:
        """Return the fields; None when the library is needed, with the state unchanged."""
        fields: Headers = []
        no_table = self._no_table
        at = 0
        try:
            while at < len(block):
                first = block[at]
                if first & _INDEXED:
                    fields.append(_STATIC[first & 0x7F])
                    at += 1
                    continue
                if first & 0xE0 == _TABLE_SIZE:
                    if first != _TABLE_SIZE:
                        return None
                    no_table = True
                    at += 1
                    continue
                # In a table of size 0 an added field is dropped; otherwise it would change the state.
                if first & _ADDED and not no_table:
                    return None
                index, at = _read_integer(block, at, 6 if first & _ADDED else 4)
                if index:
                    name = _STATIC[index][0]
                else:
                    name, at = _read_string(block, at)
                value, at = _read_string(block, at)
                fields.append((name, value))
        except (KeyError, IndexError, ValueError):
            return None  # the library decides whether the block is broken
        self._no_table = no_table
        return fields

    def _decode_by_library(self, block: bytes) -> Headers:
        from hpack import Decoder
        from hpack.exceptions import HPACKError, OversizedHeaderListError

        if self._library is None:
            self._library = Decoder(max_header_list_size=self._limit)
            if self._no_table:
                self._library.header_table_size = 0
        try:
            return [(str(name), str(value)) for name, value in self._library.decode(block)]
        except OversizedHeaderListError as error:
            raise OverflowError from error
        except HPACKError as error:
            raise ValueError from error


def _read_string(block: bytes, at: int) -> tuple[str, int]:
    is_huffman = block[at] & _HUFFMAN
    length, at = _read_integer(block, at, 7)
    if at + length > len(block):
        raise IndexError
    data = block[at : at + length]
    return huffman.decode(data) if is_huffman else data.decode(), at + length


def _read_integer(block: bytes, at: int, prefix_bits: int) -> tuple[int, int]:
    limit = (1 << prefix_bits) - 1
    value = block[at] & limit
    at += 1
    if value < limit:
        return value, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def literal(name: int | str, value: str) -> bytes:
    """Encode a header field as a literal without indexing (RFC 7541 section 6.2.2).

    It leaves no state behind, so no encoder is needed; Huffman coding would save only a few bytes.

    Args:
        name: an index of the static table, or the name itself.
        value: ASCII.
    """
    encoded = value.encode("ascii")
    own = b"" if isinstance(name, int) else _integer(len(name), 7) + name.encode("ascii")
    head = _integer(name if isinstance(name, int) else 0, 4) + own
    return head + _integer(len(encoded), 7) + encoded


def _integer(value: int, prefix_bits: int) -> bytes:
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes((value,))
    encoded = bytearray((limit,))
    value -= limit
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
