"""Temporary files without a name: the operating system removes them with their last reference, or with the process."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from typing import IO, Any

from trunkline import errors

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class TemporaryFile:
    """Bytes that are appended and read back.

    Args:
        folder: of the file; None for the system's.

    Raises:
        Unavailable: the folder cannot be used.
        ResourceExhausted: its disk is full.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder or tempfile.gettempdir()
        #: Bytes of the file.
        self.size = 0
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115  # by close
        except OSError as error:
            raise self._failure(error) from error

    def append(self, data: bytes | memoryview) -> int:
        """Append bytes; return where they begin. After an error the file is as before.

        Raises:
            ResourceExhausted: the disk is full.
            Unavailable: the file cannot be written for another reason.
        """
        begin, rest = self.size, memoryview(data).cast("B")
        end = begin + len(rest)
        try:
            while rest:
                rest = rest[os.pwrite(self._file.fileno(), rest, end - len(rest)) :]
        except OSError as error:
            raise self._failure(error) from error
        self.size = end
        return begin

    def read(self, begin: int, length: int) -> bytes:
        """Return ``length`` bytes from ``begin`` on, fewer at the end of the file."""
        return os.pread(self._file.fileno(), min(length, self.size - begin), begin)

    def reader(self, buffer_bytes: int) -> io.BufferedReader:
        """Return a stream of the file from its begin; several may read at a time.

        Args:
            buffer_bytes: how much is read at a time.
        """
        return io.BufferedReader(_FromBegin(self), buffer_bytes)

    def close(self) -> None:
        """Free the file."""
        self._file.close()

    def _failure(self, error: OSError) -> errors.TrunklineError:
        sentence = f"cannot write a temporary file in {self._folder}: {error.strerror}; "
        if error.errno in _FULL:
            return errors.ResourceExhausted(f"{sentence}free some space there and try again")
        return errors.Unavailable(f"{sentence}make the folder writable for the server and try again")


class _FromBegin(io.RawIOBase):
    """A stream that reads a temporary file, with a place of its own."""

    def __init__(self, file: TemporaryFile) -> None:
        self._temporary = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._temporary.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
