"""Alerts that specifications ask for."""

from __future__ import annotations

import pytest

from trunkline.model import spec
from trunkline.pps.queries import alerts


@pytest.mark.parametrize(
    ("ready", "number"),
    [([], 0), ([9_000.0], 0), ([6_400.0], 0), ([6_399.0], 1), ([9_000.0, 6_000.0], 1)],
)
def test_workers_that_run_longer_than_expected_cause_one_alert(ready, number):
    specification = spec.from_json({"pipeline": {"name": "p"}, "maximum_expected_uptime": "3600s"})

    assert len(alerts.uptime(specification, ready, now=10_000.0)) == number


def test_without_an_expectation_there_is_no_alert():
    assert alerts.uptime(spec.from_json({"pipeline": {"name": "p"}}), [0.0], now=1e9) == []
