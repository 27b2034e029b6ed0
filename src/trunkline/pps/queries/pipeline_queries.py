"""Queries on pipelines: their state, versions, workers and scaling decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import job_queue, jobs, pipelines, workers
from trunkline.meta.pipelines import DecisionRow, PipelineRow, VersionRow
from trunkline.model import names
from trunkline.model.states import PipelineState, WorkerState
from trunkline.pps.pipelines import find, version_back

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.model.names import PipelineName
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.queries import Page
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.spec_cache import Specs

__all__ = ["DecisionRow", "PipelineRow", "VersionRow"]

#: Versions of pipelines described in one snapshot.
PAGE = 25
#: Decisions returned when the request does not say how many.
DECISIONS = 20
_LIVE_WORKERS = (WorkerState.IDLE, WorkerState.BUSY)
_ACTIVE = (PipelineState.STARTING, PipelineState.RUNNING, PipelineState.STANDBY, PipelineState.RESTARTING)


class PipelineDetails(Struct, frozen=True):
    """The part of a pipeline's description that changes while it works."""

    workers_available: int
    #: When the first of its workers was ready, seconds since the epoch.
    workers_started: float | None
    #: Datums of live jobs that no worker has claimed.
    unclaimed: int


class PipelineInfo(Struct, frozen=True):
    """A pipeline in one of its versions."""

    row: PipelineRow
    version: VersionRow
    newest_job: JobRow | None
    #: Of its current version.
    spec: PipelineSpec
    details: PipelineDetails | None


class PipelineFilter(Struct, frozen=True, kw_only=True):
    """Selects pipelines."""

    #: Only this one.
    pipeline: PipelineName | None = None
    #: Only those of these projects; all when empty.
    projects: Sequence[str] = ()
    #: Only those that have a job of this id.
    job_id: str = ""
    #: Earlier versions beside the current one; all when negative.
    history: int = 0
    page: Page
    details: bool = False


class PipelinesSummary(Struct, frozen=True):
    """The health of the pipelines of a project."""

    project: str
    active: int
    paused: int
    failed: int
    unhealthy: int


def pipeline(read: ReadTransaction, specs: Specs, name: PipelineName, *, details: bool) -> PipelineInfo:
    """Return a pipeline.

    Args:
        read: the snapshot.
        specs: the parsed specifications.
        name: may carry ancestry, which means an earlier version.
        details: whether to count workers and datums.

    Raises:
        NotFound: there is no such pipeline or version.
    """
    base, steps = names.split_ancestry(name.name)
    row = find(read.conn, name.project, base)
    version = version_back(read.conn, row, sum(step.count for step in steps))
    return _describe(read.conn, specs, row, [version], details=details)[0]


def list_pipelines(
    versions: VersionedStore, specs: Specs, criteria: PipelineFilter
) -> Generator[list[PipelineInfo]]:
    """Yield pipelines page by page. Blocks.

    Args:
        versions: the store to read and write.
        specs: cache of specifications.
        criteria: which pipelines to return.

    Raises:
        NotFound: the pipeline that is asked for does not exist.
        InvalidArgument: the page is not valid.
    """
    rows = versions.query(_choose, criteria)
    #: The pipelines that remain, each with the version below which its list continues.
    remaining: list[tuple[int, int | None]] = [(row.id, None) for row in rows]
    while remaining:
        infos, remaining = versions.query(_page, specs, criteria, remaining)
        yield infos


def _choose(read: ReadTransaction, criteria: PipelineFilter) -> list[PipelineRow]:
    conn = read.conn
    first, stop = criteria.page.bounds
    if criteria.pipeline is not None:
        rows = [find(conn, criteria.pipeline.project, criteria.pipeline.name)]
    else:
        rows = pipelines.list_all(conn, list(criteria.projects))
    if criteria.job_id:
        in_set = {job.pipeline_id for job in jobs.of_set(conn, criteria.job_id)}
        rows = [row for row in rows if row.id in in_set]
    return rows[first:stop]


def _page(
    read: ReadTransaction, specs: Specs, criteria: PipelineFilter, remaining: list[tuple[int, int | None]]
) -> tuple[list[PipelineInfo], list[tuple[int, int | None]]]:
    """Return a page, and what remains."""
    infos: list[PipelineInfo] = []
    for done, (number, below) in enumerate(remaining):
        row = pipelines.by_id(read.conn, number)
        if row is None:
            continue  # deleted since the list was chosen
        oldest = 1 if criteria.history < 0 else max(1, row.version - criteria.history)
        room = PAGE - len(infos)
        part = pipelines.versions(read.conn, number, below=below, oldest=oldest, number=room)
        infos.extend(_describe(read.conn, specs, row, part, details=criteria.details))
        if len(part) == room:
            return infos, [(number, part[-1].version), *remaining[done + 1 :]]
    return infos, []


def _describe(
    conn: sa.Connection, specs: Specs, row: PipelineRow, versions: Sequence[VersionRow], *, details: bool
) -> list[PipelineInfo]:
    spec = specs.of(conn, row.id, row.version)
    newest = jobs.newest(conn, row.id)
    counted = _details(conn, row) if details else None
    return [PipelineInfo(row, version, newest, spec, counted) for version in versions]


def _details(conn: sa.Connection, row: PipelineRow) -> PipelineDetails:
    staff = workers.of_pipeline(conn, row.id)
    ready = [worker.ready for worker in staff if worker.ready is not None]
    return PipelineDetails(
        sum(worker.state in _LIVE_WORKERS for worker in staff),
        min(ready, default=None),
        job_queue.counts(conn, row.id)[0],
    )


def summaries(read: ReadTransaction, projects: Sequence[str]) -> list[PipelinesSummary]:
    """Return the health of the pipelines of projects; without names, of all projects with pipelines."""
    rows = pipelines.list_all(read.conn, list(projects))
    result = []
    for project in projects or sorted({row.project for row in rows}):
        states = [row.state for row in rows if row.project == project]
        result.append(
            PipelinesSummary(
                project,
                active=sum(state in _ACTIVE for state in states),
                paused=states.count(PipelineState.PAUSED),
                failed=states.count(PipelineState.FAILURE),
                unhealthy=states.count(PipelineState.CRASHING),
            )
        )
    return result


def decisions(read: ReadTransaction, name: PipelineName, number: int) -> list[DecisionRow]:
    """Return the newest scaling decisions of a pipeline, ``DECISIONS`` of them when ``number`` is 0.

    Args:
        read: snapshot to read in.
        name: name of the pipeline.
        number: the largest number of decisions; 0: ``DECISIONS``.

    Raises:
        NotFound: there is no such pipeline.
    """
    row = find(read.conn, name.project, name.name)
    return pipelines.decisions(read.conn, row.id, number or DECISIONS)
