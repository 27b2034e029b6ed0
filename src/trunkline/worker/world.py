"""The world a command sees: the private root when the machine allows one, else the documented fallback.

The rest of the worker asks here where things are and does not care which of the two it has. In the
fallback there is no ``/pfs``: the folder of the datum itself plays its part, commands find it in
``$PFS_ROOT`` (set in both worlds, so portable commands read it), and arguments that are, as a whole, a path
below ``/pfs`` or of a file of the image are replaced by the real path. Text inside a shell line is left as
it is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trunkline.worker import files, libc, root
from trunkline.worker.root import PFS

if TYPE_CHECKING:
    from trunkline.worker.settings import Settings


@dataclass(slots=True)
class World:
    """Where commands find their data, files and tools."""

    #: Why there is no private root; empty when there is one.
    lack: str
    #: Folder of the image's virtual environment, or empty.
    venv: str
    #: In the fallback: path in the image -> real path of a file of the image.
    image_files: dict[str, str] = field(default_factory=dict)
    #: Folder shown as /pfs now, or empty.
    shown: str = ""

    @property
    def pfs(self) -> str:
        """Where the command finds /pfs; only meaningful while a folder is shown."""
        return self.shown if self.lack else PFS

    def show(self, folder: str) -> None:
        """Let commands see ``folder`` as /pfs."""
        if not self.lack:
            libc.mount(folder, PFS, None, libc.MS_BIND)
        self.shown = folder

    def hide(self) -> None:
        """Take the folder away again; every process that used it is gone."""
        if not self.shown:
            return
        self.shown = ""
        if self.lack:
            return
        try:
            libc.umount(PFS)
        except OSError:
            # Something still holds it, say a process that the kernel cannot end: it keeps the folder it
            # had, and the next datum gets its own all the same.
            libc.umount(PFS, libc.MNT_DETACH)

    def real(self, argument: str) -> str:
        """Return the argument as the command must be given it in this world."""
        if not self.lack:
            return argument
        if argument == PFS or argument.startswith(PFS + "/"):
            return self.shown + argument[len(PFS) :]
        return self.image_files.get(argument, argument)


def enter(settings: Settings) -> World:
    """Move this process into the world its commands will see."""
    image = settings.image
    lack = "TRUNKLINE_NO_NAMESPACES is set"
    if settings.namespaces:
        staging = os.path.join(settings.scratch, "root")
        os.makedirs(staging, exist_ok=True)
        try:
            root.enter(staging, image.files)
        except root.RootUnavailable as error:
            lack = error.reason
        else:
            return World("", image.venv)
    folder = os.path.join(settings.scratch, "image")
    os.makedirs(folder, exist_ok=True)
    real_paths = {}
    for laid in image.files:
        place = os.path.join(
            files.make_folders(folder, os.path.dirname(laid.path)), os.path.basename(laid.path)
        )
        files.copy_file(laid.source, place)
        os.chmod(place, laid.mode)
        real_paths[laid.path] = place
    return World(lack, image.venv, real_paths)
