"""Passes events on to watchers, and lets them resume (docs/design/events.md, How events reach watchers).

The writer hands the events of each commit of the database to the event loop. The hub holds the newest ones in memory,
finds the watchers that an event concerns by an index, and gives all of them the same object. Only what is older is
read from the log.

Everything but ``EventHub._publish`` belongs to the event loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from trunkline import errors
from trunkline.meta import event_log
from trunkline.model.events import BEGINNING, Position, keys_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.database import Database
    from trunkline.meta.event_log import Batch
    from trunkline.model.events import Event, EventFilter

#: Bytes of the newest events that are held in memory: what watchers that connect again after a moment have missed.
RECENT_BYTES = 1 << 20
#: Bytes of events that wait for one watcher. One that is slower is ended.
WAITING_BYTES = 256 << 10

#: Why a watcher must read a new snapshot: what it missed is not stored any more, or its position is not of this log.
EXPIRED, UNKNOWN = "expired", "unknown"
#: Why a stream ends.
SLOW, STOPPING = "slow", "stopping"


# Of all timers: by default each has a copy of its task's.
_CONTEXT = contextvars.Context()


class LoggedEvent:
    """An event with its position. All watchers share it."""

    __slots__ = ("block", "event", "position")

    def __init__(self, position: Position, event: Event) -> None:
        self.position = position
        self.event = event
        #: What is sent of it; made by the first watcher that gets it.
        self.block: bytes | None = None


class Portion(NamedTuple):
    """What a watcher gets at a time."""

    events: Sequence[LoggedEvent] = ()
    #: Not empty: events were missed before these, for this reason (``EXPIRED`` or ``UNKNOWN``).
    reset: str = ""


class EventHub:
    """All watchers of a server."""

    def __init__(self, db: Database) -> None:
        """Make it. Until the first watcher comes, events are not handed to it.

        Args:
            db: its events are passed on.
        """
        self._db = db
        self._opening = asyncio.Lock()
        self._head: Position | None = None
        #: The newest events by their number, without gaps up to the head.
        self._recent: dict[int, LoggedEvent] = {}
        self._recent_bytes = 0
        #: Events that came before ``_open`` knew what is in the log.
        self._early: list[Batch] = []
        self._watchers: defaultdict[EventFilter, set[Watcher]] = defaultdict(set)
        #: Filters by their keys; a dictionary serves as a set that keeps its order.
        self._index: defaultdict[str, dict[EventFilter, None]] = defaultdict(dict)
        self._closed = False

    async def watch(
        self, admitted: EventFilter, after: Position | None = None, since: float | None = None
    ) -> Watcher:
        """Return a watcher; it must be closed.

        Args:
            admitted: which events it gets.
            after: the last event that it has; None: it gets what happens from now on.
            since: instead of ``after``: it gets events from this time on, seconds since the epoch.

        Raises:
            Unavailable: the server is stopping, or the database does not answer.
        """
        if self._closed:
            raise errors.Unavailable("the server is stopping; connect again when it is back")
        async with self._opening:
            if self._head is None:
                await self._open()
        watcher = Watcher(self, admitted)
        if since is not None:
            watcher.start_at(await self._db.read(event_log.first_from, since), since)
        elif after is not None:
            await watcher.resume(after)
        else:
            watcher.follow()
        return watcher

    def close(self) -> None:
        """End all watchers."""
        self._closed = True
        for watchers in list(self._watchers.values()):
            for watcher in list(watchers):
                watcher.end(STOPPING)

    @property
    def head(self) -> Position:
        """The position of the newest event, once there was a watcher."""
        return self._head or BEGINNING

    # --- events -----------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """Ask for events, and read the newest ones that the log holds."""
        self._early.clear()
        loop = asyncio.get_running_loop()
        self._db.publish_events_to(functools.partial(self._publish, loop))
        # Read after the request: what is committed meanwhile is in the log, or handed over, or both.
        head, batches = await self._db.read(_read_end)
        for batch in batches:
            self._add(batch)
        self._head = head
        for batch in self._early:
            if batch.first > head.number:
                self._receive(batch)
        self._early.clear()

    def _publish(self, loop: asyncio.AbstractEventLoop, batch: Batch) -> None:
        """Hand events over to the event loop; called by the writer's thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the server with it
            loop.call_soon_threadsafe(self._receive, batch)

    def _receive(self, batch: Batch) -> None:
        if self._head is None:
            self._early.append(batch)
            return
        for logged in self._add(batch):
            for key in keys_of(logged.event):
                for admitted in self._index.get(key, ()):
                    if admitted.admits(logged.event):
                        for watcher in tuple(self._watchers[admitted]):
                            watcher.push(logged)
        self._head = batch.last

    def _add(self, batch: Batch) -> list[LoggedEvent]:
        """Add to the newest events, and forget the oldest ones of them."""
        added = logged_events(batch)
        recent = self._recent
        for logged in added:
            recent[logged.position.number] = logged
            self._recent_bytes += len(logged.event.text)
        while self._recent_bytes > RECENT_BYTES:
            self._recent_bytes -= len(recent.pop(next(iter(recent))).event.text)
        return added

    # --- for watchers -----------------------------------------------------------------------------------

    def recent(self, number: int) -> LoggedEvent | None:
        """Return the event with a number if it is in memory."""
        return self._recent.get(number)

    async def read(self, number: int) -> list[Batch]:
        """Read events from the log, from the row of the one with a number on."""
        return await self._db.read(event_log.page, number)

    def register(self, watcher: Watcher) -> None:
        """Let a watcher get all events after the head that its filter admits."""
        if self._closed:
            watcher.end(STOPPING)
            return
        admitted = watcher.admitted
        if admitted not in self._watchers:
            for key in admitted.keys():  # noqa: SIM118 not those of a dictionary
                self._index[key][admitted] = None
        self._watchers[admitted].add(watcher)

    def remove(self, watcher: Watcher) -> None:
        """Undo ``register``."""
        admitted = watcher.admitted
        watchers = self._watchers.get(admitted)
        if watchers is None:
            return
        watchers.discard(watcher)
        if not watchers:
            del self._watchers[admitted]
            for key in admitted.keys():  # noqa: SIM118 not those of a dictionary
                del self._index[key][admitted]
                if not self._index[key]:
                    del self._index[key]


