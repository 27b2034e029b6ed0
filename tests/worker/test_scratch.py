"""The folders that a worker shows to commands one after the other."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from trunkline.worker.scratch import ScratchPool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trunkline.worker.scratch import DatumDir


def write_outputs(folders: DatumDir) -> None:
    os.makedirs(f"{folders.out}/a/b")
    os.symlink("/", f"{folders.tmp}/link")


def take_permissions(folders: DatumDir) -> None:
    write_outputs(folders)
    for folder in (folders.out, folders.tmp, f"{folders.root}/in"):
        os.chmod(folder, 0)


@pytest.mark.parametrize("act", [lambda _: None, write_outputs, take_permissions])
def test_folders_for_outputs_are_used_again_empty_and_with_their_permissions(
    tmp_path: Path, act: Callable[[DatumDir], None]
) -> None:
    disk, memory = tmp_path / "disk", tmp_path / "memory"
    for folder in (disk, memory):
        folder.mkdir()
    pool = ScratchPool(str(disk), str(memory))
    first = pool.equip(pool.make(["in"], None, in_memory=True))
    pair = first.out, first.tmp
    act(first)

    pool.take_back(first)
    second = pool.equip(pool.make(["in"], None, in_memory=True))

    assert (second.out, second.tmp) == pair
    for path in (second.out, second.tmp):
        assert (os.listdir(path), stat.S_IMODE(os.stat(path).st_mode)) == ([], 0o755)
    assert os.listdir(memory) == [os.path.basename(second.root)]


def test_a_folder_that_a_command_replaced_by_a_link_is_not_used_again(tmp_path: Path) -> None:
    disk, memory, other = (tmp_path / name for name in ("disk", "memory", "other"))
    for folder in (disk, memory, other):
        folder.mkdir()
    pool = ScratchPool(str(disk), str(memory))
    first = pool.equip(pool.make(["in"], None, in_memory=True))
    replaced = first.tmp
    os.rmdir(replaced)
    os.symlink(other, replaced)

    with pytest.raises(OSError, match="tmp"):
        pool.take_back(first)

    second = pool.equip(pool.make(["in"], None, in_memory=True))
    assert second.tmp != replaced
