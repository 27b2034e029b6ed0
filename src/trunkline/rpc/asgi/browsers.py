"""Which requests of browsers are admitted, before they are routed (docs/design/port.md).

A page from anywhere can make its visitor's browser send requests to a server on the visitor's machine or network. Two
checks keep such pages out, and neither needs a login:

- The ``Host`` header must name this server. A page whose own name was made to point to this server's address (DNS
  rebinding) sends its own name.
- A request that may change something must not come from a page of another origin. The rules are those of
  ``CrossOriginProtection`` in Go's ``net/http``: ``Sec-Fetch-Site`` decides, and ``Origin`` for browsers without it. A
  request with neither comes from a program.

Other origins can be configured. They get the headers of CORS too.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from trunkline import errors
from trunkline.rpc.asgi.responses import respond, respond_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.rpc.asgi.types import Event, Scope, Send

_READS = frozenset(("GET", "HEAD", "OPTIONS"))
#: Seconds that browsers remember the answer to a preflight request; Chromium's maximum.
_PREFLIGHT_AGE = b"7200"


class BrowserChecks:
    """What requests of browsers are compared with."""

    def __init__(
        self, listens: Iterable[str], hosts: Iterable[str] = (), origins: Iterable[str] = ()
    ) -> None:
        """Make it.

        Args:
            listens: where the server listens, ``HOST:PORT`` each; Unix sockets have no names.
            hosts: more names that ``Host`` may have, without ports.
            origins: other origins whose pages may use the server, such as ``https://console.example.org``.

        Raises:
            InvalidArgument: a host or an origin is not valid.
        """
        self._names = {_checked_host(name) for name in hosts}
        self._names |= {_host_of(address) for address in listens if not address.startswith("unix:")}
        self._origins = {_checked_origin(origin) for origin in origins}
        self._any_address = any(_is_unspecified(name) for name in self._names)

    async def admit(self, scope: Scope, send: Send) -> Send | None:
        """Return what to send the response of a request with; None when it is refused and answered.

        Args:
            scope: of the request.
            send: of ASGI.
        """
        hosts, origin, site, is_preflight = _facts(scope)
        if not hosts or not all(self._is_own(_host_of(host)) for host in hosts):
            host = hosts[0] if hosts else ""
            refusal = (
                f'"{host}" is not a name of this server; use its address, or add the name with --allow-host'
            )
            await respond_text(send, 403, refusal)
            return None
        if origin in self._origins:
            send = _with_cors(send, origin)
            if is_preflight:
                await _answer_preflight(scope, send)
                return None
        elif is_preflight or (scope["method"] not in _READS and not _is_same_origin(hosts[0], origin, site)):
            refusal = (
                f'pages of another origin ("{origin}") may not use this server; add it with --allow-origin'
            )
            await respond_text(send, 403, refusal)
            return None
        return send

    def _is_own(self, name: str) -> bool:
        """Return whether a name of ``Host`` is this server's."""
        if name in self._names or name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or self._any_address


def _is_same_origin(host: str, origin: str, site: str) -> bool:
    if site:
        return site in ("same-origin", "none")  # none: the user, not a page
    return not origin or origin.partition("://")[2] == host.lower()


async def _answer_preflight(scope: Scope, send: Send) -> None:
    asked = [value for name, value in scope["headers"] if name == b"access-control-request-headers"]
    extra = [
        (b"access-control-allow-methods", b"GET, HEAD, POST, PUT"),
        (b"access-control-allow-headers", b", ".join(asked)),
        (b"access-control-max-age", _PREFLIGHT_AGE),
    ]
    await respond(send, 204, b"", extra=extra)


def _host_of(address: str) -> str:
    """Return the host of ``HOST``, ``HOST:PORT``, ``[V6]`` or ``[V6]:PORT`` in lower case, without brackets."""
    if address.startswith("["):
        return address[1:].partition("]")[0].lower()
    host = address.partition(":")[0] if address.count(":") == 1 else address
    return host.lower().removesuffix(".")


def _checked_host(name: str) -> str:
    """Return a configured name for ``Host`` in the form of ``_host_of``.

    Raises:
        InvalidArgument: it is a URL or has a port or a path.
    """
    host = _host_of(name)
    if not host or host != name.strip("[]").lower().removesuffix(".") or not host.isascii() or "/" in host:
        raise errors.InvalidArgument(
            f'--allow-host "{name}" is not valid; write a name or address without a port, such as data.example.org'
        )
    return host


def _checked_origin(origin: str) -> str:
    """Return a configured origin in the form in which browsers send it.

    Raises:
        InvalidArgument: it is not a scheme and a host.
    """
    parts = urlsplit(origin)
    plain = f"{parts.scheme}://{parts.netloc}".lower()
    if parts.scheme not in ("http", "https") or not parts.netloc or origin.rstrip("/").lower() != plain:
        raise errors.InvalidArgument(
            f'--allow-origin "{origin}" is not valid; write scheme, host and port, such as https://data.example.org'
        )
    return plain


def _facts(scope: Scope) -> tuple[list[str], str, str, bool]:
    """Return the hosts, the origin and the site that a request names, and whether it is a preflight request."""
    hosts: list[str] = []
    origin = site = ""
    preflight = False
    for name, value in scope["headers"]:
        if name == b"host":
            hosts.append(value.decode("latin-1"))
        elif name == b"origin":
            origin = value.decode("latin-1").lower()
        elif name == b"sec-fetch-site":
            site = value.decode("latin-1")
        elif name == b"access-control-request-method":
            preflight = scope["method"] == "OPTIONS"
    return hosts, origin, site, preflight


def _is_unspecified(name: str) -> bool:
    """Return whether a host stands for all addresses of the machine."""
    try:
        return ipaddress.ip_address(name).is_unspecified
    except ValueError:
        return False


def _with_cors(send: Send, origin: str) -> Send:
    """Return a ``send`` that lets a browser show the response to a page of an origin."""
    extra = [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", b"*"),
        (b"vary", b"origin"),
    ]

    async def extended(event: Event) -> None:
        if event["type"] == "http.response.start":
            event = {**event, "headers": [*event["headers"], *extra]}
        await send(event)

    return extended
