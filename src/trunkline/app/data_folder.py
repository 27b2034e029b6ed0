"""Holds the data folder for one server at a time."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from typing import TYPE_CHECKING

from trunkline import errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger("trunkline.app")

#: Folders in the data folder that the server and its drivers write to.
FOLDERS = ("objects", "images", "fleet")


@contextlib.contextmanager
def locked(data: Path) -> Iterator[None]:
    """Hold the data folder for this process alone: the file ``lock``, and the folder itself.

    The file contains the owner's process id. It may be deleted, so the folder is locked too where its file system can.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        if data.stat().st_mode & 0o077:  # created by an earlier version, or by hand
            with contextlib.suppress(PermissionError):  # a volume of root that this group may use
                data.chmod(0o700)
        handle = os.open(data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise errors.Unavailable(
            f"cannot use the data folder {str(data)!r}: {error.strerror}; name another with --data"
        ) from error
    try:
        folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        os.close(handle)
        raise errors.Unavailable(f"cannot open the data folder {str(data)!r}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with _unless_unsupported():
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(handle, 32, 0).decode() or "unknown"
            raise errors.FailedPrecondition(
                f"the data folder {str(data)!r} is in use by another server (process {owner.strip()});"
                " stop that one or name another folder with --data"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        _check_permissions(data)
        yield
    finally:
        os.close(handle)
        os.close(folder)


def _check_permissions(data: Path) -> None:
    """Check that this user may use what earlier servers have made in the data folder.

    Raises:
        Unavailable: a folder in it has other permissions.
    """
    for folder in (data / name for name in FOLDERS):
        if folder.exists() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise errors.Unavailable(
                f"cannot use folder {str(folder)!r}: its permissions do not let this server's user read and write it;"
                " correct them, such as with chmod u+rwx"
            )


@contextlib.contextmanager
def _unless_unsupported() -> Iterator[None]:
    """Ignore that a file system cannot lock a folder, as NFS cannot."""
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        log.info("the data folder itself cannot be locked (%s); its file 'lock' is", error.strerror)
