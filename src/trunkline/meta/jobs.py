"""Queries and writes on jobs, the claims on their datums, and their completions."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace

from trunkline.meta import datum_sums
from trunkline.meta.query import Query, RowUpdate, page_of
from trunkline.meta.schema import claim, datum_sum, handin, job, job_bill, log_batch
from trunkline.model.states import TERMINAL_JOB_STATES, JobState, check_transition

if TYPE_CHECKING:
    from collections.abc import Sequence


class JobRow(Struct, frozen=True):
    """A job."""

    id: int
    pipeline_id: int
    version: int
    commit_id: int
    set_id: str
    state: JobState
    reason: str
    created: float
    started: float | None
    finished: float | None
    restart: int
    total: int
    processed: int
    skipped: int
    failed: int
    recovered: int
    download_ns: int
    process_ns: int
    upload_ns: int
    download_bytes: int
    upload_bytes: int
    base_id: int | None
    #: Datums that run before the job is planned, and how many; they come before those of ``todo``.
    early: bytes | None
    early_count: int
    #: What differs from the live job before it, once that was looked at.
    early_changes: bytes | None
    todo: bytes | None
    #: Datums of ``early`` and ``todo``.
    todo_count: int
    todo_bytes: int
    cursor: int
    #: Tree of the base job's datums whose outputs this job removes, as ``pps.plan`` found them.
    obsolete: bytes | None
    datums: bytes | None
    #: Trace that the job belongs to (``model.trace``); None without one.
    trace: str | None
    #: When its first position was claimed, when its last one was, and when the last result came so far.
    first_claim: float | None = None
    last_claim: float | None = None
    last_result: float | None = None

    @property
    def handed_in(self) -> int:
        """Return how many datums of the todo have a result."""
        return self.processed + self.failed + self.recovered

    @property
    def takes_results(self) -> bool:
        """Return whether workers may complete datums: the job runs, or its early part does."""
        return self.state is JobState.RUNNING or (self.state is JobState.STARTING and self.early is not None)


class Results(Struct, frozen=True):
    """What one completion adds to its job's counters."""

    processed: int = 0
    failed: int = 0
    recovered: int = 0
    download_ns: int = 0
    process_ns: int = 0
    upload_ns: int = 0
    download_bytes: int = 0
    upload_bytes: int = 0


