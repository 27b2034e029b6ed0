"""Cartesian products that list long sides again instead of holding them in memory, and the changes of products."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from trunkline.pps.items import Change, ItemRef, Row

_T = TypeVar("_T")

#: Values of an iterable that are held in memory instead of listed again; rows of items have about 300 bytes, so 30 MB.
HELD_VALUES = 100_000


class Relisted(Generic[_T]):
    """An iterable that can be read several times: held in memory when short, otherwise listed again each time."""

    def __init__(self, listing: Callable[[], Iterable[_T]]) -> None:
        self._listing = listing
        self._held: list[_T] | None = None

    def __iter__(self) -> Iterator[_T]:
        return self._list() if self._held is None else iter(self._held)

    def _list(self) -> Iterator[_T]:
        held: list[_T] | None = []
        for value in self._listing():
            if held is not None:
                held.append(value)
                if len(held) > HELD_VALUES:
                    held = None
            yield value
        self._held = held


class Concatenated(Struct, Generic[_T], frozen=True):
    """Two iterables, one after the other, that can be read several times."""

    first: Iterable[_T]
    second: Iterable[_T]

    def __iter__(self) -> Iterator[_T]:
        return chain(self.first, self.second)


def product_of(sides: Sequence[Iterable[_T]]) -> Iterator[tuple[_T, ...]]:
    """Yield as ``itertools.product`` does but hold no side in memory; all after the first must be repeatable."""
    if not sides:
        yield ()
        return
    for value in sides[0]:
        for others in product_of(sides[1:]):
            yield (value, *others)


def changes_of_product(
    changes: Sequence[Sequence[Change]], same: Sequence[Iterable[Change]]
) -> Iterator[Change]:
    """Yield the changed rows of a product of sides, each once: at the first of its sides that changed.

    So the sides before that one come without their changes, the sides after it with them.

    Args:
        changes: the changes of each side.
        same: the unchanged rows of each side, as changes from a row to itself; repeatable.
    """
    whole = [Concatenated(*pair) for pair in zip(changes, same, strict=True)]
    for place, own in enumerate(changes):
        if not own:
            continue
        # The changes come first because they are in memory; a side after them may be long.
        sides: list[Iterable[Change]] = [own, *same[:place], *whole[place + 1 :]]
        for first, *others in product_of(sides):
            ordered = (*others[:place], first, *others[place:])
            old, new = _combined([c[0] for c in ordered]), _combined([c[1] for c in ordered])
            if old is not None or new is not None:
                yield old, new


def _combined(rows: Sequence[Row | None]) -> Row | None:
    """Return the rows as one; None when one of them does not exist."""
    items: list[ItemRef] = []
    for row in rows:
        if row is None:
            return None
        items += row
    return tuple(items)
