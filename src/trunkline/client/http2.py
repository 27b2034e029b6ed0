"""One HTTP/2 connection with one open stream at a time, on a socket of ``transport``.

Implements the part of RFC 9113 that a gRPC client needs: preface, settings, flow control in both directions, ping,
goaway, reset, continuation. It is synchronous and driven by the current call: the socket is read only while the
call waits for an answer or for room to send, so unread answers stay with the sender, which is the back-pressure.
Control frames in between (acknowledgements, window updates) are queued and sent with the next write.

It must not depend on gRPC: messages, statuses and metadata belong to ``channel``. It must not be used from two
threads at once; ``channel`` ensures that. Only ``close`` may be called from another thread.
"""

from __future__ import annotations

import _socket
import contextlib
import select
from struct import error as StructError
from time import monotonic
from typing import TYPE_CHECKING

from trunkline.client.headers import HeaderDecoder
from trunkline.client.http2_frames import (
    ACK,
    CANCEL,
    CONNECTION_WINDOW,
    CONTINUATION,
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER,
    GOAWAY,
    GOAWAY_START,
    HAS_PRIORITY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    LARGEST_FRAME,
    LARGEST_HEADERS,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    NO_ERROR,
    PADDED,
    PING,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTING,
    SETTINGS,
    STREAM_WINDOW,
    U32,
    WINDOW_UPDATE,
    data_frames,
    frame,
    frame_header,
    opening_frames,
)
from trunkline.client.http2_streams import Stream
from trunkline.errors import DeadlineExceeded, ResourceExhausted, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.client.http2_streams import Sink

RECEIVE_BUFFER = 64 << 10  # bytes read at once; longer runs of data bypass the buffer
SEND_BATCH = 1 << 20  # bytes passed to the kernel in one call at most
LAST_STREAM_ID = 2**31 - 1
MOST_BUFFERS = 512  # per sendmsg; Linux takes 1024
#: Type and version with which an answer begins when TLS refuses what is not TLS; no HTTP/2 frame begins so.
_TLS_ALERT = b"\x15\x03"
POLL = 1000.0  # milliseconds of one wait at most, so that a signal is noticed


class BrokenConnection(Unavailable):
    """The connection is lost; whether the server processed the request is not known."""


