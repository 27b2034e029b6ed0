"""The datums of a pipeline's input: all of them, or only those that a change of files affects.

A pfs input makes one item per match of its glob. Inputs combine items into datums: ``cross`` pairs every
item with every other, ``union`` concatenates them, ``join`` pairs those with the same ``join_on``, ``group``
puts those with the same ``group_by`` into one datum. A datum's id is a hash of the paths of its items, its hash one of
their content; both are Pachyderm's, byte for byte.

The cost of ``changed`` depends on the change only: an input of one pfs leaf lists nothing, a cross lists only the
sides beside a changed one. This is incremental view maintenance: each part of the input answers with its rows and with
their changes, and a cross takes the changes of one side times the rows of the others. Three parts
enumerate both states and compare, if a leaf below them changed at all: ``join`` and ``group``, because one
file may touch many datums, and a ``union`` that uses one repo and branch under one name twice, because a
datum that one branch loses another may still make.

This module reads neither trees nor commits: items come from callables, and lists are not held in memory, unless
they are short and read again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain, product
from math import prod
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from trunkline.errors import Unimplemented
from trunkline.model import limits
from trunkline.pps.products import Concatenated, Relisted, product_of
from trunkline.runtime import cancellation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from trunkline.model.spec import Input, PfsInput

#: All fields that decide which items a leaf has for the same files.
LeafKey: TypeAlias = tuple[str, ...]


class ItemRef(NamedTuple):
    """A file or directory that a leaf's glob matched; a named tuple, as there may be a million at a time."""

    #: Name of the input, which is its folder below /pfs.
    input: str
    repo: str
    branch: str
    #: Directories end with ``/``.
    path: str
    hash: bytes
    #: Bytes.
    size: int
    #: What ``join_on`` and ``group_by`` of the leaf become for this path.
    join_on: str = ""
    group_by: str = ""
    #: The content does not count: a change of it does not run the datum again.
    reference: bool = False


class DatumSpec(NamedTuple):
    """A datum to be run: its items in the order of the inputs."""

    #: BLAKE2b-256 over the paths of the items.
    id: bytes
    #: BLAKE2b-256 over the id and the content of the items.
    hash: bytes
    items: tuple[ItemRef, ...]


@dataclass(frozen=True, slots=True)
class DatumChange:
    """A datum that is new (``old`` is None), no longer exists (``new`` is None) or has another hash."""

    old: DatumSpec | None
    new: DatumSpec | None


@dataclass(frozen=True, slots=True)
class LeafDelta:
    """The items of a leaf that differ, by path. A changed item is in both."""

    removed: Mapping[str, ItemRef]
    added: Mapping[str, ItemRef]


def leaves(spec: Input) -> list[tuple[LeafKey, PfsInput]]:
    """Return the pfs inputs below an input with their keys, in order, equal ones once."""
    by_key: dict[LeafKey, PfsInput] = {}
    for node in spec.leaves():
        if node.pfs is not None:
            by_key.setdefault(leaf_key(node.pfs), node.pfs)
    return list(by_key.items())


def leaf_key(leaf: PfsInput) -> LeafKey:
    """Return the key of a pfs input in the mapping that ``changed`` takes."""
    where = (leaf.project, leaf.repo, leaf.repo_type, leaf.branch, leaf.commit)
    return (*where, leaf.glob, leaf.name, leaf.join_on, leaf.group_by, str(leaf.reference))


def datum_of(items: tuple[ItemRef, ...], salt: str) -> DatumSpec:
    """Return the datum of some items.

    Args:
        items: in the order of the inputs.
        salt: the pipeline's; another one makes every hash another.
    """
    names: list[bytes] = []
    for item in items:
        path = item.path.encode()
        names += (_repo_of_id(item.input, item.repo, item.branch), path, len(path).to_bytes(8, "big"))
    place = hashlib.blake2b(b"".join(names), digest_size=32)
    content = [
        place.hexdigest().encode(),
        *(item.hash for item in items if not item.reference),
        salt.encode(),
    ]
    return DatumSpec(place.digest(), hashlib.blake2b(b"".join(content), digest_size=32).digest(), items)


@lru_cache(maxsize=256)
def _repo_of_id(*names: str) -> bytes:
    """Return the part of an id that all items of a leaf have in common."""
    encoded = [name.encode() for name in names]
    return b"".join(name + len(name).to_bytes(8, "big") for name in encoded)


def enumerate_datums(
    spec: Input, items_of: Callable[[PfsInput], Iterable[ItemRef]], salt: str
) -> Iterator[DatumSpec]:
    """Yield every datum of an input once, in no particular order.

    Args:
        spec: a complete and validated input.
        items_of: lists all items of a leaf; may be called several times for one leaf.
        salt: the pipeline's.

    Raises:
        Unimplemented: a cron input.
    """
    for row in _part(spec).rows(items_of):
        cancellation.check()
        yield datum_of(row, salt)


