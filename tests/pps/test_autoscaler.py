"""Workers come when there is work and go when there is none; what goes wrong with them shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from held_fleet import HeldFleet
from pps_world import PpsWorld, Seen, pfs

from trunkline import errors
from trunkline.meta import pipelines as pipeline_rows
from trunkline.meta import workers as worker_rows
from trunkline.model.states import PipelineState
from trunkline.model.workers import WorkerEnding, WorkerPhase
from trunkline.pps import pipeline_removal, pipelines
from trunkline.pps.autoscaling import autoscaler, step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.model.workers import WorkerSighting, WorkerSpec
    from trunkline.pfs.writes import WriteTransaction


def copy(seen: Seen) -> dict[str, bytes]:
    return dict(seen["images"])


def autoscaling(world: PpsWorld, number: int = 3, **spec: object) -> None:
    world.repo("images")
    world.pipeline("edges", pfs("images"), autoscaling=True, parallelism_spec={"constant": number}, **spec)
    world.until_ended("edges")


def put(world: PpsWorld, number: int, first: int = 0) -> None:
    world.put("images", {f"/{place}": b"%d" % place for place in range(first, first + number)})


def states(world: PpsWorld) -> list[str]:
    return [row.state for row in world.workers("edges")]


def until_pipeline(world: PpsWorld, state: str) -> pipeline_rows.PipelineRow:
    def look() -> pipeline_rows.PipelineRow | None:
        row = world.pipeline_row("edges")
        return row if row.state == state else None

    return world.until(look, f"the pipeline to be {state}")


def test_a_new_pipeline_on_an_empty_repo_rests_at_zero(world: PpsWorld) -> None:
    autoscaling(world)

    row = until_pipeline(world, "STANDBY")

    assert row.target == 0
    assert world.fleet.asked == []


def test_the_whole_fleet_is_asked_for_in_one_step(world: PpsWorld) -> None:
    """Nobody got ready in between: the number comes from the counted datums."""
    autoscaling(world, 5)

    put(world, 9)
    world.until_workers("edges", 5)

    row = until_pipeline(world, "RUNNING")
    decisions = world.versions.read(pipeline_rows.decisions, row.id, 10)
    assert row.target == 5
    assert {decision.target for decision in decisions} == {0, 5}


def test_no_more_workers_are_asked_for_than_there_are_datums(world: PpsWorld) -> None:
    autoscaling(world, 5)

    put(world, 2)

    assert len(world.until_workers("edges", 2)) == 2


def test_workers_go_one_by_one_as_the_queue_empties_and_none_is_left(world: PpsWorld) -> None:
    autoscaling(world)
    put(world, 6)
    hands = world.hands("edges", 3, copy)

    for hand in hands:
        hand.work()
    job = world.until_ended("edges")
    world.clock.ahead += 600  # longer than any keep-alive
    world.until_empty("edges")

    row = until_pipeline(world, "STANDBY")
    assert job.processed == 6
    assert row.target == 0
    assert len(world.fleet.asked) == 3


def test_a_busy_worker_is_never_asked_to_go(world: PpsWorld) -> None:
    autoscaling(world)
    put(world, 3)
    busy, *others = world.hands("edges", 3, copy)
    claimed = busy.take()
    assert claimed is not None

    for hand in others:
        hand.work()
    world.clock.ahead += 5  # beyond the keep-alive, within the lease
    world.until(lambda: states(world).count("retiring") == 2, "the idle ones to retire")

    assert busy.hand_in(busy.results(claimed)).accepted


def test_a_pipeline_that_does_not_scale_keeps_its_workers(world: PpsWorld) -> None:
    world.repo("images")
    world.pipeline("edges", pfs("images"), parallelism_spec={"constant": 2})

    world.hands("edges", 2, copy)

    assert until_pipeline(world, "RUNNING").target == 2


def test_a_waiting_worker_shows_what_it_waits_for_and_is_no_crash(world: PpsWorld) -> None:
    autoscaling(world)

    put(world, 1)
    [worker] = world.until_workers("edges", 1)
    world.fleet.show(worker, WorkerPhase.PENDING, "waits for 4.0 GiB of memory")
    world.until(lambda: world.workers("edges")[0].reason == "waits for 4.0 GiB of memory", "the reason")

    assert states(world) == ["pending"]
    until_pipeline(world, "RUNNING")


@pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)
def test_a_worker_that_dies_is_replaced_and_its_datums_run_again(world: PpsWorld) -> None:
    autoscaling(world, 1)
    put(world, 2)
    [first] = world.hands("edges", 1, copy)
    first.take()

    world.fleet.show(first.id, WorkerPhase.GONE, "was killed by SIGKILL")
    crashing = until_pipeline(world, "CRASHING")
    world.clock.ahead += 2  # the first pause
    second = world.staffed("edges", copy)
    job = second.work_until_ended("edges")

    assert "was killed by SIGKILL" in crashing.reason
    assert second.id != first.id
    assert (job.state, job.processed) == ("SUCCESS", 2)
    assert until_pipeline(world, "STANDBY").reason == ""


def test_an_evicted_worker_is_replaced_at_once_and_is_no_crash(world: PpsWorld) -> None:
    autoscaling(world, 1)
    put(world, 1)
    [evicted] = world.until_workers("edges", 1)

    world.fleet.show(evicted, WorkerPhase.GONE, "was evicted", ending=WorkerEnding.REMOVED)
    world.wake("edges")
    world.until(lambda: len(world.fleet.asked) == 2, "another worker, without a pause")

    assert world.pipeline_row("edges").state is PipelineState.RUNNING


def test_workers_that_keep_dying_are_started_ever_more_rarely(world: PpsWorld) -> None:
    """Each start comes no earlier than its pause after the crash before; a slow machine only delays it."""
    autoscaling(world, 1)
    put(world, 1)
    world.clock.stop()

    pauses = []
    for asked in range(1, 5):
        world.until(lambda number=asked: len(world.fleet.asked) == number, f"start {asked}")  # type: ignore[misc]
        before = world.clock.ahead
        world.fleet.show(world.fleet.asked[-1], WorkerPhase.GONE, "broken")
        world.until(lambda number=asked: started_after(world, number), "the next start")  # type: ignore[misc]
        pauses.append(world.clock.ahead - before)

    least = [step.backoff(crashes) for crashes in range(1, 5)]
    assert least == [1.0, 2.0, 4.0, 8.0]
    assert [pause >= shortest for pause, shortest in zip(pauses, least, strict=True)] == [True] * 4


def started_after(world: PpsWorld, asked: int) -> bool:
    """Put the clock forward by little until one more worker was asked for."""
    if len(world.fleet.asked) > asked:
        return True
    if not world.workers("edges"):
        world.clock.ahead += 0.25
    world.wake("edges")
    return False


def test_workers_that_die_together_count_as_one_crash(world: PpsWorld) -> None:
    autoscaling(world, 3)
    put(world, 3)
    for worker in world.until_workers("edges", 3):
        world.fleet.show(worker, WorkerPhase.GONE, "out of memory")

    until_pipeline(world, "CRASHING")
    world.until(lambda: not world.workers("edges"), "all to be forgotten")
    world.clock.ahead += 1.5

    assert len(world.until_workers("edges", 3)) == 3


def test_a_worker_that_the_fleet_can_never_run_makes_the_pipeline_say_so(world: PpsWorld) -> None:
    autoscaling(world)
    world.fleet.refusal = errors.InvalidArgument("a worker asks for 4.0 GiB of memory and there is 1.0 GiB")

    put(world, 3)
    row = until_pipeline(world, "CRASHING")

    assert row.reason == "a worker asks for 4.0 GiB of memory and there is 1.0 GiB"
    assert world.workers("edges") == []


def test_an_update_that_mends_the_pipeline_ends_its_crashing_at_once(world: PpsWorld) -> None:
    autoscaling(world, 1)
    world.fleet.refusal = errors.InvalidArgument("too large")
    put(world, 1)
    until_pipeline(world, "CRASHING")
    world.fleet.refusal = None

    world.pipeline("edges", pfs("images"), update=True, autoscaling=True)
    job = world.staffed("edges", copy).work_until_ended("edges")

    assert job.state == "SUCCESS"
    assert until_pipeline(world, "STANDBY").reason == ""


def test_crashing_ends_when_the_work_is_gone(world: PpsWorld) -> None:
    autoscaling(world, 1)
    world.fleet.refusal = errors.InvalidArgument("too large")
    put(world, 1)
    until_pipeline(world, "CRASHING")

    world.put("images", {}, deleted=["/0"])
    job = world.jobs("edges")[1]
    world.end(job, "KILLED", "job stopped")

    assert until_pipeline(world, "STANDBY").reason == ""


def test_stopping_a_pipeline_sends_its_workers_away(world: PpsWorld) -> None:
    world.repo("images")
    world.pipeline("edges", pfs("images"), parallelism_spec={"constant": 2})
    world.hands("edges", 2, copy)

    world.versions.write(pipelines.stop, "default", "edges")
    world.until(lambda: states(world) == ["retiring", "retiring"], "both to retire")
    world.until_empty("edges")

    assert until_pipeline(world, "PAUSED").target == 0


def test_deleting_a_pipeline_ends_its_workers(world: PpsWorld) -> None:
    world.repo("images")
    world.pipeline("edges", pfs("images"), parallelism_spec={"constant": 2})
    world.until_workers("edges", 2)

    world.versions.write(pipeline_removal.delete, "default", "edges", force=False, keep_repo=False)

    assert world.until_workers("edges", 0) == []


class DeletingFleet(HeldFleet):
    """Deletes the pipeline while it is used, as a user might at that moment."""

    def __init__(self, world: PpsWorld, *, on_start: bool = False, on_observe: bool = False) -> None:
        super().__init__()
        self._world = world
        self._on_start = on_start
        self.on_observe = on_observe

    def start(self, spec: WorkerSpec) -> None:
        if self._on_start:
            self._on_start = False
            self._delete()
        super().start(spec)

    def observe(self) -> Sequence[WorkerSighting]:
        sightings = super().observe()
        if self.on_observe:
            self.on_observe = False
            self._delete()
        return sightings

    def _delete(self) -> None:
        self._world.versions.write(pipeline_removal.delete, "default", "edges", force=False, keep_repo=False)


def test_a_worker_that_is_lost_while_its_pipeline_is_deleted_leaves_nothing_behind(world: PpsWorld) -> None:
    world.repo("images")
    world.stop_controller()
    world.pipeline("edges", pfs("images"))
    row, fleet = world.pipeline_row("edges"), DeletingFleet(world)
    spec = world.specs.get(row.id, row.version)
    scaler = autoscaler.Autoscaler(world.versions, world.specs, fleet)
    scaler.step(row, spec, None)
    fleet.show(fleet.asked[0], WorkerPhase.GONE, "broken")
    fleet.on_observe = True

    scaler.step(row, spec, None)
    scaler.forget(row.id)

    assert fleet.present("edges") == []
    assert world.versions.read(worker_rows.list_all) == []
    assert scaler.crash_reason(row.id) == ""


def test_deleting_a_pipeline_ends_the_starting_of_its_workers(world: PpsWorld) -> None:
    world.repo("images")
    world.stop_controller()
    world.pipeline("edges", pfs("images"), parallelism_spec={"constant": 1000})
    row, fleet = world.pipeline_row("edges"), DeletingFleet(world, on_start=True)
    scaler = autoscaler.Autoscaler(world.versions, world.specs, fleet)

    scaler.step(row, world.specs.get(row.id, row.version), None)

    assert len(fleet.asked) == autoscaler.START_BATCH
    assert fleet.present("edges") == []
    assert world.versions.read(worker_rows.list_all) == []


@pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)
def test_deleting_the_workers_of_a_pipeline_takes_the_same_few_statements_for_any_number(
    world: PpsWorld,
) -> None:
    world.repo("images")
    world.stop_controller()
    world.pipeline("edges", pfs("images"), parallelism_spec={"constant": 1000})
    world.has_all_events = False  # of the rows that the test deletes
    row = world.pipeline_row("edges")
    scaler = autoscaler.Autoscaler(world.versions, world.specs, world.fleet)
    scaler.step(row, world.specs.get(row.id, row.version), None)
    statements: list[str] = []

    def remove(write: WriteTransaction) -> None:
        sa.event.listen(
            write.conn, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
        )
        worker_rows.remove_of_pipeline(write.conn, row.id)

    world.versions.write(remove)

    assert world.workers("edges") == []
    assert len(statements) == 1


def test_a_pipeline_is_steady_once_all_its_workers_are_ready_and_a_step_changes_nothing(
    world: PpsWorld,
) -> None:
    world.repo("images")
    world.pipeline("edges", pfs("images"), parallelism_spec={"constant": 2})
    world.hands("edges", 2, copy)
    world.stop_controller()
    scaler = autoscaler.Autoscaler(world.versions, world.specs, world.fleet)
    seen = []

    def step() -> None:
        row = world.pipeline_row("edges")
        scaler.step(row, world.specs.get(row.id, row.version), None)
        seen.append((scaler.is_steady(row.id), scaler.is_full(row.id, 2), scaler.is_full(row.id, 3)))

    for _ in range(2):  # the first one may learn how long the workers took to start
        step()
    world.pipeline("edges", pfs("images"), parallelism_spec={"constant": 3}, update=True)
    step()

    assert seen[1:] == [(True, True, False), (False, False, False)]
    world.start_controller()


def test_an_update_replaces_the_workers_of_the_old_version(world: PpsWorld) -> None:
    world.repo("images")
    world.pipeline("edges", pfs("images"))
    old = world.staffed("edges", copy)

    world.pipeline("edges", pfs("images"), update=True)
    new = world.staffed("edges", copy)

    assert new.id != old.id
    assert [row.version for row in world.workers("edges")] == [2]


def test_rows_of_workers_that_an_earlier_server_had_are_forgotten_without_a_crash(world: PpsWorld) -> None:
    world.repo("images")
    world.pipeline("edges", pfs("images"))
    [remaining] = world.until_workers("edges", 1)

    world.stop_controller()
    world.fleet.close(0.0)
    world.start_controller()
    world.until(lambda: len(world.fleet.asked) == 2, "a new worker")

    assert remaining not in [row.id for row in world.workers("edges")]
    row = world.pipeline_row("edges")
    assert row.state != "CRASHING"
    assert row.reason in ("", "1 worker waits: held by the test")
