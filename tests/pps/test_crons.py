"""Cron inputs: ticks come when they are due, once, and none is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pps_world import PpsWorld, Seen, pfs

from trunkline.errors import FailedPrecondition, InvalidArgument, NotFound
from trunkline.model.names import RepoName
from trunkline.model.schedules import parse_moment, text_of
from trunkline.pfs import repos
from trunkline.pps import crons, pipeline_removal, pipelines

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where the clock stands when a world begins.
NOON = parse_moment("2031-05-17T12:00:00Z", "noon")


@pytest.fixture
def world(world: PpsWorld) -> PpsWorld:
    world.clock.stopped_at = NOON
    return world


def cron(name: str = "tick", spec: str = "@hourly", **fields: Any) -> dict[str, Any]:
    return {"cron": {"name": name, "spec": spec, **fields}}


def names_of(seen: Seen) -> Mapping[str, bytes]:
    """Write an empty file for each tick of a datum."""
    return {path: b"" for path in seen["tick"]}


def pass_hours(world: PpsWorld, hours: float) -> None:
    world.clock.ahead += 3600 * hours
    world.versions.write(lambda write: write.tx.wake("pipelines"))


def until_ticks(world: PpsWorld, repo: str, *expected: str) -> None:
    """Wait until a cron repo has exactly these files."""
    paths = [f"/2031-05-17T{time}Z" for time in expected]
    world.until(lambda: _files(world, repo) == paths, f"{paths} in {repo}")


def _files(world: PpsWorld, repo: str) -> list[str]:
    try:
        return list(world.files(repo))
    except NotFound:
        return []


def test_a_tick_is_a_file_with_its_time_and_runs_the_pipeline(world: PpsWorld) -> None:
    world.pipeline("report", cron())
    hand = world.hands("report", 1, names_of)[0]
    first = hand.work_until_ended("report")

    pass_hours(world, 1.01)
    until_ticks(world, "report_tick", "13:00:00")
    job = hand.work_until_ended("report")

    assert (first.total, job.total, job.processed) == (0, 1, 1)
    assert world.files("report") == {"/2031-05-17T13:00:00Z": b""}


def test_ticks_that_were_missed_are_made_one_by_one(world: PpsWorld) -> None:
    world.pipeline("report", cron())
    world.stop_controller()

    world.clock.ahead += 3.5 * 3600
    world.start_controller()
    until_ticks(world, "report_tick", "13:00:00", "14:00:00", "15:00:00")

    assert len(world.jobs("report")) == 4


def test_a_restart_makes_no_tick_again(world: PpsWorld) -> None:
    world.pipeline("report", cron())
    pass_hours(world, 1.5)
    until_ticks(world, "report_tick", "13:00:00")

    world.stop_controller()
    world.start_controller()
    pass_hours(world, 1)
    until_ticks(world, "report_tick", "13:00:00", "14:00:00")

    assert len(world.jobs("report")) == 3


def test_an_overwriting_input_holds_the_newest_tick_alone(world: PpsWorld) -> None:
    world.pipeline("report", cron(overwrite=True))

    pass_hours(world, 2.5)

    until_ticks(world, "report_tick", "14:00:00")


def test_ticks_begin_at_the_start(world: PpsWorld) -> None:
    world.pipeline("report", cron(spec="@every 30m", start=text_of(NOON - 3600)))

    until_ticks(world, "report_tick", "11:30:00", "12:00:00")


def test_a_stopped_pipeline_makes_its_ticks_when_it_is_started(world: PpsWorld) -> None:
    world.pipeline("report", cron())
    world.pipeline("other", cron())
    world.versions.write(pipelines.stop, "default", "report")

    pass_hours(world, 1.5)
    until_ticks(world, "other_tick", "13:00:00")
    while_stopped = _files(world, "report_tick")
    world.versions.write(pipelines.start, "default", "report")
    until_ticks(world, "report_tick", "13:00:00")

    assert while_stopped == []


def test_a_tick_now_comes_at_once_and_the_next_when_it_is_due(world: PpsWorld) -> None:
    world.pipeline("report", cron())
    world.clock.ahead += 600

    crons.run_now(world.versions, world.specs, "default", "report")
    pass_hours(world, 1)

    until_ticks(world, "report_tick", "12:10:00", "13:00:00")


def test_a_pipeline_without_a_cron_input_has_no_ticks(world: PpsWorld) -> None:
    world.repo("images")
    world.pipeline("edges", pfs("images"))

    with pytest.raises(FailedPrecondition, match="pipeline doesn't have a cron input"):  # clients look for it
        crons.run_now(world.versions, world.specs, "default", "edges")


def test_a_start_too_long_ago_is_refused(world: PpsWorld) -> None:
    with pytest.raises(InvalidArgument):
        world.pipeline("report", cron(spec="@every 1s", start="1970-01-01T00:00:00Z"))


def test_an_update_goes_on_where_the_ticks_ended(world: PpsWorld) -> None:
    world.pipeline("report", cron())
    pass_hours(world, 1.5)
    until_ticks(world, "report_tick", "13:00:00")

    world.pipeline("report", cron(spec="*/20 * * * *"), update=True)

    until_ticks(world, "report_tick", "13:00:00", "13:20:00")


def test_the_repo_goes_with_the_pipeline_unless_another_reads_it(world: PpsWorld) -> None:
    world.pipeline("report", {"cross": [cron(), cron("daily", "@daily")]})
    world.pipeline("reader", pfs("report_daily"))
    with pytest.raises(FailedPrecondition, match="report_daily"):
        pipeline_removal.delete_in_slices(world.versions, "default", "report", force=False, keep_repo=True)

    pipeline_removal.delete_in_slices(world.versions, "default", "reader", force=False, keep_repo=False)
    pipeline_removal.delete_in_slices(world.versions, "default", "report", force=False, keep_repo=True)

    remaining = world.versions.read(repos.of_projects, [])
    assert [str(RepoName(row.project, row.name, row.type)) for row in remaining] == ["default/report"]
