"""Looks at the processes of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from trunkline.worker.template import TEMPLATE_NAME

if TYPE_CHECKING:
    from psutil import Process


#: What workers are started as.
WORKER_MODULES = {"trunkline.worker", "trunkline.worker.template"}


def is_running(mark: str) -> bool:
    """Whether a process has the words one after the other in its command line."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.replace(" ", "\0") in process.read_text("utf-8", "replace"):
                return True
        except OSError:
            continue
    return False


def is_template(process: Process) -> bool:
    """Return whether a process is one that workers are copied from, and no worker itself."""
    try:
        return process.name() == TEMPLATE_NAME
    except psutil.Error:
        return False


def command_of(process: Process) -> list[str]:
    """Return the words of a process's command line; none when it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
