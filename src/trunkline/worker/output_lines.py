"""Splits the output of a command into log lines, holding at most one line.

A line longer than ``MAX_LINE`` is split; after ``MAX_LOG`` bytes of one attempt further output is counted and
dropped, so that endless output costs neither memory nor storage.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Called with the time in nanoseconds since the epoch and the line without its newline.
    LineTaker = Callable[[int, bytes], None]

#: Bytes. One pipe buffer of Linux; longer lines are rarely meant for reading.
MAX_LINE = 64 << 10
#: Bytes per attempt. Enough for the log of a verbose program, too little to fill a store.
MAX_LOG = 16 << 20
#: Lines per attempt; a line of one letter costs as much to store as one of thirty.
MAX_LINES = 500_000


class OutputLines:
    """Splits the output of one attempt into lines and passes them on."""

    def __init__(self, add_line: LineTaker) -> None:
        self._add_line = add_line
        self._begun = b""
        self._room = MAX_LOG
        self._lines_left = MAX_LINES
        self._dropped = 0

    def feed(self, chunk: bytes) -> None:
        """Process the next bytes of output."""
        if self._is_full():
            self._dropped += len(chunk)
            return
        now = time.time_ns()
        lines = (self._begun + chunk).split(b"\n")
        self._begun = lines.pop()
        for line in lines:
            self._emit(now, line, 1)
        while len(self._begun) > MAX_LINE:
            self._emit(now, self._begun[:MAX_LINE], 0)
            self._begun = self._begun[MAX_LINE:]

    def finish(self) -> int:
        """Pass on the unfinished last line; return the number of dropped bytes."""
        if self._begun:
            self._emit(time.time_ns(), self._begun, 0)
            self._begun = b""
        return self._dropped

    def _is_full(self) -> bool:
        return self._room <= 0 or self._lines_left <= 0

    def _emit(self, now: int, line: bytes, newline: int) -> None:
        if self._is_full():
            self._dropped += len(line) + newline
            return
        self._room -= len(line) + newline
        self._lines_left -= 1
        if len(line) <= MAX_LINE:
            self._add_line(now, line)
            return
        for start in range(0, len(line), MAX_LINE):
            self._add_line(now, line[start : start + MAX_LINE])
