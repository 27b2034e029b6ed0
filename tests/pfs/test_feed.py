"""The frames of an upload on their way to what applies them."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from trunkline.errors import InvalidArgument
from trunkline.pfs import feed as feeds
from trunkline.pfs.feed import BATCH_BYTES, Feed
from trunkline.storage.memory_budget import MemoryBudget

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence


class Collector:
    """Collects frames."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.applied = asyncio.Event()
        self.drained = asyncio.Event()
        self.aborted = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def apply(self, batch: Sequence[bytes]) -> None:
        self.frames += batch
        self._loop.call_soon_threadsafe(self.applied.set)

    def drain(self) -> None:
        self._loop.call_soon_threadsafe(self.drained.set)

    def abort(self) -> None:
        self._loop.call_soon_threadsafe(self.aborted.set)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


async def test_an_upload_that_is_cancelled_frees_what_it_holds(
    executor: ThreadPoolExecutor,
) -> None:
    async def frames() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.Event().wait()

    collector = Collector()

    async def upload() -> None:
        async with Feed(executor, collector, MemoryBudget(1 << 20)) as feed:
            await feed.receive(frames())

    uploading = asyncio.ensure_future(upload())
    await asyncio.wait_for(collector.applied.wait(), 20)
    uploading.cancel()

    await asyncio.wait_for(collector.aborted.wait(), 20)
    assert collector.frames == [b"first"]


async def test_a_feed_reads_no_further_frames_while_the_budget_has_no_room(
    executor: ThreadPoolExecutor,
) -> None:
    budget = MemoryBudget(1 << 20)
    sent = 0

    async def frames() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(20):
            sent += 1
            yield bytes(BATCH_BYTES)

    budget.hold_messages(2 << 20)  # of other uploads
    collector = Collector()
    async with Feed(executor, collector, budget) as feed:
        receiving = asyncio.ensure_future(feed.receive(frames()))
        await collector.applied.wait()
        for _ in range(100):  # rounds of the event loop, in which it would read all
            await asyncio.sleep(0)
        sent_without_room = sent
        budget.release_messages(2 << 20)
        await asyncio.wait_for(receiving, 20)
        await feed.finish(lambda: None)

    assert sent_without_room == 1
    assert len(collector.frames) == 20
    assert budget.held_bytes == 0


async def test_a_feed_drains_its_applier_when_the_client_pauses(
    executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "DRAIN_AFTER", 0.01)
    collector = Collector()
    end = asyncio.Event()

    async def frames() -> AsyncIterator[bytes]:
        yield b"first"
        await end.wait()

    async with Feed(executor, collector, MemoryBudget(1 << 20)) as feed:
        receiving = asyncio.ensure_future(feed.receive(frames()))
        await asyncio.wait_for(collector.drained.wait(), 20)
        end.set()
        await receiving
        await feed.finish(lambda: None)

    assert collector.frames == [b"first"]


async def test_batches_are_applied_one_at_a_time_when_a_pause_ends_as_the_batch_before_does(
    executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Overlaps(Collector):
        running = overlapping = 0

        def apply(self, batch: Sequence[bytes]) -> None:
            self.running += 1
            self.overlapping += self.running > 1
            digests = [hashlib.scrypt(frame, salt=b"", n=256, r=8, p=1) for frame in batch]
            self.running -= 1
            super().apply(digests)

    monkeypatch.setattr(feeds, "PAUSE", 0)  # the timer of pauses is due in every round of the event loop
    frame = bytes(BATCH_BYTES // 8 + 1)

    async def frames() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield frame

    collector = Overlaps()
    async with Feed(executor, collector, MemoryBudget(1 << 30)) as feed:
        await feed.receive(frames())
        await feed.finish(lambda: None)

    assert collector.overlapping == 0
    assert len(collector.frames) == 200


async def test_the_error_of_a_batch_that_ends_before_the_last_step_ends_the_upload(
    executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise half an upload is committed."""
    monkeypatch.setattr(feeds, "BATCH_FRAMES", 1)
    may_fail = threading.Event()
    finished: list[bool] = []

    class Refusing(Collector):
        def apply(self, _batch: Sequence[bytes]) -> None:
            may_fail.wait(60)
            raise InvalidArgument("no such path")

    async def frames() -> AsyncIterator[bytes]:
        yield b"first"

    async with Feed(executor, Refusing(), MemoryBudget(1 << 20)) as feed:
        await feed.receive(frames())
        may_fail.set()
        assert feed._job is not None
        await asyncio.wait({feed._job}, timeout=60)
        with pytest.raises(InvalidArgument):
            await feed.finish(lambda: finished.append(True))

    assert finished == []
