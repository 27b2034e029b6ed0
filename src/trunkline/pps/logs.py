"""Logs: stored in the database in compressed batches, so that they outlive their workers.

A line carries its datum, its time and whether the user's command or the worker wrote it. ``read``
yields lines in the order they came; ``in_order`` merges those of different workers by time.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import math
from typing import TYPE_CHECKING

import zstandard
from msgspec import Struct

from trunkline.meta import jobs, pipelines
from trunkline.meta import logs as batches
from trunkline.model.states import TERMINAL_JOB_STATES
from trunkline.pps.pipeline_events import record_log
from trunkline.runtime import cancellation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    import sqlalchemy as sa

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction

#: Batches looked at in one read, and those whose lines are unpacked before the thread is shared with other requests.
PAGE, UNPACKED = 256, 8
#: Seconds that a worker may be late with lines: batches of so long before ``since`` are looked at too.
LATE = 3600.0


class Line(Struct, frozen=True):
    """A log line."""

    #: Datum id in hex; empty for lines that belong to none.
    datum: str
    #: Seconds since the epoch.
    ts: float
    message: str
    #: Written by the user's command.
    user: bool
    worker: str = ""
    job: str = ""


class Query(Struct, frozen=True, kw_only=True):
    """Selects log lines."""

    pipeline_id: int
    job_id: int | None = None
    #: Seconds since the epoch.
    since: float = 0.0
    #: Only this many of the last lines; 0: all. Cannot be combined with ``follow``.
    tail: int = 0
    follow: bool = False


def pack(lines: Sequence[Line]) -> bytes:
    """Return lines as a batch's data."""
    text = "\n".join(
        json.dumps((line.datum, line.ts, line.message, line.user), ensure_ascii=False) for line in lines
    )
    return zstandard.ZstdCompressor(level=3).compress(text.encode())


def unpack(data: bytes, worker: str, job: str) -> list[Line]:
    """Return the lines of a batch.

    Args:
        data: what ``pack`` made.
        worker: the worker that wrote them.
        job: id of their job; empty for none.
    """
    text = zstandard.ZstdDecompressor().decompress(data).decode()
    lines = []
    for line in text.split("\n"):
        datum, ts, message, user = json.loads(line)
        lines.append(Line(datum, ts, message, user, worker, job))
    return lines


def store(
    write: WriteTransaction,
    *,
    pipeline_id: int,
    job_id: int | None,
    worker_id: str,
    lines: Sequence[Line],
    data: bytes,
) -> None:
    """Store a batch that ``pack`` made of ``lines``.

    Args:
        write: transaction that the change belongs to.
        pipeline_id: row number of the pipeline.
        job_id: row number of the job; None: lines that belong to no job.
        worker_id: id of the worker.
        lines: the lines of the batch.
        data: the packed lines.
    """
    times = [line.ts for line in lines]
    number = batches.add(
        write.conn, pipeline_id=pipeline_id, job_id=job_id, worker_id=worker_id, first_ts=min(times),
        last_ts=max(times), lines=len(lines), data=data,
    )  # fmt: skip
    write.tx.wake(f"logs:{pipeline_id}")
    name = pipelines.name_of(write.conn, pipeline_id)
    job = jobs.by_id(write.conn, job_id) if job_id is not None else None
    if name is not None:
        record_log(write, name, job, worker_id, number, len(lines))


async def read(
    versions: VersionedStore, query: Query, keep: Callable[[Line], bool]
) -> AsyncIterator[list[Line]]:
    """Yield lines, some batches at a time; with ``follow`` until the job has ended, or without end for a pipeline.

    Args:
        versions: the store.
        query: which lines.
        keep: returns whether to yield a line; called in a thread, since it may match expressions of clients.
    """
    if query.tail and not query.follow:
        lines = await asyncio.to_thread(_last_lines, versions, query, keep)
        if lines:
            yield lines
        return
    topics = (f"logs:{query.pipeline_id}", f"jobs:{query.pipeline_id}")
    seen = await versions.db.read(_first, query) - 1
    while True:
        stamp = versions.wakeups.stamp()
        over, page = await versions.db.read(_page, query, seen)
        for start in range(0, len(page), UNPACKED):
            lines = await asyncio.to_thread(lines_of, versions, query, page[start : start + UNPACKED], keep)
            if lines:
                yield lines
        if page:
            seen = page[-1].id
            continue
        if not query.follow or over:
            return
        await versions.wakeups.changed(stamp, *topics)


class Span(Struct, frozen=True, kw_only=True):
    """A time range, in whole microseconds since the epoch, which is what clients can name."""

    start: int = 0
    #: The first one after it; None: no end.
    stop: int | None = None
    #: Newest lines first.
    backward: bool = False


def microseconds(ts: float) -> int:
    """Return a line's time as clients see it."""
    return round(ts * 1e6)


