"""Estimate the work that upstream jobs will bring to a pipeline, and when.

Only work that is certain counts: an upstream job that runs, or waits for one that runs. The time per datum of a
pipeline's last good job is the estimate for the next one. Each upstream job is read once, level by level, up to
``MOST_LEVELS``; jobs beyond these levels, or later than ``HORIZON_STARTS``, are ignored. The
arithmetic is ``scaling.lookahead``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.meta import commit_graph, jobs, pipelines, workers
from trunkline.model.states import JobState, WorkerState
from trunkline.pps.spec_cache import image_of, input_of
from trunkline.pps.workers import claims
from trunkline.scaling.lookahead import Stage, least_datums, outlooks

if TYPE_CHECKING:
    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.pps.autoscaling.startup_times import Starts
    from trunkline.pps.spec_cache import Specs

#: Starts of the waiting pipeline within which upstream jobs matter: workers are requested one start ahead and kept
#: for a second one if the work is late (``scaling.policy.LOOKAHEAD_SLACK``).
HORIZON_STARTS = 2.0
#: Levels of upstream jobs that are read while no measured times exclude them by ``HORIZON_STARTS``.
MOST_LEVELS = 16


def foreseen(conn: sa.Connection, specs: Specs, starts: Starts, job: JobRow, now: float) -> tuple[int, float]:
    """Return how many datums a job that waits for its inputs will have at least, and in how many seconds.

    Args:
        conn: the snapshot to read in.
        specs: parsed specifications.
        starts: how long starts of workers take.
        job: a job in state CREATED.
        now: seconds since the epoch.

    Returns:
        (0, 0.0) when nothing is known to come. Work beyond the horizon has the least time it can take.
    """
    spec = specs.of(conn, job.pipeline_id, job.version)
    horizon = HORIZON_STARTS * starts.seconds(image_of(spec), conn)
    stages: dict[int, Stage] = {}
    first = _jobs_before(conn, job)
    #: Upstream jobs of one level, each with the least seconds from its end to the begin of ``job``.
    level = [(each, 0.0) for each in first or ()]
    if not first:
        return 0, 0.0
    for _ in range(MOST_LEVELS):
        further: dict[int, tuple[JobRow, float]] = {}
        for upstream, after in level:
            if upstream.id in stages:
                continue
            before = (
                _jobs_before(conn, upstream)
                if upstream.state in (JobState.CREATED, JobState.STARTING)
                else []
            )
            stage = _stage(conn, specs, starts, upstream, before, now)
            if stage is None:
                return 0, 0.0
            stages[upstream.id] = stage
            least = after + (stage.seconds_per_datum or 0.0) / stage.workers
            if before and least > horizon:
                return 1, least
            for each in before or ():
                previous = further.get(each.id)
                further[each.id] = (each, least if previous is None else max(previous[1], least))
        level = list(further.values())
        if not level:
            break
    else:
        return 0, 0.0
    results = outlooks(stages)
    direct = [results[each.id] for each in first]
    seconds = max(each.done_in for each in direct)
    if all(leaf.glob == "/" for leaf in input_of(spec).files()):
        return 1, seconds
    return least_datums(stages, frozenset().union(*(each.sources for each in direct))), seconds


def seconds_per_datum(conn: sa.Connection, job: JobRow) -> float | None:
    """Return the mean seconds of a datum: of this job so far, else of the last good job of this version."""
    measured = claims.seconds_per_datum(job)
    if measured is not None:
        return measured
    before = jobs.last_with_results(conn, job.pipeline_id, job.version)
    return claims.seconds_per_datum(before) if before is not None else None


def _jobs_before(conn: sa.Connection, job: JobRow) -> list[JobRow] | None:
    """Return the jobs that a job waits for; None when it also waits for a commit that a user has open."""
    before = []
    for row in commit_graph.upstream(conn, job.commit_id):
        if row.finished is not None:
            continue
        origin = jobs.by_commit(conn, row.id)
        if origin is None:
            return None
        before.append(origin)
    return before


def _stage(
    conn: sa.Connection, specs: Specs, starts: Starts, job: JobRow, before: list[JobRow] | None, now: float
) -> Stage | None:
    """Return a job as a stage, None when it is not certain to make work.

    Args:
        conn: the snapshot to read in.
        specs: parsed specifications.
        starts: how long starts of workers take.
        job: a job that has not ended.
        before: the jobs that it waits for, as ``_jobs_before`` returns them.
        now: seconds since the epoch.
    """
    running = job.state in (JobState.RUNNING, JobState.FINISHING)
    if running and not job.todo_count:
        return None  # nothing changed, so no work comes from it
    if not running:
        pipeline = pipelines.by_id(conn, job.pipeline_id)
        if not before or pipeline is None or pipeline.stopped:
            return None
    spec = specs.of(conn, job.pipeline_id, job.version)
    rows = [
        row for row in workers.of_pipeline(conn, job.pipeline_id) if row.state is not WorkerState.RETIRING
    ]
    ready_in = 0.0
    if not any(row.ready is not None for row in rows) and (rows or running):
        oldest = min((row.created for row in rows), default=now)
        ready_in = max(0.0, oldest + starts.seconds(image_of(spec), conn) - now)
    remaining = job.todo_count - job.handed_in if running else None
    return Stage(
        remaining=remaining,
        seconds_per_datum=seconds_per_datum(conn, job),
        workers=max(1, (len(rows) if running else 0) or spec.parallelism),
        # The workers of a job that does not run yet are started ahead too, so they are ready when its work comes.
        ready_in=0.0 if remaining == 0 else ready_in,
        before=tuple(each.id for each in before or ()),
    )
