"""Wake-ups: how a loop learns that it should look again.

A topic has a stamp that grows with each announcement. A waiter takes the stamp, reads the state, and if
the state is not what it waits for, waits until one of its topics has moved. An announcement between the read and
the wait is therefore never missed. Announcements carry no data.

There is a topic for each commit, job and repo, so that a waiter wakes for its own object only. Only the latest
topics are remembered: a waiter whose stamp is older than what was forgotten looks again once, for nothing at worst.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Topics remembered.
REMEMBERED = 10_000


class Wakeups:
    """Stamps by topic. Everything but ``announce`` belongs to the event loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        #: The last announcements by topic, oldest first.
        self._stamps: dict[str, int] = {}
        self._waiters: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self._counter = 0
        #: The newest stamp that was forgotten.
        self._forgotten = 0

    def announce(self, topics: Iterable[str]) -> None:
        """Move the stamps of ``topics``; may be called from any thread."""
        announced = tuple(topics)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._fire, announced)

    def stamp(self) -> int:
        """Return the stamp of now, for ``changed``."""
        return self._counter

    async def changed(self, since: int, *topics: str, timeout: float | None = None) -> bool:  # noqa: ASYNC109 a wait
        """Wait until one of the topics is announced after ``since``; False when ``timeout`` seconds passed first.

        Args:
            since: stamp that was taken before the state was read.
            topics: names of what may have changed.
            timeout: in seconds; None: no limit.
        """
        for topic in topics:
            if self._stamps.get(topic, self._forgotten) > since:
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
            self._stamps.pop(topic, None)
            self._stamps[topic] = self._counter
            for waiter in self._waiters.get(topic, ()):
                if not waiter.done():
                    waiter.set_result(None)
        while len(self._stamps) > REMEMBERED:
            oldest = next(iter(self._stamps))
            self._forgotten = self._stamps.pop(oldest)
