"""The control loops under failures: every loop goes on, and what is tried again is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from pps_world import Seen, pfs
from sql_costs import recording

from trunkline import errors
from trunkline.model import names
from trunkline.pps.failures import FailureKind, after, kind_of
from trunkline.pps.queries import job_queries, pipeline_queries
from trunkline.runtime import failpoints

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pps_world import PpsWorld


def copy(seen: Seen) -> Mapping[str, bytes]:
    return {path: data for files in seen.values() for path, data in files.items()}


def raising(error: Exception, times: int | None = None) -> tuple[list[int], object]:
    """Return a list that counts, and an action that raises ``error`` the first ``times`` times."""
    count: list[int] = []

    def action() -> None:
        count.append(1)
        if times is None or len(count) <= times:
            raise error

    return count, action


@pytest.mark.parametrize("loop", ["pipelines", "leases", "sweep"])
@pytest.mark.parametrize(
    "error",
    [errors.Unavailable("the database does not answer"), ValueError("a bug")],
    ids=["retryable", "bug"],
)
def test_a_loop_that_fails_three_times_goes_on(world: PpsWorld, loop: str, error: Exception) -> None:
    count, action = raising(error, 3)
    world.stop_controller()
    with failpoints.armed(f"controller.{loop}", action):  # type: ignore[arg-type]
        world.start_controller()
        world.repo("a")
        world.pipeline("copies", pfs("a"))

        world.until(lambda: len(count) > 3, f"{loop} to go on")
        world.put("a", {"/f": b"1"})
        job = world.staffed("copies", copy).work_until_ended("copies")

    assert job.state == "SUCCESS"
    assert world.lost == []


def test_a_round_that_fails_by_a_bug_shows_it_and_goes_on(world: PpsWorld) -> None:
    world.repo("a")
    _, action = raising(ValueError("a bug of the test"), 1)
    with failpoints.armed("controller.round", action):  # type: ignore[arg-type]
        world.pipeline("copies", pfs("a"))
        pipeline_row = world.until(
            lambda: row if (row := world.pipeline_row("copies")).state == "CRASHING" else None,
            "the pipeline to show the bug",
        )
        world.put("a", {"/f": b"1"})
        job = world.staffed("copies", copy).work_until_ended("copies")
    world.until(lambda: world.pipeline_row("copies").state != "CRASHING", "the pipeline to recover")

    assert "ValueError: a bug of the test" in pipeline_row.reason
    assert job.state == "SUCCESS"
    assert world.pipeline_row("copies").reason == ""


def test_trouble_of_one_pipeline_does_not_stop_another(world: PpsWorld) -> None:
    world.repo("a")
    world.pipeline("bad", pfs("a"))
    world.pipeline("good", pfs("a"))
    for name in ("bad", "good"):
        world.until_ended(name)
    first: list[int] = []

    def fail_the_first() -> None:
        first.append(1)
        if len(first) == 1:
            raise errors.DataLoss("pack 1 is lost")

    with failpoints.armed("controller.plan", fail_the_first):
        world.put("a", {"/f": b"1"})
        ended = [world.staffed(name, copy).work_until_ended(name) for name in ("bad", "good")]

    assert sorted(job.state for job in ended) == ["FAILURE", "SUCCESS"]
    assert [job.reason for job in ended if job.state == "FAILURE"] == ["pack 1 is lost"]


@pytest.fixture
def left_to_the_controller() -> Iterator[None]:
    """Let no completion settle its job."""
    _, action = raising(errors.Unavailable("a test has armed this fail point"))
    with failpoints.armed("completion.settle", action):  # type: ignore[arg-type]
        yield


@pytest.mark.usefixtures("left_to_the_controller")
@pytest.mark.parametrize("step", ["plan", "settle"])
def test_a_permanent_error_in_a_step_ends_its_job_with_the_reason(world: PpsWorld, step: str) -> None:
    world.repo("a")
    world.pipeline("copies", pfs("a"))
    world.until_ended("copies")
    count, action = raising(errors.DataLoss("pack 1 is lost"))
    with failpoints.armed(f"controller.{step}", action):  # type: ignore[arg-type]
        world.put("a", {"/f": b"1"})
        failed = world.staffed("copies", copy).work_until_ended("copies")
    world.put("a", {"/g": b"2"})

    following = world.staffed("copies", copy).work_until_ended("copies")

    assert (failed.state, failed.reason) == ("FAILURE", "pack 1 is lost")
    assert len(count) == 1
    assert following.state == "SUCCESS"


@pytest.mark.usefixtures("left_to_the_controller")
@pytest.mark.parametrize("step", ["plan", "settle"])
def test_a_retryable_error_in_a_step_is_tried_again(world: PpsWorld, step: str) -> None:
    world.repo("a")
    world.pipeline("copies", pfs("a"))
    world.until_ended("copies")
    count, action = raising(errors.Unavailable("the store does not answer"), 1)
    with failpoints.armed(f"controller.{step}", action):  # type: ignore[arg-type]
        world.put("a", {"/f": b"1"})

        job = world.staffed("copies", copy).work_until_ended("copies")

    assert job.state == "SUCCESS"
    assert len(count) == 2


@pytest.mark.usefixtures("left_to_the_controller")
@pytest.mark.parametrize(("step", "before"), [("plan", "CREATED"), ("settle", "RUNNING")])
def test_a_step_begins_without_a_write_of_its_own(world: PpsWorld, step: str, before: str) -> None:
    world.repo("a")
    world.pipeline("copies", pfs("a"))
    world.until_ended("copies")
    states: list[str] = []
    with failpoints.armed(f"controller.{step}", lambda: states.append(world.jobs("copies")[0].state)):
        world.put("a", {"/f": b"1"})

        job = world.staffed("copies", copy).work_until_ended("copies")

    assert job.state == "SUCCESS"
    assert states == [before]


def test_a_job_that_changes_nothing_is_planned_and_ended_in_one_transaction(
    world: PpsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.repo("a")
    world.put("a", {"/f": b"1"})
    world.pipeline("copies", pfs("a"))
    before = world.staffed("copies", copy).work_until_ended("copies")

    with recording(world.versions.db, monkeypatch) as recorder:
        world.put("a", {"/f": b"1"})
        job = world.until_ended("copies")

    writes = [each.name for each in recorder.transactions]
    assert job.id != before.id
    assert (job.state, job.total, job.skipped) == ("SUCCESS", 1, 1)
    assert (writes.count("_begin"), writes.count("_end")) == (1, 0)
    assert world.files("copies") == {"/f": b"1"}


def test_a_small_job_ends_in_the_transaction_of_its_last_completion(world: PpsWorld) -> None:
    world.repo("a")
    world.put("a", {"/f": b"1", "/g": b"2"})
    world.pipeline("copies", pfs("a"))
    hand = world.staffed("copies", copy)
    world.until_state("copies", "RUNNING")
    states = []

    while (claimed := hand.take()) is not None:
        results = hand.results(claimed)
        with failpoints.armed("controller.round", failpoints.failing()):
            hand.hand_in(results)
            states.append(world.jobs("copies")[0].state)

    assert states[-1] == "SUCCESS"
    assert set(states[:-1]) <= {"RUNNING"}
    assert world.files("copies") == {"/f": b"1", "/g": b"2"}


def test_a_completion_that_settled_another_state_of_its_job_leaves_it_to_the_controller(
    world: PpsWorld,
) -> None:
    world.repo("a")
    world.put("a", {"/f": b"1"})
    world.pipeline("copies", pfs("a"))
    hand = world.staffed("copies", copy)
    world.until_state("copies", "RUNNING")
    claimed = hand.take()
    assert claimed is not None
    results = hand.results(claimed)
    assert results.last is not None
    other = replace(results.last.job, restart=results.last.job.restart + 1)

    hand.hand_in(replace(results, last=replace(results.last, job=other)))
    job = world.until_ended("copies")

    assert job.state == "SUCCESS"
    assert world.files("copies") == {"/f": b"1"}


def test_what_is_tried_again_shows_on_the_pipeline_its_job_and_its_decisions(world: PpsWorld) -> None:
    world.repo("a")
    world.pipeline("copies", pfs("a"))
    world.until_ended("copies")
    name = names.PipelineName("default", "copies")
    _, action = raising(errors.Unavailable("the store does not answer"))
    with failpoints.armed("controller.plan", action):  # type: ignore[arg-type]
        world.put("a", {"/f": b"1"})
        pipeline_row = world.until(
            lambda: row if (row := world.pipeline_row("copies")).state == "CRASHING" else None,
            "the pipeline to show it",
        )
        job_name = names.JobName(name, world.jobs("copies")[0].set_id)
        job = world.versions.query(job_queries.job, job_name, details=False)
        [decision, *_] = world.versions.query(pipeline_queries.decisions, name, 1)

    assert pipeline_row.reason == job.reason == decision.sentence == "the store does not answer"


def test_pauses_grow_to_a_limit_and_lasting_trouble_is_shown() -> None:
    failure = None
    pauses, pipeline_row = [], []
    for _ in range(9):
        failure = after(errors.Unavailable("the store does not answer"), failure)
        pauses.append(failure.pause)
        pipeline_row.append(failure.is_shown)

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert pipeline_row == [False] + [True] * 8


def test_every_error_is_retryable_permanent_or_a_bug() -> None:
    kinds = {
        errors.Unavailable: FailureKind.RETRYABLE,
        errors.ResourceExhausted: FailureKind.RETRYABLE,
        errors.DataLoss: FailureKind.PERMANENT,
        errors.InvalidArgument: FailureKind.PERMANENT,
    }

    assert {kind: kind_of(kind("")) for kind in kinds} == kinds
    assert kind_of(AssertionError()) is FailureKind.BUG
