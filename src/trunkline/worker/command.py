"""Runs one command to its end and says in plain words how it ended.

The command is spawned by ``posix_spawn`` (half a millisecond; ``fork`` would copy the page tables of the
worker), gets a session of its own, a file as standard input and one pipe for both outputs. The main
thread waits in ``poll`` for the pipe, for the process and for interruptions together, so no thread is
needed and nothing competes with the next spawn for the interpreter. When it ends, everything it left
behind is killed before anyone looks at its output.

Must not: decide whether a datum is tried again, or know anything of inputs and outputs.
"""

from __future__ import annotations

import errno
import os
import pwd
import select
import signal
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from trunkline.errors import InvalidArgument
from trunkline.worker import leftovers
from trunkline.worker.interrupts import Interrupted
from trunkline.worker.output_lines import MAX_LOG, OutputLines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.worker.files import Owner
    from trunkline.worker.interrupts import Interrupts
    from trunkline.worker.output_lines import LineTaker

_READ = 64 << 10  # bytes: all that a pipe holds
#: (command, PATH) -> where it was found; saves a look into every folder of a long PATH per datum.
_found: dict[tuple[str, str], str] = {}
#: Signals that Python ignores and programs expect to find as the kernel sets them.
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)


class Program(NamedTuple):
    """A command, ready to be started."""

    argv: list[str]
    stdin: bytes
    env: Mapping[str, str]
    working_dir: str
    #: None runs it as the worker's own user.
    owner: Owner = None


class Ending(NamedTuple):
    """How a command ended."""

    #: Exit code; None when it was ended by a signal, by the worker, or never started.
    code: int | None
    #: For people; never empty.
    reason: str

    def succeeded(self, accepted: Sequence[int] = ()) -> bool:
        """Whether the exit code is 0 or one of ``accepted``."""
        return self.code == 0 or (self.code is not None and self.code in accepted)


class _CannotStart(Exception):
    """The command cannot be started; the message is for the user."""


def run(
    program: Program, *, timeout: float, interrupts: Interrupts, take: LineTaker, note: LineTaker
) -> Ending:
    """Run the program to its end, and kill what it leaves behind.

    Args:
        program: what to run.
        timeout: seconds after which it is killed; 0 for none.
        interrupts: ends it early when a flag asks for it.
        take: is given each line the command prints.
        note: is given lines that the worker itself adds.

    Raises:
        Interrupted: a flag ended the command.
    """
    reader, writer = os.pipe()
    try:
        try:
            pid = _start(program, writer)
        except _CannotStart as error:
            return Ending(None, str(error))
        finally:
            os.close(writer)
        lines = OutputLines(take)
        timed_out = interrupted = False
        try:
            timed_out, interrupted = _watch(pid, reader, timeout, interrupts, lines)
        finally:
            leftovers.end_group(pid)
            _, status = os.waitpid(pid, 0)
            immortal = leftovers.end_orphans()
        _drain(reader, lines)
    finally:
        os.close(reader)
    if interrupted:
        raise Interrupted
    now = time.time_ns()
    if dropped := lines.finish():
        note(
            now, b"the log keeps %d MiB of an attempt; %d bytes more were dropped" % (MAX_LOG >> 20, dropped)
        )
    if immortal:
        note(now, b"the command left %d processes behind that the kernel does not end" % immortal)
    if timed_out:
        return Ending(None, f"killed because it ran longer than datum_timeout, {timeout:g} s")
    return _read_status(status)


def _read_status(status: int) -> Ending:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return Ending(code, f"exit code {code}")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return Ending(None, f"killed by {name}" + (" (out of memory?)" if -code == signal.SIGKILL else ""))


def _watch(
    pid: int, reader: int, timeout: float, interrupts: Interrupts, lines: OutputLines
) -> tuple[bool, bool]:
    """Read the output until the process has ended; return whether it was timed out, and interrupted."""
    deadline = time.monotonic() + timeout if timeout else None
    timed_out = interrupted = False
    process = os.pidfd_open(pid)
    try:
        poller = select.poll()
        for descriptor in (reader, process, interrupts.descriptor):
            poller.register(descriptor, select.POLLIN)
        while True:
            wait = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            events = poller.poll(wait)
            if deadline is not None and time.monotonic() >= deadline:
                deadline, timed_out = None, True
                leftovers.end_group(pid)
            ended = False
            for descriptor, _ in events:
                if descriptor == process:
                    ended = True
                elif descriptor == interrupts.descriptor:
                    interrupts.quiet()
                    if interrupts.end_command:
                        interrupted = True
                        leftovers.end_group(pid)
                elif chunk := os.read(reader, _READ):
                    lines.feed(chunk)
                else:
                    poller.unregister(reader)  # it closed its outputs and runs on
            if ended:
                return timed_out, interrupted
    finally:
        os.close(process)


