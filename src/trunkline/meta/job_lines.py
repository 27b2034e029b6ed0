"""Narrow rows of jobs for lists: no trees, no specifications. A page costs what it returns, or some windows of jobs.

Jobs have the order of their row numbers. Where no index has the jobs that a filter admits in that order, a page looks
at windows of row numbers, ``WINDOWS`` at most; it may then be shorter than asked for, and says where to go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta.query import ListQuery, Query, page_of
from trunkline.meta.schema import job
from trunkline.model.states import TERMINAL_JOB_STATES, JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Row numbers of a window, and windows that one page looks at.
WINDOW, WINDOWS = 1_000, 100
#: Where counting ends.
MOST_COUNTED = 100_000

#: The condition of the index ix_job_unsuccessful, and the states that it names.
_UNSUCCESSFUL = sa.text("state IN ('FAILURE', 'KILLED', 'UNRUNNABLE')")
_UNSUCCESSFUL_STATES = TERMINAL_JOB_STATES - {JobState.SUCCESS}


class JobLine(Struct, frozen=True):
    """A job in a list."""

    id: int
    pipeline_id: int
    version: int
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


class Selection(Struct, frozen=True, kw_only=True):
    """Which jobs a list has."""

    #: None: of all pipelines.
    pipeline_ids: frozenset[int] | None = None
    #: Empty: in all states.
    states: frozenset[JobState] = frozenset()
    #: Only jobs that had not ended before this time, in seconds since the epoch.
    since: float | None = None
    #: Only jobs with lower row numbers.
    below: int | None = None


_COLUMNS = tuple(job.c[name] for name in JobLine.__struct_fields__)
_LINE = sa.select(*_COLUMNS)
_BY_ID = ListQuery(_LINE, job.c.id)
_OF_SET = Query(_LINE.where(job.c.set_id == sa.bindparam("set_id")).order_by(job.c.id))
_LAST = Query(sa.select(sa.func.max(job.c.id)))
#: The first job that had not ended at a time: of those that ended later, and of those that live. A sum, because
#: databases find the smallest number itself by walking all jobs from the first one on.
_NUMBER = sa.func.min(job.c.id + 0)
_FIRST_ENDED = Query(
    sa.select(_NUMBER).where(sa.text("finished IS NOT NULL"), job.c.finished >= sa.bindparam("since"))
)
_FIRST_LIVE = Query(sa.select(_NUMBER).where(job.c.finished.is_(None)))


def by_ids(conn: sa.Connection, job_ids: Sequence[int]) -> dict[int, JobLine]:
    """Return those of the jobs that exist, by their numbers."""
    return {row[0]: JobLine(*row) for row in _BY_ID.rows(conn, job_ids)}


def of_set(conn: sa.Connection, set_id: str) -> list[JobLine]:
    """Return the jobs of a global id, oldest first."""
    return [JobLine(*row) for row in _OF_SET.rows(conn, set_id=set_id)]


def live(conn: sa.Connection, selection: Selection) -> list[JobLine]:
    """Return the live jobs that a selection admits, newest first."""
    # Sorted here: asked for the order, SQLite walks all jobs in it instead of the index of those that live.
    rows = conn.execute(_LINE.where(job.c.finished.is_(None), *_conditions(selection)))
    return sorted((JobLine(*row) for row in rows), key=lambda line: line.id, reverse=True)


def page(conn: sa.Connection, selection: Selection, number: int) -> tuple[list[JobLine], int | None]:
    """Return the newest jobs that a selection admits, and below which number the list goes on; None at its end.

    Args:
        conn: a snapshot.
        selection: which jobs.
        number: at most so many.
    """
    if selection.pipeline_ids is not None and not selection.pipeline_ids:
        return [], None
    states, single = selection.states, _single(selection)
    if states and states.isdisjoint(TERMINAL_JOB_STATES):
        return _cut(live(conn, selection)[: number + 1], number)
    query = None
    if single is not None and not states:
        query = page_of(_LINE, job.c.pipeline_id, job.c.id, single, beyond=selection.below)
    elif selection.pipeline_ids is None and states <= _UNSUCCESSFUL_STATES:
        query = _LINE.where(*_conditions(selection)).order_by(job.c.id.desc())
    if query is not None and selection.since is not None and states:
        query = query.where(job.c.id >= _first_since(conn, selection.since))
    elif selection.since is not None:
        query = None
    if query is not None:
        return _cut([JobLine(*row) for row in conn.execute(query.limit(number + 1))], number)
    return _windows(conn, selection, number)


def _windows(conn: sa.Connection, selection: Selection, number: int) -> tuple[list[JobLine], int | None]:
    below = selection.below if selection.below is not None else int(_LAST.value(conn) or 0) + 1
    lowest = 1 if selection.since is None else _first_since(conn, selection.since)
    lines: list[JobLine] = []
    query = (
        _LINE.where(
            job.c.id >= sa.bindparam("first"), job.c.id < sa.bindparam("end"), *_conditions(selection)
        )
        .order_by(job.c.id.desc())
        .limit(sa.bindparam("room"))
    )
    for _ in range(WINDOWS):
        if below <= lowest:
            return lines, None
        first = max(lowest, below - WINDOW)
        room = number + 1 - len(lines)
        part = conn.execute(query, {"first": first, "end": below, "room": room}).all()
        lines += [JobLine(*row) for row in part]
        if len(lines) > number:
            return lines[:number], lines[number - 1].id
        below = first
    return lines, below if below > lowest else None


def count(conn: sa.Connection, selection: Selection) -> int:
    """Return how many jobs a selection admits, counting no further than ``MOST_COUNTED``."""
    if selection.pipeline_ids is not None and not selection.pipeline_ids:
        return 0
    conditions = _conditions(selection)
    if selection.since is not None:
        conditions.append(job.c.id >= _first_since(conn, selection.since))
    some = sa.select(sa.literal(1)).select_from(job).where(*conditions).limit(MOST_COUNTED).subquery()
    return int(conn.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())


def _first_since(conn: sa.Connection, since: float) -> int:
    """Return the number of the first job that had not ended at a time; beyond the last one without any."""
    firsts = (_FIRST_ENDED.value(conn, since=since), _FIRST_LIVE.value(conn))
    return min((int(first) for first in firsts if first is not None), default=int(_LAST.value(conn) or 0) + 1)


def _conditions(selection: Selection) -> list[sa.ColumnElement[bool] | sa.TextClause]:
    conditions: list[Any] = []
    if selection.below is not None:
        conditions.append(job.c.id < selection.below)
    if selection.pipeline_ids is not None:
        conditions.append(job.c.pipeline_id.in_(sorted(selection.pipeline_ids)))
    if selection.states:
        conditions.append(job.c.state.in_(sorted(selection.states)))
        if selection.states <= _UNSUCCESSFUL_STATES:
            conditions.append(_UNSUCCESSFUL)
    if selection.since is not None:
        conditions.append(sa.or_(job.c.finished.is_(None), job.c.finished >= selection.since))
    return conditions


def _single(selection: Selection) -> int | None:
    numbers = selection.pipeline_ids
    return next(iter(numbers)) if numbers is not None and len(numbers) == 1 else None


def _cut(lines: list[JobLine], number: int) -> tuple[list[JobLine], int | None]:
    """Return a page of lines that are one more than it when more follow."""
    return (lines[:number], lines[number - 1].id) if len(lines) > number else (lines, None)
