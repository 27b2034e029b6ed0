"""How long starts of workers take here: measured per fleet, image and kind of machine, and kept.

The estimate is the median of the last starts of an image; before there is one, of nothing better than the
fleet's prior. It also says when a start has taken so long that somebody should look.
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

#: A start is worrying when it takes longer than this many usual ones, and never before ``WORRY_LEAST`` seconds:
#: image pulls and machines vary by a factor of two from day to day.
WORRY_STARTS, WORRY_LEAST = 3.0, 60.0


class Starts:
    """The starts seen so far. Threads share it: two that read the same estimate waste a moment, no more."""

    def __init__(self, versions: VersionedStore, fleet: Fleet) -> None:
        self._versions = versions
        self._fleet = fleet
        self._seen: dict[str, list[float]] = {}

    def seconds(self, image: str, conn: sa.Connection | None = None) -> float:
        """Return how long a worker of this image is expected to take from being asked for to being ready.

        Args:
            image: as the spec gives it.
            conn: the snapshot that the caller reads in; a thread cannot read in two at a time.
        """
        found = self.usual(image, conn)
        return self._fleet.startup_prior if found is None else found

    def usual(self, image: str, conn: sa.Connection | None = None) -> float | None:
        """Return the seconds that starts of this image have usually taken; None before there was one."""
        seen = self._of(image, conn)
        return statistics.median(seen) if seen else None

    def learn(self, image: str, found: Sequence[tuple[str, float]]) -> None:
        """Remember starts of an image: (kind of machine, seconds). Blocks."""
        before = self._of(image)
        kept = found[-workers.STARTUPS_KEPT :]
        self._versions.write(_remember, self._fleet.name, image, kept)
        self._seen[image] = [*(seconds for _, seconds in reversed(kept)), *before][: workers.STARTUPS_KEPT]

    def _of(self, image: str, conn: sa.Connection | None = None) -> list[float]:
        found = self._seen.get(image)
        if found is None:
            if conn is None:
                rows = self._versions.read(workers.startups, self._fleet.name, image)
            else:
                rows = workers.startups(conn, self._fleet.name, image)
            found = self._seen[image] = [seconds for _, seconds in rows]
        return found


def _remember(write: WriteTransaction, fleet: str, image: str, found: Sequence[tuple[str, float]]) -> None:
    for kind, seconds in found:
        workers.add_startup(write.conn, fleet, image, kind, seconds, write.now)


def opinion(usual: float | None, waited: float) -> str:
    """Say what to think of a worker that has waited for so many seconds, in brackets; nothing without experience."""
    if usual is None:
        return ""
    worrying = max(WORRY_STARTS * usual, WORRY_LEAST)
    if waited > worrying:
        return f" (for longer than usual: starts take about {_about(usual)} s here)"
    return f" (starts take about {_about(usual)} s here; worry after {worrying:.0f} s)"


def _about(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"
