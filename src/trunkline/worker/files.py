"""Copies files of the scratch folder, makes folders there and sets their owner; ``file_trees`` removes them.

Not ``shutil``: importing it costs a tenth of the worker's start-up.
"""

from __future__ import annotations

import os

#: User and group that own what a command may write; None leaves them as they are.
Owner = tuple[int, int] | None


def copy_file(source: str, target: str) -> None:
    """Copy the bytes of ``source`` to the new or emptied file ``target``."""
    with open(source, "rb", buffering=0) as reader, open(target, "wb", buffering=0) as writer:
        while os.sendfile(writer.fileno(), reader.fileno(), None, 1 << 30):
            pass


def copy_tree(source: str, target: str, owner: Owner = None) -> None:
    """Copy a file, or a folder of files and folders, to ``target``; folders are merged.

    Args:
        source: what to copy.
        target: path of the copy.
        owner: who owns the copy.
    """
    waiting = [(source, target)]
    for source, target in waiting:
        if not os.path.isdir(source):
            copy_file(source, target)
            give(target, owner)
            continue
        if not os.path.isdir(target):
            os.mkdir(target)
            give(target, owner)
        waiting += [(f"{source}/{name}", f"{target}/{name}") for name in os.listdir(source)]


def make_folders(top: str, below: str, owner: Owner = None) -> str:
    """Make the folders ``below`` (``/``-separated) under the folder ``top``; return the deepest one."""
    place = top
    for part in below.split("/"):
        if not part:
            continue
        place = f"{place}/{part}"
        try:
            os.mkdir(place)
        except FileExistsError:
            continue
        give(place, owner)
    return place


def give(path: str, owner: Owner) -> None:
    """Make ``owner`` the owner of ``path``."""
    if owner is not None:
        os.lchown(path, *owner)
