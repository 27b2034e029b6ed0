"""One step of the autoscaler: a pure function from memory and observation to instructions.

``step`` takes the memory of one pipeline, what its workers and its fleet show, the work that is left and the time;
it returns the new memory, instructions, and the sentence that explains them. ``pps.autoscaling.autoscaler`` reads the
arguments and applies the instructions. The terms, the loop and examples are in ``docs/design/autoscaler.md``.

All memory may be lost at any time: decisions are then repeated or made again, never wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from trunkline.model.states import WorkerState
from trunkline.model.workers import WorkerEnding, WorkerPhase
from trunkline.pps.autoscaling.instructions import (
    BeginWorkers,
    FailPipeline,
    LearnStarts,
    LimitWorkers,
    LookAgainAt,
    LoseWorkers,
    MarkWorkers,
    RecordDecision,
    RetireWorkers,
    SetMachines,
    SetReasons,
    StartWorkers,
    StopWorker,
)
from trunkline.scaling import policy, start_times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.model.workers import Machine, WorkerSighting
    from trunkline.pps.autoscaling.instructions import Instruction

#: Seconds that a retiring worker has to complete its datum before it is stopped by force.
RETIRE_GRACE = 60.0
#: Seconds between checks of a fleet that should not change, because workers may be lost: while there is work, and
#: while there is none.
LOOK_WORKING, LOOK_RESTING = 2.0, 10.0
#: The same while workers come and go, and what each worker adds: a check of a thousand takes 50 ms.
LOOK_CHANGING, LOOK_EACH = 0.2, 0.001
#: Seconds to the next start after a worker crashed; doubles with each failed start, up to the last.
FIRST_BACKOFF, LAST_BACKOFF = 1.0, 60.0
#: Seconds that a standing program must have run until the last one's end is no longer shown, and until it no longer
#: counts for the next wait. Datums recorded say the same of other work.
STEADY, RECOVERED = 10.0, 60.0
#: Seconds that a worker waits for what cannot come (an image that does not exist) before the pipeline fails: the
#: image may be on its way to the registry.
UNSATISFIABLE_PATIENCE = 300.0

LEASE_RAN_OUT = "does not answer: its lease ran out"
NOT_IN_FLEET = "is gone"

_NOT_READY = frozenset({WorkerState.PENDING, WorkerState.STARTING})


# --- observed ------------------------------------------------------------------------------------------


class WorkerReport(Struct, frozen=True, kw_only=True):
    """A worker in the database and in the fleet."""

    id: str
    #: Version of the pipeline that it runs.
    version: int
    state: WorkerState
    #: What it waits for, as recorded.
    reason: str
    #: Seconds since the epoch: when it was requested, entered its state and got ready (None before).
    created: float
    since: float
    ready: float | None
    #: Name and kind of its machine as recorded; empty while it has none.
    machine: str
    machine_kind: str
    #: What the fleet shows; None when the fleet does not know it.
    sighting: WorkerSighting | None


class Observed(Struct, frozen=True, kw_only=True):
    """What was read about a pipeline, its workers and its fleet."""

    #: The pipeline's current version.
    version: int
    #: The most workers, or the exact number when not autoscaling.
    most_workers: int
    autoscaling: bool
    #: Its user stopped it, or it has failed.
    stopped: bool
    #: The target recorded last; None before the first.
    target: int | None
    workers: tuple[WorkerReport, ...]
    #: Machines of the fleet by name.
    machines: Mapping[str, Machine]
    #: Bytes of memory that a worker requests.
    worker_memory: int
    #: Its share of a fleet that cannot grow, in workers; None without such a fleet.
    share: int | None = None
    #: The limit of workers recorded last.
    worker_limit: int | None = None
    #: Seconds that starts of its image usually take; None before the first.
    usual_start: float | None
    #: Seconds that the fleet expects of a start before one was measured.
    expected_start: float
    #: Seconds from the end of each of its last jobs to the next one.
    gaps: tuple[float, ...] = ()
    #: The job that runs or ran last; 0 without one.
    job_id: int = 0
    #: Datums recorded by jobs from ``Crashes.job_id`` on, or from ``job_id`` on when nothing crashed.
    recorded: int = 0
    #: Its workers run a program without end: it is a spout or a service.
    runs_program: bool = False

    @property
    def start_seconds(self) -> float:
        """Seconds that a start is expected to take."""
        return self.expected_start if self.usual_start is None else self.usual_start


# --- memory --------------------------------------------------------------------------------------------


class Crashes(Struct, frozen=True, kw_only=True):
    """How workers of a pipeline's version have crashed since the last datum was recorded."""

    version: int
    #: Failed starts in a row. Workers that were started together and crash together are one.
    failed_starts: int
    #: No worker is started before this time.
    not_before: float
    #: Why; empty once a worker is ready again. The failed starts still count.
    reason: str
    #: The job at the first crash, and the datums recorded from it on at the last crash.
    job_id: int
    recorded: int


