"""Finds what is right in a folder and differs between two trees, without what lies below it."""

from __future__ import annotations

from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from trunkline.storage.folder_index import child_key, children_from
from trunkline.storage.folder_reads import Folder, folder_items
from trunkline.storage.tree_diff import differing_items

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.storage.node_reader import NodeReader


def differing_children(
    reader: NodeReader, old: Folder | None, new: Folder | None, lo: bytes
) -> Iterator[bytes]:
    """Yield the keys of children that may differ, in order: names, with a slash for folders.

    Costs the nodes that the folders do not share. A folder may come out that is only stored in another form.

    Args:
        reader: reads the nodes.
        old: the folder before; None when there was none.
        new: the folder after; None when there is none.
        lo: the first key.
    """
    last = None
    for key in _differing_keys(reader, old, new, lo):
        name = _child_of(key)
        if name != last and key >= lo:
            last = name
            yield name


def _differing_keys(reader: NodeReader, old: Folder | None, new: Folder | None, lo: bytes) -> Iterator[bytes]:
    """Yield the keys, relative to the folder, of items that differ; the first ones may be before ``lo``."""
    if old is None or new is None:
        folder = old or new
        if folder is not None:
            cut = len(folder.path)
            for child in children_from(reader, folder, lo):
                yield child_key(child.path if isinstance(child, Folder) else child[0], cut)
    elif old.address is not None and new.address is not None:
        if old.address != new.address:
            for batch in differing_items(reader, old.address, new.address, lo, None):
                yield from (key for key, _, _ in batch)
    else:  # one of them is so small that its items stand in the folder above
        sides = [
            (
                item
                for keys, values in folder_items(reader, side, lo)
                for item in zip(keys, values, strict=True)
            )
            for side in (old, new)
        ]
        for key, items in groupby(merge(*sides), key=itemgetter(0)):
            values = [value for _, value in items]
            if len(values) == 1 or values[0] != values[1]:
                yield key


def _child_of(key: bytes) -> bytes:
    """Return the child that an item of a folder belongs to."""
    end = key.find(b"\0")
    slash = key.find(b"/", 0, None if end < 0 else end)
    if slash >= 0:
        return key[: slash + 1]
    return key if end < 0 else key[:end]
