"""Reports alerts of pipelines as they begin and end: in the log, as events and as a metric.

``pps.queries.alerts`` says what an alert is. What was reported last is remembered in memory: a server that starts
reports again what goes on.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from trunkline.meta import pipelines
from trunkline.pps.pipeline_events import record_alerts
from trunkline.pps.queries import alerts
from trunkline.telemetry import events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.meta.pipelines import PipelineRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.spec_cache import Specs

#: Seconds between two looks.
TICK = 30.0


class AlertWatch:
    """Looks at the alerts of all pipelines; a supervised service."""

    def __init__(self, versions: VersionedStore, specs: Specs) -> None:
        """Report nothing yet.

        Args:
            versions: the store.
            specs: the parsed specifications.
        """
        self._versions = versions
        self._specs = specs
        #: Pipelines with alerts at the last look, by row number.
        self._alerted: dict[int, PipelineRow] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.step()
            await asyncio.sleep(TICK)

    async def step(self) -> None:
        """Report the pipelines whose alerts began or ended since the last look."""
        rows = await self._versions.query_soon(alerts.of_pipelines, self._specs, None)
        current = {row.id: row for row, _ in rows}
        for row, texts in rows:
            if row.id not in self._alerted:
                await self._versions.write_soon(_record, row, texts)
        for number, row in self._alerted.items():
            if number not in current:
                await self._versions.write_soon(_record, row, ())
        self._alerted = current


def _record(write: WriteTransaction, row: PipelineRow, texts: Sequence[str]) -> None:
    now = pipelines.by_id(write.conn, row.id)
    if now is not None:
        record_alerts(write, now, texts)
        write.tx.after_commit(partial(events.alerts_changed, now.full_name, tuple(texts)))
