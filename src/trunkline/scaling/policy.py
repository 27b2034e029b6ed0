"""How many workers a pipeline gets, and how many datums a worker takes at a time.

``decide`` is the whole scaling policy as one pure function. The autoscaler, the plan of a job and its price
call it with the same values and get the same answer.

- The demand is counted before any worker exists, so all workers are requested in one step.
- A job ends within ``SLACK`` of the earliest time that the permitted workers could reach. Among the numbers of
  workers that achieve this, the smallest is started. The time per datum is an estimate, so it only limits how
  many workers start; it never ends one.
- Work that is expected within the time of a start counts like work that waits, so that workers are ready for it.
- A worker that is not ready yet and has nothing to do is cancelled at once. An idle worker is kept as long as
  work usually takes to return (``keep_seconds``), then retired. A busy worker is never interrupted.

Applying a decision and deciding again changes nothing. There is no clock and no state here: ``now`` is an
argument, and ``wake_at`` is the time at which the answer changes although nothing else does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

#: How much later than the earliest possible time a job may end to save starts, as a share of the time from asking
#: for a worker to the end. It is the only setting between fast (0) and cheap (large). A second batch, whose times
#: are known, therefore takes at most 1.1 times as long as the first, for which all workers are started.
SLACK = 0.1

#: Workers of a pipeline that may be on their way (pending or starting) at once. The next ones are requested as
#: these get ready, so that a very large ``constant`` makes neither a large list nor a flood of requests.
MOST_ON_THEIR_WAY = 1_000

#: How long an idle worker is kept when nothing indicates that work returns soon: in starts, and the least and most
#: seconds. Long enough for a commit that directly follows the last one; short beside the price of a start.
SHORT_KEEP_STARTS, SHORT_KEEP_LEAST, SHORT_KEEP_MOST = 0.1, 0.5, 1.0

#: How long an idle worker is kept when work has mostly returned within that time, in starts. One is the break-even
#: of the ski rental problem (Karlin et al., "Competitive Snoopy Caching", Algorithmica 1988): waiting costs at most
#: twice what the best choice in hindsight would. It depends on a prediction (Purohit et al., "Improving Online
#: Algorithms via ML Predictions", NeurIPS 2018), because an idle machine costs as much as a busy one.
LONG_KEEP_STARTS = 1.0

#: How late expected work may be, in starts, before the workers that were started for it are cancelled.
LOOKAHEAD_SLACK = 2.0

#: How long a worker may continue when its machine is taken away: in mean datums; the least and the most seconds
#: (Cluster Autoscaler waits no longer); and the seconds for a pipeline whose datums have not been timed.
GRACE_DATUMS, LEAST_GRACE, MOST_GRACE, UNKNOWN_GRACE = 3.0, 30.0, 600.0, 60.0

#: Runs into which a worker's share is divided, as Pachyderm divides datum sets. More runs make the last ones
#: shorter, fewer runs need fewer calls to the server.
RUNS_PER_WORKER = 4

#: Seconds that a run of datums should last at most: what runs again when its worker dies.
RUN_SECONDS = 10.0

#: Seconds that a run of datums should last at least: several times what a claim costs the server and its worker. All
#: workers end together but for about as long.
LEAST_RUN_SECONDS = 0.02

#: Datums in a run while the time per datum is unknown: enough to measure it, few enough that a run of datums that
#: take minutes does not leave the other workers idle at the end.
UNKNOWN_RUN = 4

#: Added before rounding down a quotient, so that 3.0000000001 / 1 and 2.9999999999 / 1 give the same number.
_ROUNDING = 1e-9


class Demand(Struct, frozen=True, kw_only=True):
    """The remaining work of a pipeline's running jobs."""

    #: Datums that no worker has claimed.
    unclaimed: int
    #: Datums that a worker has claimed and not yet completed.
    claimed: int
    #: Expected seconds to run one datum; None before anything is known.
    seconds_per_datum: float | None
    #: Minimum number of datums that arrive when the upstream jobs end; 0 for none.
    foreseen: int = 0
    #: Seconds until they arrive.
    foreseen_in: float = 0.0


