"""The workers of one pipeline: what the fleet shows, what the policy wants, and the difference done.

Level-triggered: rows in the database say which workers are wanted, the fleet says which exist. A row that
the fleet does not know is a worker that is gone; a worker without a row is not wanted. Deciding how many is
``scaling.policy``; this module only reads, asks, writes the decision down with its sentence, and does it.
"""

from __future__ import annotations

import json
import logging
import secrets
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from trunkline import errors
from trunkline.meta import jobs, pipelines, workers
from trunkline.model.states import JobState, PipelineState, WorkerState
from trunkline.model.workers import WorkerPhase, WorkerSpec
from trunkline.pps import claims, lookahead
from trunkline.pps import jobs as job_ops
from trunkline.pps.spec_cache import image_of, memory_request
from trunkline.pps.startup_times import Starts, opinion
from trunkline.scaling import policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.meta.workers import WorkerRow
    from trunkline.model.spec import PipelineSpec
    from trunkline.model.workers import WorkerSighting
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.ports import Fleet
    from trunkline.pps.spec_cache import Specs

log = logging.getLogger("trunkline.pps")

#: Seconds that a retiring worker has to hand in its datum before it is ended by force.
RETIRE_GRACE = 60.0
#: Seconds between looks at a fleet that should be as it was, because workers may be lost: while datums wait for
#: them, and while nothing does.
LOOK_WORKING, LOOK_RESTING = 2.0, 10.0
#: The same while workers come and go, and what each worker adds: a look at a thousand takes 50 ms.
LOOK_CHANGING, LOOK_EACH = 0.2, 0.001
#: Seconds to the first try after a worker died unasked; doubles with each, up to the last.
FIRST_BACKOFF, LAST_BACKOFF = 1.0, 60.0
#: Seconds that workers wait for what waiting does not mend (an image that does not exist) before the pipeline is
#: given up: somebody may be pushing the image just now.
UNSATISFIABLE_PATIENCE = 300.0
#: Gaps between jobs that are remembered: enough to see a habit, few enough to follow a new one.
GAPS = 20


