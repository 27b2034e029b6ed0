"""Circuit breaker for direct transfers between this worker and the object store, by presigned URLs.

It is closed until a transfer fails. Then bytes go through the server for a while, because each unsuccessful try
costs seconds; a store that was unreachable for a moment is used again later.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.worker.store_connections import Connections

#: Seconds for which bytes go through the server after a transfer has failed.
AFTER_FAILURE = 300.0


class StoreUnreachable(Exception):
    """A transfer with the object store failed; the message says why."""


class StoreBreaker:
    """Whether one worker uses the store directly. Used by one thread at a time."""

    def __init__(self) -> None:
        self._closed_until = 0.0
        self._connections: Connections | None = None
        self._note = ""

    @property
    def open(self) -> bool:
        """Whether a direct transfer should be tried now."""
        return time.monotonic() >= self._closed_until

    @property
    def connections(self) -> Connections:
        """Return the connections to the store, which are reused from datum to datum."""
        if self._connections is None:
            from trunkline.worker.store_connections import Connections  # takes 25 ms, which few workers need

            self._connections = Connections()
        return self._connections

    def close(self, reason: str) -> None:
        """Record that a transfer has failed."""
        self._closed_until = time.monotonic() + AFTER_FAILURE
        self._note = (
            f"the object store cannot be used from here ({reason}); bytes go through the server for the"
            f" next {AFTER_FAILURE / 60:.0f} minutes"
        )

    def take_note(self) -> str:
        """Return the sentence for the log and clear it; empty when there is none."""
        note, self._note = self._note, ""
        return note
