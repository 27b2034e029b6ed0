"""The loops that keep pipelines going: one per pipeline, level-triggered, and a few for all pipelines.

Each loop reads the truth, asks ``decide.next_step``, does that one thing, and reads again; with nothing to
do it looks to its workers and sleeps until something changes. What is remembered between two rounds is only
what may be lost (how long starts took, how workers died). What an error in a round means is decided in
``failures``: one pipeline's trouble never stops another. The loops for all pipelines are supervised services.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from trunkline import errors
from trunkline.meta import chunks, commit_graph, job_queue, jobs, pipelines
from trunkline.model.states import JobState, PipelineState
from trunkline.pfs.triggers import Triggers
from trunkline.pps import decide, early, failures, lease_watch, plan, settle
from trunkline.pps.autoscaling.autoscaler import Autoscaler
from trunkline.pps.crons import Crons
from trunkline.pps.egressing import JobEgresses
from trunkline.pps.job_view import view_of
from trunkline.pps.jobs import end_job, wake, wake_job
from trunkline.pps.pipeline_events import record_decision, record_job, record_pipeline
from trunkline.runtime import failpoints, threads
from trunkline.runtime.supervision import describe
from trunkline.storage.sums import EMPTY
from trunkline.telemetry import events

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from concurrent.futures import Executor

    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.ports import Fleet
    from trunkline.pps.egress import Egresses
    from trunkline.pps.spec_cache import Specs
    from trunkline.pps.workers.standing import Renewals
    from trunkline.pps.workers.waiting import WaitingWorkers
    from trunkline.runtime.supervision import Supervisor

log = logging.getLogger("trunkline.pps")
T = TypeVar("T")

#: Seconds between looks for workers that nobody wants.
SWEEP_TICK = 30.0
#: Least seconds until a round that failed is tried again, whatever happens meanwhile.
LEAST_PAUSE = 0.5

#: Least seconds between two rounds because claims go on, which happens hundreds of times a second.
PROGRESS_PAUSE = 0.1
#: Least seconds between two steps of the autoscaler for a pipeline whose workers are all ready: their jobs need the
#: processor first. The second holds when it has its most workers, so that a step can start none.
STEADY_PAUSE, FULL_PAUSE = 0.1, 0.3

#: Seconds that a step takes before its state is shown.
SHOWN_AFTER = 0.05

#: The lane of threads for plans and ends of jobs, which may take long.
PLANS = "plans"


class Controller:
    """All pipeline loops. ``run`` belongs to the event loop; blocking work goes to ``executor``."""

    def __init__(
        self,
        versions: VersionedStore,
        specs: Specs,
        fleet: Fleet,
        executor: Executor,
        supervisor: Supervisor,
        waiting: WaitingWorkers,
        renewals: Renewals,
        egresses: Egresses,
    ) -> None:
        """Make the loops; ``run`` starts them.

        Args:
            versions: the store whose pipelines are kept going.
            specs: their parsed specifications.
            fleet: runs their workers.
            executor: does what blocks.
            supervisor: restarts the services.
            waiting: workers that get the work of a plan with it.
            renewals: of the workers of spouts.
            egresses: sends the files of jobs to where specs say.
        """
        self._versions = versions
        self._egresses = JobEgresses(versions, specs, egresses, executor)
        self._waiting = waiting
        self._renewals = renewals
        self._specs = specs
        self._executor = executor
        self._supervisor = supervisor
        self.autoscaler = Autoscaler(versions, specs, fleet)
        #: What else keeps pipelines from working, by ``project/pipeline``; shown as their crashes are.
        self.obstacles: Mapping[str, str] = {}
        self._loops: dict[int, asyncio.Task[None]] = {}
        #: When the autoscaler has taken the last step for a pipeline, by the event loop's clock.
        self._staffed: dict[int, float] = {}
        #: The last of a pipeline's failures in a row; dropped with the first round that succeeds.
        self._failures: dict[int, failures.Failure] = {}
        #: Loops for all pipelines by name. Who has another one adds it before ``run``.
        self.services: dict[str, Callable[[], Awaitable[None]]] = {
            "pipelines": self._start_loops,
            "leases": self._watch_leases,
            "sweep": self._end_unwanted_workers,
            "crons": self._make_ticks,
            "triggers": self._move_triggered_branches,
        }

    async def run(self) -> None:
        """Keep every pipeline going until cancelled."""
        try:
            async with self._supervisor.running(self.services):
                await asyncio.get_running_loop().create_future()
        finally:
            loops = list(self._loops.values())
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await self._egresses.close()

    async def _start_loops(self) -> None:
        """Give every pipeline a loop. Loops that run go on when this service is started again."""
        wakeups = self._versions.wakeups
        while True:
            stamp = wakeups.stamp()
            failpoints.reach("controller.pipelines")
            for row in await self._read(pipelines.list_all, []):
                if row.id not in self._loops:
                    loop = asyncio.create_task(self._keep(row.id), name=f"pipeline {row}")
                    self._loops[row.id] = loop
                    loop.add_done_callback(functools.partial(self._loop_ended, row.id))
            await wakeups.changed(stamp, "pipelines")

    def _loop_ended(self, pipeline_id: int, loop: asyncio.Task[None]) -> None:
        """Forget a loop that ended: its pipeline was deleted, or it is started again."""
        self._loops.pop(pipeline_id, None)
        if not loop.cancelled() and loop.exception() is not None:
            log.error("the loop of pipeline %d failed", pipeline_id, exc_info=loop.exception())
            self._versions.wakeups.announce(["pipelines"])

    async def _keep(self, pipeline_id: int) -> None:
        """The loop of one pipeline, until it is deleted."""
        topic, progress = f"pipeline:{pipeline_id}", f"progress:{pipeline_id}"
        wakeups = self._versions.wakeups
        while True:
            stamp = wakeups.stamp()
            pause: float | None
            try:
                failpoints.reach("controller.round")
                again, alive = await self._round(pipeline_id)
                if not alive:
                    break
                self._failures.pop(pipeline_id, None)
                pause = None if again is None else max(0.0, again - self._versions.clock.now())
            except Exception as error:  # noqa: BLE001 - judged by the error policy
                pause = await self._round_failed(pipeline_id, error)
                await asyncio.sleep(LEAST_PAUSE)
            if pause is not None and pause <= PROGRESS_PAUSE:
                if pause:
                    await wakeups.changed(stamp, topic, timeout=pause)
            elif not await wakeups.changed(stamp, topic, timeout=PROGRESS_PAUSE):
                pause = None if pause is None else pause - PROGRESS_PAUSE
                await wakeups.changed(stamp, topic, progress, timeout=pause)
        self._failures.pop(pipeline_id, None)
        self._egresses.keep(pipeline_id, None)
        self.autoscaler.forget(pipeline_id)
        self._staffed.pop(pipeline_id, None)
        await self._blocking(self.autoscaler.sweep)  # its workers, whose rows went with it

    async def _round_failed(self, pipeline_id: int, error: Exception) -> float:
        """Log a failed round and show why on the pipeline. Returns the seconds to the next try."""
        failure = failures.after(error, self._failures.get(pipeline_id))
        self._failures[pipeline_id] = failure
        try:
            pipeline = await self._read(pipelines.by_id, pipeline_id)
            if pipeline is None:
                return 0.0  # deleted during its round, which then fails in many ways
            traceback = error if failure.kind is failures.FailureKind.BUG else None
            text = "a round of pipeline %s failed (%d in a row): %s; next try in %.0f s"
            log.error(text, pipeline, failure.count, failure.reason, failure.pause, exc_info=traceback)
            live = not pipeline.stopped and pipeline.state is not PipelineState.FAILURE
            is_shown = (pipeline.state, pipeline.reason) == (PipelineState.CRASHING, failure.reason)
            if failure.is_shown and live and not is_shown:
                await self._versions.write_soon(_show_failure, pipeline, failure.reason)
        except Exception as unreadable:  # noqa: BLE001 - the database does not answer either, most likely
            text = "a round of pipeline %d failed: %s; this cannot be shown on the pipeline: %s"
            log.error(text, pipeline_id, failure.reason, describe(unreadable))
        return failure.pause

    async def _round(self, pipeline_id: int) -> tuple[float | None, bool]:
        """Do one thing. Returns when to look again (None: at the next change) and whether the pipeline exists."""
        await self._waiting.answered()
        now = self._versions.clock.now()
        pipeline, job, view, queue = await self._read(self._look, pipeline_id)
        if pipeline is None:
            return None, False
        self._egresses.keep(pipeline_id, job)
        step = decide.next_step(view, now)
        ahead = decide.look_ahead(view, queue, step)
        if ahead is not None:
            await self._look_ahead(ahead)
            return now, True
        again = step.at if isinstance(step, decide.LookAgainAt) else None
        if step is not None and again is None and job is not None:
            try:
                await self._do(step, job)
            except errors.TrunklineError as error:
                if failures.kind_of(error) is not failures.FailureKind.PERMANENT:
                    raise
                await self._versions.write_soon(end_job, job, JobState.FAILURE, error.message)
            return now, True
        spec = await self._blocking(self._specs.get, pipeline.id, pipeline.version)
        staff_again = await self._staff(pipeline, spec, job, now)
        crash = self.autoscaler.crash_reason(pipeline.id) or self.obstacles.get(str(pipeline), "")
        state = decide.pipeline_state(
            failed=pipeline.state is PipelineState.FAILURE,
            stopped=pipeline.stopped,
            autoscaling=spec.autoscaling,
            working=view is not None and view.inputs_finished,
            crash=crash,
        )
        reason = pipeline.reason
        if state is not PipelineState.FAILURE:
            reason = crash or self.autoscaler.waiting_reason(pipeline.id)
        if (state, reason) != (pipeline.state, pipeline.reason):
            await self._versions.write_soon(_set_pipeline_state, pipeline, state, reason)
        times = [at for at in (again, staff_again) if at is not None]
        return min(times, default=None), True

    async def _staff(
        self, pipeline: PipelineRow, spec: PipelineSpec, job: JobRow | None, now: float
    ) -> float | None:
        """Take a step of the autoscaler if one is due; return when the next one is."""
        time = asyncio.get_running_loop().time()
        since = time - self._staffed.get(pipeline.id, -FULL_PAUSE)
        pause = FULL_PAUSE if self.autoscaler.is_full(pipeline.id, spec.parallelism) else STEADY_PAUSE
        if since < pause and self.autoscaler.is_steady(pipeline.id):
            return now + pause - since
        again = await self._blocking(self.autoscaler.step, pipeline, spec, job)
        self._staffed[pipeline.id] = time
        return again

    def _look(
        self, conn: sa.Connection, pipeline_id: int
    ) -> tuple[PipelineRow | None, JobRow | None, decide.JobView | None, decide.QueueView | None]:
        pipeline = pipelines.by_id(conn, pipeline_id)
        if pipeline is None or pipeline.stopped or pipeline.state is PipelineState.FAILURE:
            return pipeline, None, None, None
        live = jobs.live(conn, pipeline_id, 2)
        if not live:
            return pipeline, None, None, None
        job = live[0]
        view = view_of(conn, self._specs, job)
        queue = None
        spec = self._specs.of(conn, pipeline_id, job.version)
        if len(live) > 1 and job.todo is not None and spec.service is None:
            queue = _queue(conn, pipeline_id, spec.parallelism)
        return pipeline, job, view, queue

    async def _look_ahead(self, ahead: decide.LookAhead) -> None:
        """Let a job begin that waits for others. An error shows when its turn comes."""
        job = await self._read(jobs.by_id, ahead.job_id)
        if job is None:
            return
        with threads.lane(PLANS):
            try:
                part = await self._blocking(early.find, self._versions, self._specs, job)
            except errors.TrunklineError as error:
                if failures.kind_of(error) is not failures.FailureKind.PERMANENT:
                    raise
                part = early.NOTHING
        await self._versions.write_soon(early.record, job.id, part, self._waiting, self._specs)
        failpoints.reach("controller.ahead")

    async def _do(self, step: decide.Step, job: JobRow) -> None:
        versions = self._versions
        match step:
            case decide.EndUnrunnable(reason=reason):
                await versions.write_soon(end_job, job, JobState.UNRUNNABLE, reason)
            case decide.TimeOut(reason=reason):
                await versions.write_soon(end_job, job, JobState.KILLED, reason)
            case decide.Plan():
                job_plan, settled = await self._run_step(
                    job, JobState.CREATED, JobState.STARTING, "plan", _plan, versions, self._specs, job
                )
                await versions.write_soon(_begin, job.id, job_plan, settled, self._waiting, self._specs)
            case decide.Egress():
                await self._egresses.begin(job)
            case decide.Settle():
                settled = await self._run_step(
                    job, JobState.RUNNING, JobState.FINISHING, "settle", settle.settle, versions, job
                )
                failpoints.reach("controller.settled")
                await versions.write_soon(_end, job.id, settled)
                failpoints.reach("controller.ended")
            case decide.LookAgainAt():
                raise AssertionError("a time to look again is nothing to do")

    async def _run_step(
        self,
        job: JobRow,
        before: JobState,
        after: JobState,
        name: str,
        fn: Callable[..., T],
        *args: Any,
    ) -> T:
        """Run a step of a job in a thread, and show its state if it fails or takes long enough to be seen.

        A short step moves the job through the state in the transaction that records the step: one write less.

        Args:
            job: the job.
            before: its state when the step begins, unless an earlier round has shown ``after``.
            after: its state while the step runs.
            name: of the step's fail point.
            fn: the step.
            args: its arguments.
        """

        def run() -> T:
            failpoints.reach(f"controller.{name}")
            return fn(*args)

        with threads.lane(PLANS):
            running = asyncio.ensure_future(self._blocking(run))
        try:
            ended, _ = await asyncio.wait({running}, timeout=SHOWN_AFTER)
            if job.state is before and (not ended or running.exception() is not None):
                await self._versions.write_soon(_move, job.id, before, after)
            return await running
        finally:
            running.cancel()

    async def _watch_leases(self) -> None:
        """Give back the runs of workers that stopped renewing, and replace those of spouts."""
        await lease_watch.watch(self._versions, self._specs, self._renewals)

    async def _end_unwanted_workers(self) -> None:
        """End what an earlier server has asked for and no row speaks of."""
        while True:
            failpoints.reach("controller.sweep")
            await self._blocking(self.autoscaler.sweep)
            await asyncio.sleep(SWEEP_TICK)

    async def _make_ticks(self) -> None:
        """Make the ticks of cron inputs."""
        crons, wakeups = Crons(self._versions, self._specs), self._versions.wakeups
        while True:
            stamp = wakeups.stamp()
            failpoints.reach("controller.crons")
            pause = await self._blocking(crons.step)
            if pause != 0.0:
                await wakeups.changed(stamp, "pipelines", timeout=pause)

    async def _move_triggered_branches(self) -> None:
        """Move branches as their triggers say."""
        triggers, wakeups = Triggers(self._versions), self._versions.wakeups
        while True:
            stamp = wakeups.stamp()
            failpoints.reach("controller.triggers")
            pause = await self._blocking(triggers.step)
            await wakeups.changed(stamp, *triggers.topics, timeout=pause)

    async def _read(self, fn: Callable[..., T], *args: Any) -> T:
        """Read in the lane that no client's lists can fill."""
        with threads.lane(threads.CONTROL):
            return await self._versions.db.read(fn, *args)

    async def _blocking(self, fn: Callable[..., T], *args: Any) -> T:
        return await threads.run(self._executor, fn, *args)


