"""Serves the console: its page for every address below ``/ui/``, and its files below ``/ui/assets/``.

The files are built from ``console/`` into ``trunkline/console`` (docs/design/console.md). Names of assets contain a
hash of their content, so they never change; texts are stored compressed. Pachyderm's addresses lead to the pages here.
"""

from __future__ import annotations

import asyncio
import gzip
import mimetypes
import re
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct

from trunkline.rpc.asgi.own_pages import COMMON, ENCODINGS, best_encoding, headers_of, own_sources
from trunkline.rpc.asgi.responses import is_known, respond, respond_text, tag_of

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from trunkline.rpc.asgi.types import Receive, Scope, Send

#: First names of the paths that this application answers.
PREFIXES = ("ui", "lineage", "project")
_PAGES, _ASSETS, _NOTICE = "/ui/", "/ui/assets/", "/ui/NOTICE.txt"
_FOREVER = b"public, max-age=31536000, immutable"
_THEMES = ("light", "dark")
_NOT_BUILT = "the console is not built in this checkout; run scripts/console build, or install the package"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".wasm": "application/wasm",
}


class _Asset(Struct, frozen=True):
    """A file as it is sent: by encoding, ``identity`` included."""

    bodies: dict[str, bytes]
    kind: bytes
    tag: bytes


class ConsoleApplication:
    """Answers ``/ui`` and what is below it, and Pachyderm's ``/lineage/…`` and ``/project/…``."""

    def __init__(self, folder: Traversable | None = None) -> None:
        """Make it.

        Args:
            folder: with the built console; None for the one in the package.
        """
        self._folder = files("trunkline") / "console" if folder is None else folder
        self._assets: dict[str, _Asset] = {}
        self._page: str | None = None

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        if scope["method"] not in ("GET", "HEAD"):
            await respond_text(send, 405, f"{scope['method']} is not supported for {path}; use GET")
        elif not path.startswith("/ui"):
            await _redirect(send, address_of(path))
        elif path == "/ui":
            await _redirect(send, _PAGES)
        elif path == _NOTICE:
            await self._send_notice(send)
        elif path.startswith(_ASSETS):
            await self._send_asset(scope, send, path.removeprefix(_ASSETS))
        else:
            await self._send_page(scope, send)

    async def _send_page(self, scope: Scope, send: Send) -> None:
        """Send the page with the theme that the browser's cookie names."""
        if self._page is None:
            index = self._folder / "index.html"
            if not await asyncio.to_thread(index.is_file):
                await respond_text(send, 503, _NOT_BUILT)
                return
            self._page = await asyncio.to_thread(index.read_text, "utf-8")
        sent = headers_of(scope)
        body = self._page.replace('data-theme="system"', f'data-theme="{_theme(sent)}"', 1).encode()
        tag = tag_of(body)
        headers = [
            (b"etag", tag),
            (b"cache-control", b"no-cache"),
            (b"vary", b"cookie"),
            (b"content-security-policy", page_policy(sent.get("host", "")).encode()),
            *COMMON,
        ]
        status = 304 if is_known(scope["headers"], tag) else 200
        await respond(send, status, body if status == 200 else b"", b"text/html; charset=utf-8", headers)

    async def _send_notice(self, send: Send) -> None:
        """Send the licences of what the console contains."""
        notice = self._folder / "NOTICE.txt"
        if await asyncio.to_thread(notice.is_file):
            body = await asyncio.to_thread(notice.read_bytes)
            await respond(send, 200, body, extra=[(b"cache-control", b"no-cache"), *COMMON])
        else:
            await respond_text(send, 503, _NOT_BUILT)

    async def _send_asset(self, scope: Scope, send: Send, name: str) -> None:
        asset = self._assets.get(name) or await asyncio.to_thread(self._read, name)
        if asset is None:
            await respond_text(send, 404, f"the console has no file {name[:200]}; reload its page")
            return
        self._assets[name] = asset
        sent = headers_of(scope)
        headers = [
            (b"etag", asset.tag),
            (b"cache-control", _FOREVER),
            (b"vary", b"accept-encoding"),
            (b"content-security-policy", worker_policy(sent.get("host", "")).encode()),
            *COMMON,
        ]
        if is_known(scope["headers"], asset.tag):
            await respond(send, 304, b"", asset.kind, headers)
            return
        encoding = best_encoding(sent.get("accept-encoding", ""), asset.bodies)
        if encoding != "identity":
            headers.append((b"content-encoding", encoding.encode()))
        await respond(send, 200, asset.bodies[encoding], asset.kind, headers)

    def _read(self, name: str) -> _Asset | None:
        if not re.fullmatch(r"[\w.-]+", name) or name.startswith(".") or name.endswith((".br", ".gz")):
            return None
        folder = self._folder / "assets"
        bodies = {
            encoding: (folder / f"{name}{ending}").read_bytes()
            for encoding, ending in ENCODINGS.items()
            if (folder / f"{name}{ending}").is_file()
        }
        if "gzip" in bodies:
            bodies["identity"] = gzip.decompress(bodies["gzip"])
        elif (folder / name).is_file():
            bodies["identity"] = (folder / name).read_bytes()
        else:
            return None
        ending = name[name.rfind(".") :]
        kind = _TYPES.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return _Asset(bodies, kind.encode(), tag_of(bodies["identity"]))


def page_policy(host: str) -> str:
    """Return the content policy of pages: scripts, styles and workers come from the console's files only.

    Args:
        host: the request's ``Host``, which names the origin: files of users have the same one, so the policy admits a
            path of it.
    """
    own, assets = own_sources(host, _ASSETS)
    return (
        f"default-src 'none'; script-src {assets}; style-src {assets}; img-src {own} blob:; media-src {own};"
        f" font-src {assets}; connect-src 'self'; worker-src {assets}; frame-src 'self'; base-uri 'self';"
        " form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script';"
        " trusted-types svelte-trusted-html console-workers"
    )


def worker_policy(host: str) -> str:
    """Return the content policy of workers, which have that of their script: decoders of Parquet are WebAssembly.

    Args:
        host: the request's ``Host``.
    """
    _, assets = own_sources(host, _ASSETS)
    return f"default-src 'none'; script-src {assets} 'wasm-unsafe-eval'; connect-src 'self'"


def address_of(path: str) -> str:
    """Return the address of a page for one of Pachyderm's console: the most of it that has a page here.

    Args:
        path: such as ``/lineage/P/pipelines/X/jobs`` or ``/project/P/repos/R``.
    """
    _, _, project, *rest = [quote(name, safe="") for name in f"{path}/".split("/")]
    if not project:
        return _PAGES
    kind, name = (*rest, "", "")[:2]
    if kind in ("repos", "pipelines") and name:
        return f"{_PAGES}p/{project}/{kind}/{name}"
    if kind in ("repos", "pipelines", "jobs"):
        return f"{_PAGES}p/{project}/{kind}"
    return f"{_PAGES}p/{project}"


async def _redirect(send: Send, address: str) -> None:
    await respond(send, 302, b"", extra=[(b"location", address.encode())])


def _theme(sent: dict[str, str]) -> str:
    for pair in sent.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == "trunkline-theme" and value in _THEMES:
            return value
    return "system"