class WorkerMemory(Struct, frozen=True, kw_only=True):
    """What is remembered of a worker while it exists."""

    #: When it was last seen waiting for other workers to end: this time is no part of how long a start takes.
    queued_at: float | None = None
    #: Since when it waits for what cannot come.
    unsatisfiable_since: float | None = None
    #: How long starts usually took when it was first seen waiting.
    usual_start: float | None = None
    #: Its start was measured.
    measured: bool = False


class Memory(Struct, frozen=True, kw_only=True):
    """What is remembered of a pipeline between two steps."""

    crashes: Crashes | None = None
    #: By worker; only of workers that exist.
    workers: Mapping[str, WorkerMemory] = field(default_factory=dict)
    #: What workers wait for that cannot come; empty when none does.
    unsatisfiable: str = ""
    #: How many workers wait and what for; empty when none does.
    waiting: str = ""
    #: The sentence of the last decision.
    sentence: str = ""

    @property
    def crash_reason(self) -> str:
        """Why workers do not stay up or cannot start; empty when they do."""
        return (self.crashes.reason if self.crashes is not None else "") or self.unsatisfiable


class Step(Struct, frozen=True):
    """The result of a step."""

    memory: Memory
    instructions: tuple[Instruction, ...]
    #: The reason, shown to users: first what prevents workers from starting, then the decision with its numbers.
    sentence: str


# --- the step ------------------------------------------------------------------------------------------


