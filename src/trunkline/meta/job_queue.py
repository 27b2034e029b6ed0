"""Queries on the live jobs of a pipeline in their order: which have work for workers, and how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from trunkline.meta.jobs import JobRow
from trunkline.meta.query import Query, page_of
from trunkline.meta.schema import claim, job
from trunkline.model.states import ClaimState, JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Jobs that are looked at from the oldest live one on. Those behind them neither have an early part nor get one.
MOST_AHEAD = 256

_live = job.alias("live")
_IN_FRONT = job.c.id.in_(
    # By ix_job_live: what has ended is not read. With ``pipeline_id = X`` SQLite takes the index of all jobs.
    page_of(
        sa.select(_live.c.id).where(_live.c.finished.is_(None)),
        _live.c.pipeline_id,
        _live.c.id,
        sa.bindparam("pipeline_id", type_=sa.BigInteger),
        oldest_first=True,
    ).limit(MOST_AHEAD + 1)
)
#: Jobs whose datums workers may complete (``JobRow.takes_results``).
_OPEN = sa.and_(
    _IN_FRONT,
    sa.or_(
        job.c.state == JobState.RUNNING,
        sa.and_(job.c.state == JobState.STARTING, job.c.early.is_not(None)),
    ),
)
#: Those whose datums may be claimed: a job with a failed datum in its early part ends as a failure.
_MAY_BE_CLAIMED = sa.or_(job.c.state == JobState.RUNNING, job.c.failed == 0)
_RETURNED = sa.and_(claim.c.job_id == job.c.id, claim.c.state == ClaimState.FREE)
_RETURNED_DATUMS = (
    sa.select(sa.func.coalesce(sa.func.sum(claim.c.stop - claim.c.done), 0))
    .where(_RETURNED)
    .correlate(job)
    .scalar_subquery()
)
_NEXT = Query(
    sa.select(*(job.c[name] for name in JobRow.__struct_fields__))
    .where(
        _OPEN,
        _MAY_BE_CLAIMED,
        sa.or_(job.c.cursor < job.c.todo_count, sa.exists().where(_RETURNED).correlate(job)),
    )
    .order_by(job.c.id)
    .limit(1)
)
_COUNTS = Query(
    sa.select(
        sa.func.coalesce(
            sa.func.sum(
                sa.case((_MAY_BE_CLAIMED, job.c.todo_count - job.c.cursor + _RETURNED_DATUMS), else_=0)
            ),
            0,
        ),
        sa.func.coalesce(
            sa.func.sum(job.c.cursor - job.c.processed - job.c.failed - job.c.recovered - _RETURNED_DATUMS),
            0,
        ),
    ).where(_OPEN)
)
_FRONT = Query(
    sa.select(job.c.id, job.c.commit_id, job.c.state, job.c.early_changes.is_not(None))
    .where(_IN_FRONT)
    .order_by(job.c.id)
)
_FRONT_TREES = Query(
    sa.select(job.c.id, job.c.version, job.c.obsolete, job.c.early_changes)
    .where(_IN_FRONT)
    .order_by(job.c.id)
)


class LiveJob(NamedTuple):
    """A live job in the order of a pipeline."""

    id: int
    commit_id: int
    state: JobState
    #: Its early part was worked out.
    looked_at: bool


class ChainedJob(NamedTuple):
    """A live job with the trees that say what it changes."""

    id: int
    version: int
    #: Of the plan.
    obsolete: bytes | None
    early_changes: bytes | None


def next_with_work(conn: sa.Connection, pipeline_id: int) -> JobRow | None:
    """Return the oldest job of a pipeline that has datums to be claimed."""
    row = _NEXT.first(conn, pipeline_id=pipeline_id)
    return JobRow(*row) if row else None


def counts(conn: sa.Connection, pipeline_id: int) -> tuple[int, int]:
    """Return how many datums of a pipeline's jobs wait for a worker, and how many workers hold."""
    row = _COUNTS.first(conn, pipeline_id=pipeline_id)
    assert row is not None
    return int(row[0]), int(row[1])


def front(conn: sa.Connection, pipeline_id: int) -> Sequence[LiveJob]:
    """Return the oldest live jobs of a pipeline, in order, ``MOST_AHEAD`` behind the first."""
    return [
        LiveJob(row[0], row[1], JobState(row[2]), bool(row[3]))
        for row in _FRONT.rows(conn, pipeline_id=pipeline_id)
    ]


def chain(conn: sa.Connection, pipeline_id: int, job_id: int) -> Sequence[ChainedJob]:
    """Return the live jobs of a pipeline before one, in order, that are planned or have been looked at.

    Args:
        conn: a snapshot.
        pipeline_id: row number of the pipeline.
        job_id: row number of the job.
    """
    rows = (ChainedJob(*row) for row in _FRONT_TREES.rows(conn, pipeline_id=pipeline_id))
    return [
        row for row in rows if row.id < job_id and (row.obsolete is not None or row.early_changes is not None)
    ]