class Policy(Struct, frozen=True, kw_only=True):
    """What the pipeline's spec, its state and the fleet permit."""

    #: ``parallelism_spec.constant``: the most workers, or the exact number when not autoscaling.
    workers: int
    autoscaling: bool
    #: The pipeline is stopped: no workers, whatever waits.
    stopped: bool
    #: Expected seconds from requesting a worker until it is ready.
    startup_seconds: float
    #: Seconds that an idle worker without expected work is kept.
    keep_seconds: float
    #: Workers of this pipeline that the fleet can hold when nothing else runs; None when it can grow.
    capacity: int | None = None
    #: Its share of a fleet that cannot grow (``scaling.fairness``); None without such a fleet.
    share: int | None = None

    @property
    def limit(self) -> int:
        """The most workers to have. At least one is requested, so that a fleet can say why it refuses it."""
        if self.stopped:
            return 0
        bounds = [bound for bound in (self.capacity, self.share) if bound is not None]
        return min([self.workers, *(max(1, bound) for bound in bounds)])


class WorkerView(Struct, frozen=True, kw_only=True):
    """A worker as the policy sees it."""

    id: str
    #: pending, starting, idle, busy or retiring.
    state: str
    #: Since when it is in this state, on the clock of ``now``.
    since: float


class Observed(Struct, frozen=True, kw_only=True):
    """The workers that exist or are requested."""

    workers: tuple[WorkerView, ...]


class Decision(Struct, frozen=True, kw_only=True):
    """What to do now, and why."""

    #: Workers after this is applied, without those that retire. Above ``Policy.limit`` only by busy ones.
    target: int
    #: How many to request. Zero when ``retire`` names any.
    start: int
    #: Workers to end: pending, starting or idle ones.
    retire: tuple[str, ...]
    #: The reason with its numbers, for people.
    sentence: str
    #: When to decide again although nothing else happened; None when time alone changes nothing.
    wake_at: float | None


class DatumSetSpec(Protocol):
    """A user's choice of the size of runs; 0 and None are unset."""

    @property
    def number(self) -> int | None:
        """The datums in a run."""

    @property
    def size_bytes(self) -> int | None:
        """The bytes of input in a run."""

    @property
    def per_worker(self) -> int | None:
        """The runs into which a worker's share is divided."""


def decide(demand: Demand, policy: Policy, observed: Observed, now: float) -> Decision:
    """Return how many workers to start and which to retire.

    Args:
        demand: the work that is left.
        policy: what the pipeline's spec, its state and the fleet permit.
        observed: the workers that exist or are requested, including those in state retiring.
        now: seconds on the clock of ``WorkerView.since``.
    """
    fleet = [worker for worker in observed.workers if worker.state != "retiring"]
    starting = sorted((w for w in fleet if w.state in {"pending", "starting"}), key=_least_progress_first)
    idle = sorted((w for w in fleet if w.state == "idle"), key=lambda w: (w.since, w.id))
    busy = len(fleet) - len(starting) - len(idle)

    # Expected work starts workers one start ahead, and keeps those that exist if it is a little late.
    soon_foreseen = _foreseen(demand, policy, starts=1.0)
    foreseen = soon_foreseen or (_foreseen(demand, policy, starts=LOOKAHEAD_SLACK) if fleet else 0)
    useful = _useful(demand, policy, busy, foreseen)
    useful_now = _useful(demand, policy, busy, soon_foreseen)
    goal = min(useful_now, _fast_enough(demand, policy, len(idle), busy))
    start = min(max(0, goal - len(fleet)), max(0, MOST_ON_THEIR_WAY - len(starting)))
    saved = max(0, useful_now - max(goal, len(fleet)))
    surplus = max(0, len(fleet) - useful)

    cancelled = starting[:surplus]
    spare = idle[: surplus - len(cancelled)]
    beyond_limit = len(fleet) - len(cancelled) - policy.limit
    keep = policy.keep_seconds
    retired = [w for place, w in enumerate(spare) if place < beyond_limit or now >= w.since + keep]
    waiting = spare[len(retired) :]
    target = len(fleet) + start - len(cancelled) - len(retired)

    actions = [
        text
        for count, text in (
            (start, f"start {start:,}{' at once' if start > 1 else ''}"),
            (len(cancelled), f"cancel {len(cancelled):,} not ready yet"),
            (
                len(retired),
                f"retire {len(retired):,} idle{'' if beyond_limit > 0 else f' for {_seconds(keep)}'}",
            ),
            (len(waiting), f"keep {len(waiting):,} idle for {_seconds(keep)}"),
            (busy if target > policy.limit else 0, f"let {busy:,} busy finish"),
        )
        if count
    ]
    if actions:
        situation = _situation(demand, policy, foreseen, timed=saved > 0)
        sentence = f"{situation}: {', '.join(actions)}"
        if start and saved:
            sentence += f"; {_savings(saved, policy)}"
    else:
        sentence = _unchanged(demand, policy, foreseen, target, complete=len(fleet) >= policy.limit)
        if saved:
            sentence += f"; more would end the job at most {SLACK:.0%} sooner"
    return Decision(
        target=target,
        start=start,
        retire=tuple(worker.id for worker in (*cancelled, *retired)),
        sentence=sentence,
        wake_at=_wake_at(demand, policy, waiting[0].since + keep if waiting else None, soon_foreseen, now),
    )


