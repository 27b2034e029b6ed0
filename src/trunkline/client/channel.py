"""A lean gRPC client: synchronous calls of bytes over one HTTP/2 connection.

The command line and every worker use it, because importing grpcio takes longer than everything else that they do
before their first call (``docs/design/decisions/0002-a-lean-grpc-client.md``). It sends and returns encoded
messages; ``stubs`` adds message classes. Failures are classes of ``trunkline.errors``, the same ones that the
server raised.

It must not import grpc, protobuf or asyncio. It has no compression and no concurrent calls: two calls at a time need
two channels.
"""

from __future__ import annotations

import _thread
from time import monotonic
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.client import address as addresses
from trunkline.client.grpc_messages import (
    ERRORS,
    FROM_HTTP,
    FROM_RESET,
    INTERNAL,
    OK,
    UNKNOWN,
    Messages,
    percent_decoded,
    prefix,
)
from trunkline.client.headers import literal
from trunkline.client.http2 import BrokenConnection, Connection
from trunkline.client.transport import connect
from trunkline.client.trust import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from trunkline.client.trust import Trust

SEND_TOGETHER = 64 << 10  # bytes of small messages that leave in one write
SEND_AT_LEAST_EVERY = 0.02  # seconds; bounds the delay of a slow producer's messages


