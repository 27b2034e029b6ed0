"""Queries on jobs: inspect, list and follow them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from trunkline import errors
from trunkline.meta import claims as claim_rows
from trunkline.meta import commit_graph, commits, jobs, pipelines, repos
from trunkline.meta.claims import ClaimRow
from trunkline.meta.jobs import JobRow
from trunkline.model.states import TERMINAL_JOB_STATES, JobState
from trunkline.pfs import resolve
from trunkline.pps.jobs import find
from trunkline.pps.pipelines import find as find_pipeline

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Generator, Sequence

    import sqlalchemy as sa

    from trunkline.meta.pipelines import PipelineRow, VersionRow
    from trunkline.meta.repos import RepoRow
    from trunkline.model.names import CommitName, JobName, PipelineName
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore

__all__ = ["ClaimRow", "JobRow"]

#: Jobs read and described at a time by lists.
PAGE = 50


class JobInfo(Struct, frozen=True):
    """A job with its surroundings."""

    row: JobRow
    pipeline: PipelineRow
    output_repo: RepoRow
    output_branch: str
    #: Its specification and its claims; None and empty unless details were asked for.
    version: VersionRow | None
    claims: Sequence[ClaimRow]

    @property
    def ended(self) -> bool:
        """Whether the job is in a terminal state."""
        return self.row.state in TERMINAL_JOB_STATES

    @property
    def reason(self) -> str:
        """Why the job ended as it did; of a live one, what its pipeline waits for or fails at; or empty."""
        if self.ended or self.row.state is JobState.CREATED:
            return self.row.reason
        return self.row.reason or self.pipeline.reason


class JobFilter(Struct, frozen=True, kw_only=True):
    """Selects and orders the jobs of a list."""

    #: Only the jobs of this pipeline.
    pipeline: PipelineName | None = None
    #: Only those of its current version and this many earlier ones; all when negative.
    history: int = -1
    #: Only those of pipelines of these projects; all when empty.
    projects: Sequence[str] = ()
    #: Only those of this id.
    set_id: str = ""
    #: Only those of commit sets in which all of these commits are read.
    inputs: Sequence[CommitName] = ()
    #: Only those created before this time (seconds since the epoch), after it when the order is reversed.
    marker: float | None = None
    #: Oldest first.
    reverse: bool = False
    #: The largest number of jobs; 0: no limit.
    number: int = 0
    details: bool = False


def job(read: ReadTransaction, name: JobName, *, details: bool) -> JobInfo:
    """Return a job, or raise NotFound.

    Args:
        read: snapshot to read in.
        name: name of the job.
        details: return the specification and the numbers of the datums too.
    """
    return _describe(read.conn, [find(read.conn, name)], details=details)[0]


async def wait_for_end(versions: VersionedStore, name: JobName, *, details: bool) -> JobInfo:
    """Return a job once it has ended.

    Args:
        versions: the store to read and write.
        name: name of the job.
        details: return the specification and the numbers of the datums too.

    Raises:
        NotFound: there is no such job, or it was deleted while this waited.
    """
    while True:
        stamp = versions.wakeups.stamp()
        info = await versions.query_soon(job, name, details=details)
        if info.ended:
            return info
        await versions.wakeups.changed(stamp, f"job:{info.row.id}")


def job_set(read: ReadTransaction, set_id: str, *, details: bool) -> list[JobInfo]:
    """Return the jobs of one id, the most upstream first.

    Args:
        read: snapshot to read in.
        set_id: id of the jobs and of their commit set.
        details: return the specification and the numbers of the datums too.

    Raises:
        NotFound: the id names none.
    """
    rows = jobs.of_set(read.conn, set_id)
    if not rows:
        raise errors.NotFound(f"no jobs found for jobset {set_id}")
    return _describe(read.conn, rows, details=details)


async def follow_job_set(versions: VersionedStore, set_id: str, *, details: bool) -> AsyncGenerator[JobInfo]:
    """Yield each job of one id once it has ended.

    Args:
        versions: the store to read and write.
        set_id: id of the jobs and of their commit set.
        details: return the specification and the numbers of the datums too.

    Raises:
        NotFound: there is none.
    """
    yielded: set[int] = set()
    while True:
        stamp = versions.wakeups.stamp()
        ended, waiting = await versions.query_soon(_ended_jobs, set_id, yielded, details=details)
        for info in ended:
            yielded.add(info.row.id)
            yield info
        if ended:
            continue
        if not waiting:
            return
        await versions.wakeups.changed(stamp, *(f"job:{number}" for number in waiting))


def _ended_jobs(
    read: ReadTransaction, set_id: str, yielded: Collection[int], *, details: bool
) -> tuple[list[JobInfo], list[int]]:
    """Return a page of the jobs of one id that ended since the last look, and those that have not ended yet."""
    rows = jobs.of_set(read.conn, set_id)
    if not rows:
        raise errors.NotFound(f"no jobs found for jobset {set_id}")
    ended = [row for row in rows if row.state in TERMINAL_JOB_STATES and row.id not in yielded]
    waiting = [row.id for row in rows if row.state not in TERMINAL_JOB_STATES]
    return _describe(read.conn, ended[:PAGE], details=details), waiting


def list_jobs(versions: VersionedStore, criteria: JobFilter) -> Generator[list[JobInfo]]:
    """Yield jobs page by page, newest first unless reversed. Blocks; each page is a snapshot of its own.

    Raises:
        NotFound: the pipeline or an input commit does not exist.
    """
    for page in matching(versions, criteria):
        yield versions.query(_describe_page, page, details=criteria.details)


def list_job_sets(versions: VersionedStore, criteria: JobFilter) -> Generator[tuple[str, list[JobInfo]]]:
    """Yield jobs grouped by their id, newest id first unless reversed; an id is as new as its newest job. Blocks.

    Args:
        versions: the store.
        criteria: selects jobs; ``number`` is that of groups, and ``marker`` is compared with their newest jobs.
    """
    choice = versions.query(_choose, criteria)
    every = replace(criteria, marker=None)
    count = 0
    for page in matching(versions, replace(criteria, number=0)):
        for row in page:
            group = versions.query(_group_of_newest, every, choice, row, details=criteria.details)
            if group:
                yield row.set_id, group
                count += 1
                if count == criteria.number:
                    return


def _group_of_newest(
    read: ReadTransaction, criteria: JobFilter, choice: _Choice, row: JobRow, *, details: bool
) -> list[JobInfo]:
    """Return the jobs that share an id, newest first, if this is the newest of them; nothing otherwise."""
    rows = [member for member in jobs.of_set(read.conn, row.set_id) if _admits(criteria, choice, member)]
    if not rows or rows[-1].id != row.id:
        return []
    return _describe(read.conn, rows[::-1], details=details)


async def subscribe(
    versions: VersionedStore, name: PipelineName, *, details: bool
) -> AsyncGenerator[JobInfo]:
    """Yield each live job of a pipeline and each new one, once, until the pipeline is deleted.

    Args:
        versions: the store to read and write.
        name: name of the pipeline.
        details: return the specification and the numbers of the datums too.

    Raises:
        NotFound: there is no such pipeline, or not any more.
    """
    last: int | None = None
    while True:
        topic = f"jobs:{await versions.query_soon(_pipeline_id, name)}"
        stamp = versions.wakeups.stamp()
        before = last
        infos, last = await versions.query_soon(_jobs_after, name, before, details=details)
        for info in infos:
            yield info
        if last == before:
            await versions.wakeups.changed(stamp, topic)


def _pipeline_id(read: ReadTransaction, name: PipelineName) -> int:
    return find_pipeline(read.conn, name.project, name.name).id


def _jobs_after(
    read: ReadTransaction, name: PipelineName, last: int | None, *, details: bool
) -> tuple[list[JobInfo], int]:
    """Return a page of the jobs after the row ``last``, or all live ones, and the row to go on after."""
    conn = read.conn
    pipeline_id = find_pipeline(conn, name.project, name.name).id
    if last is None:
        rows = jobs.live(conn, pipeline_id)
        newest = jobs.newest(conn, pipeline_id)
        last = newest.id if newest else 0
    else:
        rows = jobs.page(conn, pipeline_id=pipeline_id, beyond=last, oldest_first=True, number=PAGE)
        last = rows[-1].id if rows else last
    return _describe(conn, rows, details=details), last


def matching(versions: VersionedStore, criteria: JobFilter) -> Generator[list[JobRow]]:
    """Yield the rows that a filter admits, in its order, page by page. Blocks; each page is a snapshot of its own.

    Raises:
        NotFound: the pipeline or an input commit does not exist.
    """
    choice = versions.query(_choose, criteria)
    remaining = criteria.number
    for page in (
        _behind_inputs(versions, criteria, choice) if choice.inputs else _in_order(versions, criteria, choice)
    ):
        part = page[:remaining] if remaining else page
        if part:
            yield part
        if remaining:
            remaining -= len(part)
            if not remaining:
                return


class _Choice(Struct, frozen=True):
    """A filter with its names looked up."""

    #: None for all.
    pipeline_ids: frozenset[int] | None
    oldest_version: int
    #: Row numbers of commits.
    inputs: frozenset[int]
    #: Row number after which the list begins, in its order; None from its beginning.
    beyond: int | None


def _choose(read: ReadTransaction, criteria: JobFilter) -> _Choice:
    conn = read.conn
    chosen: frozenset[int] | None = None
    oldest_version = 0
    if criteria.pipeline is not None:
        row = find_pipeline(conn, criteria.pipeline.project, criteria.pipeline.name)
        chosen = frozenset({row.id})
        if criteria.history >= 0:
            oldest_version = row.version - criteria.history
    elif criteria.projects:
        chosen = frozenset(row.id for row in pipelines.list_all(conn, list(criteria.projects)))
    inputs = frozenset(resolve.commit(conn, name).id for name in criteria.inputs)
    beyond = None
    if criteria.marker is not None:
        first = jobs.first_created_from(conn, criteria.marker)
        beyond = first - 1 if criteria.reverse else first + 1
    return _Choice(chosen, oldest_version, inputs, beyond)


def _in_order(versions: VersionedStore, criteria: JobFilter, choice: _Choice) -> Generator[list[JobRow]]:
    if choice.pipeline_ids is not None and not choice.pipeline_ids:
        return
    if criteria.set_id:
        rows = versions.read(jobs.of_set, criteria.set_id)
        yield [row for row in rows[:: 1 if criteria.reverse else -1] if _admits(criteria, choice, row)]
        return
    single = choice.pipeline_ids is not None and len(choice.pipeline_ids) == 1
    pipeline_id = next(iter(choice.pipeline_ids)) if choice.pipeline_ids and single else None
    beyond = choice.beyond
    while True:
        page = versions.read(
            jobs.page, pipeline_id=pipeline_id, beyond=beyond, oldest_first=criteria.reverse, number=PAGE
        )
        yield [row for row in page if _admits(criteria, choice, row)]
        if len(page) < PAGE:
            return
        beyond = page[-1].id


def _behind_inputs(versions: VersionedStore, criteria: JobFilter, choice: _Choice) -> Generator[list[JobRow]]:
    """Yield the jobs of each commit set in which all the inputs are read, those further downstream included."""

    def look(conn: sa.Connection) -> list[JobRow]:
        behind = [
            {row.set_id for row in commit_graph.downstream(conn, commit_id)} for commit_id in choice.inputs
        ]
        rows = jobs.of_sets(conn, sorted(set.intersection(*behind)))
        admitted = [row for row in rows if _admits(criteria, choice, row)]
        return sorted(admitted, key=lambda row: row.id, reverse=not criteria.reverse)

    rows = versions.read(look)
    for start in range(0, len(rows), PAGE):
        yield rows[start : start + PAGE]


def _admits(criteria: JobFilter, choice: _Choice, row: JobRow) -> bool:
    if choice.pipeline_ids is not None and row.pipeline_id not in choice.pipeline_ids:
        return False
    if row.version < choice.oldest_version:
        return False
    if criteria.marker is None:
        return True
    return row.created > criteria.marker if criteria.reverse else row.created < criteria.marker


def _describe_page(read: ReadTransaction, rows: Sequence[JobRow], *, details: bool) -> list[JobInfo]:
    return _describe(read.conn, rows, details=details)


def _describe(conn: sa.Connection, rows: Sequence[JobRow], *, details: bool) -> list[JobInfo]:
    owners: dict[int, PipelineRow | None] = {}
    outputs: dict[int, RepoRow] = {}
    infos = []
    for row in rows:
        if row.pipeline_id not in owners:
            owners[row.pipeline_id] = pipelines.by_id(conn, row.pipeline_id)
        pipeline = owners[row.pipeline_id]
        output = commits.find_by_id(conn, row.commit_id)
        if pipeline is None or output is None:
            continue  # deleted since the rows were read
        if output.repo_id not in outputs:
            outputs[output.repo_id] = repos.repo_by_id(conn, output.repo_id)
        version = pipelines.version(conn, row.pipeline_id, row.version) if details else None
        claims = claim_rows.owned_claims(conn, row.id) if details else ()
        infos.append(JobInfo(row, pipeline, outputs[output.repo_id], output.branch_name, version, claims))
    return infos
