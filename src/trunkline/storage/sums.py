"""Kinds of trees, ids of trees, and sums of rows: what can be said about a range without reading it.

Sums can be added and subtracted and do not depend on where nodes end (``docs/design/format.md``, Sums). Within the
storage engine they are tuples of columns, as inner nodes hold them: ``(rows,)``, or for file trees
``(rows, bytes, four lanes of the content sum)``. ``Sums`` is the same with names, for everybody else.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NewType

from blake3 import blake3
from msgspec import Struct

from trunkline.errors import DataLoss
from trunkline.storage.chunks import ChunkId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: A tree: the chunk id of the top node of its top sequence.
TreeId = NewType("TreeId", bytes)

#: The tree without rows, of any kind: the id of the empty leaf of a file tree. It is never stored.
EMPTY = TreeId(blake3(b"TN\x02\x01" + bytes(8)).digest())

#: Four sums modulo 2^64.
Lanes = tuple[int, int, int, int]

#: Sums as inner nodes hold them.
Columns = tuple[int, ...]

NO_LANES: Lanes = (0, 0, 0, 0)

_MASK = (1 << 64) - 1
_SLASH = ord("/")
_LENGTH = struct.Struct("<I")
#: Address, rows, bytes, content sum, weight.
_ENTRY = struct.Struct("<32sQQ4QQ")


class TreeKind(Struct, frozen=True):
    """How trees of a kind are stored, and what their rows are summed up to.

    Attributes:
        number: marks the nodes of this kind (``docs/design/format.md``, Nodes).
        leaf: bytes of keys and values that a leaf holds on average.
        fan_out: children that an inner node has on average.
        own: the weight from which on a folder is a sequence of its own; 0 when rows of this kind have no folders.
        summed_of: returns the bytes that values stand for in all, and what of each enters the content sum; None when
            rows of this kind have no such sums.
    """

    number: int
    leaf: int
    fan_out: int
    own: int = 0
    summed_of: Callable[[Sequence[bytes]], tuple[int, Sequence[bytes]]] | None = None

    @property
    def summed(self) -> bool:
        """Whether bytes and content sums are stored, so that folders can be compared by their hash."""
        return self.summed_of is not None

    @property
    def top(self) -> bytes:
        """The folder of the top sequence: what the full keys have before the keys in the sequence."""
        return b"/" if self.own else b""


#: Numbers of kinds.
FILE_TREE, DELTA_TREE, DATUM_TREE, RECORD_TREE = 1, 2, 3, 4


class Sums(Struct, frozen=True):
    """Aggregates of a range of rows. Can be added and subtracted."""

    rows: int = 0
    #: Sum of the rows' sizes.
    size: int = 0
    content: Lanes = NO_LANES

    def __add__(self, other: Sums) -> Sums:
        return named(add(_columns(self), _columns(other)))

    def __sub__(self, other: Sums) -> Sums:
        return named(subtract(_columns(self), _columns(other)))


class Entry(Struct, frozen=True):
    """A sub-tree entry: a folder that is a sequence of its own, as an item of the sequence above.

    Attributes:
        address: of the sequence.
        sums: of all rows below the folder.
        weight: bytes of the keys and values of the sequence's items.
    """

    address: ChunkId
    sums: Columns
    weight: int

    def encode(self) -> bytes:
        """Return the value of the item."""
        return _ENTRY.pack(self.address, *self.sums, self.weight)


#: Bytes of an entry's value.
ENTRY_BYTES = _ENTRY.size


def decode_entry(value: bytes) -> Entry:
    """Return the sub-tree entry of an item's value.

    Raises:
        DataLoss: the value is not that of an entry.
    """
    if len(value) != _ENTRY.size:
        raise DataLoss(
            f"the entry of a folder has {len(value)} bytes, {_ENTRY.size} are expected; it was written by a newer"
            " format: use the release that wrote it"
        )
    address, *sums, weight = _ENTRY.unpack(value)
    return Entry(ChunkId(address), tuple(sums), weight)


def is_entry(key: bytes) -> bool:
    """Return whether an item's key is that of a sub-tree entry: a path with a slash at its end, without a tag."""
    return key.endswith(b"/") and b"\0" not in key


def entries_among(keys: Sequence[bytes]) -> list[int]:
    """Return the numbers of the items that are sub-tree entries."""
    return [at for at, key in enumerate(keys) if key[-1] == _SLASH and is_entry(key)]


def named(columns: Columns) -> Sums:
    """Return sums with names."""
    if len(columns) == 1:
        return Sums(columns[0])
    rows, size, a, b, c, d = columns
    return Sums(rows, size, (a, b, c, d))


def none(kind: TreeKind) -> Columns:
    """Return the sums of no rows."""
    return (0, 0, 0, 0, 0, 0) if kind.summed else (0,)


def add(a: Columns, b: Columns) -> Columns:
    """Return the sums of two ranges together."""
    return tuple([x + y & _MASK for x, y in zip(a, b, strict=True)])


def subtract(a: Columns, b: Columns) -> Columns:
    """Return the sums of a range without those of a part of it."""
    return tuple([x - y & _MASK for x, y in zip(a, b, strict=True)])


def total(kind: TreeKind, parts: Sequence[Columns]) -> Columns:
    """Return the sums of many ranges together."""
    return tuple([sum(column) & _MASK for column in zip(*parts, strict=True)]) if parts else none(kind)


def sum_items(kind: TreeKind, folder: bytes, keys: Sequence[bytes], values: Sequence[bytes]) -> Columns:
    """Sum up the items of a sequence.

    Args:
        kind: kind of the tree.
        folder: the sequence's folder: full keys begin with it.
        keys: keys of the items.
        values: values of the items.
    """
    if not kind.summed:
        return (len(keys),)
    if kind.own:
        entries = entries_among(keys)
        if entries:
            parts = [decode_entry(values[at]).sums for at in entries]
            if len(entries) < len(keys):
                rest = set(range(len(keys))).difference(entries)
                rows = sorted(rest)
                parts.append(_sum_rows(kind, folder, [keys[at] for at in rows], [values[at] for at in rows]))
            return total(kind, parts)
    return _sum_rows(kind, folder, keys, values)


def _sum_rows(kind: TreeKind, folder: bytes, keys: Sequence[bytes], values: Sequence[bytes]) -> Columns:
    assert kind.summed_of is not None
    size, contents = kind.summed_of(values)
    pack, before = _LENGTH.pack, len(folder)
    digests = [
        blake3(b"%b%b%b%b" % (pack(before + len(key)), folder, key, content)).digest()
        for key, content in zip(keys, contents, strict=True)
    ]
    numbers = struct.unpack(f"<{4 * len(digests)}Q", b"".join(digests))
    return len(keys), size & _MASK, *(sum(numbers[lane::4]) & _MASK for lane in range(4))


def _columns(sums: Sums) -> Columns:
    return sums.rows, sums.size, *sums.content
