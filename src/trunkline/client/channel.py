"""A lean gRPC client: synchronous calls of bytes over one HTTP/2 connection.

The command line and every worker start with it, and importing grpcio costs more than all that they do
before their first call (``docs/design/decisions/0002-a-lean-grpc-client.md``). It sends and returns encoded
messages; whoever wants classes puts them on top. Failures are classes of ``trunkline.errors``, the same
ones the server raised.

It must not import grpc, protobuf or asyncio, and offers no TLS, no compression and no interleaved calls:
who needs two calls at a time opens two channels.
"""

from __future__ import annotations

import _thread
from collections import deque
from struct import Struct
from time import monotonic
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.client.http2 import BrokenConnection, Connection, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

DEFAULT_PORT = 30650
LARGEST_MESSAGE = 64 << 20  # bytes; the server sends 20 MiB at most, a length beyond this is garbage
SEND_TOGETHER = 64 << 10  # bytes of small messages that leave in one write
SEND_AT_LEAST_EVERY = 0.02  # seconds; keeps a slow producer's messages from waiting for company

_PREFIX = Struct(">BL")  # compressed or not, length in bytes

_OK, _UNKNOWN, _INTERNAL = 0, 2, 13

#: gRPC status codes and the errors they become. ``code`` of a class is the way back.
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

# What an answer without gRPC status means, from gRPC's http-grpc-status-mapping.md and PROTOCOL-HTTP2.md.
_FROM_HTTP = {"400": 13, "401": 16, "403": 7, "404": 12, "429": 14, "502": 14, "503": 14, "504": 14}
_FROM_RESET = {7: 14, 8: 1, 11: 8, 12: 7}


class Channel:
    """A connection to one server, made when first needed and again when it was lost.

    Args:
        address: ``host:port``, ``host`` or ``grpc://host:port``; an IPv6 host in brackets.
        metadata: sent with every call; lower-case keys, printable ASCII values.

    Raises:
        InvalidArgument: the address or a metadata entry cannot be used.

    Example:
        >>> with Channel("localhost:30650") as channel:  # doctest: +SKIP
        ...     channel.unary("/versionpb_v2.API/GetVersion", b"")
    """

    def __init__(self, address: str, metadata: Iterable[tuple[str, str]] = ()) -> None:
        self.host, self.port = parse_address(address)
        self.address = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        self._name = f"the server at {self.address}"
        self._metadata = b"".join(_literal(key, _checked(key, value)) for key, value in metadata)
        self._connection: Connection | None = None
        self._busy = _thread.allocate_lock()
        self._current = ""  # the path of the call that holds the lock
        self._closed = False

    def unary(self, path: str, request: bytes, timeout: float | None = None) -> bytes:
        """Send one message and return the one that answers it.

        Args:
            path: ``/package.Service/Method``.
            request: the encoded message.
            timeout: seconds; None waits for ever.

        Raises:
            TrunklineError: what the server answered, or ``Unavailable`` or ``DeadlineExceeded``.
        """
        with self._call(path, timeout) as call:
            call.send_only(request)
            return call.only_answer()

    def server_stream(self, path: str, request: bytes, timeout: float | None = None) -> Responses:
        """Send one message and return an iterator of the answers; the request has been sent on return.

        Until the iterator is exhausted or closed the channel is taken; closing it cancels the call.
        """
        call = self._call(path, timeout)
        try:
            call.send_only(request)
        except BaseException:
            call.close()
            raise
        return Responses(call)

    def client_stream(self, path: str, requests: Iterable[bytes], timeout: float | None = None) -> bytes:
        """Send every message of ``requests`` and return the one that answers them.

        An error the server answers early ends the call at once: the rest of ``requests`` is not asked for.
        An exception raised by ``requests`` cancels the call and passes through.
        """
        with self._call(path, timeout) as call:
            call.send_many(requests)
            return call.only_answer()

    def close(self) -> None:
        """Close the connection for good; a call waiting in another thread ends with ``Unavailable``."""
        self._closed = True
        if self._connection:
            self._connection.close()

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def _call(self, path: str, timeout: float | None) -> _Call:
        if not self._busy.acquire(blocking=False):
            raise RuntimeError(f"cannot call {path}: {self._current} is under way on this channel; open another")
        self._current = path
        try:
            deadline = None if timeout is None else monotonic() + timeout
            return _Call(self, self._head(path, timeout), deadline)
        except BaseException:
            self._busy.release()
            raise

    def _head(self, path: str, timeout: float | None) -> bytes:
        parts = [
            b"\x83\x86",  # :method POST and :scheme http, whole entries of the static table
            _literal(4, path),  # :path
            _literal(1, self.address),  # :authority
            _literal("te", "trailers"),
            _literal(31, "application/grpc"),  # content-type
            _literal(58, "trunkline"),  # user-agent
        ]
        if timeout is not None:
            # At most eight digits are allowed; longer than a day counts in seconds.
            text = f"{max(1, int(timeout * 1000))}m" if timeout < 86_400 else f"{min(int(timeout), 99_999_999)}S"
            parts.append(_literal("grpc-timeout", text))
        parts.append(self._metadata)
        return b"".join(parts)

    def _connected(self, deadline: float | None) -> Connection:
        if self._closed:
            raise errors.Unavailable(f"the channel to {self.address} was closed; open another")
        connection = self._connection
        if connection and not connection.closed:
            try:
                connection.drain()  # learns of a goaway or an end that arrived while nobody looked
            except errors.TrunklineError:
                connection.close()
            if connection.retired:
                connection.close()
        if not connection or connection.closed:
            timeout = None if deadline is None else max(deadline - monotonic(), 0.001)
            try:
                connection = self._connection = Connection(self.host, self.port, self._name, timeout)
            except OSError as error:
                raise errors.Unavailable(
                    f"no server answers at {self.address} ({_reason(error)}); start one with"
                    ' "trunkline serve --data DIR" or name another with --address or PACHD_ADDRESS'
                ) from error
        connection.deadline = deadline
        return connection


