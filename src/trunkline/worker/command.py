"""Runs one command to its end and explains how it ended.

The main thread waits in ``poll`` for the command's output, its end and interruptions together, so no extra thread
is needed. The sandbox decides who starts the command: the worker itself (``subprocesses.py``) or the launcher in
another container (``pod/launcher_client.py``). Both kill all processes that the command leaves behind before they
report its end.

This module does not decide whether a datum is retried, and does not use inputs or outputs.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import stat
import sys
import termios
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from trunkline.worker.interrupts import Interrupted
from trunkline.worker.output_lines import MAX_LINES, MAX_LOG, OutputLines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trunkline.worker.files import Owner
    from trunkline.worker.interrupts import Interrupts
    from trunkline.worker.output_lines import LineTaker

_READ = 64 << 10  # bytes: the capacity of a pipe
_NO_BYTES = bytes(4)  # a C int for FIONREAD
#: Seconds. The kernel's longest wait is 2^31 milliseconds.
LONGEST_WAIT = 3600.0
#: Stands for the descriptor of a command that asks by a call; no descriptor has this number.
ASKED = -2
#: Seconds between two checks of the command's memory, if limited, and of a full log.
_MEMORY_LOOK, _LOG_LOOK = 0.1, 0.02


class Program(NamedTuple):
    """A command, ready to be started."""

    argv: list[str]
    stdin: bytes
    env: Mapping[str, str]
    #: Absolute; empty for the launcher's own.
    working_dir: str
    #: The command's folder for temporary files.
    tmp: str
    #: None for the sandbox's own user.
    owner: Owner = None
    #: Bytes of memory for the command and its descendants; 0 when the worker enforces no limit.
    memory_limit: int = 0


class Outcome(NamedTuple):
    """The result of a command that has ended."""

    #: Exit code, or the negative number of the signal that ended it.
    status: int
    #: Number of leftover processes that the kernel does not end.
    immortal: int
    #: CPU seconds of the command and of the processes that it waited for.
    cpu_seconds: float
    #: Bytes of the largest single process.
    peak_memory: int
    #: Whether the kernel killed a process of its container or group because memory ran out; None when unknown.
    out_of_memory: bool | None = None
    #: Why the result is unknown: the launcher itself has ended. Empty when the result is known.
    lost: str = ""


class Process(Protocol):
    """A command that has been started."""

    #: Descriptor to read its output.
    output: int
    #: Descriptor that is readable when it has ended.
    ended: int

    def memory(self, beyond: int) -> int:
        """Return the bytes of memory of it and its descendants, exact only above ``beyond`` bytes.

        0 when the kernel enforces the limit.
        """

    def hand_over(self, tmp: str) -> bool:
        """Make what it has written usable for the worker while it waits; return whether it still runs.

        Args:
            tmp: its folder for temporary files.
        """

    def kill(self) -> None:
        """Kill it and its process group. Idempotent; does nothing when it has ended."""

    def finish(self) -> Outcome:
        """Kill it and its leftover processes, wait for them, and return the result; called once."""

    def close(self) -> None:
        """Close the descriptors; called after ``finish``."""


class Poller(Protocol):
    """Waits for descriptors, like ``select.poll``."""

    def register(self, descriptor: int, events: int, /) -> None:
        """Wait for a descriptor too."""

    def unregister(self, descriptor: int, /) -> None:
        """Wait for it no more."""

    def poll(self, timeout: float, /) -> list[tuple[int, int]]:
        """Wait at most so many milliseconds; return the descriptors that have an event, with it."""


class Executor(Protocol):
    """Starts commands, one at a time."""

    def start(self, program: Program, interrupts: Interrupts) -> Process:
        """Start the program.

        Raises:
            CannotStart: the program cannot be started, with the reason.
            ExecutorLost: the launcher has ended and did not come back.
            Interrupted: a flag was raised meanwhile.
        """


class StartFailure(NamedTuple):
    """Why a command cannot be started, as facts, so that every sandbox gives the same messages."""

    #: ``working_dir``, ``not found``, ``not executable``, ``text`` or ``spawn``.
    kind: str
    #: The folder, the search path, or the program.
    path: str = ""
    #: The kernel's reason; 0 for none.
    errno: int = 0
    #: Mode of the file at the path, 0 when none exists.
    mode: int = 0
    #: Why an argument or variable is not valid.
    detail: str = ""


class CannotStart(Exception):
    """The command cannot be started."""

    def __init__(self, obstacle: StartFailure) -> None:
        super().__init__(obstacle.kind)
        self.obstacle = obstacle


class ExecutorLost(Exception):
    """No more commands can be started; the message says why."""


class ProgramEnded(Exception):
    """A standing program ended by itself, or could not be started; the message says how."""


class Ending(NamedTuple):
    """How a command ended."""

    #: Exit code; None when a signal or the worker ended it, or when it never started.
    code: int | None
    #: A sentence for users; never empty.
    reason: str
    #: Processor time of the command and its descendants, and bytes of memory; 0 when they were not measured.
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    #: Whether it was killed because it used more memory than it may.
    out_of_memory: bool = False

    def succeeded(self, accepted: Sequence[int] = ()) -> bool:
        """Whether the exit code is 0 or one of ``accepted``."""
        return self.code == 0 or (self.code is not None and self.code in accepted)


def run(
    starter: Executor,
    program: Program,
    *,
    timeout: float,
    interrupts: Interrupts,
    add_line: LineTaker,
    note: LineTaker,
    log_is_full: Callable[[], bool] = lambda: False,
    meanwhile: Callable[[], None] = lambda: None,
) -> Ending:
    """Run the program to its end, and kill its leftover processes.

    Args:
        starter: starts the program.
        program: what to run.
        timeout: seconds after which it is killed; 0 for none.
        interrupts: flags that end it early.
        add_line: called with each line that the command prints.
        note: called with lines that the worker itself adds.
        log_is_full: whether the command's output must wait.
        meanwhile: called when the command runs, which is not watched until it returns.

    Raises:
        Interrupted: a flag ended the command.
        ExecutorLost: the launcher has ended and did not come back.
    """
    try:
        running = starter.start(program, interrupts)
    except CannotStart as error:
        return Ending(None, why_not_started(program, error.obstacle))
    lines = OutputLines(add_line)
    watch = Watch(running, timeout, interrupts, lines, log_is_full, program.memory_limit)
    try:
        meanwhile()
        watch.until_ended()
    except BaseException:
        running.finish()
        running.close()
        raise
    return conclude(running, watch, note)


def conclude(running: Process, watch: Watch, note: LineTaker) -> Ending:
    """Kill what is left of a program that has ended or must end, and explain its end.

    Args:
        running: the program; closed afterwards.
        watch: what has watched it.
        note: called with lines that the worker itself adds.

    Raises:
        Interrupted: a flag ended the program.
    """
    lines, interrupts = watch.lines, watch.interrupts
    try:
        outcome = running.finish()
        if watch.has_output:
            _drain(running.output, lines)
    finally:
        running.close()
    interrupted = watch.interrupted
    if outcome.lost and interrupts.retire:
        # The pod is being deleted and its containers are killed one by one: not the datum's fault.
        interrupts.raise_flag(give_back=True)
        interrupted = True
    if interrupted:
        raise Interrupted
    now = time.time_ns()
    if dropped := lines.finish():
        note(
            now,
            b"the log holds at most %d MiB and %d lines of an attempt; %d more bytes were dropped"
            % (MAX_LOG >> 20, MAX_LINES, dropped),
        )
    if outcome.immortal:
        note(now, b"the command left %d processes behind that the kernel does not end" % outcome.immortal)
    # A kill by the kernel came when all that the limit allows was in use.
    by_kernel = outcome.out_of_memory and outcome.status == -signal.SIGKILL
    if used := watch.memory or (watch.memory_limit if by_kernel else 0):
        return Ending(
            None,
            f"killed because it ran out of memory: it used {_mebibytes(used)}, "
            f"its limit was {_mebibytes(watch.memory_limit)}; raise resource_limits.memory or use less",
            outcome.cpu_seconds,
            max(used, outcome.peak_memory),
            out_of_memory=True,
        )
    code, reason = _read(outcome)
    if watch.timed_out:
        code, reason = None, f"killed because it ran longer than datum_timeout, {watch.timeout:g} s"
    return Ending(code, reason, outcome.cpu_seconds, outcome.peak_memory)


def _read(outcome: Outcome) -> tuple[int | None, str]:
    """Return the exit code, and a sentence for users."""
    if outcome.lost:
        return None, outcome.lost
    memory = ": out of memory; ask for more with resource_limits.memory" if outcome.out_of_memory else ""
    if outcome.status >= 0:
        return outcome.status, f"exit code {outcome.status}{memory}"
    try:
        name = signal.Signals(-outcome.status).name
    except ValueError:
        name = f"signal {-outcome.status}"
    if -outcome.status == signal.SIGKILL and not memory:
        memory = " (out of memory?)" if outcome.out_of_memory is None else ""
    return None, f"killed by {name}{memory}"


class Watch:
    """Watches a command until it has ended, and kills it when it exceeds a limit."""

    def __init__(
        self,
        running: Process,
        timeout: float,
        interrupts: Interrupts,
        lines: OutputLines,
        log_is_full: Callable[[], bool],
        memory_limit: int,
        asked: int = -1,
        poller: Poller | None = None,
    ) -> None:
        """Begin the time limit.

        Args:
            running: the command.
            timeout: seconds after which it is killed; 0 for none.
            interrupts: flags that end it early.
            lines: take its output.
            log_is_full: whether the command's output must wait.
            memory_limit: bytes that it may use; 0 for none.
            asked: descriptor that is readable when the command has asked for its next datum, or ``ASKED``; -1 for
                none.
            poller: waits for all of them, and reports ``ASKED``; None for one of the kernel's.
        """
        self._running = running
        self._deadline = time.monotonic() + timeout if timeout else None
        self.timeout = timeout
        self.interrupts = interrupts
        self.lines = lines
        self._log_is_full = log_is_full
        self.memory_limit = memory_limit
        self._asked = asked
        self._poller: Poller = poller or select.poll()
        for descriptor in (running.ended, interrupts.descriptor, asked):
            if descriptor >= 0:
                self._poller.register(descriptor, select.POLLIN)
        self._reads = self._open = True
        self._poller.register(running.output, select.POLLIN)
        self._has_limits = bool(timeout or memory_limit)
        #: Why it was killed; empty when it was not.
        self.timed_out = False
        self.interrupted = False
        #: Bytes that it used when it exceeded its limit.
        self.memory = 0

    @property
    def has_output(self) -> bool:
        """Whether the command's output may have more to read."""
        return self._open

    def until_ended(self) -> bool:
        """Read the output until the command has ended or asked; return whether it has ended."""
        changed = True
        while True:
            if changed or not self._reads:
                self._read_or_wait()
            changed = False
            events = self._poller.poll(self._wait() * 1000)
            if self._has_limits:
                self._check_limits()
            ended = asked = False
            for descriptor, _ in events:
                if descriptor == self._running.ended:
                    ended = True
                elif descriptor == self._asked:
                    asked = True
                elif descriptor == self.interrupts.descriptor:
                    self.interrupts.quiet()
                    if self.interrupts.end_command:
                        self.interrupted = True
                        self._running.kill()
                else:
                    changed = True
                    if chunk := os.read(self._running.output, _READ):
                        self.lines.feed(chunk)
                    else:
                        self._open = False  # it closed its outputs and continues to run
            if ended:
                return True
            if asked and not (self.interrupted or self.timed_out or self.memory):
                self._read_written()
                return False

    def _read_written(self) -> None:
        """Read what the command has written before it asked."""
        size = fcntl.ioctl(self._running.output, termios.FIONREAD, _NO_BYTES)
        count = int.from_bytes(size, sys.byteorder)
        while count > 0 and (chunk := os.read(self._running.output, min(count, _READ))):
            self.lines.feed(chunk)
            count -= len(chunk)

    def _read_or_wait(self) -> None:
        """Read the output unless the log is full; then the command blocks on its pipe."""
        reads = self._open and not self._log_is_full()
        if reads and not self._reads:
            self._poller.register(self._running.output, select.POLLIN)
        if self._reads and not reads:
            self._poller.unregister(self._running.output)
        self._reads = reads

    def _wait(self) -> float:
        """Return the seconds until the next check."""
        wait = LONGEST_WAIT
        if self._deadline is not None:
            wait = min(wait, max(0.0, self._deadline - time.monotonic()))
        if self.memory_limit:
            wait = min(wait, _MEMORY_LOOK)
        if self._open and not self._reads:
            wait = min(wait, _LOG_LOOK)
        return wait

    def _check_limits(self) -> None:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._deadline, self.timed_out = None, True
            self._running.kill()
        if self.memory_limit and not self.memory:
            used = self._running.memory(self.memory_limit)
            if used > self.memory_limit:
                self.memory = used
                self._running.kill()


