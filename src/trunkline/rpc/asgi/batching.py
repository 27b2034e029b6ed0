"""Sends the messages of a stream in batches, without delaying one that is alone.

A servicer yields its messages one by one. While it goes on without waiting, its messages are gathered; as soon as it
waits for anything, or enough bytes are gathered, they are sent together. So a listing of a thousand entries is a few
calls of ``send``, and the message of a subscription is sent at once: its servicer waits for the next one.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from types import coroutine
from typing import TYPE_CHECKING, Any

from trunkline.rpc.asgi import framing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

#: Gathered bytes that are sent even if more messages come at once.
BATCH_BYTES = 128 << 10
#: Bytes of a message that is sent by itself, so that it is not copied.
LARGE = 64 << 10

_END = object()


async def send_all(
    messages: AsyncGenerator[Any],
    encode: Callable[[Any], bytes],
    frame: Callable[[bytes], tuple[bytes, bytes]],
    send: Callable[[bytes], Awaitable[None]],
    *,
    gzip: bool = False,
) -> None:
    """Send the messages of a generator, and close it however this ends.

    Args:
        messages: yields messages, or lists of small ones.
        encode: makes bytes of a message.
        frame: returns the prefix of encoded bytes and the bytes to send after it.
        send: sends bytes; waits while the client reads slowly.
        gzip: whether ``frame`` compresses.
    """
    batch = _Batch(send)
    async with aclosing(messages):
        try:
            while (message := await _next(messages, batch)) is not _END:
                if type(message) is list:
                    batch.extend(
                        await asyncio.to_thread(_framed, message, encode, frame)
                        if gzip
                        else _framed(message, encode, frame)
                    )
                    if batch.size >= BATCH_BYTES:
                        await batch.flush()
                    continue
                encoded = encode(message)
                prefix, body = await framing.compress(frame, encoded) if gzip else frame(encoded)
                batch.add(prefix)
                if len(body) >= LARGE:
                    await batch.flush()
                    await send(body)
                    continue
                batch.add(body)
                if batch.size >= BATCH_BYTES:
                    await batch.flush()
        except Exception:
            await batch.flush()  # what came before the error arrives before it
            raise
        await batch.flush()


def _framed(
    messages: list[Any], encode: Callable[[Any], bytes], frame: Callable[[bytes], tuple[bytes, bytes]]
) -> list[bytes]:
    """Return the bytes of small messages and their prefixes."""
    return [part for message in messages for part in frame(encode(message))]


class _Batch:
    """Bytes to be sent together."""

    __slots__ = ("_parts", "_send", "size")

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, part: bytes) -> None:
        self._parts.append(part)
        self.size += len(part)

    def extend(self, parts: list[bytes]) -> None:
        self._parts += parts
        self.size += sum(map(len, parts))

    async def flush(self) -> None:
        if self._parts:
            body = b"".join(self._parts)
            self._parts.clear()
            self.size = 0
            await self._send(body)


@coroutine
def _next(messages: AsyncGenerator[Any], batch: _Batch) -> Generator[Any, Any, Any]:
    """Return the next message or ``_END``; flush the batch before the generator's first wait.

    This is ``await anext(messages, _END)`` written out, because only the code that resumes a coroutine learns whether
    it waits: what it waits for is passed on to the event loop after the flush.
    """
    step = messages.__anext__()
    resume, argument = step.send, None
    while True:
        try:
            waits_for = resume(argument)
        except StopIteration as stop:
            return stop.value
        except StopAsyncIteration:
            return _END
        finally:
            argument = None  # an error that passes refers to this frame: together they would outlive the call
        try:
            if batch.size:
                yield from batch.flush().__await__()
            value = yield waits_for
        except BaseException as error:  # noqa: BLE001  raised where the generator waits, so that it cleans up
            resume, argument = step.throw, error
        else:
            resume, argument = step.send, value