def check_count(spec: Input, count_items: Callable[[PfsInput], int]) -> None:
    """Check that an input does not make more datums than a job may have, before any is made.

    Only a cross makes more datums than it has files, so only the items of a cross are counted.

    Args:
        spec: a complete and validated input.
        count_items: returns the number of items of a leaf.

    Raises:
        InvalidArgument: it makes more.
    """
    for node in _crosses(spec):
        sides = [_count(side, count_items) for side in node.cross]
        text = " x ".join(f"{side:,}" for side in sides)
        what = f"a cross of {text} items"
        limits.check_count(prod(sides), limits.DATUMS, what, _SMALLER)
        limits.check_count(prod(sides) * _width(node), limits.DATUM_ITEMS, what, _SMALLER)


def check_total(total: int) -> None:
    """Check the number of datums that an input has made so far.

    Raises:
        InvalidArgument: there are more than a job may have.
    """
    limits.check_count(total, limits.DATUMS, "the input", _SMALLER)


#: How to have fewer datums.
_SMALLER = "use narrower globs, or globs that match folders instead of files"


def _crosses(spec: Input) -> Iterator[Input]:
    if spec.cross:
        yield spec
    else:
        for child in spec.children:
            yield from _crosses(child)


def _width(spec: Input) -> int:
    """Return the largest number of items of a datum; that of a join or group is unknown and counts as one."""
    if spec.cross:
        return sum(map(_width, spec.cross))
    return max(map(_width, spec.union), default=1)


def _count(spec: Input, count_items: Callable[[PfsInput], int]) -> int:
    """Return the largest number of datums of an input; that of a join or group is unknown and counts as none."""
    if spec.pfs is not None:
        return count_items(spec.pfs)
    if spec.cross:
        return prod(_count(child, count_items) for child in spec.cross)
    return sum(_count(child, count_items) for child in spec.union)


def changed(
    spec: Input,
    deltas: Mapping[LeafKey, LeafDelta],
    old_items: Callable[[PfsInput], Iterable[ItemRef]],
    new_items: Callable[[PfsInput], Iterable[ItemRef]],
    salt: str,
) -> Iterator[DatumChange]:
    """Yield the datums that differ between two states of the files, each once, in no particular order.

    The same as comparing ``enumerate_datums`` of both, at the cost of what changed (see the module's text).

    Args:
        spec: a complete and validated input.
        deltas: the changed items by ``leaf_key``; a leaf that is missing has not changed.
        old_items: lists all items of a leaf before the change.
        new_items: lists all items of a leaf after it; must agree with ``deltas``.
        salt: the pipeline's.

    Raises:
        Unimplemented: a cron input.
    """
    for old_row, new_row in _part(spec).changes(_States(deltas, old_items, new_items)):
        cancellation.check()
        old = datum_of(old_row, salt) if old_row is not None else None
        new = datum_of(new_row, salt) if new_row is not None else None
        # Not so when only the content of reference items changed.
        if old is None or new is None or old.hash != new.hash:
            yield DatumChange(old, new)


# --- the parts of an input ------------------------------------------------------------------------------

#: The items of a datum, or of the part of one that a part of the input makes.
_Row: TypeAlias = tuple[ItemRef, ...]
#: Where the items are: two rows with one key are the same row in two states.
_RowKey: TypeAlias = tuple[tuple[str, str, str, str], ...]
#: A row before and after; None where it does not exist.
_Change: TypeAlias = "tuple[_Row | None, _Row | None]"
_ItemsOf: TypeAlias = "Callable[[PfsInput], Iterable[ItemRef]]"


@dataclass(frozen=True, slots=True)
class _States:
    """Both states of the files."""

    deltas: Mapping[LeafKey, LeafDelta]
    old_items: _ItemsOf
    new_items: _ItemsOf


class _Part(Protocol):
    """A node of the input. Rows have unique keys; so have changes."""

    def rows(self, items_of: _ItemsOf) -> Iterator[_Row]:
        """Yield all rows of one state."""

    def changes(self, states: _States) -> Iterator[_Change]:
        """Yield the rows that differ between both states."""

    def leaves(self) -> Iterator[PfsInput]:
        """Yield the leaves below."""


