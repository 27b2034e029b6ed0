"""All projects at a glance: what failed, runs and waits, and what it costs now."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import event_log, job_lines, overview, pipelines, repos
from trunkline.meta.job_lines import Selection
from trunkline.model.states import TERMINAL_JOB_STATES, JobState, PipelineState, WorkerState
from trunkline.model.workers import Machine
from trunkline.pps.queries import job_rows, state_causes
from trunkline.scaling import rates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import sqlalchemy as sa

    from trunkline.meta.overview import OldestLive, WorkerCount
    from trunkline.meta.repos import ProjectRow
    from trunkline.model.events import Position
    from trunkline.model.names import PipelineName
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pps.queries.job_rows import Row
    from trunkline.pps.queries.state_causes import CauseKind
    from trunkline.pps.spec_cache import Specs

#: Seconds in which failures count, and rows of each list, when the request does not say; rows at most.
DAY, ROWS, MOST_ROWS = 86_400.0, 20, 200
_ACTIVE = frozenset(JobState) - TERMINAL_JOB_STATES - {JobState.CREATED}
_NOT_READY = (WorkerState.PENDING, WorkerState.STARTING)
_NO_PRICE = ("local", "joined")  # they cost the same without work


class ProjectSummary(Struct, frozen=True, kw_only=True):
    """What a project has."""

    row: ProjectRow
    repos: int
    pipelines: Mapping[str, int]
    live_jobs: Mapping[str, int]
    #: Jobs that ended in the time that was asked for.
    ended_jobs: Mapping[str, int]
    workers: int


class Waiting(Struct, frozen=True, kw_only=True):
    """A pipeline that has work or an error and waits."""

    pipeline: PipelineName
    kind: CauseKind
    sentence: str
    #: When its work began to wait, in seconds since the epoch; None without work.
    since: float | None
    job_id: str


class Overview(Struct, frozen=True, kw_only=True):
    """What there is and happens in all projects."""

    position: Position
    at: float
    projects: Sequence[ProjectSummary]
    failed: Sequence[Row]
    failed_total: int
    running: Sequence[Row]
    running_total: int
    waiting: Sequence[Waiting]
    waiting_total: int
    workers: int
    unpriced_workers: int


class _Wait(Struct, frozen=True):
    """A pipeline that waits, before its sentence was made."""

    pipeline_id: int
    #: What is looked at first has the lowest number.
    rank: int
    since: float | None


def inspect(read: ReadTransaction, specs: Specs, seconds: float, number: int) -> Overview:
    """Return an overview of all projects.

    Args:
        read: a snapshot.
        specs: the parsed specifications.
        seconds: how long ago failures still count; 0: a day.
        number: rows of each list at most; 0: ``ROWS``.

    Raises:
        InvalidArgument: the number or the time is not valid.
    """
    number = number or ROWS
    if not 0 < number <= MOST_ROWS:
        raise errors.InvalidArgument(f"number {number} is not valid; ask for 1 to {MOST_ROWS} rows")
    if not 0 <= seconds <= 1e9:
        raise errors.InvalidArgument(f"seconds {seconds} is not valid; use a number from 0 to 1e9")
    conn, since = read.conn, read.now - (seconds or DAY)
    owners = overview.projects_of_pipelines(conn)
    ended = overview.ended_jobs(conn, since)
    staff = overview.workers_by_state(conn)
    active = job_lines.live(conn, Selection(states=_ACTIVE))
    waits = _waits(conn, staff)
    return Overview(
        position=event_log.newest(conn),
        at=read.now,
        projects=_projects(conn, owners, ended, staff),
        failed=job_rows.describe(read, specs, overview.failed_jobs(conn, since, number)),
        failed_total=sum(count for _, state, count in ended if state is JobState.FAILURE),
        running=job_rows.describe(read, specs, active[:number]),
        running_total=len(active),
        waiting=_explained(read, specs, waits[:number]),
        waiting_total=len(waits),
        workers=sum(count.number for count in staff),
        unpriced_workers=sum(_is_unpriced(Machine(**each)) for each in overview.machines(conn)),  # type: ignore[arg-type]
    )


def spending(machines: Iterable[Machine]) -> tuple[float, bool]:
    """Return the US dollars per hour of machines whose price is known, and whether they are simulated. Pure."""
    dollars, pretended = 0.0, False
    for machine in machines:
        if machine.kind in _NO_PRICE:
            continue
        dollars += rates.per_hour(machine) or 0.0
        pretended = pretended or machine.pretended
    return dollars, pretended


def _is_unpriced(machine: Machine) -> bool:
    return machine.kind not in _NO_PRICE and rates.per_hour(machine) is None


def _projects(
    conn: sa.Connection,
    owners: Mapping[int, str],
    ended: Iterable[tuple[int, JobState, int]],
    staff: Iterable[WorkerCount],
) -> list[ProjectSummary]:
    repo_counts = overview.repos_by_project(conn)
    states: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for project, state, count in overview.pipelines_by_state(conn):
        states[project][state] += count
    workers = Counter[str]()
    for each in staff:
        workers[each.project] += each.number
    live, over = _by_project(owners, overview.live_jobs(conn)), _by_project(owners, ended)
    return [
        ProjectSummary(
            row=row,
            repos=repo_counts.get(row.name, 0),
            pipelines=states[row.name],
            live_jobs=live[row.name],
            ended_jobs=over[row.name],
            workers=workers[row.name],
        )
        for row in repos.list_projects(conn)
    ]


def _by_project(
    owners: Mapping[int, str], counts: Iterable[tuple[int, JobState, int]]
) -> defaultdict[str, Counter[str]]:
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for pipeline_id, state, count in counts:
        sums[owners[pipeline_id]][state] += count
    return sums


def _waits(conn: sa.Connection, staff: Iterable[WorkerCount]) -> list[_Wait]:
    """Return the pipelines that wait, those with errors first, then by how long they have waited."""
    oldest = {job.pipeline_id: job for job in overview.oldest_live(conn)}
    waits = []
    for row in overview.troubled(conn):
        job = oldest.pop(row.id, None)
        rank = 0 if row.state is PipelineState.FAILURE else 1
        waits.append(_Wait(row.id, rank, job.created if job is not None else None))
    ready = {each.pipeline_id for each in staff if each.state not in _NOT_READY}
    pending = {each.pipeline_id: each.since for each in staff if each.state is WorkerState.PENDING}
    new = [job.commit_id for job in oldest.values() if job.state is JobState.CREATED]
    open_inputs = overview.with_open_inputs(conn, new)
    for job in oldest.values():
        if _waits_for_workers(job) and job.pipeline_id not in ready:
            since = pending.get(job.pipeline_id, job.started if job.started is not None else job.created)
            waits.append(_Wait(job.pipeline_id, 2, since))
        elif job.commit_id in open_inputs:
            waits.append(_Wait(job.pipeline_id, 3, job.created))
    return sorted(waits, key=lambda wait: (wait.rank, wait.since or 0.0))


def _waits_for_workers(job: OldestLive) -> bool:
    return job.state is JobState.RUNNING and job.unfinished > 0


def _explained(read: ReadTransaction, specs: Specs, waits: Iterable[_Wait]) -> list[Waiting]:
    explained = []
    for wait in waits:
        name = pipelines.name_of(read.conn, wait.pipeline_id)
        if name is None:
            continue
        cause = state_causes.explain_state(read, specs, name).causes[0]
        explained.append(
            Waiting(
                pipeline=name,
                kind=cause.kind,
                sentence=cause.sentence,
                since=wait.since,
                job_id=cause.job_id,
            )
        )
    return explained