def step(memory: Memory, observed: Observed, demand: policy.Demand, now: float) -> Step:
    """Return what to remember and what to do.

    Args:
        memory: what the last step returned; ``Memory()`` for the first.
        observed: the pipeline, its workers and its fleet.
        demand: the work that is left.
        now: seconds since the epoch.
    """
    crashes = _still_valid(memory.crashes, observed, now)
    lost = _lost(observed)
    if lost:
        # The claims of lost workers are free after this, so the demand changes: decide in the next step.
        crash = next((crash for _, _, crash in lost if crash), "")
        if crash:
            crashes = _crashed(crashes, observed, crash, now)
        present = {each.id for each in observed.workers} - {worker.id for worker, _, _ in lost}
        rest = {key: value for key, value in memory.workers.items() if key in present}
        losses = tuple((worker.id, why, _ending(worker)) for worker, why, _ in lost)
        return Step(
            replace(memory, crashes=crashes, workers=rest),
            (LoseWorkers(losses), LookAgainAt(now)),
            _loss_sentence(losses),
        )
    workers, reasons = _remembered(memory, observed, now)
    learned = tuple(
        (each.machine_kind, max(0.0, each.ready - (workers[each.id].queued_at or each.created)))
        for each in observed.workers
        if each.ready is not None and not workers[each.id].measured
    )
    is_up = _has_run_for(STEADY, observed, now) if observed.runs_program else bool(learned)
    if is_up and crashes is not None:
        crashes = replace(crashes, reason="")
    workers = {
        each.id: replace(workers[each.id], measured=each.ready is not None) for each in observed.workers
    }
    rules = _policy(observed)
    view = _view(observed)
    decision = policy.decide(demand, rules, view, now)
    if not decision.target:
        crashes = None
    blocked = crashes is not None and now < crashes.not_before
    unsatisfiable, gave_up = _unsatisfiable(observed, workers, now)
    waiting = _waiting(observed, reasons)
    after = Memory(crashes=crashes, workers=workers, unsatisfiable=unsatisfiable, waiting=waiting)
    sentence = _sentence(after, decision)
    instructions: list[Instruction] = [
        *_sightings_taken_over(observed, reasons),
        *([LearnStarts(learned)] if learned else []),
        *([FailPipeline(gave_up)] if gave_up else []),
        *_marks(observed),
    ]
    if sentence != memory.sentence or decision.target != observed.target:
        instructions.append(RecordDecision(decision.target, sentence, demand, rules, view))
    retire = (*decision.retire, *_outdated(observed))
    if retire:
        instructions.append(RetireWorkers(retire))
    instructions += [
        StopWorker(each.id, 1.0)
        for each in observed.workers
        if each.state is WorkerState.RETIRING and now - each.since > RETIRE_GRACE
    ]
    limit = _worker_limit(observed)
    if limit != observed.worker_limit:
        instructions.append(LimitWorkers(limit))
    starts = decision.start > 0 and not blocked and not gave_up
    if starts:
        instructions.append(StartWorkers(decision.start, policy.grace_seconds(demand.seconds_per_datum)))
    waits_until = crashes.not_before if crashes is not None and blocked and decision.start else None
    again = _look_again(
        observed, demand, (decision.wake_at, waits_until), now, changes=bool(starts or retire)
    )
    if again is not None:
        instructions.append(LookAgainAt(again))
    return Step(replace(after, sentence=sentence), tuple(instructions), sentence)


def start_refused(memory: Memory, observed: Observed, reason: str, now: float) -> Memory:
    """Return the memory after the fleet refused to start workers.

    Args:
        memory: what the step returned.
        observed: what the step was given.
        reason: why the fleet refused.
        now: seconds since the epoch.
    """
    return replace(memory, crashes=_crashed(memory.crashes, observed, reason, now))


def _still_valid(crashes: Crashes | None, observed: Observed, now: float) -> Crashes | None:
    """Return the crashes unless a new version, a recorded datum or a program that goes on has ended them."""
    if crashes is None or crashes.version != observed.version or observed.recorded > crashes.recorded:
        return None
    if observed.runs_program and _has_run_for(RECOVERED, observed, now):
        return None
    return crashes


def _has_run_for(seconds: float, observed: Observed, now: float) -> bool:
    """Return whether a worker of the current version has been busy for so long."""
    return any(
        each.state is WorkerState.BUSY and each.version == observed.version and now - each.since >= seconds
        for each in observed.workers
    )


def _crashed(crashes: Crashes | None, observed: Observed, reason: str, now: float) -> Crashes:
    """Count a crash; the next start waits twice as long as after the one before."""
    if crashes is not None and now < crashes.not_before:
        return replace(
            crashes, reason=reason, recorded=observed.recorded
        )  # started together with the last one
    failed = 1 if crashes is None else crashes.failed_starts + 1
    return Crashes(
        version=observed.version,
        failed_starts=failed,
        not_before=now + backoff(failed),
        reason=reason,
        job_id=observed.job_id if crashes is None else crashes.job_id,
        recorded=observed.recorded,
    )


def backoff(failed_starts: int) -> float:
    """Return the seconds from a crash to the next start.

    >>> backoff(1), backoff(3), backoff(10_000)
    (1.0, 4.0, 60.0)
    """
    return min(LAST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failed_starts - 1, 16))