class Connection:
    """A connected HTTP/2 client. Every method may raise ``BrokenConnection`` or ``DeadlineExceeded``."""

    def __init__(self, connected: _socket.socket, name: str) -> None:
        """Begin on a connected socket.

        Args:
            connected: does not block; see ``transport``.
            name: the server's name in error messages.
        """
        self.name = name
        #: ``monotonic`` time at which waiting ends, set per call.
        self.deadline: float | None = None
        #: Whether no further stream may be opened.
        self.retired = False
        self._socket = connected
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._headers = HeaderDecoder(LARGEST_HEADERS)
        self._buffer = bytearray(RECEIVE_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        #: Missing bytes of the current data frame's payload, and of its padding.
        self._data_left = self._padding_left = 0
        self._data_stream: Stream | None = None
        self._data_ends_stream = False
        self._header_block = b""
        self._headers_end_stream = False
        self._stream: Stream | None = None
        self._next_id = 1
        #: Whether the server has sent its settings, with which HTTP/2 begins.
        self._greeted = False
        self._send_window = DEFAULT_WINDOW
        self._initial_window = DEFAULT_WINDOW
        self._frame_limit = 16_384
        self.header_list_limit = LARGEST_HEADERS
        self._unacknowledged = 0
        #: Control frames to send before anything else.
        self._queued = bytearray(opening_frames())

    # Streams ------------------------------------------------------------------------------------------

    def open(self, header_block: bytes, sink: Sink) -> Stream:
        """Open a stream; its headers are sent with the first data."""
        stream = Stream(self._next_id, self._initial_window, sink)
        self._next_id += 2
        self.retired = self.retired or self._next_id > LAST_STREAM_ID
        self._stream = stream
        limit = self._frame_limit
        first, rest = header_block[:limit], header_block[limit:]
        self._queued += frame(HEADERS, 0 if rest else END_HEADERS, stream.id, first)
        while rest:
            first, rest = rest[:limit], rest[limit:]
            self._queued += frame(CONTINUATION, 0 if rest else END_HEADERS, stream.id, first)
        return stream

    def send(self, stream: Stream, head: bytes, body: bytes | memoryview, end: bool) -> None:
        """Send data frames as the server's windows allow.

        Returns early, with bytes unsent, when the server has ended the stream.

        Args:
            stream: the open stream.
            head: first bytes of the payload.
            body: the following bytes, which are not copied.
            end: whether they end the request stream.
        """
        view = memoryview(body)
        while not stream.ended:
            room = min(self._send_window, stream.send_window, SEND_BATCH)
            if room <= 0:
                self._await_frames()
                continue
            if room < len(head):  # rare: a server with a tiny window
                head, view = b"", memoryview(head + view)
            batch = min(room, len(head) + len(view))
            last = batch == len(head) + len(view)
            self._send_window -= batch
            stream.send_window -= batch
            position = batch - len(head)
            end_flag = END_STREAM if end and last else 0
            self._write(data_frames(stream.id, head, view[:position], end_flag, self._frame_limit))
            if last:
                stream.send_ended = end
                return
            head, view = b"", view[position:]

    def end_sending(self, stream: Stream) -> None:
        """End the request stream."""
        if not stream.ended:
            self._write([frame_header(0, DATA, END_STREAM, stream.id)])
            stream.send_ended = True

    def release(self, stream: Stream) -> None:
        """Close the stream; cancels it unless both sides have ended it."""
        if self._stream is stream:
            self._stream = None
        if self._data_stream is stream:  # the rest of the current frame is dropped
            self._data_stream = None
        if not (stream.ended and stream.send_ended) and stream.reset is None and not self.closed:
            self._queued += frame(RST_STREAM, 0, stream.id, U32.pack(CANCEL))
            self._write_some()

    def receive(self, stream: Stream) -> None:
        """Wait until more frames have arrived; the caller checks the stream afterwards."""
        if not stream.ended:
            self._await_frames()

    def drain(self) -> None:
        """Process the frames that have arrived, without waiting."""
        while self._fill():
            self._process()

    @property
    def closed(self) -> bool:
        """Whether the socket is closed."""
        return self._socket.fileno() < 0

    def close(self) -> None:
        """Close the socket; a call waiting in another thread ends with ``BrokenConnection``."""
        with contextlib.suppress(OSError):  # closed before, or by the server
            self._socket.shutdown(_socket.SHUT_RDWR)
        self._socket.close()

    # Writing ------------------------------------------------------------------------------------------

    def _write(self, buffers: Sequence[bytes | memoryview]) -> None:
        """Write queued control frames, then all of ``buffers``; closes the connection on failure."""
        pending: list[bytes | memoryview] = [bytes(self._queued), *buffers]
        self._queued.clear()
        try:
            while pending:
                try:
                    sent = self._socket.sendmsg(pending[:MOST_BUFFERS])
                except BlockingIOError:
                    # Reading while waiting prevents a deadlock of two full sockets.
                    if self._wait(select.POLLIN | select.POLLOUT) & select.POLLIN and self._fill():
                        self._process()
                    continue
                pending = _after(pending, sent)
        except OSError as error:
            self._drain_final_frames()
            raise self._broken(error) from error
        except BaseException:
            self.close()  # a partial frame may have been sent, after which nothing can follow
            raise

    def _write_some(self) -> None:
        # The next read notices a lost server, after the frames that it sent before.
        with contextlib.suppress(OSError):
            sent = self._socket.send(self._queued)
            del self._queued[:sent]

    def _drain_final_frames(self) -> None:
        # A stopping server sends the reason first (a status, a goaway), which may be in the receive buffer.
        with contextlib.suppress(Unavailable):
            self.drain()

    # Reading ------------------------------------------------------------------------------------------

    def _await_frames(self) -> None:
        if self._queued:
            self._write_some()
        while not self._fill():
            # The unsent frames may be the window update that the server waits for.
            ready = self._wait(select.POLLIN | (select.POLLOUT if self._queued else 0))
            if ready & select.POLLOUT:
                self._write_some()
        self._process()
        if self._queued:
            self._write_some()

    def _wait(self, events: int) -> int:
        """Wait for events of the socket, at most ``POLL`` at a time; returns those that came, 0 for none.

        A signal that arrives between Python's last look for signals and the system call is only noticed when the
        call returns. Without the bound, Ctrl-C on a stream that stays silent would be lost then.
        """
        milliseconds = POLL
        if self.deadline is not None:
            milliseconds = min((self.deadline - monotonic()) * 1000, POLL)
            if milliseconds <= 0:
                raise DeadlineExceeded(
                    f"{self.name} did not answer within the call's time limit; allow more time"
                )
        try:
            self._poll.modify(self._socket, events)
            ready = self._poll.poll(milliseconds)
        except (OSError, ValueError) as error:  # closed by another thread
            raise self._broken(error) from error
        return ready[0][1] if ready else 0

    def _fill(self) -> bool:
        """Receive available bytes, True if any; long data goes directly to the sink."""
        stream = self._data_stream
        try:
            direct = min(self._data_left, stream.sink.missing) if stream and self._start == self._end else 0
            if stream and direct >= RECEIVE_BUFFER:
                piece = self._socket.recv(direct)
                self._data_left -= len(piece)
                stream.sink.feed(piece)
                received = len(piece)
            else:
                if self._start == self._end:
                    self._start = self._end = 0
                elif self._start:
                    rest = self._buffer[self._start : self._end]
                    self._buffer[: len(rest)] = rest
                    self._start, self._end = 0, len(rest)
                if self._end == len(self._buffer):  # a long frame that is processed as a whole
                    self._view.release()
                    self._buffer += bytes(len(self._buffer))
                    self._view = memoryview(self._buffer)
                received = self._socket.recv_into(self._view[self._end :])
                self._end += received
        except BlockingIOError:
            return False
        except OSError as error:
            raise self._broken(error) from error
        if not received:
            raise self._broken(None)
        return True

    def _process(self) -> None:
        """Process every complete frame in the buffer, and data frames as far as they have arrived."""
        while True:
            if self._data_left or self._padding_left or self._data_stream:
                self._take_data()
                if self._data_left or self._padding_left:
                    return
            if self._end - self._start < 9:
                return
            high, low, kind, flags, stream_id = FRAME_HEADER.unpack_from(self._buffer, self._start)
            length = (high << 8) | low
            if length > LARGEST_FRAME:
                raise self._violation(f"a frame of {length} bytes")
            if kind == DATA:
                if not self._begin_data(length, flags, stream_id & LAST_STREAM_ID):
                    return
                continue
            if self._end - self._start < 9 + length:
                return
            begin = self._start + 9
            payload = bytes(self._view[begin : begin + length])
            self._start = begin + length
            self._on_frame(kind, flags, stream_id & LAST_STREAM_ID, payload)

    def _begin_data(self, length: int, flags: int, stream_id: int) -> bool:
        skipped, padding = 9, 0
        if flags & PADDED:
            if self._end - self._start < 10:
                return False
            padding = self._buffer[self._start + 9]
            skipped = 10
            if padding >= length:
                raise self._violation("a data frame with more padding than payload")
        self._start += skipped
        self._data_left = length - padding - (skipped - 9)
        self._padding_left = padding
        stream = self._stream
        self._data_stream = stream if stream and stream.id == stream_id else None
        self._data_ends_stream = bool(flags & END_STREAM)
        self._count_received(self._data_stream, length)
        return True

    def _take_data(self) -> None:
        stream = self._data_stream
        size = min(self._data_left, self._end - self._start)
        if size:
            if stream:
                stream.sink.feed(self._view[self._start : self._start + size])
            self._start += size
            self._data_left -= size
        if self._data_left:
            return
        size = min(self._padding_left, self._end - self._start)
        self._start += size
        self._padding_left -= size
        if self._padding_left:
            return
        self._data_stream = None
        if stream and self._data_ends_stream:
            stream.ended = True

    def _count_received(self, stream: Stream | None, length: int) -> None:
        """Count received bytes; sends a window update for each half window."""
        self._unacknowledged += length
        if self._unacknowledged > CONNECTION_WINDOW:
            raise self._violation("more data than the connection's window allows")
        if self._unacknowledged >= CONNECTION_WINDOW // 2:
            self._queued += frame(WINDOW_UPDATE, 0, 0, U32.pack(self._unacknowledged))
            self._unacknowledged = 0
        if stream:
            stream.unacknowledged += length
            if stream.unacknowledged > STREAM_WINDOW:
                raise self._violation("more data than the stream's window allows")
            if stream.unacknowledged >= STREAM_WINDOW // 2:
                self._queued += frame(WINDOW_UPDATE, 0, stream.id, U32.pack(stream.unacknowledged))
                stream.unacknowledged = 0

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        stream = self._stream if self._stream and self._stream.id == stream_id else None
        try:
            if kind in (HEADERS, CONTINUATION):
                self._on_headers(kind, flags, stream, payload)
            elif kind == RST_STREAM:
                self._on_reset(stream, U32.unpack(payload)[0])
            elif kind == SETTINGS and not flags & ACK:
                self._on_settings(payload)
            elif kind == PING and not flags & ACK:
                self._queued += frame(PING, ACK, 0, payload)
            elif kind == GOAWAY:
                self._on_goaway(*GOAWAY_START.unpack_from(payload))
            elif kind == WINDOW_UPDATE:
                self._on_window_update(stream, stream_id, U32.unpack(payload)[0] & LAST_STREAM_ID)
            elif kind == PUSH_PROMISE:
                raise self._violation("a push promise, which the client has disabled")
        except (StructError, IndexError) as error:
            raise self._violation(f"a frame of kind {kind} with a wrong length") from error

    def _on_headers(self, kind: int, flags: int, stream: Stream | None, payload: bytes) -> None:
        if kind == HEADERS:
            padding = 0
            if flags & PADDED:
                padding, payload = payload[0], payload[1:]
            if flags & HAS_PRIORITY:
                payload = payload[5:]
            self._header_block = payload[: len(payload) - padding]
            self._headers_end_stream = bool(flags & END_STREAM)
        else:
            self._header_block += payload
        if len(self._header_block) > LARGEST_HEADERS:
            raise self._too_many_headers()
        if not flags & END_HEADERS:
            return
        # Blocks of closed streams are decoded too: the decoder's state belongs to the connection.
        try:
            headers = self._headers.decode(self._header_block)
        except OverflowError as error:
            raise self._too_many_headers() from error
        except ValueError as error:
            raise self._violation("headers that cannot be decoded") from error
        if stream:
            stream.heads.append(headers)
            stream.ended = stream.ended or self._headers_end_stream

    def _on_reset(self, stream: Stream | None, code: int) -> None:
        if not stream:
            return
        # NO_ERROR after the trailers only means that the rest of the request is not needed.
        stream.reset = code
        stream.refused = code == REFUSED_STREAM
        stream.ended = True

    def _on_settings(self, payload: bytes) -> None:
        self._greeted = True
        for identifier, value in SETTING.iter_unpack(payload):
            if identifier == INITIAL_WINDOW_SIZE:
                if self._stream:
                    self._stream.send_window += value - self._initial_window
                self._initial_window = value
            elif identifier == MAX_FRAME_SIZE:
                self._frame_limit = value
            elif identifier == MAX_HEADER_LIST_SIZE:
                self.header_list_limit = value
        self._queued += frame(SETTINGS, ACK, 0)

    def _on_goaway(self, last_stream_id: int, code: int) -> None:
        self.retired = True
        stream = self._stream
        if stream and stream.id > last_stream_id & LAST_STREAM_ID:
            stream.refused = code == NO_ERROR
            stream.reset = REFUSED_STREAM
            stream.ended = True

    def _on_window_update(self, stream: Stream | None, stream_id: int, increment: int) -> None:
        if not increment:
            raise self._violation("an empty window update")
        if stream_id == 0:
            self._send_window += increment
        elif stream:
            stream.send_window += increment

    def _too_many_headers(self) -> ResourceExhausted:
        self.close()
        return ResourceExhausted(
            f"{self.name} sent more than {LARGEST_HEADERS} bytes of headers; see its log instead"
        )

    def _violation(self, what: str) -> Unavailable:
        if bytes(self._buffer[:5]) == b"HTTP/":
            what = "HTTP/1, so it is not a gRPC server"
        self.close()
        return Unavailable(f"{self.name} sent {what}; check the address")

    def _broken(self, error: Exception | None) -> BrokenConnection:
        self.close()
        if bytes(self._view[self._start : self._start + 2]) == _TLS_ALERT:
            return BrokenConnection(
                f"{self.name} speaks TLS; write grpcs:// before its address, and name its CA with --ca or PACH_CA_CERTS"
                " unless a public one has signed its certificate"
            )
        cause = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        if not self._greeted:
            return BrokenConnection(
                f"{self.name} closed the connection before it answered{cause}; see its log, then try again,"
                " with grpcs:// before the address if it speaks TLS"
            )
        return BrokenConnection(f"{self.name} closed the connection{cause}; see its log, then try again")


def _after(buffers: list[bytes | memoryview], sent: int) -> list[bytes | memoryview]:
    """Return the rest of ``buffers`` after their first ``sent`` bytes."""
    for position, buffer in enumerate(buffers):
        if sent < len(buffer):
            return [memoryview(buffer)[sent:], *buffers[position + 1 :]]
        sent -= len(buffer)
    return []
