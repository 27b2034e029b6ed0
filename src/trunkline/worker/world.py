"""The world a command sees: the private root when the machine allows one, else the documented fallback.

The rest of the worker asks here where things are and does not care which of the two it has. In the
fallback there is no ``/pfs``: the folder of the datum itself plays its part, commands find it in
``$PFS_ROOT`` (set in both worlds, so portable commands read it), and arguments that are, as a whole, a path
below ``/pfs`` or of a file of the image are replaced by the real path. Text inside a shell line is left as
it is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trunkline.worker import files, libc, root
from trunkline.worker.root import PFS

if TYPE_CHECKING:
    from trunkline.worker.places import Place
    from trunkline.worker.settings import Settings

#: Bytes. Less than this is full.
_FULL = 1 << 20


class World:
    """Where commands find their data, files and tools."""

    def __init__(self, lack: str, venv: str, image_files: dict[str, str]) -> None:
        #: Why there is no private root; empty when there is one.
        self.lack = lack
        #: Folder of the image's virtual environment, or empty.
        self.venv = venv
        #: In the fallback: path in the image -> real path of a file of the image.
        self._image_files = image_files
        #: The folder that plays /pfs now, or empty.
        self._shown = ""

    @property
    def pfs(self) -> str:
        """Where commands find /pfs; only meaningful while a place is shown."""
        return self._shown if self.lack else PFS

    def show(self, place: Place) -> None:
        """Let commands see the place as /pfs."""
        if not self.lack:
            libc.mount(place.root, PFS, None, libc.MS_BIND)
        self._shown = place.root
        if place.in_memory:
            libc.mount(place.out, f"{PFS}/out", None, libc.MS_BIND)

    def hide(self) -> None:
        """Take it away again; what still uses it, say a process that the kernel cannot end, keeps it."""
        if self._shown and not self.lack:
            libc.umount(PFS, libc.MNT_DETACH)
        self._shown = ""

    def memory_is_full(self) -> bool:
        """Whether the private root's memory, where small inputs lie, is used up."""
        if self.lack:
            return False
        status = os.statvfs("/")
        return status.f_bavail * status.f_frsize < _FULL

    def real(self, argument: str) -> str:
        """Return the argument as the command must be given it in this world."""
        if not self.lack:
            return argument
        if argument == PFS or argument.startswith(PFS + "/"):
            return self._shown + argument[len(PFS) :]
        return self._image_files.get(argument, argument)


def enter(settings: Settings) -> World:
    """Move this process into the world its commands will see."""
    image = settings.image
    lack = "TRUNKLINE_NO_NAMESPACES is set"
    if settings.namespaces:
        staging = os.path.join(settings.scratch, "root")
        os.makedirs(staging, exist_ok=True)
        try:
            root.enter(staging, image.files, settings.memory, settings.worker_id)
        except root.RootUnavailable as error:
            lack = error.reason
        else:
            return World("", image.venv, {})
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
