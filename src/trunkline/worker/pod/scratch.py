"""Folders of datums in the volume that the worker and the user's container share.

The two containers may run as different users, so what the worker makes is open to everybody, except for what is
not shown: that lies below folders of the worker alone.

Must not follow a link that a command has left: it would lead to the worker's own files.
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

#: Files of inputs kept for the next ones, and the most bytes of one.
_FILES_KEPT, _KEPT_BYTES = 128, 1 << 20


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
        datum_dir = DatumDir(root, f"{root}/out", f"{self.disk}/tmp-{self._made}", in_memory=False)
        # What is not shown, fetched ahead, lies beyond the reach of a command that is another user.
        os.mkdir(root, 0o700)
        for folder in (datum_dir.out, datum_dir.tmp, *(f"{root}/{name}" for name in names)):
            os.mkdir(folder)
        return datum_dir

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

    def take_back(self, datum_dir: DatumDir) -> None:
        """Empty a place for the next datum, or remove it when the command made it into something else.

        Raises:
            OSError: something in it resists; what is left is never used again.
        """
        with os.scandir(datum_dir.root) as listing:
            found = {entry.name: entry.path for entry in listing}
        folders = (datum_dir.tmp, *found.values())
        modes = [_mode(folder) for folder in folders]
        if "out" in found and None not in modes:
            inputs = [path for name, path in found.items() if name != "out"]
            for folder in inputs:
                self._keep_files(folder)
            for folder in (found["out"], datum_dir.tmp):
                file_trees.empty(folder)
            for folder, mode in zip(folders, modes, strict=True):
                if mode != 0o777:
                    os.chmod(folder, 0o777)
            self._emptied.setdefault(frozenset(found) - {"out"}, []).append(datum_dir)
            return
        for path in found.values():
            _remove(path)
        os.rmdir(datum_dir.root)
        _remove(datum_dir.tmp)


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
