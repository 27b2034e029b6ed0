"""Process trees and their memory, read from /proc."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_PAGE = os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    """Return the children of a process; none when it has ended."""
    result: list[int] = []
    with contextlib.suppress(OSError):  # it has just ended
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


def resident_memory(pids: Iterable[int]) -> int:
    """Return the bytes of memory that processes use in all; shared memory counts for each of them."""
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/statm", "rb") as file:
            pages += int(file.read().split()[1])
    return pages * _PAGE


def proportional_memory(pids: Iterable[int]) -> int:
    """Return the bytes of memory that processes use in all; shared memory counts once. Takes far longer."""
    size = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                size += next(int(line.split()[1]) << 10 for line in file if line.startswith(b"Pss:"))
        except (OSError, StopIteration):  # another user's, or a zombie
            size += resident_memory([pid])
    return size