def useful_workers(demand: Demand, policy: Policy, busy: int) -> int:
    """Return how many workers have something to do, whatever room the fleet has.

    Args:
        demand: the work that is left.
        policy: what the pipeline's spec and its state permit.
        busy: workers that hold datums.
    """
    return _useful(demand, replace(policy, capacity=None, share=None), busy, 0)


def keep_seconds(startup_seconds: float, gaps: Sequence[float]) -> float:
    """Return how long to keep an idle worker of a pipeline.

    Args:
        startup_seconds: expected seconds from requesting a worker until it is ready.
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
    """Return how long a worker may continue when its machine is taken away.

    Enough for a datum that takes three times the mean, within what those who remove machines wait for.

    >>> grace_seconds(40.0), grace_seconds(0.1), grace_seconds(3600.0)
    (120.0, 30.0, 600.0)
    """
    if seconds_per_datum is None:
        return UNKNOWN_GRACE
    return min(max(GRACE_DATUMS * seconds_per_datum, LEAST_GRACE), MOST_GRACE)


def _foreseen(demand: Demand, policy: Policy, *, starts: float) -> int:
    """Return how many datums come within so many starts."""
    is_near = demand.foreseen_in <= starts * policy.startup_seconds
    return demand.foreseen if policy.autoscaling and is_near else 0


def _wake_at(
    demand: Demand, policy: Policy, retire_at: float | None, soon_foreseen: int, now: float
) -> float | None:
    """Return when time alone changes the answer."""
    times = [] if retire_at is None else [retire_at]
    if demand.foreseen and not soon_foreseen and policy.autoscaling and not policy.stopped:
        times.append(now + max(0.0, demand.foreseen_in - policy.startup_seconds))
    return min(times, default=None)


def _least_progress_first(worker: WorkerView) -> tuple[bool, float, str]:
    """Order workers that are not ready by how little was spent on them."""
    return worker.state == "starting", -worker.since, worker.id


def _useful(demand: Demand, policy: Policy, busy: int, foreseen: int) -> int:
    """Return how many workers can have something to do; the others are surplus."""
    if policy.stopped:
        return 0
    if not policy.autoscaling:
        return policy.limit
    if not demand.unclaimed and not demand.claimed and not foreseen:
        return 0
    # A run is not shared, so claimed datums occupy the workers that hold them and no others. One worker stays
    # even if those have vanished: their datums return when their leases end.
    return min(policy.limit, max(1, busy + demand.unclaimed + foreseen))


def _fast_enough(demand: Demand, policy: Policy, idle: int, busy: int) -> int:
    """Return the fewest workers with which the work ends within ``SLACK`` of the earliest possible time.

    The earliest end is a start and one datum from now. Up to the time that is allowed, each ready worker runs
    ``each_ready`` datums and each new one ``each_new``; new workers are needed for what the ready ones leave.
    """
    seconds = demand.seconds_per_datum
    if not policy.autoscaling or seconds is None:
        return policy.limit
    ready = idle + busy
    if seconds <= _ROUNDING:
        return max(1, ready)
    allowed = (1 + SLACK) * (policy.startup_seconds + seconds)
    each_ready = int(allowed / seconds + _ROUNDING)
    each_new = max(1, int((allowed - policy.startup_seconds) / seconds + _ROUNDING))
    by_ready = idle * each_ready + max(0, busy * each_ready - demand.claimed)
    remaining = max(0, demand.unclaimed + demand.foreseen - by_ready)
    return max(1, ready + math.ceil(remaining / each_new))


def run_length(
    remaining: int,
    workers: int,
    datum_set_spec: DatumSetSpec | None,
    seconds_per_datum: float | None,
    bytes_per_datum: float = 0.0,
) -> int:
    """Return how many datums a worker takes next.

    Guided self-scheduling (Polychronopoulos and Kuck, IEEE Trans. Computers C-36, 1987): runs get shorter as the
    work decreases, so that all workers end together without one call per datum. Two differences: a run is a
    quarter of a worker's share, because datums differ, and lasts between ``LEAST_RUN_SECONDS`` and ``RUN_SECONDS``,
    except that no run takes more than a worker's share. While the time per datum is unknown, a run has at most
    ``UNKNOWN_RUN`` datums.

    Args:
        remaining: datums that were never claimed, at least 1.
        workers: workers that share them.
        datum_set_spec: the user's choice; ``number`` fixes the length, ``size_bytes`` its bytes of input,
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
    wish = datum_set_spec.per_worker if datum_set_spec is not None else None
    workers = max(1, workers)
    length = remaining // (workers * (wish or RUNS_PER_WORKER))
    if seconds_per_datum is None:
        length = min(length, UNKNOWN_RUN)
    elif seconds_per_datum > 0:
        if not wish:
            length = max(
                length, int(min(math.ceil(remaining / workers), LEAST_RUN_SECONDS / seconds_per_datum))
            )
        length = int(min(length, RUN_SECONDS / seconds_per_datum))
    return max(1, length)


