"""Queries and writes on pipelines, their versions and the decisions about their workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace

from trunkline.meta.query import ListQuery, Query, RowUpdate, inserted_id, require
from trunkline.meta.schema import branch, decision, pipeline, pipeline_version, project, repo
from trunkline.model.names import PipelineName
from trunkline.model.states import PipelineState, check_transition

if TYPE_CHECKING:
    from collections.abc import Sequence


class PipelineRow(Struct, frozen=True):
    """A pipeline, with its project's name."""

    id: int
    project: str
    name: str
    version: int
    state: PipelineState
    reason: str
    stopped: bool
    target: int
    output_branch_id: int
    spec_branch_id: int
    meta_branch_id: int
    created_at: float
    updated_at: float
    metadata: dict[str, str]
    #: Workers beyond this number get no more work; None for no limit.
    worker_limit: int | None = None

    @property
    def full_name(self) -> PipelineName:
        """Return the name with its project."""
        return PipelineName(self.project, self.name)

    def __str__(self) -> str:
        """Return ``project/name``."""
        return f"{self.project}/{self.name}"


class PipelineLabel(Struct, frozen=True):
    """What a list shows of the pipeline of a job."""

    project: str
    name: str
    reason: str


class DecisionPoint(Struct, frozen=True):
    """A scaling decision in a chart."""

    id: int
    at: float
    target: int
    sentence: str
    #: Datums that waited then.
    unclaimed: int | None
    #: Workers by state then; None in decisions of earlier versions.
    states: dict[str, int] | None


class VersionRow(Struct, frozen=True):
    """One version of a pipeline's specification."""

    pipeline_id: int
    version: int
    user_json: str
    effective_json: str
    salt: str
    spec_set_id: str
    created_at: float


class DecisionRow(Struct, frozen=True):
    """A scaling decision."""

    at: float
    target: int
    sentence: str
    inputs: dict[str, Any]


_P = pipeline.c
_COLUMNS: tuple[sa.ColumnElement[Any], ...] = (
    _P.id, project.c.name, _P.name, _P.version, _P.state, _P.reason, _P.stopped, _P.target, _P.output_branch_id,
    _P.spec_branch_id, _P.meta_branch_id, _P.created_at, _P.updated_at, _P.metadata, _P.worker_limit,
)  # fmt: skip
_PIPELINE = sa.select(*_COLUMNS).join_from(pipeline, project)
_BY_NAME = Query(_PIPELINE.where(project.c.name == sa.bindparam("project"), _P.name == sa.bindparam("name")))
_PROJECTS_WITH = Query(
    sa.select(project.c.name)
    .join_from(pipeline, project)
    .where(_P.name == sa.bindparam("name"))
    .order_by(project.c.name)
    .limit(sa.bindparam("number"))
)
_BY_ID = Query(_PIPELINE.where(_P.id == sa.bindparam("pipeline_id")))
_NAME = Query(
    sa.select(project.c.name, _P.name)
    .join_from(pipeline, project)
    .where(_P.id == sa.bindparam("pipeline_id"))
)
_LABELS = ListQuery(sa.select(_P.id, project.c.name, _P.name, _P.reason).join_from(pipeline, project), _P.id)
_BY_OUTPUT = Query(
    # A pipeline has its output repo's name, so that the index on names leads to it.
    _PIPELINE.join(repo, sa.and_(repo.c.project_id == _P.project_id, repo.c.name == _P.name))
    .join(branch, sa.and_(branch.c.repo_id == repo.c.id, branch.c.id == _P.output_branch_id))
    .where(repo.c.id == sa.bindparam("repo_id"), branch.c.name == sa.bindparam("branch_name"))
)
_VERSION = sa.select(*(pipeline_version.c[name] for name in VersionRow.__struct_fields__))
_ONE_VERSION = Query(
    _VERSION.where(
        pipeline_version.c.pipeline_id == sa.bindparam("pipeline_id"),
        pipeline_version.c.version == sa.bindparam("version"),
    )
)
_SET = RowUpdate(pipeline)
_ADD_DECISION = Query(decision.insert())


def find(conn: sa.Connection, project_name: str, name: str) -> PipelineRow | None:
    """Return the pipeline of that project and name.

    Args:
        conn: connection of the transaction.
        project_name: name of the project.
        name: name of the pipeline.
    """
    row = _BY_NAME.first(conn, project=project_name, name=name)
    return PipelineRow(*row) if row else None


