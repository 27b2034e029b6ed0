"""On which machine a worker starts, when several share the workers of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Room(NamedTuple):
    """What a machine has for workers."""

    #: How many workers it should have at most; above that only one without a limit takes more.
    slots: int
    #: Workers on it.
    workers: int
    #: Bytes that no worker has requested.
    free_memory: int
    #: Whether it takes no more workers than slots.
    is_limited: bool


def choose(rooms: Sequence[Room], memory: int) -> int | None:
    """Return the position of the machine for a worker: the one that is then the least loaded for its slots.

    Args:
        rooms: of the machines; the first of equally good ones is chosen.
        memory: bytes that the worker requests.

    Returns:
        None when no machine has room.
    """
    fits = [
        ((room.workers + 1) / max(1, room.slots), position)
        for position, room in enumerate(rooms)
        if memory <= room.free_memory and (room.workers < room.slots or not room.is_limited)
    ]
    return min(fits)[1] if fits else None
