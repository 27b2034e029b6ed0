"""The datums of a pipeline's input: all of them, or only those that a change of files affects.

A pfs input makes one item per match of its glob. Inputs combine items into datums: ``cross`` pairs every
item with every other, ``union`` concatenates them, ``join`` pairs those with the same ``join_on``, ``group``
puts those with the same ``group_by`` into one datum. A datum's id is a hash of the paths of its items, its hash one of
their content; both are Pachyderm's, byte for byte.

Inputs are evaluated by parts (``input_parts``, ``keyed_parts``), which say what a change costs; docs/design/inputs.md
has the whole picture.

This module reads neither trees nor commits: items come from callables, and lists are not held in memory, unless
they are short and read again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from trunkline.model import limits
from trunkline.pps.input_parts import part_of
from trunkline.pps.items import States
from trunkline.runtime import cancellation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trunkline.model.spec import Input, PfsInput
    from trunkline.pps.items import ItemRef, ItemsOf, LeafDelta, LeafKey


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


def enumerate_datums(spec: Input, items_of: ItemsOf, salt: str) -> Iterator[DatumSpec]:
    """Yield every datum of an input once, in no particular order.

    Args:
        spec: a complete and validated input.
        items_of: lists the items of a leaf.
        salt: the pipeline's.
    """
    for row in part_of(spec).rows(items_of):
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
    leaf = spec.as_files()
    if leaf is not None:
        return count_items(leaf)
    if spec.cross:
        return prod(_count(child, count_items) for child in spec.cross)
    return sum(_count(child, count_items) for child in spec.union)


def changed(
    spec: Input,
    deltas: Mapping[LeafKey, LeafDelta],
    old_items: ItemsOf,
    new_items: ItemsOf,
    salt: str,
) -> Iterator[DatumChange]:
    """Yield the datums that differ between two states of the files, each once, in no particular order.

    The same as comparing ``enumerate_datums`` of both, at the cost of what changed (see the module's text).

    Args:
        spec: a complete and validated input.
        deltas: the changed items by ``leaf_key``; a leaf that is missing has not changed.
        old_items: lists the items of a leaf before the change.
        new_items: lists the items of a leaf after it; must agree with ``deltas``.
        salt: the pipeline's.
    """
    for old_row, new_row in part_of(spec).changes(States(deltas, old_items, new_items)):
        cancellation.check()
        old = datum_of(old_row, salt) if old_row is not None else None
        new = datum_of(new_row, salt) if new_row is not None else None
        # Not so when only the content of reference items changed.
        if old is None or new is None or old.hash != new.hash:
            yield DatumChange(old, new)
