"""Reads what is on its way to a pipeline: how much, and when the jobs before it will be done.

Only work that is certain to be done counts: an upstream job that is running. What the last good job of a
pipeline has taken per datum is the estimate for the next one. The arithmetic is ``scaling.lookahead``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.meta import commits, jobs, pipelines, workers
from trunkline.model.states import JobState, WorkerState
from trunkline.pps import claims
from trunkline.pps.spec_cache import image_of, input_of
from trunkline.scaling.lookahead import Stage, seconds_until_done

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.pps.spec_cache import Specs
    from trunkline.pps.startup_times import Starts


def foreseen(conn: sa.Connection, specs: Specs, starts: Starts, job: JobRow, now: float) -> tuple[int, float]:
    """Return how many datums a job that waits for its inputs will have at least, and in how many seconds.

    (0, 0.0) when nothing is known to come.
    """
    stages = _stages_before(conn, specs, starts, job, now)
    if not stages:
        return 0, 0.0
    spec = specs.of(conn, job.pipeline_id, job.version)
    whole = all(leaf.pfs is None or leaf.pfs.glob == "/" for leaf in input_of(spec).leaves())
    datums = 1 if whole else max(1, sum(stage.remaining for stage in stages))
    return datums, max(seconds_until_done(stage) for stage in stages)


def seconds_per_datum(conn: sa.Connection, job: JobRow) -> float | None:
    """Return the mean seconds of a datum: of this job so far, else of the last good job of this version."""
    seen = claims.seconds_per_datum(job)
    if seen is not None:
        return seen
    before = jobs.last_with_results(conn, job.pipeline_id, job.version)
    return claims.seconds_per_datum(before) if before is not None else None


def _stages_before(
    conn: sa.Connection, specs: Specs, starts: Starts, job: JobRow, now: float
) -> tuple[Stage, ...]:
    """Return the running jobs that a job waits for; nothing when one of those before it is not known yet."""
    stages: list[Stage] = []
    for row in commits.upstream(conn, job.commit_id):
        if row.finished is not None:
            continue
        made_by = jobs.by_commit(conn, row.id)
        if made_by is None:
            return ()  # a user's open commit: nobody knows when it is finished
        stage = _stage(conn, specs, starts, made_by, now)
        if stage is None:
            return ()
        stages.append(stage)
    return tuple(stages)


def _stage(conn: sa.Connection, specs: Specs, starts: Starts, job: JobRow, now: float) -> Stage | None:
    spec = specs.of(conn, job.pipeline_id, job.version)
    startup = starts.seconds(image_of(spec), conn)
    staff = [
        row for row in workers.of_pipeline(conn, job.pipeline_id) if row.state is not WorkerState.RETIRING
    ]
    ready = any(row.ready is not None for row in staff)
    first = min((row.created for row in staff), default=now)
    ready_in = 0.0 if ready else max(0.0, first + startup - now)
    if job.state in (JobState.RUNNING, JobState.FINISHING):
        if not job.todo_count:
            return None  # nothing changed, so nothing is to be expected
        remaining = job.todo_count - job.handed_in
        return Stage(
            remaining=remaining,
            seconds_per_datum=seconds_per_datum(conn, job),
            workers=max(1, min(remaining, len(staff) or spec.parallelism)),
            ready_in=ready_in if remaining else 0.0,
        )
    before = _stages_before(conn, specs, starts, job, now)
    pipeline = pipelines.by_id(conn, job.pipeline_id)
    if not before or pipeline is None or pipeline.stopped:
        return None
    return Stage(
        remaining=max(1, sum(stage.remaining for stage in before)),
        seconds_per_datum=seconds_per_datum(conn, job),
        workers=max(1, spec.parallelism),
        # Its workers are started ahead too, so that they are ready when its work comes.
        ready_in=ready_in if staff else 0.0,
        before=before,
    )
