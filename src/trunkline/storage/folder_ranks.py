"""Which child of a folder has which rank: what ``folder_index`` makes and the cache of nodes holds."""

from __future__ import annotations

from bisect import bisect_right

from msgspec import Struct

#: Children between two whose names are held.
STEP = 256


class FolderIndex(Struct, frozen=True):
    """Where the children of a folder are.

    Attributes:
        keys: of each ``STEP``-th child, relative to the folder, without the tag of a file.
        total: how many children there are.
    """

    keys: list[bytes]
    total: int

    def before(self, offset: int) -> tuple[bytes, int]:
        """Return the key of a child at or before a rank, and the rank of that child."""
        number = min(offset // STEP, len(self.keys) - 1)
        return self.keys[number], number * STEP

    def near(self, key: bytes) -> tuple[bytes, int]:
        """Return the key of the last held child that is not after a key, and its rank."""
        number = max(bisect_right(self.keys, key) - 1, 0)
        return self.keys[number], number * STEP
