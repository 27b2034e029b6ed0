"""Ends what a worker leaves running when it is killed and cannot tidy up itself.

A worker writes down the number of the mount namespace it made; every process in it is the worker's or one
of its commands. The kernel gives the number of a namespace that is gone to the next one, at once, so the
number alone would hit strangers: the root of the namespace must also bear the worker's name. Without a
private root there is no such mark, and only descendants found before the kill can be ended. Must never
take the host's own namespace, or another worker's, for a worker's.
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
        scratch: the folder; its name is the worker's, and that of the worker's root.
    """
    try:
        namespace = (scratch / "namespace").read_text("ascii")
    except FileNotFoundError:
        return
    if not namespace or namespace == os.readlink("/proc/self/ns/mnt"):
        return  # it had no private root
    inside = _processes_in(namespace)
    # One that bears the name is enough: a command may have changed what it sees as the root.
    if any(_root_is_called(scratch.name, pid) for pid in inside):
        for pid in inside:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _processes_in(namespace: str) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError):  # gone meanwhile, or somebody else's
                if os.readlink(f"/proc/{name}/ns/mnt") == namespace:
                    found.append(int(name))
    return found


def _root_is_called(name: str, pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/mounts", "rb") as mounts:
        return any(line.startswith(f"{name} / ".encode()) for line in mounts)
    return False
