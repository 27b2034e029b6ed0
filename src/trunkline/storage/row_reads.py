"""Reads the rows of a tree through all its sequences: by key, by range, by position; and sums up ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.runtime import cancellation
from trunkline.storage.node_reader import Ahead, entry_range
from trunkline.storage.nodes import Inner, Leaf
from trunkline.storage.sums import decode_entry, entries_among, is_entry, sum_items, total

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.storage.chunks import ChunkId
    from trunkline.storage.node_reader import NodeReader
    from trunkline.storage.nodes import Node
    from trunkline.storage.sums import Columns

#: Keys and values of rows that follow each other.
Run = tuple[list[bytes], list[bytes]]


def get(reader: NodeReader, top: ChunkId, key: bytes) -> bytes | None:
    """Return the value of a row, or None.

    Args:
        reader: reads the nodes.
        top: address of the sequence to look in.
        key: key of the row, in the sequence's terms.
    """
    # All rows right in one folder are in one sequence.
    path = key[: key.rfind(b"/", 0, key.find(b"\0")) + 1] if reader.kind.own else b""
    place = reader.cache.places.get((top, path)) if path else None
    address, rest = (place[0], key[place[1] :]) if place else (top, key)
    node = reader.node(address)
    while True:
        number = node.find(rest)
        if isinstance(node, Inner):
            if number == node.count:
                return None
            node = reader.node(node.address(number), node.level - 1)
            continue
        if number < node.count and node.key(number) == rest:
            if node.may_have_entries and is_entry(rest):
                return None
            if place is None and address != top:
                reader.cache.put_place(top, path, address, len(key) - len(rest))
            return node.value(number)
        folder = node.entry_above(number, rest)
        if folder is None:
            return None
        rest = rest[len(folder) :]
        address = decode_entry(node.value(number - 1)).address
        node = reader.node(address)


def next_row(reader: NodeReader, top: ChunkId, folder: bytes, key: bytes) -> tuple[bytes, bytes] | None:
    """Return the first row whose key is ``key`` or after it: full key and value.

    Args:
        reader: reads the nodes.
        top: address of the sequence to look in.
        folder: the sequence's folder.
        key: in the sequence's terms.
    """
    node, path, rest = reader.node(top), folder, key
    while True:
        number = node.find(rest)
        if number == node.count:
            break
        if isinstance(node, Inner):
            node = reader.node(node.address(number), node.level - 1)
            continue
        entry = node.entry_above(number, rest)
        if entry is not None:
            path, rest = path + entry, rest[len(entry) :]
            node = reader.node(decode_entry(node.value(number - 1)).address)
            continue
        its_key = node.key(number)
        if node.may_have_entries and is_entry(its_key):
            break
        return path + its_key, node.value(number)
    # The row is in another node than a look-up comes to.
    for keys, values in runs(reader, reader.node(top), folder, key, None, Ahead()):
        return keys[0], values[0]
    return None


def has_row(reader: NodeReader, top: ChunkId, folder: bytes, first: bytes, last: bytes) -> bool:
    """Return whether a sequence has a row from one key to another, both in its terms.

    Args:
        reader: reads the nodes.
        top: address of the sequence to look in.
        folder: the sequence's folder.
        first: the first key.
        last: the last key.
    """
    row = next_row(reader, top, folder, first)
    return row is not None and row[0] <= folder + last


def runs(
    reader: NodeReader,
    top: Node,
    folder: bytes,
    lo: bytes,
    hi: bytes | None,
    ahead: Ahead,
    *,
    reverse: bool = False,
) -> Iterator[Run]:
    """Yield the rows of a range in runs: full keys and values.

    Args:
        reader: reads the nodes.
        top: top node of the sequence.
        folder: the sequence's folder.
        lo: the first key, in the sequence's terms.
        hi: the key after the last; None: no end.
        ahead: how much to read at a time.
        reverse: yield the rows in descending order.
    """
    #: Sequences that are being read, from the top down. A stack, because folders may be hundreds deep.
    stack = [_pieces(reader, top, folder, lo, hi, ahead, reverse)]
    while stack:
        piece = next(stack[-1], None)
        if piece is None:
            stack.pop()
        elif isinstance(piece, tuple):
            yield piece
        else:
            stack.append(piece)


def _pieces(
    reader: NodeReader,
    top: Node,
    folder: bytes,
    lo: bytes,
    hi: bytes | None,
    ahead: Ahead,
    reverse: bool,
) -> Iterator[Any]:
    """Yield runs of the rows of a sequence, and the pieces of its sub-trees."""
    for leaf in reader.leaves(top, lo, hi, ahead, reverse=reverse):
        start = leaf.find(lo) if lo else 0
        stop = leaf.count if hi is None else leaf.find(hi)
        if leaf.may_have_entries:
            if leaf.entry_above(start, lo) is not None:
                start -= 1
            yield from _mixed(reader, leaf, start, stop, folder, lo, hi, ahead, reverse)
        elif start < stop:
            keys, values = leaf.keys(start, stop, folder), leaf.values(start, stop)
            if reverse:
                keys.reverse()
                values.reverse()
            yield keys, values


def _mixed(
    reader: NodeReader,
    leaf: Leaf,
    start: int,
    stop: int,
    folder: bytes,
    lo: bytes,
    hi: bytes | None,
    ahead: Ahead,
    reverse: bool,
) -> Iterator[Any]:
    """Do this for a leaf that may have sub-tree entries."""
    keys, values = leaf.keys(start, stop), leaf.values(start, stop)
    if reverse:
        keys.reverse()
        values.reverse()
    entries = entries_among(keys)
    begin = 0
    coming: list[Node] = []
    for number, at in enumerate(entries):
        if begin < at:
            yield [folder + key for key in keys[begin:at]], values[begin:at]
        begin = at + 1
        if not coming:
            step = entries[number : number + ahead.step()]
            coming = reader.nodes([decode_entry(values[entry]).address for entry in step], None, ahead)
            coming.reverse()
        top = coming.pop()
        bounds = entry_range(keys[at], lo, hi)
        if bounds is not None:
            yield _pieces(reader, top, folder + keys[at], *bounds, ahead, reverse)
    if begin < len(keys):
        yield [folder + key for key in keys[begin:]], values[begin:]


def positions(
    reader: NodeReader, top: ChunkId, folder: bytes, start: int, stop: int
) -> list[tuple[bytes, bytes]]:
    """Return the rows from one position to another; positions behind the last row are ignored.

    Args:
        reader: reads the nodes.
        top: address of the sequence.
        folder: the sequence's folder.
        start: first position.
        stop: position after the last row.
    """
    rows: list[tuple[bytes, bytes]] = []
    #: What to look at, the next last: rows, or a node with its folder and the position of its first row.
    stack: list[_Place | list[tuple[bytes, bytes]]] = [(top, folder, 0)]
    while stack:
        place = stack.pop()
        if isinstance(place, list):
            rows += place
            continue
        cancellation.check()
        stack += reversed(_below(reader.node(place[0]), place[1], place[2], start, stop))
    return rows


#: Address, folder, and position of the first row.
_Place = tuple["ChunkId", bytes, int]


def _below(
    node: Node, folder: bytes, first: int, start: int, stop: int
) -> list[_Place | list[tuple[bytes, bytes]]]:
    """Return rows and places in a node that reach into a range of positions."""
    if isinstance(node, Leaf) and not node.may_have_entries:
        low, high = max(start - first, 0), min(stop - first, node.count)
        return [list(zip(node.keys(low, high, folder), node.values(low, high), strict=True))]
    places: list[_Place | list[tuple[bytes, bytes]]] = []
    if isinstance(node, Inner):
        for number, count in enumerate(node.rows):
            if first < stop and first + count > start:
                places.append((node.address(number), folder, first))
            first += count
        return places
    for key, value in zip(node.keys(), node.values(), strict=True):
        if is_entry(key):
            entry = decode_entry(value)
            if first < stop and first + entry.sums[0] > start:
                places.append((entry.address, folder + key, first))
            first += entry.sums[0]
        else:
            if start <= first < stop:
                places.append([(folder + key, value)])
            first += 1
    return places


def range_sums(reader: NodeReader, top: ChunkId, folder: bytes, lo: bytes, hi: bytes | None) -> Columns:
    """Sum up a range; reads the nodes at its edges.

    Args:
        reader: reads the nodes.
        top: address of the sequence.
        folder: the sequence's folder.
        lo: the first key, in the sequence's terms.
        hi: the key after the last; None: no end.
    """
    parts: list[Columns] = []
    stack: list[tuple[Node, bytes, bytes, bytes | None]] = [(reader.node(top), folder, lo, hi)]
    while stack:
        node, path, lo, hi = stack.pop()
        if isinstance(node, Inner):
            whole, edges = _children_within(node, lo, hi)
            parts += map(node.sums, whole) if len(whole) < node.count else node.all_sums()
            stack += [(reader.node(node.address(at), node.level - 1), path, lo, hi) for at in edges]
            continue
        start = node.find(lo) if lo else 0
        stop = node.count if hi is None else node.find(hi)
        cut: list[int] = []
        if node.entry_above(start, lo) is not None:
            cut.append(start - 1)
        if hi is not None and node.entry_above(stop, hi) is not None and stop > start:
            stop -= 1
            cut.append(stop)
        for at in cut:
            entry = node.key(at)
            bounds = entry_range(entry, lo, hi)
            if bounds is not None:
                below = reader.node(decode_entry(node.value(at)).address)
                stack.append((below, path + entry, *bounds))
        if start < stop:
            parts.append(sum_items(reader.kind, path, node.keys(start, stop), node.values(start, stop)))
    return parts[0] if len(parts) == 1 else total(reader.kind, parts)


def _children_within(node: Inner, lo: bytes, hi: bytes | None) -> tuple[list[int], list[int]]:
    """Return the children whose items are all within a range, and those at its edges."""
    first, stop = node.span(lo, hi)
    keys = node.keys
    whole: list[int] = []
    edges: list[int] = []
    for at in range(first, stop):
        begins_within = keys[at - 1] >= lo if at else not lo
        ends_within = hi is None or (keys[at] < hi and not (hi.startswith(keys[at]) and is_entry(keys[at])))
        (whole if begins_within and ends_within else edges).append(at)
    return whole, edges
