"""The world of a pod: commands run in the container of the user's image, started there by the launcher.

The launcher (``launcher/`` of the repository, protocol in docs/design/launcher.md) listens at a Unix socket in
a volume that both containers share; what commands print comes through a pipe that it passes over. ``/pfs`` is
a shared volume as well: a datum's folders are prepared in a hidden folder of it and renamed into place, for
there is no right to mount anything. The two containers may run as different users, so what the worker makes
is open to everybody, except for what is not shown: that lies below folders of the worker alone.

Must not follow a link that a command has left out of /pfs: it would lead to the worker's own files.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import stat
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

from trunkline.errors import FailedPrecondition
from trunkline.linux import file_trees
from trunkline.worker import environment
from trunkline.worker.command import CannotStart, ExecutorLost, Outcome, StartFailure, stdin_file
from trunkline.worker.interrupts import Interrupted
from trunkline.worker.sandbox import Sandbox
from trunkline.worker.scratch import DatumDir, ScratchPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trunkline.worker.command import Program
    from trunkline.worker.files import Owner
    from trunkline.worker.interrupts import Interrupts
    from trunkline.worker.settings import Settings

#: The protocol's version; launcher/protocol.go has the same.
VERSION = 1
#: Seconds in which the launcher must first appear. The user's image may still be pulled, and whether that is
#: hopeless is for whoever started the pod to judge.
_FIRST_PATIENCE = 3600.0
#: Seconds in which it must appear again when its container has ended. A kubelet that starts a container again
#: does so at once the first time; the datum must be handed in before the fleet gives up the pod, after 30 s.
_RETURN_PATIENCE = 10.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds between looks for the socket
#: Files of inputs kept for the next ones, and the most bytes of one.
_FILES_KEPT, _KEPT_BYTES = 128, 1 << 20
_HEADER = struct.Struct(">I")  # length of what follows, in bytes
_LOST = (
    "the container of the image ended while the command ran (out of memory?); "
    "ask for more with resource_limits.memory"
)


class _Gone(Exception):
    """The launcher hung up, or is not there yet."""


class _Connection:
    """The wire to one launcher: frames of JSON, some with a descriptor."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise _Gone from error

    def fileno(self) -> int:
        """Return the descriptor, readable when the launcher has said something or is gone."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any], descriptor: int = -1) -> None:
        """Say something, with a descriptor unless it is -1."""
        body = json.dumps(message, separators=(",", ":")).encode()
        frame = memoryview(_HEADER.pack(len(body)) + body)
        rights = [descriptor] if descriptor >= 0 else []
        try:
            sent = socket.send_fds(self._socket, [frame], rights)
            # Not even nothing may be sent to a launcher that has answered and gone: its answer would be lost.
            if sent < len(frame):
                self._socket.sendall(frame[sent:])
        except OSError as error:
            raise _Gone from error

    def receive(self) -> tuple[dict[str, Any], int]:
        """Return what the launcher says next, and the descriptor that came with it or -1."""
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


class Launcher:
    """Implements ``command.Executor``: has commands started in the other container."""

    def __init__(self, path: str, pfs: str, hidden: str) -> None:
        """Connect to nothing yet.

        Args:
            path: of the socket.
            pfs: folder that commands find as /pfs.
            hidden: name of the worker's own folder in it.
        """
        self._path = path
        self._hello = {"hello": {"version": VERSION, "pfs": pfs, "hidden": hidden}}
        self._connection: _Connection | None = None

    def connect(self, patience: float, wait: Callable[[float], None]) -> None:
        """Connect, waiting for the launcher to appear.

        Args:
            patience: seconds.
            wait: waits so many seconds, or raises what ends the waiting.

        Raises:
            StarterGone: it did not appear.
            FailedPrecondition: it is not of this worker's version.
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
                        f"no launcher listens at {self._path} since {patience:.0f} s; see why the container of "
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
        """Have the program started; see ``command.Executor``."""
        while True:
            connection = self.await_return(interrupts)
            try:
                return self._start(connection, program)
            except _Gone:
                self.drop()

    def await_return(self, interrupts: Interrupts) -> _Connection:
        """Return the connection; when it is lost, wait for a new launcher.

        Raises:
            StarterGone: none came.
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
        wanted = {
            "argv": program.argv,
            "env": dict(program.env),
            "cwd": program.working_dir,
            "tmp": program.tmp,
        }
        stdin = stdin_file(program.stdin) if program.stdin else -1
        try:
            connection.send({"start": wanted}, stdin)
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
        """Forget a launcher that is gone."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class LaunchedProcess:
    """Implements ``command.Process``."""

    def __init__(self, launcher: Launcher, connection: _Connection, output: int) -> None:
        self._launcher = launcher
        self._connection = connection
        self.output = output
        #: The launcher speaks next when the command has ended, and only then.
        self.ended = connection.fileno()

    def memory(self, beyond: int) -> int:
        """Return nothing: the container has the limit."""
        del beyond
        return 0

    def kill(self) -> None:
        """See ``command.Process``."""
        with contextlib.suppress(_Gone):  # which ``finish`` will find out
            self._connection.send({"kill": True})

    def finish(self) -> Outcome:
        """See ``command.Process``."""
        if not select.select([self.ended], [], [], 0)[0]:
            self.kill()
        try:
            answer, _ = self._connection.receive()
        except _Gone:
            self._launcher.drop()
            return Outcome(status=-signal.SIGKILL, immortal=0, cpu_seconds=0.0, peak_memory=0, lost=_LOST)
        ended = answer["ended"]
        return Outcome(
            status=ended["status"],
            immortal=ended["immortal"],
            cpu_seconds=ended["cpu_seconds"],
            peak_memory=ended["peak_memory"],
            # A kernel that counts no such kills reports none, so the absence of one proves nothing.
            out_of_memory=ended["out_of_memory"] or None,
        )

    def close(self) -> None:
        """See ``command.Process``."""
        os.close(self.output)