def _mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):,.0f} MiB"


def _drain(reader: int, lines: OutputLines) -> None:
    """Read the rest of the pipe without waiting for a writer, since none should exist."""
    os.set_blocking(reader, False)
    try:
        while chunk := os.read(reader, _READ):
            lines.feed(chunk)
    except BlockingIOError:
        pass


def stdin_file(content: bytes) -> int:
    """Return a descriptor to read ``content`` from: a file in memory, which needs no writer, unlike a pipe."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def why_not_started(program: Program, lack: StartFailure) -> str:
    """Return a sentence for users that says why a program cannot be started."""
    subject = f'command "{_escaped(program.argv[0])}"'
    reason = os.strerror(lack.errno)
    if lack.kind == "working_dir":
        return (
            f'working_dir "{program.working_dir}" cannot be entered: {reason}; create it in the image '
            f"environment or name another in transform.working_dir"
        )
    if lack.kind == "not found":
        return (
            f"{subject} was not found in the image environment's PATH ({lack.path}); "
            f"correct transform.cmd or provide it with the image environment"
        )
    if lack.kind == "not executable":
        return f"{subject} is at {lack.path} but not executable; set its x bit"
    if lack.kind == "text":
        return (
            f"{subject} cannot be started: {lack.detail}; "
            f"remove NUL characters from arguments and variables, and = from names of variables"
        )
    if lack.errno == errno.ENOENT and lack.mode:
        return f'{subject} names an interpreter in its first line that does not exist; correct its "#!" line'
    if lack.errno in (errno.ENOENT, errno.ENOTDIR):
        return f"{subject} does not exist; correct transform.cmd or provide it with the image environment"
    if lack.errno == errno.EACCES:
        return f"{subject} may not be executed: {_lacks(lack)}; set its x bit or start it by its interpreter"
    if lack.errno == errno.ENOEXEC:
        return f'{subject} is neither a program for this machine nor a script with a "#!" line'
    return f"{subject} cannot be started: {reason}"


def _lacks(lack: StartFailure) -> str:
    if not lack.mode:
        return "its status cannot be read"
    if stat.S_ISDIR(lack.mode):
        return "it is a folder"
    return "its permissions are " + stat.filemode(lack.mode)


def _escaped(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
