"""Fails a module whose tests leave threads, file descriptors or processes behind.

The check runs when the last fixture of a module has ended: what a fixture of the module keeps open meanwhile is no
leak. Servers that tests share for the whole session, and what libraries start once and keep, are known by name.
"""

from __future__ import annotations

import gc
import os
import threading
from typing import TYPE_CHECKING

import psutil
import pytest
from patience import settled

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Parts of the names of threads that a library starts once and keeps: execnet under pytest-xdist, the timeouts of
#: pytest, the executor of an event loop, gRPC's client, the runtime of obstore.
_KEPT_THREADS = (
    "execnet",
    "pytest_timeout",
    "asyncio_",
    "channel_spin",
    "_poll_wrapper",
    "_consume_request",
    "tokio",
    "Dummy",
)
#: Programs that tests share for the whole session, by a word of their command line.
_KEPT_PROGRAMS = ("postgres", "postmaster.pid", "weed", "moto_server", "etcd", "kube-apiserver")
#: Descriptors more than before that a library may keep: gRPC's pollers, caches of the interpreter.
_SPARE_DESCRIPTORS = 40


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    """Compare what the process holds before and after the tests of a module."""
    threads, descriptors, children = _threads(), _descriptors(), _children()
    yield
    gc.collect()
    settled(lambda: not _threads() - threads)
    settled(lambda: not _children() - children)
    leftovers = {
        "threads": sorted(_threads() - threads),
        "processes": sorted(name for _, name in _children() - children),
        "descriptors": max(0, _descriptors() - descriptors - _SPARE_DESCRIPTORS),
    }
    assert not any(leftovers.values()), f"the tests of this module left behind: {leftovers}"


def _threads() -> set[str]:
    return {
        f"{thread.name} ({thread.ident})"
        for thread in threading.enumerate()
        if not any(name in thread.name for name in _KEPT_THREADS)
    }


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _children() -> set[tuple[int, str]]:
    children = set()
    for child in psutil.Process().children(recursive=True):
        try:
            name = " ".join(child.cmdline()[:4]) or child.name()
            if child.status() != psutil.STATUS_ZOMBIE and not _is_kept(child):
                children.add((child.pid, name))
        except psutil.Error:
            continue  # it ended meanwhile
    return children


def _is_kept(process: psutil.Process) -> bool:
    """Tell whether a process, or one that it descends from, is shared for the session."""
    own = psutil.Process().pid
    each: psutil.Process | None = process
    while each is not None and each.pid != own:
        command = " ".join(each.cmdline())
        if any(word in command for word in _KEPT_PROGRAMS):
            return True
        each = each.parent()
    return False
