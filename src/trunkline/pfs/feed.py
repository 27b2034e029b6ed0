"""Feeds the frames of one upload to what applies them, in batches and in a thread.

The event loop's thread only appends a frame to a list. A batch of frames goes to the
executor, one batch at a time per stream so that their order is kept, and is decoded and applied there while
the next one is gathered; so a stream holds at most two batches. The last batch and what ends the stream go
over together. A stream that pauses sends what it has, so that its errors come at once, and an error of a batch
ends the call without waiting for more frames.

Batches count in the store's memory budget. While it has no room a stream reads no further frames, which makes
its client wait, but never before its first batch: small uploads do not wait for large ones. A stream that pauses
longer has its applier drained, so that a client that sends nothing more holds little.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from trunkline.runtime.cancellation import Scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from concurrent.futures import Executor, Future

    from trunkline.storage.memory_budget import MemoryBudget

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds after which a stream that pauses is drained.
DRAIN_AFTER = 1.0
#: Seconds after which a stream that waits for room asks again even if it was not woken.
_LOOK_AGAIN = 1.0
#: Bytes of frames that make a batch. Two batches with the largest frames (20 MiB) stay under 48 MiB.
BATCH_BYTES = 1 << 20
#: Frames that make a batch: passing a batch to the executor costs as much as about twenty small files.
BATCH_FRAMES = 1024
#: Seconds after which frames that are too few for a batch are applied all the same.
PAUSE = 0.01


class Applier(Protocol):
    """Applies frames. Blocks; used by one thread at a time."""

    def apply(self, batch: Sequence[bytes]) -> None:
        """Apply frames in order, or raise."""

    def drain(self) -> None:
        """Hold as little as possible until the next frame."""

    def abort(self) -> None:
        """Drop what was applied, unless it is finished."""


class Feed:
    """Feeds the frames of one call to its applier. Belongs to the event loop's thread.

    A context: on leaving it, what the applier holds is dropped unless ``finish`` went well.
    """

    def __init__(self, executor: Executor, applier: Applier, budget: MemoryBudget) -> None:
        """Make a feed for one call.

        Args:
            executor: where frames are applied.
            applier: applies them.
            budget: counts the frames that are not applied yet.
        """
        self._executor = executor
        self._budget = budget
        self._applier = applier
        self._frames: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._drain_timer: asyncio.TimerHandle | None = None
        #: The last thing given to the executor. Not the loop's future of it: that one is done as soon as the
        #: call is cancelled, while the thread is still at work.
        self._running: Future[Any] | None = None
        self._job: asyncio.Future[Any] | None = None
        #: The error of a batch; the feed stops waiting for frames.
        self._failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._finished = False
        self._scope = Scope()

    async def __aenter__(self) -> Feed:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop_timers()
        self._scope.cancel()
        if not self._finished and self._running is not None:
            # Not awaited: the call may be cancelled, and nothing waits for the clean-up.
            self._running.add_done_callback(self._clear_up)

    async def receive(self, requests: AsyncIterator[bytes]) -> None:
        """Read frames until the client has sent all, and apply all but the last batch, which ``finish`` does.

        Raises:
            TrunklineError: what the applier raised, as soon as it did.
        """
        reading = asyncio.ensure_future(self._read(requests))
        try:
            either: set[asyncio.Future[Any]] = {reading, self._failed}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if self._failed.done():
            raise self._failed.result()
        reading.result()

    async def finish(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Apply the last batch and run the last step; if both succeed there is nothing to drop any more.

        Args:
            fn: the last step; runs when all batches are applied.
            *args: positional arguments of ``fn``.
            **kwargs: keyword arguments of ``fn``.

        Raises:
            TrunklineError: what the applier or the step raised.
        """
        batch = self._gathered()
        self._stop_timers()
        await self._idle()

        def last() -> T:
            if batch:
                self._applier.apply(batch)
            return fn(*args, **kwargs)

        value = await self._start(last)
        self._finished = True
        return value

    def _clear_up(self, _: Future[Any]) -> None:
        # A server that stops takes no more work; bytes that nothing refers to remain.
        with contextlib.suppress(RuntimeError):
            self._executor.submit(self._applier.abort)

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        loop = asyncio.get_running_loop()
        async for frame in requests:
            self._frames.append(frame)
            self._size += len(frame)
            del frame  # it is not held while the next one is awaited
            if self._size >= BATCH_BYTES or len(self._frames) >= BATCH_FRAMES:
                await self._idle()
                if self._frames:
                    self._apply()
                await self._room()
            elif self._timer is None:
                self._timer = loop.call_later(PAUSE, self._paused)

    async def _room(self) -> None:
        """Wait until the budget has room for another batch."""
        while (waiting := self._budget.room_for_messages()) is not None:
            await asyncio.wait({asyncio.wrap_future(waiting)}, timeout=_LOOK_AGAIN)
            waiting.cancel()

    def _stop_timers(self) -> None:
        for timer in (self._timer, self._drain_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._drain_timer = None

    async def _idle(self) -> None:
        """Wait until no batch is being applied. The timers may begin another one while this waits for one.

        Raises:
            TrunklineError: what the applier raised.
        """
        job: asyncio.Future[Any] | None = None
        while self._job is not None and self._job is not job:
            job = self._job
            await job

    def _apply(self) -> None:
        """Give the gathered frames to the executor."""
        size = self._size
        self._budget.hold_messages(size)
        self._job = self._start(self._applier.apply, self._gathered())
        self._job.add_done_callback(self._applied)
        assert self._running is not None
        # Of the thread's future: that of the loop is done as soon as the call is cancelled.
        self._running.add_done_callback(lambda _: self._budget.release_messages(size))
        if self._drain_timer is not None:
            self._drain_timer.cancel()
        self._drain_timer = asyncio.get_running_loop().call_later(DRAIN_AFTER, self._drain)

    def _gathered(self) -> list[bytes]:
        """Take the gathered frames."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._frames, self._size = self._frames, [], 0
        return batch

    def _start(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        self._running = running = self._scope.submit(self._executor, fn, *args, **kwargs)
        return asyncio.wrap_future(running)

    def _applied(self, job: asyncio.Future[Any]) -> None:
        if not job.cancelled() and (error := job.exception()) is not None and not self._failed.done():
            self._failed.set_result(error)

    def _drain(self) -> None:
        """Drain the applier, unless frames have come meanwhile, which set the timer again."""
        self._drain_timer = None
        if self._frames or self._failed.done():
            return
        if self._job is not None and not self._job.done():
            self._drain_timer = asyncio.get_running_loop().call_later(DRAIN_AFTER, self._drain)
            return
        self._job = self._start(self._drain_applier)
        self._job.add_done_callback(self._applied)

    def _drain_applier(self) -> None:
        self._applier.drain()
        self._budget.return_memory()

    def _paused(self) -> None:
        """Apply what there is, as soon as the batch before is done."""
        self._timer = None
        if not self._frames:
            return
        if self._job is None or self._job.done():
            self._apply()
        else:
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._paused)
