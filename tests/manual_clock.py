"""A clock that a test moves."""

from __future__ import annotations

import time


class ManualClock:
    """The machine's clocks: a test can set the wall clock, and let time pass."""

    def __init__(self) -> None:
        #: Seconds that the wall clock was set forward, as by NTP or a paused machine.
        self.ahead = 0.0
        #: Seconds that have passed on no clock but the monotonic one.
        self.passed = 0.0
        #: The time at which the wall clock was stopped; None while it runs.
        self.stopped_at: float | None = None

    def stop(self) -> None:
        """Stop the wall clock: from now on it moves only by ``ahead``."""
        self.stopped_at = time.time()

    def now(self) -> float:
        return (time.time() if self.stopped_at is None else self.stopped_at) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.passed
