"""Gauges of a metrics scrape: queues, workers, stored bytes. The cost depends on live objects, not on history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from trunkline.meta import chunks, job_queue, jobs, pipelines, workers

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa


class PipelineGauges(Struct, frozen=True):
    """A pipeline at the time of a scrape."""

    project: str
    pipeline: str
    state: str
    #: Datums that wait for a worker.
    queue: int
    #: Seconds since the oldest unfinished job was created; 0 without one.
    oldest: float
    #: Workers by state.
    workers: Mapping[str, int] = field(default_factory=dict)


class Gauges(Struct, frozen=True):
    """The server at the time of a scrape."""

    pipelines: list[PipelineGauges]
    #: Bytes by kind: written by clients and workers, in chunks after deduplication, stored after compression.
    storage: Mapping[str, int]


def read(conn: sa.Connection, now: float) -> Gauges:
    """Return the gauges.

    Args:
        conn: a snapshot of the database.
        now: seconds since the epoch.
    """
    gauges = []
    for row in pipelines.list_all(conn, []):
        live = jobs.live(conn, row.id)
        by_state: dict[str, int] = {}
        for worker in workers.of_pipeline(conn, row.id):
            by_state[str(worker.state)] = by_state.get(str(worker.state), 0) + 1
        queue, _ = job_queue.counts(conn, row.id)
        oldest = max((now - job.created for job in live), default=0.0)
        gauges.append(PipelineGauges(row.project, row.name, str(row.state), queue, oldest, by_state))
    _, _, stored, deduplicated, written = chunks.totals(conn)
    storage = {"written": written, "chunks": deduplicated, "stored": stored}
    return Gauges(gauges, storage)
