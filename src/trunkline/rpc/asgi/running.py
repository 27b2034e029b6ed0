"""The requests that are being answered: how they end early, and the stop of the server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

#: Seconds in which clients take the last bytes of requests that the stop has ended.
_LAST_GRACE = 1.0


class Request(Protocol):
    """A request that is being answered, in a task of its own."""

    def enter(self) -> None:
        """Learn the task, in which this is called."""

    @property
    def is_cancelled(self) -> bool:
        """Whether the HTTP server asked the request's task to end."""

    def stop(self) -> None:
        """End it because the server stops, with a message for its client."""

    def abandon(self) -> None:
        """End it at once, without a message."""


class Running:
    """All requests of one kind that are being answered. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._requests: set[Request] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def answer(self, request: Request, answering: Coroutine[Any, Any, None]) -> None:
        """Answer a request, in the task that runs this.

        Args:
            request: to be ended early if necessary.
            answering: answers it.
        """
        request.enter()
        self._requests.add(request)
        self._idle.clear()
        try:
            await answering
        except asyncio.CancelledError:
            if request.is_cancelled:
                raise  # by the server; else the client has gone or is sent away, which is no error of the application
        finally:
            self._requests.discard(request)
            if not self._requests:
                self._idle.set()

    async def stop(self, grace: float) -> None:
        """Wait for the running requests, and end those that are left.

        Args:
            grace: seconds to wait.
        """
        if await self._is_idle_within(grace):
            return
        for request in tuple(self._requests):
            request.stop()
        if not await self._is_idle_within(_LAST_GRACE):
            for request in tuple(self._requests):
                request.abandon()

    async def _is_idle_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
