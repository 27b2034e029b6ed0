"""The TCP connections that this process has accepted, as the kernel knows them: whose, what they do, and their end.

For servers whose library keeps its connections to itself. Empty where the kernel does not show its connections.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

from trunkline.linux import half_closed
from trunkline.linux.half_closed import Connection

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

#: A line of the tables for an established (1) or half closed (8) connection: local port, the peer's address and port,
#: inode. The format is in proc_net_tcp.rst of the kernel's documentation.
_LINE = re.compile(
    rb"^ *[0-9]+: [0-9A-F]+:([0-9A-F]{4}) ([0-9A-F]+):([0-9A-F]{4}) 0[18] (?:\S+ +){5}([0-9]+) ", re.MULTILINE
)
#: Bytes of the tables that are searched at a time: other threads have their turn after each.
_PORTION = 1 << 16
_DESCRIPTORS = "/proc/self/fd"
#: ``tcpi_last_data_sent``, ``tcpi_last_data_recv`` and ``tcpi_bytes_received`` of ``struct tcp_info`` (linux/tcp.h).
_INFO = struct.Struct("=44xI4xI72xQ")


class Accepted(NamedTuple):
    """An accepted connection."""

    connection: Connection
    #: The number of its socket.
    inode: int


class Traffic(NamedTuple):
    """What has passed over a connection."""

    #: Bytes from the peer so far.
    received: int
    #: Seconds since something was received, and since something was sent.
    silence: float
    sent_before: float


def accepted(ports: Collection[int]) -> Iterator[Accepted]:
    """Yield the connections to some ports of this machine. Costs 2 µs for each connection of the machine.

    Args:
        ports: that this process listens on.
    """
    local = {b"%04X" % port for port in ports}
    for portion in _portions():
        for port, peer, peer_port, inode in _LINE.findall(portion):
            if port in local and inode != b"0":  # 0: not accepted yet
                address = half_closed.address(peer)
                yield Accepted(Connection(address, int(peer_port, 16), int(port, 16)), int(inode))


def descriptors(inodes: Collection[int]) -> dict[int, int]:
    """Return the descriptors of sockets of this process, by the numbers of the sockets.

    Args:
        inodes: numbers of sockets.
    """
    if not inodes:
        return {}
    links = {f"socket:[{inode}]": inode for inode in inodes}
    by_inode: dict[int, int] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(_DESCRIPTORS):
            with contextlib.suppress(OSError):
                inode = links.get(os.readlink(f"{_DESCRIPTORS}/{name}"))
                if inode is not None:
                    by_inode[inode] = int(name)
    return by_inode


def traffic(descriptor: int, inode: int) -> Traffic | None:
    """Return what has passed over a connection; None when the descriptor is not that socket any more.

    Args:
        descriptor: that the connection had.
        inode: the number of its socket.
    """
    with _same(descriptor, inode) as opened:
        if opened is None:
            return None
        info = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
        if len(info) < _INFO.size:  # a kernel older than 4.6
            return None
        sent, received, size = _INFO.unpack(info)
        return Traffic(size, received / 1000, sent / 1000)


def end(descriptor: int, inode: int) -> None:
    """End a connection: whoever uses it sees that its peer has closed it.

    Args:
        descriptor: that the connection had.
        inode: the number of its socket.
    """
    with _same(descriptor, inode) as opened:
        if opened is not None:
            opened.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _same(descriptor: int, inode: int) -> Iterator[socket.socket | None]:
    """Give a copy of a socket: its descriptor may be closed, and become another file, at any time."""
    copy = None
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            duplicate = os.dup(descriptor)
            if os.fstat(duplicate).st_ino == inode:
                copy = stack.enter_context(
                    socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=duplicate)
                )
            else:
                os.close(duplicate)
        with contextlib.suppress(OSError):  # it has ended
            yield copy


def _portions() -> Iterator[bytes]:
    """Yield the tables in portions of whole lines."""
    for path in half_closed.TABLES:
        with contextlib.suppress(OSError), open(path, "rb") as table:
            rest = b""
            while piece := table.read(_PORTION):
                portion, _, rest = (rest + piece).rpartition(b"\n")
                yield portion + b"\n"
