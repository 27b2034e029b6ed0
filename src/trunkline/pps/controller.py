"""The loops that keep pipelines going: one per pipeline, level-triggered.

Each loop reads the truth, asks ``decide.next_step``, does that one thing, and reads again; with nothing to
do it looks to its workers and sleeps until something changes. What is remembered between two rounds is only
what may be lost (how long starts took, how workers died). An error in a round is logged, and the round is
tried again after a pause, so one pipeline's trouble never stops another.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from trunkline.meta import chunks, commits, jobs, pipelines, repos
from trunkline.model.states import JobState
from trunkline.pps import claims, decide, plan, settle
from trunkline.pps.autoscaler import Autoscaler
from trunkline.pps.jobs import end_job, wake

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.ports import Fleet
    from trunkline.pps.spec_cache import Specs

log = logging.getLogger("trunkline.pps")
T = TypeVar("T")

#: Seconds between looks for leases that ran out.
LEASE_TICK = 1.0
#: Seconds between looks for workers that nobody wants.
SWEEP_TICK = 30.0
#: Seconds until a round that failed is tried again.
PAUSE_AFTER_ERROR = 1.0


class Controller:
    """All pipeline loops. ``run`` belongs to the event loop; blocking work goes to ``executor``."""

    def __init__(self, versions: VersionedStore, specs: Specs, fleet: Fleet, executor: Executor) -> None:
        self._versions = versions
        self._specs = specs
        self._executor = executor
        self.autoscaler = Autoscaler(versions, specs, fleet)
        self._loops: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Keep every pipeline going until cancelled."""
        tickers = [
            asyncio.create_task(self._free_expired_claims(), name="leases"),
            asyncio.create_task(self._end_unwanted_workers(), name="sweep"),
        ]
        try:
            while True:
                stamp = self._versions.wakeups.stamp("pipelines")
                for row in await self._versions.db.read(pipelines.list_all, []):
                    if row.id not in self._loops:
                        self._loops[row.id] = asyncio.create_task(self._keep(row.id), name=f"pipeline {row}")
                await self._versions.wakeups.changed(stamp, "pipelines")
        finally:
            tasks = [*tickers, *self._loops.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, pipeline_id: int) -> None:
        """The loop of one pipeline, until it is deleted."""
        topic = f"pipeline:{pipeline_id}"
        wakeups = self._versions.wakeups
        while True:
            stamp = wakeups.stamp(topic)
            pause: float | None
            try:
                again, alive = await self._round(pipeline_id)
                if not alive:
                    break
                pause = None if again is None else max(0.0, again - self._versions.clock.now())
            except Exception:
                log.exception("a round of pipeline %d failed and will be tried again", pipeline_id)
                pause = PAUSE_AFTER_ERROR
            if pause != 0.0:
                await wakeups.changed(stamp, topic, timeout=pause)
        self._loops.pop(pipeline_id, None)
        self.autoscaler.forget(pipeline_id)

    async def _round(self, pipeline_id: int) -> tuple[float | None, bool]:
        """Do one thing. Returns when to look again (None: at the next change) and whether the pipeline exists."""
        now = self._versions.clock.now()
        pipeline, job, view = await self._versions.db.read(self._look, pipeline_id)
        if pipeline is None:
            return None, False
        step = decide.next_step(view, now)
        again = step.at if isinstance(step, decide.LookAgainAt) else None
        if step is not None and again is None and job is not None:
            await self._do(step, job)
            return now, True
        spec = await self._blocking(self._specs.get, pipeline.id, pipeline.version)
        staff_again = await self._blocking(self.autoscaler.step, pipeline, spec, job)
        state = decide.pipeline_state(
            failed=pipeline.state == "FAILURE",
            stopped=pipeline.stopped,
            autoscaling=spec.autoscaling,
            working=view is not None and view.inputs_finished,
            crash=self.autoscaler.crash_reason(pipeline.id),
        )
        reason = pipeline.reason
        if state != "FAILURE":
            autoscaler = self.autoscaler
            reason = autoscaler.crash_reason(pipeline.id) or autoscaler.waiting_reason(pipeline.id)
        if (state, reason) != (pipeline.state, pipeline.reason):
            await self._versions.write_soon(_set_pipeline_state, pipeline.id, str(state), reason)
        times = [at for at in (again, staff_again) if at is not None]
        return min(times, default=None), True

    def _look(
        self, conn: sa.Connection, pipeline_id: int
    ) -> tuple[PipelineRow | None, JobRow | None, decide.JobView | None]:
        pipeline = pipelines.by_id(conn, pipeline_id)
        if pipeline is None or pipeline.stopped or pipeline.state == "FAILURE":
            return pipeline, None, None
        live = jobs.live(conn, pipeline_id)
        if not live:
            return pipeline, None, None
        job = live[0]
        inputs = commits.upstream(conn, job.commit_id)
        spec = self._specs.of(conn, pipeline_id, job.version)
        view = decide.JobView(
            id=job.id,
            state=JobState(job.state),
            inputs_finished=all(row.finished is not None for row in inputs),
            failed_inputs=tuple(
                f"{repos.repo_by_id(conn, row.repo_id)}@{row.set_id}" for row in inputs if row.error
            ),
            handed_in=job.handed_in,
            todo_count=job.todo_count,
            started=job.started,
            timeout=spec.job_timeout,
        )
        return pipeline, job, view

    async def _do(self, step: decide.Step, job: JobRow) -> None:
        versions = self._versions
        match step:
            case decide.EndUnrunnable(reason=reason):
                await versions.write_soon(end_job, job, JobState.UNRUNNABLE, reason)
            case decide.TimeOut(reason=reason):
                await versions.write_soon(end_job, job, JobState.KILLED, reason)
            case decide.Plan():
                if job.state == JobState.CREATED:
                    await versions.write_soon(_move, job.id, JobState.CREATED, JobState.STARTING)
                made = await self._blocking(plan.plan, versions, self._specs, job)
                await versions.write_soon(_begin, job.id, made)
            case decide.Settle():
                if job.state == JobState.RUNNING:
                    await versions.write_soon(_move, job.id, JobState.RUNNING, JobState.FINISHING)
                settled = await self._blocking(settle.settle, versions, job)
                await versions.write_soon(_end, job.id, settled)
            case decide.LookAgainAt():
                raise AssertionError("a time to look again is nothing to do")

    async def _free_expired_claims(self) -> None:
        """Give back the runs of workers that stopped renewing."""
        while True:
            await asyncio.sleep(LEASE_TICK)
            try:
                if await self._versions.db.read(jobs.expired_claims, self._versions.clock.now()):
                    await self._versions.write_soon(claims.free_expired)
            except Exception:
                log.exception("looking for leases that ran out failed and will be tried again")

    async def _end_unwanted_workers(self) -> None:
        """End what an earlier server has asked for and no row speaks of."""
        while True:
            try:
                await self._blocking(self.autoscaler.sweep)
            except Exception:
                log.exception("looking for workers that nobody wants failed and will be tried again")
            await asyncio.sleep(SWEEP_TICK)

    async def _blocking(self, fn: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, fn, *args)


