"""Workers whose calls wait for work: the transaction that makes work gives it to them.

Without it a plan and the first claims on it would be transactions one after the other, each with a flush of the disk.
What is remembered here may be lost: a worker that is not here claims for itself.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from trunkline.meta import workers
from trunkline.model.states import WorkerState
from trunkline.pps.workers import claims

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.spec_cache import Specs

#: Claims that one transaction gives out at most: some milliseconds of the database's only writer.
CLAIMS_TOGETHER = 32
#: Seconds between two looks whether claims have arrived, and how many looks.
_PAUSE, _PAUSES = 0.001, 5


class Wait:
    """A call that waits."""

    __slots__ = ("claimed",)

    def __init__(self) -> None:
        #: What the worker got; None when it must look for itself.
        self.claimed: claims.Claimed | None = None


class WaitingWorkers:
    """The waiting workers by pipeline, the longest wait first. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: dict[int, dict[str, Wait]] = {}
        #: Calls that have got a claim and are not answered yet.
        self._answering = 0

    @contextmanager
    def waiting(self, pipeline_id: int, worker_id: str) -> Iterator[Wait]:
        """Offer a worker while the context is open; afterwards the value says what it got.

        A later call of the same worker takes the place of an earlier one.
        """
        wait = Wait()
        with self._lock:
            waits = self._waits.setdefault(pipeline_id, {})
            waits.pop(worker_id, None)
            waits[worker_id] = wait
        try:
            yield wait
        finally:
            with self._lock:
                if waits.get(worker_id) is wait:
                    del waits[worker_id]
                self._answering -= wait.claimed is not None
                if not waits and self._waits.get(pipeline_id) is waits:
                    del self._waits[pipeline_id]

    def give_out(self, write: WriteTransaction, pipeline_id: int, specs: Specs) -> None:
        """Claim work of a pipeline for waiting workers, in their order; wake the others if some remains.

        A worker whose call ends meanwhile gets its claim when it calls again, or loses it with its lease.

        Args:
            write: transaction that the change belongs to.
            pipeline_id: row number of the pipeline.
            specs: cache of specifications.
        """
        claimed = []
        for worker_id in self.of(pipeline_id):
            worker = workers.by_id(write.conn, worker_id)
            if worker is None or worker.state is not WorkerState.IDLE:
                continue
            claim = claims.take(write, worker_id, specs)
            if claim is not None:
                claimed.append(claim)
                write.tx.wake(f"worker:{worker_id}")
        write.tx.before_wake(partial(self._deliver, claimed))
        if claims.has_unclaimed(write.conn, pipeline_id):
            write.tx.wake(f"work:{pipeline_id}")

    async def answered(self) -> None:
        """Wait a moment while claims are on their way to workers, who need the processor first."""
        for _ in range(_PAUSES):
            if not self._answering:
                return
            await asyncio.sleep(_PAUSE)

    def of(self, pipeline_id: int) -> list[str]:
        """Return the ids of workers that wait, at most ``CLAIMS_TOGETHER``."""
        with self._lock:
            return list(self._waits.get(pipeline_id, ()))[:CLAIMS_TOGETHER]

    def _deliver(self, claimed: Iterable[claims.Claimed]) -> None:
        with self._lock:
            for each in claimed:
                wait = self._waits.get(each.pipeline.id, {}).get(each.worker_id)
                if wait is not None and wait.claimed is None:
                    wait.claimed = each
                    self._answering += 1
