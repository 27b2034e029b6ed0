"""Starts commands as children of the worker.

Uses ``posix_spawn``, which takes half a millisecond; ``fork`` would copy the page tables of the worker. Each command
gets its own session, a file as standard input and one pipe for both outputs. A command of another user, or with a
control group for its memory, is forked, because its process must change before it executes the program.

Must not run where the worker has children besides its one command.
"""

from __future__ import annotations

import errno
import os
import pwd
import signal
from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument
from trunkline.linux import processes
from trunkline.worker import process_reaper
from trunkline.worker.command import CannotStart, Outcome, StartFailure, stdin_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.linux.cgroups import MemoryGroup
    from trunkline.worker.command import Program
    from trunkline.worker.files import Owner
    from trunkline.worker.interrupts import Interrupts

#: (command, PATH) -> the program's path; saves a search through a long PATH for each datum.
_paths: dict[tuple[str, str], str] = {}
#: Signals that Python ignores and that must have the kernel's default in programs.
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)


class SpawnExecutor:
    """Implements ``command.Executor``."""

    def __init__(
        self,
        end_leftovers: Callable[[], int],
        group: MemoryGroup | None = None,
        limit: int = 0,
        home: str | int = "/",
    ) -> None:
        """Start nothing yet.

        Args:
            end_leftovers: ends the leftover processes of a command; see ``process_reaper``.
            group: control group whose limit holds for each command; the worker polls when None.
            limit: bytes of memory that the group's limit is.
            home: the worker's working directory, or a descriptor of it.
        """
        self._end_leftovers = end_leftovers
        self._group = group
        self._limit = limit
        self._home = home

    def start(self, program: Program, interrupts: Interrupts) -> ChildProcess:
        """Start the program; see ``command.Executor``."""
        del interrupts  # the start takes too little time to be interrupted
        reader, writer = os.pipe()
        try:
            pid = self._start(program, writer)
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return ChildProcess(pid, reader, self._end_leftovers, self._group)

    def _start(self, program: Program, output: int) -> int:
        try:
            if self._group is not None and program.memory_limit != self._limit:
                self._group.limit(program.memory_limit)
                self._limit = program.memory_limit
            return self._start_in(program, output, self._group)
        except (_CannotJoin, PermissionError):
            # The kernel does not allow it, for instance to join for another user before Linux 5.16.
            self._group = None
            return self._start_in(program, output, None)

    def _start_in(self, program: Program, output: int, group: MemoryGroup | None) -> int:
        """Start the program with both outputs on ``output``; return its process id.

        Args:
            program: what to start.
            output: descriptor for both outputs.
            group: control group that the process joins before it executes the program.

        Raises:
            CannotStart: the program cannot be started, with the reason.
            _CannotJoin: the kernel does not let it join the group.
        """
        stdin = (
            stdin_file(program.stdin) if program.stdin else os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        )
        moved = program.working_dir != self._home
        path = ""
        try:
            if moved:
                # posix_spawn cannot change the folder of the child alone. No other thread uses relative paths.
                _enter(program.working_dir)
            path = find_executable(program.argv[0], program.env.get("PATH", ""))
            if program.owner is None and group is None:
                return _spawn(program, path, stdin, output)
            return _fork(program, path, stdin, output, group)
        except ValueError as error:
            raise CannotStart(StartFailure("text", detail=str(error))) from error
        except OSError as error:
            raise CannotStart(
                StartFailure("spawn", path, error.errno or errno.EINVAL, _mode(path))
            ) from error
        finally:
            os.close(stdin)
            if moved:
                os.chdir(self._home)


