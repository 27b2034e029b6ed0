"""Start-up times of workers: measured per fleet, image and kind of machine, and stored.

The estimate is the median of the last starts of an image; before the first one, what the fleet expects.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from trunkline.meta import workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.ports import Fleet


class Starts:
    """The starts seen so far. Threads share it; two may read the same estimate."""

    def __init__(self, versions: VersionedStore, fleet: Fleet) -> None:
        self._versions = versions
        self._fleet = fleet
        self._seen: dict[str, list[float]] = {}

    def seconds(self, image: str, conn: sa.Connection | None = None) -> float:
        """Return how long a worker of this image is expected to take from being asked for to being ready.

        Args:
            image: as the spec gives it.
            conn: the snapshot that the caller reads in; None for one of its own. A thread cannot read in two at a time.
        """
        measured = self.usual(image, conn)
        return self._fleet.startup_prior if measured is None else measured

    def usual(self, image: str, conn: sa.Connection | None = None) -> float | None:
        """Return the seconds that starts of this image have usually taken; None before there was one."""
        seen = self._of(image, conn)
        return statistics.median(seen) if seen else None

    def learn(self, image: str, starts: Sequence[tuple[str, float]]) -> None:
        """Record starts of an image: (kind of machine, seconds). Blocks."""
        before = self._of(image)
        newest = starts[-workers.STARTUPS_KEPT :]
        self._versions.write(_record, self._fleet.name, image, newest)
        self._seen[image] = [*(seconds for _, seconds in reversed(newest)), *before][: workers.STARTUPS_KEPT]

    def _of(self, image: str, conn: sa.Connection | None = None) -> list[float]:
        seen = self._seen.get(image)
        if seen is None:
            if conn is None:
                rows = self._versions.read(workers.startups, self._fleet.name, image)
            else:
                rows = workers.startups(conn, self._fleet.name, image)
            seen = self._seen[image] = [seconds for _, seconds in rows]
        return seen


def _record(write: WriteTransaction, fleet: str, image: str, starts: Sequence[tuple[str, float]]) -> None:
    for kind, seconds in starts:
        workers.add_startup(write.conn, fleet, image, kind, seconds, write.now)
