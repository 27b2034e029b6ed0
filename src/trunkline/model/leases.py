"""Leases without clocks: whoever judges one measures how long its counter has not changed.

A lease is a row with an owner and a counter that the owner moves to renew it. No stored time is compared with a
clock, so a step of the wall clock, or a clock that differs from another machine's, ends no lease. A server that
was away, or has just started, sees every lease for the first time and gives each owner its whole time again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it was read."""

    id: str
    #: Changes with each renewal, and with the owner.
    counter: Hashable
    #: How long the owner may stay silent.
    seconds: float


class LeaseJudge:
    """Remembers when each lease was last seen to change.

    Threads may share it without a lock: what one of them loses of another's memory makes a lease longer, never
    shorter.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Begin without memory.

        Args:
            monotonic: seconds on a clock that is never set.
        """
        self._monotonic = monotonic
        self._seen: dict[str, tuple[Hashable, float]] = {}

    def expired(self, leases: Iterable[Lease]) -> list[str]:
        """Return the ids of the leases that ran out; every lease that exists must be given, others are forgotten."""
        now = self._monotonic()
        seen, ended = {}, []
        for lease in leases:
            seen[lease.id] = last = self._last(lease, now)
            if now - last[1] > lease.seconds:
                ended.append(lease.id)
        self._seen = seen
        return ended

    def is_expired(self, lease: Lease) -> bool:
        """Whether a lease ran out."""
        now = self._monotonic()
        self._seen[lease.id] = last = self._last(lease, now)
        return now - last[1] > lease.seconds

    def _last(self, lease: Lease, now: float) -> tuple[Hashable, float]:
        """Return the counter, and when it was first seen as it is."""
        last = self._seen.get(lease.id)
        return last if last is not None and last[0] == lease.counter else (lease.counter, now)
