"""Watchers get each event that they admit once and in order, wherever they were interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patience import PATIENCE

from trunkline import errors
from trunkline.meta import event_log, install
from trunkline.meta.database import Database, sqlite_url
from trunkline.model.events import BEGINNING, EventFilter, EventKind, Position, event
from trunkline.pfs import event_hub
from trunkline.pfs.event_hub import EventHub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import FrameType

    from trunkline.meta.group_commit import Tx
    from trunkline.pfs.event_hub import LoggedEvent, Watcher

ALL = EventFilter()


@pytest.fixture
def db(installed_url: str) -> Iterator[Database]:
    database = Database(installed_url, lambda _topics: None)
    install.install(database, 1.0)
    yield database
    database.close()


@pytest.fixture
async def hub(db: Database) -> AsyncIterator[EventHub]:
    hub = EventHub(db)
    yield hub
    hub.close()


def record(tx: Tx, *pipelines: str, at: float = 1.0) -> None:
    for pipeline in pipelines:
        tx.record(event(EventKind.WORKER, at, "p", pipeline=pipeline))


def only(pipeline: str) -> EventFilter:
    return EventFilter(pipelines=frozenset({pipeline}))


async def take(watcher: Watcher, count: int) -> list[LoggedEvent]:
    """Take that many events."""
    events: list[LoggedEvent] = []
    async with asyncio.timeout(PATIENCE):
        while len(events) < count:
            events += (await watcher.take(PATIENCE)).events
    return events


async def catch_up(watcher: Watcher) -> tuple[list[LoggedEvent], str]:
    """Take all that has happened; return it, and why something was missed."""
    events: list[LoggedEvent] = []
    reset = ""
    async with asyncio.timeout(PATIENCE):
        while True:
            portion = await watcher.take(0)
            events += portion.events
            reset = reset or portion.reset
            if watcher.is_up_to_date:
                return events, reset


def pipelines(events: list[LoggedEvent]) -> list[str]:
    return [logged.event.pipeline for logged in events]


async def test_a_watcher_gets_what_happens_from_now_on(db: Database, hub: EventHub) -> None:
    await db.run(record, "before")
    watcher = await hub.watch(ALL)
    start = watcher.position

    await db.run(record, "a", "b")
    events = await take(watcher, 2)

    assert pipelines(events) == ["a", "b"]
    assert [logged.position.number for logged in events] == [2, 3]
    assert (start.number, watcher.position) == (1, events[-1].position)


async def test_a_watcher_of_something_quiet_moves_on_with_the_log(db: Database, hub: EventHub) -> None:
    busy, quiet = await hub.watch(only("busy")), await hub.watch(only("quiet"))

    await db.run(record, "busy", "busy")
    events = await take(busy, 2)
    portion = await quiet.take(0)

    assert not portion.events
    assert quiet.position == events[-1].position


async def test_watchers_share_the_events_that_they_get(db: Database, hub: EventHub) -> None:
    watchers = [await hub.watch(ALL) for _ in range(3)]

    await db.run(record, "a")
    [first, second, third] = [(await take(watcher, 1))[0] for watcher in watchers]

    assert first is second is third


async def test_a_slow_watcher_is_ended_and_resumes_without_a_gap(
    db: Database, hub: EventHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_hub, "WAITING_BYTES", 1000)
    slow, quick = await hub.watch(ALL), await hub.watch(ALL)
    expected = [str(number) for number in range(30)]

    for pipeline in expected:
        await db.run(record, pipeline)
        await take(quick, 1)
    waiting = (await slow.take(0)).events
    ended, rest = slow.ended, (await slow.take(0)).events
    again = await hub.watch(ALL, slow.position)
    missed, reset = await catch_up(again)

    assert (ended, quick.ended, list(rest), reset) == ("slow", "", [], "")
    assert 0 < sum(len(logged.event.text) for logged in waiting) <= 1000
    assert pipelines([*waiting, *missed]) == expected


async def test_a_position_that_is_not_stored_any_more_begins_anew(db: Database, hub: EventHub) -> None:
    for number in range(10):
        await db.run(record, str(number), at=float(number))
    first = Position((await db.read(event_log.newest)).epoch, 1)
    await db.run(lambda tx: event_log.remove_old(tx.conn, 5.0, 1 << 20, 100))

    watcher = await hub.watch(ALL, first)
    events, reset = await catch_up(watcher)
    await db.run(record, "next")

    assert (events, reset) == ([], "expired")
    assert pipelines(await take(watcher, 1)) == ["next"]


@pytest.mark.parametrize("number", [1, 2, 3, 4000])
async def test_a_position_of_another_log_begins_anew(db: Database, hub: EventHub, number: int) -> None:
    await db.run(record, "a", "b")
    await db.run(record, "c")

    watcher = await hub.watch(ALL, Position("ffffffff", number))
    events, reset = await catch_up(watcher)

    assert (events, reset) == ([], "unknown")
    assert watcher.position == hub.head


async def test_all_that_is_stored_is_read_from_the_beginning(db: Database, hub: EventHub) -> None:
    for number in range(10):
        await db.run(record, str(number), at=float(number))
    await db.run(lambda tx: event_log.remove_old(tx.conn, 3.0, 1 << 20, 100))

    events, reset = await catch_up(await hub.watch(ALL, BEGINNING))

    assert (pipelines(events), reset) == ([str(number) for number in range(3, 10)], "")


async def test_events_are_read_from_a_time_on(db: Database, hub: EventHub) -> None:
    for number in range(10):
        await db.run(record, str(number), at=float(number))

    events, reset = await catch_up(await hub.watch(ALL, since=6.5))

    assert (pipelines(events), reset) == (["7", "8", "9"], "")


async def test_a_hub_that_is_closed_ends_its_watchers_and_takes_no_more(db: Database, hub: EventHub) -> None:
    watcher = await hub.watch(ALL)
    await db.run(record, "a")
    [last] = await take(watcher, 1)

    hub.close()
    portion = await watcher.take(PATIENCE)

    assert (portion.events, watcher.ended, watcher.position) == ([], "stopping", last.position)
    with pytest.raises(errors.Unavailable):
        await hub.watch(ALL)


async def test_an_event_costs_what_its_watchers_receive(db: Database, hub: EventHub) -> None:
    """A thousand watchers of a pipeline each: an event is compared with the request of one, and read for none."""
    watchers = [await hub.watch(only(str(number))) for number in range(1000)]
    calls: dict[str, int] = {}

    def count(frame: FrameType, what: str, _argument: object) -> None:
        if what == "call":
            calls[frame.f_code.co_qualname] = calls.get(frame.f_code.co_qualname, 0) + 1

    sys.setprofile(count)
    try:
        for number in range(0, 1000, 100):
            await db.run(record, str(number))
            await take(watchers[number], 1)
    finally:
        sys.setprofile(None)

    assert calls["EventFilter.admits"] == 10
    assert calls["Watcher.push"] == 10
    assert "EventHub.read" not in calls
    assert all(not watcher._waiting for watcher in watchers)


async def test_watchers_that_come_back_after_a_restart_share_one_read_of_the_log(db: Database) -> None:
    for number in range(50):
        await db.run(record, str(number))
    newest = await db.read(event_log.newest)
    #: Frames, because a coroutine is called again each time that it goes on.
    reads: set[FrameType] = set()

    def count(frame: FrameType, what: str, _argument: object) -> None:
        if what == "call" and frame.f_code.co_qualname == "Database.read":
            reads.add(frame)

    hub = EventHub(db)
    sys.setprofile(count)
    try:
        resumed = [
            await catch_up(await hub.watch(ALL, Position(newest.epoch, number))) for number in range(1, 50)
        ]
    finally:
        sys.setprofile(None)
        hub.close()

    assert [len(events) for events, _ in resumed] == list(range(49, 0, -1))
    assert {reset for _, reset in resumed} == {""}
    assert len(reads) == 1


# --- every cut point ----------------------------------------------------------------------------------------

#: Pipelines of the events of a transaction; None: the server is restarted.
STEPS = st.lists(st.one_of(st.none(), st.lists(st.sampled_from("ab"), min_size=1, max_size=3)), max_size=12)


@given(steps=STEPS, recent=st.sampled_from([1, 300, 1 << 20]), at=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_watcher_that_is_cut_off_anywhere_gets_everything_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[str] | None], recent: int, at: st.DataObject
) -> None:
    """Compared with a list: a watcher is cut off and resumes at each position, before and after each restart."""
    url = sqlite_url(tmp_path_factory.mktemp("log"))
    admitted = at.draw(st.sampled_from([ALL, only("a"), only("none")]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_hub, "RECENT_BYTES", recent)
        patch.setattr(event_log, "_PAGE", 2)
        asyncio.run(_cut_everywhere(url, steps, admitted))


async def _cut_everywhere(url: str, steps: list[list[str] | None], admitted: EventFilter) -> None:
    happened: list[LoggedEvent] = []
    parts: list[list[list[str]]] = [[]]
    for step in steps:
        if step is None:
            parts.append([])
        else:
            parts[-1].append(step)
    for part in parts:
        async with _serving(url) as (db, hub):
            watcher = await hub.watch(ALL, happened[-1].position if happened else BEGINNING)
            for step in part:
                await db.run(record, *step)
            events, reset = await catch_up(watcher)
            assert reset == ""
            happened += events
    assert pipelines(happened) == [pipeline for step in steps if step is not None for pipeline in step]
    async with _serving(url) as (_, hub):
        for cut in range(len(happened) + 1):
            watcher = await hub.watch(admitted, happened[cut - 1].position if cut else BEGINNING)
            events, reset = await catch_up(watcher)
            assert reset == ""
            assert pipelines(events) == [
                logged.event.pipeline for logged in happened[cut:] if admitted.admits(logged.event)
            ]
            assert watcher.position.number == len(happened)


@contextlib.asynccontextmanager
async def _serving(url: str) -> AsyncIterator[tuple[Database, EventHub]]:
    db = Database(url, lambda _topics: None)
    try:
        install.install(db, 1.0)
        hub = EventHub(db)
        yield db, hub
        hub.close()
    finally:
        db.close()