def _drain(reader: int, lines: OutputLines) -> None:
    """Take what is still in the pipe; never wait for a writer, for none should be left."""
    os.set_blocking(reader, False)
    try:
        while chunk := os.read(reader, _READ):
            lines.feed(chunk)
    except BlockingIOError:
        pass


def _start(program: Program, output: int) -> int:
    """Start the program with both outputs on ``output``; return its process id."""
    try:
        # posix_spawn cannot change the folder for the child alone. The worker uses no relative path.
        os.chdir(program.working_dir)
    except OSError as error:
        raise _CannotStart(
            f'working_dir "{program.working_dir}" cannot be entered: {error.strerror}; make it in the image '
            f"environment or name another in transform.working_dir"
        ) from error
    stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) if not program.stdin else _as_file(program.stdin)
    try:
        return _spawn(program, find_executable(program.argv[0], program.env.get("PATH", "")), stdin, output)
    finally:
        os.close(stdin)
        os.chdir("/")


def _spawn(program: Program, path: str, stdin: int, output: int) -> int:
    try:
        if program.owner is not None:
            return _spawn_as(program, path, stdin, output)
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
    except ValueError as error:
        raise _CannotStart(
            f'command "{_shown(program.argv[0])}" cannot be started: {error}; '
            f"arguments and variables must be free of NUL characters and names of variables of ="
        ) from error
    except OSError as error:
        raise _CannotStart(_why_not_started(program.argv[0], path, error)) from error


def _spawn_as(program: Program, path: str, stdin: int, output: int) -> int:
    """Start the program as another user, which only fork can do: 1 ms more."""
    import subprocess

    assert program.owner is not None
    uid, gid = program.owner
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
        extra_groups=[],
    )
    process.returncode = 0  # the caller reaps it; otherwise Popen would complain and try to
    return process.pid


def _as_file(content: bytes) -> int:
    """Return a descriptor to read ``content`` from: in memory, of any length, and nobody has to feed it."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def find_executable(name: str, path: str) -> str:
    """Return the program that ``name`` means under the search path ``path``.

    Raises:
        _CannotStart: there is none; the message says why.
    """
    if "/" in name:
        return name
    known = _found.get((name, path))
    if known and os.access(known, os.X_OK):
        return known
    candidates = [f"{folder or '.'}/{name}" for folder in path.split(":") if "\0" not in name]
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            _found[name, path] = candidate
            return candidate
    unusable = next(filter(os.path.isfile, candidates), None)
    if unusable:
        raise _CannotStart(f'command "{_shown(name)}" is at {unusable} but not executable; set its x bit')
    raise _CannotStart(
        f'command "{_shown(name)}" was not found in the image environment\'s PATH ({path}); '
        f"correct transform.cmd or provide it with the image environment"
    )


def _why_not_started(name: str, path: str, error: OSError) -> str:
    subject = f'command "{_shown(name)}"'
    if error.errno == errno.ENOENT and os.path.exists(path):
        return f'{subject} names an interpreter in its first line that does not exist; correct its "#!" line'
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"{subject} does not exist; correct transform.cmd or provide it with the image environment"
    if error.errno == errno.EACCES:
        return f"{subject} may not be executed: {_lacks(path)}; set its x bit or start it by its interpreter"
    if error.errno == errno.ENOEXEC:
        return f'{subject} is neither a program for this machine nor a script with a "#!" line'
    return f"{subject} cannot be started: {error.strerror}"


def _lacks(name: str) -> str:
    try:
        mode = os.stat(name).st_mode
    except OSError as error:
        return error.strerror or "it cannot be looked at"
    if stat.S_ISDIR(mode):
        return "it is a folder"
    return "its permissions are " + stat.filemode(mode)


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


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