def _queue(conn: sa.Connection, pipeline_id: int, workers: int) -> decide.QueueView:
    """Return what is behind the oldest live job of a pipeline.

    Args:
        conn: a snapshot.
        pipeline_id: row number of the pipeline.
        workers: its most workers.
    """
    waiting, _ = job_queue.counts(conn, pipeline_id)
    next_id = None
    if waiting < decide.WAITING_PER_WORKER * workers:
        for row in job_queue.front(conn, pipeline_id)[1:]:
            if row.looked_at or row.state is not JobState.CREATED:
                continue
            inputs = commit_graph.upstream(conn, row.commit_id)
            if any(commit.finished is None for commit in inputs):
                break
            if not any(commit.error for commit in inputs):
                next_id = row.id
                break
    return decide.QueueView(next_id=next_id, waiting=waiting, workers=workers)


def _set_pipeline_state(
    write: WriteTransaction, before: PipelineRow, state: PipelineState, reason: str
) -> None:
    """Show what was worked out from ``before``, unless the pipeline was changed meanwhile."""
    row = pipelines.by_id(write.conn, before.id)
    if row is not None and (row.version, row.state, row.stopped) == (
        before.version,
        before.state,
        before.stopped,
    ):
        record_pipeline(write, pipelines.move(write.conn, row, state, reason))
        write.tx.wake("pipeline states")


