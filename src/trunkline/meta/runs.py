"""Global ids: the commits and jobs that one change has caused, counted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta.query import Query
from trunkline.meta.schema import commit, job, project, repo
from trunkline.model.names import USER, RepoName


class RunRow(Struct, frozen=True):
    """The commits of a global id in repos of users and outputs."""

    commits: int
    started: float
    #: Of the last one; None while one is open.
    finished: float | None


_COUNTS: tuple[sa.ColumnElement[Any], ...] = (
    sa.func.count(),
    sa.func.min(commit.c.started),
    sa.func.max(commit.c.finished),
    sa.func.count(commit.c.finished),
)
_COMMITS = Query(
    sa.select(*_COUNTS)
    .join_from(commit, repo)
    .where(commit.c.set_id == sa.bindparam("set_id"), repo.c.type == USER)
)
_JOBS = Query(
    sa.select(job.c.state, sa.func.count())
    .where(job.c.set_id == sa.bindparam("set_id"))
    .group_by(job.c.state)
)
_FIRST = Query(
    sa.select(project.c.name, repo.c.name, repo.c.type, commit.c.branch_name)
    .select_from(commit)
    .join(repo, repo.c.id == commit.c.repo_id)
    .join(project, project.c.id == repo.c.project_id)
    .where(commit.c.set_id == sa.bindparam("set_id"))
    .order_by(commit.c.id)
    .limit(1)
)


def commits_of(conn: sa.Connection, set_id: str) -> RunRow | None:
    """Return the commits of a global id; None when it has none there."""
    row = _COMMITS.first(conn, set_id=set_id)
    if row is None or not row[0]:
        return None
    return RunRow(row[0], row[1], row[2] if row[3] == row[0] else None)


def job_states(conn: sa.Connection, set_id: str) -> dict[str, int]:
    """Return how many jobs a global id has in each state."""
    return {row[0]: row[1] for row in _JOBS.rows(conn, set_id=set_id)}


def origin(conn: sa.Connection, set_id: str) -> str:
    """Return where a global id began, as ``project/repo@branch``; a repo that is not of users with its type."""
    row = _FIRST.first(conn, set_id=set_id)
    if row is None:
        return ""
    project_name, repo_name, repo_type, branch_name = row
    return f"{RepoName(project_name, repo_name, repo_type)}@{branch_name}"
