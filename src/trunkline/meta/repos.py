"""Queries and writes on projects and repos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta.query import ListQuery, Query, inserted_id, require
from trunkline.meta.schema import branch, commit, fileset, project, repo

if TYPE_CHECKING:
    from collections.abc import Sequence


class ProjectRow(Struct, frozen=True):
    """A project."""

    id: int
    name: str
    description: str
    created_at: float
    metadata: dict[str, str]


class RepoRow(Struct, frozen=True):
    """A repo, with its project's name."""

    id: int
    project: str
    name: str
    type: str
    description: str
    created_at: float
    metadata: dict[str, str]

    def __str__(self) -> str:
        """Return the repo as messages write it: ``project/name``, with the type unless it is ``user``."""
        suffix = "" if self.type == "user" else f".{self.type}"
        return f"{self.project}/{self.name}{suffix}"


_PROJECT = sa.select(*(project.c[name] for name in ProjectRow.__struct_fields__))
_REPO = sa.select(
    repo.c.id,
    project.c.name,
    repo.c.name,
    repo.c.type,
    repo.c.description,
    repo.c.created_at,
    repo.c.metadata,
).join_from(repo, project)
_PROJECT_BY_NAME = Query(_PROJECT.where(project.c.name == sa.bindparam("name")))
_REPO_BY_NAME = Query(
    _REPO.where(
        project.c.name == sa.bindparam("project"),
        repo.c.name == sa.bindparam("name"),
        repo.c.type == sa.bindparam("type"),
    )
)
_PROJECTS_WITH = Query(
    sa.select(project.c.name)
    .join_from(repo, project)
    .where(repo.c.name == sa.bindparam("name"), repo.c.type == sa.bindparam("type"))
    .order_by(project.c.name)
    .limit(sa.bindparam("number"))
)
_REPO_BY_ID = Query(_REPO.where(repo.c.id == sa.bindparam("repo_id")))
_REPOS_BY_ID = ListQuery(_REPO, repo.c.id)


def find_project(conn: sa.Connection, name: str) -> ProjectRow | None:
    """Return the project of that name."""
    row = _PROJECT_BY_NAME.first(conn, name=name)
    return ProjectRow(*row) if row else None


def list_projects(conn: sa.Connection) -> list[ProjectRow]:
    """Return all projects by name."""
    return [ProjectRow(*row) for row in conn.execute(_PROJECT.order_by(project.c.name))]


def add_project(conn: sa.Connection, name: str, description: str, now: float) -> None:
    """Insert a project.

    Args:
        conn: connection of the transaction.
        name: name of the project.
        description: free text, shown to users.
        now: current time, in seconds since the epoch.
    """
    conn.execute(project.insert().values(name=name, description=description, created_at=now, metadata={}))


def set_project_description(conn: sa.Connection, project_id: int, description: str) -> None:
    """Replace a project's description.

    Args:
        conn: connection of the transaction.
        project_id: row number of the project.
        description: free text, shown to users.
    """
    conn.execute(project.update().where(project.c.id == project_id).values(description=description))


def remove_project(conn: sa.Connection, project_id: int) -> None:
    """Delete a project that has no repos left."""
    conn.execute(project.delete().where(project.c.id == project_id))


def find_repo(conn: sa.Connection, project_name: str, name: str, type_: str) -> RepoRow | None:
    """Return the repo of that project, name and type.

    Args:
        conn: connection of the transaction.
        project_name: name of the project.
        name: name of the repo.
        type_: kind of the repo, such as ``user``.
    """
    row = _REPO_BY_NAME.first(conn, project=project_name, name=name, type=type_)
    return RepoRow(*row) if row else None


def projects_with(conn: sa.Connection, name: str, type_: str, number: int) -> list[str]:
    """Return the first projects, by name, that have a repo of a name.

    Args:
        conn: connection of the transaction.
        name: name of the repo.
        type_: kind of the repo, such as ``user``.
        number: how many at most.
    """
    return [row[0] for row in _PROJECTS_WITH.rows(conn, name=name, type=type_, number=number)]


def repo_by_id(conn: sa.Connection, repo_id: int) -> RepoRow:
    """Return a repo that exists."""
    return RepoRow(*require(_REPO_BY_ID.first(conn, repo_id=repo_id)))


def by_ids(conn: sa.Connection, repo_ids: Sequence[int]) -> dict[int, RepoRow]:
    """Return those of the repos that exist, by their numbers."""
    return {row[0]: RepoRow(*row) for row in _REPOS_BY_ID.rows(conn, repo_ids)}


