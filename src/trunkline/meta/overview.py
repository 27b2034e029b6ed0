"""Counts of what there is, by project: at the cost of what is alive, and of the jobs that ended in a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from msgspec import Struct

from trunkline.meta.job_lines import JobLine
from trunkline.meta.query import ListQuery, Query
from trunkline.meta.schema import commit, commit_provenance, job, pipeline, project, repo, worker
from trunkline.model.names import USER
from trunkline.model.states import JobState, PipelineState, WorkerState

if TYPE_CHECKING:
    from collections.abc import Sequence


class OldestLive(Struct, frozen=True):
    """The oldest live job of a pipeline."""

    id: int
    pipeline_id: int
    commit_id: int
    state: JobState
    created: float
    started: float | None
    #: Datums of it without a result.
    unfinished: int


class TroubledPipeline(Struct, frozen=True):
    """A pipeline that cannot work."""

    id: int
    state: PipelineState


class WorkerCount(Struct, frozen=True):
    """Workers of a pipeline in one state."""

    project: str
    pipeline_id: int
    state: WorkerState
    number: int
    #: When the first of them entered the state, in seconds since the epoch.
    since: float


_REPOS = Query(
    sa.select(project.c.name, sa.func.count(repo.c.id))
    .join_from(project, repo)
    .where(repo.c.type == USER)
    .group_by(project.c.name)
)
_PIPELINES = Query(
    sa.select(project.c.name, pipeline.c.state, sa.func.count())
    .join_from(pipeline, project)
    .group_by(project.c.name, pipeline.c.state)
)
_WORKERS = Query(
    sa.select(
        project.c.name, worker.c.pipeline_id, worker.c.state, sa.func.count(), sa.func.min(worker.c.since)
    )
    .select_from(worker)
    .join(pipeline, pipeline.c.id == worker.c.pipeline_id)
    .join(project, project.c.id == pipeline.c.project_id)
    .group_by(project.c.name, worker.c.pipeline_id, worker.c.state)
)
_MACHINES = Query(sa.select(worker.c.machine).where(worker.c.machine.is_not(None)))
_LIVE = Query(
    sa.select(job.c.pipeline_id, job.c.state, sa.func.count())
    .where(job.c.finished.is_(None))
    .group_by(job.c.pipeline_id, job.c.state)
)
#: The condition of the index ix_job_ended.
_ENDED_ONES = sa.text("finished IS NOT NULL")
_ENDED = Query(
    sa.select(job.c.pipeline_id, job.c.state, sa.func.count())
    .where(_ENDED_ONES, job.c.finished >= sa.bindparam("since"))
    .group_by(job.c.pipeline_id, job.c.state)
)
_FAILED = Query(
    sa.select(*(job.c[name] for name in JobLine.__struct_fields__))
    .where(_ENDED_ONES, job.c.finished >= sa.bindparam("since"), job.c.state == JobState.FAILURE)
    .order_by(job.c.finished.desc())
    .limit(sa.bindparam("number"))
)
_oldest = job.alias("oldest")
_OLDEST_LIVE = Query(
    sa.select(
        job.c.id, job.c.pipeline_id, job.c.commit_id, job.c.state, job.c.created, job.c.started,
        job.c.todo_count - job.c.processed - job.c.failed - job.c.recovered,
    ).where(
        job.c.id.in_(
            sa.select(sa.func.min(_oldest.c.id)).where(_oldest.c.finished.is_(None)).group_by(_oldest.c.pipeline_id)
        )
    )
)  # fmt: skip
_INPUTS = ListQuery(
    # Whether they are finished is looked at here: PostgreSQL would read all commits for the few that are not.
    sa.select(commit_provenance.c.commit_id, commit.c.finished).join(
        commit, commit.c.id == commit_provenance.c.upstream_id
    ),
    commit_provenance.c.commit_id,
)
_TROUBLED = Query(
    sa.select(pipeline.c.id, pipeline.c.state)
    .where(sa.or_(pipeline.c.state == PipelineState.FAILURE, pipeline.c.state == PipelineState.CRASHING))
    .order_by(pipeline.c.id.desc())
)
_PROJECT_OF = Query(sa.select(pipeline.c.id, project.c.name).join_from(pipeline, project))


def repos_by_project(conn: sa.Connection) -> dict[str, int]:
    """Return how many repos of users and outputs of pipelines each project has."""
    return {row[0]: row[1] for row in _REPOS.rows(conn)}


def pipelines_by_state(conn: sa.Connection) -> list[tuple[str, PipelineState, int]]:
    """Return how many pipelines each project has in each state."""
    return [(row[0], row[1], row[2]) for row in _PIPELINES.rows(conn)]


def projects_of_pipelines(conn: sa.Connection) -> dict[int, str]:
    """Return the projects of all pipelines, by the numbers of these."""
    return {row[0]: row[1] for row in _PROJECT_OF.rows(conn)}


def workers_by_state(conn: sa.Connection) -> list[WorkerCount]:
    """Return how many workers each pipeline has in each state."""
    return [WorkerCount(*row) for row in _WORKERS.rows(conn)]


def live_jobs(conn: sa.Connection) -> list[tuple[int, JobState, int]]:
    """Return how many live jobs each pipeline has in each state."""
    return [(row[0], row[1], row[2]) for row in _LIVE.rows(conn)]


def ended_jobs(conn: sa.Connection, since: float) -> list[tuple[int, JobState, int]]:
    """Return how many jobs of each pipeline have ended since a time, by state."""
    return [(row[0], row[1], row[2]) for row in _ENDED.rows(conn, since=since)]


def failed_jobs(conn: sa.Connection, since: float, number: int) -> list[JobLine]:
    """Return the jobs that have ended as a failure since a time, the last one first.

    Args:
        conn: a snapshot.
        since: in seconds since the epoch.
        number: at most so many.
    """
    return [JobLine(*row) for row in _FAILED.rows(conn, since=since, number=number)]


def oldest_live(conn: sa.Connection) -> list[OldestLive]:
    """Return the oldest live job of each pipeline that has any."""
    return [OldestLive(*row) for row in _OLDEST_LIVE.rows(conn)]


def with_open_inputs(conn: sa.Connection, commit_ids: Sequence[int]) -> set[int]:
    """Return those of the commits that come from one that is not finished."""
    return {row[0] for row in _INPUTS.rows(conn, commit_ids) if row[1] is None}


def troubled(conn: sa.Connection) -> list[TroubledPipeline]:
    """Return the pipelines that have failed or whose workers do not stay up, the newest first."""
    return [TroubledPipeline(*row) for row in _TROUBLED.rows(conn)]


def machines(conn: sa.Connection) -> list[dict[str, object]]:
    """Return the machine of each worker that is on one, as stored."""
    return [row[0] for row in _MACHINES.rows(conn)]
