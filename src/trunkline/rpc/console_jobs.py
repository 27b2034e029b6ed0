"""The part of ``trunkline.console.v1.Console`` about datums, timelines and logs."""

from __future__ import annotations

from trunkline.rpc.servicer import ServicerBase


class ConsoleJobs(ServicerBase):
    """Summaries of datums, timelines and logs."""
