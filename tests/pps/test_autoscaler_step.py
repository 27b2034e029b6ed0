"""Steps of the autoscaler: back-off, patience, learning and when to look again, without threads or a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from trunkline.model.states import WorkerState
from trunkline.model.workers import Machine, WorkerEnding, WorkerPhase, WorkerSighting
from trunkline.pps.autoscaling import instructions as instructions
from trunkline.pps.autoscaling import step as autoscale
from trunkline.pps.autoscaling.step import (
    RECOVERED,
    STEADY,
    Memory,
    Observed,
    Step,
    WorkerReport,
    capacity,
    start_refused,
    step,
)
from trunkline.scaling.policy import MOST_ON_THEIR_WAY, Demand

NOW = 1_000.0
NOTHING = Demand(unclaimed=0, claimed=0, seconds_per_datum=None)
NODE = Machine(name="ip-10-0-0-1", kind="node", instance_type="m5.xlarge")
LAPTOP = Machine(name="laptop", kind="local", memory=8 << 30)


def work(unclaimed: int, claimed: int = 0) -> Demand:
    return Demand(unclaimed=unclaimed, claimed=claimed, seconds_per_datum=None)


def seen(worker_id: str, phase: WorkerPhase = WorkerPhase.RUNNING, **facts: object) -> WorkerSighting:
    return WorkerSighting(worker_id=worker_id, phase=phase, **facts)  # type: ignore[arg-type]


def worker(worker_id: str, state: WorkerState, **facts: object) -> WorkerReport:
    """Return a worker of version 1 that was requested ten seconds ago."""
    waiting = state is WorkerState.PENDING
    fields: dict[str, object] = {
        "version": 1,
        "reason": "",
        "created": NOW - 10.0,
        "since": NOW - 10.0,
        "ready": None if state in (WorkerState.PENDING, WorkerState.STARTING) else NOW - 6.0,
        "machine": "",
        "machine_kind": "",
        "sighting": seen(worker_id, WorkerPhase.PENDING if waiting else WorkerPhase.RUNNING),
    }
    return WorkerReport(id=worker_id, state=state, **(fields | facts))  # type: ignore[arg-type]


def pending(worker_id: str = "w", reason: str = "waits", **facts: object) -> WorkerReport:
    sighting = seen(worker_id, WorkerPhase.PENDING, reason=reason, **facts)
    return worker(worker_id, WorkerState.PENDING, sighting=sighting)


def ended(
    worker_id: str = "w",
    ending: WorkerEnding = WorkerEnding.CRASHED,
    state: WorkerState = WorkerState.BUSY,
    **facts: object,
) -> WorkerReport:
    sighting = seen(worker_id, WorkerPhase.GONE, reason="exit code 1", ending=ending)
    return worker(worker_id, state, sighting=sighting, **facts)


def observed(*workers: WorkerReport, **facts: object) -> Observed:
    fields: dict[str, object] = {
        "version": 1,
        "most_workers": 5,
        "autoscaling": True,
        "stopped": False,
        "target": 0,
        "machines": {},
        "worker_memory": 1 << 30,
        "usual_start": None,
        "expected_start": 0.5,
        "job_id": 7,
    }
    return Observed(workers=workers, **(fields | facts))  # type: ignore[arg-type]


def only(result: Step, kind: type) -> list[object]:
    return [each for each in result.instructions if isinstance(each, kind)]


def starts(result: Step) -> int:
    return sum(each.number for each in result.instructions if isinstance(each, instructions.StartWorkers))


def looks_again(result: Step) -> float | None:
    return next((each.at for each in result.instructions if isinstance(each, instructions.LookAgainAt)), None)


def crashed(times: int, now: float = NOW) -> Memory:
    """Return the memory of a pipeline whose only worker crashed so many times, each after its back-off."""
    memory = Memory()
    for _ in range(times):
        if memory.crashes is not None:
            now = memory.crashes.not_before
        memory = step(memory, observed(ended()), work(0, 1), now).memory
    return memory


# --- starting ------------------------------------------------------------------------------------------


def test_workers_are_started_for_the_work_that_waits() -> None:
    result = step(Memory(), observed(), work(9), NOW)

    assert starts(result) == 5
    assert looks_again(result) == pytest.approx(NOW + autoscale.LOOK_CHANGING)


def test_a_decision_is_recorded_once() -> None:
    first = step(Memory(), observed(), NOTHING, NOW)

    again = step(first.memory, observed(target=0), NOTHING, NOW + 5)

    assert len(only(first, instructions.RecordDecision)) == 1
    assert only(again, instructions.RecordDecision) == []


def test_no_more_workers_are_requested_than_fit_on_this_machine() -> None:
    result = step(
        Memory(), observed(autoscaling=False, most_workers=10**12, machines={"laptop": LAPTOP}), NOTHING, NOW
    )

    assert starts(result) == 8


def test_a_cluster_that_can_grow_is_asked_for_a_bounded_number_at_a_time() -> None:
    result = step(
        Memory(), observed(autoscaling=False, most_workers=10**12, machines={NODE.name: NODE}), NOTHING, NOW
    )

    assert starts(result) == MOST_ON_THEIR_WAY


def test_workers_of_an_old_version_retire() -> None:
    result = step(Memory(), observed(worker("old", WorkerState.IDLE), version=2), work(1), NOW)

    assert only(result, instructions.RetireWorkers) == [instructions.RetireWorkers(("old",))]
    assert starts(result) == 1


def test_a_worker_that_does_not_retire_in_time_is_stopped() -> None:
    late = worker("w", WorkerState.RETIRING, since=NOW - autoscale.RETIRE_GRACE - 1)

    result = step(Memory(), observed(late), NOTHING, NOW)

    assert only(result, instructions.StopWorker) == [instructions.StopWorker("w", 1.0)]


# --- crashes -------------------------------------------------------------------------------------------


def test_lost_workers_are_removed_before_anything_is_decided() -> None:
    """Their claims become free with that, which changes the demand."""
    result = step(Memory(), observed(ended("a"), worker("b", WorkerState.BUSY)), work(0, 2), NOW)

    assert result.instructions == (
        instructions.LoseWorkers((("a", "exit code 1", WorkerEnding.CRASHED),)),
        instructions.LookAgainAt(NOW),
    )
    assert "exit code 1" in result.memory.crash_reason


def test_the_next_start_after_a_crash_waits() -> None:
    memory = crashed(1)

    during = step(memory, observed(), work(1), NOW + 0.5)
    after = step(during.memory, observed(), work(1), NOW + autoscale.FIRST_BACKOFF)

    assert (starts(during), looks_again(during)) == (0, NOW + autoscale.FIRST_BACKOFF)
    assert starts(after) == 1
    assert during.sentence.startswith("a worker ended unexpectedly: exit code 1")


@pytest.mark.parametrize(("times", "seconds"), [(1, 1.0), (2, 2.0), (4, 8.0), (7, 60.0), (50, 60.0)])
def test_the_wait_doubles_with_each_crash_up_to_a_minute(times: int, seconds: float) -> None:
    crashes = crashed(times).crashes

    assert crashes is not None
    assert crashes.failed_starts == times
    assert autoscale.backoff(times) == seconds


def test_workers_that_crash_together_count_once() -> None:
    at_once = step(Memory(), observed(ended("a"), ended("b")), work(0, 2), NOW).memory
    shortly_after = step(at_once, observed(ended("c")), work(0, 1), NOW + 0.5).memory

    assert shortly_after.crashes is not None
    assert shortly_after.crashes.failed_starts == 1


def test_a_worker_that_gets_ready_ends_the_reason_but_not_the_back_off() -> None:
    memory = crashed(3)
    assert memory.crashes is not None

    after = step(memory, observed(worker("new", WorkerState.IDLE)), work(1), memory.crashes.not_before).memory

    assert after.crash_reason == ""
    assert after.crashes is not None
    assert after.crashes.failed_starts == 3


def test_a_recorded_datum_ends_the_back_off() -> None:
    after = step(
        crashed(3), observed(worker("new", WorkerState.BUSY), recorded=1), work(1, 1), NOW + 9
    ).memory

    assert after.crashes is None


def test_a_standing_program_shows_the_last_end_until_it_has_run_for_a_while() -> None:
    memory = crashed(3)
    assert memory.crashes is not None

    def after(seconds: float) -> Memory:
        now = NOW + 100.0
        busy = worker("new", WorkerState.BUSY, since=now - seconds)
        return step(memory, observed(busy, runs_program=True), work(0, 1), now).memory

    assert after(STEADY - 1).crash_reason
    assert after(STEADY).crash_reason == ""
    assert after(STEADY).crashes is not None
    assert after(RECOVERED).crashes is None


def test_a_new_version_ends_the_back_off() -> None:
    assert starts(step(crashed(5), observed(version=2), work(1), NOW)) == 1


def test_crashes_are_forgotten_when_nothing_is_left_to_do() -> None:
    assert step(crashed(5), observed(), NOTHING, NOW).memory.crashes is None


@pytest.mark.parametrize(
    "lost",
    [
        ended(ending=WorkerEnding.REMOVED),
        ended(ending=WorkerEnding.STOPPED),
        ended(state=WorkerState.RETIRING),
        ended(version=0),
        worker("w", WorkerState.BUSY, sighting=None),
    ],
    ids=["evicted", "told to stop", "retiring", "of an old version", "of an earlier server"],
)
def test_a_worker_that_was_taken_away_is_no_crash(lost: WorkerReport) -> None:
    result = step(Memory(), observed(lost), work(0, 1), NOW)

    assert len(only(result, instructions.LoseWorkers)) == 1
    assert result.memory.crashes is None


def test_a_worker_that_does_not_answer_is_lost_stopped_and_named() -> None:
    frozen = worker("frozen", WorkerState.LOST, reason="has not called for 10 s")

    result = step(Memory(), observed(frozen), work(1), NOW)
    replaced = step(result.memory, observed(), work(1), NOW + 1)

    assert only(result, instructions.LoseWorkers) == [
        instructions.LoseWorkers((("frozen", "has not called for 10 s", WorkerEnding.CRASHED),))
    ]
    assert "frozen" in result.sentence
    assert "has not called for 10 s" in result.memory.crash_reason
    assert starts(replaced) == 1


def test_a_fleet_that_refuses_to_start_is_asked_again_later() -> None:
    before = step(Memory(), observed(), work(1), NOW)

    refused = start_refused(before.memory, observed(), "too large", NOW)
    after = step(refused, observed(), work(1), NOW)

    assert refused.crash_reason == "too large"
    assert (starts(after), looks_again(after)) == (0, NOW + autoscale.FIRST_BACKOFF)


# --- waiting -------------------------------------------------------------------------------------------


def test_what_workers_wait_for_comes_first_in_the_sentence() -> None:
    result = step(Memory(), observed(pending(reason="no node fits"), pending("v")), work(2), NOW)

    assert result.memory.waiting == "2 workers wait: no node fits"
    assert result.sentence.startswith(result.memory.waiting)
    assert result.memory.crash_reason == ""


def test_a_wait_that_cannot_end_shows_at_once_and_fails_the_pipeline_after_a_while() -> None:
    never = observed(pending(reason="no such image", unsatisfiable=True))

    first = step(Memory(), never, work(1), NOW)
    last = step(first.memory, never, work(1), NOW + autoscale.UNSATISFIABLE_PATIENCE + 1)

    assert first.memory.crash_reason == "no such image"
    assert only(first, instructions.FailPipeline) == []
    assert only(last, instructions.FailPipeline) == [instructions.FailPipeline("no such image")]


def test_a_wait_for_a_machine_never_fails_the_pipeline() -> None:
    never = observed(pending(reason="no node fits", unsatisfiable=True, lacks_machine=True))

    first = step(Memory(), never, work(1), NOW)
    last = step(first.memory, never, work(1), NOW + 100 * autoscale.UNSATISFIABLE_PATIENCE)

    assert last.memory.crash_reason == "no node fits"
    assert only(last, instructions.FailPipeline) == []


def test_patience_begins_anew_after_a_wait_that_could_end() -> None:
    never = observed(pending(unsatisfiable=True))
    memory = step(Memory(), never, work(1), NOW).memory
    memory = step(memory, observed(pending()), work(1), NOW + 200).memory

    result = step(memory, never, work(1), NOW + autoscale.UNSATISFIABLE_PATIENCE + 1)

    assert only(result, instructions.FailPipeline) == []


def test_a_wait_is_compared_with_the_usual_start_of_when_it_began() -> None:
    first = step(Memory(), observed(pending(), usual_start=4.0), work(1), NOW)
    again = step(first.memory, observed(pending(), usual_start=40.0), work(1), NOW + 1)

    assert "starts take about 4.0 s" in first.memory.waiting
    assert again.memory.waiting == first.memory.waiting


# --- learning ------------------------------------------------------------------------------------------


def test_a_start_is_measured_once() -> None:
    ready = observed(worker("w", WorkerState.IDLE, machine_kind="node"))

    first = step(Memory(), ready, work(1), NOW)
    again = step(first.memory, ready, work(1), NOW + 1)

    assert only(first, instructions.LearnStarts) == [instructions.LearnStarts((("node", 4.0),))]
    assert only(again, instructions.LearnStarts) == []


def test_the_time_in_which_others_had_to_end_is_no_part_of_a_start() -> None:
    queued = step(Memory(), observed(pending(queued=True)), work(1), NOW).memory

    result = step(queued, observed(worker("w", WorkerState.IDLE, ready=NOW + 1.5)), work(1), NOW + 2)

    assert only(result, instructions.LearnStarts) == [instructions.LearnStarts((("", 1.5),))]


# --- when to look again --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "demand", "seconds"),
    [
        ((), NOTHING, None),
        ((worker("w", WorkerState.STARTING),), work(1), 0.201),
        ((worker("w", WorkerState.BUSY),), work(0, 1), autoscale.LOOK_WORKING),
        ((worker("w", WorkerState.BUSY),), NOTHING, autoscale.LOOK_RESTING),
    ],
)
def test_the_fleet_is_looked_at_the_more_often_the_more_can_change(
    workers: tuple[WorkerReport, ...], demand: Demand, seconds: float | None
) -> None:
    again = looks_again(step(Memory(), observed(*workers), demand, NOW))

    assert again == (None if seconds is None else pytest.approx(NOW + seconds))


def test_what_the_fleet_shows_is_taken_over() -> None:
    place = seen("w", machine=NODE.name)

    result = step(
        Memory(),
        observed(worker("w", WorkerState.PENDING, sighting=place), machines={NODE.name: NODE}),
        work(1),
        NOW,
    )

    assert only(result, instructions.SetMachines) == [instructions.SetMachines((("w", NODE),))]
    assert only(result, instructions.BeginWorkers) == [instructions.BeginWorkers(("w",))]


# --- laws ----------------------------------------------------------------------------------------------

PHASES = st.sampled_from(WorkerPhase)
reports = st.lists(
    st.builds(
        lambda state, phase, version, has_sighting, flags: (state, phase, version, has_sighting, flags),
        st.sampled_from([each for each in WorkerState if each is not WorkerState.GONE]),
        PHASES,
        st.integers(1, 2),
        st.booleans(),
        st.tuples(st.booleans(), st.booleans()),
    ),
    max_size=6,
).map(
    lambda drawn: tuple(
        worker(
            f"w{place}",
            state,
            version=version,
            sighting=seen(f"w{place}", phase, unsatisfiable=flags[0], queued=flags[1])
            if has_sighting
            else None,
        )
        for place, (state, phase, version, has_sighting, flags) in enumerate(drawn)
    )
)


@given(st.lists(reports, max_size=5), st.integers(0, 9), st.booleans())
def test_only_workers_that_exist_are_remembered(
    looks: list[tuple[WorkerReport, ...]], unclaimed: int, stopped: bool
) -> None:
    memory = Memory()
    for place, workers in enumerate((*looks, ())):
        result = step(memory, observed(*workers, version=2, stopped=stopped), work(unclaimed), NOW + place)
        memory = result.memory
        assert set(memory.workers) <= {each.id for each in workers}

    assert memory.workers == {}


@given(reports, st.integers(0, 9))
def test_the_same_step_gives_the_same_result(workers: tuple[WorkerReport, ...], unclaimed: int) -> None:
    observation = observed(*workers)

    assert step(Memory(), observation, work(unclaimed), NOW) == step(
        Memory(), observation, work(unclaimed), NOW
    )


@given(reports, st.integers(0, 9))
def test_a_stopped_pipeline_starts_nothing(workers: tuple[WorkerReport, ...], unclaimed: int) -> None:
    assert starts(step(Memory(), observed(*workers, stopped=True), work(unclaimed), NOW)) == 0


def test_a_changed_machine_is_recorded_again() -> None:
    other = replace(NODE, name="ip-10-0-0-2")
    moved = worker("w", WorkerState.IDLE, machine=NODE.name, sighting=seen("w", machine=other.name))

    result = step(Memory(), observed(moved, machines={NODE.name: NODE, other.name: other}), work(1), NOW)

    assert only(result, instructions.SetMachines) == [instructions.SetMachines((("w", other),))]


def test_joined_machines_hold_as_many_workers_as_slots_and_memory_allow():
    own = Machine(name="own", kind="local", memory=4 << 30)
    joined = Machine(name="a", kind="joined", memory=64 << 30, slots=3)
    silent = Machine(name="b", kind="joined", memory=64 << 30, slots=3, ready=False)

    workers = capacity({each.name: each for each in (own, joined, silent)}, 1 << 30)

    assert workers == 4 + 3
