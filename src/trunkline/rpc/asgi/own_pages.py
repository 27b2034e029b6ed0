"""What the server's own pages share, the console's and the handbook's: sources in content policies, encodings.

Files of users have the same origin as these pages. A policy therefore admits scripts of one folder only, never of the
whole origin.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.rpc.asgi.types import Scope

#: Headers of every page and file.
COMMON = (
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
#: What a host may look like inside a content policy. Addresses of IPv6 cannot be written there.
_HOST = re.compile(r"[a-z0-9.-]+(?::[0-9]{1,5})?", re.IGNORECASE)
#: Encodings of HTTP in the order of preference, with the ending of files that are stored so.
ENCODINGS = {"br": ".br", "gzip": ".gz"}


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers of a request as text."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def own_sources(host: str, folder: str) -> tuple[str, str]:
    """Return the origin and a folder of it, as a content policy has them.

    Args:
        host: the request's ``Host``, which names the origin.
        folder: path of the folder, with a slash at its end.
    """
    if _HOST.fullmatch(host):
        return host, f"{host}{folder}"
    return "'self'", "'self'"


def best_encoding(accepted: str, stored: Iterable[str]) -> str:
    """Return the encoding to send: the smallest one that the client takes.

    Args:
        accepted: the header ``Accept-Encoding``.
        stored: the encodings that there are.
    """
    weights = {}
    for part in accepted.split(","):
        name, _, weight = part.partition(";")
        weights[name.strip().lower()] = weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return next(
        (name for name in ENCODINGS if name in stored and weights.get(name, weights.get("*", False))),
        "identity",
    )
