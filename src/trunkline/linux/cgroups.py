"""Control groups, version 2: limits that the kernel enforces on a process and all that it starts.

A process may create groups below its own one if that is delegated to it. A group that contains processes cannot
give a controller to the groups in it ("no internal processes"), so the process that uses a delegation first moves
itself into a leaf of its own. The rules are those of the kernel's ``Documentation/admin-guide/cgroup-v2.rst`` and
of systemd's ``CGROUP_DELEGATION``.

This module decides nothing about limits. It must not move processes that others started.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from typing import TYPE_CHECKING

from trunkline.linux import processes

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The group that the process which uses a delegation moves itself into.
LEAF = "trunkline-server"
#: Extended attributes by which systemd marks groups with ``Delegate=yes``; the second needs root to be read.
_DELEGATED = ("user.delegate", "trusted.delegate")
#: Attempts to see and to move processes that start others meanwhile.
_ATTEMPTS = 5
#: Seconds in which the kernel ends killed processes, unless a failed disk blocks them.
_PATIENCE = 2.0


class NotDelegated(Exception):
    """No groups can be created below a group; the message says why."""


def own_group() -> str:
    """Return the folder of this process's group.

    Raises:
        NotDelegated: it has no group of version 2 that can be reached.
    """
    with (
        open("/proc/self/cgroup", encoding="utf-8") as groups,
        open("/proc/self/mountinfo", encoding="utf-8") as mounts,
    ):
        return find_group(groups.read(), mounts.read())


def find_group(groups: str, mounts: str) -> str:
    """Return the folder of a process's group.

    Args:
        groups: content of its ``/proc/PID/cgroup``.
        mounts: content of its ``/proc/PID/mountinfo``.

    Raises:
        NotDelegated: it has no group of version 2 that can be reached.
    """
    path = next((line[3:] for line in groups.splitlines() if line.startswith("0::")), None)
    if path is None:
        raise NotDelegated("this machine has no control groups of version 2")
    for line in mounts.splitlines():
        fields, _, kind = line.partition(" - ")
        if not kind.startswith("cgroup2 "):
            continue
        root, place = (_decoded(field) for field in fields.split()[3:5])
        if root == "/":
            return (place + path).rstrip("/")
        if path == root or path.startswith(root + "/"):
            return place + path[len(root) :]
    raise NotDelegated(f"the server's control group {path} is not mounted")


def _decoded(field: str) -> str:
    """Decode the octal escapes of a path in mountinfo."""
    return field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


class Delegation:
    """A group that belongs to this process alone, and the groups that it creates there."""

    def __init__(self, folder: str, controller: str) -> None:
        """Move this process and those that it has started into a leaf, and enable the controller beside it.

        Args:
            folder: this process's group; its parent is used when it is the leaf already.
            controller: what shall limit the groups, such as ``memory``.

        Raises:
            NotDelegated: the group is not delegated to this process alone, or does not have the controller.
        """
        if os.path.basename(folder) == LEAF:
            folder = os.path.dirname(folder)
        self.folder = folder
        try:
            self._check(controller)
            self._enable(controller)
        except OSError as error:
            raise NotDelegated(f"the control group {folder} cannot be used: {error.strerror}") from error

    def _check(self, controller: str) -> None:
        folder = self.folder
        available = _read(f"{folder}/cgroup.controllers").split()
        if controller not in available:
            names = ", ".join(available) or "none"
            raise NotDelegated(
                f"the control group {folder} lacks the {controller} controller; it has: {names}"
            )
        for path in (folder, f"{folder}/cgroup.procs", f"{folder}/cgroup.subtree_control"):
            if not os.access(path, os.W_OK):
                raise NotDelegated(f"this user may not write {path}")
        if not _is_delegated_by_systemd(folder):
            raise NotDelegated(f"systemd has not delegated the control group {folder}; set Delegate=yes")
        # A process that ends between the two readings looks like another's.
        if all(_pids(folder) - _own_processes() for _ in range(_ATTEMPTS)):
            raise NotDelegated(f"the control group {folder} contains processes that the server did not start")

    def _enable(self, controller: str) -> None:
        control = f"{self.folder}/cgroup.subtree_control"
        for _ in range(_ATTEMPTS):
            if controller in _read(control).split():
                return
            leaf = self.create(LEAF)
            for pid in _pids(self.folder):
                with contextlib.suppress(ProcessLookupError):
                    _write(f"{leaf}/cgroup.procs", str(pid))
            try:
                _write(control, f"+{controller}")
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
            else:
                return
        raise NotDelegated(f"processes are started in the control group {self.folder} all the time")

    def names(self) -> list[str]:
        """Return the names of the groups, except for this process's own."""
        with os.scandir(self.folder) as entries:
            return [entry.name for entry in entries if entry.is_dir() and entry.name != LEAF]

    def create(self, name: str) -> str:
        """Create a group, unless it exists; return its folder."""
        folder = f"{self.folder}/{name}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
        return folder


