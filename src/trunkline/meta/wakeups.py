"""Wake-ups: how a loop learns that it should look again.

A topic has a stamp that grows with each announcement. A waiter takes the stamp, reads the state, and if
the state is not what it waits for, waits until the stamp has moved. An announcement between the read and
the wait is therefore never missed. Announcements carry no data.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Wakeups:
    """Stamps by topic. Everything but ``announce`` belongs to the event loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._stamps: dict[str, int] = {}
        self._waiters: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self._counter = 0

    def announce(self, topics: Iterable[str]) -> None:
        """Move the stamps of ``topics``; may be called from any thread."""
        wanted = tuple(topics)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._fire, wanted)

    def stamp(self, *topics: str) -> int:
        """Return the latest stamp of any of the topics."""
        return max((self._stamps.get(topic, 0) for topic in topics), default=0)

    async def changed(self, since: int, *topics: str, timeout: float | None = None) -> bool:  # noqa: ASYNC109 a wait
        """Wait until one of the topics is newer than ``since``; False when ``timeout`` seconds passed first."""
        if self.stamp(*topics) > since:
            return True
        waiter: asyncio.Future[None] = self._loop.create_future()
        for topic in topics:
            self._waiters[topic].add(waiter)
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError:
            return False
        finally:
            for topic in topics:
                waiters = self._waiters[topic]
                waiters.discard(waiter)
                if not waiters:
                    del self._waiters[topic]
        return True

    def _fire(self, topics: tuple[str, ...]) -> None:
        self._counter += 1
        for topic in topics:
            # A topic nobody ever waited on would stay for ever; they are bounded by repos and pipelines.
            self._stamps[topic] = self._counter
            for waiter in self._waiters.get(topic, ()):
                if not waiter.done():
                    waiter.set_result(None)
