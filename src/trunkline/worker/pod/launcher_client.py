"""Client of the launcher, which starts commands in the container of the user's image; over a Unix socket.

The launcher (``launcher/`` of the repository, protocol in docs/design/launcher.md) listens on a socket in a volume
that both containers share; it passes a pipe with the command's output.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

from trunkline.errors import FailedPrecondition
from trunkline.worker.command import CannotStart, ExecutorLost, Outcome, StartFailure, stdin_file
from trunkline.worker.interrupts import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.worker.command import Program
    from trunkline.worker.interrupts import Interrupts

#: The protocol's version; launcher/protocol.go has the same.
VERSION = 2
#: Seconds in which it must come back when its container has ended. A kubelet restarts a container at once the first
#: time; the datum must be completed before the fleet removes the pod, after 30 s.
_RETURN_PATIENCE = 10.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds between two tries to connect
_HEADER = struct.Struct(">I")  # length of the body in bytes
_LOST = (
    "the container of the image ended while the command ran (out of memory?); "
    "ask for more with resource_limits.memory"
)


class _Gone(Exception):
    """The launcher closed the connection, or does not listen yet."""


class _Connection:
    """The connection to one launcher: frames of JSON, some with a descriptor."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise _Gone from error

    def fileno(self) -> int:
        """Return the descriptor, readable when a message has arrived or the connection is closed."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any], descriptor: int = -1) -> None:
        """Send a message, with a descriptor unless it is -1."""
        body = json.dumps(message, separators=(",", ":")).encode()
        frame = memoryview(_HEADER.pack(len(body)) + body)
        rights = [descriptor] if descriptor >= 0 else []
        try:
            count = socket.send_fds(self._socket, [frame], rights)
            # An empty send to a launcher that has answered and closed would lose its answer.
            if count < len(frame):
                self._socket.sendall(frame[count:])
        except OSError as error:
            raise _Gone from error

    def receive(self) -> tuple[dict[str, Any], int]:
        """Return the next message, and the descriptor that came with it or -1."""
        try:
            header, descriptors, _, _ = socket.recv_fds(
                self._socket, _HEADER.size, 1, socket.MSG_CMSG_CLOEXEC
            )
            descriptor = descriptors[0] if descriptors else -1
            header += self._read(_HEADER.size - len(header))
            body = self._read(_HEADER.unpack(header)[0])
        except OSError as error:
            raise _Gone from error
        return json.loads(body), descriptor

    def _read(self, count: int) -> bytes:
        parts = []
        while count:
            part = self._socket.recv(count)
            if not part:
                raise _Gone
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        self._socket.close()


class LauncherClient:
    """Implements ``command.Executor``: commands run in the other container."""

    def __init__(self, path: str, pfs: str, hidden: str) -> None:
        """Create a client without a connection.

        Args:
            path: the socket.
            pfs: folder that commands see as /pfs.
            hidden: name of the worker's own folder in it.
        """
        self._path = path
        self._hello = {"hello": {"version": VERSION, "pfs": pfs, "hidden": hidden}}
        self._connection: _Connection | None = None

    def connect(self, patience: float, wait: Callable[[float], None]) -> None:
        """Connect, waiting for the launcher to appear.

        Args:
            patience: seconds to wait.
            wait: waits that many seconds, or raises an exception that ends the wait.

        Raises:
            ExecutorLost: it did not appear.
            FailedPrecondition: it does not have this worker's version.
        """
        deadline = time.monotonic() + patience
        pause = _SHORTEST_PAUSE
        while True:
            try:
                self._connection = self._try()
                return
            except _Gone:
                if time.monotonic() > deadline:
                    raise ExecutorLost(
                        f"no launcher has listened on {self._path} for {patience:.0f} s; check why the container of "
                        f"the image does not run"
                    ) from None
            wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _try(self) -> _Connection:
        connection = _Connection(self._path)
        try:
            connection.send(self._hello)
            answer, _ = connection.receive()
            version = answer["ready"]["version"]
            if version != VERSION:
                raise FailedPrecondition(
                    f"the launcher speaks version {version} of its protocol and this worker version "
                    f"{VERSION}; take both from the same image"
                )
        except BaseException:
            connection.close()
            raise
        return connection

    def start(self, program: Program, interrupts: Interrupts) -> LaunchedProcess:
        """Start the program; see ``command.Executor``."""
        while True:
            connection = self.await_return(interrupts)
            try:
                return self._start(connection, program)
            except _Gone:
                self.drop()

    def await_return(self, interrupts: Interrupts) -> _Connection:
        """Return the connection; when it is lost, wait for a new launcher.

        Raises:
            ExecutorLost: none appeared.
            Interrupted: a flag was raised meanwhile.
        """

        def wait(seconds: float) -> None:
            interrupts.wait(seconds)
            if interrupts.end_command or interrupts.retire:
                interrupts.raise_flag(give_back=interrupts.retire)
                raise Interrupted

        if self._connection is None:
            self.connect(_RETURN_PATIENCE, wait)
        assert self._connection is not None
        return self._connection

    def _start(self, connection: _Connection, program: Program) -> LaunchedProcess:
        request = {
            "argv": program.argv,
            "env": dict(program.env),
            "cwd": program.working_dir,
            "tmp": program.tmp,
        }
        stdin = stdin_file(program.stdin) if program.stdin else -1
        try:
            connection.send({"start": request}, stdin)
        finally:
            if stdin >= 0:
                os.close(stdin)
        answer, output = connection.receive()
        if refused := answer.get("refused"):
            raise CannotStart(
                StartFailure(
                    kind=refused["kind"],
                    path=refused["path"],
                    errno=refused.get("errno", 0),
                    mode=refused.get("mode", 0),
                    detail=refused.get("detail", ""),
                )
            )
        return LaunchedProcess(self, connection, output)

    def drop(self) -> None:
        """Close the connection to a launcher that has ended."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class LaunchedProcess:
    """Implements ``command.Process``."""

    def __init__(self, launcher: LauncherClient, connection: _Connection, output: int) -> None:
        self._launcher = launcher
        self._connection = connection
        self.output = output
        #: The launcher's next message is the end of the command.
        self.ended = connection.fileno()
        #: That message, when it has come before another answer.
        self._end: dict[str, Any] | None = None

    def memory(self, beyond: int) -> int:
        """Return 0: the container enforces the limit."""
        del beyond
        return 0

    def kill(self) -> None:
        """See ``command.Process``."""
        with contextlib.suppress(_Gone):  # ``finish`` reports it
            self._connection.send({"kill": True})

    def hand_over(self, tmp: str) -> bool:
        """See ``command.Process``."""
        try:
            self._connection.send({"hand_over": {"tmp": tmp}})
            answer, _ = self._connection.receive()
            if "ended" in answer:
                self._end = answer
                self._connection.receive()
        except _Gone:
            return False  # ``finish`` reports it
        return self._end is None

    def finish(self) -> Outcome:
        """See ``command.Process``."""
        if self._end is None and not select.select([self.ended], [], [], 0)[0]:
            self.kill()
        try:
            answer = self._end or self._connection.receive()[0]
        except _Gone:
            self._launcher.drop()
            return Outcome(status=-signal.SIGKILL, immortal=0, cpu_seconds=0.0, peak_memory=0, lost=_LOST)
        ended = answer["ended"]
        return Outcome(
            status=ended["status"],
            immortal=ended["immortal"],
            cpu_seconds=ended["cpu_seconds"],
            peak_memory=ended["peak_memory"],
            # A kernel that does not count these kills reports 0, so 0 proves nothing.
            out_of_memory=ended["out_of_memory"] or None,
        )

    def close(self) -> None:
        """See ``command.Process``."""
        os.close(self.output)
