"""The sandboxes of commands: the private root if the machine allows one, else the documented fallback.

A sandbox provides paths and the executor; the rest of the worker does not depend on its kind. A third sandbox, where
commands run in another container, is in ``pod/sandbox.py``.

In the fallback there is no ``/pfs``: commands find the folder of the datum in ``$PFS_ROOT`` (set in all sandboxes, so
portable commands read it), and arguments that are a path below ``/pfs`` or the path of an image's file are replaced
by the real path. Text inside a shell command is not changed.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument
from trunkline.linux import libc
from trunkline.worker import environment, files, process_reaper, root, subprocesses
from trunkline.worker.command import Program
from trunkline.worker.root import PFS
from trunkline.worker.scratch import ScratchPool
from trunkline.worker.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.linux.cgroups import MemoryGroup
    from trunkline.rpc.gen import worker_api_pb2 as pb
    from trunkline.worker.command import Executor
    from trunkline.worker.files import Owner
    from trunkline.worker.interrupts import Interrupts
    from trunkline.worker.scratch import DatumDir
    from trunkline.worker.settings import Settings

#: Where the published clients look for a configuration in a pipeline.
PACHCTL = "/pachctl"
#: Bytes. Memory with less free space counts as full.
_FULL = 1 << 20


class Sandbox:
    """The environment of commands: their data, files and tools."""

    #: Folder that links of outputs must not lead out of; empty when worker and commands see the same files.
    links_within = ""
    #: Bytes of memory that a command may use; 0 when the worker enforces no limit.
    memory_limit = 0
    #: Whether commands see every datum at the same path.
    has_one_path = True
    #: Whether commands share the machine's network, so that the worker publishes their ports.
    publishes_ports = True
    #: The worker's working directory, or a descriptor of it.
    home: str | int = "/"

    def __init__(
        self, starter: Executor, scratch: ScratchPool, variables: Mapping[str, str], notes: Sequence[str]
    ) -> None:
        #: Starts commands in this sandbox.
        self.starter = starter
        #: The folders of datums.
        self.scratch = scratch
        #: Variables that do not depend on the datum or the pipeline.
        self.variables = dict(variables)
        #: Sentences about it for the pipeline's log.
        self.notes = list(notes)

    @property
    def pfs(self) -> str:
        """The path of /pfs for commands; only meaningful while a datum is shown."""
        return PFS

    def write_config(self, text: str, owner: Owner) -> str:
        """Store a configuration of clients for commands; return its path.

        Args:
            text: of the file.
            owner: the user of commands; None for the sandbox's own.

        Raises:
            OSError: it cannot be written.
        """
        return _write_config(f"{self.scratch.disk}/pachctl", text, owner)

    def show(self, datum_dir: DatumDir, interrupts: Interrupts) -> None:
        """Show the datum's folders as /pfs.

        Raises:
            ExecutorLost: the launcher has ended, and with it a part of /pfs, and did not come back.
            Interrupted: a flag was raised during the wait for it.
        """
        raise NotImplementedError

    def hide(self) -> None:
        """Remove the datum from /pfs, if one is shown."""
        raise NotImplementedError

    def memory_is_full(self) -> bool:
        """Whether the memory for small inputs is full."""
        return False

    def real(self, argument: str) -> str:
        """Return the argument as the command must be given it in this sandbox."""
        if self.pfs != PFS and (argument == PFS or argument.startswith(PFS + "/")):
            return self.pfs + argument[len(PFS) :]
        return argument

    def working_dir(self, folder: str) -> str:
        """Return the folder to start a command in; ``folder`` may be empty."""
        return self.real("/" + folder.lstrip("/"))

    def top(self, datum_dir: DatumDir) -> str:
        """Return the folder that is shown as /pfs, by a path in the file system of the scratch folder."""
        return datum_dir.root

    def program(
        self,
        command: pb.Command,
        env: Mapping[str, str],
        datum_dir: DatumDir,
        owner: Owner,
        *,
        on_error: bool = False,
    ) -> Program:
        """Return the command of a pipeline, ready to be started here.

        Args:
            command: as the assignment has it.
            env: all its variables.
            datum_dir: the folders that it sees.
            owner: its user; None for the sandbox's own.
            on_error: return the error command instead.
        """
        argv, stdin = (command.err_cmd, command.err_stdin) if on_error else (command.cmd, command.stdin)
        return Program(
            argv=[self.real(argument) for argument in argv],
            stdin=("\n".join(stdin) + "\n").encode() if stdin else b"",
            env=env,
            working_dir=self.working_dir(command.working_dir),
            tmp=datum_dir.tmp,
            owner=owner,
            memory_limit=self.memory_limit,
        )

    def place_secrets(self, files: Sequence[pb.SecretFile]) -> None:
        """Show the files of secrets to commands, and those of an earlier assignment no more.

        Raises:
            InvalidArgument: this sandbox cannot.
        """
        if files:
            raise InvalidArgument(
                "secrets as files need a private root, which this machine does not let workers have; allow user"
                " namespaces, or use env_var instead of mount_path"
            )

    def find_user(self, user: str) -> Owner:
        """Return the user and group that ``transform.user`` means; None for the worker's own.

        Raises:
            InvalidArgument: there is no such user, or the worker may not change to it.
        """
        return subprocesses.find_user(user)


class NamespaceSandbox(Sandbox):
    """The worker and its commands run in a private root with /pfs."""

    def __init__(self, settings: Settings, own_processes: bool, lack: str, group: MemoryGroup | None) -> None:
        """Use the private root that this process has entered.

        Args:
            settings: the worker's settings.
            own_processes: whether commands have a PID namespace.
            lack: the isolation that this machine does not allow; empty when it allows all.
            group: limits the memory of commands; the worker polls when None.
        """
        reaper = process_reaper.end_namespace if own_processes else process_reaper.end_descendants
        self._stage = Stage()
        self.home = self._stage.home
        super().__init__(
            subprocesses.SpawnExecutor(reaper, group, settings.memory_limit, self.home),
            ScratchPool(settings.scratch, "."),
            environment.of_machine(settings.image.venv),
            _notes(settings, lack),
        )
        self.memory_limit = settings.memory_limit
        self._is_mounted = False
        #: Files of secrets by folder, as they are mounted.
        self._secrets: dict[str, dict[str, bytes]] = {}

    def place_secrets(self, files: Sequence[pb.SecretFile]) -> None:
        """Mount a folder in memory for each folder of secrets."""
        folders: dict[str, dict[str, bytes]] = {}
        for file in files:
            folders.setdefault(file.folder, {})[file.name] = file.content
        if folders == self._secrets:
            return
        for folder in self._secrets:
            libc.umount(folder, libc.MNT_DETACH)
        self._secrets = {}
        for folder, contents in folders.items():
            try:
                flags = libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC
                libc.mount("secrets", folder, "tmpfs", flags, "mode=755,size=8m")
                self._secrets[folder] = contents
                for name, content in contents.items():
                    with open(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY, 0o444), "wb") as written:
                        written.write(content)
                root.forbid_writing(folder)
            except OSError as error:
                raise InvalidArgument(
                    f"the secret cannot be shown in {folder}: {error.strerror}; correct transform.secrets.mount_path"
                ) from error

    def write_config(self, text: str, owner: Owner) -> str:
        """Store it where the published clients look; see ``Sandbox``."""
        try:
            return _write_config(PACHCTL, text, owner)
        except OSError:  # the machine has such a folder
            return super().write_config(text, owner)

    def show(self, datum_dir: DatumDir, interrupts: Interrupts) -> None:
        """Move the datum's folders into /pfs, or mount those that are on disk over it."""
        del interrupts
        if datum_dir.in_memory:
            self._stage.show(datum_dir)
        else:
            libc.mount(datum_dir.root, PFS, None, libc.MS_BIND)
            self._is_mounted = True

    def hide(self) -> None:
        """Undo it; unmount lazily, because a process that the kernel cannot end may still use the folders."""
        if self._is_mounted:
            libc.umount(PFS, libc.MNT_DETACH)
            self._is_mounted = False
        self._stage.hide()

    def memory_is_full(self) -> bool:
        """Whether the private root's memory, which holds small inputs, is full."""
        status = os.statvfs("/")
        return status.f_bavail * status.f_frsize < _FULL


