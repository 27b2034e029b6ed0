"""The base class of servicers: access to the store, and running work in threads.

Blocking work (storage, anything that writes bytes) runs in the executor; plain transactions run in the
database's own threads. Answers of a stream are built in a thread some hundred at a time, because a thread switch
costs as much as building dozens of them, and one step ahead of the client, so that reading and sending overlap.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from google.protobuf.empty_pb2 import Empty

from trunkline.runtime import threads
from trunkline.runtime.cancellation import Scope

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
    from concurrent.futures import Executor, Future

    from trunkline.pfs.repository import VersionedStore
    from trunkline.rpc.call import Call

P = ParamSpec("P")
T = TypeVar("T")

#: Small messages built at a time.
BATCH = 256

EMPTY_REPLY = Empty()


class ServicerBase:
    """Base class of servicers and of their mix-ins."""

    def __init__(self, versions: VersionedStore, executor: Executor) -> None:
        self._versions = versions
        self._executor = executor

    def _store(self, call: Call) -> VersionedStore:
        """Return the store as the call's caller sees it."""
        return self._versions.for_caller(call.caller, call.trace)

    async def _blocking(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``fn`` in the executor; its loops end early when the call ends."""
        return await threads.run(self._executor, fn, *args, **kwargs)

    def _ahead(self, steps: Generator[T]) -> AsyncGenerator[T]:
        """Yield the values of a blocking generator, which runs in the executor one step ahead."""
        return ahead(self._executor, steps)


async def ahead(executor: Executor, steps: Generator[T]) -> AsyncGenerator[T]:
    """Yield the values of a blocking generator, which runs in a thread one step ahead.

    Args:
        executor: has the threads.
        steps: the generator.
    """
    scope = Scope()
    coming: Future[tuple[T, ...]] = scope.submit(executor, _step, steps)
    try:
        while step := await asyncio.wrap_future(coming):
            coming = scope.submit(executor, _step, steps)
            yield step[0]
    finally:
        scope.cancel()
        # The generator may be running now; it is closed when its step ends.
        coming.add_done_callback(lambda _: steps.close())


def _step(steps: Iterator[T]) -> tuple[T, ...]:
    """Return the next value in a tuple, which is empty at the end."""
    return tuple(islice(steps, 1))


def in_batches(values: Iterable[T], size: int = BATCH) -> Generator[list[T]]:
    """Group values into lists of ``size``."""
    values = iter(values)
    while batch := list(islice(values, size)):
        yield batch
