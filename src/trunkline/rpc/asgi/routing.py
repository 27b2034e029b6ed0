"""The rule that decides which application answers a request (docs/architecture.md).

``application/grpc`` and its subtypes, such as ``application/grpc+proto``, are gRPC. Nothing else is served yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline import __version__

if TYPE_CHECKING:
    from trunkline.rpc.asgi.types import Application, Receive, Scope, Send

_GRPC = b"application/grpc"


class Router:
    """The ASGI application of the port: passes each request on to the one that answers it."""

    def __init__(self, grpc: Application) -> None:
        """Make it.

        Args:
            grpc: answers gRPC calls.
        """
        self._grpc = grpc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise NotImplementedError(f"this application has no {scope['type']}")  # as ASGI asks
        if not is_grpc(scope):
            if scope["path"] == "/":
                await _answer(send, 200, f"Trunkline {__version__}: the Pachyderm 2.12 API over gRPC.\n")
            else:
                await _answer(send, 404, f"Nothing is served at {scope['path']}; use a gRPC client.\n")
        elif "http.response.trailers" not in scope.get("extensions", {}):
            await _answer(send, 400, "gRPC needs HTTP/2 and the header te: trailers; use a gRPC client.\n")
        else:
            await self._grpc(scope, receive, send)


def is_grpc(scope: Scope) -> bool:
    """Return whether a request is a gRPC call."""
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
            return bool(kind == _GRPC or kind.startswith(b"application/grpc+"))
    return False


async def _answer(send: Send, code: int, text: str) -> None:
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body})
