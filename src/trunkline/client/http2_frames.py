"""HTTP/2 frames: the constants of RFC 9113, the limits that this client announces, and encoding. Pure."""

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

DEFAULT_WINDOW = 65_535  # bytes, both directions, until the settings change it
STREAM_WINDOW = 4 << 20  # bytes a server may send ahead on a stream: four frames of GetFile
CONNECTION_WINDOW = 16 << 20  # bytes; never the limit, as one stream is open at a time
LARGEST_FRAME = 1 << 20  # bytes of a received frame; fewer frames need fewer iterations
LARGEST_HEADERS = 256 << 10  # bytes of a decoded header list: room for a long error message


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


def opening_frames() -> bytes:
    """Return what a client sends first: the preface, its settings, and the connection's window."""
    settings = b"".join(
        SETTING.pack(*pair)
        for pair in (
            (HEADER_TABLE_SIZE, 0),
            (ENABLE_PUSH, 0),
            (INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            (MAX_FRAME_SIZE, LARGEST_FRAME),
            (MAX_HEADER_LIST_SIZE, LARGEST_HEADERS),
        )
    )
    window = frame(WINDOW_UPDATE, 0, 0, U32.pack(CONNECTION_WINDOW - DEFAULT_WINDOW))
    return PREFACE + frame(SETTINGS, 0, 0, settings) + window


def data_frames(
    stream_id: int, head: bytes, body: memoryview, end_flag: int, frame_limit: int
) -> list[bytes | memoryview]:
    """Return the buffers of the data frames of a payload.

    Args:
        stream_id: stream that the frames belong to.
        head: first bytes of the payload, at most a frame.
        body: the following bytes, which are not copied.
        end_flag: ``END_STREAM`` if the last frame ends the stream, otherwise 0.
        frame_limit: bytes of a frame's payload at most.
    """
    size = min(frame_limit, len(head) + len(body))
    position = size - len(head)
    buffers: list[bytes | memoryview] = []
    header = frame_header(size, DATA, 0 if position < len(body) else end_flag, stream_id)
    buffers += (header + head, body[:position])
    while position < len(body):
        size = min(frame_limit, len(body) - position)
        ends = position + size == len(body)
        buffers += (
            frame_header(size, DATA, end_flag if ends else 0, stream_id),
            body[position : position + size],
        )
        position += size
    return buffers
