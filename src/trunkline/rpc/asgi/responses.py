"""Responses of one piece, for whatever is not a call."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.rpc.asgi.types import Send

TEXT, JSON = b"text/plain; charset=utf-8", b"application/json"
#: Keeps browsers from taking a response for something else than its content type says.
NO_SNIFF = (b"x-content-type-options", b"nosniff")

#: One tag of ``If-None-Match`` (RFC 9110, section 8.8.3).
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


async def respond(
    send: Send, status: int, body: bytes, kind: bytes = TEXT, extra: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Send a whole response.

    Args:
        send: of ASGI.
        status: code of HTTP.
        body: of the response; HTTP servers leave it out for HEAD.
        kind: content type.
        extra: more headers.
    """
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), NO_SNIFF, *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def respond_text(send: Send, status: int, text: str) -> None:
    """Send a text of one line.

    Args:
        send: of ASGI.
        status: code of HTTP.
        text: without a line end.
    """
    allowed = [(b"allow", b"GET, HEAD")] if status == 405 else []
    await respond(send, status, f"{text}\n".encode(errors="replace"), TEXT, allowed)


def content_type(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the content type of a request without its parameters, in lower case; empty without one."""
    for name, value in headers:
        if name == b"content-type":
            return value.partition(b";")[0].strip().lower().decode("latin-1")
    return ""


def tag_of(body: bytes) -> bytes:
    """Return the tag of a content, with its quotes."""
    return f'"{hashlib.sha256(body).hexdigest()[:20]}"'.encode()


def is_known(headers: Iterable[tuple[bytes, bytes]], tag: bytes) -> bool:
    """Whether the client has the content already, as it says in ``If-None-Match``."""
    for name, value in headers:
        if name == b"if-none-match":
            text = value.decode("latin-1")
            if text.strip() == "*" or tag.decode() in (
                item.removeprefix("W/") for item in _TAG.findall(text)
            ):
                return True
    return False
