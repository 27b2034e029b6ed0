"""Opens listening sockets for addresses: HOST:PORT, and unix:PATH."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from typing import TYPE_CHECKING, Any

from trunkline import errors

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Connections that wait to be accepted.
BACKLOG = 1024
#: Seconds of silence after which the system asks whether a connection's other end is still there, the seconds between
#: further questions, and their number. Subscriptions are silent for hours; routers drop silent connections sooner.
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 60, 20, 3

UNIX = "unix:"

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
            f'cannot listen on "{listen}": write HOST:PORT, for example 127.0.0.1:30650, or unix:PATH'
        )
    return host, int(port)


class Listeners:
    """The listening sockets of a server on all its addresses."""

    def __init__(self, listens: Iterable[str]) -> None:
        """Listen.

        Args:
            listens: ``HOST:PORT`` or ``unix:PATH`` each; with port 0 the system chooses a port.

        Raises:
            InvalidArgument: one of them is neither.
            Unavailable: one of them cannot be listened on; then none is.
        """
        self.tcp: list[socket.socket] = []
        self.unix: list[socket.socket] = []
        #: The addresses as given, with real ports.
        self.addresses: list[str] = []
        self._files: list[tuple[str, int]] = []
        try:
            for listen in listens:
                self._add(listen)
        except BaseException:
            self.close()
            raise

    @property
    def ports(self) -> set[int]:
        """The ports of TCP."""
        return {opened.getsockname()[1] for opened in self.tcp}

    @property
    def address(self) -> str:
        """The first address for TCP, else the first one."""
        return next((a for a in self.addresses if not a.startswith(UNIX)), self.addresses[0])

    def _add(self, listen: str) -> None:
        if listen.startswith(UNIX):
            path = os.path.abspath(listen.removeprefix(UNIX))
            self.unix.append(_unix(path))
            self._files.append((path, os.lstat(path).st_ino))
            self.addresses.append(UNIX + path)
        else:
            address, opened = sockets(listen)
            self.tcp += opened
            self.addresses.append(address)

    def close(self) -> None:
        """Close the sockets, and remove the files of Unix sockets."""
        for opened in (*self.tcp, *self.unix):
            opened.close()
        for path, inode in self._files:
            with contextlib.suppress(FileNotFoundError):
                if os.lstat(path).st_ino == inode:
                    os.unlink(path)
        self._files.clear()


def _unix(path: str) -> socket.socket:
    """Return a listening Unix socket that only this user may connect to.

    Raises:
        Unavailable: the path is in use, or the file cannot be made.
    """
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        opened.setblocking(False)
        try:
            _remove_stale(path)
            opened.bind(path)
            os.chmod(path, 0o600)  # nobody can connect before listen
            opened.listen(BACKLOG)
        except OSError as error:
            raise unavailable(UNIX + path, error.strerror or str(error)) from error
        stack.pop_all()
    return opened


def _remove_stale(path: str) -> None:
    """Remove the socket that a killed server has left.

    Raises:
        OSError: the path is in use.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "the path exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass  # its server is busy
    raise OSError(errno.EADDRINUSE, "another server listens there")


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
    advice = "" if listen.startswith(UNIX) else ", or port 0 for any free one"
    return errors.Unavailable(
        f"cannot listen on {listen}: {why}; choose another address with --listen{advice}"
    )
