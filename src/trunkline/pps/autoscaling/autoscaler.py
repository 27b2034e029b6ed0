"""The loop body of the autoscaler: reads what a step needs, takes the step, and applies its instructions.

Level-triggered: rows in the database name the desired workers, the fleet names the existing ones.
``pps.autoscaling.step.step``, a pure function, decides what to do about the difference; this module decides nothing.
The memory of a pipeline is one value, dropped with the pipeline; losing it costs only time.
"""

from __future__ import annotations

import logging
import secrets
import uuid
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import jobs, workers
from trunkline.model import spec_annotations
from trunkline.model.states import PipelineState, WorkerState
from trunkline.model.workers import WorkerSpec, memory_request
from trunkline.pps.autoscaling import instructions as instructions
from trunkline.pps.autoscaling import recording
from trunkline.pps.autoscaling import step as autoscale
from trunkline.pps.autoscaling.startup_times import Starts
from trunkline.pps.spec_cache import image_of
from trunkline.pps.work import work_of
from trunkline.pps.workers import lost_attempts
from trunkline.scaling import fairness, policy
from trunkline.scaling.fairness import Contender

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.meta.workers import WorkerRow
    from trunkline.model.spec import PipelineSpec
    from trunkline.model.workers import Machine
    from trunkline.pfs.repository import VersionedStore
    from trunkline.ports import Fleet
    from trunkline.pps.spec_cache import Specs

log = logging.getLogger("trunkline.pps")

#: Gaps between jobs that are considered: enough to see a pattern, few enough to follow a new one.
GAPS = 20
#: Workers that are requested in one transaction. Between two of them the pipeline may be deleted, which ends the
#: starting.
START_BATCH = 100

#: Instructions that only change rows: all of a step go into one transaction.
_RECORDS = (
    instructions.SetMachines,
    instructions.SetReasons,
    instructions.BeginWorkers,
    instructions.LimitWorkers,
    instructions.RecordDecision,
    instructions.FailPipeline,
)

#: Instructions of steps that change nothing.
_REPEATED = (instructions.LookAgainAt, instructions.MarkWorkers)

_READY = (WorkerState.IDLE, WorkerState.BUSY)


class _Snapshot(Struct, frozen=True):
    """What a step needs from the database."""

    rows: list[WorkerRow]
    demand: policy.Demand
    gaps: list[float]
    job_id: int
    recorded: int


