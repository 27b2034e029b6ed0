"""One run on Fargate, on a node group and on Karpenter's nodes: time and money by hand and by the forecast."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from trunkline.scaling import placement
from trunkline.scaling.fargate import Quota
from trunkline.scaling.nodes import TYPES
from trunkline.scaling.placement import Run, StartUp, fargate_start_up, on_fargate, on_nodes, started
from trunkline.scaling.pods import GIB, Amounts, Container, Pod
from trunkline.scaling.prices import prices

EAST = prices("us-east-1")
POD = Pod(
    name="p",
    namespace="default",
    containers=(Container(name="user", requests=Amounts(cpu_millis=1000, memory=4 * GIB)),),
)
RUN = Run(pod=POD, workers=5, datums=500, seconds_per_datum=10.0)
START = StartUp(machine=40.0, pull=20.0)


def test_the_policy_that_runs_says_how_many_workers_start():
    assert started(RUN, START) == 5
    assert started(replace(RUN, datums=12), START) == 5  # each ends sooner with a worker of its own
    assert (
        started(replace(RUN, datums=12, seconds_per_datum=1.0), START) == 2
    )  # seven fit into a tenth of a start
    assert started(replace(RUN, datums=1), START) == 1
    assert started(replace(RUN, datums=1, autoscaling=False), START) == 5


def test_a_run_on_fargate_takes_a_start_up_and_its_share_and_pays_from_the_image_on():
    forecast = on_fargate(RUN, EAST, START)

    assert forecast is not None
    assert (forecast.place, forecast.machine, forecast.workers) == ("fargate", "1vCPU 5GB", 5)
    assert forecast.seconds == 60 + 1000
    # Each is kept a second when its work is done, as long as the policy keeps one without prospects.
    assert forecast.paid_seconds == 5 * (20 + 1000 + 1)
    assert forecast.dollars == pytest.approx(5 * 1021 / 3600 * (0.04048 + 5 * 0.004445))


def test_datums_that_do_not_divide_make_some_workers_longer():
    forecast = on_fargate(replace(RUN, datums=502), EAST, START)

    assert forecast is not None
    assert forecast.seconds == 60 + 1010
    assert forecast.paid_seconds == 2 * (21 + 1010) + 3 * (21 + 1000)


def test_a_worker_that_lives_shorter_than_a_minute_pays_a_minute():
    short = replace(RUN, datums=5, seconds_per_datum=1.0, autoscaling=False)

    forecast = on_fargate(short, EAST, START)

    assert forecast is not None
    assert forecast.dollars == pytest.approx(5 * 60 / 3600 * (0.04048 + 5 * 0.004445))


def test_a_quota_lowers_the_workers_and_many_come_by_the_second():
    few = on_fargate(RUN, EAST, START, Quota(vcpus=2))
    many = on_fargate(replace(RUN, workers=120, datums=12_000), EAST, START)

    assert few is not None
    assert few.workers == 2
    assert many is not None
    assert many.seconds == 60 + 5 + 1000


def test_what_does_not_fit_fargate_has_no_forecast_there_but_one_on_nodes():
    large = replace(
        POD, containers=(Container(name="user", requests=Amounts(cpu_millis=20_000, memory=GIB)),)
    )

    assert on_fargate(replace(RUN, pod=large), EAST, START) is None
    assert on_nodes(replace(RUN, pod=large), EAST, karpenter=True) is not None


def test_a_node_group_pays_for_boot_work_and_its_idle_tail():
    only = tuple(type_ for type_ in TYPES if type_.name == "m5.xlarge")

    forecast = on_nodes(RUN, EAST, karpenter=False, unneeded=600, types=only)

    assert forecast is not None
    # Three workers of 1 CPU fit a machine of 4; 65 s boot, 12 s pull, 1 s kept, 600 s unneeded, 10 s scan.
    assert (forecast.machines, forecast.workers) == (2, 5)
    assert forecast.seconds == 10 + 65 + 12 + 1000
    assert forecast.paid_seconds == 2 * (65 + 12 + 1000 + 1 + 610)
    assert forecast.dollars == pytest.approx(2 * 1688 / 3600 * 0.192)


def test_the_shorter_the_tail_the_cheaper_and_spot_is_cheaper_still():
    usual = on_nodes(RUN, EAST, karpenter=False)
    short = on_nodes(RUN, EAST, karpenter=False, unneeded=60)
    karpenter = on_nodes(RUN, EAST, karpenter=True)
    spot = on_nodes(RUN, EAST, karpenter=True, spot=True)

    assert usual
    assert short
    assert karpenter
    assert spot
    dollars = [forecast.dollars or 0 for forecast in (usual, short, karpenter, spot)]
    assert dollars == sorted(dollars, reverse=True)


def test_a_short_burst_is_cheaper_on_fargate_and_a_long_one_on_nodes():
    short, long = replace(RUN, workers=7, datums=50), replace(RUN, workers=7, datums=5000)

    for run, cheaper_on_fargate in ((short, True), (long, False)):
        fargate, nodes = on_fargate(run, EAST), on_nodes(run, EAST, karpenter=False)
        assert fargate
        assert nodes
        assert fargate.dollars
        assert nodes.dollars
        assert (fargate.dollars < nodes.dollars) is cheaper_on_fargate
        assert nodes.break_even is not None


def test_at_the_break_even_both_cost_the_same():
    full = replace(RUN, workers=7)  # as many as a machine of eight processors holds
    nodes = on_nodes(full, EAST, karpenter=False)
    assert nodes is not None
    assert nodes.break_even is not None

    at = replace(full, datums=7, seconds_per_datum=nodes.break_even)
    fargate, group = on_fargate(at, EAST), on_nodes(at, EAST, karpenter=False)

    assert fargate
    assert group
    assert fargate.dollars == pytest.approx(group.dollars)


def test_a_measured_start_up_pays_for_what_comes_after_the_machine():
    assert fargate_start_up() == StartUp(machine=38.0, pull=12.0)
    assert fargate_start_up(image_gb=2.0).seconds == 38 + 36
    assert fargate_start_up(measured=100.0) == StartUp(machine=38.0, pull=62.0)
    assert fargate_start_up(measured=9.0) == StartUp(machine=9.0, pull=0.0)


def test_machines_that_stay_half_empty_never_become_the_cheaper_ones():
    five = on_nodes(RUN, EAST, karpenter=True)

    assert five is not None
    assert five.break_even is None


def test_without_prices_times_are_known_and_money_is_not():
    fargate, nodes = on_fargate(RUN, None, START), on_nodes(RUN, None, karpenter=True)

    assert fargate
    assert nodes
    assert (fargate.dollars, nodes.dollars) == (None, None)
    assert nodes.seconds == placement.BATCH + placement.NODE_BOOT + placement.PULL + 1000


@given(st.integers(1, 64), st.integers(1, 10_000), st.floats(0.01, 100))
def test_nobody_is_paid_for_less_than_the_work(workers, datums, seconds):
    run = replace(RUN, workers=workers, datums=datums, seconds_per_datum=seconds)

    for forecast in (on_fargate(run, EAST, START), on_nodes(run, EAST, karpenter=True)):
        assert forecast is not None
        assert forecast.workers <= min(workers, datums)
        assert forecast.paid_seconds >= (
            datums * seconds * 0.999 if forecast.place == "fargate" else forecast.machines
        )
        assert forecast.seconds >= datums * seconds / workers * 0.999
