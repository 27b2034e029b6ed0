"""The pure step: what a pipeline must do next, and which state it shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from trunkline.model.states import JobState, PipelineState
from trunkline.pps.decide import (
    EndUnrunnable,
    JobView,
    LookAgainAt,
    LookAhead,
    Plan,
    QueueView,
    Settle,
    Step,
    TimeOut,
    look_ahead,
    next_step,
    pipeline_state,
)

CREATED = JobView(id=7, state=JobState.CREATED, inputs_finished=True)
RUNNING = replace(CREATED, state=JobState.RUNNING, todo_count=3, started=100.0)


def test_without_a_job_there_is_nothing_to_do() -> None:
    assert next_step(None, 0.0) is None


def test_a_job_waits_for_its_inputs() -> None:
    assert next_step(replace(CREATED, inputs_finished=False), 0.0) is None


@pytest.mark.parametrize("state", [JobState.CREATED, JobState.STARTING])
def test_a_job_whose_inputs_are_there_is_planned_again_after_a_restart_too(state: JobState) -> None:
    assert next_step(replace(CREATED, state=state), 0.0) == Plan(7)


@pytest.mark.parametrize("state", [JobState.CREATED, JobState.STARTING])
def test_a_job_with_a_bad_input_is_unrunnable_and_says_which(state: JobState) -> None:
    job = replace(CREATED, state=state, failed_inputs=("default/a@1", "default/b@2"))

    step = next_step(job, 0.0)

    assert step == EndUnrunnable(
        7, "unrunnable because the following upstream commits failed: default/a@1, default/b@2"
    )


def test_a_running_job_with_datums_left_only_waits() -> None:
    assert next_step(replace(RUNNING, handed_in=2), 1e9) is None


def test_a_running_job_whose_datums_all_have_results_is_settled() -> None:
    assert next_step(replace(RUNNING, handed_in=3), 0.0) == Settle(7)


def test_a_running_job_that_has_nothing_to_run_is_settled_at_once() -> None:
    assert next_step(replace(RUNNING, todo_count=0), 0.0) == Settle(7)


def test_a_job_that_was_being_settled_is_settled_again_after_a_restart() -> None:
    assert next_step(replace(RUNNING, state=JobState.FINISHING, handed_in=3), 0.0) == Settle(7)


def test_a_job_with_a_timeout_is_looked_at_when_it_ends_and_killed_then() -> None:
    job = replace(RUNNING, timeout=60.0)

    before, after = next_step(job, 159.9), next_step(job, 160.0)

    assert before == LookAgainAt(160.0)
    assert after == TimeOut(7, "job exceeded its timeout of 60 s; raise job_timeout or run more workers")


def test_a_job_that_is_done_in_time_is_settled_even_if_looked_at_late() -> None:
    assert next_step(replace(RUNNING, timeout=60.0, handed_in=3), 1e9) == Settle(7)


#: What a job without a timeout and with good inputs does next, by its state and the datums that have a result.
STEPS = [
    (JobState.CREATED, 0, Plan(7)),
    (JobState.STARTING, 0, Plan(7)),
    (JobState.RUNNING, 0, None),
    (JobState.RUNNING, 2, None),
    (JobState.RUNNING, 3, Settle(7)),
    (JobState.FINISHING, 3, Settle(7)),
]


@pytest.mark.parametrize(("state", "recorded", "expected"), STEPS)
def test_a_live_job_with_good_inputs_is_left_alone_only_while_workers_run_its_datums(
    state: JobState, recorded: int, expected: Step | None
) -> None:
    assert next_step(replace(RUNNING, state=state, handed_in=recorded), 1e9) == expected


@given(timeout=st.floats(1, 100), started=st.floats(0, 100), now=st.floats(0, 300))
def test_a_job_that_waits_for_its_timeout_is_looked_at_later_and_never_at_once(
    timeout: float, started: float, now: float
) -> None:
    step = next_step(replace(RUNNING, timeout=timeout, started=started), now)

    assert isinstance(step, TimeOut) or (isinstance(step, LookAgainAt) and step.at > now)


def test_failure_shows_over_everything_and_stopping_over_the_rest() -> None:
    everything = {"autoscaling": True, "working": True, "crash": "a worker ended"}

    assert pipeline_state(failed=True, stopped=True, **everything) is PipelineState.FAILURE  # type: ignore[arg-type]
    assert pipeline_state(failed=False, stopped=True, **everything) is PipelineState.PAUSED  # type: ignore[arg-type]
    assert pipeline_state(failed=False, stopped=False, **everything) is PipelineState.CRASHING  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("autoscaling", "working", "expected"),
    [
        (True, True, PipelineState.RUNNING),
        (True, False, PipelineState.STANDBY),
        (False, True, PipelineState.RUNNING),
        (False, False, PipelineState.RUNNING),
    ],
)
def test_only_an_autoscaling_pipeline_without_work_stands_by(
    autoscaling: bool, working: bool, expected: PipelineState
) -> None:
    state = pipeline_state(failed=False, stopped=False, autoscaling=autoscaling, working=working, crash="")

    assert state is expected


QUEUE = QueueView(next_id=8, waiting=3, workers=2)


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.EGRESSING, JobState.FINISHING])
def test_while_few_datums_wait_the_next_job_is_looked_at(state: JobState) -> None:
    job = replace(RUNNING, state=state)

    assert look_ahead(job, QUEUE, None) == LookAhead(8)
    assert look_ahead(job, QUEUE, LookAgainAt(200.0)) == LookAhead(8)
    assert look_ahead(job, replace(QUEUE, waiting=4), None) is None
    assert look_ahead(job, replace(QUEUE, next_id=None), None) is None


@pytest.mark.parametrize("state", [JobState.CREATED, JobState.STARTING])
def test_behind_a_job_that_is_not_planned_nothing_is_looked_at(state: JobState) -> None:
    assert look_ahead(replace(RUNNING, state=state), QUEUE, None) is None


def test_the_end_of_a_job_comes_first_unless_it_takes_long() -> None:
    large = replace(RUNNING, todo_count=1_000)

    assert look_ahead(RUNNING, QUEUE, Settle(7)) is None
    assert look_ahead(large, QUEUE, Settle(7)) == LookAhead(8)
    assert look_ahead(large, QUEUE, TimeOut(7, "late")) is None
