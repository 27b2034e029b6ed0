"""Queries on the results of a job by their positions in what it runs."""

from __future__ import annotations

import sqlalchemy as sa

from trunkline.meta.query import Query
from trunkline.meta.schema import handin

_BEFORE = Query(
    sa.select(handin.c.first, handin.c.rows)
    .where(
        handin.c.job_id == sa.bindparam("job_id"),
        handin.c.first <= sa.bindparam("position"),
        sa.text("first IS NOT NULL"),  # that of ix_handin_first
    )
    .order_by(handin.c.first.desc())
    .limit(1)
)
_WITHIN = Query(
    sa.select(handin.c.first, handin.c.rows)
    .where(
        handin.c.job_id == sa.bindparam("job_id"),
        handin.c.first > sa.bindparam("after"),
        handin.c.first <= sa.bindparam("last"),
        sa.text("first IS NOT NULL"),
    )
    .order_by(handin.c.first)
)
_TAKEN_OVER = Query(
    sa.select(handin.c.rows).where(handin.c.job_id == sa.bindparam("job_id"), handin.c.first.is_(None))
)


def at(conn: sa.Connection, job_id: int, first: int, last: int) -> list[tuple[int, bytes]]:
    """Return the datum trees of the completions that may have positions of a range, each with its first position.

    Args:
        conn: connection of the transaction.
        job_id: number of the job.
        first: the first position.
        last: the last position.
    """
    before = _BEFORE.rows(conn, job_id=job_id, position=first)
    within = _WITHIN.rows(conn, job_id=job_id, after=first, last=last)
    return [(row[0], row[1]) for row in (*before, *within)]


def taken_over(conn: sa.Connection, job_id: int) -> list[bytes]:
    """Return the datum trees of results that a job took over from an earlier one, and empty ones."""
    return [row[0] for row in _TAKEN_OVER.rows(conn, job_id=job_id)]