@dataclass(slots=True)
class Crashes:
    """How the workers of a pipeline's version have died unasked, one start after the other."""

    version: int
    #: Starts that went wrong, not workers: those that were started together die together.
    count: int = 0
    reason: str = ""
    #: No worker is started before this time.
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class Staff:
    """What was read in one snapshot."""

    rows: list[WorkerRow]
    demand: policy.Demand
    #: Seconds from the end of each of the last jobs to the next one.
    gaps: list[float]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look at the fleet has brought."""

    #: (worker, the fields of its machine)
    machines: list[tuple[str, dict[str, Any]]]
    #: (worker, its state, what it waits for)
    reasons: list[tuple[str, str, str]]
    #: Workers whose process exists now.
    begun: list[str]
    #: Why the pipeline cannot run.
    unsatisfiable: list[str]


class Autoscaler:
    """Keeps the workers of all pipelines as the policy wants them. Used by one thread per pipeline at a time."""

    def __init__(self, versions: VersionedStore, specs: Specs, fleet: Fleet) -> None:
        self._versions = versions
        self._specs = specs
        self._fleet = fleet
        self.starts = Starts(versions, fleet)
        self._seen_ready: set[str] = set()
        #: When a worker was last seen waiting for others to go: that is no part of how long a start takes.
        self._waited: dict[str, float] = {}
        #: Since when a worker waits for what waiting does not mend.
        self._unsatisfiable: dict[str, float] = {}
        #: How long starts usually took when a worker was asked for.
        self._usual: dict[str, float | None] = {}
        self._crashes: dict[int, Crashes] = {}
        self._last: dict[int, str] = {}
        self._waiting: dict[int, str] = {}

    def crash_reason(self, pipeline_id: int) -> str:
        """Return why the pipeline's workers do not stay up, or nothing."""
        crashes = self._crashes.get(pipeline_id)
        return crashes.reason if crashes is not None else ""

    def waiting_reason(self, pipeline_id: int) -> str:
        """Say how many workers of a pipeline wait and what for, as of the last step; nothing when none does."""
        return self._waiting.get(pipeline_id, "")

    def step(self, pipeline: PipelineRow, spec: PipelineSpec, job: JobRow | None) -> float | None:
        """Bring the pipeline's workers nearer to what is wanted. Blocks.

        Returns:
            When to look again even if nothing changes (seconds since the epoch), or None.
        """
        self._reconcile(pipeline, spec)
        crashes = self._crashes.get(pipeline.id)
        if crashes is not None and crashes.version != pipeline.version:
            del self._crashes[pipeline.id]
        now = self._versions.clock.now()
        staff = self._versions.read(self._read_staff, pipeline.id, job, now)
        self._learn(spec, staff.rows)
        self._waiting[pipeline.id] = _waiting_sentence(staff.rows)
        demand, startup = staff.demand, self.starts.seconds(image_of(spec))
        rules = policy.Policy(
            workers=spec.parallelism,
            autoscaling=spec.autoscaling,
            stopped=pipeline.stopped or pipeline.state is PipelineState.FAILURE,
            startup_seconds=startup,
            keep_seconds=policy.keep_seconds(startup, staff.gaps),
        )
        current = [row for row in staff.rows if row.version == pipeline.version]
        outdated = [
            row.id
            for row in staff.rows
            if row.version != pipeline.version and row.state is not WorkerState.RETIRING
        ]
        observed = policy.Observed(
            workers=tuple(policy.WorkerView(id=row.id, state=row.state, since=row.since) for row in current)
        )
        decision = policy.decide(demand, rules, observed, now)
        self._record(pipeline, decision, demand, rules, observed)
        for row in staff.rows:
            if row.state in (WorkerState.IDLE, WorkerState.BUSY):
                self._fleet.mark(row.id, busy=row.state is WorkerState.BUSY)
        self._retire([*decision.retire, *outdated], {row.id: row for row in staff.rows})
        if not decision.target:
            self._crashes.pop(pipeline.id, None)
        blocked_until = self._blocked_until(pipeline, now) if decision.start else None
        if decision.start and blocked_until is None:
            grace = policy.grace_seconds(demand.seconds_per_datum)
            blocked_until = self._start_all(pipeline, spec, decision.start, grace)
        return self._look_again(decision, staff, now, blocked_until)

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
                wanted=spec,
                memory=memory_request(spec),
            )
        )

    def dismiss(self, worker_ids: Sequence[str]) -> None:
        """End workers that have no row any more."""
        for worker_id in worker_ids:
            self._fleet.stop(worker_id, 0.0)

    def sweep(self) -> None:
        """End workers that nobody wants: those that a server which died meanwhile had asked for. Blocks."""
        present = [one.worker_id for one in self._fleet.observe()]  # before the rows: these are written first
        known = {row.id for row in self._versions.read(workers.list_all)} if present else set()
        self.dismiss([worker_id for worker_id in present if worker_id not in known])

    def forget(self, pipeline_id: int) -> None:
        """Drop what is remembered of a pipeline that was deleted."""
        self._crashes.pop(pipeline_id, None)
        self._last.pop(pipeline_id, None)
        self._waiting.pop(pipeline_id, None)

    def _reconcile(self, pipeline: PipelineRow, spec: PipelineSpec) -> None:
        """Take over what the fleet shows: reasons, machines, starts, and workers that are gone."""
        rows = self._versions.read(workers.of_pipeline, pipeline.id)
        if not rows:
            return
        now = self._versions.clock.now()
        sightings = {sighting.worker_id: sighting for sighting in self._fleet.observe()}
        machines = {machine.name: machine for machine in self._fleet.machines()}
        seen = _Seen([], [], [], [])
        for row in rows:
            sighting = sightings.get(row.id)
            if sighting is None or sighting.phase is WorkerPhase.GONE:
                self._lost(pipeline, row, sighting)
                continue
            machine = machines.get(sighting.machine)
            if machine is not None and (row.machine is None or row.machine["name"] != machine.name):
                seen.machines.append((row.id, asdict(machine)))
            if sighting.phase is WorkerPhase.PENDING:
                if row.state not in (WorkerState.PENDING, WorkerState.STARTING):
                    continue  # it has registered already; the fleet has yet to see it
                self._waits(pipeline, row, sighting, image_of(spec), seen)
            elif sighting.phase is WorkerPhase.RUNNING and row.state is WorkerState.PENDING:
                seen.begun.append(row.id)
            elif row.state is WorkerState.RETIRING and now - row.since > RETIRE_GRACE:
                self._fleet.stop(row.id, 1.0)
        if any((seen.machines, seen.reasons, seen.begun, seen.unsatisfiable)):
            self._versions.write(_take_over, pipeline.id, seen)

    def _waits(
        self, pipeline: PipelineRow, row: WorkerRow, sighting: WorkerSighting, image: str, seen: _Seen
    ) -> None:
        """Note what a worker waits for; give the pipeline up when waiting is unsatisfiable for too long."""
        now = self._versions.clock.now()
        reason = sighting.reason
        if sighting.queued:
            self._waited[row.id] = now
        elif not sighting.unsatisfiable:
            # What was usual when it was asked for: a sentence that changes with every start is noise.
            usual = self._usual.setdefault(row.id, self.starts.usual(image))
            reason += opinion(usual, now - row.created)
        if reason != row.reason:
            seen.reasons.append((row.id, row.state, reason))
        if not sighting.unsatisfiable:
            self._unsatisfiable.pop(row.id, None)
            return
        since = self._unsatisfiable.setdefault(row.id, now)
        if row.version == pipeline.version:
            self._crashes.setdefault(pipeline.id, Crashes(pipeline.version)).reason = sighting.reason
            if now - since > UNSATISFIABLE_PATIENCE:
                seen.unsatisfiable.append(sighting.reason)

    def _lost(self, pipeline: PipelineRow, row: WorkerRow, sighting: WorkerSighting | None) -> None:
        why = sighting.reason if sighting is not None else ""

        def forget(write: WriteTransaction) -> None:
            claims.free_of_worker(write, row.id)
            workers.remove(write.conn, row.id, write.now)
            workers.add_events(
                write.conn, pipeline.id, write.now, [(row.id, WorkerState.GONE, why or "is gone")]
            )
            write.tx.wake("workers", f"pipeline:{pipeline.id}")

        self._versions.write(forget)
        self._fleet.stop(row.id, 0.0)
        self._forget_worker(row.id)
        if row.state is WorkerState.RETIRING or sighting is None:
            return
        if row.version == pipeline.version:
            self._crashed(pipeline, f"a worker ended unasked: {why or 'no reason is known'}")

    def _forget_worker(self, worker_id: str) -> None:
        self._seen_ready.discard(worker_id)
        self._waited.pop(worker_id, None)
        self._unsatisfiable.pop(worker_id, None)
        self._usual.pop(worker_id, None)

    def _crashed(self, pipeline: PipelineRow, reason: str) -> None:
        """Note why workers do not stay up, and put the next start off; twice as long with every start."""
        now = self._versions.clock.now()
        crashes = self._crashes.get(pipeline.id)
        if crashes is None:
            crashes = self._crashes[pipeline.id] = Crashes(pipeline.version)
        crashes.reason = reason
        if now < crashes.not_before:
            return
        crashes.count += 1
        backoff = min(LAST_BACKOFF, FIRST_BACKOFF * 2 ** (crashes.count - 1))
        crashes.not_before = now + backoff
        log.warning("workers of %s do not stay up: %s; next start in %.0f s", pipeline, reason, backoff)

    def _blocked_until(self, pipeline: PipelineRow, now: float) -> float | None:
        """Return before when no worker of the pipeline may be started, or None."""
        crashes = self._crashes.get(pipeline.id)
        return crashes.not_before if crashes is not None and now < crashes.not_before else None

    def _learn(self, spec: PipelineSpec, rows: list[WorkerRow]) -> None:
        """Remember how long starts took; a worker that got ready ends a row of crashes."""
        learnt: list[tuple[str, float]] = []
        for row in rows:
            if row.ready is None or row.id in self._seen_ready:
                continue
            self._seen_ready.add(row.id)
            self._unsatisfiable.pop(row.id, None)
            self._crashes.pop(row.pipeline_id, None)
            seconds = max(0.0, row.ready - self._waited.pop(row.id, row.created))
            kind = row.machine["kind"] if row.machine is not None else ""
            learnt.append((kind, seconds))
        if learnt:
            self.starts.learn(image_of(spec), learnt)

    def _record(
        self,
        pipeline: PipelineRow,
        decision: policy.Decision,
        demand: policy.Demand,
        policy: policy.Policy,
        observed: policy.Observed,
    ) -> None:
        """Store the decision when it differs from the last one."""
        if self._last.get(pipeline.id) == decision.sentence and pipeline.target == decision.target:
            return
        self._last[pipeline.id] = decision.sentence
        inputs = {"demand": asdict(demand), "policy": asdict(policy), "observed": asdict(observed)}

        def write_down(write: WriteTransaction) -> None:
            row = pipelines.DecisionRow(
                write.now, decision.target, decision.sentence, json.loads(json.dumps(inputs))
            )
            pipelines.add_decision(write.conn, pipeline.id, row)
            pipelines.change(write.conn, pipeline.id, target=decision.target)
            write.tx.wake("workers")

        self._versions.write(write_down)

    def _start_all(
        self, pipeline: PipelineRow, spec: PipelineSpec, number: int, grace: float
    ) -> float | None:
        """Ask for workers. Returns when to try again, when the fleet refuses them."""
        wanted = [
            WorkerSpec(
                worker_id=uuid.uuid4().hex,
                token=secrets.token_hex(32),
                project=pipeline.project,
                pipeline=pipeline.name,
                version=pipeline.version,
                wanted=spec,
                memory=memory_request(spec),
                grace=grace,
            )
            for _ in range(number)
        ]
        self._versions.write(_want, pipeline.id, wanted)
        for position, one in enumerate(wanted):
            try:
                self._fleet.start(one)
            except errors.TrunklineError as error:
                self._versions.write(_remove, [each.worker_id for each in wanted[position:]])
                self._crashed(pipeline, error.message)
                return self._crashes[pipeline.id].not_before
        return None

    def _retire(self, worker_ids: Sequence[str], rows: dict[str, WorkerRow]) -> None:
        """Ask workers to go: those that claim are told by their next call, the others are not begun."""
        if not worker_ids:
            return
        cancelled = [
            one for one in worker_ids if rows[one].state in (WorkerState.PENDING, WorkerState.STARTING)
        ]
        told = [
            rows[one]
            for one in worker_ids
            if rows[one].state not in (WorkerState.PENDING, WorkerState.STARTING)
        ]
        self._versions.write(_remove_and_retire, cancelled, told)
        for worker_id in cancelled:
            self._fleet.stop(worker_id, 0.0)
            self._forget_worker(worker_id)

    def _read_staff(self, conn: sa.Connection, pipeline_id: int, job: JobRow | None, now: float) -> Staff:
        rows = workers.of_pipeline(conn, pipeline_id)
        gaps = (
            jobs.gaps(conn, pipeline_id, GAPS) if any(row.state is WorkerState.IDLE for row in rows) else []
        )
        running = jobs.by_id(conn, job.id) if job is not None else None
        if running is None:
            return Staff(rows, policy.Demand(unclaimed=0, claimed=0, seconds_per_datum=None), gaps)
        if running.state is JobState.CREATED:
            datums, seconds = lookahead.foreseen(conn, self._specs, self.starts, running, now)
            demand = policy.Demand(
                unclaimed=0, claimed=0, seconds_per_datum=None, foreseen=datums, foreseen_in=seconds
            )
            return Staff(rows, demand, gaps)
        unclaimed = jobs.unclaimed(conn, running) if running.state is JobState.RUNNING else 0
        claimed = (
            running.todo_count - running.handed_in - unclaimed if running.state is JobState.RUNNING else 0
        )
        demand = policy.Demand(
            unclaimed=unclaimed,
            claimed=max(0, claimed),
            seconds_per_datum=lookahead.seconds_per_datum(conn, running) if unclaimed else None,
        )
        return Staff(rows, demand, gaps)

    def _look_again(
        self, decision: policy.Decision, staff: Staff, now: float, blocked_until: float | None
    ) -> float | None:
        """Return when the fleet must be looked at: it tells nothing by itself."""
        times = [at for at in (decision.wake_at, blocked_until) if at is not None]
        changed = decision.retire or (decision.start and blocked_until is None)
        if changed or any(
            row.state in (WorkerState.PENDING, WorkerState.STARTING, WorkerState.RETIRING)
            for row in staff.rows
        ):
            times.append(now + LOOK_CHANGING + len(staff.rows) * LOOK_EACH)
        elif staff.rows:
            working = staff.demand.unclaimed or staff.demand.claimed
            times.append(now + (LOOK_WORKING if working else LOOK_RESTING))
        return min(times, default=None)


