"""The folder that commands see as /pfs while a small datum runs.

It stays mounted: a datum's folders are renamed into it and out of it. Mounting and unmounting each
datum's folder would cost a wait for all processors of the kernel, 0.3 to 0.7 ms. What it hides, the folders of the
other datums, is the working directory of the worker: commands have another one, and no path leads there. Relative
paths also take the kernel a third less time than those through ``/proc/self/fd``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trunkline.linux import libc
from trunkline.worker.root import PFS

if TYPE_CHECKING:
    from trunkline.worker.scratch import DatumDir


class Stage:
    """The mounted folder. Used only by the process that has entered the private root."""

    def __init__(self) -> None:
        """Mount an empty folder on /pfs."""
        #: Descriptor of the folder below the mount, for the folders of datums. The worker works there.
        self.home = os.open(PFS, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.chdir(self.home)
        self._count = 0
        self._current: DatumDir | None = None
        self._mount()

    def _mount(self) -> None:
        self._count += 1
        self._folder = f"stage-{self._count}"
        #: What is mounted on /pfs/out; it stays while datums reuse it.
        self._out = ""
        os.mkdir(self._folder)
        os.mkdir(f"{self._folder}/out")
        libc.mount(self._folder, PFS, None, libc.MS_BIND)

    def show(self, datum_dir: DatumDir) -> None:
        """Rename a datum's folders into /pfs, and mount its folder for outputs."""
        self._current = datum_dir
        if self._out != datum_dir.out:
            if self._out:
                libc.umount(f"{PFS}/out", libc.MNT_DETACH)
            libc.mount(datum_dir.out, f"{PFS}/out", None, libc.MS_BIND)
            self._out = datum_dir.out
        for name in datum_dir.entries:
            os.rename(f"{datum_dir.root}/{name}", f"{self._folder}/{name}")

    def hide(self) -> None:
        """Rename all entries of /pfs, also those that the command has added, into the datum's folder."""
        datum_dir, self._current = self._current, None
        if datum_dir is None:
            return
        try:
            os.chmod(self._folder, 0o755)  # the command may have changed it
            for name in os.listdir(self._folder):
                if name != "out":
                    os.rename(f"{self._folder}/{name}", f"{datum_dir.root}/{name}")
        except OSError:
            # A folder whose permissions a command has removed, or that it has mounted on.
            libc.umount(PFS, libc.MNT_DETACH)
            self._mount()
