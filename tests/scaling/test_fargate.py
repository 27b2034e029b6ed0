"""Sizes, storage, cliffs and launch rates of Fargate, against the user guide's table and examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.scaling import fargate
from trunkline.scaling.fargate import (
    GRID,
    OVERHEAD,
    Quota,
    Size,
    at_once,
    fit,
    provisioned_storage,
    ramp_seconds,
    smallest,
)
from trunkline.scaling.pods import GIB, MIB, Amounts, Container, Pod
from trunkline.scaling.prices import prices


def container(cpu: float | None, gib: float | None, name: str = "user", **more) -> Container:
    amounts = Amounts(
        cpu_millis=None if cpu is None else round(cpu * 1000),
        memory=None if gib is None else round(gib * GIB),
    )
    return Container(name=name, requests=amounts, **more)


def pod(*containers: Container, **more) -> Pod:
    return Pod(name="p", namespace="default", containers=containers, **more)


@pytest.mark.parametrize(
    ("cpu", "gib", "size"),
    [
        (1, 8, "2vCPU 9GB"),  # the user guide's own example
        (0, 0, "0.25vCPU 0.5GB"),
        (0.25, 0.25, "0.25vCPU 0.5GB"),
        (0.25, 0.26, "0.25vCPU 1GB"),
        (0.26, 0.1, "0.5vCPU 1GB"),
        (0.5, 3.75, "0.5vCPU 4GB"),
        (0.5, 4, "1vCPU 5GB"),
        (1, 4, "1vCPU 5GB"),
        (3, 2, "4vCPU 8GB"),
        (4, 30, "8vCPU 32GB"),
        (8, 60, "16vCPU 64GB"),
        (16, 119.75, "16vCPU 120GB"),
        (2, 100, "16vCPU 104GB"),
    ],
)
def test_what_is_requested_is_rounded_up_to_a_legal_pair(cpu, gib, size):
    fitting = fit(pod(container(cpu, gib)))

    assert fitting is not None
    assert str(fitting.size) == size


@pytest.mark.parametrize(("cpu", "gib"), [(16.001, 1), (1, 119.76), (17, 200)])
def test_what_is_larger_than_the_largest_pair_fits_nowhere(cpu, gib):
    assert fit(pod(container(cpu, gib))) is None


def test_containers_count_together_and_init_containers_each_alone():
    workers = (container(1, 1), container(0.5, 1, "worker"))

    together = fit(pod(*workers, init_containers=(container(0.25, 3, "a"), container(0.25, 2, "b"))))

    assert together is not None
    assert together.cpu_millis == 1500
    assert together.memory == 3 * GIB + OVERHEAD


def test_an_init_container_that_stays_counts_beside_the_containers_and_beside_later_ones():
    sidecar = container(0.5, 1, "sidecar", stays=True)

    beside = pod(container(1, 1), init_containers=(sidecar, container(2, 1, "later")))

    assert (beside.cpu_millis, beside.memory) == (2500, 2 * GIB)


@given(st.integers(0, 16_000), st.integers(0, 120 * GIB))
def test_the_size_is_legal_large_enough_and_the_first_that_is(cpu, memory):
    size = smallest(cpu, memory)

    assert size is not None
    assert size.gb in dict(GRID)[size.cpu_millis]
    assert size.cpu_millis >= cpu
    assert size.gb * GIB >= memory
    legal = [Size(row, gb) for row, choices in GRID for gb in choices if row >= cpu and gb * GIB >= memory]
    assert size == min(legal)


# The rises that the guide's table implies for a request that is exactly the top of a row.
@pytest.mark.parametrize(
    ("cpu", "gib", "saving"),
    [(0.25, 2, 0.44), (0.5, 4, 0.39), (1, 8, 0.37), (2, 16, 0.36), (4, 30, 0.37), (8, 60, 0.37)],
)
def test_a_request_just_over_a_cliff_is_told_how_much_a_quarter_gigabyte_costs(cpu, gib, saving):
    fitting = fit(pod(container(cpu, gib)))

    assert fitting is not None
    assert fitting.cliff is not None
    assert fitting.cliff.less_memory == 256 * MIB
    assert fitting.cliff.saving == pytest.approx(saving, abs=0.01)


def test_a_fifth_of_a_processor_too_much_is_no_cliff_but_a_twentieth_is():
    far, near = fit(pod(container(1.2, 4))), fit(pod(container(1, 4), container(0.05, 0.125, "worker")))

    assert far is not None
    assert far.cliff is None
    assert near is not None
    assert near.cliff is not None
    assert near.cliff.less_cpu_millis == 50
    assert str(near.cliff.size) == "1vCPU 5GB"


@given(st.integers(1, 16_000), st.integers(MIB, 119 * GIB))
def test_what_the_advice_says_is_what_one_gets(cpu, memory):
    amounts = Amounts(cpu_millis=cpu, memory=memory)
    fitting = fit(pod(Container(name="user", requests=amounts)))

    if fitting is not None and fitting.cliff is not None:
        cliff = fitting.cliff
        less = Amounts(cpu_millis=cpu - cliff.less_cpu_millis, memory=memory - cliff.less_memory)
        then = fit(pod(Container(name="user", requests=less)))
        assert then is not None
        assert then.size == cliff.size
        table = prices("us-east-1")
        before = table.fargate_hour(fitting.size.vcpu, fitting.size.gb)
        after = table.fargate_hour(then.size.vcpu, then.size.gb)
        assert 1 - after / before == pytest.approx(cliff.saving)


@pytest.mark.parametrize(
    ("requested", "provisioned"), [(0, 20), (1, 20), (13, 20), (20, 27), (100, 115), (154, 174.4)]
)
def test_storage_is_provisioned_with_a_tenth_and_five_gigabytes_on_top(requested, provisioned):
    assert provisioned_storage(requested * GIB) == pytest.approx(provisioned, abs=0.01)


def test_storage_above_175_fits_nowhere():
    storage = Amounts(cpu_millis=1000, memory=GIB, storage=155 * GIB)

    assert fit(pod(Container(name="user", requests=storage))) is None


def test_launches_come_in_a_burst_and_then_by_the_second():
    assert [ramp_seconds(n, Quota()) for n in (1, 20, 40, 1000)] == [0, 0, 1, 49]


def test_quota_and_addresses_bound_what_runs_at_once():
    size = Size(2000, 5)

    assert at_once(size, Quota()) is None
    assert at_once(size, Quota(vcpus=7)) == 3
    assert at_once(size, Quota(vcpus=100, addresses=11)) == 11
    assert at_once(size, Quota(vcpus=1)) == 0


def test_the_table_has_no_row_that_another_page_of_the_guide_denies():
    assert int(119.75 * GIB) == fargate.LARGEST_MEMORY
    assert sum(len(choices) for _, choices in GRID) == 3 + 4 + 7 + 13 + 23 + 12 + 12
