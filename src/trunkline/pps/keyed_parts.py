"""``join`` and ``group``: the items of their sides by key.

Each item has a key of its own: the value of ``join_on`` or ``group_by`` of its leaf. A join pairs the items of its
sides that have one key, a group puts all of them into one row. A side that combines inputs itself gives the items of
its rows, each once for a key.

Items are sorted by key in bounded memory; only those of one key are held. A change lists only the keys of changed
items: where a key determines a group of the leaf's glob, the paths with that key are looked up, otherwise the leaf
is listed and other keys are left out.
"""

from __future__ import annotations

from itertools import chain, product
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from trunkline.model.glob_keys import keys as keys_of
from trunkline.pps.item_pool import ItemPool
from trunkline.pps.items import LeafDelta, key_of, leaf_key, place_of
from trunkline.pps.products import changes_of_product

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence, Set

    from trunkline.model.spec import PfsInput
    from trunkline.pps.items import Change, ItemRef, ItemsOf, Part, Row, States

#: Keys that are looked up one by one, in some 300 microseconds each; for more keys the leaves are listed.
LOOKED_UP_KEYS = 1_000

#: The states that a change is between, and the delta of a leaf without one.
_OLD, _NEW = 0, 1
_UNCHANGED = LeafDelta(removed={}, added={})

#: The items of one key, by side.
_Sides: TypeAlias = "list[list[ItemRef]]"


class Side(Struct, frozen=True):
    """A side of a join or group."""

    part: Part
    #: The leaves when the rows of the side are the items of these leaves, each once; otherwise None.
    plain: Sequence[PfsInput] | None


class Keyed(Struct, frozen=True):
    """A join or group."""

    sides: tuple[Side, ...]
    #: Returns the key of an item, and the template that makes the keys of a leaf.
    key_of: Callable[[ItemRef], str]
    template_of: Callable[[PfsInput], str]
    #: Yields the rows of one key in one state, and the changes between two.
    rows_of_key: Callable[[_Sides], Iterator[Row]]
    changes_of_key: Callable[[_Sides, _Sides], Iterator[Change]]

    def rows(self, items_of: ItemsOf) -> Iterator[Row]:
        """Yield all rows of one state, by key."""
        with ItemPool(self.key_of) as pool:
            for number, side in enumerate(self.sides):
                for row in side.part.rows(items_of):
                    for item in row:
                        pool.add(item, number)
            for groups in pool.groups():
                yield from self.rows_of_key(self._by_side(groups))

    def changes(self, states: States) -> Iterator[Change]:
        """Yield the rows that differ between both states, by key."""
        keys = {key for side in self.sides for key in self._keys_of_changes(side.part, states)}
        if not keys:
            return
        count = len(self.sides)
        with ItemPool(self.key_of) as pool:
            for number, side in enumerate(self.sides):
                for state, item in self._items_with_keys(side, keys, states):
                    pool.add(item, state * count + number)
            for groups in pool.groups():
                pairs = list(groups)
                old = self._by_side((number, item) for number, item in pairs if number < count)
                new = self._by_side((number - count, item) for number, item in pairs if number >= count)
                yield from self.changes_of_key(old, new)

    def leaves(self) -> Iterator[PfsInput]:
        """Yield the leaves below."""
        return chain.from_iterable(side.part.leaves() for side in self.sides)

    def _keys_of_changes(self, part: Part, states: States) -> Iterator[str]:
        for change in part.changes(states):
            for row in change:
                yield from map(self.key_of, row or ())

    def _items_with_keys(self, side: Side, keys: Set[str], states: States) -> Iterator[tuple[int, ItemRef]]:
        """Yield the items of a side that have one of these keys, each with its state, some twice."""
        if side.plain is None:
            for state, items_of in enumerate((states.old_items, states.new_items)):
                for row in side.part.rows(items_of):
                    yield from ((state, item) for item in row if self.key_of(item) in keys)
            return
        # Listed in the new state alone: the old one differs from it by the changes.
        for leaf in side.plain:
            delta = states.deltas.get(leaf_key(leaf), _UNCHANGED)
            for item in self._of_leaf_with_keys(leaf, keys, states.new_items):
                if self.key_of(item) in keys:
                    yield _NEW, item
                    if item.path not in delta.added:
                        yield _OLD, item
            for item in delta.removed.values():
                if self.key_of(item) in keys:
                    yield _OLD, item

    def _of_leaf_with_keys(self, leaf: PfsInput, keys: Set[str], items_of: ItemsOf) -> Iterable[ItemRef]:
        globs = None
        if len(keys) <= LOOKED_UP_KEYS:
            globs = keys_of(leaf.glob, self.template_of(leaf)).globs_for(keys)
        if globs is None:
            return items_of(leaf)
        return (item for key, glob in globs for item in items_of(leaf, glob) if self.key_of(item) == key)

    def _by_side(self, groups: Iterable[tuple[int, ItemRef]]) -> _Sides:
        """Return the items of one key and state by side, each once; of those at one place the first counts."""
        sides: _Sides = [[] for _ in self.sides]
        for number, item in groups:
            sides[number].append(item)
        for number, side in enumerate(self.sides):
            if side.plain is None:
                by_place: dict[object, ItemRef] = {}
                for item in sides[number]:
                    by_place.setdefault(place_of(item), item)
                sides[number] = list(by_place.values())
        return sides


