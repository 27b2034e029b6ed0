"""What sends events of OpenLineage, for servers that are asked to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trunkline.drivers.lineage_collector import HttpCollector
from trunkline.pps.open_lineage import LineageSender

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from trunkline.app.composition import Core
    from trunkline.app.settings import Settings


def sender(settings: Settings, core: Core, cluster_id: str, executor: Executor) -> LineageSender:
    """Return what sends events of OpenLineage. The token is no setting, so that no dump shows it.

    Args:
        settings: those of the server.
        core: the store.
        cluster_id: identity of this installation.
        executor: runs blocking work.
    """
    collector = HttpCollector(settings.openlineage, os.environ.get("OPENLINEAGE_API_KEY", ""))
    namespace = f"trunkline://{cluster_id}"
    return LineageSender(core.versions, core.specs, core.events, collector, namespace, executor)
