"""The tables of states."""

from enum import StrEnum

import pytest

from trunkline.errors import FailedPrecondition
from trunkline.model import states
from trunkline.model.states import JobState, PipelineState, WorkerState

TABLES = [
    (states.JOB_TRANSITIONS, JobState.CREATED),
    (states.PIPELINE_TRANSITIONS, PipelineState.STARTING),
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


def nothing() -> list[str]:
    return []


def test_a_legal_move_and_no_move_pass() -> None:
    states.check_transition(JobState.CREATED, JobState.STARTING, "job default/edges@1", nothing)
    states.check_transition(PipelineState.STANDBY, PipelineState.RUNNING, "pipeline edges", nothing)
    states.check_transition(PipelineState.FAILURE, PipelineState.RESTARTING, "pipeline edges", nothing)
    states.check_transition(WorkerState.BUSY, WorkerState.BUSY, "worker 1", nothing)


def test_an_illegal_move_names_the_legal_ones_and_the_history() -> None:
    with pytest.raises(FailedPrecondition) as caught:
        states.check_transition(WorkerState.RETIRING, WorkerState.IDLE, "worker 1", lambda: ["was evicted"])

    assert "worker 1 is retiring and cannot become idle, only gone" in caught.value.message
    assert caught.value.message.endswith("was evicted")
