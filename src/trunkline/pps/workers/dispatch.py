"""Dispatch assignments to waiting workers.

A claim is recorded before its assignment is computed. When that fails, the claim is freed at once: the caller
retries a retryable error; a permanent one (lost data) ends the job with its reason, because every other worker
would get it too.
"""

from __future__ import annotations

import asyncio
import logging
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import jobs
from trunkline.model.states import JobState, WorkerState
from trunkline.pps.jobs import end_job
from trunkline.pps.workers import claims, input_reads, standing

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import sqlalchemy as sa

    from trunkline.meta.claims import ClaimRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.spec_cache import Specs
    from trunkline.pps.workers.assignments import Assignment, Assignments
    from trunkline.pps.workers.waiting import WaitingWorkers

log = logging.getLogger("trunkline.pps.workers.dispatch")


class NextWork(Struct, frozen=True):
    """The next action of a worker: run the assignment or the spout, exit, or (none of them) ask again."""

    assignment: Assignment | None = None
    sent: input_reads.SentFiles = input_reads.SentFiles()
    spout: standing.SpoutRun | None = None
    retire: bool = False
    #: The program that the worker runs goes on.
    held: bool = False


class Dispatcher:
    """Dispatches assignments. Its coroutines run on the event loop and hold no thread while they wait.

    Args:
        versions: the store.
        specs: the parsed specifications.
        assignments: computes what a claim means.
        executor: where blocking work runs.
        waiting: the workers that wait, for those who make work.
    """

    def __init__(
        self,
        versions: VersionedStore,
        specs: Specs,
        assignments: Assignments,
        executor: Executor,
        waiting: WaitingWorkers,
    ) -> None:
        self._versions = versions
        self._specs = specs
        self._assignments = assignments
        self._executor = executor
        self._waiting = waiting

    async def next_work(self, worker_id: str, wait_seconds: float, held: str = "") -> NextWork:
        """Wait for work for at most so long.

        Args:
            worker_id: the worker that asks.
            wait_seconds: after these it asks again.
            held: the claim of a standing program that it runs; it gets no work before that claim has ended.

        Raises:
            Unauthenticated: the worker is unknown.
            Unavailable: what it is to run cannot be read now.
        """
        db, wakeups = self._versions.db, self._versions.wakeups
        worker = await db.read(claims.require_worker, worker_id)
        if worker.state is WorkerState.BUSY and not held:
            await self._versions.write_soon(claims.let_go, worker_id)
        topics = f"work:{worker.pipeline_id}", f"worker:{worker_id}"
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_seconds
        while True:
            stamp = wakeups.stamp()
            hold = await db.read(standing.hold, worker_id, held, self._specs) if held else None
            if hold is standing.Hold.RETIRED:
                return NextWork(retire=True)
            if hold is standing.Hold.ENDED:
                return NextWork()
            rest = max(0.0, end - loop.time())
            if hold is standing.Hold.HELD:
                if not await wakeups.changed(stamp, *topics, timeout=rest):
                    return NextWork(held=True)
                continue
            if (work := await self._take(worker_id)) is not None:
                return work
            with self._waiting.waiting(worker.pipeline_id, worker_id) as wait:
                has_changed = await wakeups.changed(stamp, *topics, timeout=rest)
                if wait.claimed is not None:
                    work = await self._assign(worker_id, wait.claimed.claim)
                    if work is not None:
                        return work
                elif not has_changed:
                    return NextWork(held=hold is not None)

    async def assign(self, worker_id: str, claim: ClaimRow) -> NextWork | None:
        """Compute the assignment of a claim; None when that fails: the claim is free, and the worker asks again."""
        try:
            return await self._assign(worker_id, claim)
        except errors.TrunklineError as error:
            log.warning("claim %s was given back: %s", claim.id, error.message)
            return None

    async def _take(self, worker_id: str) -> NextWork | None:
        """Return what a worker does now; None when there is nothing."""
        db, write = self._versions.db, self._versions.write_soon
        while waiting := await db.read(_what_waits, worker_id, self._specs):
            if waiting is _Waiting.SPOUT:
                return NextWork(spout=await write(standing.take_spout, worker_id, self._specs))
            claimed = await write(claims.take, worker_id, self._specs)
            if claimed is None:
                worker = await db.read(claims.require_worker, worker_id)
                return NextWork(retire=True) if claims.must_exit(worker) else None
            work = await self._assign(worker_id, claimed.claim)
            if work is not None:
                return work
        return None

    async def _assign(self, worker_id: str, claim: ClaimRow) -> NextWork | None:
        """Compute an assignment; None when there is none any more."""

        def compute() -> NextWork:
            assignment = self._assignments.of(claim)
            return NextWork(assignment, input_reads.sent_files(self._versions, assignment))

        future = self._executor.submit(compute)
        try:
            return await asyncio.wrap_future(future)
        except errors.TrunklineError as error:
            # The job was deleted, or its data cannot be read.
            fatal = None if error.retryable or isinstance(error, claims.ClaimLost) else _reason(error)
            await self._versions.write_soon(_refuse, worker_id, claim, fatal)
            if error.retryable:
                raise
            log.warning("claim %s was given back: %s", claim.id, error.message)
            return None


class _Waiting(StrEnum):
    """What waits for a worker."""

    #: Datums, or the order to exit.
    DATUMS = "datums"
    SPOUT = "spout"


def _what_waits(conn: sa.Connection, worker_id: str, specs: Specs) -> _Waiting | None:
    """Return what waits for a worker; None for nothing."""
    if claims.work_waits(conn, worker_id):
        return _Waiting.DATUMS
    return _Waiting.SPOUT if standing.spout_waits(conn, worker_id, specs) else None


def _reason(error: errors.TrunklineError) -> str:
    """Return why the job of an assignment that cannot be computed fails."""
    return (
        f"its datums cannot be read: {error.message}" if isinstance(error, errors.DataLoss) else error.message
    )


def _refuse(write: WriteTransaction, worker_id: str, claim: ClaimRow, reason: str | None) -> None:
    """Take a claim back, and end its job when there is a reason to."""
    claims.give_back(write, claim.id, worker_id)
    job = jobs.by_id(write.conn, claim.job_id)
    if reason is not None and job is not None:
        end_job(write, job, JobState.FAILURE, reason)
