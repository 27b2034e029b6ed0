"""Ends what a worker leaves running when it is killed and cannot tidy up itself.

A worker writes down the mount namespace it made; every process in it is the worker's or one of its
commands. Without a private root there is no such mark, and only descendants found before the kill can be
ended. Must never take the host's own namespace for a worker's.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def kill_tree(pid: int) -> None:
    """Kill a process and all of its descendants."""
    doomed = [pid]
    for parent in doomed:
        doomed += _children(parent)
    for each in doomed:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(each, signal.SIGKILL)


def kill_namespace(scratch: Path) -> None:
    """Kill every process in the mount namespace of the worker whose scratch folder this is."""
    try:
        namespace = (scratch / "namespace").read_text("ascii")
    except FileNotFoundError:
        return
    if not namespace or namespace == os.readlink("/proc/self/ns/mnt"):
        return  # it had no private root
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        with contextlib.suppress(OSError):  # gone meanwhile, or somebody else's
            if os.readlink(f"/proc/{name}/ns/mnt") == namespace:
                os.kill(int(name), signal.SIGKILL)


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                children += map(int, file.read().split())
    return children
