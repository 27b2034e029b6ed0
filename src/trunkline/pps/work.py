"""The kinds of work that workers run.

Runs of datums are the only kind of work so far. Another kind (a service, a spout, a batch) is another class here,
another field of ``Assignment.work`` in the worker API, and another case of ``work_of``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from trunkline.meta import claims as claim_rows
from trunkline.meta import jobs
from trunkline.model.states import JobState
from trunkline.pps.autoscaling import lookahead
from trunkline.scaling.policy import Demand

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.pps.autoscaling.startup_times import Starts
    from trunkline.pps.spec_cache import Specs


class Work(Protocol):
    """Work that workers run."""

    def demand(self, conn: sa.Connection, now: float) -> Demand:
        """Return how much of it is waiting and running, in the snapshot of ``conn``.

        Args:
            conn: the snapshot.
            now: seconds since the epoch.
        """


class DatumWork(Struct, frozen=True):
    """The datums of a pipeline's oldest live job; with ``job`` None there are none."""

    specs: Specs
    starts: Starts
    job: JobRow | None

    def demand(self, conn: sa.Connection, now: float) -> Demand:
        """Return the datums that wait and run, or that will come once the upstream jobs are done."""
        running = jobs.by_id(conn, self.job.id) if self.job is not None else None
        if running is not None and running.state is JobState.CREATED:
            datums, seconds = lookahead.foreseen(conn, self.specs, self.starts, running, now)
            return Demand(
                unclaimed=0, claimed=0, seconds_per_datum=None, foreseen=datums, foreseen_in=seconds
            )
        if running is None or running.state is not JobState.RUNNING:
            return Demand(unclaimed=0, claimed=0, seconds_per_datum=None)
        unclaimed = claim_rows.unclaimed(conn, running)
        return Demand(
            unclaimed=unclaimed,
            claimed=max(0, running.todo_count - running.handed_in - unclaimed),
            seconds_per_datum=lookahead.seconds_per_datum(conn, running) if unclaimed else None,
        )


def work_of(specs: Specs, starts: Starts, job: JobRow | None) -> Work:
    """Return the work of a pipeline.

    Args:
        specs: the parsed specifications.
        starts: how long workers take to start.
        job: the pipeline's oldest live job; None without one.
    """
    return DatumWork(specs, starts, job)
