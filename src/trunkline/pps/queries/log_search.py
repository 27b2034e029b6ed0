"""Log lines of any pipelines by time: what ``logs.API`` asks for, page by page and followed."""

from __future__ import annotations

import asyncio
import heapq
import json
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, field

from trunkline import errors
from trunkline.meta import jobs, pipelines
from trunkline.meta import logs as batches
from trunkline.model.states import TERMINAL_JOB_STATES
from trunkline.pps import logs
from trunkline.pps import pipelines as pipeline_ops
from trunkline.pps.logs import Line, Query, Span, microseconds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    import sqlalchemy as sa

    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.logql import LogQuery
    from trunkline.model.names import PipelineName
    from trunkline.pfs.reads import ReadTransaction
    from trunkline.pfs.repository import VersionedStore
    from trunkline.telemetry.recent import Record

#: Lines handed on at a time.
BATCH = 256
#: Bytes of a message that is looked at as JSON.
LONGEST_JSON = 64 << 10
#: Levels of log lines, with the words for them in lines that are JSON objects.
DEBUG, INFO, ERROR = 10, 20, 40
_LEVELS = {
    "trace": DEBUG, "debug": DEBUG, "info": INFO, "notice": INFO, "warn": 30, "warning": 30, "error": ERROR,
    "critical": ERROR, "dpanic": ERROR, "panic": ERROR, "fatal": ERROR,
}  # fmt: skip
#: Container of a worker's own lines and of those of the user's command, as in a pod of Pachyderm.
STORAGE, USER = "storage", "user"
#: Worker of the server's own lines, and the labels of their stream.
SERVER = "server"
SERVER_LABELS = {
    "suite": "pachyderm",
    "app": "pachd",
    "container": "pachd",
    "pod": SERVER,
    "pipelineName": "",
    "pipelineProject": "",
}


class Records(Protocol):
    """The newest records of the server's log, oldest first."""

    def __iter__(self) -> Iterator[Record]:
        """Return those that are held."""

    def after(self, number: int) -> tuple[int, list[Record]]:
        """Return how many there ever were, and those that are held of the ones after the first ``number``."""

    def listening(self, listener: Callable[[], object]) -> AbstractContextManager[None]:
        """Call ``listener`` after each new record, in any thread, while the context is open."""


class LogLine(Struct, frozen=True):
    """A log line and its pipeline; None: the server wrote it."""

    pipeline: PipelineRow | None
    line: Line


class Search(Struct, frozen=True, kw_only=True):
    """Selects log lines; each field that is set narrows the choice."""

    project: str = ""
    pipeline: PipelineName | None = None
    #: Id of a job, in any pipeline.
    job: str = ""
    datum: str = ""
    container: str = ""
    #: Lines of the server about the pipeline instead of those of its workers; without a pipeline all of the server.
    server: bool = False
    logql: LogQuery | None = None
    #: Tests of the message.
    tests: tuple[Callable[[str], bool], ...] = ()
    user_only: bool = False
    #: The lowest level.
    level: int = DEBUG


class Source(Struct, frozen=True, kw_only=True):
    """A search, with what it looks at."""

    search: Search
    #: Those of the server that may be selected.
    records: Iterable[Record] = ()
    #: The last batch of each pipeline; later ones are left out. None: all.
    newest: Mapping[int, int] | None = None


class Page(Struct, frozen=True, kw_only=True):
    """The part of the lines that is asked for."""

    span: Span = field(default_factory=Span)
    #: Lines of the first microsecond, in the direction of reading, that are left out.
    skip: int = 0
    #: At most so many lines; 0: all.
    limit: int = 0


class Position(Struct, frozen=True):
    """Where a page begins: so many lines of this microsecond are before it, in its direction."""

    at: int
    skip: int = 0


class Neighbours(Struct):
    """Where the pages before and after one begin; None when there is no line to begin at."""

    #: A page that is read backward.
    older: Position | None = None
    #: A page that is read forward.
    newer: Position | None = None


def json_object(message: str) -> dict[str, Any] | None:
    """Return the object that a message is in JSON; None when it is none."""
    if not message.startswith("{") or len(message) > LONGEST_JSON:
        return None
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def level_of(message: str) -> int:
    """Return the level that a message in JSON names as ``severity`` or ``level``; ``INFO`` for all others."""
    value = json_object(message) or {}
    name = value.get("severity", value.get("level"))
    return _LEVELS.get(name.lower(), INFO) if isinstance(name, str) else INFO


