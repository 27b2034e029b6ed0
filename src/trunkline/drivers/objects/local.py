"""Objects as files below one folder, durable when ``put`` returns.

``obstore`` writes a file under a temporary name (the key, ``#`` and a number) and links it to its own name, so
nobody sees a half-written object, and it removes the temporary file when the disk is full. It does not flush,
so this driver flushes the file, its folder, and every folder it sees for the first time, and compares the size of
the file with what was written. If the machine stops
between link and flush, the file may be incomplete, but then ``put`` has not returned and nothing refers to it.
A process that is killed in a put leaves the temporary file; ``remove_temporary`` deletes these.

Reads use the file directly: 9 µs instead of 76 µs for a small range, and packs are read in ranges.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.store import LocalStore

from trunkline.drivers.objects.obstore_base import WrappedObjects
from trunkline.errors import PermissionDenied, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("trunkline.drivers.objects")

#: How ``obstore`` names a file that is being written. It refuses such names for objects.
_TEMPORARY = re.compile(r"#\d+\Z")


class LocalObjects(WrappedObjects):
    """An ``ObjectStore`` in a folder, which is created if it does not exist.

    Args:
        root: the folder; nothing else may use it.

    Raises:
        PermissionDenied: the folder cannot be created.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.abspath(root))  # resolve() would follow a user's symlink
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PermissionDenied(
                f"cannot create the object folder {str(self._root)!r}: {error.strerror}; "
                "choose another folder or correct its permissions"
            ) from error
        super().__init__(LocalStore(self._root), f"folder {str(self._root)!r}")
        self._flushed: set[Path] = set()

    def put(self, key: str, parts: Sequence[bytes | memoryview]) -> None:
        """Store an object and flush it and the folders that lead to it."""
        super().put(key, parts)
        file = self._root / key
        written = sum(map(len, parts))
        try:
            size = _flush(file)
            if size != written:
                file.unlink()
                raise Unavailable(
                    f"object {key!r} in {self._where} has {size} bytes after {written} were written; check the file"
                    " system and try again"
                )
            _flush(file.parent)
            self._flush_new_folders(file.parent)
        except OSError as error:
            file.unlink(missing_ok=True)
            self._fail("store", key, error)

    def remove_temporary(self) -> None:
        """Delete the files of puts that never ended. Only while no process writes to the folder.

        A file that cannot be deleted is logged and left: it does no harm.
        """
        pending = [self._root]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            pending.append(Path(entry.path))
                        elif _TEMPORARY.search(entry.name):
                            os.unlink(entry.path)
            except OSError as error:
                log.warning(
                    "cannot remove the temporary files in %s: %s",
                    folder,
                    error.strerror,
                    extra={"action": "temporary_file_left"},
                )

    def size(self, key: str) -> int:
        """Return the bytes of a file."""
        try:
            return os.stat(self._root / key).st_size
        except FileNotFoundError as error:
            raise self._missing(key, error) from error
        except OSError as error:
            self._fail("read", key, error)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Read a range of the file; see ``ports.ObjectStore``.

        Args:
            key: key of the object.
            start: first byte.
            length: number of bytes; None reads to the end.

        Raises:
            NotFound: there is no such object.
            DataLoss: the file is too short.
        """
        try:
            handle = os.open(self._root / key, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise self._missing(key, error) from error
        except OSError as error:
            self._fail("read", key, error)
        try:
            if length is None:
                length = max(0, os.fstat(handle).st_size - start)
            data = os.pread(handle, length, start)
            while len(data) < length:  # Linux returns at most 2 GiB at a time
                more = os.pread(handle, length - len(data), start + len(data))
                if not more:
                    break
                data += more
            short = len(data) < length or start > os.fstat(handle).st_size
        except OSError as error:
            self._fail("read", key, error)
        finally:
            os.close(handle)
        if short:
            raise self._too_short(key, start, length)
        return data

    def _flush_new_folders(self, folder: Path) -> None:
        """Flush the parents of folders that the last put may have created."""
        while folder != self._root and folder not in self._flushed:
            _flush(folder.parent)
            self._flushed.add(folder)
            folder = folder.parent


def _flush(path: Path) -> int:
    """Flush a file or folder; return its size."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
        return os.fstat(handle).st_size
    finally:
        os.close(handle)
