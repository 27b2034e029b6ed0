"""gRPC's framing on the server's side: length-prefixed messages inside a body, compressed with gzip or not.

A body arrives in pieces that have nothing to do with messages. Small messages are sliced out of their piece; a message
that is spread over several pieces is joined once, so that no byte is copied twice.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.linux import libc
from trunkline.model.port_limits import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes of the prefix: compressed or not, and the message's length.
PREFIX = struct.Struct(">BI")

_IDENTITY, _GZIP = "identity", "gzip"
#: The encodings of messages, for clients.
ENCODINGS = b"identity, gzip"
#: Bytes from which an answer is compressed when its client compresses.
COMPRESS_FROM = 512
#: Bytes of an answer that is compressed in a thread, and of a request that is decompressed in one: that takes
#: milliseconds.
_COMPRESS_IN_THREAD, _DECOMPRESS_IN_THREAD = 64 << 10, 4 << 10
#: zlib's number for the format of gzip with the largest window.
_GZIP_FORMAT = 31


class Compressed(Struct, frozen=True):
    """A request that is compressed with gzip.

    It is decompressed when its turn comes: a small piece of a body may hold hundreds that are large afterwards.
    """

    rpc: str
    data: bytes
    limit: int

    async def decompress(self) -> bytes:
        """Return its bytes; a large one is decompressed in a thread.

        Raises:
            InvalidArgument: it is not valid gzip.
            ResourceExhausted: it is beyond the limit.
        """
        if len(self.data) < _DECOMPRESS_IN_THREAD:
            return _decompressed(self)
        return await asyncio.to_thread(_decompressed, self)


class Unframer:
    """Takes the pieces of a body and returns the messages in them."""

    __slots__ = ("_compressed", "_gzip", "_limit", "_missing", "_pieces", "_prefix", "_rpc", "held")

    def __init__(self, rpc: str, encoding: str, limit: int = DEFAULTS.message) -> None:
        """Begin a body.

        Args:
            rpc: name of the call, for messages.
            encoding: value of ``grpc-encoding``.
            limit: the most bytes of a message.

        Raises:
            Unimplemented: the encoding is not supported.
        """
        self._rpc = rpc
        self._limit = limit
        self._gzip = is_compression(rpc, encoding)
        self._pieces: list[bytes | memoryview] = []
        self._missing = 0  # bytes of the message in _pieces
        #: Bytes of it that have come.
        self.held = 0
        self._compressed = False  # of the message in _pieces
        self._prefix = b""  # an incomplete one

    def feed(self, piece: bytes) -> list[bytes | Compressed]:
        """Return the messages that end in a piece.

        Raises:
            ResourceExhausted: a message is beyond the limit.
            InvalidArgument: the prefix of a message is not valid.
        """
        position = 0
        messages: list[bytes | Compressed] = []
        if self._missing:
            if len(piece) < self._missing:
                self._pieces.append(piece)
                self._missing -= len(piece)
                self.held += len(piece)
                return messages
            position = self._missing
            self._pieces.append(memoryview(piece)[:position])
            message = b"".join(self._pieces)
            messages.append(Compressed(self._rpc, message, self._limit) if self._compressed else message)
            self._pieces = []
            self._missing = self.held = 0
        elif self._prefix:
            piece = self._prefix + piece
            self._prefix = b""
        end = len(piece)
        while end - position >= PREFIX.size:
            compressed, size = PREFIX.unpack_from(piece, position)
            if compressed or size > self._limit:
                self._check(compressed, size)
            position += PREFIX.size
            if end - position < size:
                self._pieces = [memoryview(piece)[position:]]
                self.held = end - position
                self._missing = size - self.held
                self._compressed = bool(compressed)
                return messages
            message = piece[position : position + size]
            messages.append(Compressed(self._rpc, message, self._limit) if compressed else message)
            position += size
        self._prefix = piece[position:]
        return messages

    def end(self) -> list[bytes | Compressed]:
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
        check_request(self._rpc, size, self._limit)
        if compressed > 1 or not self._gzip:
            raise errors.InvalidArgument(
                f"{self._rpc} got a message whose first byte is {compressed}, but its request names no"
                " compression; set the header grpc-encoding"
            )


def is_compression(rpc: str, encoding: str) -> bool:
    """Return whether an encoding is gzip; otherwise it is none.

    Raises:
        Unimplemented: it is another one.
    """
    if encoding not in (_IDENTITY, _GZIP):
        raise errors.Unimplemented(
            f'{rpc} got messages in the encoding "{encoding}"; use gzip or no compression'
        )
    return encoding == _GZIP


def _decompressed(message: Compressed) -> bytes:
    rpc, limit = message.rpc, message.limit
    decoder = zlib.decompressobj(_GZIP_FORMAT)
    try:
        decoded = decoder.decompress(message.data, limit + 1)
    except zlib.error as error:
        raise errors.InvalidArgument(f"{rpc} got a message that is not valid gzip: {error}") from error
    if len(decoded) > limit:
        size = len(decoded)
        del decoded, decoder
        libc.return_memory()  # which bombs would fill otherwise
        check_request(rpc, size, limit)
    if not decoder.eof:
        raise errors.InvalidArgument(f"{rpc} got a compressed message without its end; send it whole")
    return decoded


def prefix(message: bytes) -> bytes:
    """Return the bytes that go before a message that is not compressed."""
    return PREFIX.pack(0, len(message))


def compressed(message: bytes) -> tuple[bytes, bytes]:
    """Return the prefix and the bytes of a message that is compressed with gzip."""
    encoder = zlib.compressobj(1, wbits=_GZIP_FORMAT)
    packed = encoder.compress(message) + encoder.flush()
    return PREFIX.pack(1, len(packed)), packed


async def compress(frame: Callable[[bytes], tuple[bytes, bytes]], message: bytes) -> tuple[bytes, bytes]:
    """Return the prefix of an answer, and the bytes that follow it; a large one is compressed in a thread.

    Args:
        frame: what compresses, as ``framer`` returned it.
        message: the answer's bytes.
    """
    if len(message) >= _COMPRESS_IN_THREAD:
        return await asyncio.to_thread(frame, message)
    return frame(message)


def check_request(rpc: str, size: int, limit: int) -> None:
    """Check the size of a request.

    Args:
        rpc: name of the call, for messages.
        size: bytes of the message.
        limit: the most bytes of a message.

    Raises:
        ResourceExhausted: it is beyond the limit.
    """
    if size > limit:
        raise _too_large(f"a message to {rpc}", size, limit, "send smaller ones")


def check_answer(rpc: str, size: int, limit: int) -> None:
    """Check the size of an answer.

    Args:
        rpc: name of the call, for messages.
        size: bytes of the message.
        limit: the most bytes of a message.

    Raises:
        ResourceExhausted: clients would refuse it.
    """
    if size > limit:
        raise _too_large(f"a message of the answer of {rpc}", size, limit, "ask for less")


def framer(rpc: str, limit: int, *, gzip: bool) -> Callable[[bytes], tuple[bytes, bytes]]:
    """Return what makes the prefix of an answer, and the bytes that follow it.

    Args:
        rpc: name of the call, for messages.
        limit: the most bytes of a message.
        gzip: whether answers are compressed, except short ones.
    """

    def plain(message: bytes) -> tuple[bytes, bytes]:
        check_answer(rpc, len(message), limit)
        return prefix(message), message

    def smaller(message: bytes) -> tuple[bytes, bytes]:
        if len(message) < COMPRESS_FROM:
            return plain(message)
        check_answer(rpc, len(message), limit)
        return compressed(message)

    return smaller if gzip else plain


def _too_large(what: str, size: int, limit: int, remedy: str) -> errors.ResourceExhausted:
    """Return the error with gRPC's own code for messages beyond the limit."""
    return errors.ResourceExhausted(f"{what} has {size:,} bytes, the limit is {limit:,}; {remedy}")
