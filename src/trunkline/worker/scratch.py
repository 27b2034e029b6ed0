"""Creates and recycles the folders that are shown as /pfs.

Small inputs are in the memory of the private root, below what is mounted on /pfs (``stage``); ``out``, which is
bind-mounted, and the folder for temporary files are on disk and reused once emptied. So a small
datum creates and removes nothing on disk, which makes thousands of them cheap: ext4 skips inodes freed in the last
five seconds one by one, and creating a file after many have been removed took 0.6 ms against 0.01 ms in memory.
Large inputs are on disk, and so is everything when there is no private root or when the command runs as another user
(who may not be allowed to reach the scratch folder).
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from trunkline.linux import file_trees
from trunkline.worker import files

if TYPE_CHECKING:
    from collections.abc import Collection

    from trunkline.worker.files import Owner

#: Folder for temporary files of a datum on disk; hidden, so that a listing of /pfs shows inputs and out.
_TMP = ".tmp"
#: Bytes. Larger inputs of a datum are on disk.
MAX_IN_MEMORY = 1 << 20


class DatumDir:
    """The folders of one datum."""

    __slots__ = ("entries", "in_memory", "out", "root", "tmp", "wrote_nothing")

    def __init__(self, root: str, out: str, tmp: str, in_memory: bool) -> None:
        #: Contains a folder per input, and the next two unless ``in_memory``.
        self.root = root
        self.out = out
        self.tmp = tmp
        self.in_memory = in_memory
        #: Names of what is in the root, of one in memory.
        self.entries: list[str] = []
        #: Whether ``out`` was seen empty after the command had ended.
        self.wrote_nothing = False

    def real(self, path: str, pfs: str) -> str | None:
        """Return a path of the file that commands see at ``path`` which stays valid; None when there is none."""
        if path.startswith(self.tmp + "/"):
            return path
        if not path.startswith(pfs + "/"):
            return None
        below = path[len(pfs) :]
        if below.startswith("/out/"):
            return self.out + below[len("/out") :]
        return None if self.in_memory else self.root + below


class ScratchPool:
    """All datum folders of one worker. Used only while no datum is shown as /pfs."""

    def __init__(self, scratch: str, memory: str = "", guests: str = "") -> None:
        """Create an empty pool.

        Args:
            scratch: folder of the worker alone, for files on disk.
            memory: folder in memory for small inputs; empty without one.
            guests: folder for datums whose command runs as another user, who cannot enter ``scratch``; empty when
                such a command need not enter it, because it sees its datum as /pfs.
        """
        self.disk = scratch
        self._guests = guests
        self._memory = memory
        self._count = 0
        #: Emptied pairs of out and temporary folders.
        self._spare: list[tuple[str, str]] = []

    def fits_in_memory(self, size_bytes: int, owner: Owner) -> bool:
        """Whether inputs of this size may be in memory."""
        return bool(self._memory) and owner is None and size_bytes <= MAX_IN_MEMORY

    def make(self, inputs: Collection[str], owner: Owner, in_memory: bool) -> DatumDir:
        """Create the folders of a datum, with an empty one per input.

        Args:
            inputs: names of the inputs.
            owner: who owns what the command may write; None for the worker's user.
            in_memory: whether the inputs are in the memory of the private root.
        """
        self._count += 1
        disk = self.disk if owner is None or not self._guests else self._guests
        root = f"{self._memory}/{self._count}" if in_memory else f"{disk}/datum-{self._count}"
        out, tmp = ("", "") if in_memory else (f"{root}/out", f"{root}/{_TMP}")
        for folder in (root, *(f"{root}/{name}" for name in inputs), out, tmp):
            if folder:
                os.mkdir(folder)
                files.give(folder, owner)
        datum_dir = DatumDir(root, out, tmp, in_memory)
        datum_dir.entries += inputs
        return datum_dir

    def equip(self, datum_dir: DatumDir) -> DatumDir:
        """Add the folders on disk to a datum in memory, before it is shown."""
        if datum_dir.in_memory and not datum_dir.out:
            datum_dir.out, datum_dir.tmp = self._take_spare()
        return datum_dir

    def make_shared(self, number: int, in_memory: bool) -> str:
        """Create a folder for an item that is copied to several datums."""
        self._count += 1
        folder = f"{self._memory if in_memory else self.disk}/item-{number}-{self._count}"
        os.mkdir(folder)
        return folder

    def create(self, path: str, owner: Owner) -> int:
        """Create a file for an input, and return a descriptor to write it."""
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        if owner is not None:
            os.fchown(descriptor, *owner)
        return descriptor

    def seal(self, datum_dir: DatumDir, owner: Owner) -> None:
        """Prevent commands of another user, which run next, from changing a datum's folders."""
        if owner is not None:
            os.chown(datum_dir.root, os.geteuid(), os.getegid())
            os.chmod(datum_dir.root, 0o700)

    def take_back(self, datum_dir: DatumDir) -> None:
        """Remove the folders of a datum.

        Raises:
            OSError: an entry cannot be removed; the folders are not reused.
        """
        if not datum_dir.in_memory:
            file_trees.remove_tree(datum_dir.root)
            return
        file_trees.remove_small(datum_dir.root)  # commands cannot reach it
        self.release(datum_dir)

    def release(self, datum_dir: DatumDir) -> None:
        """Let the next datum have the folders on disk of one in memory, whose other folders stay.

        Raises:
            OSError: an entry cannot be removed; the folders are not reused.
        """
        if datum_dir.in_memory and datum_dir.out:
            pair = datum_dir.out, datum_dir.tmp
            datum_dir.out = datum_dir.tmp = ""
            _reset(pair[0], datum_dir.wrote_nothing)
            _reset(pair[1])
            self._spare.append(pair)

    def _take_spare(self) -> tuple[str, str]:
        if self._spare:
            return self._spare.pop()
        self._count += 1
        out, tmp = f"{self.disk}/out-{self._count}", f"{self.disk}/tmp-{self._count}"
        for folder in (out, tmp):
            os.mkdir(folder)
        return out, tmp


def _reset(folder: str, is_empty: bool = False) -> None:
    """Empty a folder and restore its permissions; few commands have changed either."""
    mode = os.lstat(folder).st_mode
    try:
        unused = stat.S_ISDIR(mode) and (is_empty or not os.listdir(folder))
    except PermissionError:
        unused = False
    if not unused:
        file_trees.empty(folder)
    if stat.S_IMODE(mode) != 0o755:
        os.chmod(folder, 0o755)
