"""How many workers a pipeline gets, and how many datums a worker takes at a time.

``decide`` is the whole scaling policy as one pure function: the controller, the simulator and the cost
preview call it with the same values and get the same answer. It starts on expectation and retires on fact:

- The demand is counted before any worker exists, so the whole fleet is asked for in one step.
- The time per datum, when it is known, limits how many workers are *started*; it is an estimate, so it
  never ends a worker. What ends one is that no unclaimed datum is left for it.
- Work that is foreseen to come within a start is counted like work that waits, so that the start is over
  when it comes.
- A worker that is not ready yet and has nothing to come for is cancelled at once. An idle one is kept as
  long as work has been seen to come back (``keep_seconds``), then retired. A busy one is never touched.

Deciding again after the decision was carried out changes nothing. There is no clock and no state here:
``now`` is an argument and ``wake_at`` says when time alone would change the answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Least time a new worker's share of the work must last, in start-ups: the knob between fast (0) and cheap
#: (large). At 1 a job never pays more for starts than for work, and a job that keeps the fleet busy for
#: longer than it takes to start still gets all of it. An unknown time per datum counts as long.
WORTHWHILE_STARTS = 1.0

#: How long an idle worker is kept when nothing says that work comes back soon, in start-ups, and the least and
#: most seconds of it: long enough for the commit that somebody sends right behind the last one, short enough that
#: what is paid for it stays small beside the start itself.
SHORT_KEEP_STARTS, SHORT_KEEP_LEAST, SHORT_KEEP_MOST = 0.1, 0.5, 1.0

#: How long an idle worker is kept when work has mostly come back within that time, in start-ups. One is the
#: break-even of the ski rental problem (Karlin et al., "Competitive Snoopy Caching", Algorithmica 1988): waiting
#: costs at most twice what the best choice in hindsight would. It is taken on advice only (Purohit et al.,
#: "Improving Online Algorithms via ML Predictions", NeurIPS 2018), because an idle machine costs what a busy one does.
LONG_KEEP_STARTS = 1.0

#: How far foreseen work may slip, in start-ups, before workers that were started for it are given up.
FORESIGHT_SLACK = 2.0

#: How long a worker may go on when its machine is taken away: in mean datums, and in seconds the least, the most
#: (Cluster Autoscaler waits no longer), and that of a pipeline whose datums nobody has timed.
GRACE_DATUMS, LEAST_GRACE, MOST_GRACE, UNKNOWN_GRACE = 3.0, 30.0, 600.0, 60.0

#: Runs that a worker takes of what is left, as Pachyderm cuts datum sets. More runs mean smaller stragglers
#: at the end, fewer mean less talk with the server.
RUNS_PER_WORKER = 4

#: Seconds that a run of datums should last at most: what is lost and run again when its worker dies.
RUN_SECONDS = 10.0

#: Datums in a run while the time per datum is unknown: enough to learn it, few enough that a run of datums
#: that turn out to take minutes does not leave the other workers idle at the end.
UNKNOWN_RUN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The work that a pipeline's running jobs have left."""

    #: Datums that no worker has claimed.
    unclaimed: int
    #: Datums that a worker has claimed and not yet handed in.
    claimed: int
    #: Expected seconds to run one datum; None before anything is known.
    seconds_per_datum: float | None
    #: Datums that are foreseen to come when the jobs before this one are done; 0 for none.
    foreseen: int = 0
    #: Seconds until they come.
    foreseen_in: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the pipeline's spec and state allow."""

    #: ``parallelism_spec.constant``: the most workers, or the exact number when not autoscaling.
    workers: int
    autoscaling: bool
    #: The pipeline is stopped: no workers, whatever waits.
    stopped: bool
    #: Expected seconds from asking for a worker until it is idle.
    startup_seconds: float
    #: Seconds that an idle worker without prospects is kept.
    keep_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker as the policy sees it."""

    id: str
    #: pending, starting, idle, busy or retiring.
    state: str
    #: Since when it is in this state, on the clock that ``now`` is read from.
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The workers that exist or are asked for."""

    workers: tuple[WorkerView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do now, and why."""

    #: Workers once this is carried out, without the retiring. Above ``Policy.workers`` only by busy ones.
    target: int
    #: How many to ask for. Zero when ``retire`` names any.
    start: int
    #: Workers to end: pending, starting or idle ones.
    retire: tuple[str, ...]
    #: The reason, with its numbers, for people.
    sentence: str
    #: When to decide again although nothing else happened; None when time alone changes nothing.
    wake_at: float | None


class DatumSetSpec(Protocol):
    """A user's wish for the size of runs; 0 and None are unset."""

    @property
    def number(self) -> int | None:
        """The datums in a run."""

    @property
    def size_bytes(self) -> int | None:
        """The bytes of input in a run."""

    @property
    def per_worker(self) -> int | None:
        """The runs that a worker takes of what is left."""


def decide(demand: Demand, policy: Policy, observed: Observed, now: float) -> Decision:
    """Return how many workers to start and which to retire.

    Args:
        demand: the work that is left.
        policy: what the pipeline's spec and state allow.
        observed: the workers that exist or are asked for, those in state retiring included.
        now: seconds on the clock of ``WorkerView.since``.
    """
    fleet = [worker for worker in observed.workers if worker.state != "retiring"]
    coming = sorted((w for w in fleet if w.state in {"pending", "starting"}), key=_least_far_first)
    idle = sorted((w for w in fleet if w.state == "idle"), key=lambda w: (w.since, w.id))
    busy = len(fleet) - len(coming) - len(idle)

    limit = 0 if policy.stopped else policy.workers
    # What is foreseen starts workers one start ahead, and keeps those that are there if it slips a little.
    near = _foreseen(demand, policy, starts=1.0)
    foreseen = near or (_foreseen(demand, policy, starts=FORESIGHT_SLACK) if fleet else 0)
    useful = _useful(demand, policy, busy, foreseen)
    wanted = min(_useful(demand, policy, busy, near), _worth_starting(demand, policy))
    start = max(0, wanted - len(fleet))
    surplus = max(0, len(fleet) - useful)

    cancelled = coming[:surplus]
    spare = idle[: surplus - len(cancelled)]
    forbidden = len(fleet) - len(cancelled) - limit
    keep = policy.keep_seconds
    retired = [w for place, w in enumerate(spare) if place < forbidden or now >= w.since + keep]
    kept = spare[len(retired) :]
    target = len(fleet) + start - len(cancelled) - len(retired)

    actions = [
        text
        for count, text in (
            (start, f"start {start:,}{' at once' if start > 1 else ''}"),
            (len(cancelled), f"cancel {len(cancelled):,} not ready yet"),
            (
                len(retired),
                f"retire {len(retired):,} idle{'' if forbidden > 0 else f' for {_seconds(keep)}'}",
            ),
            (len(kept), f"keep {len(kept):,} idle for {_seconds(keep)}"),
            (busy if target > limit else 0, f"let {busy:,} busy finish"),
        )
        if count
    ]
    if actions:
        situation = _situation(demand, policy, foreseen, timed=wanted < useful)
        sentence = f"{situation}: {', '.join(actions)}"
    else:
        sentence = _rest(demand, policy, foreseen, target)
    return Decision(
        target=target,
        start=start,
        retire=tuple(worker.id for worker in (*cancelled, *retired)),
        sentence=sentence,
        wake_at=_wake_at(demand, policy, kept[0].since + keep if kept else None, near, now),
    )


def keep_seconds(startup_seconds: float, gaps: Sequence[float]) -> float:
    """Return how long to keep an idle worker of a pipeline.

    Args:
        startup_seconds: expected seconds from asking for a worker until it is idle.
        gaps: seconds from the end of each of the pipeline's last jobs until the next work came.

    >>> keep_seconds(50.0, [])
    1.0
    >>> keep_seconds(50.0, [20.0, 3600.0, 45.0])
    50.0
    """
    long = LONG_KEEP_STARTS * startup_seconds
    if len(gaps) >= 2 and sum(gap <= long for gap in gaps) * 2 >= len(gaps):
        return max(long, SHORT_KEEP_LEAST)
    return min(max(SHORT_KEEP_STARTS * startup_seconds, SHORT_KEEP_LEAST), SHORT_KEEP_MOST)


def grace_seconds(seconds_per_datum: float | None) -> float:
    """Return how long a worker may go on when its machine is taken away.

    Enough for a datum that takes three times the mean, within what those who remove machines wait for.

    >>> grace_seconds(40.0), grace_seconds(0.1), grace_seconds(3600.0)
    (120.0, 30.0, 600.0)
    """
    if seconds_per_datum is None:
        return UNKNOWN_GRACE
    return min(max(GRACE_DATUMS * seconds_per_datum, LEAST_GRACE), MOST_GRACE)


def _foreseen(demand: Demand, policy: Policy, *, starts: float) -> int:
    """Return how many datums come within so many starts."""
    near = demand.foreseen_in <= starts * policy.startup_seconds
    return demand.foreseen if policy.autoscaling and near else 0


def _wake_at(demand: Demand, policy: Policy, retire_at: float | None, near: int, now: float) -> float | None:
    """Return when time alone changes the answer."""
    times = [] if retire_at is None else [retire_at]
    if demand.foreseen and not near and policy.autoscaling and not policy.stopped:
        times.append(now + max(0.0, demand.foreseen_in - policy.startup_seconds))
    return min(times, default=None)


def _least_far_first(worker: WorkerView) -> tuple[bool, float, str]:
    """Order workers that are not ready by how little was spent on them."""
    return worker.state == "starting", -worker.since, worker.id


def _useful(demand: Demand, policy: Policy, busy: int, foreseen: int) -> int:
    """Return how many workers can have something to do; the rest is surplus."""
    if policy.stopped:
        return 0
    if not policy.autoscaling:
        return policy.workers
    if not demand.unclaimed and not demand.claimed and not foreseen:
        return 0
    # A run is not shared, so claimed datums occupy the workers that hold them and no more. One worker
    # stays even if those have vanished: their datums come back when their leases end.
    return min(policy.workers, max(1, busy + demand.unclaimed + foreseen))


def _worth_starting(demand: Demand, policy: Policy) -> int:
    """Return how many workers may share the work if each share is to outlast a start."""
    threshold = WORTHWHILE_STARTS * policy.startup_seconds
    if not policy.autoscaling or demand.seconds_per_datum is None or threshold <= 0:
        return policy.workers
    seconds = (demand.unclaimed + demand.claimed + demand.foreseen) * demand.seconds_per_datum
    return max(1, math.ceil(min(policy.workers, seconds / threshold)))


def run_length(
    remaining: int,
    workers: int,
    datum_set_spec: DatumSetSpec | None,
    seconds_per_datum: float | None,
    bytes_per_datum: float = 0.0,
) -> int:
    """Return how many datums a worker takes next.

    Guided self-scheduling (Polychronopoulos and Kuck, IEEE Trans. Computers C-36, 1987): runs shrink as the
    work does, so that all workers end together without one call per datum. Two deviations: a run is a
    quarter of a worker's share, because datums differ, and no longer than ``RUN_SECONDS``. While the time
    per datum is unknown a run has ``UNKNOWN_RUN`` datums at most.

    Args:
        remaining: datums that were never claimed, at least 1.
        workers: workers that share them.
        datum_set_spec: the user's wish; ``number`` fixes the length, ``size_bytes`` its bytes of input,
            ``per_worker`` replaces the quarter.
        seconds_per_datum: expected seconds per datum; None before anything is known.
        bytes_per_datum: mean bytes of input per datum.

    >>> run_length(1000, 5, None, 0.01)
    50
    """
    if datum_set_spec is not None and datum_set_spec.number:
        return max(1, min(remaining, datum_set_spec.number))
    if datum_set_spec is not None and datum_set_spec.size_bytes and bytes_per_datum:
        return max(1, int(min(remaining, datum_set_spec.size_bytes / bytes_per_datum)))
    runs = (datum_set_spec.per_worker if datum_set_spec is not None else None) or RUNS_PER_WORKER
    length = remaining // (max(1, workers) * runs)
    if seconds_per_datum is None:
        length = min(length, UNKNOWN_RUN)
    elif seconds_per_datum > 0:
        length = int(min(length, RUN_SECONDS / seconds_per_datum))
    return max(1, length)


def _situation(demand: Demand, policy: Policy, foreseen: int, *, timed: bool) -> str:
    """Say what the decision comes from, with the numbers."""
    if policy.stopped:
        return "the pipeline is stopped"
    if not policy.autoscaling:
        return f"{_count(policy.workers, 'worker')} wanted at all times"
    if not demand.unclaimed and not demand.claimed:
        if not foreseen:
            return "nothing waits"
        coming = "1 datum is" if foreseen == 1 else f"{foreseen:,} datums are"
        return (
            f"{coming} foreseen in {_seconds(demand.foreseen_in)}, {_seconds(policy.startup_seconds)} for a start;"
            f" {_count(policy.workers, 'worker')} at most"
        )
    waiting = "1 datum waits" if demand.unclaimed == 1 else f"{demand.unclaimed:,} datums wait"
    times = ""
    if timed and demand.seconds_per_datum is not None:
        times = (
            f", {_seconds(demand.seconds_per_datum)} each and {_seconds(policy.startup_seconds)} for a start"
        )
    return f"{waiting} and {demand.claimed:,} run{times}; {_count(policy.workers, 'worker')} at most"


def _rest(demand: Demand, policy: Policy, foreseen: int, target: int) -> str:
    """Say that nothing is to be done. What changes with every datum is left out: such decisions are one."""
    if not target:
        return f"{_situation(demand, policy, foreseen, timed=False)}: no workers"
    if not policy.autoscaling:
        return f"{_situation(demand, policy, foreseen, timed=False)}: all are there"
    return f"{_count(target, 'worker')} for the work that is left, {policy.workers:,} at most: no change"


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"


def _seconds(seconds: float) -> str:
    return "under 1 ms" if seconds < 0.001 else f"{seconds:.3g} s"
