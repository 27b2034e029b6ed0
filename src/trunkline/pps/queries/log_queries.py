"""Queries on logs: lines of one pipeline, and LogQL queries over all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import jobs, pipelines
from trunkline.model import limits
from trunkline.pps import jobs as job_ops
from trunkline.pps import logs
from trunkline.pps import pipelines as pipeline_ops
from trunkline.pps.queries import datum_queries, listing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.logql import LogQuery
    from trunkline.model.names import JobName, PipelineName
    from trunkline.pfs.reads import ReadTransaction
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
    #: Return only lines of these datums (hex); None: of all.
    datums: frozenset[str] | None


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
    named = frozenset({criteria.datum}) if criteria.datum else None
    if not criteria.data_filters:
        return LogSelection(pipeline, query, named)
    chosen = [job] if job is not None else versions.read(jobs.live, pipeline.id)
    if not chosen:
        newest = versions.read(jobs.newest, pipeline.id)
        chosen = [newest] if newest is not None else []
    datums = frozenset(
        listed.row.id.hex()
        for selected in chosen
        for listed in listing.list_datums(versions, selected)
        if datum_queries.matches(listed.row.items, criteria.data_filters)
    )
    return LogSelection(pipeline, query, datums if named is None else datums & named)


async def lines(versions: VersionedStore, selection: LogSelection) -> AsyncGenerator[Line]:
    """Yield lines in the order in which they came."""

    def keep(line: Line) -> bool:
        return selection.datums is None or line.datum in selection.datums

    async for batch in logs.read(versions, selection.query, keep):
        for line in batch:
            yield line


async def search(versions: VersionedStore, query: LogQuery, since: float) -> AsyncGenerator[str]:
    """Yield the messages of all pipelines that a LogQL query selects.

    Args:
        versions: the store.
        query: the parsed LogQL query: which pipelines, and which lines of them.
        since: only lines from this time on, seconds since the epoch.
    """

    def keep(line: Line) -> bool:
        labels = {"container": "user" if line.user else "storage", "pod": line.worker}
        return query.selects(labels) and query.keeps(line.message)

    for row in await versions.query_soon(_all_pipelines):
        if not query.selects({"pipelineName": row.name, "pipelineProject": row.project}):
            continue
        async for batch in logs.read(versions, logs.Query(pipeline_id=row.id, since=since), keep):
            for line in batch:
                yield line.message


def _all_pipelines(read: ReadTransaction) -> list[PipelineRow]:
    return pipelines.list_all(read.conn, [])