def _show_failure(write: WriteTransaction, before: PipelineRow, reason: str) -> None:
    """Show why a pipeline's rounds fail: in its state, in the reason of its live job, and among its decisions."""
    _set_pipeline_state(write, before, PipelineState.CRASHING, reason)
    if pipelines.by_id(write.conn, before.id) is not None:
        decision = pipelines.DecisionRow(write.now, before.target or 0, reason, {})
        pipelines.add_decision(write.conn, before.id, decision)
        record_decision(
            write, before.full_name, target=decision.target, workers=None, waiting=None, sentence=reason
        )


def _move(write: WriteTransaction, job_id: int, before: JobState, after: JobState) -> None:
    """Move a job that is still in ``before``."""
    job = jobs.by_id(write.conn, job_id)
    if job is not None and job.state == before:
        moved = jobs.move(write.conn, job, after)
        wake_job(write, job)
        name = pipelines.name_of(write.conn, job.pipeline_id)
        if name is not None:
            record_job(write, name, moved)


def _moved(write: WriteTransaction, job: JobRow, state: JobState) -> JobRow:
    """Return a job in a state, after moving it there unless it was shown in it."""
    return job if job.state is state else jobs.move(write.conn, job, state)


def _plan(versions: VersionedStore, specs: Specs, job: JobRow) -> tuple[plan.JobPlan, settle.Settled | None]:
    """Plan a job, and settle it at once if it changes nothing: then both are one transaction. Blocks."""
    job_plan = plan.plan(versions, specs, job)
    if job_plan.todo_count or job_plan.obsolete != EMPTY or job_plan.taken_over or job.early is not None:
        return job_plan, None
    spec = specs.get(job.pipeline_id, job.version)
    planned = decide.JobView(
        id=job.id,
        state=JobState.RUNNING,
        inputs_finished=True,
        timeout=spec.job_timeout,
        has_egress=spec.egress is not None,
    )
    if not isinstance(decide.next_step(planned, versions.clock.now()), decide.Settle):
        return job_plan, None
    base_id = job_plan.base.id if job_plan.base is not None else None
    return job_plan, settle.settle(versions, replace(job, base_id=base_id, obsolete=None))


