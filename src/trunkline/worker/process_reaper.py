"""Kills the leftover processes of a command, also those that left its process group.

In its own PID namespace the worker is the first process, and one call signals all others. Elsewhere the worker is
the "subreaper" of its descendants: when a process dies, its orphans become the worker's children instead of init's.
In both cases any child of the worker after the end of a command is a leftover process. One system call checks for
children, which is the whole cost of the common case.

Must not run where the worker has children besides its one command.
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

#: Seconds. A killed process ends in microseconds unless the kernel blocks it (failed disk, NFS).
_PATIENCE = 10.0


def end_group(leader: int) -> None:
    """Kill the process group of a command, whose leader is not reaped yet, so that the id is still valid."""
    try:  # noqa: SIM105 - runs for every datum, where ``suppress`` takes as long as the call
        os.killpg(leader, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def end_descendants() -> int:
    """Kill all descendants; return the number of those that the kernel did not end."""
    return _end(_kill_descendants)


def end_namespace() -> int:
    """Kill all other processes of this process's PID namespace; return the number of remaining ones."""
    return _end(_kill_namespace)


def _end(kill: Callable[[], int]) -> int:
    """Call ``kill``, which returns the number of processes that it signalled, until this process has no child."""
    deadline = 0.0
    pause = 0.0002  # seconds
    while True:
        try:
            if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is not None:
                continue
        except ChildProcessError:
            return 0
        deadline = deadline or time.monotonic() + _PATIENCE
        living = kill()
        if time.monotonic() > deadline:
            return living
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def _kill_descendants() -> int:
    # Grandchildren become children when their parent is dead, so this repeats until there are none;
    # killing the whole tree at once outruns processes that start new ones meanwhile.
    living = processes.descendants(os.getpid())
    for pid in living:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(living)


def _kill_namespace() -> int:
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)  # all at once, so that none can start another meanwhile
    return max(1, sum(name.isdecimal() for name in os.listdir("/proc")) - 1)