class Channel:
    """A connection to one server, opened when first needed and again when it was lost.

    Args:
        address: ``host:port``, ``grpc://host:port``, ``grpcs://host:port`` for TLS, or ``unix:/path``.
        metadata: sent with every call; lower-case keys, printable ASCII values.
        trust: which servers are accepted over TLS. If it names a CA, an address without a scheme uses TLS.

    Raises:
        InvalidArgument: the address or a metadata entry is not valid.

    Example:
        >>> with Channel("localhost:30650") as channel:  # doctest: +SKIP
        ...     channel.unary("/versionpb_v2.API/GetVersion", b"")
    """

    def __init__(self, address: str, metadata: Iterable[tuple[str, str]] = (), trust: Trust = SYSTEM) -> None:
        parsed = addresses.parse(address)
        self._target = parsed if parsed.tls is not None else parsed._replace(tls=bool(trust))
        self._trust = trust
        #: The address without its scheme.
        self.address = str(self._target)
        self._name = f"the server at {self.address}"
        self.set_metadata(metadata)
        #: Metadata that came after the last answer to ``client_stream``.
        self.trailing: Mapping[str, str] = {}
        self._connection: Connection | None = None
        self._busy = _thread.allocate_lock()
        self._current = ""  # path of the call that holds the lock
        self._closed = False

    def sibling(self) -> Channel:
        """Return another channel to the same server, with the same metadata."""
        scheme = "" if self._target.path else "grpcs://" if self._target.tls else "grpc://"
        return Channel(f"{scheme}{self.address}", self.metadata, self._trust)

    def set_metadata(self, metadata: Iterable[tuple[str, str]]) -> None:
        """Replace the metadata of later calls.

        Raises:
            InvalidArgument: an entry is not valid.
        """
        self.metadata = tuple(metadata)
        self._metadata = b"".join(literal(key, _checked(key, value)) for key, value in self.metadata)

    def unary(self, path: str, request: bytes, timeout: float | None = None) -> bytes:
        """Send one message and return the one that answers it.

        Args:
            path: ``/package.Service/Method``.
            request: the encoded message.
            timeout: seconds; None for no limit.

        Raises:
            TrunklineError: the server's error, or ``Unavailable`` or ``DeadlineExceeded``.
        """
        with self._call(path, timeout) as call:
            call.send_only(request)
            return call.only_answer()

    def server_stream(self, path: str, request: bytes, timeout: float | None = None) -> Responses:
        """Send one message and return an iterator of the answers; the request has been sent on return.

        The channel is busy until the iterator is exhausted or closed; closing it cancels the call.

        Args:
            path: ``/package.Service/Method``.
            request: the encoded message.
            timeout: seconds for the whole call; None for no limit.
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

        An early error of the server ends the call at once: the rest of ``requests`` is not read. An exception of
        ``requests`` cancels the call and is raised.

        Args:
            path: ``/package.Service/Method``.
            requests: the encoded messages.
            timeout: seconds; None for no limit.

        Raises:
            TrunklineError: the server's error, or ``Unavailable`` or ``DeadlineExceeded``.
        """
        with self._call(path, timeout) as call:
            call.send_many(requests)
            answer = call.only_answer()
            self.trailing = call.trailing()
            return answer

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
            message = f"cannot call {path}: {self._current} is running on this channel; open another"
            raise RuntimeError(message)
        self._current = path
        try:
            deadline = None if timeout is None else monotonic() + timeout
            return _Call(self, self._head(path, timeout), deadline)
        except BaseException:
            self._busy.release()
            raise

    def _head(self, path: str, timeout: float | None) -> bytes:
        parts = [
            # :method POST and :scheme https or http, whole entries of the static table
            b"\x83\x87" if self._target.tls else b"\x83\x86",
            literal(4, path),  # :path
            literal(1, self._target.authority),  # :authority
            literal("te", "trailers"),
            literal(31, "application/grpc"),  # content-type
            literal(58, "trunkline"),  # user-agent
        ]
        if timeout is not None:
            # At most eight digits are allowed; longer than a day counts in seconds.
            in_seconds = timeout >= 86_400
            text = f"{min(int(timeout), 99_999_999)}S" if in_seconds else f"{max(1, int(timeout * 1000))}m"
            parts.append(literal("grpc-timeout", text))
        parts.append(self._metadata)
        return b"".join(parts)

    def _was_closed(self) -> errors.Unavailable:
        return errors.Unavailable(f"the channel to {self.address} was closed; open another")

    def _connected(self, deadline: float | None) -> Connection:
        if self._closed:
            raise self._was_closed()
        connection = self._connection
        if connection and not connection.closed:
            try:
                connection.drain()  # reads a goaway or an end that has arrived since the last call
            except errors.TrunklineError:
                connection.close()
            if connection.retired:
                connection.close()
        if not connection or connection.closed:
            timeout = None if deadline is None else max(deadline - monotonic(), 0.001)
            try:
                opened = connect(self._target, self._trust, self._name, timeout)
            except OSError as error:
                raise errors.Unavailable(
                    f"no server answers at {self.address} ({_reason(error)}); start one with"
                    ' "trunkline serve --data DIR" or name another with --address or PACHD_ADDRESS'
                ) from error
            connection = self._connection = Connection(opened, self._name)
            if self._closed:  # while it was opened
                connection.close()
                raise self._was_closed()
        connection.deadline = deadline
        return connection


