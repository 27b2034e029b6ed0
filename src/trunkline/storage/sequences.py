"""Writes a sequence: from nothing in one pass, or from an older one by changes.

Levels are written at the same time: each node that ends is an item of the level above. Building takes the memory of a
few nodes of each level. A change begins at the start of the node it falls into, which is a cut, and cuts items again
until a new cut meets an old one; from there the old nodes hold. The nodes that went and came are the changes of the
level above. Because cuts depend only on the items since the last cut, the result is the sequence that building all
items would give.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

from trunkline.runtime import cancellation
from trunkline.storage.cuts import InnerCutter, LeafCutter
from trunkline.storage.nodes import Inner, Leaf, decode_node, encode_inner, encode_leaf
from trunkline.storage.sums import add, none, subtract, sum_items, total

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.storage.chunks import ChunkId, ChunkSink
    from trunkline.storage.node_reader import NodeReader
    from trunkline.storage.nodes import Child, Node
    from trunkline.storage.sums import Columns

V = TypeVar("V")

#: With fewer than one change in so many items, changes are put in one by one; else all items are sorted anew.
_SPARSE = 8
#: Items that wait to be cut together.
_RUN = 512
#: Nodes of a level that a change puts into the cache: the next commit changes the same ones.
_KEPT_NODES = 1024


class Written(Struct, frozen=True):
    """A sequence that was written.

    Attributes:
        address: of its top node.
        sums: returns the sums of all rows.
        weight: bytes of its keys and values.
    """

    address: ChunkId
    sums: Callable[[], Columns]
    weight: int


class Base(Struct, frozen=True):
    """A sequence to be changed.

    Attributes:
        address: of its top node.
        sums: of all rows, if they are known.
        weight: bytes of its keys and values, if that is known; else 0.
    """

    address: ChunkId
    sums: Columns | None = None
    weight: int = 0


class SequenceWriter:
    """Writes one sequence. Give it either items in runs, or changes to a base.

    Args:
        reader: reads the base, also what ``writer`` has not sealed.
        writer: takes the nodes.
        folder: the sequence's folder, with which its full keys begin.
        base: what to change; None to begin with nothing.
    """

    def __init__(
        self, reader: NodeReader, writer: ChunkSink, folder: bytes, base: Base | None = None
    ) -> None:
        self._reader = reader
        self._base = base
        top = reader.node(base.address) if base else None
        self._leaves = _Leaves(_Target(reader, writer, folder), base, top)

    def extend(self, keys: list[bytes], values: list[bytes]) -> None:
        """Take items after all that came before; only without a base."""
        self._leaves.feed(keys, values)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Change the item of a key that comes after those before; None deletes it if it is there."""
        self._leaves.put(key, value)

    def finish(self) -> Written | None:
        """Write what is left; return the sequence, or None when it has no items."""
        leaves = self._leaves
        level: _Level[bytes] | _Level[Child] = leaves
        level.finish()
        while level.above is not None:
            level = level.above
            level.finish()
        weight = self._base.weight + leaves.weight_added if self._base else leaves.weight
        if self._base and not level.touched:
            base = self._base
            return Written(base.address, lambda: base.sums or self._sum_up(base.address), weight)
        top = level.top
        if top is None:
            return None
        address, sums = top
        if self._base:  # after a change, upper levels may hold a single child: these give way
            while isinstance(node := self._reader.node(address), Inner) and node.count == 1:
                address = node.address(0)
        return Written(address, sums, weight)

    def _sum_up(self, address: ChunkId) -> Columns:
        node = self._reader.node(address)
        kind = self._reader.kind
        if isinstance(node, Inner):
            return total(kind, node.all_sums())
        return sum_items(kind, self._leaves.target.folder, node.keys(), node.values())


class _Target(Struct, frozen=True):
    """Where the levels of a sequence read and write."""

    reader: NodeReader
    writer: ChunkSink
    folder: bytes


class _Old(Struct, frozen=True):
    """A node of the base that is being changed."""

    node: Node
    address: ChunkId
    last: bytes
    sums: Columns | None
    #: Whether no node of its level follows.
    is_final: bool


