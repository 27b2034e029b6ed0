"""Reads the requests of a call from its body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from trunkline import errors
from trunkline.rpc.asgi.framing import Unframer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from trunkline.rpc.asgi.types import Receive
    from trunkline.rpc.idle import IdleTimeout


class Requests:
    """The messages of one body. Every wait for the client counts as idle."""

    __slots__ = ("_idle", "_receive", "_rpc", "_unframer")

    def __init__(self, rpc: str, encoding: str, receive: Receive, idle: IdleTimeout) -> None:
        """Begin to read.

        Args:
            rpc: name of the call, for messages.
            encoding: value of ``grpc-encoding``.
            receive: of ASGI.
            idle: bounds each wait.

        Raises:
            Unimplemented: the encoding is not supported.
        """
        self._rpc = rpc
        self._unframer = Unframer(rpc, encoding)
        self._receive = receive
        self._idle = idle

    async def single(self) -> bytes:
        """Return the message of a body that has exactly one.

        Raises:
            InvalidArgument: it has none or several, or ends within one.
            ResourceExhausted: the message is beyond the limit.
            CancelledError: the client has disconnected.
        """
        messages: list[bytes] = []
        more = True
        while more:
            arrived, more = await self._next()
            messages += arrived
            if len(messages) > 1:
                break
        if len(messages) != 1:
            number = "several messages" if messages else "no message"
            raise errors.InvalidArgument(f"{self._rpc} takes one message but got {number}; send exactly one")
        return messages[0]

    async def stream(self, decode: Callable[[bytes], Any]) -> AsyncGenerator[Any]:
        """Yield the decoded messages of a body.

        Args:
            decode: makes a message of its bytes.

        Raises:
            InvalidArgument: the body ends within a message.
            ResourceExhausted: a message is beyond the limit.
            CancelledError: the client has disconnected before the end.
        """
        more = True
        while more:
            messages, more = await self._next()
            messages.reverse()
            while messages:  # holds no message while the next piece is awaited
                yield decode(messages.pop())

    async def _next(self) -> tuple[list[bytes], bool]:
        """Return the messages that end in the next piece of the body, and whether there are more pieces."""
        self._idle.begin()
        event = await self._receive()
        self._idle.end()
        if event["type"] != "http.request":
            raise asyncio.CancelledError(f"the client of {self._rpc} has disconnected")
        body = event.get("body", b"")
        messages = self._unframer.feed(body) if body else []
        more = event.get("more_body", False)
        if not more and not self._unframer.is_between_messages:
            raise errors.InvalidArgument(
                f"the request of {self._rpc} ends within a message; send as many bytes as its prefix says"
            )
        return messages, more
