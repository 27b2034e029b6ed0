"""How many workers a pipeline had and should have had over a time, with the decisions in it.

Decisions say how many workers there were when they were taken. Since the first job without a bill, workers that are
gone are remembered too (``pps.queries.costs``): from then on each start and end is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import bills, event_log, job_queue, jobs, pipelines, workers
from trunkline.meta.pipelines import DecisionPoint
from trunkline.model.states import WorkerState
from trunkline.pps.pipelines import find

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import sqlalchemy as sa

    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.events import Position
    from trunkline.model.names import PipelineName
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pps.spec_cache import Specs

__all__ = ["DecisionPoint"]

#: Points when the request does not say how many, and at most; seconds back from the end without a begin.
WIDTH, MOST_WIDTH, SPAN = 600, 4_000, 3_600.0
#: Decisions, and workers that are gone, that are read at most, the newest.
DECISIONS, PAST = 500, 2_000


class Point(Struct, frozen=True, kw_only=True):
    """Workers at a moment; they stay so until the next point."""

    at: float
    asked: int
    existing: int
    ready: int
    #: None where it is not known.
    busy: int | None = None
    #: Datums that no worker has.
    queue: int | None = None


class Life(Struct, frozen=True):
    """When a worker existed, in seconds since the epoch."""

    created: float
    ready: float | None
    ended: float


class ScalingHistory(Struct, frozen=True):
    """The workers of a pipeline over a time."""

    points: Sequence[Point]
    decisions: Sequence[DecisionPoint]
    limit: int
    autoscaling: bool
    position: Position


def inspect(
    read: ReadTransaction,
    specs: Specs,
    name: PipelineName,
    span: tuple[float | None, float | None],
    width: int,
) -> ScalingHistory:
    """Return what happened to the number of workers of a pipeline.

    Args:
        read: a snapshot.
        specs: the parsed specifications.
        name: the pipeline.
        span: begin and end in seconds since the epoch; None: an hour before the end, and now.
        width: points at most; 0: ``WIDTH``.

    Raises:
        NotFound: there is no such pipeline.
        InvalidArgument: the width is not valid, or the end is before the begin.
    """
    width = width or WIDTH
    if not 0 < width <= MOST_WIDTH:
        raise errors.InvalidArgument(f"width {width} is not valid; ask for 1 to {MOST_WIDTH:,} points")
    stop = min(read.now, span[1] if span[1] is not None else read.now)
    start = span[0] if span[0] is not None else stop - SPAN
    if start >= stop:
        raise errors.InvalidArgument(
            f"the time from {start:.0f} until {stop:.0f} is empty; send a `from` that is before `until` and now"
        )
    conn = read.conn
    row = find(conn, name.project, name.name)
    decisions = pipelines.decision_points(conn, row.id, start, stop, DECISIONS)
    known_from = _known_from(conn, row)
    lives = [
        Life(each.created, each.ready, each.ended)
        for each in workers.past(conn, row.id, max(start, known_from), stop, PAST)
    ]
    staff = workers.of_pipeline(conn, row.id)
    lives += [Life(each.created, each.ready, float("inf")) for each in staff]
    points = curve(decisions, lives, (start, stop), known_from)
    if stop == read.now and points:
        busy = sum(each.state is WorkerState.BUSY for each in staff)
        last = points[-1]
        points.append(
            Point(
                at=stop,
                asked=row.target,
                existing=last.existing,
                ready=last.ready,
                busy=busy,
                queue=job_queue.counts(conn, row.id)[0],
            )
        )
    spec = specs.of(conn, row.id, row.version)
    return ScalingHistory(
        thinned(points, (start, stop), width),
        [each for each in decisions if each.at >= start],
        spec.parallelism,
        spec.autoscaling,
        event_log.newest(conn),
    )


def curve(
    decisions: Sequence[DecisionPoint], lives: Sequence[Life], span: tuple[float, float], known_from: float
) -> list[Point]:
    """Return a point for each moment at which something changed, and for the begin. Pure.

    Args:
        decisions: oldest first; one before the begin says what was asked then.
        lives: of workers; complete from ``known_from`` on.
        span: begin and end, in seconds since the epoch.
        known_from: before this time the numbers of workers are those of the last decision.
    """
    start, stop = span
    changes: list[tuple[float, int, int]] = []
    for life in lives:
        changes.append((life.created, 1, 0))
        if life.ready is not None:
            changes.append((life.ready, 0, 1))
        changes.append((life.ended, -1, -1 if life.ready is not None else 0))
    changes.sort()
    moments = {start, *(each.at for each in decisions)}
    moments |= {at for at, _, _ in changes if at >= known_from}
    points, existing, ready, next_change, next_decision = list[Point](), 0, 0, 0, 0
    decision: DecisionPoint | None = None
    for at in sorted(moments):
        while next_decision < len(decisions) and decisions[next_decision].at <= at:
            decision = decisions[next_decision]
            next_decision += 1
        while next_change < len(changes) and changes[next_change][0] <= at:
            existing += changes[next_change][1]
            ready += changes[next_change][2]
            next_change += 1
        if not start <= at < stop:
            continue
        seen = decision.states if decision is not None else None
        states = seen or {}
        present, prepared = existing, ready
        if at < known_from:
            present = sum(states.values())
            prepared = sum(states.get(state, 0) for state in (WorkerState.IDLE, WorkerState.BUSY))
        points.append(
            Point(
                at=at,
                asked=decision.target if decision is not None else 0,
                existing=present,
                ready=prepared,
                busy=states.get(WorkerState.BUSY, 0) if seen is not None else None,
                queue=decision.unclaimed if decision is not None else None,
            )
        )
    return points


def thinned(points: Sequence[Point], span: tuple[float, float], width: int) -> Sequence[Point]:
    """Return at most so many points: of each slice of the time the largest numbers. Pure.

    Args:
        points: in the order of their times.
        span: begin and end.
        width: the number of slices.
    """
    if len(points) <= width:
        return points
    start, stop = span
    slices: dict[int, list[Point]] = {}
    for point in points:
        slices.setdefault(min(width - 1, int((point.at - start) / (stop - start) * width)), []).append(point)
    return [
        Point(
            at=group[0].at,
            asked=max(each.asked for each in group),
            existing=max(each.existing for each in group),
            ready=max(each.ready for each in group),
            busy=_largest(each.busy for each in group),
            queue=_largest(each.queue for each in group),
        )
        for group in slices.values()
    ]


def _largest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _known_from(conn: sa.Connection, row: PipelineRow) -> float:
    """Return from when on all workers of a pipeline are remembered."""
    first = jobs.page(
        conn, pipeline_id=row.id, beyond=bills.billed_up_to(conn, row.id), oldest_first=True, number=1
    )
    return first[0].created if first else row.created_at
