"""Queries and writes on stored log batches."""

from __future__ import annotations

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta.query import Query, page_of
from trunkline.meta.schema import log_batch


class BatchInfo(Struct, frozen=True):
    """A batch of log lines, without them."""

    id: int
    pipeline_id: int
    job_id: int | None
    worker_id: str
    #: Time of its first and its last line, seconds since the epoch.
    first_ts: float
    last_ts: float
    lines: int


_ADD = Query(log_batch.insert().returning(log_batch.c.id))
_OLDEST = Query(sa.select(log_batch.c.id, log_batch.c.first_ts).order_by(log_batch.c.id).limit(1))
_FROM = Query(
    sa.select(log_batch.c.id, log_batch.c.last_ts)
    .where(log_batch.c.pipeline_id == sa.bindparam("pipeline_id"), log_batch.c.id >= sa.bindparam("number"))
    .order_by(log_batch.c.id)
    .limit(1)
)
_LAST = Query(
    sa.select(log_batch.c.id)
    .where(log_batch.c.pipeline_id == sa.bindparam("pipeline_id"))
    .order_by(log_batch.c.id.desc())
    .limit(1)
)
_DATA = Query(sa.select(log_batch.c.data).where(log_batch.c.id == sa.bindparam("batch_id")))


def add(
    conn: sa.Connection,
    *,
    pipeline_id: int,
    job_id: int | None,
    worker_id: str,
    first_ts: float,
    last_ts: float,
    lines: int,
    data: bytes,
) -> int:
    """Insert a batch; return its row number.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        job_id: row number of the job; None: lines that belong to no job.
        worker_id: id of the worker.
        first_ts: time of the first line, in seconds since the epoch.
        last_ts: time of the last line, in seconds since the epoch.
        lines: how many lines the batch has.
        data: the packed lines.
    """
    number: int = _ADD.value(
        conn, pipeline_id=pipeline_id, job_id=job_id, worker_id=worker_id, first_ts=first_ts, last_ts=last_ts,
        lines=lines, data=data,
    )  # fmt: skip
    return number


def page(
    conn: sa.Connection,
    *,
    pipeline_id: int,
    job_id: int | None,
    beyond: int | None,
    newest_first: bool = False,
    number: int,
) -> list[BatchInfo]:
    """Return a page of batches without their data, in the order they came unless ``newest_first``.

    Args:
        conn: a snapshot.
        pipeline_id: whose logs.
        job_id: only those of this job; None for all.
        beyond: only batches after this one in the order of the page; None from the beginning.
        newest_first: the order.
        number: at most so many.
    """
    query = sa.select(*(log_batch.c[name] for name in BatchInfo.__struct_fields__))
    owner = (log_batch.c.pipeline_id, log_batch.c.id, pipeline_id)
    if job_id is not None:
        query = query.where(log_batch.c.pipeline_id == pipeline_id)
        owner = (log_batch.c.job_id, log_batch.c.id, job_id)
    query = page_of(query, *owner, beyond=beyond, oldest_first=not newest_first)
    return [BatchInfo(*row) for row in conn.execute(query.limit(number))]


def first_since(conn: sa.Connection, pipeline_id: int, since: float) -> int:
    """Return the row number of a pipeline's first batch with a line of that time or later.

    Found by bisection: batches come nearly in the order of their lines. One beyond the last batch without any.

    Args:
        conn: a snapshot.
        pipeline_id: whose logs.
        since: seconds since the epoch.
    """
    low, high = 1, newest(conn, pipeline_id) + 1
    while low < high:
        middle = (low + high) // 2
        row = _FROM.first(conn, pipeline_id=pipeline_id, number=middle)
        if row is None or row[1] >= since:
            high = middle
        else:
            low = int(row[0]) + 1
    return low


def newest(conn: sa.Connection, pipeline_id: int) -> int:
    """Return the row number of a pipeline's last batch; 0 when it has none."""
    number: int = _LAST.value(conn, pipeline_id=pipeline_id) or 0
    return number


def data(conn: sa.Connection, batch_id: int) -> bytes | None:
    """Return the lines of a batch, compressed; None when it was removed."""
    content: bytes | None = _DATA.value(conn, batch_id=batch_id)
    return content


def of_log(conn: sa.Connection, *, pipeline_id: int, job_id: int | None, worker_id: str) -> list[BatchInfo]:
    """Return all batches of a log without their data, in the order they came.

    Args:
        conn: a snapshot.
        pipeline_id: whose logs.
        job_id: only those of this job; None for all.
        worker_id: only those of this worker; empty for all.
    """
    query = sa.select(*(log_batch.c[name] for name in BatchInfo.__struct_fields__))
    query = query.where(
        log_batch.c.job_id == job_id if job_id is not None else log_batch.c.pipeline_id == pipeline_id
    )
    if worker_id:
        query = query.where(log_batch.c.worker_id == worker_id)
    return [BatchInfo(*row) for row in conn.execute(query.order_by(log_batch.c.id))]


def oldest(conn: sa.Connection) -> tuple[int, float] | None:
    """Return number and begin of the oldest batch of all pipelines; None without any."""
    row = _OLDEST.first(conn)
    return (int(row[0]), float(row[1])) if row is not None else None


def more_than(conn: sa.Connection, pipeline_id: int, number: int) -> bool:
    """Whether a pipeline has more than so many batches.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        number: the number of batches to compare with.
    """
    query = sa.select(log_batch.c.id).where(log_batch.c.pipeline_id == pipeline_id).offset(number).limit(1)
    return conn.execute(query).first() is not None


def remove_oldest(conn: sa.Connection, pipeline_id: int, number: int) -> int:
    """Delete the oldest batches of a pipeline; return how many they were.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        number: the largest number of rows to delete.
    """
    some = (
        sa.select(log_batch.c.id)
        .where(log_batch.c.pipeline_id == pipeline_id)
        .order_by(log_batch.c.id)
        .limit(number)
    )
    return conn.execute(log_batch.delete().where(log_batch.c.id.in_(some))).rowcount
