"""Starts worker processes, by copying a template (``worker.template``) when it is ready.

Used by one thread that lives as long as its workers, because a worker ends with the thread that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from trunkline.runtime import open_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

#: Seconds in which a template copies itself; milliseconds are usual.
_PATIENCE = 5.0
#: As in ``worker.template``.
_READY, _ANSWER_BYTES = b"ready", 64


class WorkerProcess:
    """A child process that is a worker."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        #: Readable when it has ended.
        self.pidfd = os.pidfd_open(pid)
        self._lock = threading.Lock()
        self._has_ended = False

    def poll(self) -> int | None:
        """Return its exit code, or the negative number of its signal, once it has ended; called no more then."""
        with self._lock:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid == 0:
                return None
            self._has_ended = True
            os.close(self.pidfd)
        return os.waitstatus_to_exitcode(status)

    def terminate(self) -> None:
        """Ask it to end; may be called from any thread."""
        with self._lock:
            if not self._has_ended:
                os.kill(self.pid, signal.SIGTERM)


class WorkerStarter:
    """Starts workers. The first one starts the interpreter, and then the template, which serves the later ones."""

    def __init__(self, log: Path) -> None:
        """Start nothing yet.

        Args:
            log: file for what a template prints.
        """
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._is_ready = False

    def start(self, environment: Mapping[str, str], token: str, output: int) -> WorkerProcess:
        """Start a worker.

        Args:
            environment: its variables.
            token: its token, which it reads from its standard input.
            output: descriptor of its log.

        Raises:
            OSError: the kernel refuses.
        """
        with _pipe() as (reader, writer):
            pid = self._copy(environment, reader, output)
            if pid is None:
                pid = _start(environment, reader, output)
                self._renew(environment)
            try:
                open_files.restore_limit(pid)
                # Only now: a copy whose answer was lost reads no token, and ends.
                os.write(writer, token.encode("ascii"))  # a pipe holds more than any token has
                return WorkerProcess(pid)
            except OSError:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise

    def close(self) -> None:
        """End the template; workers are not affected."""
        if self._requests is not None:
            self._requests.close()
            self._requests = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._is_ready = False

    def _copy(self, environment: Mapping[str, str], reader: int, output: int) -> int | None:
        """Let the template make a worker; None when there is none or it does not answer."""
        requests = self._requests
        if requests is None:
            return None
        try:
            if not self._is_ready:
                requests.setblocking(False)
                self._is_ready = requests.recv(_ANSWER_BYTES) == _READY
                requests.settimeout(_PATIENCE)
            socket.send_fds(requests, [json.dumps(dict(environment)).encode()], [reader, output])
            return int(requests.recv(_ANSWER_BYTES))
        except BlockingIOError:
            return None  # it is still importing
        except (OSError, ValueError):
            self.close()
            return None

    def _renew(self, environment: Mapping[str, str]) -> None:
        """Start a template unless there is one; the first worker does not wait for it."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, open(self._log, "wb", opener=_open_private) as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "trunkline.worker.template"],
                cwd="/",
                env={name: value for name, value in environment.items() if not name.startswith("TRUNKLINE_")},
                stdin=theirs.fileno(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._requests = ours


def _start(environment: Mapping[str, str], reader: int, output: int) -> int:
    """Start a worker from nothing; return its id."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "trunkline.worker"],
        cwd="/",
        env=dict(environment),
        stdin=reader,
        stdout=output,
        stderr=output,
        start_new_session=True,
        umask=0o022,  # files of commands are as commands expect; the server's own are not readable
    )
    process.returncode = 0  # ``WorkerProcess`` reaps it; otherwise Popen would try to
    return process.pid


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)
