"""Connected sockets to a server: TCP, TLS on top of it, and Unix sockets.

All of them have the methods of a plain, non-blocking socket that ``http2`` uses. They are the interpreter's own:
``socket`` adds enumerations of hundreds of constants to them, which takes 3 ms.
"""

from __future__ import annotations

import _socket
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.client.address import Address
    from trunkline.client.trust import Trust

CONNECT_TIMEOUT = 10.0  # seconds


def connect(address: Address, trust: Trust, server: str, timeout: float | None) -> _socket.socket:
    """Return a connected socket that does not block.

    Args:
        address: of the server; uses TLS if its ``tls`` is true.
        trust: decides over TLS which server is accepted.
        server: the server's name in error messages.
        timeout: seconds; at most, and without one, ``CONNECT_TIMEOUT``.

    Raises:
        OSError: no server answers there.
        Unavailable: it does not speak TLS, or its certificate is not accepted.
        InvalidArgument: a file of a CA cannot be used.
    """
    limit = min(timeout or CONNECT_TIMEOUT, CONNECT_TIMEOUT)
    if address.path:
        return _unix(address.path, limit)
    # As bytes: a str would import the codec for international names, 3 ms.
    host = address.host.encode() if address.host.isascii() else address.host.encode("idna")
    connected = _tcp(host, address.port, limit)
    try:
        _set_options(connected)
        if address.tls:
            from trunkline.client import tls  # takes 10 ms

            connected = tls.wrap(connected, host, trust, server)
        connected.setblocking(False)
    except BaseException:
        connected.close()
        raise
    return connected


def _tcp(host: bytes, port: int, limit: float) -> _socket.socket:
    """Return a connection to the first address of a host that answers.

    Args:
        host: name or address.
        port: of the server.
        limit: seconds for each address.

    Raises:
        OSError: none answers; the error of the last one.
    """
    *others, last = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)
    for place in others:
        with contextlib.suppress(OSError):
            return _connected(place, limit)
    return _connected(last, limit)


def _connected(place: tuple[Any, ...], limit: float) -> _socket.socket:
    family, kind, protocol, _, address = place
    connected = _socket.socket(family, kind, protocol)
    try:
        connected.settimeout(limit)
        connected.connect(address)
    except BaseException:
        connected.close()
        raise
    return connected


def _unix(path: str, limit: float) -> _socket.socket:
    connected = _connected((_socket.AF_UNIX, _socket.SOCK_STREAM, 0, "", path), limit)
    connected.setblocking(False)
    return connected


def _set_options(connected: _socket.socket) -> None:
    connected.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    # A stream may be silent for hours; keep-alive detects a dead machine.
    connected.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):  # s, s, times
        if hasattr(_socket, option):
            connected.setsockopt(_socket.IPPROTO_TCP, getattr(_socket, option), value)
