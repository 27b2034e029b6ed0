"""Keeps the ports of services published, on fleets whose workers do not do so themselves (docs/design/work.md)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trunkline import errors
from trunkline.meta import pipelines
from trunkline.model.spec import Metadata
from trunkline.model.states import PipelineState
from trunkline.model.workers import PublishedService
from trunkline.runtime import threads

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    import sqlalchemy as sa

    from trunkline.pfs.repository import VersionedStore
    from trunkline.ports import ServicePublisher
    from trunkline.pps.spec_cache import Specs

log = logging.getLogger("trunkline.pps")

#: Seconds between two comparisons, since others may remove what was published; and after one that failed.
LOOK, LOOK_FAILED = 60.0, 5.0


class PublishedServices:
    """The services that are published. ``run`` belongs to the event loop."""

    def __init__(
        self, versions: VersionedStore, specs: Specs, publisher: ServicePublisher, executor: Executor
    ) -> None:
        """Publish nothing yet.

        Args:
            versions: the store with the pipelines.
            specs: their parsed specifications.
            publisher: publishes.
            executor: does what blocks.
        """
        self._versions = versions
        self._specs = specs
        self._publisher = publisher
        self._executor = executor
        #: Why a service is not published, by ``project/pipeline``.
        self.problems: dict[str, str] = {}

    async def run(self) -> None:
        """Keep them published until cancelled."""
        wakeups = self._versions.wakeups
        before: dict[int, PublishedService] | None = None
        while True:
            stamp = wakeups.stamp()
            by_pipeline = await self._versions.db.read(self._services)
            services = list(by_pipeline.values())
            pause = LOOK
            try:
                if services or before != by_pipeline:  # a server without services makes one call
                    problems = await threads.run(self._executor, self._publisher.publish, services)
                    self._show(by_pipeline, problems)
                before = by_pipeline
            except errors.TrunklineError as error:
                log.warning("the ports of services cannot be published: %s", error.message)
                self._show(
                    by_pipeline, {f"{each.project}/{each.pipeline}": error.message for each in services}
                )
                pause = LOOK_FAILED
            await wakeups.changed(stamp, "pipelines", timeout=pause)

    def _show(self, services: Mapping[int, PublishedService], problems: Mapping[str, str]) -> None:
        """Let pipelines show why their services are not published, in their next round."""
        if problems != self.problems:
            self.problems.clear()
            self.problems.update(problems)
            self._versions.wakeups.announce([f"pipeline:{number}" for number in services])

    def _services(self, conn: sa.Connection) -> dict[int, PublishedService]:
        """Return the services of all pipelines that run, by the row number of the pipeline."""
        services = {}
        for row in pipelines.list_all(conn, []):
            if row.stopped or row.state is PipelineState.FAILURE:
                continue
            spec = self._specs.of(conn, row.id, row.version)
            if spec.published is None:
                continue
            metadata = spec.metadata or Metadata()
            services[row.id] = PublishedService(
                project=row.project,
                pipeline=row.name,
                version=row.version,
                service=spec.published,
                labels=metadata.labels,
                annotations=metadata.annotations,
            )
        return services
