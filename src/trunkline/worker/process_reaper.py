"""Ends everything a command left behind, also what left its process group.

In a PID namespace of its own the worker is the first process, and one call signals all others. Elsewhere the worker
is the "subreaper" of its descendants: when a process dies, its orphans become the worker's children instead of
init's. Either way a child of the worker that is there after a command has ended is a leftover, and when there
is none, nothing is left. Asking the kernel for that costs one call, which is all that the common case pays.

Must not run where the worker has other children than its one command.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

from trunkline.linux import processes

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds. A killed process is gone in microseconds unless the kernel itself holds it (dead disk, NFS).
_PATIENCE = 10.0


def end_group(leader: int) -> None:
    """Kill the process group of a command; its leader is not reaped yet, so the number is still its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def end_descendants() -> int:
    """Kill all descendants until none is left; return how many the kernel refused to end."""
    return _end(_kill_descendants)


def end_namespace() -> int:
    """Kill all other processes of the PID namespace whose first process this is; return how many are left."""
    return _end(_kill_namespace)


def _end(kill: Callable[[], int]) -> int:
    """Call ``kill``, which returns how many it tried to end, until this process has no child."""
    deadline = time.monotonic() + _PATIENCE
    pause = 0.0002  # seconds
    while True:
        try:
            if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is not None:
                continue
        except ChildProcessError:
            return 0
        living = kill()
        if time.monotonic() > deadline:
            return living
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def _kill_descendants() -> int:
    # Children of children first show up here when their parent is dead, so this repeats until none is
    # left; killing the whole tree at once keeps ahead of those that start new ones meanwhile.
    living = processes.descendants(os.getpid())
    for pid in living:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(living)


def _kill_namespace() -> int:
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)  # all at once: none can start another meanwhile
    return max(1, sum(name.isdecimal() for name in os.listdir("/proc")) - 1)
