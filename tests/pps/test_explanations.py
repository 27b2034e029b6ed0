"""Why datums ran, where the time of a job went, and why a pipeline does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pps_world import Failed, PpsWorld, Recovered, pfs

from trunkline import errors
from trunkline.model import names
from trunkline.model.states import JobState
from trunkline.pfs import commits as commit_ops
from trunkline.pfs.branches import BranchName
from trunkline.pps import pipelines as pipeline_ops
from trunkline.pps.queries import datum_causes, job_story, state_causes
from trunkline.pps.queries.datum_causes import DatumCause
from trunkline.pps.queries.job_story import Moments, PhaseKind, phases
from trunkline.pps.queries.state_causes import CauseKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.meta.jobs import JobRow
    from trunkline.pps.queries.datum_causes import DatumExplanation
    from trunkline.pps.queries.state_causes import StateCause


def copy(seen: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
    return {path: data for files in seen.values() for path, data in files.items()}


def job_name(job: JobRow, pipeline: str = "copy") -> names.JobName:
    return names.JobName(names.PipelineName("default", pipeline), job.set_id)


def explained(world: PpsWorld, job: JobRow) -> dict[str, DatumExplanation]:
    """Return why each datum of a job ran, by the paths of its items."""
    return {
        " ".join(item.path for item in listed.row.items): datum_causes.explain_datum(
            world.versions, world.specs, job_name(job), listed.row.id.hex()
        )
        for listed in world.datums(job)
    }


def causes(world: PpsWorld, pipeline: str = "copy") -> list[StateCause]:
    name = names.PipelineName("default", pipeline)

    def look() -> list[StateCause] | None:
        read = world.versions.query(state_causes.explain_state, world.specs, name).causes
        is_moving = any("is planned" in cause.sentence or "is made" in cause.sentence for cause in read)
        return None if is_moving else list(read)

    return world.until(look, "a state that stays")


def kinds(world: PpsWorld, pipeline: str = "copy") -> list[CauseKind]:
    return [cause.kind for cause in causes(world, pipeline)]


def run(world: PpsWorld, input_spec: Any, command: Any = copy, **spec: Any) -> JobRow:
    """Create or update the pipeline and run its newest job."""
    world.pipeline("copy", input_spec, **spec)
    return world.staffed("copy", command).work_until_ended("copy")


def test_a_datum_says_which_file_made_it_run(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {"/a": b"1", "/b": b"2"})
    first = run(world, pfs("in"))
    world.put("in", {"/a": b"one", "/c": b"3"})
    second = world.staffed("copy", copy).work_until_ended("copy")

    before, after = explained(world, first), explained(world, second)

    assert {why.cause for why in before.values()} == {DatumCause.FIRST}
    assert {path: why.cause for path, why in after.items()} == {
        "/a": DatumCause.CHANGED, "/b": DatumCause.SKIPPED, "/c": DatumCause.NEW,
    }  # fmt: skip
    [change] = after["/a"].changes
    assert (change.input, change.path, change.old_size, change.new_size) == ("in", "/a", 1, 3)
    assert {why.base_id for why in after.values()} == {first.set_id}


def test_only_the_changed_side_of_a_cross_is_named(world: PpsWorld) -> None:
    world.repo("left")
    world.repo("right")
    world.put("left", {"/a": b"1"})
    world.put("right", {"/b": b"2"})
    run(world, {"cross": [pfs("left"), pfs("right")]})
    world.put("right", {"/b": b"other"})
    job = world.staffed("copy", copy).work_until_ended("copy")

    why = explained(world, job)["/a /b"]

    assert why.cause is DatumCause.CHANGED
    assert [(change.input, change.path) for change in why.changes] == [("right", "/b")]


def test_a_datum_that_ran_for_the_pipelines_sake_says_so(world: PpsWorld) -> None:
    def recovers(_: object) -> dict[str, bytes]:
        raise Recovered

    world.repo("in")
    world.put("in", {"/a": b"1"})
    run(world, pfs("in"), recovers)
    world.put("in", {"/b": b"2"})
    again = world.staffed("copy", copy).work_until_ended("copy")
    reprocessed = run(world, pfs("in"), update=True, reprocess=True)
    always = run(world, pfs("in"), update=True, reprocess_spec="every_job")

    assert explained(world, again)["/a"].cause is DatumCause.RECOVERED
    assert {why.cause for why in explained(world, reprocessed).values()} == {DatumCause.SALT}
    assert {why.cause for why in explained(world, always).values()} == {DatumCause.EVERY_JOB}


def test_an_unknown_datum_is_not_read(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {"/a": b"1"})
    job = run(world, pfs("in"))

    with pytest.raises(errors.NotFound):
        datum_causes.explain_datum(world.versions, world.specs, job_name(job), "00" * 32)


def test_the_story_of_a_job_has_no_gaps_and_names_what_it_waited_for(world: PpsWorld) -> None:
    world.repo("in")
    world.pipeline("copy", pfs("in"))
    world.put("in", {"/a": b"1", "/b": b"2"})
    world.until_state("copy", JobState.RUNNING)
    world.clock.ahead += 5
    waiting = world.versions.query(job_story.job_story, job_name(world.jobs("copy")[0]), world.specs)
    hand = world.staffed("copy", copy)
    claimed = hand.take()
    assert claimed is not None
    world.clock.ahead += 7
    hand.hand_in(hand.results(claimed))
    job = hand.work_until_ended("copy")

    story = world.versions.query(job_story.job_story, job_name(job), world.specs)

    assert waiting.phases[-1].kind is PhaseKind.WAITING_FOR_WORKERS
    assert waiting.phases[-1].end is None
    lasted = {phase.kind: phase.end - phase.begin for phase in story.phases if phase.end is not None}
    assert lasted[PhaseKind.WAITING_FOR_WORKERS] == pytest.approx(5, abs=1)
    assert lasted[PhaseKind.RUNNING] == pytest.approx(7, abs=1)
    ends = [job.created, *(phase.end for phase in story.phases)]
    assert [phase.begin for phase in story.phases] == ends[:-1]
    assert ends[-1] == job.finished


def moments(**changes: Any) -> Moments:
    values: dict[str, Any] = dict.fromkeys(
        ("inputs", "earlier", "started", "first_claim", "last_claim", "last_result", "finished")
    )
    return Moments(**{"created": 0.0, "has_todo": True, "complete": False, "mean": 0.0, **values, **changes})


@pytest.mark.parametrize(
    ("seen", "story"),
    [
        (moments(), [("WAITING_FOR_INPUT", None)]),
        (moments(finished=2.0), [("WAITING_FOR_INPUT", 2.0)]),
        (moments(inputs=1.0), [("WAITING_FOR_INPUT", 1.0), ("WAITING_FOR_EARLIER_JOB", None)]),
        (moments(inputs=0.0, earlier=0.0), [("PLANNING", None)]),
        (
            moments(inputs=0.0, earlier=3.0, started=4.0),
            [("WAITING_FOR_EARLIER_JOB", 3.0), ("PLANNING", 4.0), ("WAITING_FOR_WORKERS", None)],
        ),
        (
            moments(inputs=0.0, earlier=0.0, started=0.0, first_claim=2.0, last_claim=4.0, mean=1.0),
            [("WAITING_FOR_WORKERS", 2.0), ("RUNNING", 5.0), ("STRAGGLING", None)],
        ),
        (
            moments(
                inputs=0.0, earlier=0.0, started=0.0, first_claim=0.0, last_claim=4.0, mean=1.0,
                last_result=8.0, finished=9.0, complete=True,
            ),
            [("RUNNING", 5.0), ("STRAGGLING", 8.0), ("SETTLING", 9.0)],
        ),
        (
            moments(
                inputs=0.0, earlier=0.0, started=0.0, first_claim=0.0, last_claim=0.0, last_result=3.0,
                complete=True, has_egress=True,
            ),
            [("RUNNING", 3.0), ("EGRESSING", None)],
        ),
        (
            moments(inputs=0.0, earlier=0.0, started=1.0, finished=2.0, complete=True, has_todo=False),
            [("PLANNING", 1.0), ("SETTLING", 2.0)],
        ),
        (
            moments(inputs=0.0, earlier=0.0, started=1.0, finished=9.0, complete=True),
            [("PLANNING", 1.0), ("RUNNING", 9.0)],
        ),
    ],
)  # fmt: skip
def test_phases_follow_from_moments(seen: Moments, story: list[tuple[str, float | None]]) -> None:
    assert [(phase.kind, phase.end) for phase in phases(seen, {}, 10.0)] == story


def test_a_pipeline_says_what_it_waits_for(world: PpsWorld) -> None:
    world.repo("in")
    world.pipeline("copy", pfs("in", "/x*"))
    no_files = causes(world)
    world.put("in", {"/a": b"1"})
    world.until_ended("copy")
    no_match = kinds(world)
    world.put("in", {"/x": b"1"})
    world.until_state("copy", JobState.RUNNING)
    waiting = kinds(world)
    hand = world.staffed("copy", copy)
    claimed = hand.take()
    assert claimed is not None
    working = kinds(world)
    hand.hand_in(hand.results(claimed))
    hand.work_until_ended("copy")

    assert [(cause.kind, cause.branch) for cause in no_files] == [(CauseKind.NO_FILES, "default/in@master")]
    assert no_match == [CauseKind.NO_MATCH]
    assert waiting == [CauseKind.WAITING_FOR_WORKERS]
    assert working == [CauseKind.WORKING]
    assert kinds(world) == [CauseKind.IDLE]


def test_a_failure_upstream_and_a_stop_are_causes(world: PpsWorld) -> None:
    def fails(_: object) -> dict[str, bytes]:
        raise Failed("no luck")

    world.repo("in")
    world.put("in", {"/a": b"1"})
    world.pipeline("copy", pfs("in"))
    world.pipeline("next", pfs("copy"))
    upstream_works = causes(world, "next")
    world.staffed("copy", fails).work_until_ended("copy")
    world.until_ended("next")
    failed, unrunnable = causes(world), kinds(world, "next")
    world.versions.write(pipeline_ops.stop, "default", "copy")

    assert [cause.kind for cause in upstream_works] == [CauseKind.INPUT_OPEN]
    assert "default/copy" in upstream_works[0].sentence
    assert [cause.kind for cause in failed] == [CauseKind.JOB_FAILED]
    assert "no luck" in failed[0].sentence
    assert unrunnable == [CauseKind.UPSTREAM_FAILED]
    assert kinds(world) == [CauseKind.STOPPED]


def test_a_trigger_that_has_not_fired_shows_its_figures(world: PpsWorld) -> None:
    world.repo("in")
    world.pipeline("copy", pfs("in", trigger={"branch": "master", "commits": 3, "size": "1KB", "all": True}))
    world.put("in", {"/a": b"1234"})
    world.put("in", {"/b": b"1"})

    [cause] = causes(world)

    assert cause.kind is CauseKind.TRIGGER
    assert "5 of 1,000 bytes and 2 of 3 commits" in cause.sentence


def test_a_cron_input_says_when_its_next_tick_comes(world: PpsWorld) -> None:
    world.pipeline("copy", {"cron": {"name": "tick", "spec": "@every 1h"}})

    [cause] = causes(world)

    assert cause.kind is CauseKind.CRON
    assert cause.at is not None
    assert 0 < cause.at - world.clock.now() <= 3600


def test_an_open_commit_of_a_client_is_a_cause(world: PpsWorld) -> None:
    world.repo("in")
    world.pipeline("copy", pfs("in"))
    branch = BranchName(names.RepoName("default", "in", names.USER), "master")
    world.versions.write(commit_ops.start_commit, branch)

    [cause] = causes(world)

    assert cause.kind is CauseKind.INPUT_OPEN
    assert cause.branch == "default/in@master"
