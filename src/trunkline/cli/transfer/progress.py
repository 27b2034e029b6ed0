"""A progress line for transfers on a terminal.

Written by hand, ten times a second: importing a progress library takes longer than most transfers.
"""

from __future__ import annotations

import sys
from time import monotonic
from typing import TYPE_CHECKING

from trunkline.cli.output import size, span

if TYPE_CHECKING:
    from types import TracebackType

EVERY = 0.1  # seconds between updates; faster cannot be read
QUIET_FIRST = 0.4  # seconds; shorter transfers need no progress line
BAR = 24  # characters


class Progress:
    """Counts bytes, and draws a line while the context is open, if standard error is a terminal.

    Args:
        total: expected bytes; None when unknown.
        quiet: whether to draw nothing.
    """

    def __init__(self, total: int | None, *, quiet: bool) -> None:
        self.done = 0
        self._total = total
        self._visible = not quiet and sys.stderr.isatty()
        self._started = monotonic()
        self._next = self._started + QUIET_FIRST
        self._drawn = False

    def add(self, count: int) -> None:
        """Count ``count`` more bytes."""
        self.done += count
        if self._visible and (now := monotonic()) >= self._next:
            self._next = now + EVERY
            self._drawn = True
            sys.stderr.write(f"\r\033[2K{self.line(now - self._started)}")
            sys.stderr.flush()

    def line(self, passed: float) -> str:
        """Return the line after ``passed`` seconds."""
        rate = self.done / passed if passed > 0 else 0.0
        if not self._total:
            return f"{size(self.done)}  {size(int(rate))}/s"
        share = min(self.done / self._total, 1.0)
        filled = round(share * BAR)
        remaining = span((self._total - self.done) / rate) if rate and self.done < self._total else "0 s"
        bar = "━" * filled + "╌" * (BAR - filled)
        return f"{bar} {share:4.0%}  {size(self.done)} of {size(self._total)}  {size(int(rate))}/s  {remaining} left"

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._drawn:
            sys.stderr.write("\r\033[2K")
            sys.stderr.flush()