def in_order(
    versions: VersionedStore,
    query: Query,
    span: Span,
    keep: Callable[[Line], bool],
    newest: int | None = None,
) -> Iterator[Line]:
    """Yield lines by their time, those of one microsecond in the order they came; all reversed if ``backward``.

    Batches come nearly in the order of their lines, at most ``LATE`` after them. So a line is next when the batches
    read so far are that far ahead of it; no more of them are read, and lines are unpacked when it is their turn.
    Blocks; the loop ends when the call is cancelled.

    Args:
        versions: the store.
        query: the pipeline and job; its other fields are not used.
        span: the time range and the direction.
        keep: returns whether to yield a line.
        newest: row number of the last batch that is read; None for all.
    """
    sign = -1 if span.backward else 1
    waiting: list[tuple[float, int, float, batches.BatchInfo | Line]] = []
    ahead = -math.inf
    beyond: int | None = versions.read(_before_first, query, span)
    while True:
        while beyond is not None and (not waiting or waiting[0][0] > ahead):
            cancellation.check()
            page = versions.read(
                batches.page,
                pipeline_id=query.pipeline_id, job_id=query.job_id, beyond=beyond, newest_first=span.backward,
                number=PAGE,
            )  # fmt: skip
            for batch in page:
                ends = sorted((sign * microseconds(batch.first_ts), sign * microseconds(batch.last_ts)))
                ahead = max(ahead, sign * microseconds(batch.last_ts) - LATE * 1e6)
                if _meets(batch, span) and (newest is None or batch.id <= newest):
                    heapq.heappush(waiting, (ends[0], sign * batch.id, -math.inf, batch))
            over = not page or (newest is not None and sign > 0 and page[-1].id >= newest)
            beyond = None if over or ahead > _end(span) else page[-1].id
        if not waiting:
            return
        _, number, _, item = heapq.heappop(waiting)
        if isinstance(item, Line):
            yield item
            continue
        cancellation.check()
        for place, line in enumerate(lines_of(versions, query, [item], lambda _: True)):
            at = microseconds(line.ts)
            if span.start <= at and (span.stop is None or at < span.stop) and keep(line):
                heapq.heappush(waiting, (sign * at, number, sign * place, line))


def _end(span: Span) -> float:
    """Return where reading ends, in the direction of reading."""
    if span.backward:
        return -span.start
    return math.inf if span.stop is None else span.stop


def _meets(batch: batches.BatchInfo, span: Span) -> bool:
    first, last = microseconds(batch.first_ts), microseconds(batch.last_ts)
    return last >= span.start and (span.stop is None or first < span.stop)


def _before_first(conn: sa.Connection, query: Query, span: Span) -> int:
    """Return the row number next to the first batch that has to be read, in the direction of reading."""
    if not span.backward:
        since = span.start / 1e6 - LATE
        return batches.first_since(conn, query.pipeline_id, since) - 1 if since > 0 else 0
    until = math.inf if span.stop is None else span.stop / 1e6 + LATE
    return batches.first_since(conn, query.pipeline_id, until)


def _last_lines(versions: VersionedStore, query: Query, keep: Callable[[Line], bool]) -> list[Line]:
    """Return the last lines that match; reads from the end and no further than needed. Blocks."""
    last: list[Line] = []
    beyond: int | None = None
    first = versions.read(_first, query)
    while len(last) < query.tail and (beyond is None or beyond > first):
        page = versions.read(
            batches.page,
            pipeline_id=query.pipeline_id, job_id=query.job_id, beyond=beyond, newest_first=True, number=PAGE,
        )  # fmt: skip
        if not page:
            break
        beyond = page[-1].id
        for batch in page:
            if batch.id < first:
                break
            last = lines_of(versions, query, [batch], keep) + last
            if len(last) >= query.tail:
                break
    return last[-query.tail :]


def _first(conn: sa.Connection, query: Query) -> int:
    """Return the row number of the first batch that may hold a line that is asked for."""
    return batches.first_since(conn, query.pipeline_id, query.since - LATE) if query.since else 1


def lines_of(
    versions: VersionedStore,
    query: Query,
    page: Sequence[batches.BatchInfo],
    keep: Callable[[Line], bool],
) -> list[Line]:
    """Return the lines of batches that match. Blocks.

    Args:
        versions: the store.
        query: only lines of its ``since`` or later.
        page: the batches.
        keep: returns whether to return a line.
    """

    def look(conn: sa.Connection) -> list[tuple[batches.BatchInfo, bytes, str]]:
        selected = []
        for batch in page:
            data = batches.data(conn, batch.id) if batch.last_ts >= query.since else None
            job = jobs.by_id(conn, batch.job_id) if data is not None and batch.job_id is not None else None
            if data is not None:
                selected.append((batch, data, job.set_id if job is not None else ""))
        return selected

    return [
        line
        for batch, data, job in versions.read(look)
        for line in unpack(data, batch.worker_id, job)
        if line.ts >= query.since and keep(line)
    ]


def _page(conn: sa.Connection, query: Query, seen: int) -> tuple[bool, list[batches.BatchInfo]]:
    """Return whether no more lines can come, and the next batches."""
    over = pipelines.by_id(conn, query.pipeline_id) is None
    if query.job_id is not None:
        job = jobs.by_id(conn, query.job_id)
        over = job is None or job.state in TERMINAL_JOB_STATES
    page = batches.page(conn, pipeline_id=query.pipeline_id, job_id=query.job_id, beyond=seen, number=PAGE)
    return over, page
