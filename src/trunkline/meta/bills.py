"""Queries and writes on bills: the final costs of the workers of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta.query import ListQuery, Query
from trunkline.meta.schema import job_bill, pipeline, worker_past

if TYPE_CHECKING:
    from collections.abc import Sequence


class BillRow(Struct, frozen=True):
    """A job's bill."""

    job_id: int
    #: Seconds that workers existed, starts included.
    worker_seconds: float
    #: US dollars for the seconds that have a price.
    dollars: float
    unpriced_seconds: float
    #: Whether a machine of a simulation is in it.
    pretended: bool


_BILL = sa.select(*(job_bill.c[name] for name in BillRow.__struct_fields__))
_OF_JOBS = ListQuery(_BILL, job_bill.c.job_id)
_BILLED = Query(sa.select(pipeline.c.billed_job_id).where(pipeline.c.id == sa.bindparam("pipeline_id")))


def of_jobs(conn: sa.Connection, job_ids: Sequence[int]) -> dict[int, BillRow]:
    """Return the bills of those of the jobs that have one, by job."""
    return {row[0]: BillRow(*row) for row in _OF_JOBS.rows(conn, job_ids)}


def billed_up_to(conn: sa.Connection, pipeline_id: int) -> int:
    """Return the row number of the newest job of a pipeline that has a bill; 0 without any."""
    return int(_BILLED.value(conn, pipeline_id=pipeline_id) or 0)


def add(conn: sa.Connection, pipeline_id: int, rows: Sequence[BillRow]) -> None:
    """Insert the bills of the next jobs of a pipeline, in the order of the jobs.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        rows: the bills.
    """
    conn.execute(
        job_bill.insert(), [{name: getattr(row, name) for name in BillRow.__struct_fields__} for row in rows]
    )
    conn.execute(pipeline.update().where(pipeline.c.id == pipeline_id).values(billed_job_id=rows[-1].job_id))


def forget_past_workers(conn: sa.Connection, pipeline_id: int, ended_before: float, number: int) -> int:
    """Delete past workers of a pipeline that no open bill needs.

    Args:
        conn: a write transaction.
        pipeline_id: row number of the pipeline.
        ended_before: only those that ended before this time, seconds since the epoch.
        number: at most so many.

    Returns:
        How many were deleted.
    """
    oldest = (
        sa.select(worker_past.c.id)
        .where(worker_past.c.pipeline_id == pipeline_id, worker_past.c.ended < ended_before)
        .order_by(worker_past.c.ended)
        .limit(number)
    )
    return conn.execute(worker_past.delete().where(worker_past.c.id.in_(oldest))).rowcount
