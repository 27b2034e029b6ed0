"""A store in memory, for the tests of the engine: true objects, and a dict where SQL would be."""

from __future__ import annotations

import random
import threading
import weakref
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from trunkline.drivers.objects.memory import MemoryObjects
from trunkline.storage.apply_deltas import Applied, apply_deltas
from trunkline.storage.chunks import ChunkId, Location, PackRecord
from trunkline.storage.deltas import DeltaWriter
from trunkline.storage.files import FILES
from trunkline.storage.nodes import Inner
from trunkline.storage.store import ChunkStore
from trunkline.storage.sums import EMPTY, TreeId, TreeKind, decode_entry, is_entry
from trunkline.storage.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from trunkline.ports import ObjectStore
    from trunkline.storage.nodes import Node
    from trunkline.storage.packing import ChunkWriter

T = TypeVar("T")

#: Nodes of a few items and folders of a few files, so that small examples have many.
TINY = replace(FILES, leaf=160, fan_out=4, own=150)


class MemoryIndex:
    """A chunk index in a dict."""

    def __init__(self) -> None:
        self.places: dict[ChunkId, Location] = {}
        self._lock = threading.Lock()

    def find(self, ids: Sequence[ChunkId]) -> dict[ChunkId, Location]:
        with self._lock:
            return {id: self.places[id] for id in ids if id in self.places}

    def record(self, pack: PackRecord) -> None:
        with self._lock:
            for id, offset, stored, length, codec in pack.entries:
                inline = None if pack.body is None else pack.body[offset : offset + stored]
                if id in pack.replaces:
                    self.places.pop(ChunkId(id), None)
                self.places.setdefault(
                    ChunkId(id), Location(pack.pack, offset, stored, length, codec, inline)
                )

    def damage(self, id: ChunkId) -> None:
        """Change a byte of a chunk that is kept here."""
        place = self.places[id]
        assert place.inline is not None
        changed = bytes([place.inline[0] ^ 1]) + place.inline[1:]
        self.places[id] = replace(place, inline=changed)

    def record_all(self, packs: Iterable[PackRecord]) -> None:
        for pack in packs:
            self.record(pack)


#: Worlds whose threads end with the test.
WORLDS: weakref.WeakSet[World] = weakref.WeakSet()


class World:
    """A store with its trees, and short ways to write to it."""

    def __init__(
        self,
        objects: ObjectStore | None = None,
        kind: TreeKind = FILES,
        inline_bytes: int = 0,  # most tests look at packs as objects
        cache_bytes: int = 64 << 20,
    ) -> None:
        self.objects = objects or MemoryObjects()
        self.index = MemoryIndex()
        self.store = ChunkStore(
            self.objects, self.index, threads=2, cache_bytes=cache_bytes, inline_bytes=inline_bytes
        )
        WORLDS.add(self)
        self.trees = Trees(self.store, kind)

    def write(self, action: Callable[[ChunkWriter], T]) -> T:
        """Do something with a writer and seal it."""
        writer = self.store.writer()
        result = action(writer)
        self.index.record_all(writer.seal())
        return result

    def build(self, rows: dict[bytes, bytes]) -> TreeId:
        return self.write(lambda writer: self.trees.build(writer, sorted(rows.items())))

    def merge(self, base: TreeId, changes: dict[bytes, bytes | None]) -> TreeId:
        return self.write(lambda writer: self.trees.merge(writer, base, sorted(changes.items())))

    def apply(self, base: TreeId, *says: Callable[[DeltaWriter], object]) -> Applied:
        """Apply what each of ``says`` tells a delta writer, each its own delta."""
        writer = self.store.writer()
        deltas: list[TreeId] = []
        for say in says:
            delta = DeltaWriter(self.trees, writer)
            say(delta)
            deltas += delta.finish()
        applied = apply_deltas(self.trees, writer, base, deltas)
        self.index.record_all(writer.seal())
        return applied

    def files(self, contents: dict[str, bytes]) -> TreeId:
        """Store a tree of files."""

        def say(delta: DeltaWriter) -> None:
            for path, data in contents.items():
                delta.add(path, "default", data)

        return self.apply(EMPTY, say).tree

    def cold(self) -> Trees:
        """The same trees with nothing at hand."""
        return Trees(CountingSource(self.store), self.trees.kind)


def nodes_of(trees: Trees, tree: TreeId) -> list[tuple[ChunkId, Node]]:
    """All nodes of a tree, the top first."""
    if tree == EMPTY:
        return []
    nodes: list[tuple[ChunkId, Node]] = []
    addresses = [ChunkId(tree)]
    while addresses:
        address = addresses.pop()
        node = trees.reader.node(address)
        nodes.append((address, node))
        if isinstance(node, Inner):
            addresses += [node.address(number) for number in range(node.count)]
        elif trees.kind.own:
            items = zip(node.keys(), node.values(), strict=True)
            addresses += [decode_entry(value).address for key, value in items if is_entry(key)]
    return nodes


class CountingSource:
    """Counts the chunks that are read."""

    def __init__(self, store: ChunkStore) -> None:
        self._store = store
        self.reads: Counter[ChunkId] = Counter()

    def read(self, id: ChunkId) -> bytes:
        self.reads[id] += 1
        return self._store.read(id)

    def read_many(self, ids: Iterable[ChunkId]) -> Iterator[bytes]:
        for id in ids:
            yield self.read(id)

    def prefetch(self, ids: Iterable[ChunkId]) -> None:
        self._store.prefetch(ids)


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that look random and are always the same."""
    return random.Random(seed).randbytes(size)
