"""Copying, removing and giving away files of the scratch folder.

Not ``shutil``: it costs a tenth of the worker's start-up to import, and its ``rmtree`` guards against
rivals that cannot exist here, since everything a command started is dead before its folder is removed.
"""

from __future__ import annotations

import contextlib
import os
import stat

#: User and group that own what a command may write; None leaves them as they are.
Owner = tuple[int, int] | None


def copy_file(source: str, target: str) -> None:
    """Copy the bytes of ``source`` to the new or emptied file ``target``."""
    with open(source, "rb", buffering=0) as reader, open(target, "wb", buffering=0) as writer:
        while os.sendfile(writer.fileno(), reader.fileno(), None, 1 << 30):
            pass


def copy_tree(source: str, target: str, owner: Owner = None) -> None:
    """Copy what ``source`` is, a file or a folder of files and folders, to ``target``; folders are merged."""
    if not os.path.isdir(source):
        copy_file(source, target)
        give(target, owner)
        return
    if not os.path.isdir(target):
        os.mkdir(target)
        give(target, owner)
    for name in os.listdir(source):
        copy_tree(os.path.join(source, name), os.path.join(target, name), owner)


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


def remove_tree(path: str) -> None:
    """Remove a folder with all that is in it; links are removed, not followed.

    Raises:
        OSError: something resists, for instance a file that was made immutable.
    """
    with contextlib.suppress(FileNotFoundError):
        empty(path)
        os.rmdir(path)


def empty(path: str) -> None:
    """Remove all that is in a folder; like ``remove_tree``, but the folder stays."""
    try:
        _empty(path)
    except PermissionError:
        os.chmod(path, stat.S_IRWXU)  # the command took its own rights away
        _empty(path)


def _empty(path: str) -> None:
    with os.scandir(path) as listing:
        entries = list(listing)  # not every file system lists on reliably while entries go
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
        else:
            os.unlink(entry.path)
