"""Process trees, as /proc shows them."""

from __future__ import annotations

import contextlib
import os


def children(pid: int) -> list[int]:
    """Return the children of a process; none when it has ended."""
    result: list[int] = []
    with contextlib.suppress(OSError):  # it ended while being looked at
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                result += map(int, file.read().split())
    return result


def descendants(pid: int) -> list[int]:
    """Return the children of a process, their children, and so on; parents before their children."""
    result = children(pid)
    for each in result:
        result += children(each)
    return result
