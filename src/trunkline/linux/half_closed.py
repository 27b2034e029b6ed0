"""Finds the TCP connections whose peer has closed them."""

from __future__ import annotations

import functools
import ipaddress
import re
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A line of the tables for a connection in state CLOSE_WAIT (8): the local port, the peer's address and port. The
#: format is in proc_net_tcp.rst of the kernel's documentation.
_CLOSE_WAIT = re.compile(rb"^ *[0-9]+: [0-9A-F]+:([0-9A-F]{4}) ([0-9A-F]+):([0-9A-F]{4}) 08 ", re.MULTILINE)
#: The kernel's tables of connections, for IPv4 and IPv6.
TABLES = ("/proc/self/net/tcp", "/proc/self/net/tcp6")


class Connection(NamedTuple):
    """A connection, by what tells it from all others of a server."""

    peer: str
    peer_port: int
    port: int


def half_closed() -> set[Connection]:
    """Return the connections of this machine whose peer has closed them and whose server has not.

    Costs about 2 µs for each connection of the machine. Empty where the kernel does not show its connections.
    """
    return {
        Connection(address(peer), int(peer_port, 16), int(port, 16))
        for table in _tables()
        for port, peer, peer_port in _CLOSE_WAIT.findall(table)
    }


def normal(written: str) -> str:
    """Return an IP address as ``half_closed`` writes it: IPv4 addresses in IPv6 as IPv4 ones, without a zone.

    Raises:
        ValueError: it is not an IP address.
    """
    parsed = ipaddress.ip_address(written.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _tables() -> Iterator[bytes]:
    for path in TABLES:
        try:
            with open(path, "rb") as table:
                yield table.read()
        except OSError:
            continue


@functools.lru_cache(4096)
def address(text: bytes) -> str:
    """Return the address that the tables write as 32-bit words in the machine's order of bytes."""
    words = bytes.fromhex(text.decode())
    if sys.byteorder == "little":
        words = b"".join(words[begin : begin + 4][::-1] for begin in range(0, len(words), 4))
    return normal(str(ipaddress.ip_address(words)))
