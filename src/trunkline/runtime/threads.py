"""An executor that shares its threads fairly between lanes of work.

Work is queued by lane: one lane for each connection and for each part of the server that has much work. Threads
serve the lanes in turn, and no lane has more than its share of threads at a time, so a client with a thousand
requests delays another client by one piece of work, not by a thousand. The lane ``CONTROL`` has threads of its own:
leases are renewed and workers get their claims while everything else is busy.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from trunkline.runtime.cancellation import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")

#: The lane of work that must not wait: what workers need to keep their leases.
CONTROL = "control"

_lane: ContextVar[str] = ContextVar("lane", default="")


def enter_lane(name: str) -> None:
    """Assign all work that the current task submits from now on to a lane."""
    _lane.set(name)


@contextmanager
def lane(name: str) -> Iterator[None]:
    """Assign the work that is submitted within the context to a lane."""
    before = _lane.set(name)
    try:
        yield
    finally:
        _lane.reset(before)


async def run(executor: Executor, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run ``fn`` in a thread; it can end early when the caller is cancelled.

    Args:
        executor: runs it.
        fn: the function.
        args: its positional arguments.
        kwargs: its keyword arguments.

    Raises:
        Exception: whatever ``fn`` raises.
    """
    scope = Scope()
    work = scope.bound(fn, *args, **kwargs)
    try:
        if isinstance(executor, FairExecutor):
            return await executor.call(work)  # costs less
        return await asyncio.wrap_future(executor.submit(work))
    except asyncio.CancelledError:
        scope.cancel()
        raise


class FairExecutor(Executor):
    """Runs work in threads. Every method may be called from any thread."""

    def __init__(self, threads: int, *, control: int, share: int) -> None:
        """Create an executor; its threads start when they are needed.

        Args:
            threads: threads for all lanes but ``CONTROL``.
            control: threads for ``CONTROL``.
            share: maximum number of threads of one lane at a time.
        """
        self._shared = _Pool("blocking", threads, share)
        self._control = _Pool("control", control, control)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` in the caller's lane.

        Args:
            fn: the function.
            args: its positional arguments.
            kwargs: its keyword arguments.

        Raises:
            RuntimeError: the executor is shut down.
        """
        future: Future[Any] = Future()
        lane = _lane.get()
        pool = self._control if lane == CONTROL else self._shared
        pool.add(lane, future, partial(fn, *args, **kwargs))
        return future

    async def call(self, fn: Callable[[], T]) -> T:
        """Run ``fn`` in the caller's lane, for the event loop. It costs less than ``submit``.

        Raises:
            RuntimeError: the executor is shut down.
            Exception: whatever ``fn`` raises.
        """
        loop = asyncio.get_running_loop()
        awaited: asyncio.Future[T] = loop.create_future()
        lane = _lane.get()
        pool = self._control if lane == CONTROL else self._shared
        pool.add(lane, _Awaited(loop, awaited), fn)
        return await awaited

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop accepting work.

        Args:
            wait: whether to return only when all threads have ended.
            cancel_futures: whether to drop queued work.
        """
        for pool in (self._shared, self._control):
            pool.close(cancel_futures=cancel_futures)
        if wait:
            for pool in (self._shared, self._control):
                pool.join()


class _Awaited:
    """What a thread sees of a future of the event loop: those methods of ``Future`` that threads need."""

    __slots__ = ("_future", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]) -> None:
        self._loop = loop
        self._future = future

    def set_running_or_notify_cancel(self) -> bool:
        return not self._future.cancelled()

    def set_result(self, value: object) -> None:
        self._settle(self._future.set_result, value)

    def set_exception(self, error: BaseException) -> None:
        self._settle(self._future.set_exception, error)

    def cancel(self) -> None:
        self._settle(self._future.cancel)

    def _settle(self, how: Callable[..., object], *values: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(_unless_done, self._future, how, *values)


def _unless_done(future: asyncio.Future[Any], how: Callable[..., object], *values: object) -> None:
    if not future.done():
        how(*values)


class _Pool:
    """Threads, and the lanes that they serve."""

    def __init__(self, name: str, most: int, share: int) -> None:
        self._name = name
        self._most = most
        self._share = share
        self._lock = threading.Lock()
        # Below: guarded by the lock.
        self._closed = False
        self._threads: list[threading.Thread] = []
        #: What each idle thread waits for to be released. The one that ran last is woken first: its caches are warm.
        self._idle: list[threading.Lock] = []
        #: Queued work by lane; the lane whose turn it is comes first.
        self._lanes: OrderedDict[str, deque[tuple[Future[Any] | _Awaited, Callable[[], Any]]]] = OrderedDict()
        #: Number of running pieces of work by lane.
        self._running: dict[str, int] = {}

    def add(self, lane: str, future: Future[Any] | _Awaited, work: Callable[[], Any]) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("the server is stopping and takes no more work")
            queue = self._lanes.get(lane)
            if queue is None:
                queue = self._lanes[lane] = deque()
            queue.append((future, work))
            if self._idle:
                self._idle.pop().release()
            elif len(self._threads) < self._most:
                number = len(self._threads)
                thread = threading.Thread(target=self._serve, name=f"{self._name}_{number}")
                self._threads.append(thread)
                thread.start()

    def close(self, *, cancel_futures: bool) -> None:
        with self._lock:
            self._closed = True
            if cancel_futures:
                for queue in self._lanes.values():
                    for future, _ in queue:
                        future.cancel()
                self._lanes.clear()
            self._wake_all()

    def join(self) -> None:
        for thread in self._threads:  # complete, since the pool is closed
            thread.join()

    def _serve(self) -> None:
        wake = threading.Lock()
        wake.acquire()
        while (next_work := self._wait(wake)) is not None:
            lane, future, work = next_work
            if future.set_running_or_notify_cancel():
                try:
                    value = work()
                except BaseException as error:  # noqa: BLE001 - the future carries it
                    self._done(lane)
                    future.set_exception(error)
                else:
                    self._done(lane)
                    future.set_result(value)
                    del value
            else:
                self._done(lane)
            del next_work, future, work  # so that an idle thread keeps no object alive

    def _wait(self, wake: threading.Lock) -> tuple[str, Future[Any] | _Awaited, Callable[[], Any]] | None:
        """Return the next piece of work; None when the pool is closed and empty.

        Args:
            wake: the calling thread's own lock, which it holds; whoever releases it has taken it out of ``_idle``.
        """
        while True:
            with self._lock:
                next_work = self._dequeue()
                if next_work is not None or (self._closed and not self._lanes):
                    return next_work
                self._idle.append(wake)
            wake.acquire()

    def _dequeue(self) -> tuple[str, Future[Any] | _Awaited, Callable[[], Any]] | None:
        """Return work of the next lane that has less than its share of threads. Needs the lock."""
        for lane, queue in self._lanes.items():
            running = self._running.get(lane, 0)
            if running < self._share:
                future, work = queue.popleft()
                if queue:
                    self._lanes.move_to_end(lane)
                else:
                    del self._lanes[lane]
                self._running[lane] = running + 1
                return lane, future, work
        return None

    def _done(self, lane: str) -> None:
        with self._lock:
            running = self._running[lane] - 1
            if running:
                self._running[lane] = running
            else:
                del self._running[lane]
            # A lane that had its share may run more now: this thread serves it next.
            if self._closed:
                self._wake_all()

    def _wake_all(self) -> None:
        """Wake the idle threads. Needs the lock."""
        while self._idle:
            self._idle.pop().release()
