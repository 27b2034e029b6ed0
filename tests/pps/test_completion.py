"""Completions: what a worker reports becomes rows, whatever it reports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from pps_world import Hand, PpsWorld, pfs

from trunkline import errors
from trunkline.meta import jobs
from trunkline.model import limits
from trunkline.model.states import DatumState
from trunkline.pps.workers.completion import Completion, DatumResult

if TYPE_CHECKING:
    from trunkline.pps.workers.assignments import Assignment
    from trunkline.pps.workers.claims import Claimed


class Ready:
    """A running job of three datums and its only worker, which has claimed them all."""

    def __init__(self, world: PpsWorld) -> None:
        self.world = world
        world.repo("images")
        world.put("images", {f"/{name}": b"1" for name in "abc"})
        world.pipeline("edges", pfs("images"), datum_set_spec={"number": 3})
        [self.hand] = world.hands("edges", 1, dict)
        world.until_state("edges", "RUNNING")
        self.claimed = self.claim(self.hand)
        self.assignment = world.assignments.held_by(self.hand.id, self.claimed.claim.id)
        self.completion = self.begin(self.assignment)

    def claim(self, hand: Hand) -> Claimed:
        claimed = hand.take()
        assert claimed is not None
        return claimed

    def begin(self, assignment: Assignment) -> Completion:
        return Completion(
            self.world.versions, self.claimed.claim.id, assignment, self.world.grants, self.world.specs
        )

    def complete(self, states: list[DatumState]) -> bool:
        for datum, state in enumerate(states):
            self.completion.add_result(DatumResult(datum, state))
        return self.hand.hand_in(self.completion.prepare()).accepted


@pytest.fixture
def ready(world: PpsWorld) -> Ready:
    return Ready(world)


SUCCESSES = [DatumState.SUCCESS] * 3


def test_a_datum_may_write_more_files_than_one_delta_holds(ready: Ready) -> None:
    """More than 131,072 files become several deltas; they are recorded and applied in order."""
    ready.world.stop_controller()  # for which a worker that says nothing for so long would be lost
    number = 140_000
    for name in range(number):
        ready.completion.add_output(0, f"/{name}", b"")
    ready.completion.add_output(2, "/last", b"after all others")

    accepted = ready.complete(SUCCESSES)

    ready.world.start_controller()
    job = ready.world.until_ended("edges")
    assert (accepted, job.state) == (True, "SUCCESS")
    files = ready.world.files("edges")
    assert len(files) == number + 1
    assert files["/last"] == b"after all others"


def test_a_datum_that_writes_more_files_than_the_limit_fails_with_the_limit(
    ready: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DATUM_OUTPUTS", 3)
    for name in "abcdef":
        ready.completion.add_output(1, f"/{name}", b"1")

    ready.complete(SUCCESSES)

    job = ready.world.until_ended("edges")
    assert job.state == "FAILURE"
    assert "more than 3 files" in job.reason
    assert ready.assignment.datums[1].id.hex() in job.reason


def test_results_that_do_not_follow_each_other_are_refused(ready: Ready) -> None:
    ready.completion.add_result(DatumResult(0, DatumState.SUCCESS))
    ready.completion.add_result(DatumResult(2, DatumState.SUCCESS))

    with pytest.raises(errors.InvalidArgument):
        ready.completion.prepare()


def test_a_result_that_is_none_is_refused(ready: Ready) -> None:
    ready.completion.add_result(DatumResult(0, DatumState.UNKNOWN))

    with pytest.raises(errors.InvalidArgument):
        ready.completion.prepare()


@pytest.mark.parametrize("moment", [-1.0, 1e300, float("nan")])
def test_a_result_with_a_time_that_is_not_valid_is_refused(ready: Ready, moment: float) -> None:
    with pytest.raises(errors.InvalidArgument):
        ready.completion.add_result(DatumResult(0, DatumState.SUCCESS, finished=moment))


def test_an_output_of_a_datum_that_is_not_in_the_assignment_is_refused(ready: Ready) -> None:
    with pytest.raises(errors.InvalidArgument):
        ready.completion.add_output(3, "/a", b"1")


def test_a_claim_whose_datums_are_lost_ends_the_job_and_frees_the_worker(world: PpsWorld) -> None:
    """Otherwise each worker would claim it in turn and meet the same error."""
    world.repo("images")
    world.put("images", {"/a": b"1"})
    world.pipeline("edges", pfs("images"))
    [hand] = world.hands("edges", 1, dict)
    job = world.until_state("edges", "RUNNING")
    world.versions.write(lambda write: jobs.change(write.conn, job.id, todo=os.urandom(32)))

    work = world.next_work(hand.id)

    ended = world.until_ended("edges")
    assert (work.assignment, work.retire) == (None, False)
    assert ended.state == "FAILURE"
    assert "cannot be read" in ended.reason
    assert [row.state for row in world.workers("edges")] == ["idle"]