def _begin(
    write: WriteTransaction,
    job_id: int,
    job_plan: plan.JobPlan,
    settled: settle.Settled | None,
    waiting: WaitingWorkers,
    specs: Specs,
) -> None:
    """Record a plan, unless the job ended or lost its base meanwhile, and give its datums to waiting workers.

    Args:
        write: transaction that the change belongs to.
        job_id: row number of the job.
        job_plan: the plan.
        settled: the result of a job that has nothing to run; it ends at once.
        waiting: the workers that wait for work.
        specs: cache of specifications.
    """
    job = jobs.by_id(write.conn, job_id)
    if job is None or job.state not in (JobState.CREATED, JobState.STARTING):
        return
    if job_plan.base is not None and jobs.by_id(write.conn, job_plan.base.id) is None:
        return  # the next round plans on another base
    if job.early != job_plan.job.early:
        return  # the next round plans it without
    chunks.add(write.conn, job_plan.packs, 0, write.now)
    job = _moved(write, job, JobState.STARTING)
    running = plan.record(write.conn, job, job_plan, write.now)
    wake(write, job.pipeline_id)
    wake_job(write, job)
    _wake_downstream(write, job)
    name = pipelines.name_of(write.conn, job.pipeline_id)
    if name is not None:
        record_job(write, name, running)
        report = functools.partial(
            events.job_started, name, job.set_id, total=job_plan.total, todo=job_plan.todo_count
        )
        write.tx.after_commit(report)
    if running.failed:
        end_job(write, running, JobState.FAILURE, running.reason)  # in its early part
    elif settled is not None:
        _end(write, job_id, settled)
    else:
        waiting.give_out(write, job.pipeline_id, specs)


def _wake_downstream(write: WriteTransaction, job: JobRow) -> None:
    """Let the pipelines that come after a job see what is on its way to them."""
    front = [job.commit_id]
    while front:
        after = {row.id for commit_id in front for row in commit_graph.downstream(write.conn, commit_id)}
        for commit_id in after:
            waiting = jobs.by_commit(write.conn, commit_id)
            if waiting is not None and waiting.state is JobState.CREATED:
                write.tx.wake(f"pipeline:{waiting.pipeline_id}")
        front = sorted(after)


def _end(write: WriteTransaction, job_id: int, settled: settle.Settled) -> None:
    """Record a job's end, unless it ended otherwise meanwhile."""
    job = jobs.by_id(write.conn, job_id)
    if job is not None and job.state in (JobState.RUNNING, JobState.FINISHING):
        settle.record(write, _moved(write, job, JobState.FINISHING), settled)
