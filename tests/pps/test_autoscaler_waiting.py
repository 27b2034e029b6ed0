"""Workers that wait: for machines, for each other, for what never comes; and work that is foreseen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pps_world import PpsWorld, Seen, pfs

from trunkline.meta import pipelines as pipeline_rows
from trunkline.meta import workers as worker_rows
from trunkline.model.workers import Machine, WorkerPhase
from trunkline.pps.autoscaling.lookahead import foreseen
from trunkline.pps.autoscaling.startup_times import Starts
from trunkline.pps.autoscaling.step import UNSATISFIABLE_PATIENCE
from trunkline.pps.spec_cache import Specs

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.model.spec import PipelineSpec

NODE = Machine(name="ip-10-0-0-1", kind="node group", group="batch", instance_type="m5.xlarge")


def copy(seen: Seen) -> dict[str, bytes]:
    return dict(seen["images"])


def autoscaling(world: PpsWorld, number: int = 3) -> None:
    world.repo("images")
    world.pipeline("edges", pfs("images"), autoscaling=True, parallelism_spec={"constant": number})
    world.until_ended("edges")


def put(world: PpsWorld, number: int) -> None:
    world.put("images", {f"/{place}": b"%d" % place for place in range(number)})


def test_the_pipeline_says_how_many_workers_wait_and_what_for(world: PpsWorld) -> None:
    autoscaling(world)
    put(world, 3)
    for worker_id in world.until_workers("edges", 3):
        world.fleet.show(worker_id, WorkerPhase.PENDING, "Cluster Autoscaler is adding a machine")

    world.until(lambda: "3 workers wait" in world.pipeline_row("edges").reason, "the reason")

    row = world.pipeline_row("edges")
    assert row.state == "RUNNING"
    [decision] = world.versions.read(pipeline_rows.decisions, row.id, 1)
    assert "Cluster Autoscaler is adding a machine" in row.reason
    assert decision.sentence.startswith(row.reason)


def test_what_happened_to_a_worker_is_kept_in_order(world: PpsWorld) -> None:
    autoscaling(world, 1)
    put(world, 1)
    [worker_id] = world.until_workers("edges", 1)
    world.fleet.show(worker_id, WorkerPhase.PENDING, "the image is being pulled")
    world.until(lambda: world.workers("edges")[0].reason, "the reason")
    world.fleet.show(worker_id, WorkerPhase.GONE, "its machine was taken away")
    world.until(lambda: "taken away" in world.pipeline_row("edges").reason, "the loss")

    events = world.versions.read(worker_rows.events, 0.0, 10)

    assert [(event.state, event.text) for event in events if event.worker_id == worker_id] == [
        ("pending", "was requested"),
        ("pending", "the image is being pulled"),
        ("gone", "its machine was taken away"),
    ]


def test_a_wait_for_a_machine_shows_and_never_fails_the_pipeline(world: PpsWorld) -> None:
    autoscaling(world, 1)
    put(world, 1)
    [worker_id] = world.until_workers("edges", 1)
    world.fleet.show(worker_id, WorkerPhase.PENDING, "no node fits", unsatisfiable=True, lacks_machine=True)
    world.until(lambda: world.pipeline_row("edges").state == "CRASHING", "the pipeline to show it")

    world.clock.ahead += UNSATISFIABLE_PATIENCE + 1
    world.wake("edges")
    world.fleet.show(worker_id, WorkerPhase.RUNNING)
    job = world.hand(worker_id, copy).work_until_ended("edges")

    assert job.state == "SUCCESS"


def test_a_wait_that_is_unsatisfiable_shows_at_once_and_fails_the_pipeline_in_the_end(
    world: PpsWorld,
) -> None:
    autoscaling(world, 1)
    put(world, 1)
    [worker_id] = world.until_workers("edges", 1)
    world.fleet.show(worker_id, WorkerPhase.PENDING, 'image "nope" does not exist', unsatisfiable=True)
    world.until(lambda: world.pipeline_row("edges").state == "CRASHING", "the pipeline to show it")

    world.clock.ahead += UNSATISFIABLE_PATIENCE + 1
    world.wake("edges")
    job = world.until_ended("edges")

    world.until(lambda: world.pipeline_row("edges").state == "FAILURE", "the pipeline to be given up")
    assert job.state == "KILLED"
    assert job.reason == 'the pipeline cannot run: image "nope" does not exist'


def test_a_wait_that_stops_being_unsatisfiable_is_forgotten(world: PpsWorld) -> None:
    autoscaling(world, 1)
    put(world, 1)
    [worker_id] = world.until_workers("edges", 1)
    world.fleet.show(worker_id, WorkerPhase.PENDING, "the image cannot be pulled", unsatisfiable=True)
    world.until(lambda: world.pipeline_row("edges").state == "CRASHING", "the pipeline to show it")

    world.fleet.show(worker_id, WorkerPhase.RUNNING)
    world.hand(worker_id, copy).work_until_ended("edges")

    world.until(lambda: world.pipeline_row("edges").state != "CRASHING", "the pipeline to recover")
    assert world.jobs("edges")[0].state == "SUCCESS"


def test_starts_are_measured_kept_over_a_restart_and_said_to_who_waits(world: PpsWorld) -> None:
    autoscaling(world, 1)
    world.fleet.rented.append(NODE)
    put(world, 1)
    [worker_id] = world.until_workers("edges", 1)
    world.clock.ahead += 40.0
    world.fleet.show(worker_id, WorkerPhase.RUNNING, machine=NODE.name)
    world.until(lambda: world.workers("edges")[0].machine, "its machine")
    world.hand(worker_id, copy).work_until_ended("edges")
    world.until(lambda: world.versions.read(worker_rows.startups, "held", "ubuntu:20.04"), "the start")

    [(kind, seconds)] = world.versions.read(worker_rows.startups, "held", "ubuntu:20.04")
    assert kind == "node group"
    assert 40.0 <= seconds < 60.0

    world.until_empty("edges")
    world.stop_controller()
    world.start_controller()
    put(world, 2)
    later = world.until(lambda: next(iter(set(world.fleet.asked) - {worker_id}), None), "the next worker")
    world.fleet.show(later, WorkerPhase.PENDING, "a machine is being added")
    reason = world.until(
        lambda: next((row.reason for row in world.workers("edges") if row.id == later), None), "a reason"
    )

    assert reason.startswith("a machine is being added (starts take about 4")
    assert "s here; worry after 1" in reason


def test_a_worker_that_nobody_wants_is_ended(world: PpsWorld) -> None:
    world.stop_controller()
    world.fleet.leave_behind("f" * 32)
    world.start_controller()

    world.until(lambda: not world.fleet.observe(), "it to go")


def test_the_fleet_is_told_who_is_busy_and_who_is_idle(world: PpsWorld) -> None:
    world.repo("images")
    world.pipeline("edges", pfs("images"))
    put(world, 1)
    hand = world.hands("edges", 1, copy)[0]
    claimed = world.until(hand.take, "a claim")
    world.wake("edges")
    world.until(lambda: world.fleet.marks.get(hand.id) is True, "the mark of a busy worker")

    hand.hand_in(hand.results(claimed))

    world.until(lambda: world.fleet.marks.get(hand.id) is False, "the mark of an idle worker")


def test_the_workers_of_the_next_pipeline_are_started_while_the_one_before_still_runs(
    world: PpsWorld,
) -> None:
    autoscaling(world, 1)
    world.pipeline("montage", pfs("edges", "/"), autoscaling=True, parallelism_spec={"constant": 4})
    world.until_ended("montage")
    put(world, 2)

    world.until_workers("edges", 1)

    assert len(world.until_workers("montage", 1)) == 1
    assert world.jobs("montage")[0].state == "CREATED"


def test_how_long_starts_take_can_be_asked_within_a_snapshot(world: PpsWorld) -> None:
    """What is foreseen depends on the starts of other pipelines' images, which may not be known yet."""
    starts = Starts(world.versions, world.fleet)

    asked = world.versions.read(lambda conn: [starts.seconds(f"image{number}", conn) for number in range(2)])

    assert asked == [world.fleet.startup_prior] * 2


