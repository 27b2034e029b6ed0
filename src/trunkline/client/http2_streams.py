"""What a connection knows about the stream of the call in progress."""

from __future__ import annotations

from typing import Protocol


class Sink(Protocol):
    """Takes the payload of a stream's data frames."""

    #: Bytes still missing of what is being assembled; a hint to receive straight into it.
    missing: int

    def feed(self, piece: memoryview | bytes) -> None:
        """Take the next bytes. A memoryview is only valid during the call."""


class Stream:
    """The state of the one open stream."""

    def __init__(self, stream_id: int, send_window: int, sink: Sink) -> None:
        self.id = stream_id
        self.sink = sink
        #: Bytes the server lets us send; may be negative after it shrank its initial window.
        self.send_window = send_window
        #: Bytes received since the last window update.
        self.unacknowledged = 0
        #: Header blocks as they came: the first is the head, one with END_STREAM the trailers.
        self.heads: list[list[tuple[str, str]]] = []
        #: We have said all we will say.
        self.send_ended = False
        #: The server has said all it will say.
        self.ended = False
        #: The error code with which the server reset the stream.
        self.reset: int | None = None
        #: The server never looked at this stream (RFC 9113 section 8.7); it may be sent again.
        self.refused = False
