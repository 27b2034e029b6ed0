"""Details go when they are old or many; what is needed stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from pps_world import Failed, PpsWorld, Seen, pfs

from trunkline import errors
from trunkline.meta import pipelines, schema, workers
from trunkline.model.states import WorkerState
from trunkline.pps import logs, transactions
from trunkline.pps.retention import DECISIONS, Retention, RetentionService

if TYPE_CHECKING:
    from trunkline.pfs.writes import WriteTransaction

pytestmark = pytest.mark.parametrize("world", ["sqlite", "postgres"], indirect=True)

DAY = 86_400.0


def sweep(world: PpsWorld, **limits: float) -> None:
    world.has_all_events = False
    world.on_loop(RetentionService(world.versions, world.specs, Retention(**limits)).sweep())  # type: ignore[arg-type]


def count(world: PpsWorld, table: sa.Table) -> int:
    query = sa.select(sa.func.count()).select_from(table)
    return world.versions.read(lambda conn: int(conn.execute(query).scalar_one()))


def command(seen: Seen) -> dict[str, bytes]:
    if "/bad" in seen["images"]:
        raise Failed("the file is bad")
    return dict(seen["images"])


def test_results_of_a_failed_job_go_when_they_are_old_and_a_good_job_came_after(world: PpsWorld) -> None:
    world.repo("images")
    world.put("images", {"/bad": b"1"})
    world.pipeline("edges", pfs("images"))
    [hand] = world.hands("edges", 1, command)
    failed = hand.work_until_ended("edges")

    world.clock.ahead += 40 * DAY
    sweep(world)
    since_last_good = len(world.datums(failed))
    world.put("images", {"/good": b"2"}, deleted=["/bad"])
    hand.work_until_ended("edges")
    sweep(world)

    good, summary, *_ = world.jobs("edges")
    assert since_last_good == 1
    assert count(world, schema.handin) == 0
    assert (summary.state, summary.failed, summary.total) == ("FAILURE", 1, 1)
    assert summary.finished is not None
    assert world.datums(summary) == []
    assert len(world.datums(good)) == 1


def test_logs_go_by_age_and_by_size_oldest_first(world: PpsWorld) -> None:
    world.repo("images")
    number = world.pipeline("edges", pfs("images"))
    now = world.clock.now()

    def fill(write: WriteTransaction) -> None:
        for days in (50.0, 40.0, 3.0, 2.0, 1.0):
            line = logs.Line("", now - days * DAY, f"{days:g} days ago", user=True)
            logs.store(
                write, pipeline_id=number, job_id=None, worker_id="w", lines=[line], data=logs.pack([line])
            )

    world.versions.write(fill)
    size = len(logs.pack([logs.Line("", now - DAY, "1 days ago", user=True)]))

    sweep(world)
    by_age = count(world, schema.log_batch)
    sweep(world, log_bytes=2 * size + size // 2)

    assert by_age == 3
    assert count(world, schema.log_batch) == 2


def test_decisions_and_events_are_pruned_for_each_pipeline_and_the_newest_decisions_stay(
    world: PpsWorld,
) -> None:
    world.repo("images")
    numbers = [world.pipeline(name, pfs("images")) for name in ("left", "right")]
    world.stop_controller()

    def fill(write: WriteTransaction) -> None:
        write.conn.execute(schema.decision.delete())
        for position in range(DECISIONS[1] + 150):
            for number in numbers:  # by turns, so that each has every second row
                row = pipelines.DecisionRow(write.now, 1, f"decision {position}", {})
                pipelines.add_decision(write.conn, number, row)
        workers.add_events(write.conn, numbers[0], write.now, [("w", WorkerState.PENDING, "was requested")])

    world.versions.write(fill)

    sweep(world)
    by_size = [len(world.versions.read(pipelines.decisions, number, 10_000)) for number in numbers]
    world.clock.ahead += 40 * DAY
    sweep(world)
    by_age = [len(world.versions.read(pipelines.decisions, number, 10_000)) for number in numbers]

    assert by_size == [DECISIONS[1]] * 2
    assert by_age == [DECISIONS[0]] * 2
    assert count(world, schema.worker_event) == 0


def test_a_transaction_without_requests_for_a_day_is_removed(world: PpsWorld) -> None:
    old = world.versions.write(transactions.start)
    world.clock.ahead += 0.6 * DAY
    new = world.versions.write(transactions.start)
    world.clock.ahead += 0.6 * DAY

    sweep(world)

    with pytest.raises(errors.NotFound):
        world.versions.query(transactions.open_transaction, old.id)
    assert world.versions.query(transactions.open_transactions) == [new]
