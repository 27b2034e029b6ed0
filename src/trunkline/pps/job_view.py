"""What ``decide.next_step`` needs to know about a job, read from the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.meta import commit_graph, jobs, repos
from trunkline.model.states import JobState
from trunkline.pps import decide

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.pps.spec_cache import Specs


def view_of(conn: sa.Connection, specs: Specs, job: JobRow) -> decide.JobView:
    """Return the view of a pipeline's oldest live job.

    Args:
        conn: connection of the transaction.
        specs: cache of specifications.
        job: the job.
    """
    inputs = commit_graph.upstream(conn, job.commit_id)
    spec = specs.of(conn, job.pipeline_id, job.version)
    return decide.JobView(
        id=job.id,
        state=JobState(job.state),
        inputs_finished=all(row.finished is not None for row in inputs),
        failed_inputs=tuple(
            f"{repos.repo_by_id(conn, row.repo_id)}@{row.set_id}" for row in inputs if row.error
        ),
        handed_in=job.handed_in,
        todo_count=job.todo_count,
        started=job.started,
        timeout=spec.job_timeout,
        has_egress=spec.egress is not None,
        superseded=spec.service is not None and _is_followed(conn, job),
    )


def _is_followed(conn: sa.Connection, job: JobRow) -> bool:
    """Return whether a later job has all its inputs."""
    return any(
        all(row.finished is not None for row in commit_graph.upstream(conn, later.commit_id))
        for later in jobs.live(conn, job.pipeline_id)[1:]
    )
