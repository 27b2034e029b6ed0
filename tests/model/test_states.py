"""The tables of states."""

from enum import StrEnum

import pytest

from trunkline.errors import CommitFinished, FailedPrecondition
from trunkline.model import states
from trunkline.model.states import CommitState, JobState, PipelineState, WorkerState

TABLES = [
    (states.COMMIT_TRANSITIONS, CommitState.STARTED),
    (states.JOB_TRANSITIONS, JobState.CREATED),
    (states.PIPELINE_TRANSITIONS, PipelineState.STARTING),
    (states.DATUM_TRANSITIONS, states.DatumState.UNKNOWN),
    (states.CLAIM_TRANSITIONS, states.ClaimState.FREE),
    (states.WORKER_TRANSITIONS, WorkerState.PENDING),
]


@pytest.mark.parametrize(("table", "first"), TABLES)
def test_every_state_has_a_row_and_can_be_reached(
    table: dict[StrEnum, frozenset[StrEnum]], first: StrEnum
) -> None:
    reached, pending = {first}, [first]
    while pending:
        new = table[pending.pop()] - reached
        reached |= new
        pending += new

    assert set(table) == set(type(first))
    assert reached == set(table)
    assert all(state not in after for state, after in table.items())


def test_jobs_end_in_four_ways() -> None:
    assert {"SUCCESS", "FAILURE", "KILLED", "UNRUNNABLE"} == states.TERMINAL_JOB_STATES


def test_a_legal_move_passes() -> None:
    states.check_transition(JobState.CREATED, JobState.STARTING, "job default/edges@1")
    states.check_transition(PipelineState.STANDBY, PipelineState.RUNNING, 'pipeline "default/edges"')
    states.check_transition(WorkerState.IDLE, WorkerState.BUSY, "worker 1")


def test_an_ended_job_says_so_in_the_words_clients_know() -> None:
    with pytest.raises(FailedPrecondition, match=r"^job default/edges@1 has already finished: it is KILLED$"):
        states.check_transition(JobState.KILLED, JobState.SUCCESS, "job default/edges@1")


def test_a_finished_commit_says_so_in_the_words_clients_know() -> None:
    with pytest.raises(CommitFinished, match=r"^commit default/images@1 has already finished$"):
        states.check_transition(CommitState.FINISHED, CommitState.FINISHING, "commit default/images@1")


def test_a_failed_pipeline_waits_for_a_new_spec() -> None:
    with pytest.raises(
        FailedPrecondition, match="has failed and cannot become RUNNING; update its spec first"
    ):
        states.check_transition(PipelineState.FAILURE, PipelineState.RUNNING, 'pipeline "default/edges"')
    states.check_transition(PipelineState.FAILURE, PipelineState.RESTARTING, 'pipeline "default/edges"')


def test_an_illegal_move_names_the_legal_ones() -> None:
    with pytest.raises(FailedPrecondition, match="worker 1 is retiring and cannot become idle, only gone"):
        states.check_transition(WorkerState.RETIRING, WorkerState.IDLE, "worker 1")
    with pytest.raises(FailedPrecondition, match="is PAUSED and cannot become RUNNING, only"):
        states.check_transition(PipelineState.PAUSED, PipelineState.RUNNING, 'pipeline "default/edges"')
