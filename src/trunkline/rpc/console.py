"""Summaries over ``trunkline.console.v1.Console`` (docs/design/console.md); ``pps.queries`` and ``pfs`` make them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.rpc.console_files import ConsoleFiles
from trunkline.rpc.console_jobs import ConsoleJobs
from trunkline.rpc.console_logs import ConsoleLogs
from trunkline.rpc.console_overview import ConsoleOverview
from trunkline.rpc.console_server import ConsoleServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from trunkline.model.workers import Machine
    from trunkline.pfs.event_hub import EventHub
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.spec_cache import Specs
    from trunkline.rpc.console_server import ServerFacts


class ConsoleServicer(ConsoleOverview, ConsoleJobs, ConsoleLogs, ConsoleFiles, ConsoleServer):
    """Answers ``trunkline.console.v1.Console``."""

    def __init__(
        self,
        versions: VersionedStore,
        specs: Specs,
        machines: Callable[[], Sequence[Machine]],
        executor: Executor,
        events: EventHub,
        facts: ServerFacts,
    ) -> None:
        """Create the servicer.

        Args:
            versions: the store.
            specs: the parsed specifications.
            machines: returns the fleet's machines.
            executor: runs blocking work.
            events: has the position of the newest event.
            facts: how the server is set up.
        """
        super().__init__(versions, executor)
        self._specs = specs
        self._machines = machines
        self._events = events
        self._facts = facts
