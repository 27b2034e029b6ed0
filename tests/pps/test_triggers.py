"""Branches that move by themselves, and pipelines that follow them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pps_world import PpsWorld, pfs

from trunkline.errors import InvalidArgument
from trunkline.model.names import USER, RepoName
from trunkline.model.spec import Trigger
from trunkline.pfs.branches import BranchName, Upstream, create_branch

if TYPE_CHECKING:
    from trunkline.meta.branches import BranchRow


def branch(name: str) -> BranchName:
    return BranchName(RepoName("default", "images", USER), name)


def follow(world: PpsWorld, name: str, **fields: Any) -> BranchRow:
    """Give a branch of the repo a trigger on master, unless it names another branch."""
    return world.versions.write(
        create_branch, branch(name), trigger=Trigger(**{"branch": "master", **fields})
    )


def put(world: PpsWorld, *names: str, size: int = 1) -> list[str]:
    """Make a commit for each name; return their ids."""
    ids = []
    for name in names:
        world.put("images", {f"/{name}": b"x" * size})
        ids.append(world.head("images"))
    return ids


def until_head(world: PpsWorld, name: str, commit_id: str) -> None:
    world.until(lambda: world.head("images", name) == commit_id, f"{name} to be at {commit_id}")


@pytest.fixture
def world(world: PpsWorld) -> PpsWorld:
    world.repo("images")
    return world


def test_a_branch_moves_with_every_second_commit(world: PpsWorld) -> None:
    follow(world, "stable", commits=2)

    ids = put(world, "a", "b", "c")
    until_head(world, "stable", ids[1])
    ids += put(world, "d")

    until_head(world, "stable", ids[3])


def test_triggers_are_stored_in_either_database(installed_url: str) -> None:
    world = PpsWorld(installed_url)
    try:
        world.repo("images")
        follow(world, "stable", commits=1)
        [newest] = put(world, "a")
        until_head(world, "stable", newest)
    finally:
        world.close()


def test_commits_of_a_time_without_a_server_are_judged_as_they_came(world: PpsWorld) -> None:
    """Four commits of a hundred bytes: the second and the fourth make 150 more than the head before."""
    world.pipeline("edges", pfs("images", trigger={"size": "150"}))
    world.stop_controller()
    before = len(world.jobs("edges"))

    ids = put(world, *"abcd", size=100)
    world.start_controller()
    until_head(world, "edges-trigger-1", ids[3])

    assert len(world.jobs("edges")) == before + 2


def test_commits_before_the_trigger_move_nothing_but_count(world: PpsWorld) -> None:
    put(world, "a", "b", "c")
    follow(world, "stable", commits=2)
    empty = world.head("images", "stable")
    world.stop_controller()
    world.start_controller()

    [newest] = put(world, "d")
    until_head(world, "stable", newest)

    assert world.files("images", empty) == {}


def test_a_chain_of_triggers_moves_from_its_beginning(world: PpsWorld) -> None:
    follow(world, "weekly", branch="daily", commits=4)
    follow(world, "daily", commits=2)

    ids = put(world, *"abcd")

    until_head(world, "daily", ids[3])
    until_head(world, "weekly", ids[3])


def test_a_branch_moves_at_each_tick_of_its_schedule(world: PpsWorld) -> None:
    follow(world, "nightly", cron_spec="@every 1h")
    put(world, "a")
    [newest] = put(world, "b")

    def moves_an_hour_later() -> bool:
        """Let an hour pass: the schedule counts from when the controller first sees it."""
        world.clock.ahead += 3601
        world.versions.write(lambda write: write.tx.wake("triggers"))
        return world.head("images", "nightly") == newest

    world.until(moves_an_hour_later, "the branch to move")


def test_a_pipeline_runs_on_what_its_trigger_lets_through(world: PpsWorld) -> None:
    world.pipeline("edges", pfs("images", trigger={"commits": 2}))
    hand = world.hands("edges", 1, lambda seen: dict(seen["images"]))[0]
    first = hand.work_until_ended("edges")

    put(world, "a", "b", "c")
    job = world.until(
        lambda: hand.work_until_ended("edges") if len(world.jobs("edges")) > 1 else None, "a job"
    )

    assert (first.total, job.total) == (0, 2)
    assert set(world.files("edges")) == {"/a", "/b"}


def test_triggers_cannot_form_a_loop_nor_stand_beside_provenance(world: PpsWorld) -> None:
    world.repo("other")
    follow(world, "daily", branch="weekly", commits=1)
    upstream = Upstream(BranchName(RepoName("default", "other", USER), "master"))

    with pytest.raises(InvalidArgument, match="loop"):
        follow(world, "weekly", branch="daily", commits=1)
    with pytest.raises(InvalidArgument):
        world.versions.write(
            create_branch, branch("both"), provenance=[upstream], trigger=Trigger(branch="master", commits=1)
        )
