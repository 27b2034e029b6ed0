"""HTTP/2 frames: the constants of RFC 9113, and encoding. Pure."""

from __future__ import annotations

from struct import Struct

# Frame types and flags, RFC 9113 section 6.
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

# Error codes, RFC 9113 section 7.
NO_ERROR, PROTOCOL_ERROR = 0, 1
REFUSED_STREAM = 7
CANCEL = 8

# Settings, RFC 9113 section 6.5.2.
HEADER_TABLE_SIZE, ENABLE_PUSH = 1, 2
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 4, 5, 6

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

FRAME_HEADER = Struct(">HBBBL")  # length (two high bytes, one low byte), type, flags, stream id
U32 = Struct(">L")
SETTING = Struct(">HL")  # identifier, value
GOAWAY_START = Struct(">LL")  # last stream id, error code


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Return a complete frame.

    Args:
        kind: frame type.
        flags: of the frame.
        stream_id: stream, 0 for the connection.
        payload: content.
    """
    return frame_header(len(payload), kind, flags, stream_id) + payload


def frame_header(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    """Return the nine bytes of a frame header.

    Args:
        length: bytes of the payload.
        kind: frame type.
        flags: of the frame.
        stream_id: stream, 0 for the connection.
    """
    return FRAME_HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream_id)
