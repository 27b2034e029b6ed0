"""Datums: their ids and hashes, and how many an input may make.

A pfs input makes one item per match of its glob. Inputs combine items into datums: ``cross`` pairs every
item with every other, ``union`` concatenates them, ``join`` pairs those with the same ``join_on``, ``group``
puts those with the same ``group_by`` into one datum. A datum's id is a hash of the paths of its items, its hash one of
their content; both are Pachyderm's, byte for byte.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from trunkline.errors import InvalidArgument
from trunkline.model import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trunkline.model.spec import Input, PfsInput
    from trunkline.pps.items import ItemRef


class DatumSpec(NamedTuple):
    """A datum to be run: its items in the order of the inputs."""

    #: BLAKE2b-256 over the paths of the items.
    id: bytes
    #: BLAKE2b-256 over the id and the content of the items.
    hash: bytes
    items: tuple[ItemRef, ...]


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
    if total > limits.DATUMS:  # how many there would be is not known: they are counted while they are made
        raise InvalidArgument(
            f"the input makes more than {limits.DATUMS:,} datums, the limit of a job; {_SMALLER}"
        )


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
