"""Objects as files below one folder, durable when ``put`` returns.

``obstore`` writes a file under a passing name and links it to its own, so a key is never seen half
written, and it removes the passing file when the disk is full. It does not flush; so this driver flushes
the file, its folder, and every folder it saw for the first time. Were the machine to stop between link and
flush, the key could hold less than was put, but then ``put`` has not returned and nobody knows the key.

Reads go to the file directly: 9 µs against 76 µs for a small range, and packs are read in ranges.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.store import LocalStore

from trunkline.drivers.objects.obstore_base import WrappedObjects
from trunkline.errors import PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Sequence


class LocalObjects(WrappedObjects):
    """An ``ObjectStore`` over a folder, which is made when it is not there.

    Args:
        root: the folder; it must not be shared with anything else.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.abspath(root))  # resolve() would follow a user's symlink
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PermissionDenied(
                f"cannot make the object folder {str(self._root)!r}: {error.strerror}; "
                "choose another or mend its rights"
            ) from error
        super().__init__(LocalStore(self._root), f"folder {str(self._root)!r}")
        self._flushed: set[Path] = set()

    def put(self, key: str, parts: Sequence[bytes | memoryview]) -> None:
        """Store an object and flush it and the folders that lead to it."""
        super().put(key, parts)
        file = self._root / key
        try:
            _flush(file)
            _flush(file.parent)
            self._flush_new_folders(file.parent)
        except OSError as error:
            file.unlink(missing_ok=True)
            self._fail("store", key, error)

    def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """Read a range of the file."""
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
            while len(data) < length:  # Linux hands out at most 2 GiB at a time
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
        """Flush the parents of folders that may have been made by the last put."""
        while folder != self._root and folder not in self._flushed:
            _flush(folder.parent)
            self._flushed.add(folder)
            folder = folder.parent


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
