"""Ends everything a command left behind, also what left its process group.

The worker is the "subreaper" of its descendants: when a process dies, its orphans become the worker's
children instead of init's. So after a command has ended, a child of the worker is a leftover, and when
there is none, nothing is left. Asking the kernel for that costs one call, which is all that the common
case pays. A process namespace would do the same and hide the host's ``/proc`` from commands.

Must not run where the worker has other children than its one command.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

#: Seconds. A killed process is gone in microseconds unless the kernel itself holds it (dead disk, NFS).
_PATIENCE = 10.0


def end_group(leader: int) -> None:
    """Kill the process group of a command; its leader is not reaped yet, so the number is still its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def end_orphans() -> int:
    """Kill all descendants until none is left; return how many the kernel refused to end."""
    deadline = time.monotonic() + _PATIENCE
    pause = 0.0002  # seconds
    while True:
        try:
            if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is not None:
                continue
        except ChildProcessError:
            return 0
        # Children of children first show up here when their parent is dead, so this repeats until none is
        # left; killing the whole tree at once keeps ahead of those that start new ones meanwhile.
        living = _descendants(os.getpid())
        for pid in living:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        if time.monotonic() > deadline:
            return len(living)
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for child in _children(waiting.pop()):
            found.append(child)
            waiting.append(child)
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                children += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended while being looked at
    return children
