"""The pure step: what a pipeline must do next, and which state it shows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.model.states import TERMINAL_JOB_STATES, JobState, PipelineState
from trunkline.pps.decide import (
    EndUnrunnable,
    JobView,
    LookAgainAt,
    Plan,
    Settle,
    TimeOut,
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


LIVE_STATES = sorted(set(JobState) - TERMINAL_JOB_STATES)
VIEWS = st.builds(
    JobView,
    id=st.just(7),
    state=st.sampled_from(LIVE_STATES),
    inputs_finished=st.booleans(),
    failed_inputs=st.sampled_from([(), ("default/a@1",)]),
    handed_in=st.integers(0, 3),
    todo_count=st.integers(0, 3),
    started=st.none() | st.floats(0, 100),
    timeout=st.none() | st.floats(1, 100),
)


@given(VIEWS, st.floats(0, 300))
def test_no_live_job_is_left_without_a_step_unless_somebody_else_must_act(view: JobView, now: float) -> None:
    step = next_step(view, now)

    workers_must_act = (
        view.state in (JobState.RUNNING, JobState.EGRESSING) and view.handed_in < view.todo_count
    )
    if step is None:
        assert not view.inputs_finished or workers_must_act
    if isinstance(step, LookAgainAt):
        assert step.at > now
        assert workers_must_act


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
