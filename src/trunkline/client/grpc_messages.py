"""gRPC's framing: messages inside data frames, and the meaning of status codes.

Pure: nothing here uses a connection.
"""

from __future__ import annotations

from collections import deque
from struct import Struct

from trunkline import errors

LARGEST_MESSAGE = 64 << 20  # bytes; the server sends at most 20 MiB; a longer length is not valid
_PREFIX = Struct(">BL")  # compressed or not, length in bytes

OK, UNKNOWN, INTERNAL = 0, 2, 13

#: Error class of each gRPC status code. ``code`` of a class is the reverse.
ERRORS: dict[int, type[errors.TrunklineError]] = {
    1: errors.Cancelled,
    2: errors.TrunklineError,
    3: errors.InvalidArgument,
    4: errors.DeadlineExceeded,
    5: errors.NotFound,
    6: errors.AlreadyExists,
    7: errors.PermissionDenied,
    8: errors.ResourceExhausted,
    9: errors.FailedPrecondition,
    10: errors.Aborted,
    11: errors.InvalidArgument,
    12: errors.Unimplemented,
    13: errors.TrunklineError,
    14: errors.Unavailable,
    15: errors.DataLoss,
    16: errors.Unauthenticated,
}

# Status codes of answers without a gRPC status, from gRPC's http-grpc-status-mapping.md and PROTOCOL-HTTP2.md.
FROM_HTTP = {"400": 13, "401": 16, "403": 7, "404": 12, "429": 14, "502": 14, "503": 14, "504": 14}
FROM_RESET = {7: 14, 8: 1, 11: 8, 12: 7}


def prefix(message: bytes) -> bytes:
    """Return the five bytes that go before ``message``."""
    return _PREFIX.pack(0, len(message))


class Messages:
    """Splits the payload of data frames into messages: five bytes of prefix, then the message."""

    def __init__(self) -> None:
        self.ready: deque[bytes] = deque()
        #: Missing bytes of the current message; 0 between messages.
        self.missing = 0
        self._pieces: list[bytes] = []
        self._prefix = b""

    @property
    def incomplete(self) -> bool:
        """Whether a message is incomplete."""
        return bool(self.missing or self._prefix)

    def feed(self, piece: memoryview | bytes) -> None:
        """Add the next bytes of the stream."""
        position, size = 0, len(piece)
        while position < size:
            if not self.missing:
                position = self._begin_message(piece, position)
                continue
            part = bytes(piece[position : position + self.missing])
            position += len(part)
            self.missing -= len(part)
            if self._pieces or self.missing:
                self._pieces.append(part)
                if self.missing:
                    return
                part = b"".join(self._pieces)
                self._pieces.clear()
            self.ready.append(part)

    def _begin_message(self, piece: memoryview | bytes, position: int) -> int:
        if self._prefix or len(piece) - position < _PREFIX.size:
            part = bytes(piece[position : position + _PREFIX.size - len(self._prefix)])
            self._prefix += part
            position += len(part)
            if len(self._prefix) < _PREFIX.size:
                return position
            compressed, length = _PREFIX.unpack(self._prefix)
            self._prefix = b""
        else:
            compressed, length = _PREFIX.unpack_from(piece, position)
            position += _PREFIX.size
        if compressed:
            raise errors.Unimplemented(
                "the server sent a compressed message, which the client does not support"
            )
        if length > LARGEST_MESSAGE:
            raise errors.ResourceExhausted(
                f"the server sent a message of {length} bytes; at most {LARGEST_MESSAGE} are accepted"
            )
        if not length:
            self.ready.append(b"")
        self.missing = length
        return position


def percent_decoded(text: str) -> str:
    """Decode ``grpc-message``; text that is not an escape stays as it is."""
    first, *rest = text.encode().split(b"%")
    decoded = bytearray(first)
    for part in rest:
        try:
            decoded += bytes((int(part[:2], 16),)) + part[2:]
        except ValueError:  # not an escape
            decoded += b"%" + part
    return decoded.decode("utf-8", "replace")
