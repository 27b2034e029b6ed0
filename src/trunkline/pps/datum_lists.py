"""The datums of a pipeline's input: all of them, or only those that a change of files affects.

Inputs are evaluated by parts (``input_parts``, ``keyed_parts``), which say what a change costs; docs/design/inputs.md
has the whole picture. Nothing here reads trees or commits: items come from callables, and long lists of them are in
temporary files, not in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.pps.datums import datum_of
from trunkline.pps.input_parts import part_of
from trunkline.pps.items import States
from trunkline.runtime import cancellation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trunkline.model.spec import Input
    from trunkline.pps.datums import DatumSpec
    from trunkline.pps.items import ItemsOf, LeafDelta, LeafKey


class DatumChange(Struct, frozen=True):
    """A datum that is new (``old`` is None), no longer exists (``new`` is None) or has another hash."""

    old: DatumSpec | None
    new: DatumSpec | None


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
