"""State of the current call's stream."""

from __future__ import annotations

from typing import Protocol


class Sink(Protocol):
    """Receives the payload of a stream's data frames."""

    #: Missing bytes of the current message; a hint how much to receive at once.
    missing: int

    def feed(self, piece: memoryview | bytes) -> None:
        """Add the next bytes. A memoryview is only valid during the call."""


class Stream:
    """The state of the one open stream."""

    def __init__(self, stream_id: int, send_window: int, sink: Sink) -> None:
        """Create the state of a new stream.

        Args:
            stream_id: odd number of the stream on its connection.
            send_window: bytes that may be sent at first.
            sink: receives the answers.
        """
        self.id = stream_id
        self.sink = sink
        #: Bytes that may be sent; negative after the server has reduced its initial window.
        self.send_window = send_window
        #: Bytes received since the last window update.
        self.unacknowledged = 0
        #: Header blocks in order: the first is the head, one with END_STREAM the trailers.
        self.heads: list[list[tuple[str, str]]] = []
        #: Whether the client has ended its side.
        self.send_ended = False
        #: Whether the server has ended its side.
        self.ended = False
        #: The error code with which the server reset the stream.
        self.reset: int | None = None
        #: Whether the server has not processed the stream (RFC 9113 section 8.7), so that it may be repeated.
        self.refused = False