def keeps(search: Search, line: Line) -> bool:
    """Return whether a search selects a line of one of its pipelines."""
    container = USER if line.user else STORAGE
    if search.datum and line.datum != search.datum:
        return False
    if (search.user_only and not line.user) or (search.container and container != search.container):
        return False
    return _keeps_message(search, {"pod": line.worker, "container": container}, line.message)


def _keeps_message(search: Search, labels: dict[str, str], message: str) -> bool:
    query = search.logql
    if query is not None and not (query.selects(labels) and query.keeps(message)):
        return False
    if not all(test(message) for test in search.tests):
        return False
    return search.level <= DEBUG or level_of(message) >= search.level


def page(
    versions: VersionedStore,
    source: Source,
    page: Page,
    neighbours: Neighbours,
) -> Generator[list[LogLine]]:
    """Yield a page of lines by time, some at a time. Blocks.

    Args:
        versions: the store.
        source: which lines.
        page: which of them, and in which order.
        neighbours: receives where the pages before and after this one begin, at the end.
    """
    span, first = page.span, _begin(page.span)
    at, count = first, page.skip
    group: list[LogLine] = []
    lines = islice(_lines(versions, source, span, page.skip), page.limit or None)
    for entry in lines:
        moment = microseconds(entry.line.ts)
        first = moment if first is None else first
        at, count = moment, 1 + (count if moment == at else 0)
        group.append(entry)
        if len(group) == BATCH:
            yield group
            group = []
    if group:
        yield group
    after = Position(at, count) if at is not None else None
    before = _opposite(versions, source, page, first) if first is not None else None
    neighbours.older, neighbours.newer = (after, before) if span.backward else (before, after)


def _opposite(versions: VersionedStore, source: Source, page: Page, first: int) -> Position | None:
    """Return where a page begins that ends where this one begins, in the other direction.

    Args:
        versions: the store.
        source: which lines.
        page: this page.
        first: the microsecond where it begins.
    """
    backward, without_end = page.span.backward, _begin(page.span) is None
    if not (page.skip or without_end):
        return Position(first) if first else None
    total = sum(1 for _ in _lines(versions, source, Span(start=first, stop=first + 1), 0))
    rest = total if without_end else max(0, total - page.skip)
    # Backward, a page without lines to leave out begins before its first microsecond.
    return Position(first, rest) if backward or rest else Position(first + 1)


def _begin(span: Span) -> int | None:
    """Return the microsecond where reading begins; None at the newest line."""
    return span.stop if span.backward else span.start


def _lines(versions: VersionedStore, source: Source, span: Span, skip: int) -> Iterator[LogLine]:
    """Yield the lines of all streams by time, without the first ``skip`` of the microsecond where reading begins."""
    first = _begin(span)
    if span.backward and skip and span.stop is not None:
        # Its lines are before ``stop``; the first page ended among those of ``stop`` itself.
        span = Span(start=span.start, stop=span.stop + 1, backward=True)
    search = source.search
    streams: list[Iterator[LogLine]] = [_of_server(source, span)]
    if not search.server:
        for row, query in versions.query(_streams, search):
            newest = None if source.newest is None else source.newest.get(row.id, 0)
            streams.append(_of_pipeline(versions, row, query, search, span, newest))
    if span.backward:
        streams.reverse()
    for entry in heapq.merge(*streams, key=lambda entry: microseconds(entry.line.ts), reverse=span.backward):
        if skip and microseconds(entry.line.ts) == first:
            skip -= 1
            continue
        yield entry


def _of_pipeline(
    versions: VersionedStore,
    row: PipelineRow,
    query: Query,
    search: Search,
    span: Span,
    newest: int | None,
) -> Iterator[LogLine]:
    for line in logs.in_order(versions, query, span, lambda line: keeps(search, line), newest):
        yield LogLine(row, line)


async def follow_server(
    records: Records, search: Search, span: Span, tail: int
) -> AsyncGenerator[list[Line]]:
    """Yield the server's lines and then new ones as they come, without end.

    Args:
        records: those of the server.
        search: which lines.
        span: only lines from its start on.
        tail: of the lines that are there only so many of the last; 0: all.
    """
    loop, news = asyncio.get_running_loop(), asyncio.Event()
    with records.listening(lambda: loop.call_soon_threadsafe(news.set)):
        seen, new = records.after(0)
        while True:
            lines = [entry.line for entry in _of_server(Source(search=search, records=new), span)]
            if lines:
                yield lines[-tail:] if tail else lines
            tail = 0
            await news.wait()
            news.clear()
            seen, new = records.after(seen)


