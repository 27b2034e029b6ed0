"""Serves the handbook of this version below ``/docs/``: what ``scripts/docs build`` writes into the package.

Texts are stored compressed. Pages have a few inline scripts, which the build lists by hash, so that the content policy
admits these and no others (docs/design/handbook.md).
"""

from __future__ import annotations

import asyncio
import gzip
import json
import mimetypes
import re
from importlib.resources import files
from typing import TYPE_CHECKING

from trunkline.handbook_pages import MOUNT
from trunkline.rpc.asgi.own_pages import COMMON, best_encoding, headers_of, own_sources
from trunkline.rpc.asgi.responses import is_known, respond, respond_text, tag_of

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from trunkline.rpc.asgi.types import Receive, Scope, Send

_ROOT = f"/{MOUNT}/"
_ASSETS = f"{_ROOT}assets/"
_HTML = "text/html; charset=utf-8"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": _HTML,
    ".js": "text/javascript; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
#: Names in a path. None begins with a dot.
_NAME = re.compile(r"[\w-][\w.-]*", re.ASCII)
_NOT_BUILT = b"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>The handbook is not built</title>
<h1>The handbook is not built</h1>
<p>This server runs from a clone of the repository. To build the handbook, run <code>scripts/docs build</code> in the
clone and reload this page. Its pages are also Markdown, in the folder <code>docs</code> of the clone.</p>
</html>
"""


class HandbookApplication:
    """Answers ``/docs`` and what is below it."""

    def __init__(self, folder: Traversable | None = None) -> None:
        """Make it.

        Args:
            folder: with the built handbook; None for the one in the package.
        """
        self._folder = files("trunkline") / "handbook" if folder is None else folder

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        if scope["method"] not in ("GET", "HEAD"):
            await respond_text(send, 405, f"{scope['method']} is not supported for {path}; use GET")
            return
        answer = await asyncio.to_thread(self._read, path.removeprefix(_ROOT)) if path != _ROOT[:-1] else ""
        if isinstance(answer, str):
            await respond(send, 308, b"", extra=[(b"location", f"{path}/".encode())])
        else:
            await self._send(scope, send, *answer)

    async def _send(self, scope: Scope, send: Send, status: int, kind: str, stored: dict[str, bytes]) -> None:
        """Send a file.

        Args:
            scope: of the request.
            send: of ASGI.
            status: code of HTTP, unless the client has the file already.
            kind: content type.
            stored: the file's bytes by encoding.
        """
        sent = headers_of(scope)
        encoding = best_encoding(sent.get("accept-encoding", ""), stored)
        if encoding == "identity" and "identity" not in stored:
            stored = {"identity": gzip.decompress(stored["gzip"])}
        body = stored[encoding]
        tag = tag_of(body)
        policy = await asyncio.to_thread(self._policy, sent.get("host", ""))
        headers = [
            (b"etag", tag),
            (b"cache-control", b"no-cache"),
            (b"vary", b"accept-encoding"),
            (b"content-security-policy", policy.encode()),
            *COMMON,
        ]
        if status == 200 and is_known(scope["headers"], tag):
            await respond(send, 304, b"", kind.encode(), headers)
            return
        if encoding != "identity":
            headers.append((b"content-encoding", encoding.encode()))
        await respond(send, status, body, kind.encode(), headers)

    def _read(self, name: str) -> tuple[int, str, dict[str, bytes]] | str:
        """Return the status, content type and bytes by encoding for a path below ``/docs/``.

        The answer is "" for a page whose address lacks the slash at its end.
        """
        parts = name.split("/")
        page = not parts[-1]
        valid = all(_NAME.fullmatch(part) for part in (parts[:-1] if page else parts))
        if valid:
            stored = self._stored("/".join([*parts[:-1], "index.html"]) if page else name)
            if stored:
                ending = ".html" if page else name[name.rfind(".") :]
                return (
                    200,
                    _TYPES.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream",
                    stored,
                )
            if not page and self._stored(f"{name}/index.html"):
                return ""
        unknown = self._stored("404.html")
        return (404, _HTML, unknown) if unknown else (503, _HTML, {"identity": _NOT_BUILT})

    def _stored(self, name: str) -> dict[str, bytes]:
        """Return the bytes of a file by encoding; empty when there is no such file."""
        for encoding, ending in (("gzip", ".gz"), ("identity", "")):
            file = self._folder / f"{name}{ending}"
            if file.is_file():
                return {encoding: file.read_bytes()}
        return {}

    def _policy(self, host: str) -> str:
        """Return the content policy: scripts and styles come from the handbook's files, or are listed by hash."""
        own, assets = own_sources(host, _ASSETS)
        file = self._folder / "policy.json"
        hashes = json.loads(file.read_bytes()) if file.is_file() else {"scripts": [], "styles": []}
        scripts, styles = (
            " ".join([assets, *(f"'{value}'" for value in hashes[kind])]) for kind in ("scripts", "styles")
        )
        return (
            f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src {own} data:;"
            f" connect-src 'self'; worker-src {assets}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
