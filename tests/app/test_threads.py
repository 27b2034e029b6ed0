"""Fair sharing of threads, and cancellation of work."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from trunkline.errors import Cancelled
from trunkline.runtime import cancellation, threads
from trunkline.runtime.cancellation import Scope
from trunkline.runtime.threads import CONTROL, FairExecutor, lane

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 60.0


@pytest.fixture
def executor() -> Iterator[FairExecutor]:
    executor = FairExecutor(4, control=1, share=3)
    yield executor
    executor.shutdown()


def test_a_lane_with_more_work_than_threads_leaves_one_for_others(executor: FairExecutor) -> None:
    release = threading.Event()
    try:
        with lane("greedy"):
            greedy = [executor.submit(release.wait, LIMIT) for _ in range(100)]

        with lane("other"):
            assert executor.submit(lambda: "done").result(LIMIT) == "done"
        assert sum(future.running() for future in greedy) <= 3
    finally:
        release.set()
    assert [future.result(LIMIT) for future in greedy] == [True] * 100


def test_lanes_take_turns_however_much_one_of_them_queued_before() -> None:
    executor = FairExecutor(1, control=1, share=1)
    started, release = threading.Event(), threading.Event()
    order: list[str] = []
    try:
        with lane("first"):
            executor.submit(lambda: (started.set(), release.wait(LIMIT)))
        assert started.wait(LIMIT)
        with lane("many"):
            queued = [executor.submit(order.append, "many") for _ in range(50)]
        with lane("few"):
            queued.append(executor.submit(order.append, "few"))
        release.set()
        for future in queued:
            future.result(LIMIT)
    finally:
        release.set()
        executor.shutdown()

    assert order.index("few") <= 1


def test_control_work_runs_while_every_shared_thread_is_busy(executor: FairExecutor) -> None:
    release = threading.Event()
    try:
        for name in ("a", "b", "c"):
            with lane(name):
                for _ in range(3):
                    executor.submit(release.wait, LIMIT)

        with lane(CONTROL):
            assert executor.submit(lambda: "renewed").result(LIMIT) == "renewed"
    finally:
        release.set()


def test_what_a_function_raises_reaches_the_future(executor: FairExecutor) -> None:
    with pytest.raises(ZeroDivisionError):
        executor.submit(lambda: 1 // 0).result(LIMIT)


def test_shutdown_drops_queued_work_and_ends_every_thread() -> None:
    executor = FairExecutor(2, control=1, share=2)
    started, release = threading.Event(), threading.Event()
    running = executor.submit(lambda: (started.set(), release.wait(LIMIT)))
    assert started.wait(LIMIT)
    waiting = [executor.submit(release.wait, LIMIT) for _ in range(5)]

    executor.shutdown(wait=False, cancel_futures=True)
    release.set()
    executor.shutdown()

    assert running.result(LIMIT)
    assert any(future.cancelled() for future in waiting)
    assert not [thread for thread in threading.enumerate() if thread in executor._shared._threads]
    with pytest.raises(RuntimeError):
        executor.submit(print)


async def test_the_loop_gets_what_a_function_returns_or_raises(executor: FairExecutor) -> None:
    assert await executor.call(threading.current_thread) is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        await executor.call(lambda: 1 // 0)


async def test_queued_work_does_not_run_when_its_caller_is_cancelled(executor: FairExecutor) -> None:
    release, ran = threading.Event(), threading.Event()
    with lane("one"):
        running = [executor.submit(release.wait, LIMIT) for _ in range(3)]
        waiting = asyncio.create_task(executor.call(ran.set))
        await asyncio.sleep(0)

        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        release.set()
        await executor.call(threading.Event)

    assert all(future.result(LIMIT) for future in running)
    assert waiting.cancelled()
    assert not ran.is_set()


async def test_shutdown_cancels_what_the_loop_waits_for() -> None:
    executor = FairExecutor(1, control=1, share=1)
    started, release = threading.Event(), threading.Event()
    running = executor.submit(lambda: (started.set(), release.wait(LIMIT)))
    assert started.wait(LIMIT)
    waiting = asyncio.create_task(executor.call(release.wait))
    await asyncio.sleep(0)

    executor.shutdown(wait=False, cancel_futures=True)
    release.set()
    await asyncio.wait([waiting], timeout=LIMIT)
    executor.shutdown()

    assert running.result(LIMIT)
    assert waiting.cancelled()


async def test_a_loop_ends_when_its_caller_is_cancelled(executor: FairExecutor) -> None:
    started, ended = threading.Event(), threading.Event()

    def endless() -> None:
        started.set()
        try:
            while True:
                cancellation.check()
        except Cancelled:
            ended.set()
            raise

    task = asyncio.create_task(threads.run(executor, endless))
    assert await asyncio.to_thread(started.wait, LIMIT)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, LIMIT)


def test_cancelling_a_scope_cancels_the_scopes_within() -> None:
    outer = Scope()
    with ThreadPoolExecutor(1) as pool:
        inner = outer.submit(pool, Scope).result(LIMIT)

    assert not inner.cancelled
    outer.cancel()

    assert inner.cancelled
    cancellation.check()  # nothing here is part of the scope
