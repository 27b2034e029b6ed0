"""What files are made from, and what is made from them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from pps_world import Failed, PpsWorld, pfs

from trunkline import errors
from trunkline.model import names
from trunkline.pps import open_lineage
from trunkline.pps.queries import lineage
from trunkline.pps.queries.lineage import Cut, LineageStep

if TYPE_CHECKING:
    from collections.abc import Mapping


def copy(seen: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
    return {path: data for files in seen.values() for path, data in files.items()}


def joined(seen: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
    paths = sorted(path for files in seen.values() for path in files)
    return {"/" + "+".join(path[1:].replace("/", "_") for path in paths): b"x"}


def walk(world: PpsWorld, repo: str, path: str, *, forward: bool = False, number: int = 0) -> list[Any]:
    name = names.CommitName(names.RepoName("default", repo, names.USER), branch="master")
    return list(lineage.lineage(world.versions, world.specs, name, path, forward=forward, number=number))


def texts(steps: list[Any]) -> list[tuple[int, str, set[str], set[str]]]:
    """Return depth, pipeline, inputs and outputs of steps."""
    return [
        (
            step.depth,
            step.pipeline.name,
            {f"{place.repo.name}:{place.path}" for place in step.inputs},
            {place.path for place in step.outputs},
        )
        for step in steps
    ]


@pytest.fixture
def chain(world: PpsWorld) -> PpsWorld:
    """Two inputs are crossed, and the result is copied; then one file changes."""
    for repo in ("left", "right"):
        world.repo(repo)
    world.put("left", {"/a": b"1", "/b": b"2"})
    world.put("right", {"/c": b"3"})
    world.pipeline("both", {"cross": [pfs("left"), pfs("right")]})
    world.pipeline("all", pfs("both", "/"))
    world.staffed("both", joined).work_until_ended("both")
    world.staffed("all", copy).work_until_ended("all")
    world.put("left", {"/b": b"other"})
    world.staffed("both", joined).work_until_ended("both")
    world.staffed("all", copy).work_until_ended("all")
    return world


def test_a_file_leads_to_the_files_that_it_was_made_from(chain: PpsWorld) -> None:
    steps = walk(chain, "both", "/a+c")

    assert texts(steps) == [(1, "both", {"left:/a", "right:/c"}, {"/a+c"})]
    # It was skipped in the newest job, whose input commits are named all the same.
    assert {place.commit_id for place in steps[0].inputs if place.repo.name == "left"} == {chain.head("left")}
    assert steps[0].row.job_id != steps[0].job.set_id


def test_a_lineage_goes_through_pipelines_and_folders_in_both_directions(chain: PpsWorld) -> None:
    upstream = texts(walk(chain, "all", "/b+c"))
    downstream = texts(walk(chain, "right", "/c", forward=True))

    whole = (1, "all", {"both:/"}, {"/a+c", "/b+c"})
    pairs = [(2, "both", {f"left:/{name}", "right:/c"}, {f"/{name}+c"}) for name in ("a", "b")]
    assert upstream[0] == whole
    assert sorted(upstream[1:]) == sorted(pairs)
    # Both jobs of each pipeline read the commit.
    written = Counter((step[1], frozenset(step[3])) for step in downstream)
    assert written == {
        ("both", frozenset({"/a+c"})): 2, ("both", frozenset({"/b+c"})): 2, ("all", frozenset(whole[3])): 2,
    }  # fmt: skip


def test_a_single_input_is_followed_forward_by_the_path_alone(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {"/d/a": b"1", "/d/b": b"2", "/e/c": b"3"})
    world.pipeline("folders", pfs("in", "/*"))
    world.staffed("folders", joined).work_until_ended("folders")

    assert texts(walk(world, "in", "/d/b", forward=True)) == [(1, "folders", {"in:/d/"}, {"/d_a+d_b"})]


def test_a_failed_commit_has_the_lineage_of_the_last_good_one(world: PpsWorld) -> None:
    def fails(_: object) -> dict[str, bytes]:
        raise Failed("no luck")

    world.repo("in")
    world.put("in", {"/a": b"1"})
    world.pipeline("copy", pfs("in"))
    good = world.staffed("copy", copy).work_until_ended("copy")
    world.put("in", {"/b": b"2"})
    world.staffed("copy", fails).work_until_ended("copy")

    [step] = walk(world, "copy", "/a")

    assert step.job.set_id == good.set_id


def test_what_is_left_out_is_said(chain: PpsWorld) -> None:
    steps = walk(chain, "all", "/", number=1)

    assert [type(step) for step in steps] == [LineageStep, Cut]


def change(state: str, **more: Any) -> dict[str, Any]:
    return {
        "project": "p",
        "pipeline": "copy",
        "job": "a" * 32,
        "state": state,
        "at": 1.5,
        "reason": "",
        **more,
    }


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("CREATED", "START"),
        ("SUCCESS", "COMPLETE"),
        ("FAILURE", "FAIL"),
        ("UNRUNNABLE", "FAIL"),
        ("KILLED", "ABORT"),
    ],
)
def test_each_end_of_a_job_is_an_event_of_its_run(state: str, kind: str) -> None:
    event = open_lineage.run_event(change(state, reason="no luck"), "here")

    assert (event["eventType"], event["eventTime"]) == (kind, "1970-01-01T00:00:01.500+00:00")
    assert event["job"]["name"] == "p/copy"
    assert event["run"]["facets"]["errorMessage"]["message"] == "no luck"
    other = open_lineage.run_event(change(state, pipeline="next"), "here")
    assert event["run"]["runId"] != other["run"]["runId"]
    assert event["run"]["runId"] == open_lineage.run_event(change("CREATED"), "here")["run"]["runId"]


def test_files_of_clients_are_made_from_nothing_and_unknown_ones_are_not_found(world: PpsWorld) -> None:
    world.repo("in")
    world.put("in", {"/a": b"1"})

    assert walk(world, "in", "/a") == []
    with pytest.raises(errors.NotFound):
        walk(world, "in", "/b")
