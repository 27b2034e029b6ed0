"""Which outbound connections are allowed: rules, compared with URLs and addresses (docs/design/outbound.md)."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from trunkline.errors import InvalidArgument, PermissionDenied
from trunkline.model import limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Schemes with a host, and the port of each.
PORTS = {"http": 80, "https": 443, "postgres": 5432, "mysql": 3306}
OBJECTS = ("s3", "gs", "az")
#: Schemes of files on the server's machine.
FILES = ("file", "sqlite")
_DATABASES = ("postgres", "mysql", "sqlite")
#: Where files can be sent.
_DESTINATIONS = (*OBJECTS, "file")
#: Other names of schemes.
_ALIASES = {"postgresql": "postgres", "azblob": "az"}
DEFAULT_RULES = (*PORTS, *OBJECTS)
NOTHING = "none"

#: What a URL may consist of: printable ASCII, because urllib drops tabs and line ends silently. Programs disagree
#: whether a backslash is a slash.
_URL = re.compile(r"[!-\[\]-~]+")
#: Names of buckets and containers: a bucket may become a part of the host's name.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
#: Networks with IPv4 addresses in IPv6, and the bits below them.
_EMBEDDED = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
)
_TEREDO = ipaddress.IPv6Network("2001::/32")
#: Addresses that belong to machines nearby; ``ipaddress`` counts those of carriers neither as private nor as global.
_NEAR = ipaddress.IPv4Network("100.64.0.0/10")
#: Metadata services of clouds outside the link-local networks.
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")))


class Target(NamedTuple):
    """A URL that a client has named, in its parts."""

    #: As the client wrote it, with its credentials; ``display`` for messages.
    url: str
    scheme: str
    #: Of a host: its name or address. Of objects: the bucket. Of files: empty.
    host: str
    port: int
    #: Of objects: the key. Of files: the absolute path.
    path: str

    def __str__(self) -> str:
        return display(self.url)


def display(url: str) -> str:
    """Return a URL as messages and logs show it: without user information, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else parts.path


