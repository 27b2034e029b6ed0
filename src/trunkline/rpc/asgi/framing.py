"""gRPC's framing on the server's side: length-prefixed messages inside a body, compressed with gzip or not.

A body arrives in pieces that have nothing to do with messages. Small messages are sliced out of their piece; a message
that is spread over several pieces is joined once, so that no byte is copied twice.
"""

from __future__ import annotations

import zlib
from struct import Struct

from trunkline import errors
from trunkline.model.limits import MESSAGE, beyond

#: Bytes of the prefix: compressed or not, and the message's length.
PREFIX = Struct(">BI")

_IDENTITY, _GZIP = "identity", "gzip"
#: The encodings of messages, for clients.
ENCODINGS = b"identity, gzip"
#: zlib's number for the format of gzip with the largest window.
_GZIP_FORMAT = 31


class Unframer:
    """Takes the pieces of a body and returns the messages in them."""

    __slots__ = ("_compressed", "_gzip", "_missing", "_pieces", "_prefix", "_rpc")

    def __init__(self, rpc: str, encoding: str) -> None:
        """Begin a body.

        Args:
            rpc: name of the call, for messages.
            encoding: value of ``grpc-encoding``.

        Raises:
            Unimplemented: the encoding is not supported.
        """
        if encoding not in (_IDENTITY, _GZIP):
            raise errors.Unimplemented(
                f'{rpc} got messages in the encoding "{encoding}"; use gzip or no compression'
            )
        self._rpc = rpc
        self._gzip = encoding == _GZIP
        self._pieces: list[bytes | memoryview] = []
        self._missing = 0  # bytes of the message in _pieces
        self._compressed = False  # of the message in _pieces
        self._prefix = b""  # an incomplete one

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the messages that end in a piece.

        Raises:
            ResourceExhausted: a message is beyond the limit.
            InvalidArgument: the prefix of a message is not valid, or its compressed bytes are not.
        """
        position = 0
        messages: list[bytes] = []
        if self._missing:
            if len(piece) < self._missing:
                self._pieces.append(piece)
                self._missing -= len(piece)
                return messages
            position = self._missing
            self._pieces.append(memoryview(piece)[:position])
            messages.append(self._decoded(b"".join(self._pieces), self._compressed))
            self._pieces = []
            self._missing = 0
        elif self._prefix:
            piece = self._prefix + piece
            self._prefix = b""
        end = len(piece)
        while end - position >= PREFIX.size:
            compressed, size = PREFIX.unpack_from(piece, position)
            if compressed or size > MESSAGE:
                self._check(compressed, size)
            position += PREFIX.size
            if end - position < size:
                self._pieces = [memoryview(piece)[position:]]
                self._missing = size - (end - position)
                self._compressed = bool(compressed)
                return messages
            message = piece[position : position + size]
            messages.append(self._decoded(message, True) if compressed else message)
            position += size
        self._prefix = piece[position:]
        return messages

    def end(self) -> list[bytes]:
        """Check that the body does not end within a message; no message ends only with it.

        Raises:
            InvalidArgument: it does.
        """
        if self._missing or self._prefix:
            raise errors.InvalidArgument(
                f"the request of {self._rpc} ends within a message; send as many bytes as its prefix says"
            )
        return []

    def _check(self, compressed: int, size: int) -> None:
        if size > MESSAGE:
            raise _too_large(f"a message to {self._rpc}", size, "send smaller ones")
        if compressed > 1 or not self._gzip:
            raise errors.InvalidArgument(
                f"{self._rpc} got a message whose first byte is {compressed}, but its request names no"
                " compression; set the header grpc-encoding"
            )

    def _decoded(self, message: bytes, compressed: bool) -> bytes:
        if not compressed:
            return message
        decoder = zlib.decompressobj(_GZIP_FORMAT)
        try:
            decoded = decoder.decompress(message, MESSAGE + 1)
        except zlib.error as error:
            raise errors.InvalidArgument(
                f"{self._rpc} got a message that is not valid gzip: {error}"
            ) from error
        if len(decoded) > MESSAGE:
            raise _too_large(f"a compressed message to {self._rpc}", len(decoded), "send smaller ones")
        if not decoder.eof:
            raise errors.InvalidArgument(
                f"{self._rpc} got a compressed message without its end; send it whole"
            )
        return decoded


def prefix(message: bytes) -> bytes:
    """Return the bytes that go before a message that is not compressed."""
    return PREFIX.pack(0, len(message))


def compressed(message: bytes) -> tuple[bytes, bytes]:
    """Return the prefix and the bytes of a message that is compressed with gzip."""
    encoder = zlib.compressobj(1, wbits=_GZIP_FORMAT)
    packed = encoder.compress(message) + encoder.flush()
    return PREFIX.pack(1, len(packed)), packed


def check_answer(rpc: str, size: int) -> None:
    """Check the size of an answer.

    Raises:
        ResourceExhausted: clients would refuse it.
    """
    if size > MESSAGE:
        raise _too_large(f"a message of the answer of {rpc}", size, "ask for less")


def _too_large(what: str, size: int, remedy: str) -> errors.ResourceExhausted:
    """Return the error with gRPC's own code for messages beyond the limit."""
    return errors.ResourceExhausted(beyond(what, size, MESSAGE, remedy).message)
