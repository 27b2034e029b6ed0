"""Cancels HTTP/1.1 requests whose client has gone, for a server that notices it only when it writes.

While an answer over HTTP/1.1 waits for something to say, such as a subscription, h2corn does not read its connection
and so does not see that the client has closed it. The kernel does: the connection is in state CLOSE_WAIT. A client
that closes only its sending side counts as gone, as it does for other servers.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from trunkline.linux import half_closed
from trunkline.linux.half_closed import Connection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Event = MutableMapping[str, Any]
    Send = Callable[[Event], Awaitable[None]]

#: Seconds between two looks at the connections, and how many times longer than a look they are.
PAUSE, PAUSE_OF_LOOKS = 1.0, 1000
#: Writes until the server has noticed, and seconds between them: the client's machine must answer the first one.
WRITES, WRITE_PAUSE = 20, 0.1


class CancelledWhenGone:
    """An ASGI application whose requests over HTTP/1.1 are cancelled when their client has gone."""

    def __init__(self, application: Callable[..., Awaitable[None]]) -> None:
        self._application = application
        self._running: dict[asyncio.Task[Any], Connection] = {}
        self._cancelled: set[asyncio.Task[Any]] = set()
        self._looking: asyncio.Task[None] | None = None

    def __call__(self, scope: Event, receive: Any, send: Send) -> Awaitable[None]:
        """Return what answers a request."""
        connection = _connection(scope)
        if connection is None:
            return self._application(scope, receive, send)
        return self._watched(connection, scope, receive, send)

    async def _watched(self, connection: Connection, scope: Event, receive: Any, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running[task] = connection
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="http-disconnects")
        started = False

        async def watched_send(event: Event) -> None:
            nonlocal started
            started = True
            await send(event)

        try:
            await self._application(scope, receive, watched_send)
        except asyncio.CancelledError:
            if task not in self._cancelled:
                raise
            task.uncancel()
            await _write(send, started=started)
        finally:
            del self._running[task]
            self._cancelled.discard(task)

    async def close(self) -> None:
        """End, after the last request."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def _look(self) -> None:
        """Cancel the requests whose client has gone, again and again while there are requests."""
        pause = PAUSE
        while self._running:
            await asyncio.sleep(pause)
            begun = time.monotonic()
            closed = await asyncio.to_thread(half_closed.half_closed)
            pause = max(PAUSE, PAUSE_OF_LOOKS * (time.monotonic() - begun))
            for task in [task for task, connection in self._running.items() if connection in closed]:
                if task not in self._cancelled:
                    self._cancelled.add(task)
                    task.cancel("the client has disconnected")


async def _write(send: Send, *, started: bool) -> None:
    """Write to a connection that its client has closed until the server notices and cancels the request itself.

    It would report a request that ends in any other way as an error of the application.
    """
    if not started:
        await send({"type": "http.response.start", "status": 499, "headers": []})
    for _ in range(WRITES):
        await send({"type": "http.response.body", "body": b"\n", "more_body": True})
        await asyncio.sleep(WRITE_PAUSE)


def _connection(scope: Event) -> Connection | None:
    """Return the connection of a request; None for one that is watched by the server or has no addresses."""
    if scope.get("http_version") != "1.1" or not scope.get("client") or not scope.get("server"):
        return None
    host, port = scope["client"]
    try:
        return Connection(half_closed.normal(host), port, scope["server"][1])
    except ValueError:
        return None
