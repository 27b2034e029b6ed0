"""What a command sees: the private root when the machine allows one, else the documented fallback.

The rest of the worker asks here where things are and who starts commands, and does not depend on which sandbox it
has. A third one, where commands run in another container, is in ``pod/sandbox.py``.

In the fallback there is no ``/pfs``: the folder of the datum itself plays its part, commands find it in
``$PFS_ROOT`` (set in all sandboxes, so portable commands read it), and arguments that are, as a whole, a path
below ``/pfs`` or of a file of the image are replaced by the real path. Text inside a shell line is left as
it is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trunkline.errors import InvalidArgument
from trunkline.linux import libc
from trunkline.worker import environment, process_reaper, subprocesses
from trunkline.worker.root import PFS
from trunkline.worker.scratch import ScratchPool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.worker.command import Executor
    from trunkline.worker.files import Owner
    from trunkline.worker.interrupts import Interrupts
    from trunkline.worker.scratch import DatumDir
    from trunkline.worker.settings import Settings

#: Bytes. Less than this is full.
_FULL = 1 << 20


class Sandbox:
    """Where commands find their data, files and tools."""

    #: What links of outputs must not lead out of; empty when the worker sees all that commands see.
    links_within = ""
    #: Bytes of memory that a command may use; 0 when nobody has set a limit, or somebody else holds it.
    memory_limit = 0

    def __init__(
        self, starter: Executor, scratch: ScratchPool, variables: Mapping[str, str], notes: Sequence[str]
    ) -> None:
        #: Starts commands in this sandbox.
        self.starter = starter
        #: The folders of datums.
        self.scratch = scratch
        #: Variables that do not depend on the datum or the pipeline.
        self.variables = dict(variables)
        #: What whoever reads a pipeline's log should know about it.
        self.notes = list(notes)

    @property
    def pfs(self) -> str:
        """Where commands find /pfs; only meaningful while a place is shown."""
        return PFS

    def show(self, datum_dir: DatumDir, interrupts: Interrupts) -> None:
        """Let commands see the place as /pfs.

        Raises:
            StarterGone: what runs commands is gone with a part of /pfs, and did not come back.
            Interrupted: a flag was raised while it was waited for.
        """
        raise NotImplementedError

    def hide(self) -> None:
        """Take it away again, if one is shown."""
        raise NotImplementedError

    def memory_is_full(self) -> bool:
        """Whether the memory where small inputs lie is used up."""
        return False

    def real(self, argument: str) -> str:
        """Return the argument as the command must be given it in this sandbox."""
        if self.pfs != PFS and (argument == PFS or argument.startswith(PFS + "/")):
            return self.pfs + argument[len(PFS) :]
        return argument

    def working_dir(self, wanted: str) -> str:
        """Return the folder to start a command in; ``wanted`` may be empty."""
        return self.real("/" + wanted.lstrip("/"))

    def find_user(self, wanted: str) -> Owner:
        """Return the user and group that ``transform.user`` means; None for the worker's own.

        Raises:
            InvalidArgument: there is no such user, or the worker may not change to it.
        """
        return subprocesses.find_user(wanted)


class NamespaceSandbox(Sandbox):
    """The worker and its commands have a root of their own, with /pfs in it."""

    def __init__(self, settings: Settings, own_processes: bool, lack: str) -> None:
        """Use the private root that this process has entered.

        Args:
            settings: the worker's.
            own_processes: whether commands have a PID namespace.
            lack: what of the isolation this machine does not allow; empty when nothing.
        """
        reaper = process_reaper.end_namespace if own_processes else process_reaper.end_descendants
        super().__init__(
            subprocesses.SpawnExecutor(reaper),
            ScratchPool(settings.scratch, has_memory=True),
            environment.of_machine(settings.image.venv),
            _notes(settings, lack),
        )
        self.memory_limit = settings.memory_limit
        self._shown = False

    def show(self, datum_dir: DatumDir, interrupts: Interrupts) -> None:
        """Let commands see the place as /pfs."""
        del interrupts
        libc.mount(datum_dir.root, PFS, None, libc.MS_BIND)
        self._shown = True
        if datum_dir.in_memory:
            libc.mount(datum_dir.out, f"{PFS}/out", None, libc.MS_BIND)

    def hide(self) -> None:
        """Take it away again; what still uses it, say a process that the kernel cannot end, keeps it."""
        if self._shown:
            libc.umount(PFS, libc.MNT_DETACH)
        self._shown = False

    def memory_is_full(self) -> bool:
        """Whether the private root's memory, where small inputs lie, is used up."""
        status = os.statvfs("/")
        return status.f_bavail * status.f_frsize < _FULL


class HostSandbox(Sandbox):
    """The worker and its commands see the host as it is."""

    def __init__(self, settings: Settings, lack: str, image_files: Mapping[str, str]) -> None:
        """``image_files`` maps paths in the image to the real ones; ``lack`` says why there is no root."""
        super().__init__(
            subprocesses.SpawnExecutor(process_reaper.end_descendants),
            ScratchPool(settings.scratch, has_memory=False, guests=settings.open_scratch),
            environment.of_machine(settings.image.venv),
            [*_notes(settings, ""), _no_root(lack)],
        )
        self.memory_limit = settings.memory_limit
        self._image_files = image_files
        self._venv = settings.image.venv
        self._shown = ""

    @property
    def pfs(self) -> str:
        """The folder of the datum that is shown."""
        return self._shown

    def show(self, datum_dir: DatumDir, interrupts: Interrupts) -> None:
        """Let the place play /pfs."""
        del interrupts
        self._shown = datum_dir.root

    def hide(self) -> None:
        """Nothing plays /pfs any more."""
        self._shown = ""

    def real(self, argument: str) -> str:
        """Return the argument as the command must be given it in this sandbox."""
        return self._image_files.get(argument) or super().real(argument)

    def find_user(self, wanted: str) -> Owner:
        """Return the user and group that ``transform.user`` means; see ``Sandbox``."""
        owner = super().find_user(wanted)
        if owner is not None and self._venv:
            raise InvalidArgument(
                f'transform.user "{wanted}" cannot read the packages of the image, because this machine does not '
                f"let workers have a private root; leave transform.user out or allow namespaces"
            )
        return owner


def _notes(settings: Settings, lack: str) -> list[str]:
    notes = []
    if settings.image.name and not settings.image.known:
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
