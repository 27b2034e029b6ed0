"""Reads nodes: cached, and many together where many will be needed.

Inner nodes are cached apart from leaves, or one scan would evict the tops of all trees. Leaves are cached as they are
stored. A scan caches its first leaves only: a large one would evict everything and not be read again before it is
evicted itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.runtime import cancellation
from trunkline.storage.lru import ByteCache
from trunkline.storage.nodes import Inner, Leaf, decode_node
from trunkline.storage.sums import decode_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trunkline.storage.chunks import ChunkId, ChunkSource
    from trunkline.storage.folder_ranks import FolderIndex
    from trunkline.storage.nodes import Node
    from trunkline.storage.sums import TreeKind

#: Nodes that a scan reads together at first, how many times more in each step, and at most.
_FIRST_STEP, _STEP_GROWTH, _LARGEST_STEP = 2, 8, 128
#: Leaves that one scan puts into the cache: 16 MiB.
_SCAN_LEAVES = 4096
#: Bytes of leaves that are held while many are written that are not read again soon.
_FEW_LEAVES = 2 << 20
#: Memory of a place in the cache, beside the bytes of its folder.
_PLACE_BYTES = 500
#: Nodes that are read before they are asked for, at most, in one go.
_AHEAD_NODES = 2048


class NodeCache:
    """The caches of all trees of a store. May be used from any thread.

    Args:
        limit: bytes of inner nodes, and as many of leaves.

    Attributes:
        inner: inner nodes by their address.
        leaves: leaves by their address.
        folders: by the address of a folder's sequence: where its children are (``folder_index``).
        places: by the address of a top sequence and a folder in its terms: the address of the sequence that has the
            rows right in the folder, and how many bytes of their keys that sequence leaves out.
    """

    def __init__(self, limit: int) -> None:
        self.inner: ByteCache[bytes, Inner] = ByteCache(limit)
        self.leaves: ByteCache[bytes, Leaf] = ByteCache(limit)
        self.places: ByteCache[tuple[bytes, bytes], tuple[ChunkId, int]] = ByteCache(limit // 16)
        self.folders: ByteCache[bytes, FolderIndex] = ByteCache(limit // 16)

    def with_few_leaves(self) -> NodeCache:
        """Return a cache that shares all but the leaves with this one, and holds few of these."""
        other = NodeCache(_FEW_LEAVES)
        other.inner, other.places, other.folders = self.inner, self.places, self.folders
        return other

    def put(self, address: bytes, node: Node) -> None:
        """Hold a node."""
        if isinstance(node, Inner):
            self.inner.put(address, node, node.memory)
        else:
            self.leaves.put(address, node, node.memory)

    def put_place(self, top: bytes, folder: bytes, address: ChunkId, cut: int) -> None:
        """Hold where the rows right in a folder are; as ``places``.

        Args:
            top: address of the top sequence.
            folder: in its terms.
            address: of the sequence that has the rows.
            cut: bytes of the rows' keys that this sequence leaves out.
        """
        self.places.put((top, folder), (address, cut), _PLACE_BYTES + len(folder))

    def get(self, address: bytes, level: int | None = None) -> Node | None:
        """Return a node if it is held."""
        if level is None:
            return self.inner.get(address) or self.leaves.get(address)
        return self.inner.get(address) if level else self.leaves.get(address)


class Ahead:
    """How far a scan reads ahead: little at first, because many scans end after a row or two.

    Args:
        eager: whether the whole range will be read, so that the first step may be large.
    """

    __slots__ = ("_leaves", "_step")

    def __init__(self, *, eager: bool = False) -> None:
        self._step = _LARGEST_STEP if eager else _FIRST_STEP
        self._leaves = 0

    def step(self) -> int:
        """Return how many nodes to read next."""
        step = self._step
        self._step = min(step * _STEP_GROWTH, _LARGEST_STEP)
        return step

    def keeps(self, leaves: int) -> bool:
        """Count leaves that were read; return whether they may be cached."""
        self._leaves += leaves
        return self._leaves <= _SCAN_LEAVES


class NodeReader:
    """Reads the nodes of one kind of tree. May be used from any thread.

    Args:
        source: where the chunks are.
        kind: kind of the trees.
        cache: holds what was read.
    """

    def __init__(self, source: ChunkSource, kind: TreeKind, cache: NodeCache) -> None:
        self.source = source
        self.kind = kind
        self.cache = cache

    def node(self, address: ChunkId, level: int | None = None) -> Node:
        """Return a node.

        Args:
            address: its chunk id.
            level: its level; None for the top of a sequence.

        Raises:
            DataLoss: it is not there, damaged, or not such a node.
        """
        node = self.cache.get(address, level)
        if node is None:
            node = decode_node(address, self.source.read(address), self.kind.number, level)
            self.cache.put(address, node)
        return node

    def nodes(self, addresses: Sequence[ChunkId], level: int | None, ahead: Ahead) -> list[Node]:
        """Return many nodes of one level, those that are not cached in one read.

        Args:
            addresses: their chunk ids.
            level: their level; None for tops of sequences.
            ahead: the scan that reads them.
        """
        if len(addresses) == 1:
            return [self.node(addresses[0], level)]
        get = self.cache.get
        nodes = [get(address, level) for address in addresses]
        absent = [at for at, node in enumerate(nodes) if node is None]
        if absent:
            cancellation.check()
            missing = [addresses[at] for at in absent]
            keeps = ahead.keeps(len(missing))
            for at, id, data in zip(absent, missing, self.source.read_many(missing), strict=True):
                node = decode_node(id, data, self.kind.number, level)
                nodes[at] = node
                if keeps or isinstance(node, Inner):
                    self.cache.put(id, node)
        return [node for node in nodes if node is not None]

    def leaves(
        self, top: Node, lo: bytes, hi: bytes | None, ahead: Ahead, *, reverse: bool = False
    ) -> Iterator[Leaf]:
        """Yield the leaves of a sequence that may reach into a range, also by an entry for a folder above ``lo``.

        Args:
            top: top node of the sequence.
            lo: the first key.
            hi: the key after the last; None: no end.
            ahead: the scan that reads them.
            reverse: yield them in descending order.
        """
        if isinstance(top, Leaf):
            yield top
            return
        first, stop = top.span(lo, hi)
        at, end = first, stop
        while at < end:
            cancellation.check()
            count = min(ahead.step(), end - at)
            numbers = range(end - 1, end - 1 - count, -1) if reverse else range(at, at + count)
            at, end = (at, end - count) if reverse else (at + count, end)
            for node in self.nodes([top.address(number) for number in numbers], top.level - 1, ahead):
                if isinstance(node, Leaf):
                    yield node
                else:
                    yield from self.leaves(node, lo, hi, ahead, reverse=reverse)

    def read_ranges(self, tops: Iterable[ChunkId], lo: bytes, hi: bytes | None) -> None:
        """Read into the cache what the same range of several sequences needs, level by level.

        Args:
            tops: addresses of the sequences.
            lo: the first key of the range.
            hi: the key after the last; None: no end.
        """
        ahead = Ahead(eager=True)
        frontier: dict[int | None, list[ChunkId]] = {None: list(tops)}
        while frontier:
            below: dict[int | None, list[ChunkId]] = {}
            for level, addresses in frontier.items():
                for node in self.nodes(addresses[:_AHEAD_NODES], level, ahead):
                    if isinstance(node, Inner):
                        children = map(node.address, range(*node.span(lo, hi)))
                        below.setdefault(node.level - 1, []).extend(children)
            frontier = below

    def read_paths(self, top: ChunkId, keys: Sequence[bytes]) -> None:
        """Read into the cache the nodes on the way to many keys, level by level.

        Args:
            top: address of the sequence.
            keys: in its terms, sorted.
        """
        frontier: dict[ChunkId, list[bytes]] = {top: list(keys)}
        while frontier:
            below: dict[ChunkId, list[bytes]] = {}
            self.source.prefetch([id for id in frontier if self.cache.get(id) is None])
            for id, its_keys in frontier.items():
                node = self.node(id)
                for key in its_keys:
                    number = node.find(key)
                    if isinstance(node, Inner):
                        below.setdefault(node.address(min(number, node.count - 1)), []).append(key)
                        continue
                    folder = node.entry_above(number, key)
                    if folder is not None:
                        address = decode_entry(node.value(number - 1)).address
                        below.setdefault(address, []).append(key[len(folder) :])
            frontier = below

    def item(self, top: ChunkId, key: bytes) -> bytes | None:
        """Return the value of an item of a sequence, or None; does not look below entries.

        Args:
            top: address of the sequence.
            key: key of the item.
        """
        node = self.node(top)
        while isinstance(node, Inner):
            number = node.find(key)
            if number == node.count:
                return None
            node = self.node(node.address(number), node.level - 1)
        number = node.find(key)
        return node.value(number) if number < node.count and node.key(number) == key else None

    def items(
        self, top: ChunkId, lo: bytes = b"", hi: bytes | None = None
    ) -> tuple[list[bytes], list[bytes]]:
        """Return keys and values of a range of items; for ranges that are known to be short.

        Args:
            top: address of the sequence.
            lo: the first key.
            hi: the key after the last; None: no end.
        """
        keys: list[bytes] = []
        values: list[bytes] = []
        for leaf in self.leaves(self.node(top), lo, hi, Ahead()):
            start = leaf.find(lo)
            stop = leaf.count if hi is None else leaf.find(hi)
            keys += leaf.keys(start, stop)
            values += leaf.values(start, stop)
        return keys, values


def after(folder: bytes) -> bytes:
    """Return the first key after all keys below a folder, whose path ends with a slash."""
    return folder[:-1] + b"0"


def entry_range(entry: bytes, lo: bytes, hi: bytes | None) -> tuple[bytes, bytes | None] | None:
    """Return the part of a range that lies below a sub-tree entry, in the entry's terms; None when there is none.

    Args:
        entry: key of the entry.
        lo: the first key.
        hi: the key after the last; None: no end.
    """
    if hi is not None and hi <= entry:
        return None
    low = b""
    if lo > entry:
        if not lo.startswith(entry):
            return None
        low = lo[len(entry) :]
    if hi is None or not hi.startswith(entry):
        return low, None
    return low, hi[len(entry) :]
