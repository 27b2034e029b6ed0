"""The kinds of work that workers run (docs/design/work.md).

A kind is a class here, a field of ``Assignment.work`` in the worker API, and a case of ``work_of``. Batches and
services are datums to the autoscaler: a service's one datum is claimed as long as its job runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from trunkline.meta import job_queue, jobs
from trunkline.model.states import JobState, WorkerState
from trunkline.pps.autoscaling import lookahead
from trunkline.scaling.policy import Demand

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.meta.workers import WorkerRow
    from trunkline.model.spec import PipelineSpec
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
    """The datums of a pipeline's oldest live job and of early parts; with ``job`` None there are none."""

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
        if running is None:
            return Demand(unclaimed=0, claimed=0, seconds_per_datum=None)
        unclaimed, claimed = job_queue.counts(conn, running.pipeline_id)
        return Demand(
            unclaimed=unclaimed,
            claimed=max(0, claimed),
            seconds_per_datum=lookahead.seconds_per_datum(conn, running) if unclaimed else None,
        )


class SpoutWork(Struct, frozen=True):
    """The program of a spout."""

    workers: Sequence[WorkerRow]

    def demand(self, conn: sa.Connection, now: float) -> Demand:
        """Return one piece of work: claimed while a worker runs the program."""
        del conn, now
        runs = any(row.state is WorkerState.BUSY for row in self.workers)
        return Demand(unclaimed=0 if runs else 1, claimed=1 if runs else 0, seconds_per_datum=None)


def work_of(
    specs: Specs, starts: Starts, spec: PipelineSpec, workers: Sequence[WorkerRow], job: JobRow | None
) -> Work:
    """Return the work of a pipeline.

    Args:
        specs: the parsed specifications.
        starts: how long workers take to start.
        spec: of the pipeline's current version.
        workers: of the pipeline.
        job: the pipeline's oldest live job; None without one.
    """
    return SpoutWork(workers) if spec.spout is not None else DatumWork(specs, starts, job)
