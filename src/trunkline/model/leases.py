"""Leases without wall clocks: a lease expires when its counter has not changed for too long.

A lease is a row with an owner and a counter; the owner renews it by changing the counter. No stored time is compared
with a clock, so neither a step of the wall clock nor a clock that differs from another machine's ends a lease. A
server that has just started reads every lease for the first time and grants each owner its full time again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable


class Lease(Struct, frozen=True):
    """A lease as read from the database."""

    id: str
    #: Changes with each renewal, and with the owner.
    counter: Hashable
    #: Seconds that may pass between two renewals.
    seconds: float


class LeaseJudge:
    """Remembers when it first read the current counter of each lease.

    Threads may share it without a lock: an update that is lost makes a lease longer, never shorter.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Begin with no leases.

        Args:
            monotonic: seconds on a clock that is never set.
        """
        self._monotonic = monotonic
        self._readings: dict[str, tuple[Hashable, float]] = {}

    def expired(self, leases: Iterable[Lease]) -> list[str]:
        """Return the ids of the expired leases.

        Args:
            leases: all leases that exist; any other lease is forgotten.
        """
        now = self._monotonic()
        readings, expired = {}, []
        for lease in leases:
            readings[lease.id] = last = self._last(lease, now)
            if now - last[1] > lease.seconds:
                expired.append(lease.id)
        self._readings = readings
        return expired

    def is_expired(self, lease: Lease) -> bool:
        """Whether a lease has expired."""
        now = self._monotonic()
        self._readings[lease.id] = last = self._last(lease, now)
        return now - last[1] > lease.seconds

    def _last(self, lease: Lease, now: float) -> tuple[Hashable, float]:
        """Return the counter, and when it first had this value."""
        last = self._readings.get(lease.id)
        return last if last is not None and last[0] == lease.counter else (lease.counter, now)
