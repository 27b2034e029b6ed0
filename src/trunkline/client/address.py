"""Addresses of servers, as people write them."""

from __future__ import annotations

from typing import NamedTuple

from trunkline.errors import InvalidArgument

DEFAULT_PORT = 30650
_PLAIN, _TLS = ("grpc", "http"), ("grpcs", "https")


class Address(NamedTuple):
    """Where a server is, and how it is reached."""

    host: str = "localhost"
    port: int = DEFAULT_PORT
    #: Whether the connection uses TLS; None where the address does not say.
    tls: bool | None = None
    #: Path of a Unix socket; empty for TCP.
    path: str = ""

    @property
    def authority(self) -> str:
        """Host and port, as requests name the server; the host alone for a Unix socket."""
        if self.path:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine is meant: a Unix socket, localhost or an address of the loopback network."""
        if self.path or self.host == "localhost":
            return True
        import ipaddress  # takes 5 ms, which no other command needs

        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else self.authority


def parse(text: str) -> Address:
    """Read ``host:port``, ``host``, ``grpc://host:port``, ``grpcs://host:port`` (TLS) or ``unix:/path``.

    An IPv6 host is in brackets; ``http`` and ``https`` mean the same as ``grpc`` and ``grpcs``.

    Raises:
        InvalidArgument: it is none of them.

    Example:
        >>> parse("grpcs://lab.example.org:30650")
        Address(host='lab.example.org', port=30650, tls=True, path='')
    """
    stripped = text.strip()
    if stripped.startswith("unix:"):
        path = stripped.removeprefix("unix:")
        path = path.removeprefix("//") if path.startswith("///") else path
        if not path.strip("/") or "\0" in path:
            raise InvalidArgument(f'the address "{text}" names no Unix socket; write unix:/path/to/socket')
        return Address(tls=False, path=path)
    scheme, separator, rest = stripped.rpartition("://")
    if separator and scheme not in (*_PLAIN, *_TLS):
        raise InvalidArgument(
            f'the address "{text}" uses {scheme}, which is not supported;'
            " write grpc://host:port, or grpcs://host:port for TLS"
        )
    rest = rest.rstrip("/")
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]") or "localhost"
    number = int(port) if port.isascii() and port.isdigit() else 0
    if not 0 < number < 65_536 or any(character in host for character in "/@ ") or not rest:
        raise InvalidArgument(
            f'the address "{text}" is not valid; write host:port, grpcs://host:port for TLS, or unix:/path'
        )
    return Address(host, number, scheme in _TLS if separator else None)
