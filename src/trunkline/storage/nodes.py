"""Nodes: the bytes of leaves and inner nodes (``docs/design/format.md``, Nodes).

Pure functions and values. A node is looked into as it is stored: finding one item decodes no other, and a range of
items is cut in one call where all have the same length. Whatever is no node of the expected kind and level is refused
with ``DataLoss``.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from trunkline.errors import DataLoss
from trunkline.storage.chunks import ChunkId
from trunkline.storage.sums import DATUM_TREE, DELTA_TREE, ENTRY_BYTES, FILE_TREE, RECORD_TREE, is_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.storage.sums import Columns

#: A child of an inner node: its address and its sums.
Child = tuple[ChunkId, "Columns"]

_MARK = b"TN"
_VERSION = 2
#: Mark, version, kind, level, flags, bytes of the prefix, items.
_HEAD = struct.Struct("<2sBBBBHI")
_EQUAL_KEYS, _EQUAL_VALUES = 1, 2
_ADDRESS = 32
#: What a decoded node takes in memory beside its bytes, about.
_OBJECT_BYTES = 400
_KEY_BYTES = 60

_NAMES = {FILE_TREE: "file tree", DELTA_TREE: "delta", DATUM_TREE: "datum tree", RECORD_TREE: "record tree"}


class Leaf:
    """A leaf. Immutable; shared by all readers.

    Attributes:
        count: number of items.
        memory: bytes that it takes.
    """

    __slots__ = (
        "_data",
        "_ends",
        "_key_length",
        "_keys_at",
        "_prefix",
        "_value_ends",
        "_value_length",
        "_values_at",
        "count",
        "may_have_entries",
        "memory",
    )

    level = 0

    def __init__(self, data: bytes, kind: int, flags: int, prefix_length: int, count: int) -> None:
        self._data = data
        self.count = count
        at = _HEAD.size + prefix_length
        self._prefix = data[_HEAD.size : at]
        key_lengths, at = _lengths(data, at, count, "H", 2, flags & _EQUAL_KEYS)
        value_lengths, at = _lengths(data, at, count, "I", 4, flags & _EQUAL_VALUES)
        self._keys_at = at
        self.memory = len(data) + _OBJECT_BYTES
        self._key_length = self._value_length = 0
        self._ends: list[int] | None = None
        self._value_ends: list[int] | None = None
        if flags & _EQUAL_KEYS:
            self._key_length = key_lengths[0]
            self._values_at = at + count * self._key_length
        else:
            self._ends = list(accumulate(key_lengths, initial=at))
            self._values_at = self._ends[-1]
            self.memory += 40 * count
        if flags & _EQUAL_VALUES:
            self._value_length = value_lengths[0]
            end = self._values_at + count * self._value_length
        else:
            self._value_ends = list(accumulate(value_lengths, initial=self._values_at))
            end = self._value_ends[-1]
            self.memory += 40 * count
        if end != len(data):
            raise ValueError(f"it has {len(data):,} bytes, its lengths say {end:,}")
        #: Whether an item may be a sub-tree entry; if not, none is.
        self.may_have_entries = kind == FILE_TREE and ENTRY_BYTES in value_lengths
        if kind == FILE_TREE and b"\0" not in self._prefix:
            entries = value_lengths.count(ENTRY_BYTES) * (count if flags & _EQUAL_VALUES else 1)
            if data.count(b"\0", self._keys_at, self._values_at) < count - entries:
                raise ValueError("it has a key without a tag that is not that of a folder")

    def key(self, number: int) -> bytes:
        """Return the key of an item."""
        if self._ends is None:
            start = self._keys_at + number * self._key_length
            return self._prefix + self._data[start : start + self._key_length]
        return self._prefix + self._data[self._ends[number] : self._ends[number + 1]]

    def value(self, number: int) -> bytes:
        """Return the value of an item."""
        if self._value_ends is None:
            start = self._values_at + number * self._value_length
            return self._data[start : start + self._value_length]
        return self._data[self._value_ends[number] : self._value_ends[number + 1]]

    @property
    def last(self) -> bytes:
        """The last key."""
        return self.key(self.count - 1)

    def find(self, key: bytes) -> int:
        """Return the number of the first item whose key is not before ``key``."""
        prefix = self._prefix
        if prefix:
            start = key[: len(prefix)]
            if start != prefix:
                return 0 if start < prefix else self.count
            key = key[len(prefix) :]
        data, low, high = self._data, 0, self.count
        if self._ends is None:
            at, length = self._keys_at, self._key_length
            while low < high:
                middle = low + high >> 1
                begin = at + middle * length
                if data[begin : begin + length] < key:
                    low = middle + 1
                else:
                    high = middle
            return low
        ends = self._ends
        while low < high:
            middle = low + high >> 1
            if data[ends[middle] : ends[middle + 1]] < key:
                low = middle + 1
            else:
                high = middle
        return low

    def entry_above(self, number: int, key: bytes) -> bytes | None:
        """Return the key of the entry before an item if it is for a folder above ``key``.

        Args:
            number: the item that ``find`` returned for ``key``.
            key: the key.
        """
        if number and self.may_have_entries:
            before = self.key(number - 1)
            if is_entry(before) and key.startswith(before):
                return before
        return None

    def keys(self, start: int = 0, stop: int | None = None, folder: bytes = b"") -> list[bytes]:
        """Return the keys of a range of items.

        Args:
            start: number of the first item.
            stop: number after the last; None for the end.
            folder: put before each key.
        """
        stop = self.count if stop is None else stop
        if stop <= start:
            return []
        if self._ends is None:
            keys = _cut(self._data, self._keys_at + start * self._key_length, self._key_length, stop - start)
        else:
            data = self._data
            keys = tuple([data[a:b] for a, b in pairwise(self._ends[start : stop + 1])])
        before = folder + self._prefix
        return [before + key for key in keys] if before else list(keys)

    def values(self, start: int = 0, stop: int | None = None) -> list[bytes]:
        """Return the values of a range of items, as ``keys`` does."""
        stop = self.count if stop is None else stop
        if stop <= start:
            return []
        if self._value_ends is None:
            at = self._values_at + start * self._value_length
            return list(_cut(self._data, at, self._value_length, stop - start))
        data = self._data
        return [data[a:b] for a, b in pairwise(self._value_ends[start : stop + 1])]


class Inner:
    """An inner node. Immutable; shared by all readers.

    Attributes:
        level: its level, above 0.
        count: number of children.
        keys: the last key below each child.
        rows: the rows below each child.
        memory: bytes that it takes.
    """

    __slots__ = ("_addresses_at", "_columns", "_data", "count", "keys", "level", "memory", "rows")

    def __init__(
        self, data: bytes, kind: int, level: int, flags: int, prefix_length: int, count: int
    ) -> None:
        self._data = data
        self.level = level
        self.count = count
        at = _HEAD.size + prefix_length
        prefix = data[_HEAD.size : at]
        lengths, at = _lengths(data, at, count, "H", 2, flags & _EQUAL_KEYS)
        size = count * lengths[0] if flags & _EQUAL_KEYS else sum(lengths)
        self._columns = 6 if kind == FILE_TREE else 1
        self._addresses_at = at + size
        end = self._addresses_at + count * (_ADDRESS + 8 * self._columns)
        if end != len(data):
            raise ValueError(f"it has {len(data):,} bytes, its lengths say {end:,}")
        if flags & _EQUAL_KEYS:
            self.keys = [prefix + key for key in _cut(data, at, lengths[0], count)]
        else:
            self.keys = [prefix + data[a:b] for a, b in pairwise(accumulate(lengths, initial=at))]
        self.rows = struct.unpack_from(f"<{count}Q", data, self._addresses_at + count * _ADDRESS)
        self.memory = 2 * len(data) + _OBJECT_BYTES + _KEY_BYTES * count

    def address(self, number: int) -> ChunkId:
        """Return the address of a child."""
        start = self._addresses_at + number * _ADDRESS
        return ChunkId(self._data[start : start + _ADDRESS])

    def sums(self, number: int) -> Columns:
        """Return the sums of a child."""
        if self._columns == 1:
            return (self.rows[number],)
        at = self._addresses_at + self.count * _ADDRESS + 8 * number
        step = 8 * self.count
        read = int.from_bytes
        data = self._data
        return tuple([read(data[a : a + 8], "little") for a in range(at, at + 6 * step, step)])

    def all_sums(self) -> list[Columns]:
        """Return the sums of all children."""
        if self._columns == 1:
            return [(rows,) for rows in self.rows]
        count = self.count
        at = self._addresses_at + count * _ADDRESS
        numbers = struct.unpack_from(f"<{6 * count}Q", self._data, at)
        columns = [numbers[start : start + count] for start in range(0, 6 * count, count)]
        return list(zip(*columns, strict=True))

    def children(self) -> list[Child]:
        """Return address and sums of all children."""
        addresses = map(ChunkId, _cut(self._data, self._addresses_at, _ADDRESS, self.count))
        return list(zip(addresses, self.all_sums(), strict=True))

    def find(self, key: bytes) -> int:
        """Return the child where an item with ``key`` or an entry for a folder above it is; ``count`` if none."""
        number = bisect_left(self.keys, key)
        if number:
            before = self.keys[number - 1]
            if before[-1:] == b"/" and key.startswith(before) and self._columns > 1 and is_entry(before):
                return number - 1
        return number

    def span(self, lo: bytes, hi: bytes | None) -> tuple[int, int]:
        """Return the children that reach into a range of keys: the first, and the one after the last."""
        first = self.find(lo)
        if hi is None:
            return first, self.count
        return first, min(bisect_left(self.keys, hi, lo=first) + 1, self.count)


Node = Leaf | Inner


def encode_leaf(kind: int, keys: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    """Return the bytes of a leaf.

    Args:
        kind: number of the kind of tree.
        keys: sorted, not empty.
        values: one for each key.
    """
    prefix, flags, parts = _encoded_keys(keys)
    lengths = list(map(len, values))
    if lengths.count(lengths[0]) == len(lengths):
        flags |= _EQUAL_VALUES
        packed = struct.pack("<I", lengths[0])
    else:
        packed = struct.pack(f"<{len(lengths)}I", *lengths)
    head = _HEAD.pack(_MARK, _VERSION, kind, 0, flags, len(prefix), len(keys))
    return b"".join((head, prefix, parts[0], packed, parts[1], *values))


def encode_inner(kind: int, level: int, keys: Sequence[bytes], children: Sequence[Child]) -> bytes:
    """Return the bytes of an inner node.

    Args:
        kind: number of the kind of tree.
        level: of the node, above 0.
        keys: the last key below each child.
        children: address and sums of each.
    """
    prefix, flags, parts = _encoded_keys(keys)
    head = _HEAD.pack(_MARK, _VERSION, kind, level, flags, len(prefix), len(keys))
    numbers = [number for column in zip(*[sums for _, sums in children], strict=True) for number in column]
    columns = struct.pack(f"<{len(numbers)}Q", *numbers)
    return b"".join((head, prefix, *parts, *[address for address, _ in children], columns))


def decode_node(id: ChunkId, data: bytes, kind: int, level: int | None = None) -> Node:
    """Return a node.

    Args:
        id: its chunk id, for messages.
        data: its bytes.
        kind: number of the kind of tree it must belong to.
        level: the level it must have; None for any.

    Raises:
        DataLoss: the bytes are not those of such a node.
    """
    try:
        return _decode(data, kind, level)
    except (ValueError, struct.error, IndexError) as error:
        what = "node" if level is None else f"node of level {level}"
        raise DataLoss(
            f"chunk {id.hex()} should be a {what} of a {_NAMES.get(kind, 'tree')}, but {error}; it belongs to something"
            " else or was written by a newer format: use the release that wrote it, or restore a backup"
        ) from error


def _decode(data: bytes, kind: int, level: int | None) -> Node:
    if len(data) < _HEAD.size:
        raise ValueError(f"it has only {len(data)} bytes")
    mark, version, its_kind, its_level, flags, prefix_length, count = _HEAD.unpack_from(data)
    if mark != _MARK:
        raise ValueError(f"it begins with {mark!r}, not with {_MARK!r}")
    if version != _VERSION:
        raise ValueError(f"its version is {version}, not {_VERSION}")
    if its_kind != kind:
        raise ValueError(f"it belongs to a {_NAMES.get(its_kind, f'tree of kind {its_kind}')}")
    if level is not None and its_level != level:
        raise ValueError(f"its level is {its_level}")
    if flags & ~(_EQUAL_KEYS | _EQUAL_VALUES) or (its_level and flags & _EQUAL_VALUES):
        raise ValueError(f"its flags are {flags:#x}")
    if not 0 < count <= len(data):
        raise ValueError(f"it has {len(data):,} bytes for {count:,} items")
    if its_level:
        return Inner(data, kind, its_level, flags, prefix_length, count)
    return Leaf(data, kind, flags, prefix_length, count)


def _lengths(
    data: bytes, at: int, count: int, code: str, size: int, equal: int
) -> tuple[tuple[int, ...], int]:
    """Return lengths of items (one if all are equal) and where the bytes after them begin."""
    count = 1 if equal else count
    return struct.unpack_from(f"<{count}{code}", data, at), at + size * count


def _cut(data: bytes, at: int, length: int, count: int) -> tuple[bytes, ...]:
    """Return ``count`` pieces of one length: one call is five times faster than slicing."""
    if length == 0:
        return (b"",) * count
    return struct.unpack_from(f"{length}s" * count, data, at)


def _encoded_keys(keys: Sequence[bytes]) -> tuple[bytes, int, tuple[bytes, bytes]]:
    """Return the common prefix of sorted keys, the flags, and the bytes of lengths and keys."""
    prefix = _common_prefix(keys[0], keys[-1])
    cut = len(prefix)
    lengths = list(map(len, keys))
    joined = b"".join([key[cut:] for key in keys]) if cut else b"".join(keys)
    if lengths.count(lengths[0]) == len(lengths):
        return prefix, _EQUAL_KEYS, (struct.pack("<H", lengths[0] - cut), joined)
    return prefix, 0, (struct.pack(f"<{len(lengths)}H", *[length - cut for length in lengths]), joined)


def _common_prefix(first: bytes, last: bytes) -> bytes:
    """Return what two keys both begin with; all keys between them in order do, too."""
    low, high = 0, min(len(first), len(last))
    if first[:high] == last[:high]:
        return first[:high]
    while low + 1 < high:  # equal up to low, different up to high
        middle = low + high >> 1
        if first[low:middle] == last[low:middle]:
            low = middle
        else:
            high = middle
    return first[:low]