def _lost(observed: Observed) -> list[tuple[WorkerReport, str, str]]:
    """Return the workers that are gone or do not answer, each with the reason, and the message if it crashed."""
    lost = []
    for worker in observed.workers:
        sighting = worker.sighting
        why = crash = ""
        if sighting is None:
            why = NOT_IN_FLEET
        elif sighting.phase is WorkerPhase.GONE:
            why = sighting.reason or NOT_IN_FLEET
            if sighting.ending is WorkerEnding.CRASHED and worker.state is not WorkerState.RETIRING:
                crash = f"a worker ended unexpectedly: {why}"
        elif worker.state is WorkerState.LOST:
            why = worker.reason or LEASE_RAN_OUT
            crash = f"a worker {why}"
        if why:
            lost.append((worker, why, crash if worker.version == observed.version else ""))
    return lost


def _ending(worker: WorkerReport) -> WorkerEnding:
    if worker.state is WorkerState.RETIRING:
        return WorkerEnding.STOPPED
    if worker.sighting is None:
        return WorkerEnding.REMOVED  # the fleet forgot it, for example because the server restarted
    return worker.sighting.ending


def _loss_sentence(losses: tuple[tuple[str, str, WorkerEnding], ...]) -> str:
    worker, why, _ = losses[0]
    more = f" and {len(losses) - 1:,} more" if losses[1:] else ""
    return f"lost worker {worker[:8]}{more}: {why}"


def _remembered(
    memory: Memory, observed: Observed, now: float
) -> tuple[dict[str, WorkerMemory], dict[str, str]]:
    """Return what to remember of each worker, and the reason of each one that waits."""
    workers, reasons = {}, {}
    for worker in observed.workers:
        worker_memory = memory.workers.get(worker.id, WorkerMemory())
        sighting = worker.sighting
        if sighting is None or sighting.phase is not WorkerPhase.PENDING or worker.state not in _NOT_READY:
            # It registered already, although the fleet may not have noticed yet.
            workers[worker.id] = replace(worker_memory, unsatisfiable_since=None)
            continue
        reason = sighting.reason
        if sighting.queued:
            worker_memory = replace(worker_memory, queued_at=now)
        elif not sighting.unsatisfiable:
            # The usual duration when it was first seen, so that the reason does not change with every other start.
            if worker_memory.usual_start is None:
                worker_memory = replace(worker_memory, usual_start=observed.usual_start)
            reason += start_times.comparison(worker_memory.usual_start, now - worker.created)
        since = worker_memory.unsatisfiable_since
        workers[worker.id] = replace(
            worker_memory,
            unsatisfiable_since=(now if since is None else since) if sighting.unsatisfiable else None,
        )
        reasons[worker.id] = reason
    return workers, reasons


def _unsatisfiable(observed: Observed, workers: Mapping[str, WorkerMemory], now: float) -> tuple[str, str]:
    """Return what current workers wait for that cannot come, and why to give the pipeline up; empty for neither."""
    reason = gave_up = ""
    for worker in observed.workers:
        since = workers[worker.id].unsatisfiable_since
        if since is None or worker.version != observed.version or worker.sighting is None:
            continue
        reason = reason or worker.sighting.reason
        if (
            not worker.sighting.lacks_machine
            and now - since > UNSATISFIABLE_PATIENCE
            and not observed.stopped
        ):
            gave_up = gave_up or worker.sighting.reason
    return reason, gave_up


def _waiting(observed: Observed, reasons: Mapping[str, str]) -> str:
    """Return a sentence on how many workers wait and what for."""
    waiting = [
        reasons[worker.id]
        for worker in observed.workers
        if worker.state is WorkerState.PENDING and reasons.get(worker.id)
    ]
    if not waiting:
        return ""
    return f"{len(waiting):,} worker{'s wait' if len(waiting) > 1 else ' waits'}: {waiting[0]}"


def _sentence(memory: Memory, decision: policy.Decision) -> str:
    """Put what prevents workers from starting before the decision."""
    cause = memory.crash_reason or memory.waiting
    crashes = memory.crashes
    if crashes is not None and crashes.reason:
        cause = f"{crashes.reason} (new starts wait {backoff(crashes.failed_starts):g} s)"
    return f"{cause}; {decision.sentence}" if cause else decision.sentence