def token_hash(token: str) -> bytes:
    """Return what the database keeps of a worker's token."""
    return blake3(token.encode()).digest()


def _waiting_sentence(rows: list[WorkerRow]) -> str:
    waiting = [row for row in rows if row.state is WorkerState.PENDING and row.reason]
    if not waiting:
        return ""
    return f"{len(waiting):,} worker{'s wait' if len(waiting) > 1 else ' waits'}: {waiting[0].reason}"


def _take_over(write: WriteTransaction, pipeline_id: int, seen: _Seen) -> None:
    """Write down what the fleet shows, in one go: a thousand workers may get ready at once."""
    conn = write.conn
    workers.set_machines(conn, seen.machines)
    workers.set_reasons(conn, [(worker_id, reason) for worker_id, _, reason in seen.reasons])
    workers.add_events(conn, pipeline_id, write.now, seen.reasons)
    workers.begin(conn, seen.begun, write.now)
    write.tx.wake("workers")
    if seen.unsatisfiable:
        _give_up(write, pipeline_id, seen.unsatisfiable[0])


def _give_up(write: WriteTransaction, pipeline_id: int, reason: str) -> None:
    """Fail a pipeline that cannot run; only an update of its specification lets it try again."""
    row = pipelines.by_id(write.conn, pipeline_id)
    if row is None or row.state is PipelineState.FAILURE:
        return
    pipelines.move(write.conn, row, PipelineState.FAILURE, reason)
    job_ops.stop_live_jobs(write, pipeline_id, f"the pipeline cannot run: {reason}")
    write.tx.wake("pipeline states", f"pipeline:{pipeline_id}")