def parse(url: str) -> Target:
    """Return the parts of a URL.

    Raises:
        InvalidArgument: it is not a URL of a scheme that is supported; the message says why.
    """
    limits.check_text(url, limits.URL, "the URL")
    if _URL.fullmatch(url) is None:
        raise InvalidArgument(
            "the URL is empty, or has spaces, backslashes, control characters or others than ASCII; encode them as %XX"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
    except ValueError as error:
        raise InvalidArgument(f"the URL is not valid: {_reason(error)}; correct it") from error
    scheme = _ALIASES.get(parts.scheme, parts.scheme)
    if scheme in FILES:
        return Target(url, scheme, "", 0, _file_path(parts))
    if scheme in OBJECTS:
        return Target(url, scheme, _bucket(parts), 0, unquote(parts.path.lstrip("/")))
    if scheme not in PORTS:
        raise InvalidArgument(
            f'"{display(url)}" has a scheme that is not supported; use one of {", ".join((*DEFAULT_RULES, *FILES))}'
        )
    if _HOST.fullmatch(host) is None:
        raise InvalidArgument(f'"{display(url)}" names no valid host; write {scheme}://HOST/PATH')
    if port == 0:
        raise InvalidArgument(f'"{display(url)}" has port 0; use a port from 1 to 65535')
    return Target(url, scheme, host.rstrip(".").lower(), port or PORTS[scheme], parts.path)


def destination(url: str) -> Target:
    """Return the parts of a URL that files are sent to.

    Raises:
        InvalidArgument: as of ``parse``, or nothing can be sent there.
    """
    target = parse(url)
    if target.scheme not in _DESTINATIONS:
        raise InvalidArgument(f"files cannot be sent to {target}; name an object store (s3, gs, az)")
    return target


def database(url: str) -> Target:
    """Return the parts of the URL of a database.

    Raises:
        InvalidArgument: as of ``parse``, or it is not one of a database.
    """
    target = parse(url)
    if target.scheme not in _DATABASES:
        raise InvalidArgument(
            f"{target} names no database; use postgresql://, mysql:// or, if the server allows it, sqlite:///"
        )
    return target


def _reason(error: ValueError) -> str:
    """Return what ``urllib`` says, without the URL's own text, which may hold a password."""
    text = str(error)
    return text if "'" not in text and '"' not in text else "its host or port cannot be read"


def _file_path(parts: SplitResult) -> str:
    path = unquote(parts.path)
    if parts.netloc or not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise InvalidArgument(
            f'"{display(parts.geturl())}" names no file; write {parts.scheme}:///FOLDER/NAME, without ".."'
        )
    return path


def _bucket(parts: SplitResult) -> str:
    if _BUCKET.fullmatch(parts.netloc) is None or ".." in parts.netloc or parts.query or parts.fragment:
        raise InvalidArgument(
            f'"{display(parts.geturl())}" names no bucket; write {parts.scheme}://BUCKET/KEY'
        )
    return parts.netloc


class Rule(Struct, frozen=True):
    """What one ``--outbound`` allows."""

    scheme: str
    #: Of a host: its name, ``*.`` before a domain, or empty for every public one. Of objects: the bucket, or empty.
    host: str = ""
    #: 0 for every port.
    port: int = 0
    network: Network | None = None
    #: Of objects: a key or what keys begin with. Of files: the folder.
    path: str = ""

    def allows(self, target: Target) -> bool:
        """Return whether this rule allows a URL, as far as can be said before its host is resolved."""
        if self.scheme != target.scheme:
            return False
        if self.scheme in FILES:
            return f"{target.path.rstrip('/')}/".startswith(self.path.rstrip("/") + "/")
        if self.scheme in OBJECTS:
            inside = not self.path or (target.path + "/").startswith(self.path.rstrip("/") + "/")
            return (not self.host or self.host == target.host) and inside
        if self.port and self.port != target.port:
            return False
        if self.host.startswith("*."):
            return target.host.endswith(self.host[1:])
        return not self.host or self.host == target.host

    def allows_address(self, address: Address) -> bool:
        """Return whether a connection to an address is allowed by this rule, which allows the URL."""
        if self.network is not None:
            return address.version == self.network.version and address in self.network
        return is_public(address) or (bool(self.host) and not is_special(address))


class Rules:
    """All rules of a server.

    Args:
        texts: of ``--outbound``; empty for the default.
        own: the URL of the server's object store, which is never allowed; empty for none.

    Raises:
        InvalidArgument: a rule is not valid.
    """

    def __init__(self, texts: Sequence[str] = (), own: str = "") -> None:
        self._rules = [_rule(text) for text in texts or DEFAULT_RULES if text != NOTHING]
        self._own = _own(own)

    def check(self, target: Target) -> None:
        """Check a URL before its host is resolved.

        Raises:
            PermissionDenied: no rule allows it, or its host is an address that none allows.
        """
        if self._own is not None and self._overlaps(self._own, target):
            raise PermissionDenied(
                f"{target} is in the server's own object store, which holds the files of all repos; use another bucket"
            )
        if not any(rule.allows(target) for rule in self._rules):
            place = f"{target.scheme}://{target.host or target.path.rpartition('/')[0]}"
            raise PermissionDenied(
                f"this server may not connect to {target}; its operator can allow it with --outbound {place}"
            )
        if target.scheme in PORTS and _is_address(target.host):
            self.checked(target, [target.host])

    def checked(self, target: Target, addresses: Iterable[str]) -> list[str]:
        """Return the addresses of a URL's host to which a connection is allowed.

        Args:
            target: a URL with a host.
            addresses: what its host resolves to.

        Raises:
            PermissionDenied: there is none.
        """
        rules = [rule for rule in self._rules if rule.allows(target)]
        allowed = []
        for text in addresses:
            address = plain(ipaddress.ip_address(text.partition("%")[0]))
            if any(rule.allows_address(address) for rule in rules):
                allowed.append(text)
        if not allowed:
            raise PermissionDenied(
                f"this server may not connect to {target}: its host has no public address;"
                f" its operator can allow it with --outbound {target.scheme}://{_bracketed(target.host)}"
                " (for link-local addresses: with the address itself)"
            )
        return allowed

    def folders(self, scheme: str) -> list[str]:
        """Return the folders that the rules allow for a scheme of files."""
        return [rule.path for rule in self._rules if rule.scheme == scheme]

    @staticmethod
    def _overlaps(own: Target, target: Target) -> bool:
        """Return whether a target is, contains or is contained in the server's own store."""
        if (own.scheme, own.host) != (target.scheme, target.host):
            return False
        inner, outer = own.path.strip("/"), target.path.strip("/")
        return f"{outer}/".startswith(f"{inner}/" if inner else "") or f"{inner}/".startswith(outer)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _own(store: str) -> Target | None:
    if urlsplit(store).scheme not in OBJECTS:
        return None
    return parse(store)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _rule(text: str) -> Rule:
    scheme, separator, place = text.partition("://")
    scheme = _ALIASES.get(scheme, scheme)
    if scheme not in (*DEFAULT_RULES, *FILES):
        raise InvalidArgument(
            f"--outbound {text!r} is not a valid rule; write a scheme ({', '.join((*DEFAULT_RULES, *FILES))}),"
            " SCHEME://PLACE, or none"
        )
    if scheme in FILES:
        if not place.startswith("/") or ".." in place.split("/"):
            raise InvalidArgument(f"--outbound {text!r} names no folder; write {scheme}:///FOLDER")
        return Rule(scheme, path=place)
    if not separator:
        return Rule(scheme)
    if scheme in OBJECTS:
        objects = parse(text)
        return Rule(scheme, objects.host, path=objects.path)
    try:
        return Rule(scheme, network=ipaddress.ip_network(place.strip("[]")))
    except ValueError:
        pass
    domain = place.removeprefix("*.")
    target = _host_of_rule(scheme, domain)
    if target is None:
        raise InvalidArgument(
            f"--outbound {text!r} is not a valid rule; write {scheme}://HOST, {scheme}://HOST:PORT,"
            f" {scheme}://*.DOMAIN or {scheme}://NETWORK"
        )
    port = urlsplit(target.url).port or 0
    try:
        network = ipaddress.ip_network(target.host)
    except ValueError:
        return Rule(scheme, target.host if domain == place else f"*.{target.host}", port)
    return Rule(scheme, target.host, port, network)


def _host_of_rule(scheme: str, place: str) -> Target | None:
    """Return a URL with the host of a rule and nothing else; None when it is not valid."""
    try:
        target = parse(f"{scheme}://{place}")
    except InvalidArgument:
        return None
    parts = urlsplit(target.url)
    return None if parts.path.strip("/") or parts.query or parts.username else target


def plain(address: Address) -> Address:
    """Return the IPv4 address in an IPv6 address that only wraps it, else the address."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _TEREDO:
        return ipaddress.IPv4Address(~int(address) & 0xFFFFFFFF)
    for network, shift in _EMBEDDED:
        if address in network and int(address) > 1:  # not :: and ::1
            return ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address


def is_special(address: Address) -> bool:
    """Return whether an address is never reached by a name: link-local, metadata, multicast, unspecified, reserved."""
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or (address.is_reserved and not address.is_loopback)  # ::1 is both
        or address in _METADATA
    )


def is_public(address: Address) -> bool:
    """Return whether an address is on the public internet."""
    near = address in _NEAR if isinstance(address, ipaddress.IPv4Address) else address.is_site_local
    return address.is_global and not near and not is_special(address)
