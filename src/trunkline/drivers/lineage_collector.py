"""Sends events to a server that speaks OpenLineage's HTTP interface, such as Marquez. The operator names it."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from trunkline.errors import InvalidArgument, Unavailable

#: Seconds that a request may take.
TIMEOUT = 10.0


class HttpCollector:
    """Implements ``ports.LineageCollector``."""

    def __init__(self, url: str, key: str) -> None:
        """Connect to nothing yet.

        Args:
            url: where events are posted to; without a path ``/api/v1/lineage``.
            key: sent as a bearer token; empty for none.

        Raises:
            InvalidArgument: the URL is not valid.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidArgument(
                f'--openlineage "{url}" is not the URL of a server; write for example http://marquez:5000'
            )
        self._parts = parts
        self._path = parts.path if parts.path not in ("", "/") else "/api/v1/lineage"
        self._headers = {"content-type": "application/json"}
        if key:
            self._headers["authorization"] = f"Bearer {key}"

    def send(self, event: bytes) -> None:
        """See ``ports.LineageCollector``."""
        parts = self._parts
        secure = parts.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = connect(str(parts.hostname), parts.port, timeout=TIMEOUT)
        try:
            connection.request("POST", self._path, event, self._headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{parts.hostname} does not answer: {error}") from error
        finally:
            connection.close()
        if status >= 300:
            raise Unavailable(f"{parts.hostname} answered {status}")
