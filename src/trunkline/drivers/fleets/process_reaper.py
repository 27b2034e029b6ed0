"""Kills the processes that a killed worker leaves behind.

A worker stores the id of its mount namespace; every process in it is the worker or one of its commands. The kernel
reuses the id of a removed namespace at once, so the id alone could match unrelated processes: the root of the
namespace must also have the worker's name. Without a private root there is no such name, and only descendants that
were listed before the kill can be ended. It must never mistake the host's own namespace, or another worker's, for
the worker's.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from trunkline.linux import processes

if TYPE_CHECKING:
    from pathlib import Path


def kill_tree(pid: int) -> None:
    """Kill a process and all of its descendants."""
    for each in (pid, *processes.descendants(pid)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(each, signal.SIGKILL)


def kill_namespace(scratch: Path) -> None:
    """Kill every process in the mount namespace of the worker whose scratch folder this is.

    Args:
        scratch: the folder; its name is the worker's id, which is also the name of the worker's root.
    """
    try:
        namespace = (scratch / "namespace").read_text("ascii")
    except FileNotFoundError:
        return
    if not namespace or namespace == os.readlink("/proc/self/ns/mnt"):
        return  # it had no private root
    inside = _processes_in(namespace)
    # One process with that root is enough: a command may have changed its own root.
    if any(_root_is_called(scratch.name, pid) for pid in inside):
        for pid in inside:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _processes_in(namespace: str) -> list[int]:
    pids = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError):  # it has ended, or is another user's
                if os.readlink(f"/proc/{name}/ns/mnt") == namespace:
                    pids.append(int(name))
    return pids


def _root_is_called(name: str, pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/mounts", "rb") as mounts:
        return any(line.startswith(f"{name} / ".encode()) for line in mounts)
    return False
