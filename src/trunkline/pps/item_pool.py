"""Items by key, of any number, in bounded memory: ``SortedRows`` with items in them."""

from __future__ import annotations

import struct
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from trunkline.pps.items import ItemRef
from trunkline.pps.sorted_rows import SortedRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Number of the side, position of what the items of a leaf share, bytes of the hash, size. Then come the hash, and
#: texts with NUL between them, which no path or key holds.
_HEAD = struct.Struct("<HHBQ")


class ItemPool:
    """Items, each with the number of the side that it belongs to. First all are added, then they are read.

    A context: leaving it frees the files.
    """

    def __init__(self, key_of: Callable[[ItemRef], str]) -> None:
        """Make it empty.

        Args:
            key_of: returns the key of an item.
        """
        self._key_of = key_of
        self._rows = SortedRows()
        #: Fields of items that are the same for all items of a leaf, and their positions.
        self._leaves: dict[tuple[str, str, str, bool, bool, str], int] = {}

    def __enter__(self) -> ItemPool:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()

    def add(self, item: ItemRef, side: int) -> None:
        """Add an item to a side."""
        name, repo, branch, path, hash, size, join_on, group_by, reference, outer_join, origin = item
        same = name, repo, branch, reference, outer_join, origin
        leaf = self._leaves.setdefault(same, len(self._leaves))
        head = _HEAD.pack(side, leaf, len(hash), size)
        place = f"{self._key_of(item)}\0{side:04x}{path}\0{name}\0{repo}\0{branch}"
        self._rows.add(place.encode(), b"%b%b%b" % (head, hash, f"{path}\0{join_on}\0{group_by}".encode()))

    def groups(self) -> Iterator[Iterator[tuple[int, ItemRef]]]:
        """Yield for each key its sides and items: by side, path, name, repo and branch, then as they were added."""
        key_of = self._key_of
        for _, group in groupby(self._items(), lambda pair: key_of(pair[1])):
            yield group

    def _items(self) -> Iterator[tuple[int, ItemRef]]:
        leaves = list(self._leaves)
        start = _HEAD.size
        for value in map(itemgetter(1), self._rows):
            side, leaf, hash_bytes, size = _HEAD.unpack_from(value)
            end = start + hash_bytes
            path, join_on, group_by = value[end:].decode().split("\0")
            name, repo, branch, reference, outer_join, origin = leaves[leaf]
            yield (
                side,
                ItemRef(
                    name, repo, branch, path, value[start:end], size,
                    join_on, group_by, reference, outer_join, origin,
                ),
            )  # fmt: skip