def _policy(observed: Observed) -> policy.Policy:
    return policy.Policy(
        workers=observed.most_workers,
        autoscaling=observed.autoscaling,
        stopped=observed.stopped,
        startup_seconds=observed.start_seconds,
        keep_seconds=policy.keep_seconds(observed.start_seconds, observed.gaps),
        capacity=capacity(observed.machines, observed.worker_memory),
        share=observed.share,
    )


def _worker_limit(observed: Observed) -> int | None:
    """Return the share of a pipeline that has more workers: busy ones retire once their claims are done."""
    if observed.share is None:
        return None
    limit = max(1, observed.share)
    present = sum(each.state is not WorkerState.RETIRING for each in observed.workers)
    return limit if present > limit else None


def total_memory(machines: Mapping[str, Machine]) -> int | None:
    """Return the bytes of memory of machines whose number cannot grow; None when it can, or is not known."""
    if not machines or any(each.kind not in ("local", "joined") for each in machines.values()):
        return None
    return sum(each.memory for each in machines.values() if each.ready)


def capacity(machines: Mapping[str, Machine], worker_memory: int) -> int | None:
    """Return how many workers fit on machines whose number cannot grow; None when it can, or is not known.

    Args:
        machines: of the fleet, by name.
        worker_memory: bytes that a worker requests.
    """
    if total_memory(machines) is None or not worker_memory:
        return None
    rooms = [(each.memory // worker_memory, each.slots) for each in machines.values() if each.ready]
    return sum(min(room, slots) if slots else room for room, slots in rooms)


def _view(observed: Observed) -> policy.Observed:
    """Return the workers of the current version as the policy sees them."""
    return policy.Observed(
        workers=tuple(
            policy.WorkerView(id=each.id, state=str(each.state), since=each.since)
            for each in observed.workers
            if each.version == observed.version
        )
    )


def _outdated(observed: Observed) -> tuple[str, ...]:
    return tuple(
        each.id
        for each in observed.workers
        if each.version != observed.version and each.state is not WorkerState.RETIRING
    )


def _sightings_taken_over(observed: Observed, reasons: Mapping[str, str]) -> list[Instruction]:
    """Return the instructions that record what the fleet shows and the database does not have."""
    machines, changed, begun = [], [], []
    for worker in observed.workers:
        assert worker.sighting is not None
        machine = observed.machines.get(worker.sighting.machine)
        if machine is not None and machine.name != worker.machine:
            machines.append((worker.id, machine))
        if worker.id in reasons and reasons[worker.id] != worker.reason:
            changed.append((worker.id, worker.state, reasons[worker.id]))
        if worker.sighting.phase is WorkerPhase.RUNNING and worker.state is WorkerState.PENDING:
            begun.append(worker.id)
    instructions: list[Instruction] = []
    if machines:
        instructions.append(SetMachines(tuple(machines)))
    if changed:
        instructions.append(SetReasons(tuple(changed)))
    if begun:
        instructions.append(BeginWorkers(tuple(begun)))
    return instructions


def _marks(observed: Observed) -> list[Instruction]:
    busy = tuple(each.id for each in observed.workers if each.state is WorkerState.BUSY)
    idle = tuple(each.id for each in observed.workers if each.state is WorkerState.IDLE)
    return [MarkWorkers(busy, idle)] if busy or idle else []


def _look_again(
    observed: Observed,
    demand: policy.Demand,
    times: tuple[float | None, ...],
    now: float,
    *,
    changes: bool,
) -> float | None:
    """Return when the fleet must be looked at again, because it announces nothing by itself.

    Args:
        observed: what the step was given.
        demand: the work that is left.
        times: when the decision changes by itself; None for never.
        now: seconds since the epoch.
        changes: workers start or end in this step.
    """
    due = [at for at in times if at is not None]
    moving = {*_NOT_READY, WorkerState.RETIRING}
    if changes or any(each.state in moving for each in observed.workers):
        due.append(now + LOOK_CHANGING + len(observed.workers) * LOOK_EACH)
    elif observed.workers:
        working = demand.unclaimed or demand.claimed
        due.append(now + (LOOK_WORKING if working else LOOK_RESTING))
    return min(due, default=None)
