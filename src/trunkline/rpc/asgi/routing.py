"""The rule that decides which application answers a request (docs/design/architecture.md, docs/design/port.md).

1. Content type ``application/grpc`` or a subtype, such as ``application/grpc+proto``: gRPC.
2. ``/livez`` and ``/readyz``: the probes, which callers reach under any name.
3. Everything else passes the checks for browsers (``browsers``) first.
4. The first name of the path: one of the mounted applications, such as ``/api``.
5. A first name with a dot, as in ``/pfs_v2.API/InspectRepo``, is a gRPC service: Connect.
6. ``/`` leads browsers to the console and tells programs what this is. Everything else is 404.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import __version__
from trunkline.rpc.asgi.responses import respond, respond_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from trunkline.rpc.asgi.browsers import BrowserChecks
    from trunkline.rpc.asgi.types import Application, Receive, Scope, Send

_GRPC, _GRPC_SUBTYPE = b"application/grpc", b"application/grpc+"
PROBES = frozenset(("/livez", "/readyz"))

#: What GET / tells programs, a line for each kind of address; the page about REST has them too.
WELCOME = f"""\
Trunkline {__version__}: versioned data and incremental pipelines, with the Pachyderm 2.12 API.

gRPC     every service, for pachyderm-sdk and pachctl
Connect  POST /<package.Service>/<Method>
Console  /ui/, in a browser
Handbook /docs/, in a browser; /docs/llms.txt lists its pages as Markdown
REST     POST /api/<package.Service>/<Method>; described at /openapi, to be browsed at /openapi/ui/
Events   GET /events, as server-sent events
Files    GET, HEAD, PUT /files/PROJECT/REPO/BRANCH-OR-COMMIT/PATH
Probes   GET /livez, /readyz; with --metrics, /metrics"""


class Router:
    """The ASGI application of the port: passes each request on to the one that answers it."""

    def __init__(
        self,
        *,
        grpc: Application,
        connect: Application,
        mounts: Mapping[str, Application],
        browsers: BrowserChecks,
    ) -> None:
        """Make it.

        Args:
            grpc: answers gRPC calls.
            connect: answers calls of the Connect protocol.
            mounts: applications by the first name of the path, such as ``api``; they see the whole path.
            browsers: admits requests that browsers can make.
        """
        self._grpc = grpc
        self._connect = connect
        self._mounts = mounts
        self._browsers = browsers

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return what answers a request. A call of gRPC pays for no frame of this module while it waits."""
        if _is_grpc(scope) and "http.response.trailers" in scope.get("extensions", {}):
            return self._grpc(scope, receive, send)
        return self._route(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})  # before it is accepted: HTTP servers answer 403
            return
        if scope["type"] != "http":
            raise NotImplementedError(f"this application has no {scope['type']}")  # as ASGI asks
        if _is_grpc(scope):
            await respond_text(
                send,
                400,
                "gRPC needs HTTP/2 and the header te: trailers; use a gRPC client, or POST /api",
            )
            return
        path = scope["path"]
        if path not in PROBES:
            admitted = await self._browsers.admit(scope, send)
            if admitted is None:
                return
            send = admitted
        name = path[1:].partition("/")[0]
        application = self._mounts.get(name)
        if application is not None:
            await application(scope, receive, send)
        elif "." in name:
            await self._connect(scope, receive, send)
        elif path != "/":
            await respond_text(send, 404, f"nothing is served at {path}; GET / names what is")
        elif scope["method"] in ("GET", "HEAD"):
            await _welcome(scope, send)
        else:
            await respond_text(send, 405, f"{scope['method']} / is not supported; use GET")


async def _welcome(scope: Scope, send: Send) -> None:
    """Answer ``/``: browsers ask for HTML, programs do not."""
    kinds = b",".join(value for name, value in scope["headers"] if name == b"accept")
    varies = (b"vary", b"accept")
    if b"text/html" in kinds:
        await respond(send, 302, b"", extra=[(b"location", b"/ui/"), varies])
    else:
        await respond(send, 200, f"{WELCOME}\n".encode(), extra=[varies])


def _is_grpc(scope: Scope) -> bool:
    if scope["type"] != "http":
        return False
    for name, value in scope["headers"]:
        if name == b"content-type":
            if value == _GRPC:  # nearly always
                return True
            kind = value.partition(b";")[0].strip().lower()
            return bool(kind == _GRPC or kind.startswith(_GRPC_SUBTYPE))
    return False
