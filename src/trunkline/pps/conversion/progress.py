"""Reports how far a conversion is, every few seconds."""

from __future__ import annotations

import logging
import time

log = logging.getLogger("trunkline.pps.conversion")

#: Seconds between two reports.
PERIOD = 5.0
#: Share of all that must be done before the rest is estimated: the first tree may be the largest.
_FIRST_SHARE = 0.02


class Progress:
    """One part of the conversion.

    Args:
        what: the things that are converted, in the plural.
        total: how many there are.
    """

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = self._skipped = self._rows = 0
        self._start = self._reported = time.monotonic()
        self._report("")

    def step(self, *, skipped: bool = False) -> None:
        """Count one thing; ``skipped``: it was converted before."""
        self._done += 1
        self._skipped += skipped
        self._rows = 0
        self._report_if_due()

    def rows(self, number: int) -> None:
        """Count rows of the thing that is being converted: one tree may have millions."""
        self._rows += number
        self._report_if_due()

    def _report_if_due(self) -> None:
        now = time.monotonic()
        if now - self._reported < PERIOD:
            return
        self._reported = now
        converted = self._done - self._skipped
        if self._rows:
            self._report(f", {self._rows:,} rows of the next one")
        elif converted >= self._total * _FIRST_SHARE:
            rest = (self._total - self._done) * (now - self._start) / converted
            self._report(f", about {_duration(rest)} left")
        else:
            self._report("")

    def end(self) -> None:
        """Report the end."""
        self._done = self._total
        self._report(f" in {_duration(time.monotonic() - self._start)}")

    def _report(self, rest: str) -> None:
        log.info(
            "converting to format 2: %s of %s %s%s",
            f"{self._done:,}", f"{self._total:,}", self._what, rest,
            extra={"action": "conversion", "done": self._done, "total": self._total},
        )  # fmt: skip


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
