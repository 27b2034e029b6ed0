"""Connected sockets to a server: TCP, TLS on top of it, and Unix sockets.

All of them have the methods of a plain, non-blocking socket that ``http2`` uses.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.client.address import Address
    from trunkline.client.trust import Trust

CONNECT_TIMEOUT = 10.0  # seconds


def connect(address: Address, trust: Trust, server: str, timeout: float | None) -> socket.socket:
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
    connected = socket.create_connection((host, address.port), limit)  # type: ignore[arg-type]
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


def _unix(path: str, limit: float) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(limit)
        connected.connect(path)
        connected.setblocking(False)
    except BaseException:
        connected.close()
        raise
    return connected


def _set_options(connected: socket.socket) -> None:
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A stream may be silent for hours; keep-alive detects a dead machine.
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):  # s, s, times
        if hasattr(socket, option):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