def _situation(demand: Demand, policy: Policy, foreseen: int, *, timed: bool) -> str:
    """Return what the decision is based on, with the numbers."""
    if policy.stopped:
        return "the pipeline is stopped"
    if not policy.autoscaling:
        return f"{_count(policy.workers, 'worker')} wanted at all times{_room(policy)}"
    if not demand.unclaimed and not demand.claimed:
        if not foreseen:
            return "nothing waits"
        starting = "1 datum is" if foreseen == 1 else f"{foreseen:,} datums are"
        return (
            f"{starting} foreseen in {_seconds(demand.foreseen_in)}, {_seconds(policy.startup_seconds)} for a start;"
            f" {_limit_text(policy)}"
        )
    waiting = "1 datum waits" if demand.unclaimed == 1 else f"{demand.unclaimed:,} datums wait"
    times = ""
    if timed and demand.seconds_per_datum is not None:
        times = (
            f", {_seconds(demand.seconds_per_datum)} each and {_seconds(policy.startup_seconds)} for a start"
        )
    return f"{waiting} and {demand.claimed:,} run{times}; {_limit_text(policy)}"


def _savings(saved: int, policy: Policy) -> str:
    """Say what starting fewer workers costs and saves."""
    seconds = _seconds(saved * policy.startup_seconds)
    return f"{saved:,} more would end the job at most {SLACK:.0%} sooner and cost {seconds} of starts"


def _unchanged(demand: Demand, policy: Policy, foreseen: int, target: int, *, complete: bool) -> str:
    """Say that nothing is to be done. What changes with every datum is left out, so that such decisions are equal."""
    if not target:
        return f"{_situation(demand, policy, foreseen, timed=False)}: no workers"
    if not policy.autoscaling:
        all_exist = "all exist" if complete else f"{target:,} requested so far"
        return f"{_situation(demand, policy, foreseen, timed=False)}: {all_exist}"
    return f"{_count(target, 'worker')} for the work that is left, {policy.workers:,} at most{_room(policy)}: no change"


def _limit_text(policy: Policy) -> str:
    return f"{_count(policy.workers, 'worker')} at most{_room(policy)}"


def _room(policy: Policy) -> str:
    """Say that the fleet holds fewer workers than the spec permits."""
    if policy.share is not None and policy.share < min(policy.workers, policy.capacity or policy.workers):
        return f", its share of the fleet is {max(1, policy.share):,}"
    if policy.capacity is None or policy.capacity >= policy.workers:
        return ""
    return f", the fleet has room for {policy.capacity:,}"


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"


def _seconds(seconds: float) -> str:
    return "under 1 ms" if seconds < 0.001 else f"{seconds:.3g} s"