_JOB = sa.select(*(job.c[name] for name in JobRow.__struct_fields__))
_BY_ID = Query(_JOB.where(job.c.id == sa.bindparam("job_id")))
_BY_COMMIT = Query(_JOB.where(job.c.commit_id == sa.bindparam("commit_id")))
_IN_SET = Query(
    _JOB.where(job.c.pipeline_id == sa.bindparam("pipeline_id"), job.c.set_id == sa.bindparam("set_id"))
)
_NEWEST = Query(
    page_of(_JOB, job.c.pipeline_id, job.c.id, sa.bindparam("pipeline_id", type_=sa.BigInteger)).limit(1)
)
_OF_SET = Query(_JOB.where(job.c.set_id == sa.bindparam("set_id")).order_by(job.c.id))
_LAST = Query(sa.select(sa.func.max(job.c.id)))
_FROM = Query(
    sa.select(job.c.id, job.c.created).where(job.c.id >= sa.bindparam("number")).order_by(job.c.id).limit(1)
)
_LIVE = Query(
    # By ix_job_live: what has ended is not read. With ``pipeline_id = X`` SQLite takes the index of all jobs.
    page_of(
        _JOB.where(job.c.finished.is_(None)),
        job.c.pipeline_id,
        job.c.id,
        sa.bindparam("pipeline_id", type_=sa.BigInteger),
        oldest_first=True,
    ).limit(sa.bindparam("number", type_=sa.BigInteger))
)
_LAST_WITH_RESULTS = Query(
    # Ordered as ix_job_with_results is, for the reason that page_of gives.
    _JOB.where(
        job.c.pipeline_id.between(sa.bindparam("pipeline_id"), sa.bindparam("pipeline_id")),
        job.c.version == sa.bindparam("version"),
        sa.text("state = 'SUCCESS' AND processed > 0"),  # that of the index
    )
    .order_by(job.c.pipeline_id.desc(), job.c.version.desc(), job.c.id.desc())
    .limit(1)
)
_SPANS = Query(
    page_of(
        sa.select(job.c.started, job.c.finished).where(
            job.c.started.is_not(None),
            sa.text("finished IS NOT NULL AND todo_count > 0"),  # that of ix_job_worked
        ),
        job.c.pipeline_id,
        job.c.id,
        sa.bindparam("pipeline_id", type_=sa.BigInteger),
    ).limit(sa.bindparam("number"))
)
_RECORDED = Query(
    sa.select(sa.func.sum(job.c.processed + job.c.failed + job.c.recovered)).where(
        job.c.pipeline_id == sa.bindparam("pipeline_id"), job.c.id >= sa.bindparam("job_id")
    )
)
_NEXT_CREATED = Query(
    sa.select(job.c.created)
    .where(job.c.pipeline_id == sa.bindparam("pipeline_id"), job.c.id > sa.bindparam("job_id"))
    .order_by(job.c.id)
    .limit(1)
)
_ADD = Query(job.insert().returning(job.c.id))
_SET = RowUpdate(job)
#: The numbers of a new job.
_ZEROS = dict.fromkeys(
    (
        "restart",
        "total",
        "skipped",
        "early_count",
        "todo_count",
        "todo_bytes",
        "cursor",
        *Results.__struct_fields__,
    ),
    0,
)
#: What a new job does not have yet.
_NULLS: dict[str, Any] = dict.fromkeys(
    (
        "started",
        "finished",
        "base_id",
        "early",
        "early_changes",
        "todo",
        "obsolete",
        "datums",
        "first_claim",
        "last_claim",
        "last_result",
    )
)
_ADD_HANDIN = Query(handin.insert())
_REMOVE_CLAIMS = Query(claim.delete().where(claim.c.job_id == sa.bindparam("of_job")))
_REMOVE_HANDINS = Query(handin.delete().where(handin.c.job_id == sa.bindparam("of_job")))
#: The largest number of a column.
LARGEST = 2**63 - 1


