"""REST: every method as ``POST /api/<package.Service>/<Method>`` with JSON, as Pachyderm's grpc-gateway has it.

- The body is the request as JSON, by the mapping of protobuf. A stream of requests is a sequence of JSON objects.
- The response is the answer as JSON with all its fields. Of a stream, each line is ``{"result": …}``; an error is a
  last line ``{"error": …}``.
- An error is a ``google.rpc.Status`` as JSON, with the HTTP status for its code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.rpc.asgi import bodies, framing, headers, json_messages
from trunkline.rpc.asgi.responses import JSON, NO_SNIFF, content_type
from trunkline.rpc.asgi.web_calls import (
    HTTP_STATUS,
    JsonRequests,
    WebCall,
    answer_message,
    respond_status,
    status_json,
)
from trunkline.rpc.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from trunkline.rpc.asgi.calls import Calls
    from trunkline.rpc.asgi.requests import Pieces
    from trunkline.rpc.asgi.types import Receive, Scope, Send
    from trunkline.rpc.idle import IdleTimeout
    from trunkline.rpc.methods import Method

PREFIX = "/api"

_NO_MORE = {"type": "http.response.body", "body": b"", "more_body": False}


class RestApplication:
    """Answers requests below ``/api``."""

    def __init__(self, calls: Calls) -> None:
        """Make it.

        Args:
            calls: the running calls.
        """
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"].removeprefix(PREFIX)
        if self._calls.method(path) is None:
            missing = Status("NOT_FOUND", f"there is no method {path}; read /openapi for all")
            await respond_status(send, missing)
        elif scope["method"] != "POST":
            unsupported = Status("UNIMPLEMENTED", f"{scope['method']} is not supported for methods; use POST")
            await respond_status(send, unsupported, 405, [(b"allow", b"POST")])
        elif content_type(scope["headers"]) != "application/json":
            kind = content_type(scope["headers"])
            wrong = Status(
                "INVALID_ARGUMENT", f'content type "{kind}" is not supported; use application/json'
            )
            await respond_status(send, wrong, 415)
        else:
            await self._calls.answer(_RestCall(scope, receive, send), path)


class _RestCall(WebCall):
    __slots__ = ("_body", "_is_stream")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self._is_stream = False
        self._body = b""

    def answer(self, method: Method) -> Coroutine[Any, Any, None]:
        self._is_stream = method.server_streaming
        return super().answer(method)

    def requests(self, method: Method, request: headers.RequestHeaders, idle: IdleTimeout) -> JsonRequests:
        if method.client_streaming:
            pieces: Pieces = bodies.JsonObjects(method.rpc, request.encoding, self.limits.message)
        else:
            pieces = bodies.WholeBody(method.rpc, request.encoding, self.limits.message)
        return JsonRequests(method, pieces, self.receive, idle, self.arriving)

    def encoder(self, method: Method) -> Callable[[Any], bytes]:
        return lambda answer: json_messages.to_full_json(answer_message(method, answer))

    def framer(self, method: Method) -> Callable[[bytes], tuple[bytes, bytes]]:
        def line(body: bytes) -> tuple[bytes, bytes]:
            framing.check_answer(method.rpc, len(body), self.limits.message)
            return b'{"result":', body + b"}\n"

        def whole(body: bytes) -> tuple[bytes, bytes]:
            framing.check_answer(method.rpc, len(body), self.limits.message)
            return b"", body

        return line if self._is_stream else whole

    async def reply(self, prefix: bytes, body: bytes) -> None:
        self._body = prefix + body

    async def begin(self) -> None:
        await self._start(200, [])

    async def _start(self, http_status: int, extra: list[tuple[bytes, bytes]]) -> None:
        self.started = True
        await self.emit(
            {
                "type": "http.response.start",
                "status": http_status,
                "headers": [(b"content-type", JSON), NO_SNIFF, *extra],
            }
        )

    async def finish(self, ended: Status | None, metadata: list[tuple[str, str | bytes]]) -> None:
        body = self._body if ended is None else status_json(ended)
        if self._is_stream and ended is not None:
            body = b'{"error":' + body + b"}\n"
        if not self.started:
            # Nothing has been sent yet, so the code can be where clients of HTTP look for it.
            extra = [headers.encoded(f"grpc-metadata-{name}", value) for name, value in metadata]
            if not self._is_stream:
                extra.append((b"content-length", b"%d" % len(body)))
            await self._start(HTTP_STATUS[ended.code] if ended is not None else 200, extra)
        await self.emit({**_NO_MORE, "body": body})
