"""Folders of datums in the volume that the worker and the user's container share.

The two containers may run as different users, so all users may access what the worker creates, except for prefetched
datums, which are in folders of the worker alone.

Links that a command has left must not be followed: they would lead to the worker's own files.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from trunkline.linux import file_trees
from trunkline.worker.scratch import DatumDir, ScratchPool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trunkline.worker.files import Owner

#: Number of input files that are kept for reuse, and the most bytes of one.
_FILES_KEPT, _KEPT_BYTES = 128, 1 << 20


class PodScratchPool(ScratchPool):
    """Folders in the volume that the two containers share, reused once emptied.

    They are on disk, where creating and removing files costs more than the launcher does: ext4 skips inodes freed in
    the last five seconds one by one, measured as 0.5 ms per file. So emptied folders are reused, and so are the files
    of small inputs, unless the command has replaced them.
    """

    def __init__(self, hidden: str) -> None:
        super().__init__(hidden)
        #: Names of inputs -> emptied folders of datums with these inputs.
        self._emptied: dict[frozenset[str], list[DatumDir]] = {}
        #: Files of former inputs, for reuse.
        self._files: list[str] = []

    def make(self, inputs: Iterable[str], owner: Owner, in_memory: bool) -> DatumDir:
        """Create the folders of a datum; see ``ScratchPool``.

        Args:
            inputs: names of its inputs.
            owner: not used: all users of the volume may access it.
            in_memory: not used: a pod has no memory of its own for inputs.
        """
        del owner, in_memory
        names = frozenset(inputs)
        if spare := self._emptied.get(names):
            return spare.pop()
        self._count += 1
        root = f"{self.disk}/datum-{self._count}"
        datum_dir = DatumDir(root, f"{root}/out", f"{self.disk}/tmp-{self._count}", in_memory=False)
        # A command of another user must not reach prefetched datums.
        os.mkdir(root, 0o700)
        for folder in (datum_dir.out, datum_dir.tmp, *(f"{root}/{name}" for name in names)):
            os.mkdir(folder)
        return datum_dir

    def make_shared(self, number: int, in_memory: bool) -> str:
        """Create a folder for an item that is copied to several datums."""
        folder = super().make_shared(number, in_memory)
        os.chmod(folder, 0o700)
        return folder

    def create(self, path: str, owner: Owner) -> int:
        """Create a file for an input, reusing a former one if possible."""
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
            # A file of another user cannot be reused, and one with a second link may still be in use.
            reusable = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1
            if not reusable or status.st_size > _KEPT_BYTES or len(self._files) >= _FILES_KEPT:
                kept_all = False
                continue
            self._count += 1
            path = f"{self.disk}/file-{self._count}"
            os.rename(entry.path, path)
            self._files.append(path)
        if not kept_all:
            file_trees.empty(folder)

    def take_back(self, datum_dir: DatumDir) -> None:
        """Empty the folders for the next datum, or remove them when the command has replaced one.

        Raises:
            OSError: an entry cannot be removed; the folders are not reused.
        """
        with os.scandir(datum_dir.root) as listing:
            subfolders = {entry.name: entry.path for entry in listing}
        folders = (datum_dir.tmp, *subfolders.values())
        modes = [_mode(folder) for folder in folders]
        if "out" in subfolders and None not in modes:
            inputs = [path for name, path in subfolders.items() if name != "out"]
            for folder in inputs:
                self._keep_files(folder)
            for folder in (subfolders["out"], datum_dir.tmp):
                file_trees.empty(folder)
            for folder, mode in zip(folders, modes, strict=True):
                if mode != 0o777:
                    os.chmod(folder, 0o777)
            self._emptied.setdefault(frozenset(subfolders) - {"out"}, []).append(datum_dir)
            return
        for path in subfolders.values():
            _remove(path)
        os.rmdir(datum_dir.root)
        _remove(datum_dir.tmp)


def _mode(path: str) -> int | None:
    """Return the permissions of a folder of the worker; None when a command has replaced it."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    unchanged = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return stat.S_IMODE(status.st_mode) if unchanged else None


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        file_trees.remove_tree(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