def remove(folder: str) -> None:
    """Kill the processes of a group and of those in it, and remove them; does nothing when it does not exist.

    Raises:
        OSError: the kernel does not end one of the processes.
    """
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.EBUSY:  # it contains processes or groups
            raise
    else:
        return
    for group in _tree(folder):
        _kill(group)
    for group in _tree(folder):
        _wait_until_empty(group)
        os.rmdir(group)


class MemoryGroup:
    """A group with a memory limit, opened for the process that starts its members.

    It is used by descriptors, so that its folder may be hidden or read-only meanwhile.
    """

    def __init__(self, folder: str) -> None:
        """Open the group.

        Raises:
            OSError: it does not exist, or may not be used.
        """
        self._processes = os.open(f"{folder}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        self._events = os.open(f"{folder}/memory.events", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._limit = os.open(f"{folder}/memory.max", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            self._limit = -1  # it has no limit, or one that only others may change
        self._kills = self._count_kills()

    def close(self) -> None:
        """Close the descriptors; a worker, which uses its group until it ends, need not."""
        os.close(self._processes)
        os.close(self._events)
        if self._limit >= 0:
            os.close(self._limit)

    def join(self) -> None:
        """Move this process into the group."""
        os.write(self._processes, b"0")

    def limit(self, size_bytes: int) -> None:
        """Let its processes use so many bytes of memory together.

        Raises:
            OSError: the kernel does not allow it.
        """
        if self._limit < 0:
            raise PermissionError(errno.EPERM, "the limit of the control group may not be changed")
        os.pwrite(self._limit, str(size_bytes).encode(), 0)

    def has_killed(self) -> bool:
        """Whether the kernel has killed processes of it, because memory ran out, since the last call."""
        before, self._kills = self._kills, self._count_kills()
        return self._kills > before

    def _count_kills(self) -> int:
        for line in os.pread(self._events, 4096, 0).splitlines():
            name, _, count = line.partition(b" ")
            if name == b"oom_kill":
                return int(count)
        return 0


def limit_memory(folder: str, size_bytes: int) -> None:
    """Limit the memory of a group's processes together; beyond it the kernel kills all of them.

    Raises:
        OSError: the kernel cannot do that.
    """
    _write(f"{folder}/memory.oom.group", "1")  # Linux 4.19
    if os.path.exists(f"{folder}/memory.swap.max"):  # not in a kernel that does not count swap
        _write(f"{folder}/memory.swap.max", "0")
    _write(f"{folder}/memory.max", str(size_bytes))


def _is_delegated_by_systemd(folder: str) -> bool:
    """Whether the unit that a writable group belongs to, if it belongs to one, has ``Delegate=yes``."""
    unit = folder
    while not unit.endswith((".service", ".scope")):
        if os.path.ismount(unit) or unit == os.path.dirname(unit):
            return True  # it is not systemd's
        unit = os.path.dirname(unit)
    for name in _DELEGATED:
        with contextlib.suppress(OSError):
            if os.getxattr(unit, name) == b"1":
                return True
    # Older systemd sets no attribute that users can read. Their own units are writable anyway; others are only if
    # they are delegated.
    return os.geteuid() != 0 and "/user@" not in unit


def _own_processes() -> set[int]:
    return {os.getpid(), *processes.descendants(os.getpid())}


def _pids(folder: str) -> set[int]:
    """Return the processes of a group; 0 stands for those of another PID namespace."""
    return {int(pid) for pid in _read(f"{folder}/cgroup.procs").split()}


def _tree(folder: str) -> Iterator[str]:
    """Yield the groups below a group, each before its parent, and the group itself."""
    for group, _, _ in os.walk(folder, topdown=False):
        yield group


def _kill(folder: str) -> None:
    try:
        _write(f"{folder}/cgroup.kill", "1")
    except FileNotFoundError:  # before Linux 5.14
        for pid in _pids(folder) - {0}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _wait_until_empty(folder: str) -> None:
    """Wait until no process of a group is left, or its time is over."""
    deadline = time.monotonic() + _PATIENCE
    with open(f"{folder}/cgroup.events", "rb", buffering=0) as events:
        poller = select.poll()
        poller.register(events, select.POLLPRI)
        while b"populated 1" in os.pread(events.fileno(), 4096, 0):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return
            poller.poll(remaining * 1000)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    """Write to an existing file of a group with one system call, as the kernel requires."""
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
