"""The parts of an input: leaves, ``cross``, ``union``; ``join`` and ``group`` are in ``keyed_parts``.

The cost of ``changes`` depends on the change only: a leaf lists nothing, a cross lists only the sides beside a changed
one. This is incremental view maintenance: each part answers with its rows and with their changes, and a cross takes
the changes of one side times the rows of the others. One part enumerates both states and compares them, if a leaf
below it changed at all: a union that uses one repo and branch under one name twice, because a datum that one branch
loses another may still make.
"""

from __future__ import annotations

import hashlib
import marshal
from functools import partial
from itertools import chain, groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.pps import keyed_parts
from trunkline.pps.items import ItemRef, key_of, leaf_key, place_of
from trunkline.pps.keyed_parts import Side
from trunkline.pps.products import Relisted, changes_of_product, product_of
from trunkline.pps.sorted_rows import SortedRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trunkline.model.spec import Input, PfsInput
    from trunkline.pps.items import Change, ItemsOf, Part, Row, States


def part_of(spec: Input) -> Part:
    """Return an input as a part."""
    leaf = spec.as_files()
    if leaf is not None:
        return _Leaf(leaf)
    parts = tuple(part_of(child) for child in spec.children)
    if spec.join or spec.group:
        sides = tuple(
            Side(part, _plain_leaves(child)) for part, child in zip(parts, spec.children, strict=True)
        )
        return keyed_parts.join(sides) if spec.join else keyed_parts.group(sides)
    if spec.cross:
        return _Cross(parts)
    union = _Union(parts)
    return _Distinct(union) if union.overlaps() else union


def _plain_leaves(spec: Input) -> list[PfsInput] | None:
    """Return the leaves of an input whose rows are the items of its leaves; None for any other."""
    if not all(node.union or not node.children for node in _nodes(spec)):
        return None
    leaves = list(spec.files())
    places = {(leaf.name, leaf.repo, leaf.branch) for leaf in leaves}
    return leaves if len(places) == len(leaves) else None  # of equal items of two leaves one counts


def _nodes(spec: Input) -> Iterator[Input]:
    yield spec
    for child in spec.children:
        yield from _nodes(child)


class _Leaf(Struct, frozen=True):
    """A pfs or cron input: a row per item."""

    leaf: PfsInput

    def rows(self, items_of: ItemsOf) -> Iterator[Row]:
        for item in items_of(self.leaf):
            yield (item,)

    def changes(self, states: States) -> Iterator[Change]:
        delta = states.deltas.get(leaf_key(self.leaf))
        if delta is None:
            return
        for path, before in delta.removed.items():
            after = delta.added.get(path)
            if after != before:
                yield (before,), (after,) if after is not None else None
        for path, after in delta.added.items():
            if path not in delta.removed:
                yield None, (after,)

    def leaves(self) -> Iterator[PfsInput]:
        yield self.leaf


class _Cross(Struct, frozen=True):
    """Every row of a side with every row of the others."""

    sides: tuple[Part, ...]

    def rows(self, items_of: ItemsOf) -> Iterator[Row]:
        first, *others = self.sides
        sides: list[Iterable[Row]] = [first.rows(items_of)]
        sides += (Relisted(partial(side.rows, items_of)) for side in others)
        for combination in product_of(sides):
            yield tuple(chain.from_iterable(combination))

    def changes(self, states: States) -> Iterator[Change]:
        changes = [list(side.changes(states)) for side in self.sides]
        same = [
            Relisted(partial(_unchanged, *pair, states)) for pair in zip(self.sides, changes, strict=True)
        ]
        return changes_of_product(changes, same)

    def leaves(self) -> Iterator[PfsInput]:
        return chain.from_iterable(side.leaves() for side in self.sides)


class _Union(Struct, frozen=True):
    """The rows of one branch after those of the other."""

    branches: tuple[Part, ...]

    def rows(self, items_of: ItemsOf) -> Iterator[Row]:
        return chain.from_iterable(branch.rows(items_of) for branch in self.branches)

    def changes(self, states: States) -> Iterator[Change]:
        return chain.from_iterable(branch.changes(states) for branch in self.branches)

    def leaves(self) -> Iterator[PfsInput]:
        return chain.from_iterable(branch.leaves() for branch in self.branches)

    def overlaps(self) -> bool:
        """Return whether two branches may make a row with the same key; when unsure, yes."""
        seen: set[tuple[str, str, str]] = set()
        for branch in self.branches:
            places = {(leaf.name, leaf.repo, leaf.branch) for leaf in branch.leaves()}
            if seen & places:
                return True
            seen |= places
        return False


class _Distinct(Struct, frozen=True):
    """The rows of a union whose branches overlap: of rows with one key the first counts."""

    union: _Union

    def rows(self, items_of: ItemsOf) -> Iterator[Row]:
        with SortedRows() as pool:
            for row in self.union.rows(items_of):
                pool.add(_digest(row), _encoded(row))
            for _, group in groupby(pool, itemgetter(0)):
                yield _decoded(next(group)[1])

    def changes(self, states: States) -> Iterator[Change]:
        deltas = (states.deltas.get(leaf_key(leaf)) for leaf in self.union.leaves())
        if not any(delta.removed or delta.added for delta in deltas if delta is not None):
            return
        with SortedRows() as pool:
            for state, items_of in enumerate((states.old_items, states.new_items)):
                for row in self.union.rows(items_of):
                    pool.add(_digest(row) + bytes([state]), _encoded(row))
            for _, group in groupby(pool, lambda pair: pair[0][:_DIGEST]):
                first: dict[int, Row] = {}
                for key, value in group:
                    first.setdefault(key[_DIGEST], _decoded(value))
                old, new = first.get(0), first.get(1)
                if old != new:
                    yield old, new

    def leaves(self) -> Iterator[PfsInput]:
        return self.union.leaves()


#: Bytes of a digest of the places of a row's items.
_DIGEST = 16


def _digest(row: Row) -> bytes:
    places = "".join(f"{text}\0" for item in row for text in place_of(item))
    return hashlib.blake2b(places.encode(), digest_size=_DIGEST).digest()


def _encoded(row: Row) -> bytes:
    return marshal.dumps(tuple(map(tuple, row)))


def _decoded(value: bytes) -> Row:
    return tuple(map(ItemRef._make, marshal.loads(value)))


def _unchanged(part: Part, changes: Iterable[Change], states: States) -> Iterator[Change]:
    """Yield the rows of a part that are the same in both states."""
    added = {key_of(new) for _, new in changes if new is not None}
    for row in part.rows(states.new_items):
        if not added or key_of(row) not in added:
            yield row, row
