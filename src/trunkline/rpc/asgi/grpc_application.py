"""gRPC: answers each request by the method that its path names; the status is in the trailers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.rpc.asgi import framing, headers
from trunkline.rpc.asgi.calls import ServedCall
from trunkline.rpc.asgi.requests import Requests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trunkline.rpc.asgi.calls import Calls
    from trunkline.rpc.asgi.types import Receive, Scope, Send
    from trunkline.rpc.idle import IdleTimeout
    from trunkline.rpc.methods import Method
    from trunkline.rpc.status import Status

_CONTENT_TYPE = (b"content-type", b"application/grpc")
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [_CONTENT_TYPE, (b"grpc-accept-encoding", framing.ENCODINGS)],
    "trailers": True,
}
_START_GZIP = {**_START, "headers": [*_START["headers"], (b"grpc-encoding", b"gzip")]}  # type: ignore[misc]
_NO_MORE = {"type": "http.response.body", "body": b"", "more_body": False}


class GrpcApplication:
    """Answers the gRPC calls of an ASGI server."""

    def __init__(self, calls: Calls) -> None:
        """Make it.

        Args:
            calls: the running calls.
        """
        self._calls = calls

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return what answers a request."""
        return self._calls.answer(_GrpcCall(scope, receive, send), scope["path"])


class _GrpcCall(ServedCall):
    """A call whose answers are as compressed as its requests."""

    __slots__ = ("_gzip",)

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self._gzip = False

    @property
    def compresses(self) -> bool:
        return self._gzip

    def parse(self) -> headers.RequestHeaders:
        request = headers.parse(self.scope["headers"])
        self.scope = {}  # half of what a silent subscription would hold otherwise
        return request

    def requests(self, method: Method, request: headers.RequestHeaders, idle: IdleTimeout) -> Requests:
        self._gzip = request.encoding == "gzip"
        unframer = framing.Unframer(method.rpc, request.encoding, self.limits.message)
        return Requests(method.rpc, unframer, method.decode, self.receive, idle, self.arriving)

    def encoder(self, method: Method) -> Callable[[Any], bytes]:
        return method.encode

    def framer(self, method: Method) -> Callable[[bytes], tuple[bytes, bytes]]:
        return framing.framer(method.rpc, self.limits.message, gzip=self._gzip)

    async def begin(self) -> None:
        self.started = True
        await self.emit(_START_GZIP if self._gzip else _START)

    async def reply(self, prefix: bytes, body: bytes) -> None:
        await self.begin()
        await self.send_part(prefix + body)

    async def finish(self, ended: Status | None, metadata: list[tuple[str, str | bytes]]) -> None:
        if not self.started:
            self._gzip = False
            await self.begin()
        await self.emit(_NO_MORE)
        await self.emit({"type": "http.response.trailers", "headers": headers.trailers(ended, metadata)})
