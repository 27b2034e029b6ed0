"""Alerts that specifications ask for."""

from __future__ import annotations

import json
import logging

import pytest
import sqlalchemy as sa
from pps_world import pfs

from trunkline.meta.schema import event_batch
from trunkline.model import spec
from trunkline.pps.alert_watch import AlertWatch
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


def test_an_alert_is_reported_when_it_begins_and_when_it_ends(world, caplog):
    world.repo("in")
    world.put("in", {"/a": b"1"})
    world.pipeline("copy", pfs("in"), autoscaling=True, maximum_expected_uptime="3600s")
    world.staffed("copy", lambda _: {})
    watch = AlertWatch(world.versions, world.specs)

    def levels() -> list[int]:
        return [
            record.levelno for record in caplog.records if getattr(record, "action", "") == "alerts_changed"
        ]

    caplog.set_level(logging.INFO, logger="trunkline")
    world.on_loop(watch.step())
    world.clock.ahead += 4000
    world.on_loop(watch.step())
    world.on_loop(watch.step())
    world.until(lambda: levels() == [logging.WARNING], "the record of the alert")
    world.clock.ahead -= 4000
    world.on_loop(watch.step())
    world.until(lambda: levels() == [logging.WARNING, logging.INFO], "the record of its end")

    rows = world.versions.read(lambda conn: conn.execute(sa.select(event_batch.c.body)).scalars().all())
    happened = [json.loads(line) for body in rows for line in body.splitlines()]
    assert [len(each["alerts"]) for each in happened if "alerts" in each] == [1, 0]
