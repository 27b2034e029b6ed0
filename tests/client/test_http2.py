"""Rare cases of HTTP/2, produced by a server that is scripted byte by byte."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest
from hpack import Decoder, Encoder

from trunkline import errors
from trunkline.client import http2
from trunkline.client.channel import Channel
from trunkline.client.grpc_messages import Messages

if TYPE_CHECKING:
    from collections.abc import Callable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
HEAD = [(":status", "200"), ("content-type", "application/grpc")]
OK = [("grpc-status", "0")]


class Peer:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.got: list[tuple[int, int, int, bytes]] = []
        assert self.exactly(len(PREFACE)) == PREFACE

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.connection.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def read(self, kind: int) -> tuple[int, int, bytes]:
        """Read frames until one of ``kind``; return its flags, stream and payload."""
        while True:
            head = self.exactly(9)
            length = int.from_bytes(head[:3], "big")
            payload = self.exactly(length)
            self.got.append((head[3], head[4], int.from_bytes(head[5:], "big"), payload))
            if head[3] == kind:
                return self.got[-1][1:]

    def send(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        self.connection.sendall(
            len(payload).to_bytes(3, "big") + struct.pack(">BBL", kind, flags, stream) + payload
        )

    def settings(self, **values: int) -> None:
        numbers = {"window": 4, "frame": 5}
        self.send(SETTINGS, 0, 0, b"".join(struct.pack(">HL", numbers[k], v) for k, v in values.items()))

    def request(self) -> int:
        """Read until the request has ended; return its stream."""
        while True:
            flags, stream, _ = self.read(DATA)
            if flags & 1:
                return stream

    def answer(self, stream: int, message: bytes = b"answer") -> None:
        self.send(HEADERS, 4, stream, self.encoder.encode(HEAD))
        self.send(DATA, 0, stream, b"\0" + len(message).to_bytes(4, "big") + message)
        self.send(HEADERS, 5, stream, self.encoder.encode(OK))


@pytest.fixture
def scripted():
    """Return a function that starts a server; each connection is handled by the next of its scripts."""
    threads: list[threading.Thread] = []
    failures: list[BaseException] = []
    channels: list[Channel] = []

    def start(*scripts: Callable[[Peer], None]) -> Channel:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            with listener:
                for script in scripts:
                    connection, _ = listener.accept()
                    with connection:
                        try:
                            script(Peer(connection))
                            with contextlib.suppress(OSError):
                                while connection.recv(65536):
                                    pass  # until the client has closed
                        except (EOFError, ConnectionError):
                            pass
                        except BaseException as error:  # noqa: BLE001 - shown at the end of the test
                            failures.append(error)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        threads.append(thread)
        channels.append(Channel(f"127.0.0.1:{listener.getsockname()[1]}"))
        return channels[-1]

    yield start
    for channel in channels:
        channel.close()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not failures


def test_a_request_waits_for_a_window_of_a_few_bytes(scripted):
    received = bytearray()

    def script(peer: Peer) -> None:
        window = 65_535
        peer.settings(window=3)
        window += 3 - 65_535
        peer.send(WINDOW, 0, 0, struct.pack(">L", 1 << 20))
        flags = 0
        while not flags & 1:
            flags, stream, payload = peer.read(DATA)
            received.extend(payload)
            window -= len(payload)
            if window <= 0:
                peer.send(WINDOW, 0, stream, struct.pack(">L", 7 - window))
                window = 7
        peer.answer(stream)

    # The first 64 KiB may be sent before the settings arrive; the rest in small pieces.
    message = bytes(range(256)) * 270
    assert scripted(script).unary("/t.T/M", message) == b"answer"

    assert bytes(received[5:]) == message


def test_a_window_that_shrinks_below_zero_is_waited_out(scripted):
    def script(peer: Peer) -> None:
        peer.read(DATA)
        peer.settings(window=0)
        peer.send(WINDOW, 0, 0, struct.pack(">L", 1 << 20))
        peer.send(WINDOW, 0, 1, struct.pack(">L", 1 << 20))
        peer.answer(peer.request())

    assert scripted(script).unary("/t.T/M", bytes(200_000)) == b"answer"


def test_no_frame_is_longer_than_the_server_allows(scripted):
    sizes: list[int] = []

    def script(peer: Peer) -> None:
        peer.settings(window=1 << 20, frame=30_000)
        peer.send(WINDOW, 0, 0, struct.pack(">L", 1 << 20))
        peer.request()
        peer.answer(1)
        peer.answer(peer.request())
        sizes.extend(len(payload) for kind, _, stream, payload in peer.got if kind == DATA and stream == 3)

    channel = scripted(script)
    channel.unary("/t.T/M", b"")
    channel.unary("/t.T/M", bytes(100_000))

    channel.close()
    assert max(sizes) == 30_000
    assert sum(sizes) == 100_005


def test_padding_priority_and_continuation_are_understood(scripted):
    def script(peer: Peer) -> None:
        stream = peer.request()
        block = peer.encoder.encode([*HEAD, ("x-long", "v" * 90_000)])
        peer.send(HEADERS, 0x8 | 0x20, stream, b"\x03" + bytes(5) + block[:100] + bytes(3))
        peer.send(CONTINUATION, 0, stream, block[100:50_000])
        peer.send(CONTINUATION, 4, stream, block[50_000:])
        message = b"\0\0\0\0\x06padded"
        for start in range(0, len(message), 3):
            peer.send(DATA, 0x8, stream, b"\xff" + message[start : start + 3] + bytes(255))
        peer.send(DATA, 0x8, stream, b"\0")
        peer.send(HEADERS, 5, stream, peer.encoder.encode(OK))

    assert scripted(script).unary("/t.T/M", b"") == b"padded"


def test_headers_kept_in_the_servers_table_are_understood(scripted):
    """A server may use its table until it has seen our settings; nothing decoded before may be cached."""

    def script(peer: Peer) -> None:
        for number in range(3):
            stream = peer.request()
            peer.send(HEADERS, 4, stream, peer.encoder.encode([*HEAD, ("x-number", str(number))]))
            peer.send(DATA, 0, stream, b"\0\0\0\0\x01%d" % number)
            peer.send(HEADERS, 5, stream, peer.encoder.encode([*OK, ("x-number", str(number))]))

    channel = scripted(script)

    assert [channel.unary("/t.T/M", b"") for _ in range(3)] == [b"0", b"1", b"2"]


def test_a_ping_is_answered_with_its_payload(scripted):
    pongs: list[bytes] = []

    def script(peer: Peer) -> None:
        stream = peer.request()
        peer.send(PING, 0, 0, b"12345678")
        flags, _, payload = peer.read(PING)
        assert flags == 1
        pongs.append(payload)
        peer.answer(stream)

    assert scripted(script).unary("/t.T/M", b"") == b"answer"
    assert pongs == [b"12345678"]


def test_a_request_that_a_stopping_server_has_not_processed_is_repeated(scripted):
    def leaves(peer: Peer) -> None:
        peer.request()
        peer.send(GOAWAY, 0, 0, struct.pack(">LL", 0, 0))

    def stays(peer: Peer) -> None:
        peer.answer(peer.request())

    assert scripted(leaves, stays).unary("/t.T/M", b"once") == b"answer"


def test_a_refused_stream_is_repeated_once(scripted):
    def refuses(peer: Peer) -> None:
        peer.send(RST, 0, peer.request(), struct.pack(">L", 7))

    with pytest.raises(errors.Unavailable, match="aborted the call"):
        scripted(refuses, refuses).unary("/t.T/M", b"")


def test_a_running_call_finishes_on_a_stopping_server_and_the_next_uses_another_connection(scripted):
    def leaves(peer: Peer) -> None:
        stream = peer.request()
        peer.send(GOAWAY, 0, 0, struct.pack(">LL", stream, 0))
        peer.answer(stream, b"old")

    def stays(peer: Peer) -> None:
        peer.answer(peer.request(), b"new")

    channel = scripted(leaves, stays)

    assert [channel.unary("/t.T/M", b""), channel.unary("/t.T/M", b"")] == [b"old", b"new"]


def test_an_answer_followed_by_a_closed_connection_counts(scripted):
    def script(peer: Peer) -> None:
        peer.answer(peer.request())
        peer.connection.shutdown(socket.SHUT_WR)

    assert scripted(script).unary("/t.T/M", b"") == b"answer"


def test_frames_sent_before_a_server_stops_are_processed(scripted, monkeypatch):
    """Acknowledging a ping fails once the server is gone; its answers can still be read."""
    monkeypatch.setattr(http2, "RECEIVE_BUFFER", 1024)
    stopped = threading.Event()

    def script(peer: Peer) -> None:
        stream = peer.request()
        peer.send(HEADERS, 4, stream, peer.encoder.encode(HEAD))
        for number in range(20):
            peer.send(PING, 0, 0, b"12345678")
            peer.send(DATA, 0, stream, b"\0" + (1000).to_bytes(4, "big") + bytes([number]) * 1000)
        peer.send(HEADERS, 5, stream, peer.encoder.encode(OK))
        peer.connection.shutdown(socket.SHUT_RDWR)
        peer.connection.close()
        stopped.set()

    channel = scripted(script)
    answers = channel.server_stream("/t.T/M", b"")
    assert stopped.wait(60)

    assert [answer[0] for answer in answers] == list(range(20))


def test_frames_of_a_cancelled_stream_are_skipped_and_their_room_given_back(scripted):
    given_back: list[int] = []

    def script(peer: Peer) -> None:
        first = peer.request()
        peer.send(HEADERS, 4, first, peer.encoder.encode(HEAD))
        peer.send(DATA, 0, first, b"\0\0\0\0\x01a")
        peer.read(RST)
        for _ in range(9):
            peer.send(DATA, 0, first, bytes(1 << 20))
        peer.answer(peer.request())
        last = peer.request()
        given_back.extend(struct.unpack(">L", p)[0] for k, _, s, p in peer.got if k == WINDOW and s == 0)
        peer.answer(last)

    channel = scripted(script)
    answers = channel.server_stream("/t.T/M", b"")
    assert next(answers) == b"a"
    answers.close()

    assert [channel.unary("/t.T/M", b""), channel.unary("/t.T/M", b"")] == [b"answer", b"answer"]
    # 16 MiB at first, then an update of half a window (and a message) for the 9 MiB that were dropped.
    assert given_back == [(16 << 20) - 65_535, (8 << 20) + 6]


def test_a_frame_longer_than_allowed_is_cut_off(scripted):
    def script(peer: Peer) -> None:
        stream = peer.request()
        peer.send(HEADERS, 4, stream, peer.encoder.encode(HEAD))
        peer.send(DATA, 0, stream, bytes((1 << 20) + 1))

    with pytest.raises(errors.Unavailable, match="a frame of 1048577 bytes"):
        scripted(script).unary("/t.T/M", b"")


@pytest.mark.parametrize(
    ("reset", "kind"),
    [
        (0, errors.TrunklineError),
        (2, errors.TrunklineError),
        (8, errors.Cancelled),
        (11, errors.ResourceExhausted),
    ],
)
def test_a_reset_becomes_the_error_that_grpc_assigns(scripted, reset, kind):
    def script(peer: Peer) -> None:
        peer.send(RST, 0, peer.request(), struct.pack(">L", reset))

    with pytest.raises(kind, match=f"HTTP/2 error {reset}"):
        scripted(script).unary("/t.T/M", b"")


@pytest.mark.parametrize(
    ("status", "kind"),
    [("503", errors.Unavailable), ("404", errors.Unimplemented), ("401", errors.Unauthenticated)],
)
def test_a_proxy_that_answers_without_grpc_is_named(scripted, status, kind):
    def script(peer: Peer) -> None:
        peer.send(HEADERS, 5, peer.request(), peer.encoder.encode([(":status", status)]))

    with pytest.raises(kind, match=f"answered HTTP {status}, not gRPC"):
        scripted(script).unary("/t.T/M", b"")


def test_an_answer_that_ends_without_a_status_is_an_error(scripted):
    def script(peer: Peer) -> None:
        stream = peer.request()
        peer.send(HEADERS, 4, stream, peer.encoder.encode(HEAD))
        peer.send(DATA, 1, stream, b"\0\0\0\0\x01a")

    with pytest.raises(errors.TrunklineError, match="without a status"):
        scripted(script).unary("/t.T/M", b"")


def test_an_answer_cut_off_inside_a_message_is_data_loss(scripted):
    def script(peer: Peer) -> None:
        stream = peer.request()
        peer.send(HEADERS, 4, stream, peer.encoder.encode(HEAD))
        peer.send(DATA, 0, stream, b"\0\0\0\0\x09half")
        peer.send(HEADERS, 5, stream, peer.encoder.encode(OK))

    with pytest.raises(errors.DataLoss, match="inside a message"):
        scripted(script).unary("/t.T/M", b"")


@pytest.mark.parametrize(
    ("prefix", "kind"),
    [(b"\x01\0\0\0\x01a", errors.Unimplemented), (b"\0\xff\xff\xff\xff", errors.ResourceExhausted)],
)
def test_a_message_that_cannot_be_taken_ends_the_call_and_not_the_channel(scripted, prefix, kind):
    def script(peer: Peer) -> None:
        stream = peer.request()
        peer.send(HEADERS, 4, stream, peer.encoder.encode(HEAD))
        peer.send(DATA, 0, stream, prefix)
        peer.answer(peer.request())

    channel = scripted(script)

    with pytest.raises(kind):
        channel.unary("/t.T/M", b"")
    assert channel.unary("/t.T/M", b"") == b"answer"


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (WINDOW, b"\0"),
        (RST, b""),
        (GOAWAY, b"1"),
        (WINDOW, bytes(4)),
        (5, bytes(8)),
        (HEADERS, b"\xff\xff\xff\xff"),
    ],
)
def test_frames_that_break_the_rules_end_the_connection_with_a_sentence(scripted, kind, payload):
    def script(peer: Peer) -> None:
        peer.send(kind, 4, peer.request(), payload)

    with pytest.raises(errors.Unavailable, match="check the address"):
        scripted(script).unary("/t.T/M", b"")


def test_a_web_server_is_recognised(scripted):
    def script(peer: Peer) -> None:
        peer.connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with pytest.raises(errors.Unavailable, match="HTTP/1, so it is not a gRPC server"):
        scripted(script).unary("/t.T/M", b"")


@pytest.mark.parametrize("step", [1, 2, 4, 5, 6, 7, 100])
def test_messages_are_cut_the_same_however_the_bytes_arrive(step):
    messages = [b"", b"a", b"", b"bc" * 40, b"", b"d"]
    encoded = b"".join(b"\0" + len(message).to_bytes(4, "big") + message for message in messages)
    cutter = Messages()

    for start in range(0, len(encoded), step):
        cutter.feed(memoryview(encoded)[start : start + step])

    assert list(cutter.ready) == messages
    assert not cutter.incomplete