def _want(write: WriteTransaction, pipeline_id: int, wanted: Sequence[WorkerSpec]) -> None:
    """Record that workers are wanted, before anybody asks for them."""
    rows = [
        workers.WorkerRow(
            one.worker_id,
            pipeline_id,
            one.version,
            token_hash(one.token),
            WorkerState.PENDING,
            "",
            write.now,
            None,
            write.now,
        )
        for one in wanted
    ]
    workers.add(write.conn, rows)
    events = [(row.id, WorkerState.PENDING, "was asked for") for row in rows]
    workers.add_events(write.conn, pipeline_id, write.now, events)
    write.tx.wake("workers")


def _remove_and_retire(write: WriteTransaction, cancelled: Sequence[str], told: Sequence[WorkerRow]) -> None:
    _remove(write, cancelled)
    for known in told:
        row = workers.by_id(write.conn, known.id)
        if row is not None and row.state is not WorkerState.RETIRING:
            workers.move(write.conn, row.id, WorkerState.RETIRING, "", write.now)
            write.tx.wake("workers", f"work:{row.pipeline_id}")


def _remove(write: WriteTransaction, worker_ids: Sequence[str]) -> None:
    for worker_id in worker_ids:
        claims.free_of_worker(write, worker_id)
        workers.remove(write.conn, worker_id, write.now)
    write.tx.wake("workers")