class Watcher:
    """One watcher: first what it has missed, page by page, then what happens."""

    __slots__ = (
        "_follows", "_hub", "_position", "_read", "_reset", "_since", "_waiter", "_waiting", "_waiting_bytes",
        "admitted", "ended",
    )  # fmt: skip

    def __init__(self, hub: EventHub, admitted: EventFilter) -> None:
        self._hub = hub
        self.admitted = admitted
        #: Why it gets nothing more; empty while it does.
        self.ended = ""
        self._position = BEGINNING
        self._follows = False
        self._since: float | None = None
        self._reset = ""
        #: Events after its position that were read to check it.
        self._read: list[Batch] = []
        self._waiting: list[LoggedEvent] = []
        self._waiting_bytes = 0
        self._waiter: asyncio.Future[None] | None = None

    @property
    def position(self) -> Position:
        """The newest event that was looked at for it, and that it got if its filter admits it."""
        if self._follows and not self._waiting and not self.ended:
            return self._hub.head
        return self._position

    @property
    def is_up_to_date(self) -> bool:
        """Whether it has got all that has happened."""
        return self._follows and not self._waiting

    def follow(self) -> None:
        """Get what happens from now on."""
        self._position = self._hub.head
        self._follows = True
        self._hub.register(self)

    def start_at(self, number: int, since: float) -> None:
        """Get events from a number on that happened at a time or later."""
        self._position = Position(BEGINNING.epoch, number - 1)
        self._since = since

    async def resume(self, after: Position) -> None:
        """Get events after a position, or else from now on with the reason for a reset."""
        self._position = after
        if after.number > self._hub.head.number:
            self._start_over(UNKNOWN)
            return
        if after.epoch == BEGINNING.epoch:
            return  # the beginning of the log, or of a time
        logged = self._hub.recent(after.number)
        if logged is not None:
            if logged.position != after:
                self._start_over(UNKNOWN)
            return
        batches = await self._hub.read(after.number)
        if not batches or batches[0].first > after.number:
            self._start_over(EXPIRED)
        elif batches[0].epoch != after.epoch:
            self._start_over(UNKNOWN)
        elif batches[-1].last.number > after.number:
            self._read = batches

    def _start_over(self, reason: str) -> None:
        self._reset = reason
        self.follow()

    async def take(self, seconds: float) -> Portion:
        """Return the next events; none when none came for so long, or when more is to be read.

        Args:
            seconds: how long to wait for the next event.
        """
        if self._reset:
            return Portion(reset=self._take_reset())
        if not self._follows:
            return await self._missed()
        if not self._waiting and not self.ended:
            await self._wait(seconds)
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if waiting:
            self._position = waiting[-1].position
        return Portion(waiting)

    async def _missed(self) -> Portion:
        """Return a page of what it has missed; behind the last page, it follows."""
        following = self._position.number + 1
        if self._hub.recent(following) is not None or following > self._hub.head.number:
            # Without an await up to "follow": nothing can happen in between.
            missed = []
            while (logged := self._hub.recent(following)) is not None:
                missed.append(logged)
                following += 1
            self.follow()
            return Portion(self._admit(missed))
        batches, self._read = self._read or await self._hub.read(following), []
        page = [logged for batch in batches for logged in logged_events(batch)]
        page = [logged for logged in page if logged.position.number >= following]
        if not page or (page[0].position.number > following and self._position.number):
            self._start_over(EXPIRED)  # removed while it was read
            return Portion(reset=self._take_reset())
        self._position = page[-1].position
        return Portion(self._admit(page))

    def _take_reset(self) -> str:
        reset, self._reset = self._reset, ""
        return reset

    def _admit(self, page: list[LoggedEvent]) -> list[LoggedEvent]:
        return [
            logged
            for logged in page
            if self.admitted.admits(logged.event) and (self._since is None or logged.event.at >= self._since)
        ]

    async def _wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        timer = loop.call_later(seconds, _wake, waiter, context=_CONTEXT)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def push(self, logged: LoggedEvent) -> None:
        """Add an event that its filter admits; end it when too many wait."""
        self._waiting_bytes += len(logged.event.text)
        if self._waiting_bytes > WAITING_BYTES:
            self.end(SLOW)
            return
        self._waiting.append(logged)
        if self._waiter is not None:
            _wake(self._waiter)

    def end(self, reason: str) -> None:
        """Let it get what waits for it, and then nothing more."""
        if not self._waiting and not self.ended and self._follows:
            self._position = self._hub.head
        self.ended = self.ended or reason
        self.close()
        if self._waiter is not None:
            _wake(self._waiter)

    def close(self) -> None:
        """Get no more events."""
        self._hub.remove(self)


def logged_events(batch: Batch) -> list[LoggedEvent]:
    """Return the events of a batch with their positions."""
    return [
        LoggedEvent(Position(batch.epoch, number), event)
        for number, event in enumerate(batch.events, batch.first)
    ]


def _read_end(conn: sa.Connection) -> tuple[Position, list[Batch]]:
    return event_log.newest(conn), event_log.last(conn, RECENT_BYTES)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