class Responses:
    """The answers of a server stream: an iterator that can be closed early."""

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
        """Cancel the call unless it has ended; a second call does nothing."""
        self._call.close()

    def __enter__(self) -> Responses:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class _Call:
    """One call. It owns the channel's lock until ``close``."""

    def __init__(self, channel: Channel, head: bytes, deadline: float | None) -> None:
        self._channel = channel
        self._where = f"the server at {channel.address}"
        self._head = head
        self._deadline = deadline
        self._open = True
        #: The request, as long as it may be repeated.
        self._request: bytes | None = None
        self._begin()

    def _begin(self) -> None:
        connection = self._connection = self._channel._connected(self._deadline)
        if len(self._head) > connection.header_list_limit:
            raise errors.InvalidArgument(
                f"the metadata takes {len(self._head)} bytes but {self._where} accepts"
                f" {connection.header_list_limit}; send less"
            )
        self._messages = Messages()
        self._stream = connection.open(self._head, self._messages)

    def send_only(self, request: bytes) -> None:
        """Send the only request of a call and end the request stream."""
        self._request = request
        self._guarded(lambda: self._connection.send(self._stream, prefix(request), request, end=True))

    def _send_again(self) -> bool:
        """Repeat a request that a stopping server has certainly not processed; True if so."""
        if not self._stream.refused or self._request is None:
            return False
        request, self._request = self._request, None
        self._connection.release(self._stream)
        self._connection.close()
        self._begin()
        self._guarded(lambda: self._connection.send(self._stream, prefix(request), request, end=True))
        return True

    def send_many(self, requests: Iterable[bytes]) -> None:
        """Send all requests, batching small ones, until the server ends the call."""
        together = bytearray()
        last_flush = 0.0
        for request in requests:
            if len(request) < SEND_TOGETHER:
                together += prefix(request)
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
                self._send_batch(prefix(request), request)
            if self._stream.ended:
                return
        if together:
            self._send_batch(b"", bytes(together))
        self._guarded(lambda: self._connection.end_sending(self._stream))

    def _send_batch(self, head: bytes, body: bytes) -> None:
        self._guarded(lambda: self._connection.send(self._stream, head, body, end=False))
        self._guarded(self._connection.drain)  # notice an early answer before the window is used up

    def next_answer(self) -> bytes | None:
        """Return the next message; None when the call succeeded.

        Raises:
            TrunklineError: the call failed.
        """
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
        """Return the only message of a successful call.

        Raises:
            TrunklineError: the call failed, or had no message or several.
        """
        first = self.next_answer()
        if first is not None and self.next_answer() is None:
            return first
        number = "no message" if first is None else "several messages"
        raise errors.TrunklineError(f"{self._where} answered with {number} instead of one; see its log")

    def trailing(self) -> Mapping[str, str]:
        """Return what the last block of headers has, with the status of the call."""
        return dict(self._stream.heads[-1]) if self._stream.heads else {}

    def _guarded(self, action: Callable[[], None]) -> None:
        """Run ``action``; ignore that the connection was lost after the status arrived."""
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
                number = int(code) if code.isascii() and code.isdigit() else UNKNOWN
                return number, percent_decoded(fields.get("grpc-message", ""))
        return None

    def _raise_failure(self) -> None:
        code, message = self._status() or self._status_without_grpc()
        if code == OK:
            if self._messages.incomplete:
                raise errors.DataLoss(f"the answer of {self._where} ends inside a message; try again")
            return
        kind = ERRORS.get(code, errors.TrunklineError)
        error = kind(message or f"{self._where} answered with status {code} and no message; see its log")
        error.answered = True
        raise error

    def _status_without_grpc(self) -> tuple[int, str]:
        reset = self._stream.reset
        if reset is not None:
            message = f"{self._where} aborted the call (HTTP/2 error {reset}); see its log, then try again"
            return FROM_RESET.get(reset, INTERNAL), message
        http = dict(self._stream.heads[0]).get(":status", "") if self._stream.heads else ""
        if http in ("", "200"):
            return UNKNOWN, f"{self._where} ended the call without a status; see its log"
        message = f"{self._where} answered HTTP {http}, not gRPC; check the address"
        return FROM_HTTP.get(http, UNKNOWN), message

    def __enter__(self) -> _Call:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Release the channel; cancels the call if the server may still process it."""
        if not self._open:
            return
        self._open = False
        try:
            self._connection.release(self._stream)
        finally:
            self._channel._busy.release()


def _checked(key: str, value: str) -> str:
    plain = key.replace("-", "").replace("_", "").replace(".", "")
    valid = plain.isascii() and plain.isalnum() and key == key.lower()
    if not valid or not all(" " <= character <= "~" for character in value):
        raise errors.InvalidArgument(
            f'the metadata "{key}" cannot be sent; keys are lower-case letters, digits, "-", "_" and ".",'
            " values printable ASCII"
        )
    return value


def _reason(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()
