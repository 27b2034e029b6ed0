"""Leases without clocks: whoever judges one measures how long its counter has not changed.

A lease is a row with an owner and a counter that the owner moves to renew it. No stored time is compared with a
clock, so a step of the wall clock, or a clock that differs from another machine's, ends no lease. A server that
was away, or has just started, sees every lease for the first time and gives each owner its whole time again.
"""

from __future__ import annotations

import threading
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
    """Remembers when each lease was last seen to change. Any thread may call it."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Begin without memory.

        Args:
            monotonic: seconds on a clock that is never set.
        """
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[Hashable, float]] = {}

    def expired(self, leases: Iterable[Lease]) -> list[str]:
        """Return the ids of the leases that ran out; every lease that exists must be given, others are forgotten."""
        now = self._monotonic()
        with self._lock:
            before, self._seen = self._seen, {}
            return [
                lease.id for lease in leases if self._silent(lease, before.get(lease.id), now) > lease.seconds
            ]

    def is_expired(self, lease: Lease) -> bool:
        """Whether a lease ran out."""
        with self._lock:
            return self._silent(lease, self._seen.get(lease.id), self._monotonic()) > lease.seconds

    def _silent(self, lease: Lease, last: tuple[Hashable, float] | None, now: float) -> float:
        """Note what is seen now; return the seconds since the counter changed."""
        if last is None or last[0] != lease.counter:
            last = (lease.counter, now)
        self._seen[lease.id] = last
        return now - last[1]