class _Cursor:
    """Goes through the base's nodes of one level."""

    def __init__(self, reader: NodeReader, base: Base, top: Node, level: int) -> None:
        self._reader = reader
        self._base = base
        self._top = top
        self._level = level
        #: Inner nodes from the top down, and which child is next below each.
        self._path: list[tuple[Inner, int]] = []

    def seek(self, key: bytes) -> _Old:
        """Return the node where a key is or belongs."""
        self._path = []
        node = self._top
        address = self._base.address
        while isinstance(node, Inner) and node.level > self._level:
            number = min(bisect_left(node.keys, key), node.count - 1)
            self._path.append((node, number))
            address = node.address(number)
            node = self._reader.node(address, node.level - 1)
        return self._old(node, address)

    def next(self) -> _Old | None:
        """Return the node after the last one returned."""
        while self._path:
            parent, number = self._path.pop()
            if number + 1 < parent.count:
                self._path.append((parent, number + 1))
                address = parent.address(number + 1)
                node = self._reader.node(address, parent.level - 1)
                while isinstance(node, Inner) and node.level > self._level:
                    self._path.append((node, 0))
                    address = node.address(0)
                    node = self._reader.node(address, node.level - 1)
                return self._old(node, address)
        return None

    def _old(self, node: Node, address: ChunkId) -> _Old:
        final = all(number == parent.count - 1 for parent, number in self._path)
        if not self._path:
            last = node.keys[-1] if isinstance(node, Inner) else node.last
            return _Old(node, address, last, self._base.sums, True)
        parent, number = self._path[-1]
        return _Old(node, address, parent.keys[number], parent.sums(number), final)