class PodScratchPool(ScratchPool):
    """Places in the volume that the two containers share, used again once emptied.

    All on disk, where making and removing costs more than the launcher does: ext4 passes over inodes freed in the
    last five seconds one by one, which came to 0.5 ms a file here. So emptied folders are used again, and so are
    the files of small inputs, unless the command has made them into something else.
    """

    def __init__(self, hidden: str) -> None:
        super().__init__(hidden, has_memory=False)
        #: Names of inputs -> emptied places with folders for them.
        self._emptied: dict[frozenset[str], list[DatumDir]] = {}
        #: Files that were inputs and may become others.
        self._files: list[str] = []

    def make(self, inputs: Iterable[str], owner: Owner, in_memory: bool) -> DatumDir:
        """Make a place with an empty folder per input."""
        del owner, in_memory  # one of the volume's users as good as the other, and no memory of our own
        names = frozenset(inputs)
        if spare := self._emptied.get(names):
            return spare.pop()
        self._made += 1
        root = f"{self.disk}/datum-{self._made}"
        place = DatumDir(root, f"{root}/out", f"{self.disk}/tmp-{self._made}", in_memory=False)
        # What is not shown, fetched ahead, lies beyond the reach of a command that is another user.
        os.mkdir(root, 0o700)
        for folder in (place.out, place.tmp, *(f"{root}/{name}" for name in names)):
            os.mkdir(folder)
        return place

    def make_shared(self, number: int, in_memory: bool) -> str:
        """Make a folder for something that is copied into several places."""
        folder = super().make_shared(number, in_memory)
        os.chmod(folder, 0o700)
        return folder

    def create(self, path: str, owner: Owner) -> int:
        """Make a file for an input out of one that has been, if there is one."""
        if not self._files:
            return super().create(path, owner)
        os.rename(self._files.pop(), path)
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        os.fchmod(descriptor, 0o666)
        return descriptor

    def _keep_files(self, folder: str) -> None:
        """Empty an input's folder, keeping its small files for the next ones."""
        with os.scandir(folder) as listing:
            entries = list(listing)
        kept_all = True
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            # A file of another user cannot be made over, and one with a second name is still somebody's.
            ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1
            if not ours or status.st_size > _KEPT_BYTES or len(self._files) >= _FILES_KEPT:
                kept_all = False
                continue
            self._made += 1
            kept = f"{self.disk}/file-{self._made}"
            os.rename(entry.path, kept)
            self._files.append(kept)
        if not kept_all:
            file_trees.empty(folder)

    def take_back(self, place: DatumDir) -> None:
        """Empty a place for the next datum, or remove it when the command made it into something else.

        Raises:
            OSError: something in it resists; what is left is never used again.
        """
        with os.scandir(place.root) as listing:
            found = {entry.name: entry.path for entry in listing}
        folders = (place.tmp, *found.values())
        modes = [_mode(folder) for folder in folders]
        if "out" in found and None not in modes:
            inputs = [path for name, path in found.items() if name != "out"]
            for folder in inputs:
                self._keep_files(folder)
            for folder in (found["out"], place.tmp):
                file_trees.empty(folder)
            for folder, mode in zip(folders, modes, strict=True):
                if mode != 0o777:
                    os.chmod(folder, 0o777)
            self._emptied.setdefault(frozenset(found) - {"out"}, []).append(place)
            return
        for path in found.values():
            _remove(path)
        os.rmdir(place.root)
        _remove(place.tmp)


