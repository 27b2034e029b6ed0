"""Reads folders of a file tree without what lies below them: their files, and their sub-folders with sums.

A folder is a sequence of its own, or items of a sequence above it (``docs/design/format.md``, "Folders as sub-trees").
``Folder`` is the same for both: what it costs to list is what it shows.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from msgspec import Struct, field

from trunkline.storage.node_reader import Ahead, after
from trunkline.storage.nodes import Inner, Leaf
from trunkline.storage.sums import decode_entry, sum_items, total

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.storage.chunks import ChunkId
    from trunkline.storage.node_reader import NodeReader
    from trunkline.storage.row_reads import Run
    from trunkline.storage.sums import Columns

#: Folders whose nodes are read together: at first, and then; and pieces that wait for it.
_FIRST_FOLDERS, _FOLDERS, _WAITING_PIECES = 4, 48, 512


class Folder(Struct):
    """A folder that has rows.

    Attributes:
        path: full path with its slash.
        address: of its sequence; None when its items stand in a sequence above, and then in ``keys``.
        keys: keys of its items, relative to it, sorted.
        values: their values.
    """

    path: bytes
    address: ChunkId | None
    keys: list[bytes] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    _sums: Columns | None = None

    def sums(self, reader: NodeReader) -> Columns:
        """Return the sums of all rows below the folder."""
        if self._sums is None:
            if self.address is None:
                self._sums = sum_items(reader.kind, self.path, self.keys, self.values)
            else:
                top = reader.node(self.address)
                if isinstance(top, Inner):
                    self._sums = total(reader.kind, top.all_sums())
                else:
                    self._sums = sum_items(reader.kind, self.path, top.keys(), top.values())
        return self._sums


def locate(reader: NodeReader, tree: ChunkId, path: bytes) -> Folder | None:
    """Return the folder at a path, or None when nothing is below it.

    Args:
        reader: reads the nodes.
        tree: id of the tree; not empty.
        path: full path with its slash.
    """
    above, address = reader.kind.top, tree
    while above != path:
        name = path[len(above) :]
        node = reader.node(address)
        while isinstance(node, Inner):
            number = node.find(name)
            if number == node.count:
                return None
            node = reader.node(node.address(number), node.level - 1)
        number = node.find(name)
        entry = node.entry_above(number, name)
        if entry is not None:
            above, address = above + entry, decode_entry(node.value(number - 1)).address
            continue
        if number < node.count and node.key(number) == name:
            return _entry(path, node.value(number))
        keys, values = _range(reader, address, node, number, name)
        return Folder(path, None, [key[len(name) :] for key in keys], values) if keys else None
    return Folder(path, address)


def _range(
    reader: NodeReader, address: ChunkId, leaf: Leaf, number: int, name: bytes
) -> tuple[list[bytes], list[bytes]]:
    """Return the items of a sequence below a folder, which begin in a leaf or in the next one."""
    stop = leaf.find(after(name))
    if stop < leaf.count:
        return leaf.keys(number, stop), leaf.values(number, stop)
    return reader.items(address, name, after(name))


def children(
    reader: NodeReader,
    folder: Folder,
    lo: bytes = b"",
    hi: bytes | None = None,
    *,
    reverse: bool = False,
    eager: bool = True,
) -> Iterator[Run | Folder]:
    """Yield what is right in a folder, in key order: runs of files as full keys and values, and sub-folders.

    Args:
        reader: reads the nodes.
        folder: the folder.
        lo: the first key, relative to the folder; not within a sub-folder.
        hi: the key after the last, not within a sub-folder; None: no end.
        reverse: yield them in descending order.
        eager: whether all of them will be looked at.
    """
    group: tuple[bytes, list[bytes], list[bytes]] | None = None
    for keys, values in folder_items(reader, folder, lo, hi, reverse=reverse, eager=eager):
        if b"/" not in b"".join(keys):
            if group:
                yield _grouped(folder.path, group, reverse)
                group = None
            yield [folder.path + key for key in keys], values
            continue
        begin = 0
        for at, key in enumerate(keys):
            slash = key.find(b"/")
            if slash >= 0 and slash + 1 < len(key):
                tag = key.find(b"\0")
                slash = slash if tag < 0 or slash < tag else -1
            if group and (slash < 0 or key[: slash + 1] != group[0]):
                yield _grouped(folder.path, group, reverse)
                group, begin = None, at
            if slash < 0:
                continue
            if group is None:
                if begin < at:
                    yield [folder.path + key for key in keys[begin:at]], values[begin:at]
                group = key[: slash + 1], [], []
            group[1].append(key)
            group[2].append(values[at])
            begin = at + 1
        if begin < len(keys):
            yield [folder.path + key for key in keys[begin:]], values[begin:]
    if group:
        yield _grouped(folder.path, group, reverse)


def folder_items(
    reader: NodeReader,
    folder: Folder,
    lo: bytes = b"",
    hi: bytes | None = None,
    *,
    reverse: bool = False,
    eager: bool = False,
) -> Iterator[Run]:
    """Yield the items of a folder in runs, with keys relative to it.

    Args:
        reader: reads the nodes.
        folder: the folder.
        lo: the first key.
        hi: the key after the last; None: no end.
        reverse: yield them in descending order.
        eager: whether all of them will be looked at.
    """
    if folder.address is None:
        start = bisect_left(folder.keys, lo)
        stop = len(folder.keys) if hi is None else bisect_left(folder.keys, hi)
        keys, values = folder.keys[start:stop], folder.values[start:stop]
        if keys:
            yield (keys[::-1], values[::-1]) if reverse else (keys, values)
        return
    top = reader.node(folder.address)
    for leaf in reader.leaves(top, lo, hi, Ahead(eager=eager), reverse=reverse):
        start = leaf.find(lo) if lo else 0
        stop = leaf.count if hi is None else leaf.find(hi)
        if start < stop:
            keys, values = leaf.keys(start, stop), leaf.values(start, stop)
            yield (keys[::-1], values[::-1]) if reverse else (keys, values)


def _grouped(above: bytes, group: tuple[bytes, list[bytes], list[bytes]], reverse: bool) -> Folder:
    name, keys, values = group
    if len(keys) == 1 and keys[0] == name:
        return _entry(above + name, values[0])
    if reverse:
        keys.reverse()
        values.reverse()
    cut = len(name)
    return Folder(above + name, None, [key[cut:] for key in keys], values)


def _entry(path: bytes, value: bytes) -> Folder:
    entry = decode_entry(value)
    return Folder(path, entry.address, _sums=entry.sums)


def read_ahead(
    reader: NodeReader, pieces: Iterator[Run | Folder], lo: bytes = b"", hi: bytes | None = None
) -> Iterator[Run | Folder]:
    """Pass on what ``children`` yields, and read what the next folders need into the cache, many together.

    Args:
        reader: reads the nodes.
        pieces: from ``children``.
        lo: the first key that will be read in each folder, relative to it.
        hi: the key after the last; None: no end.
    """
    waiting: list[Run | Folder] = []
    tops: list[ChunkId] = []
    step = _FIRST_FOLDERS
    for piece in pieces:
        if isinstance(piece, Folder) and piece.address is not None:
            tops.append(piece.address)
        elif not tops:
            yield piece
            continue
        waiting.append(piece)
        if len(tops) >= step or len(waiting) >= _WAITING_PIECES:
            reader.read_ranges(tops, lo, hi)
            yield from waiting
            waiting, tops, step = [], [], _FOLDERS
    if len(tops) > 1:
        reader.read_ranges(tops, lo, hi)
    yield from waiting
