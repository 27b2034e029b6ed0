"""Logs: kept in the database in compressed batches, so that they outlive their workers.

A line carries its datum, its time and whether the user's command or the worker wrote it. Batches are read
in the order they came; lines of different workers are not merged by time.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zstandard

from trunkline.meta import jobs, pipelines
from trunkline.meta import logs as batches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    import sqlalchemy as sa

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction

#: Batches read at a time.
PAGE = 64


@dataclass(frozen=True, slots=True)
class Line:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which lines are wanted."""

    pipeline_id: int
    job_id: int | None = None
    datum: str = ""
    #: Seconds since the epoch.
    since: float = 0.0
    follow: bool = False


def pack(lines: Sequence[Line]) -> bytes:
    """Return lines as a batch's data."""
    text = "\n".join(
        json.dumps((line.datum, line.ts, line.message, line.user), ensure_ascii=False) for line in lines
    )
    return zstandard.ZstdCompressor(level=3).compress(text.encode())


def unpack(row: batches.BatchRow, job: str) -> list[Line]:
    """Return the lines of a batch."""
    text = zstandard.ZstdDecompressor().decompress(row.data).decode()
    found = []
    for one in text.split("\n"):
        datum, ts, message, user = json.loads(one)
        found.append(Line(datum, ts, message, user, row.worker_id, job))
    return found


def store(
    write: WriteTransaction,
    *,
    pipeline_id: int,
    job_id: int | None,
    worker_id: str,
    lines: Sequence[Line],
    data: bytes,
) -> None:
    """Keep a batch that ``pack`` made of ``lines``."""
    times = [line.ts for line in lines]
    batches.add(
        write.conn, pipeline_id=pipeline_id, job_id=job_id, worker_id=worker_id, first_ts=min(times),
        last_ts=max(times), lines=len(lines), data=data,
    )  # fmt: skip
    write.tx.wake(f"logs:{pipeline_id}")


async def read(
    versions: VersionedStore, query: Query, keep: Callable[[Line], bool]
) -> AsyncIterator[list[Line]]:
    """Yield lines batch by batch; with ``follow`` until the job has ended, or without end when no job is named.

    Args:
        versions: the store.
        query: which lines.
        keep: returns whether a line is wanted; called in a thread, since it may match expressions of clients.
    """

    def wanted(row: batches.BatchRow) -> list[Line]:
        lines = unpack(row, names.get(row.job_id or 0, ""))
        return [
            line
            for line in lines
            if line.ts >= query.since and query.datum in ("", line.datum) and keep(line)
        ]

    seen = 0
    names: dict[int, str] = {}
    topics = (f"logs:{query.pipeline_id}", f"jobs:{query.pipeline_id}")
    while True:
        stamp = versions.wakeups.stamp(*topics)
        over, page = await versions.db.read(_page, query, seen, names)
        for row in page:
            seen = row.id
            if lines := await asyncio.to_thread(wanted, row):
                yield lines
        if page:
            continue
        if not query.follow or over:
            return
        await versions.wakeups.changed(stamp, *topics)


def _page(
    conn: sa.Connection, query: Query, seen: int, names: dict[int, str]
) -> tuple[bool, list[batches.BatchRow]]:
    """Return whether no more lines can come, and the next batches."""
    over = pipelines.by_id(conn, query.pipeline_id) is None
    if query.job_id is not None:
        job = jobs.by_id(conn, query.job_id)
        over = job is None or job.state in jobs.TERMINAL
    page = batches.page(
        conn, pipeline_id=query.pipeline_id, job_id=query.job_id, after=seen, since=query.since, number=PAGE
    )
    for row in page:
        if row.job_id is not None and row.job_id not in names:
            job = jobs.by_id(conn, row.job_id)
            names[row.job_id] = job.set_id if job is not None else ""
    return over, page
