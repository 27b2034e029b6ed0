"""Opens listening sockets for addresses in the form HOST:PORT."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import Any

from trunkline import errors

#: Connections that wait to be accepted.
BACKLOG = 1024
#: Seconds of silence after which the system asks whether a connection's other end is still there, the seconds between
#: further questions, and their number. Subscriptions are silent for hours; routers drop silent connections sooner.
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 60, 20, 3

# A machine without IPv6 has the name localhost for an address that it lacks.
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def parse(listen: str) -> tuple[str, int]:
    """Return host and port; a host in brackets is an IPv6 address.

    Raises:
        InvalidArgument: ``listen`` is not ``HOST:PORT``.
    """
    host, _, port = listen.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise errors.InvalidArgument(
            f'cannot listen on "{listen}": write HOST:PORT, for example 127.0.0.1:30650'
        )
    return host, int(port)


def sockets(listen: str) -> tuple[str, list[socket.socket]]:
    """Listen on every address of a host.

    Args:
        listen: ``HOST:PORT``; with port 0 the system chooses a port, the same for every address.

    Returns:
        ``HOST:PORT`` with the real port, and the listening sockets.

    Raises:
        InvalidArgument: ``listen`` is not ``HOST:PORT``.
        Unavailable: the address cannot be listened on, for example because the port is taken.
    """
    host, port = parse(listen)
    opened: list[socket.socket] = []
    with contextlib.ExitStack() as stack:
        failed: OSError | None = None
        try:
            for family, _, _, _, address in socket.getaddrinfo(
                host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ):
                try:
                    opened.append(stack.enter_context(_listening(family, (address[0], port, *address[2:]))))
                except OSError as error:
                    if error.errno not in _NO_SUCH_ADDRESS:
                        raise
                    failed = error
                else:
                    port = opened[-1].getsockname()[1]
        except OSError as error:
            failed, opened = error, []
        if not opened:
            why = (failed and failed.strerror) or "the name has no address"
            raise unavailable(listen, why) from failed
        stack.pop_all()
    return f"{host}:{port}", opened


def _listening(family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
    """Return a listening socket; accepted connections inherit its options."""
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
        opened.listen(BACKLOG)
        stack.pop_all()
    return opened


def unavailable(listen: str, why: str) -> errors.Unavailable:
    """Return the error for an address that cannot be listened on."""
    return errors.Unavailable(
        f"cannot listen on {listen}: {why}; choose another address with --listen, or port 0 for any free one"
    )
