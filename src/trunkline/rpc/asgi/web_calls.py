"""What REST and the Connect protocol have in common: calls of browsers and of programs without a gRPC library."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from trunkline.rpc.asgi import headers, json_messages
from trunkline.rpc.asgi.calls import ServedCall
from trunkline.rpc.asgi.requests import Requests
from trunkline.rpc.asgi.responses import JSON, respond

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from trunkline.rpc.asgi.arriving import ArrivingRequest
    from trunkline.rpc.asgi.requests import Pieces
    from trunkline.rpc.asgi.types import Receive, Send
    from trunkline.rpc.idle import IdleTimeout
    from trunkline.rpc.methods import Method
    from trunkline.rpc.status import Status

#: HTTP status codes by the names of gRPC's, as grpc-gateway and the Connect protocol have them.
HTTP_STATUS = {
    "OK": 200, "CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400,
    "ABORTED": 409, "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503, "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}  # fmt: skip

#: Bytes of JSON that are converted in a thread, because that takes milliseconds.
_LARGE = 64 << 10


class WebCall(ServedCall):
    """A call whose headers are metadata. While it streams, other calls have their turn after each part."""

    __slots__ = ()

    #: The header that names the compression of the body or of its messages.
    encoding_header = b"content-encoding"

    def parse(self) -> headers.RequestHeaders:
        """Read the headers of the request."""
        request = headers.parse_web(self.scope["headers"])
        for name, value in self.scope["headers"]:
            if name == self.encoding_header:
                request.encoding = value.decode("latin-1").lower()
        return request

    async def send_part(self, body: bytes) -> None:
        """Send a part of the response's body."""
        await super().send_part(body)
        await asyncio.sleep(0)  # JSON is made in the event loop, and a listing may not wait for anything else


class JsonRequests(Requests):
    """The messages of a body in JSON."""

    __slots__ = ("_method",)

    def __init__(
        self,
        method: Method,
        pieces: Pieces,
        receive: Receive,
        idle: IdleTimeout,
        arriving: ArrivingRequest,
    ) -> None:
        """Begin to read.

        Args:
            method: that answers.
            pieces: finds the texts of the messages.
            receive: of ASGI.
            idle: bounds each wait.
            arriving: counts the bytes that are held.
        """
        super().__init__(method.rpc, pieces, bytes, receive, idle, arriving)
        self._method = method

    async def single(self) -> Any:
        """Return the message of a body that has exactly one."""
        return await self._converted(await super().single())

    async def stream(self) -> AsyncGenerator[Any]:
        """Yield the messages of a body."""
        async for text in super().stream():
            yield await self._converted(text)

    async def _converted(self, text: bytes) -> Any:
        method = self._method
        if len(text) < _LARGE:
            message = json_messages.to_message(method.rpc, text, method.input_type)
        else:
            message = await asyncio.to_thread(json_messages.to_message, method.rpc, text, method.input_type)
        return method.decode(message.SerializeToString())


def answer_message(method: Method, answer: Any) -> Message:
    """Return an answer of a servicer as a message: some give its bytes.

    Args:
        method: that gave the answer.
        answer: a message, or its bytes.
    """
    if isinstance(answer, Message):
        return answer
    message: Message = GetMessageClass(method.output_type).FromString(answer)
    return message


async def respond_status(
    send: Send, ended: Status, http_status: int | None = None, extra: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Send an error as a whole response: a ``google.rpc.Status`` in JSON.

    Args:
        send: of ASGI.
        ended: the error.
        http_status: code of HTTP; None for that of the error's code.
        extra: more headers.
    """
    await respond(send, http_status or HTTP_STATUS[ended.code], status_json(ended), JSON, extra)


def status_json(ended: Status) -> bytes:
    """Return an error as REST and events have it."""
    return json_messages.to_full_json(headers.status_message(ended))
