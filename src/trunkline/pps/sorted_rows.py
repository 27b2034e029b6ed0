"""Rows in key order, of any number, in bounded memory: an external merge sort.

Rows are gathered in memory and sorted; when there are too many they become a sorted run in a temporary file, and
the runs are merged when the rows are read. Sorting a run holds the interpreter, so a run is small. A few rows
never touch a disk. Source: Knuth, The Art of Computer Programming, volume 3, section 5.4.
"""

from __future__ import annotations

import heapq
import struct
from operator import itemgetter
from typing import TYPE_CHECKING

from trunkline.runtime.temporary_files import TemporaryFile

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Rows of a run; at some 500 bytes a row 25 MB. Sorting them takes 30 milliseconds.
RUN_ROWS = 50_000
#: Bytes that are read at a time from each run.
_BUFFER = 64 << 10
#: Rows that are written at a time.
_WRITTEN_ROWS = 1000

_LENGTHS = struct.Struct("<II")
_key_of = itemgetter(0)


class SortedRows:
    """Rows by key; those with equal keys keep their order. First all are added, then they are read, once or more often.

    A context: leaving it frees the files.
    """

    def __init__(self, run_rows: int = RUN_ROWS) -> None:
        """Make it empty.

        Args:
            run_rows: rows that are held in memory.
        """
        self._run_rows = run_rows
        self._rows: list[tuple[bytes, bytes]] = []
        self._runs: list[TemporaryFile] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __enter__(self) -> SortedRows:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the files."""
        for run in self._runs:
            run.close()
        self._runs.clear()
        self._rows.clear()

    def add(self, key: bytes, value: bytes) -> None:
        """Add a row.

        Raises:
            ResourceExhausted: the disk of temporary files is full.
            Unavailable: temporary files cannot be written.
        """
        self._rows.append((key, value))
        self._count += 1
        if len(self._rows) >= self._run_rows:
            self._spill()

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        self._rows.sort(key=_key_of)
        if not self._runs:
            return iter(self._rows)
        return heapq.merge(*map(_read, self._runs), self._rows, key=_key_of)

    def _spill(self) -> None:
        self._rows.sort(key=_key_of)
        run = TemporaryFile()
        self._runs.append(run)
        for first in range(0, len(self._rows), _WRITTEN_ROWS):
            rows = self._rows[first : first + _WRITTEN_ROWS]
            run.append(b"".join([_LENGTHS.pack(len(key), len(value)) + key + value for key, value in rows]))
        self._rows.clear()


def _read(run: TemporaryFile) -> Iterator[tuple[bytes, bytes]]:
    reader = run.reader(_BUFFER)
    while head := reader.read(_LENGTHS.size):
        key_bytes, value_bytes = _LENGTHS.unpack(head)
        yield reader.read(key_bytes), reader.read(value_bytes)
