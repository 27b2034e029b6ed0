"""The part of ``trunkline.console.v1.Console`` about projects, pipelines, jobs, global ids."""

from __future__ import annotations

from trunkline.rpc.servicer import ServicerBase


class ConsoleOverview(ServicerBase):
    """Summaries of projects, pipelines, jobs, global ids."""
