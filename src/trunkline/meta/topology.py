"""Pipelines, repos and what depends on what, of a whole project at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta.query import Query
from trunkline.meta.schema import branch, branch_provenance, commit, job, pipeline, project, repo, worker
from trunkline.model.names import SPEC, USER
from trunkline.model.states import WorkerState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from trunkline.model.states import PipelineState


class PipelineNode(Struct, frozen=True):
    """A pipeline of a project."""

    id: int
    name: str
    version: int
    state: PipelineState
    reason: str
    stopped: bool
    target: int
    #: Its newest job; None before the first.
    job_id: int | None


class RepoNode(Struct, frozen=True):
    """A repo of a project with the head of its branch ``master``."""

    id: int
    name: str
    head_id: str | None
    started: float | None
    finished: float | None
    size: int | None
    #: Of the commit before the head.
    earlier_size: int | None

    @property
    def bytes(self) -> int:
        """Size of the head; while that is open, of the commit before it."""
        return (self.size if self.finished is not None else self.earlier_size) or 0

    @property
    def head_at(self) -> float | None:
        """When the head was finished; while it is open, when it was started."""
        return self.finished if self.finished is not None else self.started


class RepoLine(Struct, frozen=True):
    """A repo of a project as a list shows it."""

    description: str
    branches: int
    #: A pipeline of the same name writes it.
    is_output: bool
    node: RepoNode


class Dependency(Struct, frozen=True, order=True):
    """A branch whose commits reach a repo."""

    project: str
    repo: str
    branch: str
    to_project: str
    to_repo: str


_newest = job.alias("newest")
_PIPELINES = Query(
    sa.select(
        pipeline.c.id, pipeline.c.name, pipeline.c.version, pipeline.c.state, pipeline.c.reason,
        pipeline.c.stopped, pipeline.c.target,
        sa.select(sa.func.max(_newest.c.id))
        .where(_newest.c.pipeline_id == pipeline.c.id)
        .correlate(pipeline)
        .scalar_subquery(),
    )
    .join_from(pipeline, project)
    .where(project.c.name == sa.bindparam("project_name"))
    .order_by(pipeline.c.name)
)  # fmt: skip
_earlier = commit.alias("earlier")
_select_repos = (
    sa.select(
        repo.c.id, repo.c.name, commit.c.set_id, commit.c.started, commit.c.finished, commit.c.size, _earlier.c.size
    )
    .join_from(repo, project)
    .outerjoin(branch, sa.and_(branch.c.repo_id == repo.c.id, branch.c.name == "master"))
    .outerjoin(commit, commit.c.id == branch.c.head_id)
    .outerjoin(_earlier, _earlier.c.id == commit.c.parent_id)
    .where(project.c.name == sa.bindparam("project_name"), repo.c.type == USER)
    .order_by(repo.c.name)
)  # fmt: skip
_REPOS = Query(_select_repos)
_any_branch = branch.alias()
_REPO_LINES = Query(
    _select_repos.with_only_columns(
        repo.c.description,
        sa.select(sa.func.count())
        .where(_any_branch.c.repo_id == repo.c.id)
        .correlate(repo)
        .scalar_subquery(),
        sa.exists().where(pipeline.c.project_id == project.c.id, pipeline.c.name == repo.c.name),
        *_select_repos.selected_columns,
        maintain_column_froms=True,
    )
)
_above, _above_repo, _above_project = branch.alias(), repo.alias(), project.alias()
_DEPENDENCIES = Query(
    sa.select(_above_project.c.name, _above_repo.c.name, _above.c.name, project.c.name, repo.c.name)
    .distinct()
    .select_from(branch_provenance)
    .join(branch, branch.c.id == branch_provenance.c.branch_id)
    .join(repo, repo.c.id == branch.c.repo_id)
    .join(project, project.c.id == repo.c.project_id)
    .join(_above, _above.c.id == branch_provenance.c.upstream_id)
    .join(_above_repo, _above_repo.c.id == _above.c.repo_id)
    .join(_above_project, _above_project.c.id == _above_repo.c.project_id)
    .where(
        repo.c.type == USER,
        _above_repo.c.type != SPEC,
        sa.or_(
            project.c.name == sa.bindparam("project_name"), _above_project.c.name == sa.bindparam("same_name")
        ),
    )
)
_OUTPUTS = Query(sa.select(project.c.name, pipeline.c.name).join_from(pipeline, project))
_READY_WORKERS = Query(
    sa.select(worker.c.pipeline_id, worker.c.id)
    .join_from(worker, pipeline)
    .join(project)
    .where(
        project.c.name == sa.bindparam("project_name"),
        sa.or_(worker.c.state == WorkerState.IDLE, worker.c.state == WorkerState.BUSY),
    )
    .order_by(worker.c.id)
)


def pipelines_of(conn: sa.Connection, project_name: str) -> list[PipelineNode]:
    """Return the pipelines of a project by name."""
    return [PipelineNode(*row) for row in _PIPELINES.rows(conn, project_name=project_name)]


def repos_of(conn: sa.Connection, project_name: str) -> list[RepoNode]:
    """Return the repos of users and the outputs of pipelines of a project, by name."""
    return [RepoNode(*row) for row in _REPOS.rows(conn, project_name=project_name)]


def repo_lines_of(conn: sa.Connection, project_name: str) -> list[RepoLine]:
    """Return the repos of users and the outputs of pipelines of a project as a list shows them, by name."""
    rows = _REPO_LINES.rows(conn, project_name=project_name)
    return [RepoLine(row[0], row[1], bool(row[2]), RepoNode(*row[3:])) for row in rows]


def dependencies_of(conn: sa.Connection, project_name: str) -> list[Dependency]:
    """Return what the repos of a project get commits from, and what gets commits from them, in a fixed order."""
    rows = _DEPENDENCIES.rows(conn, project_name=project_name, same_name=project_name)
    return sorted(Dependency(*row) for row in rows)


def pipeline_names(conn: sa.Connection) -> Collection[tuple[str, str]]:
    """Return project and name of all pipelines."""
    return {(row[0], row[1]) for row in _OUTPUTS.rows(conn)}


def ready_workers(conn: sa.Connection, project_name: str) -> Mapping[int, Sequence[str]]:
    """Return the ids of the workers of a project that are there and may take datums, by pipeline."""
    ids: dict[int, list[str]] = {}
    for pipeline_id, worker_id in _READY_WORKERS.rows(conn, project_name=project_name):
        ids.setdefault(pipeline_id, []).append(worker_id)
    return ids
