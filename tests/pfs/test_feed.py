"""The frames of an upload on their way to what applies them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from trunkline.errors import DeadlineExceeded
from trunkline.pfs.feed import Feed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence


class Collector:
    """Collects frames."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.aborted = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def apply(self, batch: Sequence[bytes]) -> None:
        self.frames += batch

    def abort(self) -> None:
        self._loop.call_soon_threadsafe(self.aborted.set)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


async def test_an_upload_whose_client_sends_nothing_more_ends_and_frees_what_it_holds(
    executor: ThreadPoolExecutor,
) -> None:
    async def frames() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.Event().wait()

    collector = Collector()
    with pytest.raises(DeadlineExceeded):
        async with Feed(executor, collector, idle_limit=0.05) as feed:
            await feed.receive(frames())

    await asyncio.wait_for(collector.aborted.wait(), 20)
    assert collector.frames == [b"first"]
