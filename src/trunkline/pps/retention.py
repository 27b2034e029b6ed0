"""Retention: details are stored for a time and up to a size, summaries as long as their job.

Logs, scaling decisions, events and the results of jobs that did not succeed would grow without end.
Afterwards a job's row still holds its duration and counts of datums, and its bill what it
cost. Transactions that nobody continues go too. Everything is removed in slices, each in a short transaction of its own
(docs/operate/databases-stores.md, "Retention").
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import event_log, jobs, pipelines
from trunkline.meta import retention as rows
from trunkline.pps import transactions
from trunkline.pps.queries import costs

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.spec_cache import Specs

log = logging.getLogger("trunkline.pps.retention")

#: Seconds between two sweeps.
TICK = 600.0
#: Rows removed in one transaction, and rows looked at in one read.
SLICE, LOOK = 100, 1_000
#: Decisions of a pipeline that stay whatever their age, and the most that stay; the same of its workers' events.
DECISIONS, EVENTS = (20, 500), (0, 2_000)


class Retention(Struct, frozen=True, kw_only=True):
    """Limits on the age and size of details."""

    #: Days that details are stored.
    days: float = 30.0
    #: Bytes of logs, compressed, of all pipelines.
    log_bytes: int = 1 << 30
    #: Bytes of the event log.
    event_bytes: int = 64 << 20


class RetentionService:
    """Removes old details at intervals."""

    def __init__(self, versions: VersionedStore, specs: Specs, limits: Retention) -> None:
        self._versions = versions
        self._specs = specs
        self._limits = limits

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            await self.sweep()

    async def sweep(self) -> None:
        """Settle bills, and remove what is too old or too much."""
        versions = self._versions
        before = versions.clock.now() - self._limits.days * 86_400
        removed = 0
        for row in await versions.db.read(pipelines.list_all, []):
            while await versions.write_soon(costs.settle_bills, self._specs, row.id):
                pass
            removed += await self._remove(_remove_decisions, row.id, before)
            removed += await self._remove(_remove_events, row.id, before)
        up_to = await self._last_log_to_go(before)
        if up_to:
            removed += await self._remove(_remove_logs, up_to)
        removed += await self._remove(_remove_event_log, before, self._limits.event_bytes)
        while await versions.write_soon(transactions.remove_idle):
            pass
        after = 0
        while (job_id := await versions.db.read(rows.next_job_with_results, after)) is not None:
            after = job_id
            if await versions.db.read(_is_spare, job_id, before):
                removed += await self._remove(_remove_results, job_id)
        if removed:
            log.info("retention removed %d rows of details", removed)

    async def _last_log_to_go(self, before: float) -> int:
        """Return the newest log batch that is too old, or beyond the limit of bytes; 0: none."""
        size, below = 0, None
        while page := await self._versions.db.read(rows.log_sizes, below, LOOK):
            for number, length, at in page:
                size += length
                if size > self._limits.log_bytes or at < before:
                    return number
            below = page[-1][0]
        return 0

    async def _remove(self, step: Callable[..., int], *args: float) -> int:
        """Remove slice by slice; return how many rows there were."""
        removed = 0
        while count := await self._versions.write_soon(step, *args):
            removed += count
            if count < SLICE:
                break
        return removed


def _remove_decisions(write: WriteTransaction, pipeline_id: int, before: float) -> int:
    return rows.remove_decisions(write.conn, pipeline_id, before, DECISIONS, SLICE)


def _remove_events(write: WriteTransaction, pipeline_id: int, before: float) -> int:
    return rows.remove_events(write.conn, pipeline_id, before, EVENTS, SLICE)


def _remove_event_log(write: WriteTransaction, before: float, size: int) -> int:
    return event_log.remove_old(write.conn, before, size, SLICE)


def _remove_logs(write: WriteTransaction, up_to: int) -> int:
    return rows.remove_logs(write.conn, up_to, SLICE)


def _remove_results(write: WriteTransaction, job_id: int) -> int:
    return rows.remove_results(write.conn, job_id, SLICE)


def _is_spare(conn: sa.Connection, job_id: int, before: float) -> bool:
    """Whether the results of a job may go: it ended long ago, and a good job came after it."""
    job = jobs.by_id(conn, job_id)
    return (
        job is not None
        and job.finished is not None
        and job.finished < before
        and rows.has_later_success(conn, job.pipeline_id, job.id)
    )