class ChildProcess:
    """Implements ``command.Process``."""

    def __init__(
        self, pid: int, reader: int, end_leftovers: Callable[[], int], group: MemoryGroup | None
    ) -> None:
        self._pid = pid
        self._end_leftovers = end_leftovers
        self._group = group
        self.output = reader
        self.ended = os.pidfd_open(pid)

    def memory(self, beyond: int) -> int:
        """See ``command.Process``; 0 when the kernel enforces the limit."""
        if self._group is not None:
            return 0
        pids = [self._pid, *processes.descendants(self._pid)]
        used = processes.resident_memory(pids)
        return used if used <= beyond else processes.proportional_memory(pids)

    def hand_over(self, tmp: str) -> bool:
        """See ``command.Process``: the worker may use the files of every user that it starts commands as."""
        del tmp
        return True

    def kill(self) -> None:
        """See ``command.Process``."""
        process_reaper.end_group(self._pid)

    def finish(self) -> Outcome:
        """See ``command.Process``."""
        process_reaper.end_group(self._pid)
        _, status, used = os.wait4(self._pid, 0)
        return Outcome(
            status=os.waitstatus_to_exitcode(status),
            immortal=self._end_leftovers(),
            cpu_seconds=used.ru_utime + used.ru_stime,
            peak_memory=used.ru_maxrss << 10,
            out_of_memory=None if self._group is None else self._group.has_killed(),
        )

    def close(self) -> None:
        """See ``command.Process``."""
        os.close(self.output)
        os.close(self.ended)


class _CannotJoin(Exception):
    """The process of a command cannot join the control group."""


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise CannotStart(StartFailure("working_dir", folder, error.errno or 0)) from error


def _spawn(program: Program, path: str, stdin: int, output: int) -> int:
    return os.posix_spawn(
        path,
        program.argv,
        program.env,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setsid=True,
        setsigdef=_DEFAULT_SIGNALS,
        setsigmask=(),
    )


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0


def _fork(program: Program, path: str, stdin: int, output: int, group: MemoryGroup | None) -> int:
    """Start the program as its user and in a group, which needs fork and takes 1 ms more, and joining 6 to 30 ms."""
    import subprocess

    uid, gid = program.owner or (None, None)
    try:
        process = subprocess.Popen(
            program.argv,
            executable=path,
            env=program.env,
            stdin=stdin,
            stdout=output,
            stderr=output,
            start_new_session=True,
            user=uid,
            group=gid,
            extra_groups=None if program.owner is None else [],
            # Safe although there are threads: the child makes one system call and needs no lock.
            preexec_fn=None if group is None else group.join,
        )
    except subprocess.SubprocessError as error:
        raise _CannotJoin from error
    process.returncode = 0  # the caller reaps it; otherwise Popen would complain and try to
    return process.pid


def find_executable(name: str, path: str) -> str:
    """Return the path of the program ``name`` on the search path ``path``.

    Raises:
        CannotStart: there is no such program.
    """
    if "/" in name:
        return name
    cached = _paths.get((name, path))
    if cached and os.access(cached, os.X_OK):
        return cached
    candidates = [f"{folder or '.'}/{name}" for folder in path.split(":") if "\0" not in name]
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            _paths[name, path] = candidate
            return candidate
    unusable = next(filter(os.path.isfile, candidates), None)
    if unusable:
        raise CannotStart(StartFailure("not executable", unusable))
    raise CannotStart(StartFailure("not found", path))


def find_user(text: str) -> Owner:
    """Return the user and group that ``transform.user`` means: ``name``, ``uid`` or ``uid:gid``.

    Raises:
        InvalidArgument: there is no such user, or the worker may not change to it.
    """
    if not text:
        return None
    name, _, group = text.partition(":")
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
        uid, gid = entry.pw_uid, entry.pw_gid
    except KeyError:
        if not name.isdecimal():
            raise InvalidArgument(
                f'transform.user "{text}" is not a user of this machine; name one that is, or give its number'
            ) from None
        uid = gid = int(name)
    if group:
        if not group.isdecimal():
            raise InvalidArgument(
                f'transform.user "{text}" must give the group as a number, like "1000:1000"'
            )
        gid = int(group)
    if (uid, gid) == (os.geteuid(), os.getegid()):
        return None
    if not _may_become(uid, gid):
        raise InvalidArgument(
            f'transform.user "{text}" needs a server that runs as root, and this one runs as user '
            f"{os.geteuid()}; leave transform.user out or start the server as root"
        )
    return uid, gid


def _may_become(uid: int, gid: int) -> bool:
    return os.geteuid() == 0 and _mapped("uid_map", uid) and _mapped("gid_map", gid)


def _mapped(table: str, number: int) -> bool:
    """Whether the user or group exists in this process's user namespace."""
    with open(f"/proc/self/{table}", encoding="ascii") as file:
        ranges = [list(map(int, line.split())) for line in file]
    return any(first <= number < first + count for first, _, count in ranges)