class CountingSpecs(Specs):
    """Specifications that count how often they are asked for: once for each job that is looked at."""

    asked = 0

    def of(self, conn: sa.Connection, pipeline_id: int, version: int) -> PipelineSpec:
        self.asked += 1
        return super().of(conn, pipeline_id, version)


def test_each_upstream_job_is_looked_at_once_however_many_paths_lead_to_it(world: PpsWorld) -> None:
    """Four diamonds, one after the other, have sixteen paths."""
    world.repo("images")
    world.pipeline("join0", pfs("images"), autoscaling=True)
    for place in range(4):
        for side in "ab":
            world.pipeline(f"side{place}{side}", pfs(f"join{place}"), autoscaling=True)
        sides = [pfs(f"side{place}{side}") for side in "ab"]
        world.pipeline(f"join{place + 1}", {"union": sides}, autoscaling=True)
    world.until_ended("join4")
    put(world, 2)
    world.until_state("join0", "RUNNING")
    [last] = [job for job in world.jobs("join4") if job.state == "CREATED"]
    specs = CountingSpecs(world.versions.db)
    starts = Starts(world.versions, world.fleet)

    datums, _ = world.versions.read(lambda conn: foreseen(conn, specs, starts, last, world.clock.now()))

    assert datums == 2
    assert specs.asked == 13  # the job itself and the twelve before it


def test_an_unchanged_commit_starts_no_worker_downstream(world: PpsWorld) -> None:
    autoscaling(world, 1)
    world.pipeline("montage", pfs("edges", "/"), autoscaling=True)
    world.until_ended("montage")
    asked = len(world.fleet.asked)

    world.put("images", {})
    world.until_ended("montage")

    assert len(world.fleet.asked) == asked


def test_a_worker_that_has_registered_waits_for_nothing_whatever_the_fleet_still_shows(
    world: PpsWorld,
) -> None:
    world.repo("images")
    world.pipeline("edges", pfs("images"))
    [hand] = world.hands("edges", 1, copy)
    world.fleet.show(hand.id, WorkerPhase.PENDING, "its containers are being made")

    world.wake("edges")
    world.until(lambda: world.fleet.marks.get(hand.id) is False, "a look at the fleet")

    assert world.workers("edges")[0].reason == ""


def test_the_grace_of_a_worker_comes_from_the_time_that_datums_take(world: PpsWorld) -> None:
    autoscaling(world, 1)
    put(world, 1)
    [worker_id] = world.until_workers("edges", 1)

    assert world.fleet.specs[worker_id].grace == 60.0
