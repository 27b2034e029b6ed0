"""Finds the rows in which two trees differ, reading only nodes that are not in both.

Two sequences are compared from the top down. Nodes are passed where both sides have the same one; of two that overlap
the higher one is opened, or both. Entries of one folder in both trees are compared in turn. A folder that is an entry
in one tree and rows in the other is the same folder, and is compared row by row.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING, Any

from trunkline.runtime import cancellation
from trunkline.storage import row_reads
from trunkline.storage.node_reader import Ahead, entry_range
from trunkline.storage.nodes import Inner, Leaf
from trunkline.storage.sums import decode_entry, is_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.storage.chunks import ChunkId
    from trunkline.storage.node_reader import NodeReader
    from trunkline.storage.row_reads import Run

Difference = tuple[bytes, bytes | None, bytes | None]


def compare(
    reader: NodeReader,
    old: ChunkId | None,
    new: ChunkId | None,
    folder: bytes,
    lo: bytes,
    hi: bytes | None,
) -> Iterator[Difference]:
    """Yield ``(full key, old value, new value)`` in key order.

    Args:
        reader: reads the nodes.
        old: address of the first sequence; None for no rows.
        new: address of the second sequence; None for no rows.
        folder: their folder.
        lo: the first key, in their terms.
        hi: the key after the last; None: no end.
    """
    #: Folders that are being compared, from the top down. A stack, because folders may be hundreds deep.
    stack: list[Iterator[Any]] = [_compare(reader, old, new, folder, lo, hi)]
    while stack:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
        elif isinstance(step, tuple):
            yield step
        else:
            stack.append(step)


def _compare(
    reader: NodeReader,
    old: ChunkId | None,
    new: ChunkId | None,
    folder: bytes,
    lo: bytes,
    hi: bytes | None,
) -> Iterator[Any]:
    """Yield the differing rows of two sequences, and the comparisons of the sub-trees in which they differ."""
    if old == new:
        return
    if old is None or new is None:
        yield from _only(reader, folder, lo, hi, old, new)
        return
    nested = reader.kind.own > 0
    #: A folder that is an entry on one side, and what the other side has of it.
    open_entry: tuple[bytes, ChunkId, bool] | None = None
    rest: list[tuple[bytes, bytes]] = []
    for batch in differing_items(reader, old, new, lo, hi):
        if nested:
            _read_pairs(reader, batch)
        for key, before, now in batch:
            if open_entry is not None:
                if key.startswith(open_entry[0]):
                    value = before if now is None else now
                    assert value is not None
                    rest.append((key, value))
                    continue
                yield _mixed(reader, open_entry, rest, folder, lo, hi)
                open_entry, rest = None, []
            if not nested or key[-1:] != b"/" or not is_entry(key):
                if key >= lo and (hi is None or key < hi):
                    yield folder + key, before, now
                continue
            bounds = entry_range(key, lo, hi)
            if before is not None and now is not None:
                if bounds is not None:
                    sides = decode_entry(before).address, decode_entry(now).address
                    yield _compare(reader, *sides, folder + key, *bounds)
            else:
                value = before if now is None else now
                assert value is not None
                open_entry = key, decode_entry(value).address, now is None
    if open_entry is not None:
        yield _mixed(reader, open_entry, rest, folder, lo, hi)


def _only(
    reader: NodeReader,
    folder: bytes,
    lo: bytes,
    hi: bytes | None,
    old: ChunkId | None,
    new: ChunkId | None,
) -> Iterator[Difference]:
    """Yield the rows of the only side."""
    top = old if new is None else new
    if top is None:
        return
    for keys, values in row_reads.runs(reader, reader.node(top), folder, lo, hi, Ahead()):
        for key, value in zip(keys, values, strict=True):
            yield (key, None, value) if old is None else (key, value, None)


def _mixed(
    reader: NodeReader,
    entry: tuple[bytes, ChunkId, bool],
    rest: list[tuple[bytes, bytes]],
    folder: bytes,
    lo: bytes,
    hi: bytes | None,
) -> Iterator[Any]:
    """Compare a folder that is an entry on one side, and rows (or nothing) on the other."""
    key, address, is_old = entry
    bounds = entry_range(key, lo, hi)
    if bounds is None:
        return
    path = folder + key
    if not rest:
        sides = (address, None) if is_old else (None, address)
        yield from _only(reader, path, *bounds, *sides)
        return
    keys, values = reader.items(address)
    below = dict(zip(keys, values, strict=True))
    rows = {name[len(key) :]: value for name, value in rest}
    old, new = (below, rows) if is_old else (rows, below)
    # The rows are few. The folder of the entry is a little larger, unless most of it was deleted.
    yield from _compare_items(reader, old, new, path, *bounds)


def _compare_items(
    reader: NodeReader,
    old: dict[bytes, bytes],
    new: dict[bytes, bytes],
    folder: bytes,
    lo: bytes,
    hi: bytes | None,
) -> Iterator[Any]:
    """Do what ``_compare`` does for items in memory."""
    keys = sorted({key for key, _ in old.items() ^ new.items()})
    at = 0
    while at < len(keys):
        key = keys[at]
        at += 1
        before, now = old.get(key), new.get(key)
        if not is_entry(key):
            if key >= lo and (hi is None or key < hi):
                yield folder + key, before, now
            continue
        bounds = entry_range(key, lo, hi)
        if before is not None and now is not None:
            if bounds is not None:
                sides = decode_entry(before).address, decode_entry(now).address
                yield _compare(reader, *sides, folder + key, *bounds)
            continue
        value = before if now is None else now
        assert value is not None
        other = new if now is None else old
        rest = []
        while at < len(keys) and keys[at].startswith(key):
            rest.append((keys[at], other[keys[at]]))
            at += 1
        yield _mixed(reader, (key, decode_entry(value).address, now is None), rest, folder, lo, hi)


def _read_pairs(reader: NodeReader, batch: list[Difference]) -> None:
    """Read the nodes that the sub-trees of a batch of differences do not share into the cache, level by level."""
    pairs = [
        (decode_entry(before).address, decode_entry(now).address)
        for key, before, now in batch
        if before is not None and now is not None and key[-1:] == b"/" and is_entry(key)
    ]
    if len(pairs) < 2:
        return
    ahead = Ahead(eager=True)
    groups: list[tuple[int | None, list[tuple[ChunkId, ...]]]] = [(None, list(pairs))]
    while groups:
        level, nodes_of = groups.pop()
        addresses = [address for group in nodes_of for address in group]
        nodes = iter(reader.nodes(addresses, level, ahead))
        below: dict[int, list[tuple[ChunkId, ...]]] = {}
        for group in nodes_of:
            inner = [node for node in islice(nodes, len(group)) if isinstance(node, Inner)]
            if len(inner) == 2 and inner[0].level == inner[1].level:
                children = [{node.address(at) for at in range(node.count)} for node in inner]
                below.setdefault(inner[0].level - 1, []).append(tuple(children[0] ^ children[1]))
        groups += [(next_level, group) for next_level, group in below.items() if group]


class _Side:
    """One sequence: nodes that are still to be compared, the next one last, and items of opened leaves."""

    def __init__(self, reader: NodeReader, top: ChunkId) -> None:
        self._reader = reader
        self._nested = reader.kind.own > 0
        node = reader.node(top)
        last = node.keys[-1] if isinstance(node, Inner) else node.last
        #: Address, level, last key, and a key that all keys of the node come after (None: there is none before).
        self.nodes: list[tuple[ChunkId, int, bytes, bytes | None]] = [(top, node.level, last, None)]
        self.keys: list[bytes] = []
        self.values: list[bytes] = []

    def open(self) -> None:
        """Replace the next node by its children, or take its items."""
        cancellation.check()
        address, level, _, before = self.nodes.pop()
        node = self._reader.node(address, level)
        if isinstance(node, Leaf):
            self.keys += node.keys()
            self.values += node.values()
            return
        befores = [before, *node.keys[:-1]]
        self.nodes += [
            (node.address(at), level - 1, node.keys[at], befores[at]) for at in range(node.count - 1, -1, -1)
        ]

    def drop(self, lo: bytes, hi: bytes | None) -> None:
        """Pass nodes outside a range."""
        nodes = self.nodes
        while nodes:
            _, _, last, before = nodes[-1]
            if last < lo and not (self._nested and lo.startswith(last) and is_entry(last)):
                nodes.pop()
            elif hi is not None and before is not None and before >= hi:
                nodes.clear()
            else:
                return

    def take(self, bound: bytes | None) -> Run:
        """Take the items of opened leaves up to a key; None for all."""
        if bound is None or not self.keys or self.keys[-1] <= bound:
            items = self.keys, self.values
            self.keys, self.values = [], []
            return items
        stop = bisect_right(self.keys, bound)
        items = self.keys[:stop], self.values[:stop]
        del self.keys[:stop], self.values[:stop]
        return items


def differing_items(
    reader: NodeReader, old: ChunkId, new: ChunkId, lo: bytes, hi: bytes | None
) -> Iterator[list[Difference]]:
    """Yield the items in which two sequences differ, in batches; items at the edges may be out of the range.

    Args:
        reader: reads the nodes.
        old: address of the first sequence.
        new: address of the second sequence.
        lo: the first key.
        hi: the key after the last; None: no end.
    """
    before, after = _Side(reader, old), _Side(reader, new)
    while True:
        before.drop(lo, hi)
        after.drop(lo, hi)
        if before.nodes and after.nodes:
            a, b = before.nodes[-1], after.nodes[-1]
            if a[0] == b[0]:
                before.nodes.pop()
                after.nodes.pop()
                if before.keys or after.keys:
                    yield _differences(before.take(None), after.take(None))
                continue
            if b[3] is not None and a[2] <= b[3]:
                before.open()
            elif a[3] is not None and b[2] <= a[3]:
                after.open()
            elif a[1] == b[1]:
                if a[1]:
                    _read_children(reader, a, b)
                before.open()
                after.open()
            else:
                (before if a[1] > b[1] else after).open()
        elif before.nodes:
            before.open()
        elif after.nodes:
            after.open()
        else:
            yield _differences(before.take(None), after.take(None))
            return
        if not before.keys and not after.keys:
            continue
        # All items up to here are open on both sides.
        bounds = [side.nodes[-1][3] for side in (before, after) if side.nodes]
        if bounds and None not in bounds:
            bound = min(bound for bound in bounds if bound is not None)
            yield _differences(before.take(bound), after.take(bound))


def _read_children(
    reader: NodeReader,
    a: tuple[ChunkId, int, bytes, bytes | None],
    b: tuple[ChunkId, int, bytes, bytes | None],
) -> None:
    """Read the children that two inner nodes do not share into the cache."""
    nodes = [reader.node(a[0], a[1]), reader.node(b[0], b[1])]
    sets = [{node.address(at) for at in range(node.count)} for node in nodes if isinstance(node, Inner)]
    if len(sets) == 2 and len(sets[0] ^ sets[1]) > 2:
        reader.nodes(list(sets[0] ^ sets[1]), a[1] - 1, Ahead(eager=True))


def _differences(old: Run, new: Run) -> list[Difference]:
    if old[0] == new[0]:
        if old[1] == new[1]:
            return []
        rows = zip(*old, new[1], strict=True)
        return [(key, before, now) for key, before, now in rows if before != now]
    before, now = dict(zip(*old, strict=True)), dict(zip(*new, strict=True))
    keys = sorted({key for key, _ in before.items() ^ now.items()})
    return [(key, before.get(key), now.get(key)) for key in keys]