class Responses:
    """The answers of a server stream, one after the other; an iterator that can be closed early."""

    def __init__(self, call: _Call) -> None:
        self._call = call

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            message = self._call.next_answer()
        except BaseException:
            self._call.close()
            raise
        if message is None:
            self._call.close()
            raise StopIteration
        return message

    def close(self) -> None:
        """Cancel the call unless it is over; closing twice is fine."""
        self._call.close()

    def __enter__(self) -> Responses:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class _Call:
    """One call under way. It owns the channel's lock until ``close``."""

    def __init__(self, channel: Channel, head: bytes, deadline: float | None) -> None:
        self._channel = channel
        self._where = f"the server at {channel.address}"
        self._head = head
        self._deadline = deadline
        self._open = True
        #: The request, as long as it may be sent a second time.
        self._request: bytes | None = None
        self._begin()

    def _begin(self) -> None:
        connection = self._connection = self._channel._connected(self._deadline)
        if len(self._head) > connection.header_list_limit:
            raise errors.InvalidArgument(
                f"the metadata takes {len(self._head)} bytes but {self._where} accepts"
                f" {connection.header_list_limit}; send less"
            )
        self._messages = _Messages()
        self._stream = connection.open(self._head, self._messages)

    def send_only(self, request: bytes) -> None:
        """Send the one request of a call and end our side."""
        self._request = request
        self._guarded(lambda: self._connection.send(self._stream, _prefix(request), request, end=True))

    def _send_again(self) -> bool:
        """Repeat a request that a server going away has certainly not looked at; True if so."""
        if not self._stream.refused or self._request is None:
            return False
        request, self._request = self._request, None
        self._connection.release(self._stream)
        self._connection.close()
        self._begin()
        self._guarded(lambda: self._connection.send(self._stream, _prefix(request), request, end=True))
        return True

    def send_many(self, requests: Iterable[bytes]) -> None:
        """Send every request, small ones together, until the server ends the call."""
        together = bytearray()
        last_flush = 0.0
        for request in requests:
            if len(request) < SEND_TOGETHER:
                together += _prefix(request)
                together += request
                now = monotonic()
                if len(together) < SEND_TOGETHER and now - last_flush < SEND_AT_LEAST_EVERY:
                    continue
                last_flush = now
                self._send_batch(b"", bytes(together))
                together.clear()
            else:
                if together:
                    self._send_batch(b"", bytes(together))
                    together.clear()
                self._send_batch(_prefix(request), request)
            if self._stream.ended:
                return
        if together:
            self._send_batch(b"", bytes(together))
        self._guarded(lambda: self._connection.end_sending(self._stream))

    def _send_batch(self, head: bytes, body: bytes) -> None:
        self._guarded(lambda: self._connection.send(self._stream, head, body, end=False))
        self._guarded(self._connection.drain)  # an early answer must not wait until the window is used up

    def next_answer(self) -> bytes | None:
        """Return the next message, None when the call ended well; raise what it failed with."""
        ready = self._messages.ready
        while not ready:
            if not self._open:
                return None
            if self._stream.ended and not self._send_again():
                self._raise_failure()
                return None
            ready = self._messages.ready
            if not self._stream.ended:
                self._guarded(lambda: self._connection.receive(self._stream))
        return ready.popleft()

    def only_answer(self) -> bytes:
        """Return the single message of a call that ended well."""
        first = self.next_answer()
        if first is not None and self.next_answer() is None:
            return first
        number = "no message" if first is None else "several messages"
        raise errors.TrunklineError(f"{self._where} answered with {number} instead of one; see its log")

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do ``action``; a connection lost after the status arrived is no loss."""
        try:
            action()
        except BrokenConnection:
            if self._status() is None:
                raise
            self._stream.ended = True

    def _status(self) -> tuple[int, str] | None:
        for head in reversed(self._stream.heads):
            fields = dict(head)
            if "grpc-status" in fields:
                code = fields["grpc-status"]
                number = int(code) if code.isascii() and code.isdigit() else _UNKNOWN
                return number, _percent_decoded(fields.get("grpc-message", ""))
        return None

    def _raise_failure(self) -> None:
        code, message = self._status() or self._status_of_other_ends()
        if code == _OK:
            if self._messages.incomplete:
                raise errors.DataLoss(f"the answer of {self._where} ends inside a message; try again")
            return
        kind = ERRORS.get(code, errors.TrunklineError)
        raise kind(message or f"{self._where} answered with status {code} and no message; see its log")

    def _status_of_other_ends(self) -> tuple[int, str]:
        reset = self._stream.reset
        if reset is not None:
            message = f"{self._where} broke off the call (HTTP/2 error {reset}); see its log, then try again"
            return _FROM_RESET.get(reset, _INTERNAL), message
        http = dict(self._stream.heads[0]).get(":status", "") if self._stream.heads else ""
        if http in ("", "200"):
            return _UNKNOWN, f"{self._where} ended the call without a status; see its log"
        return _FROM_HTTP.get(http, _UNKNOWN), f"{self._where} answered HTTP {http}, not gRPC; check the address"

    def __enter__(self) -> _Call:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Release the channel; cancels the call if the server may still be at it."""
        if not self._open:
            return
        self._open = False
        try:
            self._connection.release(self._stream)
        finally:
            self._channel._busy.release()


