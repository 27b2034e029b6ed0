"""Copies files of the scratch folder, creates folders and sets their owner; ``file_trees`` removes them.

Does not use ``shutil``: importing it takes a tenth of the worker's start-up.
"""

from __future__ import annotations

import os

#: User and group that own the files that a command may write; None leaves them unchanged.
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


def make_pipe(path: str, owner: Owner = None) -> None:
    """Create a named pipe that everyone may read and write."""
    os.mkfifo(path)
    os.chmod(path, 0o666)
    give(path, owner)


def below(path: str) -> list[str]:
    """Return the file at a path, or all files below the folder there."""
    if not os.path.isdir(path):
        return [path]
    return [f"{folder}/{name}" for folder, _, names in os.walk(path.rstrip("/")) for name in names]


def make_folders(top: str, below: str, owner: Owner = None) -> str:
    """Create nested folders; return the deepest one.

    Args:
        top: an existing folder.
        below: the path to create in it, separated by ``/``.
        owner: the owner of the new folders.
    """
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
