"""The scaling policy: how many workers, which retire, and how many datums a worker takes at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from trunkline.scaling import policy
from trunkline.scaling.policy import Decision, Demand, Observed, Policy, WorkerView, decide, run_length

if TYPE_CHECKING:
    from random import Random

NOW = 1_000.0
STARTUP = 0.4


def demand(unclaimed: int = 0, claimed: int = 0, seconds: float | None = None) -> Demand:
    return Demand(unclaimed=unclaimed, claimed=claimed, seconds_per_datum=seconds)


def rules(workers: int = 5, *, autoscaling: bool = True, stopped: bool = False) -> Policy:
    return Policy(
        workers=workers,
        autoscaling=autoscaling,
        stopped=stopped,
        startup_seconds=STARTUP,
        keep_seconds=STARTUP,
    )


def workers(*states: str, ago: float = 0.0) -> Observed:
    """Return workers w0, w1, … in these states since ``ago`` seconds."""
    return Observed(
        workers=tuple(WorkerView(id=f"w{n}", state=state, since=NOW - ago) for n, state in enumerate(states))
    )


# --- growing -------------------------------------------------------------------------------------------


def test_the_whole_fleet_is_asked_for_in_one_step() -> None:
    decision = decide(demand(10), rules(5), workers(), NOW)

    assert decision == Decision(
        target=5,
        start=5,
        retire=(),
        sentence="10 datums wait and 0 run; 5 workers at most: start 5 at once",
        wake_at=None,
    )


def test_no_more_workers_than_datums_are_started() -> None:
    decision = decide(demand(1), rules(5), workers(), NOW)

    assert decision.start == 1
    assert decision.sentence == "1 datum waits and 0 run; 5 workers at most: start 1"


def test_five_datums_whose_times_are_known_get_five_workers_again() -> None:
    """Measured on a real kubelet: with three workers the second batch took twice as long as the first."""
    allowed = replace(rules(5), startup_seconds=6.6)

    assert decide(demand(5, seconds=3.16), allowed, workers(), NOW).start == 5


def test_short_work_does_not_pay_for_starts_that_save_no_time() -> None:
    """A hundred datums of 0.1 s and a start of 50 s: in a tenth of the time a worker runs 51 of them."""
    allowed = replace(rules(5), startup_seconds=50.0)

    decision = decide(demand(100, seconds=0.1), allowed, workers(), NOW)

    assert decision.start == 2
    assert decision.sentence == (
        "100 datums wait and 0 run, 0.1 s each and 50 s for a start; 5 workers at most: start 2 at once; "
        "3 more would end the job at most 10% sooner and cost 150 s of starts"
    )


def test_no_worker_starts_that_would_be_ready_after_the_others_have_finished() -> None:
    allowed = replace(rules(5), startup_seconds=20.0)

    decision = decide(demand(6, seconds=3.0), allowed, workers("idle", "idle"), NOW)

    assert decision.start == 0
    assert decision.sentence == (
        "2 workers for the work that is left, 5 at most: no change; more would end the job at most 10% sooner"
    )


@given(st.integers(1, 200), st.integers(1, 20), st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_batch_with_known_times_takes_at_most_a_tenth_longer_than_with_all_workers(
    datums: int, limit: int, startup: float, seconds: float
) -> None:
    allowed = replace(rules(limit), startup_seconds=startup)

    first = decide(demand(datums), allowed, workers(), NOW).start
    second = decide(demand(datums, seconds=seconds), allowed, workers(), NOW).start

    def end(number: int) -> float:
        return startup + -(-datums // number) * seconds

    assert second <= first
    assert end(second) <= 1.1 * end(first) + 1e-6


def test_a_very_large_constant_is_requested_in_parts_as_workers_get_ready() -> None:
    allowed = rules(10**12, autoscaling=False)

    none = decide(demand(), allowed, workers(), NOW)
    waiting = decide(demand(), allowed, workers(*["pending"] * policy.MOST_ON_THEIR_WAY), NOW)
    some = decide(demand(), allowed, workers(*["pending"] * 990, *["idle"] * 10), NOW)

    assert (none.start, none.target) == (policy.MOST_ON_THEIR_WAY, policy.MOST_ON_THEIR_WAY)
    assert waiting.start == 0
    assert some.start == 10


def test_no_more_workers_are_requested_than_the_fleet_can_hold() -> None:
    allowed = replace(rules(10**12, autoscaling=False), capacity=32)

    decision = decide(demand(), allowed, workers(), NOW)

    assert decision.start == 32
    assert decision.sentence == (
        "1,000,000,000,000 workers wanted at all times, the fleet has room for 32: start 32 at once"
    )


def test_one_worker_is_requested_from_a_fleet_without_room_so_that_it_can_say_why() -> None:
    assert decide(demand(3), replace(rules(), capacity=0), workers(), NOW).start == 1


def test_long_work_gets_the_whole_fleet() -> None:
    assert decide(demand(10, seconds=60.0), rules(5), workers(), NOW).start == 5


def test_the_shortest_work_still_gets_a_worker() -> None:
    assert decide(demand(1, seconds=0.0), rules(5), workers(), NOW).start == 1


def test_workers_that_are_asked_for_are_not_asked_for_again() -> None:
    decision = decide(demand(10), rules(5), workers("pending", "pending", "starting", "idle", "busy"), NOW)

    assert (decision.start, decision.retire) == (0, ())


def test_a_retiring_worker_is_replaced_when_work_comes() -> None:
    assert decide(demand(10), rules(1), workers("retiring"), NOW).start == 1


def test_datums_whose_worker_vanished_keep_one_worker_at_hand() -> None:
    assert decide(demand(0, claimed=3), rules(5), workers(), NOW).target == 1


def test_a_pipeline_without_autoscaling_has_its_workers_always() -> None:
    decision = decide(demand(), rules(3, autoscaling=False), workers("idle", ago=1e6), NOW)

    assert (decision.target, decision.start, decision.retire) == (3, 2, ())
    assert decision.sentence == "3 workers wanted at all times: start 2 at once"


# --- shrinking -----------------------------------------------------------------------------------------


def test_an_idle_worker_is_kept_as_long_as_the_policy_says() -> None:
    decision = decide(demand(), rules(), workers("idle", "idle", ago=0.1), NOW)

    assert (decision.target, decision.retire) == (2, ())
    assert decision.wake_at == pytest.approx(NOW + 0.3)
    assert decision.sentence == "nothing waits: keep 2 idle for 0.4 s"


def test_an_idle_worker_retires_at_the_moment_it_was_told_to() -> None:
    observed = workers("idle", ago=0.1)
    wake_at = decide(demand(), rules(), observed, NOW).wake_at
    assert wake_at is not None

    decision = decide(demand(), rules(), observed, wake_at)

    assert (decision.target, decision.retire, decision.wake_at) == (0, ("w0",), None)
    assert decision.sentence == "nothing waits: retire 1 idle for 0.4 s"


def test_the_longest_idle_worker_retires_first() -> None:
    observed = Observed(
        workers=(
            WorkerView(id="new", state="idle", since=NOW - 0.1),
            WorkerView(id="old", state="idle", since=NOW - 0.5),
        )
    )

    decision = decide(demand(), rules(), observed, NOW)

    assert decision.retire == ("old",)
    assert decision.wake_at == pytest.approx(NOW + 0.3)


def test_idle_workers_retire_as_the_queue_empties() -> None:
    observed = workers("busy", "idle", "idle", "idle", ago=9.0)

    assert decide(demand(3, claimed=1), rules(), observed, NOW).retire == ()
    assert decide(demand(2, claimed=1), rules(), observed, NOW).retire == ("w1",)
    assert decide(demand(0, claimed=1), rules(), observed, NOW).retire == ("w1", "w2", "w3")


def test_an_estimate_ends_no_worker() -> None:
    """The work is short by estimate, but an idle worker beside unclaimed work is about to claim it."""
    observed = workers("idle", "idle", "starting", "pending", ago=9.0)

    assert decide(demand(4, seconds=0.001), rules(), observed, NOW).retire == ()


def test_workers_on_their_way_are_cancelled_when_nothing_is_left_for_them() -> None:
    observed = Observed(
        workers=(
            WorkerView(id="starting", state="starting", since=NOW),
            WorkerView(id="pending-long", state="pending", since=NOW - 60),
            WorkerView(id="pending", state="pending", since=NOW),
            WorkerView(id="busy", state="busy", since=NOW),
        )
    )

    one_left = decide(demand(1, claimed=5), rules(), observed, NOW)
    none_left = decide(demand(0, claimed=5), rules(), observed, NOW)

    assert one_left.retire == ("pending", "pending-long")
    assert none_left.retire == ("pending", "pending-long", "starting")
    assert none_left.sentence == "0 datums wait and 5 run; 5 workers at most: cancel 3 not ready yet"


def test_a_stopped_pipeline_keeps_only_busy_workers() -> None:
    decision = decide(demand(10, 1), rules(stopped=True), workers("pending", "starting", "idle", "busy"), NOW)

    assert decision.retire == ("w0", "w1", "w2")
    assert (
        decision.sentence
        == "the pipeline is stopped: cancel 2 not ready yet, retire 1 idle, let 1 busy finish"
    )


@pytest.mark.parametrize("autoscaling", [True, False])
def test_idle_workers_beyond_the_maximum_go_at_once(autoscaling: bool) -> None:
    decision = decide(demand(100), rules(2, autoscaling=autoscaling), workers("idle", "idle", "busy"), NOW)

    assert (decision.target, decision.retire) == (2, ("w0",))


def test_a_steady_fleet_says_the_same_whatever_is_left() -> None:
    """Decisions are stored when their sentence changes, and not once per datum."""
    observed = workers("busy", "busy")

    early = decide(demand(900, claimed=100), rules(2), observed, NOW)
    late = decide(demand(400, claimed=50), rules(2), observed, NOW)

    assert early == late
    assert early.sentence == "2 workers for the work that is left, 2 at most: no change"


def test_at_rest_there_is_nothing_to_say_but_that() -> None:
    assert decide(demand(), rules(), workers(), NOW).sentence == "nothing waits: no workers"


# --- laws ----------------------------------------------------------------------------------------------

fleets = st.lists(
    st.tuples(st.sampled_from(("pending", "starting", "idle", "busy", "retiring")), st.floats(0, 5)),
    max_size=8,
).map(
    lambda drawn: Observed(
        workers=tuple(WorkerView(id=f"w{n}", state=s, since=NOW - ago) for n, (s, ago) in enumerate(drawn))
    )
)
demands = st.builds(
    Demand,
    unclaimed=st.integers(0, 12),
    claimed=st.integers(0, 12),
    seconds_per_datum=st.none() | st.floats(0, 10),
    foreseen=st.integers(0, 3),
    foreseen_in=st.floats(0, 20),
)
policies = st.builds(
    Policy,
    workers=st.integers(1, 8),
    autoscaling=st.booleans(),
    stopped=st.booleans(),
    startup_seconds=st.floats(0, 4),
    keep_seconds=st.floats(0, 4),
)


def carried_out(observed: Observed, decision: Decision, now: float) -> Observed:
    """Return the workers after a decision was carried out."""
    remaining = []
    for worker in observed.workers:
        if worker.id not in decision.retire:
            remaining.append(worker)
        elif worker.state == "idle":
            remaining.append(replace(worker, state="retiring", since=now))
    asked = (WorkerView(id=f"n{now}-{n}", state="pending", since=now) for n in range(decision.start))
    return Observed(workers=(*remaining, *asked))


def in_states(observed: Observed, *states: str) -> set[str]:
    return {worker.id for worker in observed.workers if worker.state in states}


@given(demands, policies, fleets)
def test_deciding_again_changes_nothing(demanded: Demand, allowed: Policy, observed: Observed) -> None:
    first = decide(demanded, allowed, observed, NOW)

    again = decide(demanded, allowed, carried_out(observed, first, NOW), NOW)

    assert (again.target, again.start, again.retire, again.wake_at) == (first.target, 0, (), first.wake_at)


@given(demands, policies, fleets)
def test_busy_and_retiring_workers_are_left_alone(
    demanded: Demand, allowed: Policy, observed: Observed
) -> None:
    decision = decide(demanded, allowed, observed, NOW)

    assert set(decision.retire) <= in_states(observed, "pending", "starting", "idle")
    assert len(set(decision.retire)) == len(decision.retire)


@given(demands, policies, fleets)
def test_the_target_stays_within_its_bounds(demanded: Demand, allowed: Policy, observed: Observed) -> None:
    decision = decide(demanded, allowed, observed, NOW)
    busy = len(in_states(observed, "busy"))
    limit = 0 if allowed.stopped else allowed.workers

    assert decision.target <= max(limit, busy)
    if not allowed.stopped:
        work = demanded.unclaimed + demanded.claimed > 0
        assert decision.target >= (1 if work and allowed.autoscaling else 0)
        assert allowed.autoscaling or decision.target >= allowed.workers
    assert not (decision.start and decision.retire)


@given(demands, policies, fleets)
def test_the_target_is_what_is_there_after_carrying_it_out(
    demanded: Demand, allowed: Policy, observed: Observed
) -> None:
    decision = decide(demanded, allowed, observed, NOW)

    after = carried_out(observed, decision, NOW)

    assert len(in_states(after, "pending", "starting", "idle", "busy")) == decision.target


@given(demands, policies, fleets, st.integers(1, 12), st.booleans())
def test_more_work_never_means_fewer_workers(
    demanded: Demand, allowed: Policy, observed: Observed, more: int, claimed: bool
) -> None:
    field = "claimed" if claimed else "unclaimed"
    grown = replace(demanded, **{field: getattr(demanded, field) + more})

    assert decide(grown, allowed, observed, NOW).target >= decide(demanded, allowed, observed, NOW).target


@given(demands, policies, fleets, st.integers(1, 4))
def test_a_higher_maximum_never_means_fewer_workers(
    demanded: Demand, allowed: Policy, observed: Observed, more: int
) -> None:
    wider = replace(allowed, workers=allowed.workers + more)

    assert decide(demanded, wider, observed, NOW).target >= decide(demanded, allowed, observed, NOW).target


@given(demands, policies, fleets, st.randoms())
def test_the_order_of_the_workers_does_not_matter(
    demanded: Demand, allowed: Policy, observed: Observed, random: Random
) -> None:
    shuffled = list(observed.workers)
    random.shuffle(shuffled)

    assert decide(demanded, allowed, Observed(workers=tuple(shuffled)), NOW) == decide(
        demanded, allowed, observed, NOW
    )


@given(demands, policies, fleets)
def test_nothing_happens_before_the_decision_wakes(
    demanded: Demand, allowed: Policy, observed: Observed
) -> None:
    first = decide(demanded, allowed, observed, NOW)
    after = carried_out(observed, first, NOW)
    if first.wake_at is None:
        # What is foreseen comes nearer, and is worked out anew.
        later = decide(replace(demanded, foreseen=0), allowed, after, NOW + 1e6)
        assert demanded.foreseen or (later.start, later.retire) == (0, ())
    else:
        half = (first.wake_at - NOW) / 2 - 1e-6
        nearer = replace(demanded, foreseen_in=max(0.0, demanded.foreseen_in - half))
        between = decide(nearer, allowed, after, NOW + half)
        assert (between.start, between.retire) == (0, ())


@given(st.integers(1, 3), st.floats(0, 20), st.floats(0, 4))
def test_a_pipeline_at_rest_wakes_in_time_for_what_is_foreseen(
    datums: int, seconds: float, startup: float
) -> None:
    allowed = replace(rules(5), startup_seconds=startup)

    decision = decide(foreseen(datums, seconds), allowed, workers(), NOW)

    if not decision.start:
        assert decision.wake_at == pytest.approx(NOW + seconds - startup)


# --- a job from nothing to nothing ---------------------------------------------------------------------


@dataclass
class Simulated:
    """A fleet and a queue in made-up time: steps of 0.1 s."""

    waiting: int
    allowed: Policy
    fleet: Observed
    now: float = NOW
    done: int = 0

    def step(self, seconds_per_datum: float) -> Decision:
        moved = [
            self._moved(worker, seconds_per_datum)
            for worker in self.fleet.workers
            if worker.state != "retiring"
        ]
        self.fleet = Observed(workers=tuple(moved))
        claimed = len(in_states(self.fleet, "busy"))
        decision = decide(demand(self.waiting, claimed), self.allowed, self.fleet, self.now)
        self.fleet = carried_out(self.fleet, decision, self.now)
        self.now = round(self.now + 0.1, 3)
        return decision

    def _moved(self, worker: WorkerView, seconds_per_datum: float) -> WorkerView:
        age = self.now - worker.since
        if worker.state == "pending" and age >= STARTUP:
            worker = replace(worker, state="idle", since=self.now)
        elif worker.state == "busy" and age >= seconds_per_datum:
            self.done += 1
            worker = replace(worker, state="idle", since=self.now)
        if worker.state == "idle" and self.waiting:
            self.waiting -= 1
            return replace(worker, state="busy", since=self.now)
        return worker


def test_ten_datums_bring_five_workers_and_leave_none() -> None:
    job = Simulated(waiting=10, allowed=rules(5), fleet=workers())
    targets = [job.step(1.0).target]
    while job.fleet.workers:
        targets.append(job.step(1.0).target)
        assert job.now < NOW + 10, targets

    assert job.done == 10
    # One step up, a plateau, then only down: no worker is started twice.
    assert targets[0] == max(targets) == 5
    assert targets == sorted(targets, reverse=True)
    assert targets[-1] == 0


# --- runs ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wish:
    number: int | None = None
    size_bytes: int | None = None
    per_worker: int | None = None


def test_a_run_is_a_quarter_of_a_share_and_shrinks_with_the_work() -> None:
    lengths, remaining = [], 100
    while remaining:
        lengths.append(run_length(remaining, 5, None, 1.0))
        remaining -= lengths[-1]

    assert lengths[0] == 5
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-20:] == [1] * 20


def test_a_run_lasts_ten_seconds_at_most() -> None:
    assert run_length(10_000, 5, None, 0.5) == 20
    assert run_length(10_000, 5, None, 60.0) == 1
    assert run_length(10_000, 5, None, 0.0) == 500


def test_a_run_lasts_several_times_as_long_as_a_claim_takes_but_is_no_more_than_a_share() -> None:
    assert run_length(60, 5, None, 0.002) == 10
    assert run_length(20, 5, None, 0.002) == 4
    assert run_length(20, 5, None, 0.5) == 1
    assert run_length(60, 5, Wish(per_worker=6), 0.002) == 2


def test_runs_stay_short_until_the_time_per_datum_is_known() -> None:
    assert run_length(10_000, 5, None, None) == policy.UNKNOWN_RUN
    assert run_length(8, 2, None, None) == 1


def test_the_user_may_set_runs_per_worker() -> None:
    assert run_length(1_000, 5, Wish(per_worker=1), 0.001) == 200


def test_the_user_may_set_the_length_of_runs() -> None:
    assert run_length(1_000, 5, Wish(number=30, per_worker=1), 60.0) == 30
    assert run_length(7, 5, Wish(number=30), None) == 7


def test_the_user_may_set_the_bytes_of_runs() -> None:
    assert run_length(1_000, 5, Wish(size_bytes=1_000), None, bytes_per_datum=250.0) == 4
    assert run_length(1_000, 5, Wish(size_bytes=1_000), None, bytes_per_datum=5_000.0) == 1


def test_a_wish_of_zeros_is_no_wish() -> None:
    assert run_length(1_000, 5, Wish(0, 0, 0), 0.001) == run_length(1_000, 5, None, 0.001)


@given(
    st.integers(1, 10**6),
    st.integers(1, 100),
    st.none() | st.builds(Wish, st.integers(0, 99), st.integers(0, 10**9), st.integers(0, 99)),
    st.none() | st.floats(0, 1e5),
    st.floats(0, 1e9),
)
def test_a_run_is_never_empty_and_never_more_than_is_left(
    remaining: int, fleet: int, wish: Wish | None, seconds: float | None, size: float
) -> None:
    assert 1 <= run_length(remaining, fleet, wish, seconds, size) <= remaining


# --- how long to keep, and what is foreseen ------------------------------------------------------------


def test_without_a_habit_an_idle_worker_is_kept_for_a_tenth_of_a_start_and_a_second_at_most() -> None:
    assert policy.keep_seconds(0.5, []) == 0.5
    assert policy.keep_seconds(8.0, []) == 0.8
    assert policy.keep_seconds(50.0, [10.0]) == 1.0
    assert policy.keep_seconds(50.0, [10.0, 3600.0, 3600.0]) == 1.0


def test_a_pipeline_whose_work_mostly_comes_back_within_a_start_keeps_its_workers_that_long() -> None:
    assert policy.keep_seconds(50.0, [20.0, 3600.0, 45.0]) == 50.0


def foreseen(datums: int, seconds: float) -> Demand:
    return Demand(unclaimed=0, claimed=0, seconds_per_datum=None, foreseen=datums, foreseen_in=seconds)


def test_workers_are_started_one_start_ahead_of_foreseen_work() -> None:
    early = decide(foreseen(3, 5.0), rules(5), workers(), NOW)
    in_time = decide(foreseen(3, STARTUP), rules(5), workers(), NOW)

    assert (early.start, early.wake_at) == (0, pytest.approx(NOW + 4.6))
    assert in_time.start == 3
    assert (
        in_time.sentence
        == "3 datums are foreseen in 0.4 s, 0.4 s for a start; 5 workers at most: start 3 at once"
    )


def test_workers_that_wait_for_foreseen_work_are_kept_when_it_slips_a_little_and_cancelled_when_it_slips_far() -> (
    None
):
    slipped_a_little = decide(foreseen(2, 0.7), rules(5), workers("idle", "pending", ago=9.0), NOW)
    slipped_far = decide(foreseen(2, 60.0), rules(5), workers("idle", "pending", ago=9.0), NOW)

    assert slipped_a_little.retire == ()
    assert set(slipped_far.retire) == {"w0", "w1"}


def test_nothing_is_started_ahead_for_a_stopped_pipeline() -> None:
    assert decide(foreseen(3, 0.0), rules(5, stopped=True), workers(), NOW).start == 0
