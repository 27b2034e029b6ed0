"""The terminals of a page: shells that keep their folder and variables from block to block.

The first terminal writes to a file, so that its outputs are those of pipes and logs: no colours, no progress bars.
Further terminals are pseudo-terminals of 80 columns, for programs that go on while the page continues.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: Seconds that the processes of a page get to end after SIGTERM.
_GRACE = 30.0
#: Seconds that a program may take from its first words to what Ctrl-C is to end.
_BEGINNING = 10.0
#: Seconds between two looks at a terminal.
_INTERVAL = 0.02
#: Ends the shell at the first command that fails, and names it.
_STRICT = "set -euo pipefail; trap 'echo \"exit code $?: $BASH_COMMAND\"' ERR\n"
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")


class ShellError(Exception):
    """A command did not end in time, or its shell ended."""


class Shell:
    """One terminal."""

    def __init__(self, folder: Path, work: Path, environment: Mapping[str, str], *, terminal: bool) -> None:
        """Start a shell.

        Args:
            folder: for its files.
            work: the folder that it starts in.
            environment: its variables.
            terminal: whether it has a pseudo-terminal.
        """
        self._folder = folder
        folder.mkdir()
        self._commands = 0
        self._screen = b""
        self._main = -1
        self._output, self._errors = folder / "output", folder / "errors"
        target = f'"{self._output}"'
        if terminal:
            self._main, side = pty.openpty()
            fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            target = os.ttyname(side)
        status, inner = os.pipe()
        self._status = status
        self._target = target
        self._input = f"<{target}" if terminal else "</dev/null"
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=work,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(inner,),
            start_new_session=True,
            # Programs in the background of a script ignore Ctrl-C, and a shell cannot undo that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(inner)
        if terminal:
            os.close(side)
        self.running = ""
        # Ctrl-C ends what runs in the shell, not the shell.
        self._write("trap : INT" if inner == 7 else f"trap : INT; exec 7>&{inner} {inner}>&-")

    def _write(self, line: str) -> None:
        assert self._shell.stdin
        self._shell.stdin.write(f"{line}\n".encode())
        self._shell.stdin.flush()

    def start(self, code: str, *, strict: bool = False, apart: bool = False) -> None:
        """Start code, which goes on by itself.

        Args:
            code: for bash.
            strict: whether the first command that fails ends the shell.
            apart: whether what is written to standard error is no part of the output.
        """
        if self.running:
            raise ShellError(f"the terminal still runs: {self.running}; end it with a line ^C")
        self._commands += 1
        self._screen = b""
        script = self._folder / f"{self._commands}.sh"
        begin, end = (_STRICT, "\ntrap - ERR; set +euo pipefail") if strict else ("", "")
        script.write_text(f"{begin}{code}{end}\n")
        self._errors.write_text("")
        errors = f'2>"{self._errors}"' if apart else "2>&1"
        self._write(f'source "{script}" 7>&- >{self._target} {errors} {self._input}; echo $? >&7')
        self.running = code.strip()

    def output(self) -> str:
        """Return what the code has written, as a reader sees it."""
        if self._main < 0:
            data = self._output.read_bytes() if self._output.exists() else b""
        else:
            while select.select([self._main], [], [], 0)[0]:
                try:
                    piece = os.read(self._main, 65536)
                except OSError:
                    break
                self._screen += piece
            data = self._screen.replace(b"\r\n", b"\n")
        text = _ESCAPE.sub("", data.decode("utf-8", "replace"))
        return "\n".join(line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n"))

    def errors(self) -> str:
        """Return what strict code has written to standard error."""
        return self._errors.read_text(errors="replace")

    def wait(self, limit: float, until: Callable[[str], bool] | None = None) -> int | None:
        """Wait for the code, or for what it writes.

        Args:
            limit: seconds.
            until: ends the wait when it holds for the output.

        Returns:
            The exit code; nothing when the code goes on.

        Raises:
            ShellError: the limit was reached, or the shell ended.
        """
        deadline = time.monotonic() + limit
        while True:
            if select.select([self._status], [], [], _INTERVAL)[0]:
                answer = os.read(self._status, 16)
                if not answer:
                    raise ShellError("a command failed and ended the shell")
                self.running = ""
                return int(answer)
            if until and until(self.output()):
                return None
            if time.monotonic() > deadline:
                raise ShellError(f"not done after {limit:g} s: {self.running}")

    def interrupt(self) -> None:
        """Press Ctrl-C when a program runs; the output is then what comes after it."""
        deadline = time.monotonic() + _BEGINNING
        while not self._runs_a_program() and time.monotonic() < deadline:
            time.sleep(_INTERVAL)
        self.output()
        self._screen = b""
        os.killpg(self._shell.pid, signal.SIGINT)

    def _runs_a_program(self) -> bool:
        """Return whether a child of the shell has become another program: before that, Ctrl-C ends nothing."""
        if select.select([self._status], [], [], 0)[0]:
            return True  # it has ended already
        shell = psutil.Process(self._shell.pid)
        with contextlib.suppress(psutil.Error):  # a child that ends meanwhile
            return any(child.cmdline() != shell.cmdline() for child in shell.children())
        return False

    def close(self) -> None:
        """End the shell and everything that it started."""
        group = self._shell.pid
        assert self._shell.stdin
        self._shell.stdin.close()
        deadline = time.monotonic() + _GRACE
        _signal(group, signal.SIGTERM)
        while self._shell.poll() is None or _exists(group):
            self.output()  # a full terminal would stop what writes to it
            if time.monotonic() > deadline:
                _signal(group, signal.SIGKILL)
            time.sleep(_INTERVAL)
        os.close(self._status)
        if self._main >= 0:
            os.close(self._main)


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