class Autoscaler:
    """Scales the workers of all pipelines by the policy. Used by one thread per pipeline at a time."""

    def __init__(self, versions: VersionedStore, specs: Specs, fleet: Fleet) -> None:
        """Create an autoscaler with empty memory.

        Args:
            versions: the database, its clock and its wake-ups.
            specs: parsed specifications.
            fleet: starts and stops workers.
        """
        self._versions = versions
        self._specs = specs
        self._fleet = fleet
        self._starts = Starts(versions, fleet)
        self._memories: dict[int, autoscale.Memory] = {}
        #: What each pipeline wants of a fleet that cannot grow, as of its last step.
        self._contenders: dict[int, Contender] = {}
        #: Pipelines whose last step changed nothing and saw workers, all of them ready, with their number.
        self._steady: dict[int, int] = {}

    def is_steady(self, pipeline_id: int) -> bool:
        """Return whether the last step of a pipeline changed nothing and saw workers, all of them ready."""
        return pipeline_id in self._steady

    def is_full(self, pipeline_id: int, most: int) -> bool:
        """Return whether a pipeline is steady with its most workers: a step can start none."""
        return self._steady.get(pipeline_id, 0) >= most

    def crash_reason(self, pipeline_id: int) -> str:
        """Return why the pipeline's workers do not stay up or cannot start; empty when they do."""
        return self._memory(pipeline_id).crash_reason

    def waiting_reason(self, pipeline_id: int) -> str:
        """Return how many workers of a pipeline wait and what for, as of the last step; empty when none does."""
        return self._memory(pipeline_id).waiting

    def step(self, pipeline: PipelineRow, spec: PipelineSpec, job: JobRow | None) -> float | None:
        """Take one step towards the desired workers of the pipeline. Blocks.

        Args:
            pipeline: as read at the begin of the round.
            spec: of the pipeline's current version.
            job: its oldest job that has not ended; None when there is none, or none may run.

        Returns:
            When to take the next step even if nothing changes (seconds since the epoch), or None.
        """
        now = self._versions.clock.now()
        memory = self._memory(pipeline.id)
        snapshot = self._versions.read(self._read, pipeline, spec, job, memory, now)
        observed = self._observe(pipeline, spec, snapshot)
        step = autoscale.step(memory, observed, snapshot.demand, now)
        self._note_steadiness(pipeline.id, snapshot.rows, step.instructions)
        self._memories[pipeline.id] = step.memory
        self._log_crash(pipeline, memory, step.memory)
        again = None
        records = [each for each in step.instructions if isinstance(each, _RECORDS)]
        if records:
            self._versions.write(recording.record, pipeline.id, records)
        for instruction in step.instructions:
            if isinstance(instruction, _RECORDS):
                continue
            match instruction:
                case instructions.LookAgainAt(at):
                    again = at
                case instructions.StartWorkers(number, grace):
                    refusal = self._start(pipeline, spec, number, grace)
                    if refusal:
                        after = autoscale.start_refused(step.memory, observed, refusal, now)
                        self._memories[pipeline.id] = after
                        self._log_crash(pipeline, step.memory, after)
                        return now  # the next step records the reason and the time of the next try
                case _:
                    self._apply(pipeline, spec, instruction)
        return again

    def check(self, spec: PipelineSpec) -> None:
        """Refuse a specification whose workers this fleet can never run. Blocks.

        Raises:
            InvalidArgument: the message says why.
        """
        self._fleet.check(
            WorkerSpec(
                worker_id="0" * 32,
                token="",
                project=spec.project,
                pipeline=spec.name,
                version=1,
                pipeline_spec=spec,
                memory=memory_request(spec),
            )
        )

    def dismiss(self, worker_ids: Iterable[str]) -> None:
        """End workers whose row was removed. Blocks."""
        for worker_id in worker_ids:
            self._fleet.stop(worker_id, 0.0)

    def sweep(self) -> None:
        """End workers without a row: those that a server which ended meanwhile had requested. Blocks."""
        # Read before the rows: a row is written before its worker is requested.
        present = [sighting.worker_id for sighting in self._fleet.observe()]
        expected = {row.id for row in self._versions.read(workers.list_all)} if present else set()
        self.dismiss(worker_id for worker_id in present if worker_id not in expected)

    def forget(self, pipeline_id: int) -> None:
        """Drop the memory of a pipeline that was deleted."""
        self._memories.pop(pipeline_id, None)
        self._contenders.pop(pipeline_id, None)
        self._steady.pop(pipeline_id, None)

    def _note_steadiness(
        self, pipeline_id: int, rows: Sequence[WorkerRow], does: Sequence[instructions.Instruction]
    ) -> None:
        are_ready = bool(rows) and all(row.state in _READY for row in rows)
        if are_ready and all(isinstance(each, _REPEATED) for each in does):
            self._steady[pipeline_id] = len(rows)
        else:
            self._steady.pop(pipeline_id, None)

    def _memory(self, pipeline_id: int) -> autoscale.Memory:
        return self._memories.get(pipeline_id, autoscale.Memory())

    # --- reading ----------------------------------------------------------------------------------------

    def _read(
        self,
        conn: sa.Connection,
        pipeline: PipelineRow,
        spec: PipelineSpec,
        job: JobRow | None,
        memory: autoscale.Memory,
        now: float,
    ) -> _Snapshot:
        pipeline_id = pipeline.id
        rows = workers.of_pipeline(conn, pipeline_id)
        idle = any(row.state is WorkerState.IDLE for row in rows)
        job_id = job.id if job is not None else 0
        if job is None and (rows or memory.crashes is not None):
            newest = jobs.newest(conn, pipeline_id)
            job_id = newest.id if newest is not None else 0
        since = memory.crashes.job_id if memory.crashes is not None else job_id
        return _Snapshot(
            rows=rows,
            demand=work_of(self._specs, self._starts, spec, rows, job).demand(conn, now),
            gaps=jobs.gaps(conn, pipeline_id, GAPS) if idle else [],
            job_id=job_id,
            recorded=jobs.recorded_since(conn, pipeline_id, since) if rows or memory.crashes else 0,
        )

    def _observe(self, pipeline: PipelineRow, spec: PipelineSpec, snapshot: _Snapshot) -> autoscale.Observed:
        rows = snapshot.rows
        concerned = (
            bool(rows) or snapshot.demand.unclaimed + snapshot.demand.foreseen > 0 or not spec.autoscaling
        )
        # After the rows: only this loop adds workers of this pipeline, and their rows come first.
        sightings = {each.worker_id: each for each in self._fleet.observe()} if rows else {}
        machines = {each.name: each for each in self._fleet.machines()} if concerned else {}
        return autoscale.Observed(
            share=self._share(pipeline, spec, snapshot, machines),
            worker_limit=pipeline.worker_limit,
            version=pipeline.version,
            most_workers=spec.parallelism,
            autoscaling=spec.autoscaling,
            stopped=pipeline.stopped or pipeline.state is PipelineState.FAILURE,
            target=pipeline.target,
            workers=tuple(
                autoscale.WorkerReport(
                    id=row.id,
                    version=row.version,
                    state=row.state,
                    reason=row.reason,
                    created=row.created,
                    since=row.since,
                    ready=row.ready,
                    machine=row.machine["name"] if row.machine is not None else "",
                    machine_kind=row.machine["kind"] if row.machine is not None else "",
                    sighting=sightings.get(row.id),
                )
                for row in rows
            ),
            machines=machines,
            worker_memory=memory_request(spec),
            usual_start=self._starts.usual(image_of(spec)),
            expected_start=self._fleet.startup_prior,
            gaps=tuple(snapshot.gaps),
            job_id=snapshot.job_id,
            recorded=snapshot.recorded,
            runs_program=spec.runs_program,
        )

    def _share(
        self, pipeline: PipelineRow, spec: PipelineSpec, snapshot: _Snapshot, machines: Mapping[str, Machine]
    ) -> int | None:
        """Return how many workers a pipeline may have of a fleet that cannot grow; None for any number.

        Args:
            pipeline: as read at the begin of the round.
            spec: of its current version.
            snapshot: its workers and its demand.
            machines: of the fleet, by name.
        """
        total = autoscale.total_memory(machines)
        rules = policy.Policy(
            workers=spec.parallelism,
            autoscaling=spec.autoscaling,
            stopped=pipeline.stopped or pipeline.state is PipelineState.FAILURE,
            startup_seconds=0.0,
            keep_seconds=0.0,
        )
        busy = sum(row.state is WorkerState.BUSY for row in snapshot.rows)
        useful = policy.useful_workers(snapshot.demand, rules, busy)
        if total is None or not useful:
            self._contenders.pop(pipeline.id, None)
            return None
        self._contenders[pipeline.id] = Contender(
            memory=memory_request(spec),
            workers=useful,
            weight=spec_annotations.weight(spec),
            priority=spec_annotations.priority(spec),
        )
        return fairness.shares(dict(self._contenders), total).get(pipeline.id)

    # --- applying ---------------------------------------------------------------------------------------

    def _apply(
        self, pipeline: PipelineRow, spec: PipelineSpec, instruction: instructions.Instruction
    ) -> None:
        write = self._versions.write
        match instruction:
            case instructions.LoseWorkers(lost):
                attempts = write(recording.lose, pipeline.id, lost)
                self.dismiss(worker_id for worker_id, _, _ in lost)
                for attempt in attempts:
                    if attempt.count >= lost_attempts.limit(spec):
                        lost_attempts.fail_datum(self._versions, attempt)
            case instructions.LearnStarts(starts):
                self._starts.learn(image_of(spec), starts)
            case instructions.MarkWorkers(busy, idle):
                for worker_ids, is_busy in ((busy, True), (idle, False)):
                    for worker_id in worker_ids:
                        self._fleet.mark(worker_id, busy=is_busy)
            case instructions.RetireWorkers(retired):
                self.dismiss(write(recording.retire, pipeline.id, retired))
            case instructions.StopWorker(worker_id, grace):
                self._fleet.stop(worker_id, grace)
            case _:
                raise AssertionError(f"{instruction} is applied by step")

    def _start(self, pipeline: PipelineRow, spec: PipelineSpec, number: int, grace: float) -> str:
        """Request workers, a batch at a time. Returns why the fleet refuses them; empty when it does not.

        Args:
            pipeline: as read at the begin of the round.
            spec: of its current version.
            number: how many workers.
            grace: seconds that each may continue when its machine is taken away.
        """
        for first in range(0, number, START_BATCH):
            batch = [
                WorkerSpec(
                    worker_id=uuid.uuid4().hex,
                    token=secrets.token_hex(32),
                    project=pipeline.project,
                    pipeline=pipeline.name,
                    version=pipeline.version,
                    pipeline_spec=spec,
                    memory=memory_request(spec),
                    grace=grace,
                )
                for _ in range(min(START_BATCH, number - first))
            ]
            if not self._versions.write(recording.request, pipeline, batch):
                return ""
            for position, worker in enumerate(batch):
                try:
                    self._fleet.start(worker)
                except errors.TrunklineError as error:
                    refused = {each.worker_id: error.message for each in batch[position:]}
                    self._versions.write(recording.remove, pipeline.id, refused)
                    return error.message
            # The pipeline may have been deleted after the rows were written: its workers were dismissed before
            # they were requested.
            recorded = {row.id for row in self._versions.read(workers.of_pipeline, pipeline.id)}
            self.dismiss(each.worker_id for each in batch if each.worker_id not in recorded)
        return ""

    def _log_crash(self, pipeline: PipelineRow, before: autoscale.Memory, after: autoscale.Memory) -> None:
        crashes = after.crashes
        failed_before = before.crashes.failed_starts if before.crashes is not None else 0
        if crashes is not None and crashes.failed_starts != failed_before:
            pause = autoscale.backoff(crashes.failed_starts)
            log.warning(
                "workers of %s do not stay up: %s; next start in %.0f s", pipeline, crashes.reason, pause
            )
