"""Reads the requests of a call from its body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from trunkline import errors
from trunkline.rpc.asgi.framing import Compressed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from trunkline.rpc.asgi.arriving import ArrivingRequest
    from trunkline.rpc.asgi.types import Receive
    from trunkline.rpc.idle import IdleTimeout


class Pieces(Protocol):
    """Takes the pieces of a body and returns the messages in them, encoded."""

    def feed(self, piece: bytes) -> list[bytes | Compressed]:
        """Return the messages that end in a piece.

        Raises:
            TrunklineError: the piece is not valid, or a message is beyond the limit.
        """

    @property
    def held(self) -> int:
        """Bytes of a message that is not whole yet."""

    def end(self) -> list[bytes | Compressed]:
        """Return the messages that end with the body.

        Raises:
            InvalidArgument: the body ends within a message.
        """


class Requests:
    """The messages of one body. Every wait for the client counts as idle."""

    __slots__ = ("_arriving", "_decode", "_idle", "_pieces", "_receive", "_rpc")

    def __init__(
        self,
        rpc: str,
        pieces: Pieces,
        decode: Callable[[bytes], Any],
        receive: Receive,
        idle: IdleTimeout,
        arriving: ArrivingRequest,
    ) -> None:
        """Begin to read.

        Args:
            rpc: name of the call, for messages.
            pieces: finds the messages in the pieces of the body.
            decode: makes a message of its bytes.
            receive: of ASGI.
            idle: bounds each wait.
            arriving: counts the bytes that are held.
        """
        self._rpc = rpc
        self._pieces = pieces
        self._decode = decode
        self._receive = receive
        self._idle = idle
        self._arriving = arriving

    async def single(self) -> Any:
        """Return the decoded message of a body that has exactly one.

        Raises:
            InvalidArgument: it has none or several, or ends within one.
            ResourceExhausted: the message is beyond the limit.
            CancelledError: the client has disconnected.
        """
        messages: list[bytes | Compressed] = []
        more = True
        while more:
            arrived, more = await self._next()
            messages += arrived
            if len(messages) > 1:
                break
        if len(messages) != 1:
            number = "several messages" if messages else "no message"
            raise errors.InvalidArgument(f"{self._rpc} takes one message but got {number}; send exactly one")
        [message] = messages
        if not isinstance(message, bytes):
            message = await message.decompress()
        self._arriving.hold(len(message))
        self._arriving.is_whole()
        return self._decode(message)

    async def stream(self) -> AsyncGenerator[Any]:
        """Yield the decoded messages of a body.

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
                message = messages.pop()
                if isinstance(message, Compressed):
                    message = await message.decompress()
                yield self._decode(message)
                del message

    async def _next(self) -> tuple[list[bytes | Compressed], bool]:
        """Return the messages that end in the next piece of the body, and whether there are more pieces."""
        arriving = self._arriving
        if arriving.held:
            await arriving.room()
        self._idle.begin()
        arriving.begin()
        event = await self._receive()
        arriving.end()
        self._idle.end()
        if event["type"] != "http.request":
            raise asyncio.CancelledError(f"the client of {self._rpc} has disconnected")
        body = event.get("body", b"")
        messages = self._pieces.feed(body) if body else []
        arriving.hold(self._pieces.held)
        more = event.get("more_body", False)
        if not more:
            messages += self._pieces.end()
        return messages, more