class HostSandbox(Sandbox):
    """The worker and its commands see the host's files and processes."""

    has_one_path = False

    def __init__(
        self, settings: Settings, lack: str, image_files: Mapping[str, str], group: MemoryGroup | None
    ) -> None:
        """Use the host's files.

        Args:
            settings: the worker's settings.
            lack: why there is no private root.
            image_files: paths in the image, and the real ones.
            group: limits the memory of commands; the worker polls when None.
        """
        super().__init__(
            subprocesses.SpawnExecutor(process_reaper.end_descendants, group, settings.memory_limit),
            ScratchPool(settings.scratch, guests=settings.open_scratch),
            environment.of_machine(settings.image.venv),
            [*_notes(settings, ""), _no_root(lack)],
        )
        self.memory_limit = settings.memory_limit
        self._image_files = image_files
        self._venv = settings.image.venv
        self._current = ""

    @property
    def pfs(self) -> str:
        """The folder of the datum that is shown."""
        return self._current

    def show(self, datum_dir: DatumDir, interrupts: Interrupts) -> None:
        """Use the datum's folder as /pfs."""
        del interrupts
        self._current = datum_dir.root

    def hide(self) -> None:
        """Stop using the datum's folder as /pfs."""
        self._current = ""

    def real(self, argument: str) -> str:
        """Return the argument as the command must be given it in this sandbox."""
        return self._image_files.get(argument) or super().real(argument)

    def find_user(self, user: str) -> Owner:
        """Return the user and group that ``transform.user`` means; see ``Sandbox``."""
        owner = super().find_user(user)
        if owner is not None and self._venv:
            raise InvalidArgument(
                f'transform.user "{user}" cannot read the packages of the image, because this machine does not '
                f"let workers have a private root; leave transform.user out or allow namespaces"
            )
        return owner


def _write_config(folder: str, text: str, owner: Owner) -> str:
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o755)
    path = f"{folder}/config.json"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    files.give(path, owner)
    return path


def _notes(settings: Settings, lack: str) -> list[str]:
    notes = []
    if settings.image.name and not settings.image.exists:
        notes.append(
            f'image "{settings.image.name}" is not known here; commands run on this machine\'s own tools'
        )
    if lack:
        notes.append(lack)
    return [*notes, *settings.notes]


def _no_root(lack: str) -> str:
    return (
        f"this machine does not let workers have a private root ({lack}); "
        f"commands find /pfs in the folder that $PFS_ROOT names"
    )
