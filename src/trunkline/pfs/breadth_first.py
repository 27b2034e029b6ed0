"""A walk over what depends on what, nearest first: each level is read in steps, each in a snapshot of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    import sqlalchemy as sa

    from trunkline.pfs.repository import VersionedStore


def levels(
    versions: VersionedStore,
    starts: Sequence[int],
    neighbours: Callable[[sa.Connection, Sequence[int]], Iterable[int]],
    *,
    step: int,
    limit: int,
    depth: int,
) -> Generator[list[int]]:
    """Yield the row numbers reached from ``starts`` (without those), one list for each distance. Blocks.

    Args:
        versions: the store.
        starts: row numbers where the walk begins.
        neighbours: returns the row numbers that are one edge away from some.
        step: how many row numbers ``neighbours`` gets at a time.
        limit: at most so many are yielded in all.
        depth: at most so many edges away.
    """
    reached: set[int] = set()
    border = list(starts)
    for _ in range(depth):
        following: dict[int, None] = {}
        for start in range(0, len(border), step):
            following.update(dict.fromkeys(versions.read(neighbours, border[start : start + step])))
        border = [number for number in following if number not in reached]
        yield border[: limit - len(reached)]
        reached.update(border)
        if not border or len(reached) >= limit:
            return