def _sum(column: sa.ColumnElement[int], more: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """Return a sum that stops at the largest number: workers say what is added, and a sum beyond it is an error."""
    largest = sa.literal(LARGEST, sa.BigInteger)
    return sa.case((column > largest - more, largest), else_=column + more)


_COUNT = Query(
    job.update()
    .where(job.c.id == sa.bindparam("job_id"))
    .values(
        {
            **{
                name: _sum(job.c[name], sa.bindparam(f"more_{name}", type_=sa.BigInteger))
                for name in Results.__struct_fields__
            },
            "last_result": sa.bindparam("now", type_=sa.Float),
        }
    )
)
_HANDINS = Query(
    sa.select(handin.c.delta, handin.c.rows)
    .where(handin.c.job_id == sa.bindparam("job_id"))
    .order_by(handin.c.id)
)


_LATEST_RESULTS = Query(
    sa.select(handin.c.rows)
    .where(handin.c.job_id == sa.bindparam("job_id"))
    .order_by(handin.c.id.desc())
    .limit(sa.bindparam("number", type_=sa.BigInteger))
)


def by_id(conn: sa.Connection, job_id: int) -> JobRow | None:
    """Return a job, or None when it was deleted."""
    row = _BY_ID.first(conn, job_id=job_id)
    return JobRow(*row) if row else None


def by_commit(conn: sa.Connection, commit_id: int) -> JobRow | None:
    """Return the job whose output commit this is."""
    row = _BY_COMMIT.first(conn, commit_id=commit_id)
    return JobRow(*row) if row else None


def find(conn: sa.Connection, pipeline_id: int, set_id: str) -> JobRow | None:
    """Return a pipeline's job by its public id.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        set_id: id of the job and of its commit set.
    """
    row = _IN_SET.first(conn, pipeline_id=pipeline_id, set_id=set_id)
    return JobRow(*row) if row else None


def live(conn: sa.Connection, pipeline_id: int, number: int = LARGEST) -> list[JobRow]:
    """Return the jobs of a pipeline that are not at their end, oldest first.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        number: at most so many.
    """
    return [JobRow(*row) for row in _LIVE.rows(conn, pipeline_id=pipeline_id, number=number)]


def page(
    conn: sa.Connection,
    *,
    pipeline_id: int | None = None,
    beyond: int | None = None,
    oldest_first: bool = False,
    number: int,
) -> list[JobRow]:
    """Return a page of jobs in the order of their row numbers, newest first unless ``oldest_first``.

    Args:
        conn: a snapshot.
        pipeline_id: only jobs of this pipeline.
        beyond: only jobs after this row number in the order of the list.
        oldest_first: the order.
        number: at most so many.
    """
    if pipeline_id is not None:
        query = page_of(
            _JOB, job.c.pipeline_id, job.c.id, pipeline_id, beyond=beyond, oldest_first=oldest_first
        )
    else:
        query = _JOB.order_by(job.c.id if oldest_first else job.c.id.desc())
        if beyond is not None:
            query = query.where(job.c.id > beyond if oldest_first else job.c.id < beyond)
    return [JobRow(*row) for row in conn.execute(query.limit(number))]


def count_up_to(conn: sa.Connection, pipeline_id: int, number: int) -> int:
    """Return how many jobs a pipeline has, counting no further than ``number``.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        number: where counting stops.
    """
    some = sa.select(job.c.id).where(job.c.pipeline_id == pipeline_id).limit(number).subquery()
    return int(conn.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())


def of_set(conn: sa.Connection, set_id: str) -> list[JobRow]:
    """Return the jobs of a set, oldest first; at most one for each pipeline."""
    return [JobRow(*row) for row in _OF_SET.rows(conn, set_id=set_id)]


def first_created_from(conn: sa.Connection, created: float) -> int:
    """Return the lowest row number of a job created at that time or later; one beyond the last without any.

    Found by bisection: jobs are created in the order of their numbers. Where the clock was set back between two
    of them, the answer is one of the numbers around it.
    """
    low, high = 1, (_LAST.value(conn) or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = _FROM.first(conn, number=middle)
        if row is None or row[1] >= created:
            high = middle
        else:
            low = int(row[0]) + 1
    return low


def newest(conn: sa.Connection, pipeline_id: int) -> JobRow | None:
    """Return a pipeline's newest job."""
    row = _NEWEST.first(conn, pipeline_id=pipeline_id)
    return JobRow(*row) if row else None


def recorded_since(conn: sa.Connection, pipeline_id: int, job_id: int) -> int:
    """Return how many datums the jobs of a pipeline from ``job_id`` on have recorded.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        job_id: row number of the job.
    """
    return int(_RECORDED.value(conn, pipeline_id=pipeline_id, job_id=job_id) or 0)


def last_with_results(conn: sa.Connection, pipeline_id: int, version: int) -> JobRow | None:
    """Return the newest good job of a pipeline's version that had something to run.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        version: number of the version.
    """
    row = _LAST_WITH_RESULTS.first(conn, pipeline_id=pipeline_id, version=version)
    return JobRow(*row) if row else None


def next_created(conn: sa.Connection, pipeline_id: int, job_id: int) -> float | None:
    """Return when the job after this one was created.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        job_id: row number of the job.
    """
    created: float | None = _NEXT_CREATED.value(conn, pipeline_id=pipeline_id, job_id=job_id)
    return created


def gaps(conn: sa.Connection, pipeline_id: int, number: int) -> list[float]:
    """Return the seconds between the end of each of the last jobs that ran something and the next one.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        number: how many jobs to look at, from the newest back.
    """
    rows = _SPANS.rows(conn, pipeline_id=pipeline_id, number=number + 1)[::-1]
    return [max(0.0, after[0] - before[1]) for before, after in pairwise(rows)]


def add(
    conn: sa.Connection,
    *,
    pipeline_id: int,
    version: int,
    commit_id: int,
    set_id: str,
    now: float,
    trace: str | None = None,
) -> JobRow:
    """Insert a job in state CREATED and return it.

    Args:
        conn: the write transaction.
        pipeline_id: whose job it is.
        version: of the pipeline.
        commit_id: number of its output commit.
        set_id: id of that commit.
        now: seconds since the epoch.
        trace: the trace that it belongs to.
    """
    values: dict[str, Any] = {
        "pipeline_id": pipeline_id, "version": version, "commit_id": commit_id, "set_id": set_id,
        "state": JobState.CREATED, "reason": "", "created": now, "trace": trace, **_ZEROS,
    }  # fmt: skip
    return JobRow(id=int(_ADD.value(conn, **values)), **_NULLS, **values)


def change(conn: sa.Connection, job_id: int, **values: object) -> None:
    """Set columns of a job other than its state.

    Args:
        conn: connection of the transaction.
        job_id: row number of the job.
        values: new values, by the name of the column.
    """
    assert "state" not in values
    _SET.send(conn, job_id, values)


def move(conn: sa.Connection, row: JobRow, state: JobState, **values: Any) -> JobRow:
    """Bring a job to another state; return it as it is then.

    Args:
        conn: the write transaction in which ``row`` was read.
        row: the job.
        state: its new state.
        values: other columns to set.

    Raises:
        FailedPrecondition: the move is not legal; the message holds the job's history.
    """
    what = f"job {row.set_id} (row {row.id}, pipeline {row.pipeline_id} version {row.version})"
    check_transition(row.state, state, what, lambda: _history(row))
    _SET.send(conn, row.id, {"state": state, **values})
    return replace(row, state=state, **values)


def _history(row: JobRow) -> list[str]:
    """Say what happened to a job, for an error message."""
    times = (("created", row.created), ("started", row.started), ("finished", row.finished))
    happened = [f"{what} at {at:.3f}" for what, at in times if at is not None]
    if row.restart:
        happened.append(f"planned again {row.restart} times")
    return [*happened, *([f"reason: {row.reason}"] if row.reason else [])]


def end(conn: sa.Connection, job_id: int, state: JobState, reason: str, now: float) -> JobRow | None:
    """Bring a job to a terminal state.

    Its claims go. Its results stay unless it succeeded (then its datum tree holds them), because they say which
    datums failed.

    Args:
        conn: a write transaction.
        job_id: the job's row number.
        state: a terminal state.
        reason: why it did not succeed; empty for a success.
        now: seconds since the epoch.

    Returns:
        The job as it is then; None when it was deleted or is in a terminal state already.
    """
    row = by_id(conn, job_id)
    if row is None or row.state in TERMINAL_JOB_STATES:
        return None
    ended = move(conn, row, state, reason=reason, finished=now)
    _REMOVE_CLAIMS.send(conn, of_job=job_id)
    if state is JobState.SUCCESS:
        _REMOVE_HANDINS.send(conn, of_job=job_id)
    return ended


def drop_early(conn: sa.Connection, row: JobRow) -> JobRow:
    """Remove the early part of a job that is not planned, with its claims, results and counters.

    Returns:
        The job as it is then.
    """
    changes = _without_results(conn, row)
    _SET.send(conn, row.id, changes)
    return replace(row, **changes)


def restart(conn: sa.Connection, row: JobRow) -> JobRow:
    """Reset a live job so that it is planned again: remove its claims and results, and count it in ``restart``.

    Returns:
        The job as it is then.
    """
    changes = _without_results(conn, row)
    changes |= dict.fromkeys(("base_id", "early_changes", "todo", "obsolete", "started"))
    return move(conn, row, JobState.STARTING, **changes)


def _without_results(conn: sa.Connection, row: JobRow) -> dict[str, Any]:
    """Remove the claims and results of a job; return what changes in its row with them, counted in ``restart``."""
    _REMOVE_CLAIMS.send(conn, of_job=row.id)
    _REMOVE_HANDINS.send(conn, of_job=row.id)
    datum_sums.remove_all(conn, row.id)
    numbers = ("early_count", "todo_count", "cursor", "total", "skipped", *Results.__struct_fields__)
    return {
        **dict.fromkeys(numbers, 0),
        **dict.fromkeys(("early", "first_claim", "last_claim", "last_result")),
        "restart": row.restart + 1,
        "reason": "",
    }


def remove(conn: sa.Connection, job_ids: Sequence[int]) -> None:
    """Delete jobs with their claims, results, logs and bills."""
    removals = [{"removed_id": number} for number in job_ids]
    if removals:
        for table in (claim, handin, datum_sum, log_batch, job_bill):
            conn.execute(table.delete().where(table.c.job_id == sa.bindparam("removed_id")), removals)
        conn.execute(job.delete().where(job.c.id == sa.bindparam("removed_id")), removals)


def of_commits(conn: sa.Connection, commit_ids: Sequence[int]) -> list[JobRow]:
    """Return the jobs of output commits."""
    return _with(conn, job.c.commit_id, commit_ids)


def of_sets(conn: sa.Connection, set_ids: Sequence[str]) -> list[JobRow]:
    """Return the jobs of several sets."""
    return _with(conn, job.c.set_id, set_ids)


def _with(conn: sa.Connection, column: sa.ColumnElement[Any], values: Sequence[object]) -> list[JobRow]:
    """Return the jobs that have one of the values in a column, in no order."""
    rows: list[JobRow] = []
    for start in range(0, len(values), 500):
        rows.extend(JobRow(*row) for row in conn.execute(_JOB.where(column.in_(values[start : start + 500]))))
    return rows


def add_handin(
    conn: sa.Connection,
    job_id: int,
    parts: Sequence[tuple[bytes, bytes]],
    results: Results,
    now: float,
    *,
    first: int,
) -> None:
    """Record a completion and move its job's counters.

    Args:
        conn: of the write.
        job_id: number of the job.
        parts: trees of what its datums wrote and of their rows, each pair a row of its own, in this order.
        results: what is added to the job's counters.
        now: seconds since the epoch.
        first: position in the job of the first datum that has a result; the first part has the rows.
    """
    add_results(conn, job_id, parts, first)
    _COUNT.run(
        conn,
        job_id=job_id,
        now=now,
        **{f"more_{name}": getattr(results, name) for name in Results.__struct_fields__},
    )


def add_results(
    conn: sa.Connection, job_id: int, parts: Sequence[tuple[bytes, bytes]], first: int | None = None
) -> None:
    """Record results without counting them.

    Args:
        conn: of the write.
        job_id: number of the job.
        parts: as in ``add_handin``.
        first: as in ``add_handin``; None for results of an earlier job.
    """
    for delta, rows in parts:
        _ADD_HANDIN.run(conn, job_id=job_id, delta=delta, rows=rows, first=first)
        first = None


def handins(conn: sa.Connection, job_id: int) -> list[tuple[bytes, bytes]]:
    """Return (delta, results) of a job's completions in order."""
    return [(row[0], row[1]) for row in _HANDINS.rows(conn, job_id=job_id)]


def latest_results(conn: sa.Connection, job_id: int, number: int) -> list[bytes]:
    """Return the datum trees of a job's latest completions, the latest first.

    Args:
        conn: connection of the transaction.
        job_id: number of the job.
        number: at most so many.
    """
    return [row[0] for row in _LATEST_RESULTS.rows(conn, job_id=job_id, number=number)]