def _mode(path: str) -> int | None:
    """Return the permissions of a folder that the worker made; None for what a command put in its place."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return stat.S_IMODE(status.st_mode) if ours else None


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        file_trees.remove_tree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


class PodSandbox(Sandbox):
    """Commands run in another container, which shares /pfs with the worker's."""

    def __init__(self, launcher: Launcher, pfs: str, hidden: str, fixed: Iterable[str]) -> None:
        """Commands get the environment of their container, which the launcher adds.

        Args:
            launcher: connected.
            pfs: the shared folder.
            hidden: the worker's own folder in it.
            fixed: entries of ``pfs`` that were there before: mounts, for instance.
        """
        super().__init__(launcher, PodScratchPool(hidden), environment.UNBUFFERED, [])
        self._launcher = launcher
        self._pfs = pfs
        self._fixed = {os.path.basename(hidden), *fixed}
        self._shown: DatumDir | None = None
        #: Whether something could not be moved out of /pfs.
        self._stuck = False
        self._cleared = 0
        self.links_within = os.path.realpath(pfs)

    @property
    def pfs(self) -> str:
        """Where commands find /pfs."""
        return self._pfs

    def show(self, place: DatumDir, interrupts: Interrupts) -> None:
        """Rename the place's folders into /pfs."""
        if self._stuck:
            self._launcher.await_return(interrupts)
            self._clear_away()
        self._shown = place
        for name in os.listdir(place.root):
            os.rename(f"{place.root}/{name}", f"{self._pfs}/{name}")

    def hide(self) -> None:
        """Rename all that is in /pfs now, also what the command has added, into the place."""
        if self._shown is None:
            return
        for name in os.listdir(self._pfs):
            if name not in self._fixed:
                try:
                    os.rename(f"{self._pfs}/{name}", f"{self._shown.root}/{name}")
                except OSError:
                    self._stuck = True
        self._shown = None

    def _clear_away(self) -> None:
        """Move what resisted out of /pfs.

        It is a folder of the command's own, not made over because the launcher was killed before it could;
        the next launcher has done so.
        """
        with contextlib.suppress(FileExistsError):
            os.mkdir(f"{self.places.disk}/stuck")
        for name in os.listdir(self._pfs):
            if name not in self._fixed:
                self._cleared += 1
                os.rename(f"{self._pfs}/{name}", f"{self.places.disk}/stuck/{self._cleared}")
        self._stuck = False

    def working_dir(self, wanted: str) -> str:
        """Return the folder to start a command in; by default the one that the image names."""
        return super().working_dir(wanted) if wanted else ""

    def find_user(self, wanted: str) -> Owner:
        """Return the container's own user: it already runs as ``transform.user``."""
        del wanted
        own: Owner = None
        return own


def enter(settings: Settings) -> PodSandbox:
    """Wait for the launcher and make the shared folder ready.

    Raises:
        FailedPrecondition: there is no launcher, or not the right one.
    """
    # Until the worker has something to hand in, it goes at once. As the first process of its container it
    # would not go at all without a handler.
    signal.signal(signal.SIGTERM, _go)
    os.umask(0)  # commands may be another user, and must be able to change their inputs
    hidden = settings.scratch
    pfs = os.path.dirname(hidden)
    launcher = Launcher(settings.launcher, pfs, os.path.basename(hidden))
    try:
        launcher.connect(_FIRST_PATIENCE, time.sleep)
    except ExecutorLost as error:
        raise FailedPrecondition(str(error)) from None
    os.makedirs(hidden, mode=0o711, exist_ok=True)
    file_trees.empty(hidden)
    fixed = [name for name in os.listdir(pfs) if name != os.path.basename(hidden)]
    return PodSandbox(launcher, pfs, hidden, fixed)


def _go(number: int, frame: object) -> None:
    del number, frame
    sys.exit(0)
