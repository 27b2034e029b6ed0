"""Queries on logs: lines of one pipeline, and LogQL queries over all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import jobs
from trunkline.model import limits
from trunkline.pps import datum_rows, logs, todos
from trunkline.pps import jobs as job_ops
from trunkline.pps import pipelines as pipeline_ops
from trunkline.pps.queries import datum_queries

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.names import JobName, PipelineName
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.logs import Line


class LogFilter(Struct, frozen=True, kw_only=True):
    """Selects log lines."""

    pipeline: PipelineName
    #: Only lines of this job.
    job: JobName | None = None
    #: Only lines of this datum (hex).
    datum: str = ""
    #: Only lines of datums that match all of these: paths, or hashes in hex, of input items.
    data_filters: Sequence[str] = ()
    #: Seconds since the epoch.
    since: float = 0.0
    #: Wait for more lines.
    follow: bool = False
    #: Only this many of the last lines; 0: all. Ignored when following.
    tail: int = 0


class LogSelection(Struct, frozen=True):
    """A filter with its names looked up."""

    pipeline: PipelineRow
    query: logs.Query
    #: Return only lines of this datum (hex); empty: of all.
    datum: str = ""
    #: Return only lines of datums that match all of these.
    filters: Sequence[str] = ()


def select(versions: VersionedStore, criteria: LogFilter) -> LogSelection:
    """Look up what a filter names. Blocks.

    Raises:
        InvalidArgument: ``tail`` is too large.
        NotFound: there is no such pipeline or job.
    """
    pipeline = versions.read(pipeline_ops.find, criteria.pipeline.project, criteria.pipeline.name)
    job = versions.read(job_ops.find, criteria.job) if criteria.job is not None else None
    query = logs.Query(
        pipeline_id=pipeline.id,
        job_id=job.id if job is not None else None,
        since=criteria.since,
        follow=criteria.follow,
        tail=0 if criteria.follow else max(0, criteria.tail),
    )
    limits.check_count(
        criteria.tail, limits.LOG_TAIL, "tail", "send a smaller number, or leave it out for all"
    )
    return LogSelection(pipeline, query, criteria.datum, criteria.data_filters)


async def lines(versions: VersionedStore, selection: LogSelection) -> AsyncGenerator[Line]:
    """Yield lines in the order in which they came."""
    datums = _MatchingDatums(versions, selection)

    def keep(line: Line) -> bool:
        if selection.datum and line.datum != selection.datum:
            return False
        return not selection.filters or (line.job, line.datum) in datums

    async for batch in logs.read(versions, selection.query, keep):
        for line in batch:
            yield line


class _MatchingDatums:
    """The datums of a pipeline's jobs whose items match all filters; looked up when a line of one comes."""

    def __init__(self, versions: VersionedStore, selection: LogSelection) -> None:
        self._versions = versions
        self._selection = selection
        #: Whether a datum matches, by job and datum.
        self._matches: dict[tuple[str, str], bool] = {}

    def __contains__(self, key: tuple[str, str]) -> bool:
        """Return whether the datum of a job matches. Blocks."""
        if key not in self._matches:
            self._matches[key] = self._look(*key)
        return self._matches[key]

    def _look(self, job_id: str, datum_id: str) -> bool:
        if not (job_id and datum_id):
            return False
        job = self._versions.read(jobs.find, self._selection.pipeline.id, job_id)
        if job is None:
            return False
        # A datum that has written lines had to run.
        value = todos.get(datum_rows.trees(self._versions), job, key := bytes.fromhex(datum_id))
        return value is not None and datum_queries.matches(
            datum_rows.decode(key, value).items, self._selection.filters
        )
