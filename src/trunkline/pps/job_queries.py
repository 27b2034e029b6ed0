"""What requests ask about jobs: inspected, listed, followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import commits, jobs, pipelines, repos
from trunkline.meta.jobs import ClaimRow, JobRow
from trunkline.pfs import resolve
from trunkline.pps.jobs import find
from trunkline.pps.pipelines import find as find_pipeline

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable, Mapping, Sequence

    import sqlalchemy as sa

    from trunkline.meta.pipelines import PipelineRow, VersionRow
    from trunkline.meta.repos import RepoRow
    from trunkline.model.names import JobName, PipelineName
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.resolve import CommitName

__all__ = ["ClaimRow", "JobRow"]

#: Jobs read at a time by lists.
PAGE = 100
#: Jobs of one id that are looked at: one for each pipeline.
_JOBS_OF_SET = 100_000


@dataclass(frozen=True, slots=True)
class JobInfo:
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
        return self.row.state in jobs.TERMINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs a list shows, and in which order."""

    #: Only the jobs of this pipeline.
    pipeline: PipelineName | None = None
    #: Only those of its current version and this many earlier ones; all when negative.
    history: int = -1
    #: Only those of pipelines of these projects; all when empty.
    projects: Sequence[str] = ()
    #: Only those whose output came from all of these commits.
    inputs: Sequence[CommitName] = ()
    #: Only those created before this time (seconds since the epoch), after it when the order is reversed.
    marker: float | None = None
    #: Oldest first.
    reverse: bool = False
    #: At most so many, 0 for all.
    number: int = 0
    details: bool = False


def job(read: ReadTransaction, name: JobName, *, details: bool) -> JobInfo:
    """Return a job, or raise NotFound."""
    return _describe(read.conn, [find(read.conn, name)], details=details)[0]


async def wait_for_end(versions: VersionedStore, name: JobName, *, details: bool) -> JobInfo:
    """Return a job once it has ended.

    Raises:
        NotFound: there is no such job, or it was deleted while this waited.
    """
    pipeline_id = (await versions.query_soon(job, name, details=False)).pipeline.id
    topic = f"jobs:{pipeline_id}"
    while True:
        stamp = versions.wakeups.stamp(topic)
        info = await versions.query_soon(job, name, details=details)
        if info.ended:
            return info
        await versions.wakeups.changed(stamp, topic)


def job_set(read: ReadTransaction, set_id: str, *, details: bool) -> list[JobInfo]:
    """Return the jobs of one id, the most upstream first, or raise NotFound."""
    rows = jobs.page(read.conn, pipeline_ids=None, set_id=set_id, number=_JOBS_OF_SET)
    if not rows:
        raise errors.NotFound(f"no jobs found for jobset {set_id}")
    return _describe(read.conn, rows[::-1], details=details)


async def follow_job_set(versions: VersionedStore, set_id: str, *, details: bool) -> AsyncGenerator[JobInfo]:
    """Yield each job of one id once it has ended.

    Raises:
        NotFound: there is none.
    """
    yielded: set[int] = set()
    while True:
        stamp = versions.wakeups.stamp("jobs")
        infos = await versions.query_soon(job_set, set_id, details=details)
        for info in infos:
            if info.ended and info.row.id not in yielded:
                yielded.add(info.row.id)
                yield info
        if len(yielded) == len(infos):
            return
        await versions.wakeups.changed(stamp, "jobs")


def list_jobs(versions: VersionedStore, wanted: JobFilter) -> Generator[list[JobInfo]]:
    """Yield jobs page by page, newest first unless reversed. Blocks; each page is a snapshot of its own.

    Raises:
        NotFound: the pipeline or an input commit does not exist.
    """
    pages: Iterable[Sequence[JobRow]] = _matching(versions, wanted)
    if wanted.reverse:
        rows = [row for page in pages for row in page][::-1]
        pages = (rows[start : start + PAGE] for start in range(0, len(rows), PAGE))
    left = wanted.number or -1
    for page in pages:
        shown = page[:left] if left > 0 else page
        yield versions.query(_describe_page, shown, details=wanted.details)
        left -= len(shown)
        if left == 0:
            return


def list_job_sets(
    versions: VersionedStore, projects: Sequence[str], *, number: int, reverse: bool, details: bool
) -> list[tuple[str, list[JobInfo]]]:
    """Return jobs grouped by their id, newest id first. Blocks.

    Args:
        versions: the store.
        projects: only jobs of pipelines of these; all when empty.
        number: at most so many groups, 0 for all.
        reverse: return these groups in reverse order.
        details: whether to look at specifications and claims.
    """
    sets: dict[str, list[JobInfo]] = {}
    for page in list_jobs(versions, JobFilter(projects=projects, details=details)):
        for info in page:
            if info.row.set_id in sets or not number or len(sets) < number:
                sets.setdefault(info.row.set_id, []).append(info)
            else:
                return _groups(sets, reverse=reverse)
    return _groups(sets, reverse=reverse)


