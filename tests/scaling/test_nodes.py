"""Machines that workers fill without waste."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.scaling.nodes import TYPES, DaemonSets, allocatable, tile, tilings
from trunkline.scaling.pods import GIB, MIB, Amounts, Container, Pod
from trunkline.scaling.prices import prices

BY_NAME = {type_.name: type_ for type_ in TYPES}
NO_DAEMON_SETS = DaemonSets(cpu_millis=0, memory=0, pods=0)


def pod(cpu_millis: int, memory: int) -> Pod:
    user = Container(name="user", requests=Amounts(cpu_millis=cpu_millis, memory=memory))
    return Pod(name="p", namespace="default", containers=(user,))


@pytest.mark.parametrize(
    ("name", "pods"),
    [("m5.large", 29), ("m5.xlarge", 58), ("c6i.2xlarge", 58), ("m5.4xlarge", 234), ("m6i.16xlarge", 737)],
)
def test_a_machine_has_addresses_for_as_many_pods_as_the_node_image_says(name, pods):
    """eni-max-pods.txt of the EKS node images."""
    assert BY_NAME[name].pods == pods


@pytest.mark.parametrize(
    ("name", "reserved_millis"),
    [("m5.large", 70), ("m5.xlarge", 80), ("m5.2xlarge", 90), ("m5.4xlarge", 110)],
)
def test_the_node_image_reserves_processors_by_its_own_formula(name, reserved_millis):
    cpu, _ = allocatable(BY_NAME[name])

    assert cpu == BY_NAME[name].vcpu * 1000 - reserved_millis


def test_the_node_image_reserves_memory_by_the_number_of_pods():
    _, memory = allocatable(BY_NAME["m5.large"])

    assert memory == int(8 * GIB * 0.925) - (11 * 29 + 255) * MIB - 100 * MIB


def test_workers_of_one_processor_leave_most_of_a_processor_unused_on_a_machine_of_four():
    tiling = tile(pod(1000, GIB), BY_NAME["m5.xlarge"], daemon_sets=NO_DAEMON_SETS)

    assert tiling.workers == 3
    assert tiling.bound == "cpu"
    assert tiling.unused_cpu_millis == 920
    assert tiling.smaller_cpu_millis == 980
    assert tiling.smaller_memory is None


def test_a_little_less_memory_lets_one_more_in():
    tiling = tile(pod(100, 7 * GIB), BY_NAME["m5.xlarge"])

    assert (tiling.workers, tiling.bound) == (1, "memory")
    assert tiling.smaller_memory is not None
    assert tile(pod(100, tiling.smaller_memory), BY_NAME["m5.xlarge"]).workers == 2


def test_what_would_cost_more_than_a_tenth_is_not_proposed():
    assert tile(pod(1900, GIB), BY_NAME["m5.xlarge"]).smaller_cpu_millis is not None
    assert tile(pod(2500, GIB), BY_NAME["m5.xlarge"]).smaller_cpu_millis is None


def test_tiny_workers_are_bound_by_addresses():
    tiling = tile(pod(1, MIB), BY_NAME["m5.large"])

    assert (tiling.workers, tiling.bound) == (27, "pods")


def test_machines_that_hold_no_worker_are_left_out_and_the_cheapest_comes_first():
    machines = tilings(pod(6000, 8 * GIB), prices("us-east-1"))

    assert all(type_.type.vcpu >= 8 for type_ in machines)
    hours = [type_.hour for type_ in machines]
    assert hours == sorted(hours)
    assert machines[0].type.name in ("c5.2xlarge", "c6i.2xlarge")


def test_a_machine_that_many_would_fill_is_no_bargain_for_a_few():
    few, many = (tilings(pod(1000, 4 * GIB), prices("us-east-1"), workers=n)[0] for n in (5, 500))

    assert few.type.vcpu < many.type.vcpu
    assert few.machines(5) * (few.hour or 0) == few.hour_of(5)


def test_a_worker_larger_than_every_machine_fits_none():
    assert tilings(pod(100_000, GIB), prices("us-east-1")) == []


@given(st.integers(1, 70_000), st.integers(MIB, 600 * GIB), st.sampled_from(TYPES))
def test_workers_and_what_they_leave_are_the_machine_and_one_more_would_not_fit(cpu, memory, type):
    tiling = tile(pod(cpu, memory), type)

    assert tiling.workers * cpu + tiling.unused_cpu_millis == tiling.cpu_millis
    assert tiling.workers * memory + tiling.unused_memory == tiling.memory
    if tiling.workers:
        assert tiling.unused_cpu_millis >= 0
        assert tiling.unused_memory >= 0
    more = tiling.workers + 1
    assert more * cpu > tiling.cpu_millis or more * memory > tiling.memory or more > type.pods - 2


@given(st.integers(500, 70_000), st.integers(GIB, 600 * GIB), st.sampled_from(TYPES))
def test_the_smaller_request_that_is_proposed_lets_one_more_in(cpu, memory, type):
    tiling = tile(pod(cpu, memory), type)

    if tiling.smaller_cpu_millis is not None or tiling.smaller_memory is not None:
        smaller = pod(tiling.smaller_cpu_millis or cpu, tiling.smaller_memory or memory)
        assert tile(smaller, type).workers == tiling.workers + 1
