"""Persistent HTTP connections to the object store.

Imported with the first direct transfer: importing the library takes 25 ms.
"""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

#: Seconds to make a connection: a network policy that forbids it drops packets silently.
_CONNECT = 5.0
#: Seconds without a byte.
_SILENCE = 20.0
#: Bytes of a file per write.
_BLOCK = 1 << 20


class Connections:
    """Persistent connections by scheme and host. Used by one thread at a time."""

    def __init__(self) -> None:
        self._connections: dict[tuple[str, str], http.client.HTTPConnection] = {}

    def request(
        self, method: str, url: str, headers: dict[str, str], body: object = None
    ) -> http.client.HTTPResponse:
        """Send a request; return its answer, whose body must be read or the connection dropped.

        Args:
            method: such as ``GET``.
            url: the full URL.
            headers: of the request.
            body: of the request; None for none.

        Raises:
            OSError: the connection cannot be opened, or broke.
            HTTPException: the answer is not valid HTTP.
        """
        parts = urlsplit(url)
        where = (parts.scheme, parts.netloc)
        connection = self._connections.get(where)
        if connection is None:
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            connection = kind(parts.netloc, timeout=_CONNECT, blocksize=_BLOCK)
            connection.connect()
            connection.sock.settimeout(_SILENCE)
            self._connections[where] = connection
        try:
            connection.request(method, f"{parts.path}?{parts.query}", body, headers)  # type: ignore[arg-type]
            return connection.getresponse()
        except BaseException:
            self.drop(url)
            raise

    def drop(self, url: str) -> None:
        """Close the connection to a URL's host."""
        parts = urlsplit(url)
        connection = self._connections.pop((parts.scheme, parts.netloc), None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