def projects_with(conn: sa.Connection, name: str, number: int) -> list[str]:
    """Return the first projects, by name, that have a pipeline of a name.

    Args:
        conn: connection of the transaction.
        name: name of the pipeline.
        number: how many at most.
    """
    return [row[0] for row in _PROJECTS_WITH.rows(conn, name=name, number=number)]


def by_id(conn: sa.Connection, pipeline_id: int) -> PipelineRow | None:
    """Return a pipeline, or None when it was deleted."""
    row = _BY_ID.first(conn, pipeline_id=pipeline_id)
    return PipelineRow(*row) if row else None


def name_of(conn: sa.Connection, pipeline_id: int) -> PipelineName | None:
    """Return a pipeline's name, or None when it was deleted. Cheaper than its row."""
    row = _NAME.first(conn, pipeline_id=pipeline_id)
    return PipelineName(*row) if row else None


def labels(conn: sa.Connection, pipeline_ids: Sequence[int]) -> dict[int, PipelineLabel]:
    """Return what lists show of those of the pipelines that exist, by their numbers."""
    return {row[0]: PipelineLabel(*row[1:]) for row in _LABELS.rows(conn, pipeline_ids)}


def numbers(conn: sa.Connection, projects: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return the row numbers of the pipelines with one of the names in one of the projects.

    Args:
        conn: a snapshot.
        projects: names of projects; empty: all.
        names: names of pipelines; empty: all.
    """
    query = sa.select(_P.id).join_from(pipeline, project)
    if projects:
        query = query.where(project.c.name.in_(projects))
    if names:
        query = query.where(_P.name.in_(names))
    return list(conn.execute(query).scalars())


def by_output_branch(conn: sa.Connection, repo_id: int, name: str) -> PipelineRow | None:
    """Return the pipeline that writes to a branch.

    Args:
        conn: connection of the transaction.
        repo_id: row number of the repo.
        name: name of the branch.
    """
    row = _BY_OUTPUT.first(conn, repo_id=repo_id, branch_name=name)
    return PipelineRow(*row) if row else None


def list_all(conn: sa.Connection, projects: list[str]) -> list[PipelineRow]:
    """Return pipelines, newest first; an empty list of projects does not filter."""
    query = _PIPELINE.order_by(_P.id.desc())
    if projects:
        query = query.where(project.c.name.in_(projects))
    return [PipelineRow(*row) for row in conn.execute(query)]


def add(
    conn: sa.Connection,
    *,
    project_id: int,
    name: str,
    output_branch_id: int,
    spec_branch_id: int,
    meta_branch_id: int,
    now: float,
) -> int:
    """Insert a pipeline at version 1, in state STARTING, and return its number.

    Args:
        conn: connection of the transaction.
        project_id: row number of the project.
        name: name of the pipeline.
        output_branch_id: row number of the branch of its results.
        spec_branch_id: row number of the branch of its specification.
        meta_branch_id: row number of the branch of its datums.
        now: current time, in seconds since the epoch.
    """
    values: dict[str, Any] = {
        "project_id": project_id, "name": name, "version": 1, "state": PipelineState.STARTING, "reason": "",
        "stopped": False, "target": 0, "output_branch_id": output_branch_id, "spec_branch_id": spec_branch_id,
        "meta_branch_id": meta_branch_id, "created_at": now, "updated_at": now, "metadata": {},
    }  # fmt: skip
    return inserted_id(conn.execute(pipeline.insert().values(values)))


def add_version(conn: sa.Connection, row: VersionRow) -> None:
    """Insert a version of a pipeline's specification."""
    conn.execute(
        pipeline_version.insert().values({name: getattr(row, name) for name in VersionRow.__struct_fields__})
    )


def version(conn: sa.Connection, pipeline_id: int, number: int) -> VersionRow:
    """Return a version that exists.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        number: number of the version.
    """
    return VersionRow(*require(_ONE_VERSION.first(conn, pipeline_id=pipeline_id, version=number)))


def versions(
    conn: sa.Connection, pipeline_id: int, *, below: int | None = None, oldest: int = 1, number: int
) -> list[VersionRow]:
    """Return a page of the versions of a pipeline, newest first.

    Args:
        conn: a snapshot.
        pipeline_id: row number of the pipeline.
        below: only versions below this one; None from the newest.
        oldest: none before this one.
        number: at most so many.
    """
    query = _VERSION.where(
        pipeline_version.c.pipeline_id == pipeline_id, pipeline_version.c.version >= oldest
    ).order_by(pipeline_version.c.version.desc())
    if below is not None:
        query = query.where(pipeline_version.c.version < below)
    return [VersionRow(*row) for row in conn.execute(query.limit(number))]


def change(conn: sa.Connection, pipeline_id: int, **values: object) -> None:
    """Set columns of a pipeline other than its state.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        values: new values, by the name of the column.
    """
    assert "state" not in values
    _SET.send(conn, pipeline_id, values)


def move(
    conn: sa.Connection, row: PipelineRow, state: PipelineState, reason: str = "", **values: Any
) -> PipelineRow:
    """Bring a pipeline to another state, or give its state another reason; return it as it is then.

    Args:
        conn: the write transaction in which ``row`` was read.
        row: the pipeline.
        state: its new state.
        reason: why it is in the state; empty when there is nothing to say.
        values: other columns to set.

    Raises:
        FailedPrecondition: the move is not legal; the message holds the pipeline's history.
    """
    what = f"pipeline {row} (row {row.id}, version {row.version})"
    check_transition(row.state, state, what, lambda: _history(conn, row))
    _SET.send(conn, row.id, {"state": state, "reason": reason, **values})
    return replace(row, state=state, reason=reason, **values)


def _history(conn: sa.Connection, row: PipelineRow) -> list[str]:
    """Say what happened to a pipeline, for an error message."""
    happened = [f"created at {row.created_at:.3f}", f"updated at {row.updated_at:.3f}"]
    happened += [f"at {decision.at:.3f} {decision.sentence}" for decision in decisions(conn, row.id, 3)[::-1]]
    return [*happened, *([f"reason: {row.reason}"] if row.reason else [])]


def remove(conn: sa.Connection, pipeline_id: int) -> None:
    """Delete a pipeline whose jobs, workers and logs are gone, with its versions and decisions."""
    conn.execute(decision.delete().where(decision.c.pipeline_id == pipeline_id))
    conn.execute(pipeline_version.delete().where(pipeline_version.c.pipeline_id == pipeline_id))
    conn.execute(pipeline.delete().where(_P.id == pipeline_id))


def add_decision(conn: sa.Connection, pipeline_id: int, row: DecisionRow) -> None:
    """Record a decision; ``retention`` forgets old ones.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        row: the decision.
    """
    _ADD_DECISION.send(
        conn, pipeline_id=pipeline_id, at=row.at, target=row.target, sentence=row.sentence, inputs=row.inputs
    )


def decisions(conn: sa.Connection, pipeline_id: int, number: int) -> list[DecisionRow]:
    """Return the newest decisions, newest first.

    Args:
        conn: connection of the transaction.
        pipeline_id: row number of the pipeline.
        number: the largest number of rows.
    """
    columns = (decision.c.at, decision.c.target, decision.c.sentence, decision.c.inputs)
    query = (
        sa.select(*columns)
        .where(decision.c.pipeline_id == pipeline_id)
        .order_by(decision.c.id.desc())
        .limit(number)
    )
    return [DecisionRow(*row) for row in conn.execute(query)]


def decision_points(
    conn: sa.Connection, pipeline_id: int, start: float, stop: float, number: int
) -> list[DecisionPoint]:
    """Return the newest decisions of a pipeline in a time, and the one before them, oldest first.

    Args:
        conn: a snapshot.
        pipeline_id: row number of the pipeline.
        start: of the time, in seconds since the epoch.
        stop: its end.
        number: at most so many.
    """
    row, inputs = decision.c, decision.c.inputs
    query = sa.select(
        row.id, row.at, row.target, row.sentence, inputs["demand"]["unclaimed"].as_integer(), inputs["states"]
    ).where(row.pipeline_id == pipeline_id)
    inside = query.where(row.at >= start, row.at < stop).order_by(row.id.desc()).limit(number)
    points = [DecisionPoint(*each) for each in conn.execute(inside)]
    before = query.where(row.at < start).order_by(row.id.desc()).limit(1)
    points += [DecisionPoint(*each) for each in conn.execute(before)]
    return points[::-1]
