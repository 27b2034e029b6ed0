"""Queries and writes on datum sums: what completions of a job's datums add up to, by worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta.query import Query
from trunkline.meta.schema import datum_sum

if TYPE_CHECKING:
    from collections.abc import Sequence


class SumRow(Struct, frozen=True):
    """A sum without its body."""

    id: int
    worker_id: str
    #: Seconds since the epoch.
    begin: float
    end: float
    count: int
    failed: int
    recovered: int
    #: Seconds in which a datum ran.
    busy: float


class NewSum(Struct, frozen=True):
    """A sum to be stored; fields as in ``SumRow``."""

    begin: float
    end: float
    count: int
    failed: int
    recovered: int
    busy: float
    body: bytes


_ADD = Query(datum_sum.insert())
_ROWS = sa.select(*(datum_sum.c[name] for name in SumRow.__struct_fields__))
_OF_JOB = Query(_ROWS.where(datum_sum.c.job_id == sa.bindparam("job_id")).order_by(datum_sum.c.id))
_WITH_BODIES = Query(
    _ROWS.add_columns(datum_sum.c.body)
    .where(datum_sum.c.job_id == sa.bindparam("job_id"))
    .order_by(datum_sum.c.id)
)
_BODY = Query(sa.select(datum_sum.c.body).where(datum_sum.c.id == sa.bindparam("sum_id")))
_COUNT = Query(
    sa.select(sa.func.count()).select_from(datum_sum).where(datum_sum.c.job_id == sa.bindparam("job_id"))
)
_REMOVE = Query(datum_sum.delete().where(datum_sum.c.id == sa.bindparam("sum_id")))
_REMOVE_ALL = Query(datum_sum.delete().where(datum_sum.c.job_id == sa.bindparam("of_job")))


def add(conn: sa.Connection, job_id: int, worker_id: str, new: NewSum) -> None:
    """Insert a sum. On PostgreSQL the answer is not waited for.

    Args:
        conn: of the write.
        job_id: row number of the job.
        worker_id: the worker; empty when none reported the datums.
        new: the sum.
    """
    _ADD.send(
        conn, job_id=job_id, worker_id=worker_id, begin=new.begin, end=new.end, count=new.count,
        failed=new.failed, recovered=new.recovered, busy=new.busy, body=new.body,
    )  # fmt: skip


def of_job(conn: sa.Connection, job_id: int) -> list[SumRow]:
    """Return the sums of a job in the order in which they came, without their bodies."""
    return [SumRow(*row) for row in _OF_JOB.rows(conn, job_id=job_id)]


def with_bodies(conn: sa.Connection, job_id: int) -> list[tuple[SumRow, bytes]]:
    """Return the sums of a job in the order in which they came."""
    return [(SumRow(*row[:-1]), row[-1]) for row in _WITH_BODIES.rows(conn, job_id=job_id)]


def bodies(conn: sa.Connection, sum_ids: Sequence[int]) -> list[bytes | None]:
    """Return the bodies of sums; None for one that is not there any more."""
    return [_BODY.value(conn, sum_id=number) for number in sum_ids]


def count(conn: sa.Connection, job_id: int) -> int:
    """Return how many sums a job has."""
    return int(_COUNT.value(conn, job_id=job_id) or 0)


def replace(conn: sa.Connection, job_id: int, old: Sequence[SumRow], new: NewSum) -> bool:
    """Put one sum in the place of several; False when one of them is not there any more: nothing is changed then.

    Args:
        conn: of the write.
        job_id: row number of the job.
        old: sums of one worker.
        new: their sum.
    """
    if None in bodies(conn, [row.id for row in old]):
        return False
    for row in old:
        _REMOVE.send(conn, sum_id=row.id)
    add(conn, job_id, old[0].worker_id, new)
    return True


def remove_all(conn: sa.Connection, job_id: int) -> None:
    """Delete the sums of a job."""
    _REMOVE_ALL.send(conn, of_job=job_id)
