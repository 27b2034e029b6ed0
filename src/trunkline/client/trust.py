"""Which servers a client accepts."""

from __future__ import annotations

from typing import NamedTuple


class Trust(NamedTuple):
    """Which servers a client accepts over TLS. Without files and texts: those that the system's CAs have signed."""

    #: Files with certificates of CAs in PEM; read for each connection, because they may be renewed.
    files: tuple[str, ...] = ()
    #: Certificates of CAs in PEM.
    text: str = ""
    #: Name that the server's certificate must be for; empty for the host of the address.
    name: str = ""

    def __bool__(self) -> bool:
        return bool(self.files or self.text)


#: The CAs of the system.
SYSTEM = Trust()
