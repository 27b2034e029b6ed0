"""Prices: the provider's arithmetic, and price files."""

from __future__ import annotations

import pytest

from trunkline.errors import InvalidArgument, NotFound
from trunkline.scaling.price_table import TABLE
from trunkline.scaling.prices import billed, prices

EAST = prices("us-east-1")


def test_the_first_worked_example_of_the_pricing_page():
    """aws.amazon.com/fargate/pricing, example 1: 5 pods of 1 vCPU and 2 GB, 10 minutes a day for 30 days.

    The page adds 2.51 USD with its rounded steps: 1.01 for processors and 0.22 for memory at ten minutes,
    that is, per vCPU-second 0.000011244 and per GB-second 0.000001235.
    """
    run = billed(600, EAST.fargate_hour(1, 2))

    assert run * 5 * 30 == pytest.approx(1.012 + 0.222, abs=0.01)


def test_the_rates_by_the_second_are_those_of_the_pricing_page():
    assert EAST.vcpu / 3600 == pytest.approx(0.000011244, abs=1e-9)
    assert EAST.gb / 3600 == pytest.approx(0.000001235, abs=1e-9)


def test_storage_above_twenty_gigabytes_is_paid_and_the_first_twenty_are_not():
    assert EAST.fargate_hour(1, 2, 20) == EAST.fargate_hour(1, 2)
    assert EAST.fargate_hour(1, 2, 120) == pytest.approx(EAST.fargate_hour(1, 2) + 100 * 0.000111)


@pytest.mark.parametrize(("seconds", "paid"), [(0, 60), (1, 60), (60, 60), (60.5, 60.5), (7200, 7200)])
def test_seconds_are_paid_and_a_minute_at_least(seconds, paid):
    assert billed(seconds, 3600) == pytest.approx(paid)


def test_four_processors_and_sixteen_gigabytes_beside_an_m5_xlarge():
    assert EAST.fargate_hour(4, 16) == pytest.approx(0.23304)
    assert EAST.machine_hour("m5", 4) == pytest.approx(0.192)
    assert EAST.machine_hour("m5", 4, spot=True) == pytest.approx(0.192 * TABLE["spot_share"])
    assert EAST.machine_hour("p5", 192) is None


def test_a_region_without_prices_is_told_with_those_that_have_some():
    with pytest.raises(
        NotFound, match='no prices for region "af-south-1" in the table of 2026-03, which has ap-'
    ):
        prices("af-south-1")


def test_a_price_file_adds_a_region_and_changes_another_and_leaves_the_rest():
    overlay = {
        "as_of": "2026-11",
        "regions": {
            "af-south-1": {"fargate": {"vcpu": 0.05, "gb": 0.006}},
            "us-east-1": {"fargate": {"vcpu": 0.03}, "ec2": {"m8": 0.05}},
        },
    }

    africa, virginia = prices("af-south-1", overlay), prices("us-east-1", overlay)

    assert (africa.vcpu, africa.storage_gb, africa.as_of) == (0.05, None, "2026-11")
    assert (virginia.vcpu, virginia.gb) == (0.03, EAST.gb)
    assert virginia.machine_hour("m8", 2) == pytest.approx(0.1)
    assert virginia.machine_hour("m5", 4) == pytest.approx(0.192)
    assert prices("us-east-1") == EAST


def test_storage_without_a_price_says_so():
    ireland = prices("eu-west-1")

    assert ireland.storage_is_priced(20)
    assert not ireland.storage_is_priced(21)
    assert EAST.storage_is_priced(100)


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ([], "is not a price table"),
        ({"region": {}}, 'has the unknown field "region"'),
        ({"regions": []}, "is not a price table"),
        ({"regions": {"x": {"lambda": {}}}}, "may hold fargate and ec2"),
        ({"regions": {"x": {"fargate": 1}}}, "holds no prices"),
        ({"regions": {"x": {"fargate": {"cpu": 1}}}}, "may hold vcpu, gb and storage_gb"),
        ({"regions": {"x": {"fargate": {"vcpu": "1"}}}}, "fargate.vcpu is '1'; write US dollars per hour"),
        ({"regions": {"x": {"fargate": {"vcpu": -1}}}}, "fargate.vcpu is -1"),
        ({"regions": {"x": {"ec2": {"m5": True}}}}, "ec2.m5 is True"),
        ({"spot_share": 2}, "spot_share is 2"),
        ({"as_of": 2026}, "as_of is 2026; write a string"),
        ({"regions": {"us-east-9": {"fargate": {"vcpu": 1}}}}, "has no gb; add it"),
    ],
)
def test_a_broken_price_file_is_told_where_it_is_broken(overlay, words):
    with pytest.raises(InvalidArgument) as refusal:
        prices("us-east-9", overlay, "mine.json")

    assert refusal.value.message.startswith("mine.json")
    assert words in refusal.value.message


def test_every_region_of_the_table_can_be_asked():
    for region in TABLE["regions"]:
        assert prices(region).fargate_hour(0.25, 0.5) > 0