def _groups(sets: Mapping[str, list[JobInfo]], *, reverse: bool) -> list[tuple[str, list[JobInfo]]]:
    groups = list(sets.items())
    return groups[::-1] if reverse else groups


async def subscribe(
    versions: VersionedStore, name: PipelineName, *, details: bool
) -> AsyncGenerator[JobInfo]:
    """Yield each state that a live or new job of a pipeline is seen in, until the pipeline is deleted.

    Raises:
        NotFound: there is no such pipeline, or not any more.
    """
    seen: dict[int, str] = {}
    while True:
        topic = f"jobs:{await versions.query_soon(_pipeline_id, name)}"
        stamp = versions.wakeups.stamp(topic)
        for info in await versions.query_soon(_changed_jobs, name, seen, details=details):
            seen[info.row.id] = info.row.state
            yield info
        seen = {number: state for number, state in seen.items() if state not in jobs.TERMINAL}
        await versions.wakeups.changed(stamp, topic)


def _pipeline_id(read: ReadTransaction, name: PipelineName) -> int:
    return find_pipeline(read.conn, name.project, name.name).id


def _changed_jobs(
    read: ReadTransaction, name: PipelineName, seen: Mapping[int, str], *, details: bool
) -> list[JobInfo]:
    """Return the live jobs of a pipeline, and those that ended, whose state is not the one that was seen."""
    conn = read.conn
    rows = {row.id: row for row in jobs.live(conn, find_pipeline(conn, name.project, name.name).id)}
    for number, state in seen.items():
        if number not in rows and state not in jobs.TERMINAL:
            ended = jobs.by_id(conn, number)
            if ended is not None:
                rows[number] = ended
    changed = [row for row in rows.values() if seen.get(row.id) != row.state]
    return _describe(conn, changed, details=details)


def _matching(versions: VersionedStore, wanted: JobFilter) -> Generator[list[JobRow]]:
    """Yield the rows that a filter admits, newest first, page by page."""
    choice = versions.query(_choose, wanted)
    below: int | None = None
    while True:
        rows, below = versions.query(_next_rows, wanted, choice, below)
        if rows:
            yield rows
        if below is None:
            return


@dataclass(frozen=True, slots=True)
class _Choice:
    """A filter with its names looked up."""

    #: None for all.
    pipeline_ids: list[int] | None
    oldest_version: int
    #: Row numbers of commits.
    inputs: frozenset[int]


def _choose(read: ReadTransaction, wanted: JobFilter) -> _Choice:
    conn = read.conn
    chosen: list[int] | None = None
    oldest_version = 0
    if wanted.pipeline is not None:
        row = find_pipeline(conn, wanted.pipeline.project, wanted.pipeline.name)
        chosen = [row.id]
        if wanted.history >= 0:
            oldest_version = row.version - wanted.history
    elif wanted.projects:
        chosen = [row.id for row in pipelines.list_all(conn, list(wanted.projects))]
    inputs = frozenset(resolve.commit(conn, name).id for name in wanted.inputs)
    return _Choice(chosen, oldest_version, inputs)


def _next_rows(
    read: ReadTransaction, wanted: JobFilter, choice: _Choice, below: int | None
) -> tuple[list[JobRow], int | None]:
    """Return what a filter admits of the next rows, and where to go on (None at the end)."""
    page = jobs.page(read.conn, pipeline_ids=choice.pipeline_ids, below=below, number=PAGE)
    rows = [row for row in page if _admits(read.conn, wanted, choice, row)]
    return rows, page[-1].id if len(page) == PAGE else None


def _admits(conn: sa.Connection, wanted: JobFilter, choice: _Choice, row: JobRow) -> bool:
    if row.version < choice.oldest_version:
        return False
    if wanted.marker is not None:
        later = row.created > wanted.marker
        if row.created == wanted.marker or later is not wanted.reverse:
            return False
    return not choice.inputs or choice.inputs <= {up.id for up in commits.upstream(conn, row.commit_id)}


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
        claims = jobs.owned_claims(conn, row.id) if details else ()
        infos.append(JobInfo(row, pipeline, outputs[output.repo_id], output.branch_name, version, claims))
    return infos
