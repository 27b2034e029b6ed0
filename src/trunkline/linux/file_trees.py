"""Removes folders of any depth and size, with whatever permissions a command has set.

A path may be longer than the kernel takes and a tree deeper than any stack, so nothing here recurses or builds
paths: subfolders are moved up to the top folder until all of them are empty. Permissions that a command removed
from its own folders are restored first. Symbolic links are removed, never followed.

Does not use ``shutil``: importing it takes a tenth of a worker's start-up, and ``rmtree`` recurses.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat

#: Entries that are listed at a time, so that a folder of millions needs little memory.
_LISTED = 10_000
#: Folders below the top of a small tree.
_SMALL_DEPTH = 4
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str) -> None:
    """Remove a folder with its contents; succeeds when it does not exist.

    Raises:
        OSError: an entry cannot be removed, for instance an immutable file; all others are removed.
    """
    with contextlib.suppress(FileNotFoundError):
        empty(path)
        os.rmdir(path)


def remove_small(path: str) -> None:
    """Remove a folder like ``remove_tree``, with a third of the system calls when it holds little.

    Only for a folder that nobody else changes meanwhile: its entries are addressed by their paths.
    """
    try:
        _remove_level(path, _SMALL_DEPTH)
    except OSError:  # deep, large, without permissions, or not there
        remove_tree(path)


def _remove_level(path: str, levels: int) -> None:
    with os.scandir(path) as listing:
        for entry in listing:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
            elif levels:
                _remove_level(entry.path, levels - 1)
    os.rmdir(path)


def empty(path: str) -> None:
    """Remove the contents of a folder.

    Raises:
        OSError: an entry cannot be removed; all others are removed.
    """
    top = _open_folder(path)
    try:
        aliases = itertools.count(1)
        while entries := _list(top):
            failure: OSError | None = None
            progress = lifted = False
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        lifted = _remove_folder(entry.name, top, aliases) or lifted
                    else:
                        os.unlink(entry.name, dir_fd=top)
                    progress = True
                except OSError as error:
                    failure = failure or error
            if not progress and failure is not None and not _allow_changes(top):
                raise OSError(failure.errno, failure.strerror, f"{path}/{failure.filename}") from failure
            if failure is None and not lifted and len(entries) < _LISTED:
                return  # those were all; another listing would cost as much as the removal
    finally:
        os.close(top)


def _remove_folder(name: str, top: int, aliases: itertools.count[int]) -> bool:
    """Remove a folder of ``top``; its subfolders are moved to ``top`` under new names. Returns whether one was."""
    if _is_removed(name, top):
        return False
    folder = _open_folder(name, top)
    lifted = False
    try:
        while True:
            entries = _list(folder)
            failure: OSError | None = None
            progress = False
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        lifted = _lift(entry.name, folder, top, aliases) or lifted
                    else:
                        os.unlink(entry.name, dir_fd=folder)
                    progress = True
                except OSError as error:
                    failure = failure or error
            if not progress and failure is not None and not _allow_changes(folder):
                raise failure
            if failure is None and len(entries) < _LISTED:
                try:
                    os.rmdir(name, dir_fd=top)
                except OSError as error:
                    if not entries or error.errno != errno.ENOTEMPTY:
                        raise
                else:
                    return lifted
    finally:
        os.close(folder)


def _is_removed(name: str, folder: int) -> bool:
    """Remove a folder if it is empty; return whether it was."""
    try:
        os.rmdir(name, dir_fd=folder)
    except OSError:
        return False
    return True


def _lift(name: str, folder: int, top: int, aliases: itertools.count[int]) -> bool:
    """Remove an empty folder, or move it to ``top``; return whether it was moved."""
    if _is_removed(name, folder):
        return False
    while True:
        alias = f".trunkline-removes-{next(aliases)}"
        try:
            os.rename(name, alias, src_dir_fd=folder, dst_dir_fd=top)
            return True
        except PermissionError:
            # Moving a folder needs write permission for it, because its ".." changes.
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if mode & stat.S_IRWXU == stat.S_IRWXU:
                raise
            os.chmod(name, stat.S_IRWXU, dir_fd=folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise


def _list(folder: int) -> list[os.DirEntry[str]]:
    """Return the first entries of a folder."""
    with os.scandir(folder) as listing:
        return list(itertools.islice(listing, _LISTED))


def _open_folder(name: str, parent: int | None = None) -> int:
    """Open a folder with the permission to list it."""
    try:
        return os.open(name, _OPEN, dir_fd=parent)
    except PermissionError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise
        os.chmod(name, stat.S_IRWXU, dir_fd=parent)
        return os.open(name, _OPEN, dir_fd=parent)


def _allow_changes(folder: int) -> bool:
    """Restore the permission to change a folder; return whether it was missing."""
    if os.fstat(folder).st_mode & stat.S_IRWXU == stat.S_IRWXU:
        return False
    try:
        os.fchmod(folder, stat.S_IRWXU)
    except OSError:  # another user's
        return False
    return True
