"""Ranks of what is right in a folder.

Nodes know how many rows are below a folder, not how many children it has: a sub-folder is one child, whatever is below
it. So the children are counted once, and the name of each 256th is held, by the address of the folder's sequence. Of a
folder with a million files this takes about half a second and 300 kB.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from trunkline.storage.folder_ranks import STEP, FolderIndex
from trunkline.storage.folder_reads import Folder, children
from trunkline.storage.nodes import Inner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.storage.node_reader import NodeReader

#: Level of the top of a sequence up to which it is counted without being asked: some 50,000 files.
CHEAP_LEVEL = 2
#: Memory of a name beside its bytes.
_NAME_BYTES = 60


def folder_index(reader: NodeReader, folder: Folder, *, count: bool) -> FolderIndex | None:
    """Return the index of a folder; None for a large one that has none yet.

    Args:
        reader: reads the nodes.
        folder: the folder.
        count: make the index of a large folder too.
    """
    address = folder.address
    if address is None:
        return _counted(reader, folder)
    index = reader.cache.folders.get(address)
    if index is None:
        top = reader.node(address)
        if not count and isinstance(top, Inner) and top.level > CHEAP_LEVEL:
            return None
        index = _counted(reader, folder)
        size = sum(map(len, index.keys)) + _NAME_BYTES * len(index.keys)
        reader.cache.folders.put(address, index, size)
    return index


def _counted(reader: NodeReader, folder: Folder) -> FolderIndex:
    keys: list[bytes] = []
    total, cut = 0, len(folder.path)
    for piece in children(reader, folder):
        if isinstance(piece, Folder):
            if not total % STEP:
                keys.append(piece.path[cut:])
            total += 1
            continue
        run = piece[0]
        keys += [child_key(key, cut) for key in islice(run, -total % STEP, None, STEP)]
        total += len(run)
    return FolderIndex(keys, total)


def child_key(path: bytes, cut: int) -> bytes:
    """Return the key of a child in its folder: its name, with a slash when it is a folder.

    Args:
        path: full key of a row, with its tag, or path of a folder.
        cut: bytes of the folder's path.
    """
    end = path.find(b"\0", cut)
    return path[cut:] if end < 0 else path[cut:end]


def children_from(reader: NodeReader, folder: Folder, key: bytes) -> Iterator[Folder | tuple[bytes, bytes]]:
    """Yield the children of a folder from a key on: folders, and files as rows.

    Args:
        reader: reads the nodes.
        folder: the folder.
        key: of a child, or any text without a slash.
    """
    for piece in children(reader, folder, key, eager=False):
        if isinstance(piece, Folder):
            yield piece
        else:
            yield from zip(*piece, strict=True)