class _Messages:
    """Cuts the payload of data frames into messages: five bytes of prefix, then the message."""

    def __init__(self) -> None:
        self.ready: deque[bytes] = deque()
        #: Bytes still missing of the message begun; 0 between messages.
        self.missing = 0
        self._pieces: list[bytes] = []
        self._prefix = b""

    @property
    def incomplete(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self.missing or self._prefix)

    def feed(self, piece: memoryview | bytes) -> None:
        """Take the next bytes of the stream."""
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
            raise errors.Unimplemented("the server sent a compressed message, which was not asked for")
        if length > LARGEST_MESSAGE:
            raise errors.ResourceExhausted(
                f"the server sent a message of {length} bytes; {LARGEST_MESSAGE} are the most that is accepted"
            )
        if not length:
            self.ready.append(b"")
        self.missing = length
        return position


def parse_address(address: str) -> tuple[str, int]:
    """Split ``address`` into host and port.

    Raises:
        InvalidArgument: it asks for TLS or is not an address.

    Example:
        >>> parse_address("grpc://localhost:30650")
        ('localhost', 30650)
    """
    scheme, separator, rest = address.strip().rpartition("://")
    if separator and scheme not in ("grpc", "http"):
        raise errors.InvalidArgument(
            f'the address "{address}" asks for {scheme}, but only plain gRPC is spoken; write grpc://host:port'
            " and let a proxy end TLS"
        )
    rest = rest.rstrip("/")
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]") or "localhost"
    number = int(port) if port.isascii() and port.isdigit() else 0
    if not 0 < number < 65_536 or any(character in host for character in "/@ ") or not rest:
        raise errors.InvalidArgument(f'the address "{address}" is not of the form host:port')
    return host, number


def _prefix(message: bytes) -> bytes:
    return _PREFIX.pack(0, len(message))


def _literal(name: int | str, value: str) -> bytes:
    """Encode a header as an HPACK literal without indexing (RFC 7541 section 6.2.2).

    It leaves no state behind, so heads of calls need no encoder; Huffman would save some bytes on loopback.
    """
    encoded = value.encode("ascii")
    if isinstance(name, int):
        head = _hpack_integer(name, 4)
    else:
        head = b"\x00" + _hpack_integer(len(name), 7) + name.encode("ascii")
    return head + _hpack_integer(len(encoded), 7) + encoded


def _hpack_integer(value: int, prefix_bits: int) -> bytes:
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes((value,))
    encoded = bytearray((limit,))
    value -= limit
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _checked(key: str, value: str) -> str:
    known = key.isascii() and key == key.lower() and key.replace("-", "").replace("_", "").replace(".", "").isalnum()
    if not known or not all(" " <= character <= "~" for character in value):
        raise errors.InvalidArgument(
            f'the metadata "{key}" cannot be sent; keys are lower-case letters, digits, "-", "_" and ".", values'
            " printable ASCII"
        )
    return value


def _percent_decoded(text: str) -> str:
    first, *rest = text.encode().split(b"%")
    decoded = bytearray(first)
    for part in rest:
        try:
            decoded += bytes((int(part[:2], 16),)) + part[2:]
        except ValueError:  # a lone percent sign means itself
            decoded += b"%" + part
    return decoded.decode("utf-8", "replace")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()
