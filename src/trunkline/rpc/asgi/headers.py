"""Converts HTTP headers to what gRPC means by them, and statuses to trailers."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status as StatusMessage
from msgspec import Struct

from trunkline import errors
from trunkline.rpc.status import MESSAGE_LIMIT, NUMBERS, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Domain of the reasons in ``google.rpc.ErrorInfo``.
DOMAIN = "trunkline"

# Headers of HTTP and of gRPC itself, which are not metadata.
_NOT_METADATA = frozenset(
    (
        b"content-type",
        b"te",
        b"host",
        b"content-length",
        b"grpc-timeout",
        b"grpc-encoding",
        b"grpc-accept-encoding",
    )
)
_TIMEOUT = b"grpc-timeout"
_ENCODING = b"grpc-encoding"
_CONNECT_TIMEOUT = b"connect-timeout-ms"
_GATEWAY_PREFIX = b"grpc-metadata-"
# Seconds of the units of grpc-timeout.
_UNITS = {72: 3600.0, 77: 60.0, 83: 1.0, 109: 1e-3, 117: 1e-6, 110: 1e-9}
_OK_TRAILERS = ((b"grpc-status", b"0"),)


class RequestHeaders(Struct):
    """What a request says before its body.

    Attributes:
        metadata: names in lower case; values are bytes when the name ends with ``-bin``.
        timeout: seconds until the client's deadline; None without one.
        encoding: how messages are compressed.
    """

    metadata: list[tuple[str, str | bytes]]
    timeout: float | None = None
    encoding: str = "identity"


def parse(headers: Iterable[tuple[bytes, bytes]]) -> RequestHeaders:
    """Read the headers of a request.

    Raises:
        InvalidArgument: metadata is not ASCII or not base64, or the deadline is not valid.
    """
    request = RequestHeaders([])
    for name, value in headers:
        if name not in _NOT_METADATA:
            request.metadata.append(_entry(name, value))
        elif name == _TIMEOUT:
            request.timeout = _timeout(value)
        elif name == _ENCODING:
            request.encoding = value.decode("latin-1")
    return request


def parse_web(headers: Iterable[tuple[bytes, bytes]]) -> RequestHeaders:
    """Read the headers of a request that is not gRPC, such as a browser's.

    All are metadata, as in Pachyderm's gateway; those that begin with ``grpc-metadata-`` also without that. What is not
    valid as metadata is left out unless it was sent as such.

    Raises:
        InvalidArgument: a header that begins with ``grpc-metadata-`` or the deadline is not valid.
    """
    request = RequestHeaders([])
    for name, value in headers:
        if name == _TIMEOUT:
            request.timeout = _timeout(value)
        elif name == _CONNECT_TIMEOUT:
            request.timeout = _milliseconds(value)
        elif name.startswith(_GATEWAY_PREFIX):
            request.metadata.append(_entry(name.removeprefix(_GATEWAY_PREFIX), value))
        elif name not in _NOT_METADATA and value.isascii() and not name.endswith(b"-bin"):
            request.metadata.append((name.decode("latin-1"), value.decode("ascii")))
    return request


def _milliseconds(value: bytes) -> float:
    if not value.isdigit() or len(value) > 10:
        text = value.decode("latin-1")
        raise errors.InvalidArgument(
            f'connect-timeout-ms "{text}" is not valid; write up to ten digits, in milliseconds'
        )
    return int(value) / 1000


def _entry(name: bytes, value: bytes) -> tuple[str, str | bytes]:
    key = name.decode("latin-1")
    if key.endswith("-bin"):
        try:  # padding may be missing
            return key, base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
        except binascii.Error as error:
            raise errors.InvalidArgument(
                f'metadata "{key}" is not base64: {error}; names that end with -bin carry encoded bytes'
            ) from error
    if not value.isascii():
        raise errors.InvalidArgument(
            f'metadata "{key}" has characters that are not ASCII; use a name that ends with -bin for such values'
        )
    return key, value.decode("ascii")


def _timeout(value: bytes) -> float:
    digits, unit = value[:-1], _UNITS.get(value[-1]) if value else None
    if unit is None or not 1 <= len(digits) <= 8 or not digits.isdigit():
        text = value.decode("latin-1")
        raise errors.InvalidArgument(
            f'grpc-timeout "{text}" is not valid; write up to eight digits and one of H, M, S, m, u, n'
        )
    return int(digits) * unit


def trailers(
    status: Status | None, metadata: Sequence[tuple[str, str | bytes]]
) -> Sequence[tuple[bytes, bytes]]:
    """Return the trailers that end a call.

    Args:
        status: how it ended; None for OK.
        metadata: what the servicer adds.
    """
    if status is None and not metadata:
        return _OK_TRAILERS
    entries = [(b"grpc-status", b"0")]
    if status is not None:
        entries[0] = (b"grpc-status", b"%d" % NUMBERS[status.code])
        message = percent_encoded(status.message)
        entries.append((b"grpc-message", message))
        details = base64.b64encode(status_message(status).SerializeToString()).rstrip(b"=")
        # Both together must fit into a client's limit of metadata.
        if len(message) + len(details) <= MESSAGE_LIMIT:
            entries.append((b"grpc-status-details-bin", details))
    entries += (encoded(name, value) for name, value in metadata)
    return entries


def encoded(name: str, value: str | bytes) -> tuple[bytes, bytes]:
    """Return an entry of metadata as a header."""
    if isinstance(value, bytes):
        return name.encode(), base64.b64encode(value).rstrip(b"=")
    return name.encode(), value.encode("ascii")


def status_message(status: Status) -> StatusMessage:
    """Return a status as ``google.rpc.Status``, its reason as ``google.rpc.ErrorInfo``."""
    message = StatusMessage(code=NUMBERS[status.code], message=status.message)
    if status.reason:
        info = Any()
        info.Pack(ErrorInfo(reason=status.reason, domain=DOMAIN))
        message.details.append(info)
    return message


def percent_encoded(text: str) -> bytes:
    """Encode ``grpc-message``: printable ASCII stays as it is, every other byte and ``%`` is escaped.

    So are spaces at the begin and the end, which a header must not have (RFC 9113, section 8.2.1).
    """
    data = text.encode(errors="replace")
    last = len(data) - 1
    return b"".join(
        b"%c" % byte
        if (0x21 <= byte <= 0x7E and byte != 0x25) or (byte == 0x20 and 0 < position < last)
        else b"%%%02X" % byte
        for position, byte in enumerate(data)
    )