class _Level(Generic[V]):
    """One level of a sequence that is being written.

    Attributes:
        above: the next level; None as long as this one has a single node.
        touched: whether there was a change or an item.
    """

    number: int
    above: _Inners | None

    def __init__(self, target: _Target, base: Base | None, top: Node | None) -> None:
        self.target = target
        self.touched = False
        self.above = None
        self._base, self._top = base, top
        self._cursor = _Cursor(target.reader, base, top, self.number) if base and top else None
        #: Items since the last end, and their sums where these are cheap to tell.
        self._keys: list[bytes] = []
        self._values: list[V] = []
        self._hint: Columns | None = None
        self._old: _Old | None = None
        self._changes: list[tuple[bytes, V | None]] = []
        #: The only node so far, while there is no level above.
        self._only: tuple[bytes, ChunkId, Callable[[], Columns]] | None = None
        self._nodes = 0
        self._last_put = b""
        #: Whether the base has a level above, which names the old nodes.
        self._named_above = top is not None and top.level > self.number
        if top is not None and self._named_above:
            self.above = _Inners(target, base, top, self.number + 1)

    # --- what differs between leaves and inner nodes ---

    def _ends(self, keys: list[bytes], values: list[V]) -> list[int]:
        raise NotImplementedError

    def _encode(self, keys: list[bytes], values: list[V]) -> bytes:
        raise NotImplementedError

    def _sum(self, keys: list[bytes], values: list[V]) -> Columns:
        raise NotImplementedError

    def _items(self, node: Node) -> tuple[list[bytes], list[V]]:
        raise NotImplementedError

    def _weigh(self, removed: list[tuple[bytes, V]], added: list[tuple[bytes, V]]) -> None:
        """Note what a change adds to the weight of the sequence."""

    def _as_heavy(self, old: V, new: V) -> bool:
        raise NotImplementedError

    # --- taking items and changes ---

    def put(self, key: bytes, value: V | None) -> None:
        """Take a change."""
        self.touched = True
        if self._cursor is None:
            self._put_behind(key, value)
            return
        while True:
            old = self._old
            if old is None:
                old = self._old = self._cursor.seek(key)
            if key <= old.last:
                self._changes.append((key, value))
                return
            self._rewrite(old, ending=False)
            if self._cursor is None:
                self._put_behind(key, value)
                return

    def feed(self, keys: list[bytes], values: list[V], hint: Columns | None = None) -> None:
        """Take items that follow.

        Args:
            keys: their keys.
            values: their values.
            hint: the sums of just these items, if that is known.
        """
        if not keys:
            return
        self.touched = True
        begins = not self._keys
        start = 0
        for stop in self._ends(keys, values):
            if self._keys:
                self._end(self._keys + keys[start:stop], self._values + values[start:stop], None)
                self._keys, self._values, self._hint = [], [], None
            else:
                whole = begins and start == 0 and stop == len(keys)
                self._end(keys[start:stop], values[start:stop], hint if whole else None)
            start = stop
        if start < len(keys):
            self._hint = hint if begins and start == 0 else None
            self._keys += keys[start:]
            self._values += values[start:]

    def finish(self) -> None:
        """End the last node."""
        while self._old is not None:
            self._rewrite(self._old, ending=True)
        self._feed_changes()
        self._end_rest()

    @property
    def top(self) -> tuple[ChunkId, Callable[[], Columns]] | None:
        """The only node of the level."""
        return self._only[1:] if self._only else None

    def _put_behind(self, key: bytes, value: V | None) -> None:
        """Take a change behind the base, where there is nothing to delete."""
        if value is not None:
            self._changes.append((key, value))
            if len(self._changes) >= _RUN:
                self._feed_changes()

    def _feed_changes(self) -> None:
        changes, self._changes = self._changes, []
        added = [(key, value) for key, value in changes if value is not None]
        self._weigh([], added)
        self.feed([key for key, _ in added], [value for _, value in added])

    def _end_rest(self) -> None:
        """End the last node with the items since the last end."""
        if self._keys:
            self._end(self._keys, self._values, self._hint)
            self._keys, self._values = [], []

    def _rewrite(self, old: _Old, *, ending: bool) -> None:
        """Take the items of an old node with their changes; go on to the next one unless a cut meets its end.

        Args:
            old: the node.
            ending: whether no change follows.
        """
        cancellation.check()
        changes, self._changes = self._changes, []
        keys, values = self._items(old.node)
        sums: Columns | None = old.sums
        same_ends = not changes
        if changes:
            keys, values, sums, same_ends = self._applied(keys, values, sums, changes)
        if same_ends and not self._keys and (ending or not old.is_final):
            self._end(keys, values, sums)
        else:
            self.feed(keys, values, sums)
            if ending and old.is_final:
                self._end_rest()
        if self.above is not None and self._named_above:
            if self._last_put != old.last:
                self.above.put(old.last, None)
            self._last_put = b""
        self._old = None
        if self._keys or old.is_final:
            self._old = self._cursor.next() if self._cursor else None
            if self._old is None:
                self._cursor = None

    def _applied(
        self, keys: list[bytes], values: list[V], sums: Columns | None, changes: list[tuple[bytes, V | None]]
    ) -> tuple[list[bytes], list[V], Columns | None, bool]:
        """Return items after changes, their sums if they are quickly computed, and whether all ends stay."""
        removed: list[tuple[bytes, V]] = []
        added: list[tuple[bytes, V]] = []
        same_ends = True
        if len(changes) * _SPARSE > len(keys):
            table: dict[bytes, V] = dict(zip(keys, values, strict=True))
            for key, value in changes:
                before = table.pop(key, None)
                if before is not None:
                    removed.append((key, before))
                if value is not None:
                    table[key] = value
                    added.append((key, value))
            self._weigh(removed, added)
            keys = sorted(table)
            return keys, [table[key] for key in keys], None, False
        at = 0
        for key, value in changes:
            at = bisect_left(keys, key, lo=at)
            is_present = at < len(keys) and keys[at] == key
            if is_present and value is not None:
                removed.append((key, values[at]))
                added.append((key, value))
                same_ends = same_ends and self._as_heavy(values[at], value)
                values[at] = value
            elif is_present:
                removed.append((key, values[at]))
                same_ends = False
                del keys[at], values[at]
            elif value is not None:
                added.append((key, value))
                same_ends = False
                keys.insert(at, key)
                values.insert(at, value)
        self._weigh(removed, added)
        if sums is not None:
            sums = add(subtract(sums, self._sum_pairs(removed)), self._sum_pairs(added))
        return keys, values, sums, same_ends

    def _sum_pairs(self, pairs: list[tuple[bytes, V]]) -> Columns:
        if not pairs:
            return none(self.target.reader.kind)
        return self._sum([key for key, _ in pairs], [value for _, value in pairs])

    def _end(self, keys: list[bytes], values: list[V], hint: Columns | None) -> None:
        """Write a node and give it to the level above."""
        if not keys:
            return
        target, kind = self.target, self.target.reader.kind
        data = self._encode(keys, values)
        address = target.writer.add(data)
        self._nodes += 1
        if self._base is not None and self._nodes <= _KEPT_NODES:
            target.reader.cache.put(address, decode_node(address, data, kind.number))

        def sums() -> Columns:
            return hint if hint is not None else self._sum(keys, values)

        if self.above is None:
            if self._only is None:
                self._only = keys[-1], address, sums
                return
            key, only, only_sums = self._only
            self.above = _Inners(target, None, None, self.number + 1)
            self.above.put(key, (only, only_sums()))
            self._only = None
        old = self._old if self._named_above else None
        if old is None or old.last != keys[-1] or old.address != address:
            self.above.put(keys[-1], (address, sums()))
        self._last_put = keys[-1]


