"""Removes what is kept for a time only. Every function is one short transaction's work: it removes a slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from trunkline.meta.query import page_of
from trunkline.meta.schema import decision, handin, job, log_batch, worker_event

if TYPE_CHECKING:
    from collections.abc import Sequence


def log_sizes(conn: sa.Connection, below: int | None, number: int) -> list[tuple[int, int, float]]:
    """Return ``(number, bytes, time of the last line)`` of log batches of all pipelines, newest first.

    Args:
        conn: connection of the transaction.
        below: return only rows with a smaller row number; None: all.
        number: the largest number of rows.
    """
    size = sa.func.length(log_batch.c.data)
    query = sa.select(log_batch.c.id, size, log_batch.c.last_ts).order_by(log_batch.c.id.desc()).limit(number)
    if below is not None:
        query = query.where(log_batch.c.id < below)
    return [(row[0], row[1], row[2]) for row in conn.execute(query)]


def remove_logs(conn: sa.Connection, up_to: int, number: int) -> int:
    """Delete the oldest log batches of all pipelines, none after ``up_to``; return how many they were.

    Args:
        conn: connection of the transaction.
        up_to: row number of the last batch that may be deleted.
        number: the largest number of rows to delete.
    """
    some = sa.select(log_batch.c.id).where(log_batch.c.id <= up_to).order_by(log_batch.c.id).limit(number)
    return conn.execute(log_batch.delete().where(log_batch.c.id.in_(some))).rowcount


def remove_decisions(
    conn: sa.Connection, pipeline_id: int, before: float, keep: Sequence[int], number: int
) -> int:
    """Delete old scaling decisions of a pipeline.

    Args:
        conn: a write transaction.
        pipeline_id: row number of the pipeline.
        before: those taken before this time go, seconds since the epoch.
        keep: how many of the newest stay whatever their age, and the most that stay.
        number: delete at most so many.

    Returns:
        How many were deleted.
    """
    return _remove(conn, decision, pipeline_id, before, keep, number)


def remove_events(
    conn: sa.Connection, pipeline_id: int, before: float, keep: Sequence[int], number: int
) -> int:
    """Delete old events of a pipeline's workers; as ``remove_decisions``.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        before: delete only events before this time, in seconds since the epoch.
        keep: row numbers of events to keep.
        number: the largest number of rows to delete.
    """
    return _remove(conn, worker_event, pipeline_id, before, keep, number)


def _remove(
    conn: sa.Connection, table: sa.Table, pipeline_id: int, before: float, keep: Sequence[int], number: int
) -> int:
    minimum, maximum = keep
    own_rows = sa.select(table.c.id).where(table.c.pipeline_id == pipeline_id)

    def beyond(count: int) -> int:
        """Return the number of the newest row beyond so many; 0 when there are not more."""
        query = own_rows.order_by(table.c.id.desc()).offset(count).limit(1)
        return int(conn.execute(query).scalar() or 0)

    spare, excess = beyond(minimum), beyond(maximum)
    if not spare:
        return 0
    old = sa.and_(table.c.id <= spare, table.c.at < before)
    removable = own_rows.where(sa.or_(table.c.id <= excess, old)).order_by(table.c.id).limit(number)
    return conn.execute(table.delete().where(table.c.id.in_(removable))).rowcount


def next_job_with_results(conn: sa.Connection, after: int) -> int | None:
    """Return the next job after a row number that still has results of its own."""
    later: int | None = conn.execute(
        sa.select(sa.func.min(handin.c.job_id)).where(handin.c.job_id > after)
    ).scalar()
    return later


def has_later_success(conn: sa.Connection, pipeline_id: int, job_id: int) -> bool:
    """Whether a good job of the pipeline came after a job.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        job_id: row number of the job.
    """
    successes = sa.select(job.c.id).where(job.c.state == "SUCCESS")
    query = page_of(successes, job.c.pipeline_id, job.c.id, pipeline_id)
    newest = conn.execute(query.limit(1)).scalar()
    return newest is not None and newest > job_id


def remove_results(conn: sa.Connection, job_id: int, number: int) -> int:
    """Delete results of an ended job; with the last of them its todo goes too. Return how many they were.

    Args:
        conn: connection of the transaction.
        job_id: row number of the job.
        number: the largest number of rows to delete.
    """
    some = sa.select(handin.c.id).where(handin.c.job_id == job_id).order_by(handin.c.id).limit(number)
    removed = conn.execute(handin.delete().where(handin.c.id.in_(some))).rowcount
    if removed < number:
        conn.execute(job.update().where(job.c.id == job_id).values(todo=None, obsolete=None))
    return removed