def _part(spec: Input) -> _Part:
    if spec.pfs is not None:
        return _Leaf(spec.pfs)
    pfs = tuple(node.pfs for node in spec.leaves() if node.pfs is not None)
    if spec.join:
        return _Compared(partial(_join_rows, pfs), pfs)
    if spec.group:
        return _Compared(partial(_group_rows, pfs), pfs)
    parts = tuple(_part(child) for child in spec.children)
    if spec.cross:
        return _Cross(parts)
    if spec.union:
        union = _Union(parts)
        return _Compared(union.rows, pfs) if union.overlaps() else union
    raise Unimplemented(f'input "{spec.name}" is a cron input and those are not built yet; use a pfs input')


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A pfs input: a row per item."""

    leaf: PfsInput

    def rows(self, items_of: _ItemsOf) -> Iterator[_Row]:
        for item in items_of(self.leaf):
            yield (item,)

    def changes(self, states: _States) -> Iterator[_Change]:
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


@dataclass(frozen=True, slots=True)
class _Cross:
    """Every row of a side with every row of the others."""

    sides: tuple[_Part, ...]

    def rows(self, items_of: _ItemsOf) -> Iterator[_Row]:
        first, *others = self.sides
        sides: list[Iterable[_Row]] = [first.rows(items_of)]
        sides += (Relisted(partial(side.rows, items_of)) for side in others)
        for combination in product_of(sides):
            yield tuple(chain.from_iterable(combination))

    def changes(self, states: _States) -> Iterator[_Change]:
        """Yield each changed row once: at the first of its sides that changed.

        So the sides before that one come without their changes, the sides after it with them.
        """
        changes = [list(side.changes(states)) for side in self.sides]
        same = [
            Relisted(partial(_unchanged, *pair, states)) for pair in zip(self.sides, changes, strict=True)
        ]
        whole = [Concatenated(*pair) for pair in zip(changes, same, strict=True)]
        for place, own in enumerate(changes):
            if not own:
                continue
            # The changes come first because they are in memory; a side after them may be long.
            sides: list[Iterable[_Change]] = [own, *same[:place], *whole[place + 1 :]]
            for first, *others in product_of(sides):
                ordered = (*others[:place], first, *others[place:])
                old, new = _combined([c[0] for c in ordered]), _combined([c[1] for c in ordered])
                if old is not None or new is not None:
                    yield old, new

    def leaves(self) -> Iterator[PfsInput]:
        return chain.from_iterable(side.leaves() for side in self.sides)


@dataclass(frozen=True, slots=True)
class _Union:
    """The rows of one branch after those of the other."""

    branches: tuple[_Part, ...]

    def rows(self, items_of: _ItemsOf) -> Iterator[_Row]:
        return chain.from_iterable(branch.rows(items_of) for branch in self.branches)

    def changes(self, states: _States) -> Iterator[_Change]:
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


@dataclass(frozen=True, slots=True)
class _Compared:
    """Finds the changes of a part by comparing all its rows; of rows with one key the first counts."""

    rows_of: Callable[[_ItemsOf], Iterable[_Row]]
    pfs: tuple[PfsInput, ...]

    def rows(self, items_of: _ItemsOf) -> Iterator[_Row]:
        seen: set[_RowKey] = set()
        for row in self.rows_of(items_of):
            key = _key_of(row)
            if key not in seen:
                seen.add(key)
                yield row

    def changes(self, states: _States) -> Iterator[_Change]:
        deltas = (states.deltas.get(leaf_key(leaf)) for leaf in self.pfs)
        if not any(delta.removed or delta.added for delta in deltas if delta is not None):
            return
        old = {_key_of(row): row for row in self.rows(states.old_items)}
        for row in self.rows(states.new_items):
            before = old.pop(_key_of(row), None)
            if before != row:
                yield before, row
        for row in old.values():
            yield row, None

    def leaves(self) -> Iterator[PfsInput]:
        return iter(self.pfs)


def _join_rows(pfs: tuple[PfsInput, ...], items_of: _ItemsOf) -> Iterator[_Row]:
    """Yield the rows of a join: per key every combination of one item from each side.

    Where a side has no item with the key, the sides that are ``outer_join`` are combined without the others.
    """
    sides = [_by_key(items_of(leaf), lambda item: item.join_on) for leaf in pfs]
    for key in dict.fromkeys(chain.from_iterable(sides)):
        present = [(leaf, side[key]) for leaf, side in zip(pfs, sides, strict=True) if key in side]
        if len(present) < len(sides):
            present = [(leaf, items) for leaf, items in present if leaf.outer_join]
        if present:
            yield from product(*(items for _, items in present))


def _group_rows(pfs: tuple[PfsInput, ...], items_of: _ItemsOf) -> Iterator[_Row]:
    """Yield the rows of a group: per key all its items, by side and path."""
    sides = [_by_key(items_of(leaf), lambda item: item.group_by) for leaf in pfs]
    for key in dict.fromkeys(chain.from_iterable(sides)):
        sorted_items = (sorted(side.get(key, ()), key=lambda item: item.path) for side in sides)
        yield tuple(chain.from_iterable(sorted_items))


def _by_key(items: Iterable[ItemRef], key_of: Callable[[ItemRef], str]) -> dict[str, list[ItemRef]]:
    groups: dict[str, list[ItemRef]] = {}
    for item in items:
        groups.setdefault(key_of(item), []).append(item)
    return groups


def _unchanged(part: _Part, changes: Iterable[_Change], states: _States) -> Iterator[_Change]:
    """Yield the rows of a part that are the same in both states."""
    added = {_key_of(new) for _, new in changes if new is not None}
    for row in part.rows(states.new_items):
        if not added or _key_of(row) not in added:
            yield row, row


def _combined(rows: Sequence[_Row | None]) -> _Row | None:
    """Return the rows as one; None when one of them does not exist."""
    items: list[ItemRef] = []
    for row in rows:
        if row is None:
            return None
        items += row
    return tuple(items)


def _key_of(row: _Row) -> _RowKey:
    return tuple(item[:4] for item in row)
