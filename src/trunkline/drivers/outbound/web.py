"""Reads files by HTTP and HTTPS.

``http.client`` of the standard library: a client whose connection is made by us, to a checked address, is one
overridden method, and blocking reads fit the threads that transfers run in (decision 87).
"""

from __future__ import annotations

import base64
import functools
import http.client
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

from trunkline import __version__
from trunkline.drivers.outbound.sockets import SILENCE, WatchedSocket, connected, described
from trunkline.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    TrunklineError,
    Unavailable,
)
from trunkline.model import limits, outbound

if TYPE_CHECKING:
    from collections.abc import Generator

    from trunkline.model.outbound import Rules, Target

#: Redirects of one read.
REDIRECTS = 10
#: Bytes of a piece.
PIECE = 1 << 20
#: Pauses before further attempts at a server that does not answer or is overloaded, in seconds.
_PAUSES = (0.2, 1.0)
_REDIRECTING = (301, 302, 303, 307, 308)
_OVERLOADED = (429, 502, 503, 504)


def read(rules: Rules, target: Target) -> Generator[bytes]:
    """Yield the bytes that a GET is answered with; errors as ``ports.Outbound.read``."""
    connection, response, target = _answered(rules, target)
    with connection, response:
        size = 0
        announced = response.length
        while True:
            try:
                piece = response.read(PIECE)
            except (http.client.HTTPException, OSError) as error:
                raise _broken(target) from error
            if not piece:
                break
            size += len(piece)
            if size > limits.URL_BYTES:
                raise InvalidArgument(
                    f"{target} has more than {limits.URL_BYTES:,} bytes, the limit; fetch it in parts"
                )
            yield piece
        if announced is not None and size < announced:
            raise _broken(target)


def _broken(target: Target) -> Unavailable:
    return Unavailable(f"{target} broke off in the middle of its answer; try again")


def _answered(rules: Rules, target: Target) -> tuple[_Connection, http.client.HTTPResponse, Target]:
    """Return the successful response to a GET, after redirects, with its connection and its URL."""
    credentials = _credentials(target)
    origin = target
    for _ in range(REDIRECTS + 1):
        rules.check(target)
        same = (target.scheme, target.host, target.port) == (origin.scheme, origin.host, origin.port)
        connection, response = _patiently(rules, target, credentials if same else {})
        if response.status == 200:
            return connection, response, target
        location = response.getheader("Location")
        response.close()
        connection.close()
        if response.status not in _REDIRECTING or location is None:
            raise _refused(target, response.status)
        redirected = outbound.parse(urljoin(target.url, location.strip()))
        if redirected.scheme not in ("http", "https") or (target.scheme, redirected.scheme) == (
            "https",
            "http",
        ):
            raise PermissionDenied(
                f"{target} redirects to {redirected}, which is less safe; use that URL itself if it is trusted"
            )
        target = redirected
    raise FailedPrecondition(
        f"{target} redirects more than {REDIRECTS} times; use the URL of the file itself"
    )


def _patiently(
    rules: Rules, target: Target, headers: dict[str, str]
) -> tuple[_Connection, http.client.HTTPResponse]:
    """Return the response to a GET; tries again while the server does not answer."""
    for pause in (*_PAUSES, None):
        connection = _Connection(rules, target)
        try:
            response = connection.get(headers)
        except Unavailable:
            connection.close()
            if pause is None:
                raise
        except BaseException:
            connection.close()
            raise
        else:
            if response.status not in _OVERLOADED or pause is None:
                return connection, response
            response.close()
            connection.close()
        time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _credentials(target: Target) -> dict[str, str]:
    """Return the header for the user information in a URL."""
    parts = urlsplit(target.url)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _refused(target: Target, status: int) -> TrunklineError:
    if status in (404, 410):
        return NotFound(f"{target} does not exist (HTTP {status}); check the URL")
    if status in (401, 403):
        return PermissionDenied(f"{target} refuses access (HTTP {status}); use a URL that may be read")
    if status >= 500 or status == 429:
        return Unavailable(f"{target} failed (HTTP {status}); try again later")
    return FailedPrecondition(f"{target} answers with HTTP {status} instead of a file; check the URL")


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Connection(http.client.HTTPConnection):
    """One connection for one GET, to a checked address."""

    sock: WatchedSocket  # has what http.client uses of a socket

    def __init__(self, rules: Rules, target: Target) -> None:
        super().__init__(f"[{target.host}]" if ":" in target.host else target.host, target.port)
        self.default_port = outbound.PORTS[target.scheme]  # left out of Host
        self._rules = rules
        self._target = target

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> None:
        """Connect; overrides what would resolve the host again."""
        sock = connected(self._rules, self._target)
        if self._target.scheme == "https":
            try:
                sock = _tls().wrap_socket(sock, server_hostname=self._target.host)
            except ssl.SSLCertVerificationError as error:
                sock.close()
                raise FailedPrecondition(
                    f"the certificate of {self._target} is not trusted ({error.verify_message}); correct it, or add"
                    " its CA to those of the server's machine (SSL_CERT_FILE)"
                ) from error
            except OSError as error:
                sock.close()
                raise Unavailable(
                    f"cannot connect to {self._target} by TLS: {described(error)}; try again"
                ) from error
        self.sock = WatchedSocket(sock, self._target, SILENCE)

    def get(self, headers: dict[str, str]) -> http.client.HTTPResponse:
        """Send the GET and return its response; the headers must come within the silence that is allowed."""
        parts = urlsplit(self._target.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"User-Agent": f"trunkline/{__version__}", "Accept": "*/*", **headers}
        try:
            self.request("GET", path, headers={**headers, "Accept-Encoding": "identity"})
            watched = self.sock
            response = self.getresponse()
        except (http.client.HTTPException, OSError, ValueError) as error:
            raise Unavailable(
                f"{self._target} gives no valid answer ({described(error)}); check the URL, or try again"
            ) from error
        watched.deadline = time.monotonic() + limits.URL_TIME
        return response
