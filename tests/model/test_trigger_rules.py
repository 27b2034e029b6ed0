"""The conditions of triggers."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.errors import InvalidArgument
from trunkline.model.spec import Trigger
from trunkline.model.trigger_rules import Point, SetTrigger, check, fires, from_json, parse_size

NOON = 1_000_000_800.0


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        (Trigger(size="1KB"), True),
        (Trigger(size="1.1k"), False),
        (Trigger(commits=3), True),
        (Trigger(commits=4), False),
        (Trigger(rate_limit_spec="@every 1m"), True),
        (Trigger(rate_limit_spec="@every 2m"), False),
        (Trigger(size="1GB", commits=3), True),
        (Trigger(size="1GB", commits=3, all=True), False),
        (Trigger(size="1KB", commits=3, rate_limit_spec="@every 1m", all=True), True),
    ],
)
def test_a_trigger_fires_when_one_condition_holds_or_all_do(trigger: Trigger, expected: bool) -> None:
    old, new = Point(500, NOON), Point(1500, NOON + 90)

    assert fires(trigger, old, new, 3) is expected


def test_a_branch_without_a_head_counts_from_nothing() -> None:
    assert fires(Trigger(size="1KB"), None, Point(1000, NOON), 1)
    assert fires(Trigger(rate_limit_spec="@yearly"), None, Point(0, NOON), 1)


@pytest.mark.parametrize(("text", "size"), [("5", 5), ("1.5K", 1500), ("2 MiB", 2_000_000), ("1tb", 10**12)])
def test_a_size_has_a_decimal_unit(text: str, size: int) -> None:
    assert parse_size(text, "size") == size


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({}, "trigger has no condition"),
        ({"branch": "", "commits": 1}, "trigger.branch"),
        ({"branch": "own", "commits": 1}, "trigger.branch"),
        ({"branch": "a b", "commits": 1}, "name (a b)"),
        ({"commits": -1}, "trigger.commits"),
        ({"size": "big"}, "trigger.size"),
        ({"rate_limit_spec": "hourly"}, "trigger.rate_limit_spec"),
        ({"cron_spec": "@x"}, "trigger.cron_spec"),
        ({"cron_spec": "@daily", "commits": 2}, "trigger has cron_spec beside"),
    ],
)
def test_a_trigger_that_is_not_valid_is_refused_with_its_field(fields: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check(Trigger(**{"branch": "master", **fields}), "own", "trigger")

    assert caught.value.message.startswith(place)


def test_a_trigger_is_the_same_after_it_was_stored() -> None:
    stored = SetTrigger(Trigger(branch="master", size="1K", commits=2, all=True), "0" * 32)

    assert from_json(stored.to_json()) == stored
