"""The part of ``trunkline.console.v1.Console`` about folders and versions of files."""

from __future__ import annotations

from trunkline.rpc.servicer import ServicerBase


class ConsoleFiles(ServicerBase):
    """Summaries of folders and versions of files."""