def join(sides: tuple[Side, ...]) -> Keyed:
    """Return a join: per key every combination of one item from each side.

    Where a side has no item with the key, the items that are ``outer_join`` are combined without the others.
    """
    return Keyed(
        sides,
        lambda item: item.join_on,
        lambda leaf: leaf.join_on,
        _joined,
        _changes_of_joined,
    )


def group(sides: tuple[Side, ...]) -> Keyed:
    """Return a group: per key one row of all items, by side, then by path, name, repo and branch."""
    return Keyed(
        sides,
        lambda item: item.group_by,
        lambda leaf: leaf.group_by,
        _grouped,
        _changes_of_grouped,
    )


def _joined(sides: _Sides) -> Iterator[Row]:
    if all(sides):
        yield from product(*sides)
        return
    for combination in product(*_choices(sides)):
        row = tuple(chain.from_iterable(combination))
        if row:
            yield row


def _choices(sides: _Sides) -> list[list[Row]]:
    """Return what each side may give to a row: one of its items, or nothing where a side is missing."""
    if all(sides):
        return [[(item,) for item in side] for side in sides]
    choices: list[list[Row]] = []
    for side in sides:
        outer: list[Row] = [(item,) for item in side if item.outer_join]
        choices.append(outer if outer and len(outer) == len(side) else [*outer, ()])
    return choices


def _changes_of_joined(old: _Sides, new: _Sides) -> Iterator[Change]:
    changes: list[list[Change]] = []
    same: list[list[Change]] = []
    for before, after in zip(_choices(old), _choices(new), strict=True):
        by_key = {key_of(row): row for row in before}
        changed: list[Change] = []
        unchanged: list[Change] = []
        for row in after:
            earlier = by_key.pop(key_of(row), None)
            (unchanged if earlier == row else changed).append((earlier, row))
        changed += ((row, None) for row in by_key.values())
        changes.append(changed)
        same.append(unchanged)
    for earlier, later in changes_of_product(changes, same):
        if earlier or later:  # a row of nothing is none
            yield earlier or None, later or None


def _grouped(sides: _Sides) -> Iterator[Row]:
    row = tuple(chain.from_iterable(sides))
    if row:
        yield row


def _changes_of_grouped(old: _Sides, new: _Sides) -> Iterator[Change]:
    before, after = next(_grouped(old), None), next(_grouped(new), None)
    if before is not None and after is not None and key_of(before) == key_of(after):
        if before != after:
            yield before, after
        return
    if before is not None:
        yield before, None
    if after is not None:
        yield None, after