class _Leaves(_Level[bytes]):
    """The leaves of a sequence.

    Attributes:
        weight_added: bytes of keys and values, less those of the base.
    """

    number = 0

    @property
    def weight(self) -> int:
        """Bytes of keys and values of all items taken."""
        return self._cutter.total

    def __init__(self, target: _Target, base: Base | None, top: Node | None) -> None:
        self.weight_added = 0
        self._cutter = LeafCutter(target.reader.kind.leaf)
        super().__init__(target, base, top)

    def _ends(self, keys: list[bytes], values: list[bytes]) -> list[int]:
        return self._cutter.ends(keys, values)

    def _encode(self, keys: list[bytes], values: list[bytes]) -> bytes:
        return encode_leaf(self.target.reader.kind.number, keys, values)

    def _sum(self, keys: list[bytes], values: list[bytes]) -> Columns:
        return sum_items(self.target.reader.kind, self.target.folder, keys, values)

    def _items(self, node: Node) -> tuple[list[bytes], list[bytes]]:
        assert isinstance(node, Leaf)
        return node.keys(), node.values()

    def _weigh(self, removed: list[tuple[bytes, bytes]], added: list[tuple[bytes, bytes]]) -> None:
        self.weight_added += sum(len(key) + len(value) for key, value in added)
        self.weight_added -= sum(len(key) + len(value) for key, value in removed)

    def _as_heavy(self, old: bytes, new: bytes) -> bool:
        return len(old) == len(new)


class _Inners(_Level["Child"]):
    """A level of inner nodes."""

    def __init__(self, target: _Target, base: Base | None, top: Node | None, number: int) -> None:
        self.number = number
        self._cutter = InnerCutter(target.reader.kind.fan_out, number)
        super().__init__(target, base, top)

    def _ends(self, keys: list[bytes], values: list[Child]) -> list[int]:  # noqa: ARG002  # children weigh by keys
        return self._cutter.ends(keys)

    def _encode(self, keys: list[bytes], values: list[Child]) -> bytes:
        return encode_inner(self.target.reader.kind.number, self.number, keys, values)

    def _sum(self, keys: list[bytes], values: list[Child]) -> Columns:  # noqa: ARG002  # as leaves do
        return total(self.target.reader.kind, [sums for _, sums in values])

    def _items(self, node: Node) -> tuple[list[bytes], list[Child]]:
        assert isinstance(node, Inner)
        return list(node.keys), node.children()

    def _as_heavy(self, old: Child, new: Child) -> bool:  # noqa: ARG002  # children weigh by keys
        return True
