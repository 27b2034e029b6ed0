"""What jobs cost: seconds of workers, and the price of the machines they were on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pps_world import PpsWorld, Seen, pfs

from trunkline.model.names import PipelineName
from trunkline.model.workers import Machine, WorkerPhase
from trunkline.pps import pipelines
from trunkline.pps.queries import costs, update_plans
from trunkline.pps.queries.job_queries import JobFilter

if TYPE_CHECKING:
    from trunkline.pps.queries.costs import Cost

#: 1 vCPU and 5 GB in us-east-1: 0.04048 + 5 * 0.004445 USD per hour.
HOUR = 0.062705


def copy(seen: Seen) -> dict[str, bytes]:
    return dict(seen["images"])


def machine(world: PpsWorld, **facts: object) -> Machine:
    fields = {
        "name": "fargate-1", "kind": "fargate", "instance_type": "1vCPU 5GB", "region": "us-east-1",
        "created": world.clock.now(), **facts,
    }  # fmt: skip
    return Machine(**fields)


def run(world: PpsWorld, on: Machine | None, seconds: float) -> None:
    """Run a job whose one worker is on a machine for so long."""
    world.repo("images")
    world.pipeline("edges", pfs("images"), autoscaling=True, resource_requests={"memory": "4Gi", "cpu": 1})
    world.until_ended("edges")
    world.put("images", {"/a": b"a"})
    [worker_id] = world.until_workers("edges", 1)
    if on is not None:
        world.fleet.rented.append(on)
        world.fleet.show(worker_id, WorkerPhase.RUNNING, machine=on.name)
        world.until(lambda: world.workers("edges")[0].machine, "its machine")
    hand = world.hand(worker_id, copy)
    world.clock.ahead += seconds
    hand.work_until_ended("edges")
    world.until_empty("edges")


def cost(world: PpsWorld) -> Cost:
    criteria = JobFilter(pipeline=PipelineName("default", "edges"), number=5)
    [[newest, *_]] = costs.list_costs(world.versions, world.specs, criteria)
    return newest


def test_a_worker_on_fargate_costs_the_price_of_its_pod_for_as_long_as_it_lives(world: PpsWorld) -> None:
    run(world, machine(world), 3600.0)

    bill = cost(world)

    assert bill.worker_seconds == pytest.approx(3600.0, abs=60.0)
    assert bill.dollars == pytest.approx(HOUR, rel=0.02)
    assert (bill.unpriced_seconds, bill.pretended) == (0.0, False)


def test_a_short_life_is_paid_for_a_minute(world: PpsWorld) -> None:
    run(world, machine(world), 1.0)

    assert cost(world).dollars == pytest.approx(HOUR / 60, rel=0.5)


def test_a_worker_takes_its_share_of_a_machine_that_others_use_too(world: PpsWorld) -> None:
    node = machine(world, name="ip-1", kind="node group", instance_type="m5.xlarge", cpu=4.0, memory=16 << 30)
    run(world, node, 3600.0)

    assert cost(world).dollars == pytest.approx(0.192 / 4, rel=0.05)


def test_time_without_a_price_is_told_and_not_left_out(world: PpsWorld) -> None:
    run(world, machine(world, region="moon-1"), 100.0)

    bill = cost(world)

    assert bill.dollars == 0.0
    assert bill.unpriced_seconds == pytest.approx(100.0, abs=60.0)


def test_workers_on_the_servers_own_machine_cost_nothing(world: PpsWorld) -> None:
    run(world, machine(world, kind="local"), 100.0)

    bill = cost(world)

    assert (bill.dollars, bill.unpriced_seconds) == (0.0, 0.0)
    assert bill.worker_seconds > 99.0


def test_what_is_only_acted_says_so_and_its_time_runs_as_fast_as_the_act(world: PpsWorld) -> None:
    run(world, machine(world, pretended=True, speed=10.0), 360.0)

    bill = cost(world)

    assert bill.pretended
    assert bill.dollars == pytest.approx(HOUR, rel=0.1)


def test_a_plan_of_an_update_takes_time_and_price_from_the_last_jobs(world: PpsWorld) -> None:
    run(world, machine(world), 3600.0)
    document = {
        "pipeline": {"name": "edges"},
        "transform": {"cmd": ["true"]},
        "input": pfs("images"),
        "parallelism_spec": {"constant": 4},
    }

    request = pipelines.read_request(document)
    plan = update_plans.plan_update(world.versions, world.specs, request, reprocess=True)

    assert (plan.run, plan.workers) == (1, 1)
    assert plan.dollars == pytest.approx(cost(world).dollars)
    assert plan.datum_seconds == cost(world).work_seconds
    assert plan.seconds == plan.datum_seconds