def _of_server(source: Source, span: Span) -> Iterator[LogLine]:
    about = str(source.search.pipeline) if source.search.pipeline is not None else ""
    chosen = [
        LogLine(None, Line("", record.ts, record.text, False, SERVER))
        for record in source.records
        if span.start <= microseconds(record.ts)
        and (span.stop is None or microseconds(record.ts) < span.stop)
        and (not about or record.pipeline == about)
        and record.level >= source.search.level
        and _keeps_message(source.search, SERVER_LABELS, record.text)
    ]
    chosen.sort(key=lambda entry: entry.line.ts)
    yield from reversed(chosen) if span.backward else chosen


def _streams(read: ReadTransaction, search: Search) -> list[tuple[PipelineRow, Query]]:
    """Return the pipelines of a search, each with the job if it names one."""
    if search.pipeline is not None:
        rows = [pipeline_ops.find(read.conn, search.pipeline.project, search.pipeline.name)]
    else:
        projects = [search.project] if search.project else []
        rows = sorted(pipelines.list_all(read.conn, projects), key=lambda row: row.id)
    if search.logql is not None:
        rows = [row for row in rows if search.logql.selects(_labels(row))]
    if not search.job:
        return [(row, Query(pipeline_id=row.id)) for row in rows]
    number = {job.pipeline_id: job.id for job in jobs.of_set(read.conn, search.job)}
    if not number:
        raise errors.NotFound(f"job {search.job} not found")
    return [(row, Query(pipeline_id=row.id, job_id=number[row.id])) for row in rows if row.id in number]


def _labels(row: PipelineRow) -> dict[str, str]:
    return {
        "suite": "pachyderm", "app": "pipeline", "pipelineName": row.name, "pipelineProject": row.project,
    }  # fmt: skip


def newest(read: ReadTransaction, search: Search) -> dict[int, int]:
    """Return the newest batch of each pipeline of a search, by the pipeline's row number."""
    return {row.id: batches.newest(read.conn, row.id) for row, _ in _streams(read, search)}


async def follow(
    versions: VersionedStore, search: Search, seen: dict[int, int]
) -> AsyncGenerator[list[LogLine]]:
    """Yield new lines in the order they come, until no more can come: the end of all jobs that are asked for.

    Without a job there is no end while the pipeline exists. Lines of the server are not followed.

    Args:
        versions: the store.
        search: which lines.
        seen: the newest batch of each pipeline that was read; it is brought up to date.
    """
    while True:
        stamp = versions.wakeups.stamp()
        over, streams = await versions.query_soon(_state, search)
        quiet = True
        for row, query in streams:
            while pages := await versions.db.read(_new_batches, query, seen.get(row.id, 0)):
                quiet, seen[row.id] = False, pages[-1].id
                lines = await asyncio.to_thread(
                    logs.lines_of, versions, query, pages, lambda line: keeps(search, line)
                )
                if lines:
                    yield [LogLine(row, line) for line in lines]
        if not quiet:
            continue
        if over:
            return
        topics = [f"{kind}:{row.id}" for row, _ in streams for kind in ("logs", "jobs")]
        await versions.wakeups.changed(stamp, "pipelines", *topics)


def _state(read: ReadTransaction, search: Search) -> tuple[bool, list[tuple[PipelineRow, Query]]]:
    """Return whether no more lines can come, and the streams."""
    try:
        streams = _streams(read, search)
    except errors.NotFound:  # deleted meanwhile
        return True, []
    if search.server:
        return True, []
    if not search.job:
        return False, streams
    rows = jobs.of_set(read.conn, search.job)
    ids = {query.job_id for _, query in streams}
    return all(job.state in TERMINAL_JOB_STATES for job in rows if job.id in ids), streams


def _new_batches(conn: sa.Connection, query: Query, seen: int) -> list[batches.BatchInfo]:
    return batches.page(
        conn, pipeline_id=query.pipeline_id, job_id=query.job_id, beyond=seen, number=logs.UNPACKED
    )
