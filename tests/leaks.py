"""Fails a test, or a module of tests, that leaves threads, file descriptors or processes behind.

A test is compared with the state after the fixtures that it shares with others were set up. What these still hold
when they have ended is a leak of the module. A server or client that the tests of a module share may start threads and
connect at any time, so that only the processes of tests are compared as long as it is there. Servers that tests share
for the whole session, and what libraries start once and keep, are known by name.
"""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import postgres_server
import psutil
import pytest
from patience import settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
_KEPT_PROGRAMS = ("postgres", "postmaster.pid", "weed", "moto_server", "etcd", "kube-apiserver", "podman")
#: Fixtures of servers for the whole session whose clients keep connections.
_SESSION_SERVERS = frozenset({"s3", "moto_url"})
#: What descriptors refer to that libraries keep: gRPC's pollers, event loops.
_KEPT_LINKS = ("anon_inode:",)
#: Descriptors more than before that a library may keep after a module: gRPC's pollers, caches of the interpreter.
_SPARE_DESCRIPTORS = 40
#: The fixtures that tests of a module or class share and that are set up.
_shared: set[pytest.FixtureDef[object]] = set()
#: The children of a process by its thread, where the kernel lists them.
_TASKS = Path("/proc/self/task")


@dataclass(frozen=True, slots=True)
class _Held:
    """What the process holds: cheap to read, since it is read before and after every test."""

    threads: frozenset[int]
    descriptors: frozenset[int]
    children: frozenset[int]

    def exceeds(self, before: _Held) -> bool:
        return not (
            self.threads <= before.threads
            and self.descriptors <= before.descriptors
            and self.children <= before.children
        )


@pytest.fixture(autouse=True)
def _test_leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare what the process holds before and after a test."""
    before = _held()
    links = _links(before.descriptors)
    had_postgres = postgres_server.is_running()
    yield
    if not _held().exceeds(before):
        return
    leftovers: dict[str, list[str]] = {}

    def nothing_left() -> bool:
        leftovers.update(_leftovers(before, links))
        if _shared:
            del leftovers["descriptors"], leftovers["threads"]
            return not any(leftovers.values())
        connected = not _SESSION_SERVERS.isdisjoint(request.fixturenames)
        if connected or postgres_server.is_running() != had_postgres:
            del leftovers["descriptors"]
        return not any(leftovers.values())

    if not nothing_left():
        gc.collect()
        settled(nothing_left)
    assert not any(leftovers.values()), f"the test left behind: {leftovers}"


@pytest.fixture(scope="module", autouse=True)
def _module_leaves_nothing_behind() -> Iterator[None]:
    """Compare what the process holds before and after the tests of a module."""
    before = _held()
    yield
    leftovers: dict[str, list[str]] = {}

    def nothing_left() -> bool:
        leftovers.update(_leftovers(before, {}))
        spare = len(_held().descriptors) - len(before.descriptors) <= _SPARE_DESCRIPTORS
        return not leftovers["threads"] and not leftovers["processes"] and spare

    if not nothing_left():
        gc.collect()
        settled(nothing_left)
    assert nothing_left(), f"the tests of this module left behind: {leftovers}"


def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> None:
    """Note that what tests of a module or class share is there."""
    if (
        fixturedef.scope in ("module", "class")
        and fixturedef.argname != _module_leaves_nothing_behind.__name__
    ):
        _shared.add(fixturedef)


def pytest_fixture_post_finalizer(fixturedef: pytest.FixtureDef[object]) -> None:
    """Note that it is gone."""
    _shared.discard(fixturedef)


def _held() -> _Held:
    threads = frozenset(thread.ident for thread in threading.enumerate() if thread.ident is not None)
    return _Held(threads, frozenset(map(int, os.listdir("/proc/self/fd"))), frozenset(_child_ids()))


def _child_ids() -> Iterator[int]:
    """Yield the process's children. Their children end with them, or are theirs to end."""
    for task in os.listdir(_TASKS):
        try:
            yield from map(int, (_TASKS / task / "children").read_text().split())
        except (ProcessLookupError, FileNotFoundError):
            continue  # the thread has ended


def _leftovers(before: _Held, links: dict[int, str]) -> dict[str, list[str]]:
    """Return what is held beyond ``before`` and does not belong to a library or the session, by kind."""
    now = _held()
    return {
        "threads": [
            f"{thread.name} ({thread.ident})"
            for thread in threading.enumerate()
            if thread.ident not in before.threads and not any(name in thread.name for name in _KEPT_THREADS)
        ],
        "processes": [name for pid in now.children - before.children if (name := _command(pid))],
        "descriptors": [
            f"{number}: {link}"
            for number, link in _links(now.descriptors).items()
            if links.get(number) != link
            and not (link.startswith("socket:") and _is_socket_pair(number))
            and not link.startswith(_KEPT_LINKS)
        ],
    }


def _links(descriptors: Iterable[int]) -> dict[int, str]:
    """Return what descriptors refer to."""
    links = {}
    for number in descriptors:
        with contextlib.suppress(OSError):  # closed meanwhile
            links[number] = os.readlink(f"/proc/self/fd/{number}")
    return links


def _is_socket_pair(number: int) -> bool:
    """Tell whether a descriptor is an end of a socket pair: gRPC's poller keeps one until the next one starts."""
    copy = -1
    try:
        copy = os.dup(number)
        with socket.socket(fileno=copy) as end:
            return end.family == socket.AF_UNIX and not end.getsockname()
    except OSError:
        with contextlib.suppress(OSError):  # it was closed meanwhile
            os.close(copy)
        return False


def _command(pid: int) -> str:
    """Return a child's command; "" if it has ended or belongs to the session."""
    try:
        child = psutil.Process(pid)
        command = " ".join(child.cmdline()) or child.name()
        ended = child.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return ""
    return "" if ended or any(word in command for word in _KEPT_PROGRAMS) else f"{pid}: {command[:200]}"
