"""Values of small reads, kept until the next write (docs/design/decisions/0079-reads-from-memory.md)."""

from __future__ import annotations

from typing import Any

#: Most values that are kept.
VALUES = 1_000


class RecentReads:
    """The values of one state of the database. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._stamp = -1
        self._values: dict[object, Any] = {}

    def get(self, stamp: int, key: object) -> Any:
        """Return a value, or None.

        Args:
            stamp: of the database, now.
            key: what was read.
        """
        return self._values.get(key) if stamp == self._stamp else None

    def keep(self, stamp: int, key: object, value: Any) -> None:
        """Keep a value.

        Args:
            stamp: of the database, before it was read.
            key: what was read.
            value: not to be changed by anybody.
        """
        if stamp < self._stamp:
            return
        if stamp > self._stamp or len(self._values) >= VALUES:
            self._values.clear()
        self._stamp = stamp
        self._values[key] = value