def find_by_id(conn: sa.Connection, repo_id: int) -> RepoRow | None:
    """Return a repo, or None when it was deleted."""
    row = _REPO_BY_ID.first(conn, repo_id=repo_id)
    return RepoRow(*row) if row else None


def list_repos(conn: sa.Connection, type_: str, projects: list[str]) -> list[RepoRow]:
    """Return repos by project and name; an empty type or list of projects does not filter.

    Args:
        conn: connection of the transaction.
        type_: kind of the repos; empty: all kinds.
        projects: names of the projects; empty: all projects.
    """
    query = _REPO.order_by(project.c.name, repo.c.name, repo.c.type)
    if type_:
        query = query.where(repo.c.type == type_)
    if projects:
        query = query.where(project.c.name.in_(projects))
    return [RepoRow(*row) for row in conn.execute(query)]


def add_repo(
    conn: sa.Connection, project_id: int, name: str, type_: str, description: str, now: float
) -> int:
    """Insert a repo and return its number.

    Args:
        conn: connection of the transaction.
        project_id: row number of the project.
        name: name of the repo.
        type_: kind of the repo, such as ``user``.
        description: free text, shown to users.
        now: current time, in seconds since the epoch.
    """
    values: dict[str, Any] = {
        "project_id": project_id, "name": name, "type": type_,
        "description": description, "created_at": now, "metadata": {},
    }  # fmt: skip
    return inserted_id(conn.execute(repo.insert().values(values)))


def set_repo_description(conn: sa.Connection, repo_id: int, description: str) -> None:
    """Replace a repo's description.

    Args:
        conn: connection of the transaction.
        repo_id: row number of the repo.
        description: free text, shown to users.
    """
    conn.execute(repo.update().where(repo.c.id == repo_id).values(description=description))


def remove_repo(conn: sa.Connection, repo_id: int) -> None:
    """Delete a repo that has no branches and commits left."""
    conn.execute(repo.delete().where(repo.c.id == repo_id))


_SIZE = Query(
    sa.select(commit.c.size)
    .join_from(branch, commit, branch.c.head_id == commit.c.id)
    .where(
        branch.c.repo_id == sa.bindparam("repo_id"),
        branch.c.name == "master",
        commit.c.finished.is_not(None),
    )
)


def repo_size(conn: sa.Connection, repo_id: int) -> int:
    """Return the bytes of the finished head of the repo's branch ``master``; 0 without one."""
    return int(_SIZE.value(conn, repo_id=repo_id) or 0)


class FilesetRow(Struct, frozen=True):
    """A file set."""

    handle: str
    tree: bytes
    #: Hex tree ids, applied in order.
    deltas: list[str]
    #: Seconds that it lives after its creation or last renewal.
    ttl: float
    #: Moves with each renewal.
    renewals: int


def add_fileset(conn: sa.Connection, row: FilesetRow) -> None:
    """Insert a file set."""
    conn.execute(fileset.insert().values({name: getattr(row, name) for name in FilesetRow.__struct_fields__}))


def find_fileset(conn: sa.Connection, handle: str) -> FilesetRow | None:
    """Return a file set, whether its lease ran out or not."""
    columns = (fileset.c[name] for name in FilesetRow.__struct_fields__)
    row = conn.execute(sa.select(*columns).where(fileset.c.handle == handle)).first()
    return FilesetRow(*row) if row else None


def renew_fileset(conn: sa.Connection, handle: str, ttl: float) -> None:
    """Renew a file set's lease, for ``ttl`` seconds.

    Args:
        conn: connection of the transaction.
        handle: id of the file set.
        ttl: lifetime from now on, in seconds.
    """
    conn.execute(
        fileset.update().where(fileset.c.handle == handle).values(ttl=ttl, renewals=fileset.c.renewals + 1)
    )


def fileset_leases(conn: sa.Connection) -> list[tuple[str, float, int]]:
    """Return ``(handle, seconds to live, renewals)`` of all file sets."""
    query = sa.select(fileset.c.handle, fileset.c.ttl, fileset.c.renewals)
    return [(row[0], row[1], row[2]) for row in conn.execute(query)]


def remove_filesets(conn: sa.Connection, handles: Sequence[str]) -> None:
    """Forget file sets."""
    if handles:
        conn.execute(
            fileset.delete().where(fileset.c.handle == sa.bindparam("ended")),
            [{"ended": handle} for handle in handles],
        )
