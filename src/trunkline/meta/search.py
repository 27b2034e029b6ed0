"""Finds names and ids by a part of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from trunkline.meta.query import Query, like_inside
from trunkline.meta.schema import commit, job, pipeline, project, repo, worker
from trunkline.model.names import USER

if TYPE_CHECKING:
    from collections.abc import Sequence


def _rank(text: sa.BindParameter[str], column: sa.Column[str]) -> sa.ColumnElement[int]:
    """Order names that begin with the text before those that contain it."""
    return sa.case((sa.func.lower(column).like(text, escape="\\"), 0), else_=1)


_INSIDE, _BEGIN = sa.bindparam("inside", type_=sa.Text), sa.bindparam("begin", type_=sa.Text)
_NUMBER = sa.bindparam("number", type_=sa.BigInteger)


def _named(
    columns: Sequence[sa.ColumnElement[Any]],
    name: sa.Column[str],
    source: sa.Join | sa.Table,
    *where: sa.ColumnElement[bool],
) -> Query:
    return Query(
        sa.select(*columns)
        .select_from(source)
        .where(sa.func.lower(name).like(_INSIDE, escape="\\"), *where)
        .order_by(_rank(_BEGIN, name), sa.func.length(name), name)
        .limit(_NUMBER)
    )


_PROJECTS = _named([project.c.name], project.c.name, project)
_REPOS = _named([project.c.name, repo.c.name], repo.c.name, repo.join(project), repo.c.type == USER)
_PIPELINES = _named([project.c.name, pipeline.c.name], pipeline.c.name, pipeline.join(project))
_LOW, _HIGH = sa.bindparam("low", type_=job.c.set_id.type), sa.bindparam("high", type_=job.c.set_id.type)


def _identified(
    id: sa.Column[str], owner: sa.Table, source: sa.Join, *where: sa.ColumnElement[bool]
) -> Query:
    """Return a query for (project, owner, id) of the ids in a range, in their order."""
    return Query(
        sa.select(project.c.name, owner.c.name, id)
        .select_from(source.join(project, project.c.id == owner.c.project_id))
        .where(id >= _LOW, id <= _HIGH, *where)
        .order_by(id)
        .limit(_NUMBER)
    )


_JOBS = _identified(job.c.set_id, pipeline, job.join(pipeline, pipeline.c.id == job.c.pipeline_id))
_COMMITS = _identified(
    commit.c.set_id, repo, commit.join(repo, repo.c.id == commit.c.repo_id), repo.c.type == USER
)
_WORKERS = _identified(worker.c.id, pipeline, worker.join(pipeline, pipeline.c.id == worker.c.pipeline_id))


def projects(conn: sa.Connection, text: str, number: int) -> list[str]:
    """Return the names of projects that contain a text, in whatever case.

    Args:
        conn: a snapshot.
        text: letters of the name.
        number: at most so many.
    """
    return [row[0] for row in _PROJECTS.rows(conn, **_patterns(text), number=number)]


def repos(conn: sa.Connection, text: str, number: int) -> list[tuple[str, str]]:
    """Return (project, repo) of the repos whose names contain a text, in whatever case.

    Args:
        conn: a snapshot.
        text: letters of the name.
        number: at most so many.
    """
    return [(row[0], row[1]) for row in _REPOS.rows(conn, **_patterns(text), number=number)]


def pipelines(conn: sa.Connection, text: str, number: int) -> list[tuple[str, str]]:
    """Return (project, pipeline) of the pipelines whose names contain a text, in whatever case.

    Args:
        conn: a snapshot.
        text: letters of the name.
        number: at most so many.
    """
    return [(row[0], row[1]) for row in _PIPELINES.rows(conn, **_patterns(text), number=number)]


def jobs(conn: sa.Connection, begin: str, number: int) -> list[tuple[str, str, str]]:
    """Return (project, pipeline, id) of the jobs whose ids begin with hex digits.

    Args:
        conn: a snapshot.
        begin: hex digits.
        number: at most so many.
    """
    return [(row[0], row[1], row[2]) for row in _JOBS.rows(conn, **_range(begin), number=number)]


def commits(conn: sa.Connection, begin: str, number: int) -> list[tuple[str, str, str]]:
    """Return (project, repo, id) of the commits whose ids begin with hex digits.

    Args:
        conn: a snapshot.
        begin: hex digits.
        number: at most so many.
    """
    return [(row[0], row[1], row[2]) for row in _COMMITS.rows(conn, **_range(begin), number=number)]


def workers(conn: sa.Connection, begin: str, number: int) -> list[tuple[str, str, str]]:
    """Return (project, pipeline, id) of the workers whose ids begin with hex digits.

    Args:
        conn: a snapshot.
        begin: hex digits.
        number: at most so many.
    """
    return [(row[0], row[1], row[2]) for row in _WORKERS.rows(conn, **_range(begin), number=number)]


def _patterns(text: str) -> dict[str, str]:
    inside = like_inside(text.lower())
    return {"inside": inside, "begin": inside[1:]}


def _range(begin: str) -> dict[str, str]:
    return {"low": begin, "high": begin.ljust(32, "f")}