def _set_pipeline_state(write: WriteTransaction, pipeline_id: int, state: str, reason: str) -> None:
    pipelines.set_state(write.conn, pipeline_id, state, reason)
    write.tx.wake("pipeline states")


def _move(write: WriteTransaction, job_id: int, before: JobState, after: JobState) -> None:
    """Move a job that is still in ``before``."""
    job = jobs.by_id(write.conn, job_id)
    if job is not None and job.state == before:
        jobs.change(write.conn, job_id, state=str(after))
        write.tx.wake(f"jobs:{job.pipeline_id}", "jobs")


def _begin(write: WriteTransaction, job_id: int, made: plan.JobPlan) -> None:
    """Record a plan, unless the job ended or lost its base meanwhile, and call the workers."""
    job = jobs.by_id(write.conn, job_id)
    if job is None or job.state != JobState.STARTING:
        return
    if made.base is not None and jobs.by_id(write.conn, made.base.id) is None:
        return  # the next round plans on another base
    chunks.add(write.conn, made.packs, 0, write.now)
    plan.record(write.conn, job, made, write.now)
    wake(write, job.pipeline_id)
    write.tx.wake(f"work:{job.pipeline_id}")
    _wake_downstream(write, job)


def _wake_downstream(write: WriteTransaction, job: JobRow) -> None:
    """Let the pipelines that come after a job see what is on its way to them."""
    front = [job.commit_id]
    while front:
        after = {row.id for commit_id in front for row in commits.downstream(write.conn, commit_id)}
        for commit_id in after:
            waiting = jobs.by_commit(write.conn, commit_id)
            if waiting is not None and waiting.state == "CREATED":
                write.tx.wake(f"pipeline:{waiting.pipeline_id}")
        front = sorted(after)


def _end(write: WriteTransaction, job_id: int, settled: settle.Settled) -> None:
    """Record a job's end, unless it ended otherwise meanwhile."""
    job = jobs.by_id(write.conn, job_id)
    if job is not None and job.state == JobState.FINISHING:
        settle.record(write, job, settled)
