"""HTTP/2 byte by byte: what a client sends that keeps no rule."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import TYPE_CHECKING

from hpack import Decoder, Encoder

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0,
    1,
    2,
    3,
    4,
    6,
    7,
    8,
    9,
)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE = 4  # of SETTINGS
CANCEL = struct.pack(">I", 8)  # of RST_STREAM
#: Seconds that a read or write of these clients waits.
LIMIT = 30.0


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBL", kind, flags, stream) + payload


def settings(*values: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HL", *value) for value in values))


def field(name: str, value: str) -> bytes:
    """Return a header that does not enter the table of the connection."""
    return b"\0" + _string(name) + _string(value)


def request(path: str, *more: tuple[str, str]) -> bytes:
    """Return the header block of a gRPC call."""
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
              ("te", "trailers"), ("content-type", "application/grpc"), *more]  # fmt: skip
    return b"".join(field(name, value) for name, value in fields)


def indexed_request(path: str, *more: tuple[str, str]) -> bytes:
    """Return the header block of a gRPC call whose headers enter the table of the connection, as most clients send."""
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
              ("te", "trailers"), ("content-type", "application/grpc"), *more]  # fmt: skip
    return Encoder().encode(fields)


def message(body: bytes, *, compressed: bool = False) -> bytes:
    """Return a message with gRPC's prefix."""
    return struct.pack(">BL", compressed, len(body)) + body


def _string(text: str) -> bytes:
    data = text.encode()
    length = len(data)
    if length < 127:
        return bytes([length]) + data
    prefix = bytearray([127])
    length -= 127
    while length >= 128:
        prefix.append(length % 128 | 128)
        length //= 128
    return bytes([*prefix, length]) + data


class RawClient:
    """One connection to a server. A context."""

    def __init__(self, address: str, *start: bytes, source: str = "") -> None:
        """Connect from an address, and send ``start``: the preface and no settings if nothing is named."""
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection(
            (host.strip("[]"), int(port)), timeout=LIMIT, source_address=(source, 0) if source else None
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._decoder = Decoder()
        for data in start or (PREFACE, settings()):
            self.send(data)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """Send bytes; return whether the server still took them."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def send_all(self, parts: Iterable[bytes]) -> int:
        """Send part after part until the server takes no more; return how many it took."""
        number = 0
        for part in parts:
            if not self.send(part):
                break
            number += 1
        return number

    def read(self) -> tuple[int, int, int, bytes] | None:
        """Return kind, flags, stream and payload of the next frame; None when the server has closed."""
        head = self._exactly(9)
        payload = self._exactly(int.from_bytes(head[:3], "big")) if head else None
        if head is None or payload is None:
            return None
        return head[3], head[4], int.from_bytes(head[5:], "big"), payload

    def read_until(self, kind: int, stream: int | None = None) -> bytes | None:
        """Return the payload of the next frame of a kind; None when the server has closed."""
        while (got := self.read()) is not None:
            if got[0] == kind and stream in (None, got[2]):
                return got[3]
        return None

    def read_headers(self, stream: int) -> dict[str, str]:
        """Return the next headers or trailers of a stream; none when the server has closed."""
        while (got := self.read()) is not None:
            if got[0] == HEADERS:  # each one changes the table of the connection
                headers = dict(self._decoder.decode(got[3]))
                if got[2] == stream:
                    return headers
        return {}

    def error(self) -> int | None:
        """Return the code of the error with which the server closes the connection; None without one."""
        reason = self.read_until(GOAWAY)
        return None if reason is None else int.from_bytes(reason[4:8], "big")

    def is_closed_within(self, seconds: float) -> bool:
        """Read on; return whether the server closes."""
        end = time.monotonic() + seconds
        with contextlib.suppress(TimeoutError):
            while (rest := end - time.monotonic()) > 0:
                self.socket.settimeout(rest)
                try:
                    if not self.socket.recv(1 << 16):
                        return True
                except TimeoutError:
                    return False
                except OSError:
                    return True
        return False

    def _exactly(self, size: int) -> bytes | None:
        while len(self._received) < size:
            try:
                piece = self.socket.recv(1 << 16)
            except ConnectionError:
                return None
            if not piece:
                return None
            self._received += piece
        data, self._received = self._received[:size], self._received[size:]
        return data
