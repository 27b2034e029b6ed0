"""Queries and writes on stored log batches."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from trunkline.meta.schema import log_batch


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch of log lines."""

    id: int
    pipeline_id: int
    job_id: int | None
    worker_id: str
    first_ts: float
    last_ts: float
    lines: int
    data: bytes


_BATCH = sa.select(*(log_batch.c[name] for name in BatchRow.__slots__))


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
) -> None:
    """Insert a batch."""
    conn.execute(
        log_batch.insert().values(
            pipeline_id=pipeline_id, job_id=job_id, worker_id=worker_id, first_ts=first_ts, last_ts=last_ts,
            lines=lines, data=data,
        )
    )  # fmt: skip


def page(
    conn: sa.Connection, *, pipeline_id: int, job_id: int | None, after: int, since: float, number: int
) -> list[BatchRow]:
    """Return batches in the order they came, those numbered over ``after`` that reach past ``since``."""
    query = _BATCH.where(
        log_batch.c.pipeline_id == pipeline_id, log_batch.c.id > after, log_batch.c.last_ts >= since
    )
    if job_id is not None:
        query = query.where(log_batch.c.job_id == job_id)
    return [BatchRow(*row) for row in conn.execute(query.order_by(log_batch.c.id).limit(number))]


def remove_of_pipeline(conn: sa.Connection, pipeline_id: int) -> None:
    """Delete a pipeline's logs."""
    conn.execute(log_batch.delete().where(log_batch.c.pipeline_id == pipeline_id))
