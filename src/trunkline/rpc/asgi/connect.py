"""The Connect protocol (https://connectrpc.com/docs/protocol): the methods for clients generated from the .proto files.

A call that is no stream is a POST of one message, in JSON or protobuf, answered by one message or by an error as JSON
with the HTTP status for its code. A call with a stream in either direction sends messages with a prefix, like gRPC's;
the status and the trailing metadata are a last message with a prefix of its own. GET is not used: no method of the API
is declared free of side effects.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trunkline import errors
from trunkline.rpc.asgi import bodies, framing, headers, json_messages
from trunkline.rpc.asgi.requests import Requests
from trunkline.rpc.asgi.responses import JSON, NO_SNIFF, content_type, respond
from trunkline.rpc.asgi.web_calls import HTTP_STATUS, JsonRequests, WebCall, answer_message
from trunkline.rpc.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trunkline.rpc.asgi.calls import Calls
    from trunkline.rpc.asgi.requests import Pieces
    from trunkline.rpc.asgi.types import Receive, Scope, Send
    from trunkline.rpc.idle import IdleTimeout
    from trunkline.rpc.methods import Method

_NO_MORE = {"type": "http.response.body", "body": b"", "more_body": False}
#: First byte of the prefix of the message that ends a stream.
_END_OF_STREAM = 2


class _Form(Struct, frozen=True):
    """How a content type writes messages."""

    content_type: str
    is_json: bool
    is_stream: bool


_FORMS = {
    form.content_type: form
    for form in (
        _Form("application/json", is_json=True, is_stream=False),
        _Form("application/proto", is_json=False, is_stream=False),
        _Form("application/connect+json", is_json=True, is_stream=True),
        _Form("application/connect+proto", is_json=False, is_stream=True),
    )
}


class ConnectApplication:
    """Answers ``POST /<package.Service>/<Method>``."""

    def __init__(self, calls: Calls) -> None:
        """Make it.

        Args:
            calls: the running calls.
        """
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["path"]
        kind = content_type(scope["headers"])
        form = _FORMS.get(kind)
        method = self._calls.method(path)
        if scope["method"] != "POST":
            text = f"{path} is a method of the API, which {scope['method']} does not call; use POST"
            await _refuse(send, 405, Status("UNIMPLEMENTED", text), [(b"allow", b"POST")])
        elif form is None or (method is not None and form.is_stream != _streams(method)):
            names = ", ".join(
                name for name in _FORMS if method is None or _FORMS[name].is_stream == _streams(method)
            )
            text = f'content type "{kind}" is not supported for {path}; use {names}, or gRPC over HTTP/2'
            await _refuse(send, 415, Status("UNKNOWN", text), [(b"accept-post", names.encode())])
        else:
            call = (_StreamCall if form.is_stream else _UnaryCall)(scope, receive, send, form)
            await self._calls.answer(call, path)


def _streams(method: Method) -> bool:
    return method.client_streaming or method.server_streaming


async def _refuse(send: Send, http_status: int, status: Status, extra: list[tuple[bytes, bytes]]) -> None:
    await respond(send, http_status, json.dumps(_error(status)).encode(), JSON, extra)


def _error(status: Status) -> dict[str, Any]:
    """Return a status as the protocol writes it in JSON."""
    details = [
        {"type": detail.TypeName(), "value": base64.b64encode(detail.value).rstrip(b"=").decode()}
        for detail in headers.status_message(status).details
    ]
    code = "canceled" if status.code == "CANCELLED" else status.code.lower()
    return {"code": code, "message": status.message, "details": details}


class _ConnectCall(WebCall):
    """What calls with and without streams have in common."""

    __slots__ = ("_form", "_gzip")

    #: The header that names the compressions that the client reads.
    accept_header = b"accept-encoding"

    def __init__(self, scope: Scope, receive: Receive, send: Send, form: _Form) -> None:
        super().__init__(scope, receive, send)
        self._form = form
        self._gzip = "gzip" in _tokens(scope["headers"], self.accept_header)

    def parse(self) -> headers.RequestHeaders:
        request = super().parse()
        for name, value in self.scope["headers"]:
            if name == b"connect-protocol-version" and value != b"1":
                raise errors.InvalidArgument(
                    f'connect-protocol-version "{value.decode("latin-1")}" is not supported; use 1'
                )
        return request

    def encoder(self, method: Method) -> Callable[[Any], bytes]:
        if self._form.is_json:
            return lambda answer: json_messages.to_json(answer_message(method, answer))
        return method.encode

    async def start(self, http_status: int, kind: str, extra: list[tuple[bytes, bytes]]) -> None:
        """Send the begin of the response.

        Args:
            http_status: code of HTTP.
            kind: content type.
            extra: more headers.
        """
        self.started = True
        head = [(b"content-type", kind.encode()), NO_SNIFF, *extra]
        await self.emit({"type": "http.response.start", "status": http_status, "headers": head})

    def _requests(self, method: Method, pieces: Pieces, idle: IdleTimeout) -> Requests:
        if self._form.is_json:
            return JsonRequests(method, pieces, self.receive, idle, self.arriving)
        return Requests(method.rpc, pieces, method.decode, self.receive, idle, self.arriving)


class _UnaryCall(_ConnectCall):
    __slots__ = ("_body",)

    def requests(self, method: Method, request: headers.RequestHeaders, idle: IdleTimeout) -> Requests:
        return self._requests(
            method, bodies.WholeBody(method.rpc, request.encoding, self.limits.message), idle
        )

    def framer(self, method: Method) -> Callable[[bytes], tuple[bytes, bytes]]:
        def whole(body: bytes) -> tuple[bytes, bytes]:
            framing.check_answer(method.rpc, len(body), self.limits.message)
            return b"", body

        return whole

    async def reply(self, prefix: bytes, body: bytes) -> None:
        self._body = prefix + body

    async def finish(self, ended: Status | None, metadata: list[tuple[str, str | bytes]]) -> None:
        extra = [headers.encoded(f"trailer-{name}", value) for name, value in metadata]
        if ended is not None:
            http_status, kind, body = (
                HTTP_STATUS[ended.code],
                "application/json",
                json.dumps(_error(ended)).encode(),
            )
        else:
            http_status, kind, body = 200, self._form.content_type, self._body
            if self._gzip and len(body) >= framing.COMPRESS_FROM:
                _, body = await framing.compress(framing.compressed, body)
                extra.append((b"content-encoding", b"gzip"))
            extra.append((b"vary", b"accept-encoding"))
        await self.start(http_status, kind, [*extra, (b"content-length", b"%d" % len(body))])
        await self.emit({**_NO_MORE, "body": body})


class _StreamCall(_ConnectCall):
    __slots__ = ()

    encoding_header, accept_header = b"connect-content-encoding", b"connect-accept-encoding"

    @property
    def compresses(self) -> bool:
        return self._gzip

    def requests(self, method: Method, request: headers.RequestHeaders, idle: IdleTimeout) -> Requests:
        return self._requests(
            method, framing.Unframer(method.rpc, request.encoding, self.limits.message), idle
        )

    def framer(self, method: Method) -> Callable[[bytes], tuple[bytes, bytes]]:
        return framing.framer(method.rpc, self.limits.message, gzip=self._gzip)

    async def begin(self) -> None:
        extra = [(b"connect-accept-encoding", b"gzip")]
        if self._gzip:
            extra.append((b"connect-content-encoding", b"gzip"))
        await self.start(200, self._form.content_type, extra)

    async def reply(self, prefix: bytes, body: bytes) -> None:
        await self.begin()
        await self.send_part(prefix + body)

    async def finish(self, ended: Status | None, metadata: list[tuple[str, str | bytes]]) -> None:
        if not self.started:
            await self.begin()
        end: dict[str, Any] = {}
        if ended is not None:
            end["error"] = _error(ended)
        if metadata:
            values: dict[str, list[str]] = {}
            for name, value in metadata:
                values.setdefault(name, []).append(headers.encoded(name, value)[1].decode())
            end["metadata"] = values
        body = json.dumps(end).encode()
        await self.emit({**_NO_MORE, "body": framing.PREFIX.pack(_END_OF_STREAM, len(body)) + body})


def _tokens(headers_: Iterable[tuple[bytes, bytes]], name: bytes) -> set[str]:
    """Return the names that a header lists, without their parameters."""
    return {
        token.partition(";")[0].strip().lower()
        for header, value in headers_
        if header == name
        for token in value.decode("latin-1").split(",")
    }
