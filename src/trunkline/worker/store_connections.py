"""HTTP connections to the object store, kept from request to request.

Imported with the first file that goes past the server: the library costs a worker that never does 25 ms.
"""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

#: Seconds to make a connection: a network policy that forbids it drops packets silently.
_CONNECT = 5.0
#: Seconds without a byte.
_SILENCE = 20.0
#: Bytes of a file that are sent at a time.
_BLOCK = 1 << 20


class Connections:
    """Kept connections, by scheme and host. Used by one thread at a time."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], http.client.HTTPConnection] = {}

    def request(
        self, method: str, url: str, headers: dict[str, str], body: object = None
    ) -> http.client.HTTPResponse:
        """Send a request; return its answer, whose body must be read or the connection dropped.

        Raises:
            OSError: the connection cannot be made or broke.
            HTTPException: what came is no HTTP.
        """
        parts = urlsplit(url)
        where = (parts.scheme, parts.netloc)
        connection = self._kept.get(where)
        if connection is None:
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            connection = kind(parts.netloc, timeout=_CONNECT, blocksize=_BLOCK)
            connection.connect()
            connection.sock.settimeout(_SILENCE)
            self._kept[where] = connection
        try:
            connection.request(method, f"{parts.path}?{parts.query}", body, headers)  # type: ignore[arg-type]
            return connection.getresponse()
        except BaseException:
            self.drop(url)
            raise

    def drop(self, url: str) -> None:
        """Close the connection to a URL's host."""
        parts = urlsplit(url)
        connection = self._kept.pop((parts.scheme, parts.netloc), None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close all connections."""
        for connection in self._kept.values():
            connection.close()
        self._kept.clear()
