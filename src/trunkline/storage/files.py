"""Reads file trees: inspect, list, walk, diff, and the bytes of files.

A file tree's rows are files: key is path, NUL, tag; value is the content by its chunks (``file_values``). Directories
are not stored; they are the ranges of keys below their path, with size and hash from the sums that the tree has of each
folder. ``file_globs`` selects files by patterns.

Order. Everything comes in byte order of paths, where a directory's path counts with its slash: ``/a-b``,
``/a/``, ``/a/x``, ``/a0``. It is the order of the keys, so no result is ever gathered or sorted, a
directory comes before what is in it, and a listing can go on after any path.

Paths are taken canonical (``model.paths``); those of directories end with ``/``, the root is ``/``. The
root is there when the tree has a file.
"""

from __future__ import annotations

import struct
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from trunkline.errors import DataLoss
from trunkline.storage import file_values
from trunkline.storage.folder_reads import Folder, children, read_ahead
from trunkline.storage.node_reader import after as key_after
from trunkline.storage.sums import FILE_TREE, TreeKind
from trunkline.storage.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from trunkline.storage.chunks import ChunkId, ChunkSource
    from trunkline.storage.sums import TreeId

_LANES = struct.Struct("<4Q")

#: Files, by path and tag. Folders from about a kilobyte of items on are sub-trees.
FILES = TreeKind(FILE_TREE, leaf=4096, fan_out=32, own=1024, summed_of=file_values.summed_of)


class FileEntry(NamedTuple):
    """A file or a directory of a tree. A tuple, because listings make them by the hundred thousand."""

    #: Directories end with ``/``.
    path: str
    is_dir: bool
    #: Bytes; of a directory, of all files below it.
    size: int
    #: Of a file's content, or of the paths and contents below a directory.
    hash: bytes
    #: The datum that wrote the file; empty for directories.
    tag: str = ""
    #: The value of a file (``file_values``); empty for directories.
    value: bytes = b""


def file_trees(store: ChunkSource) -> Trees:
    """Return the file trees of a store. Create it once: it holds the cache."""
    return Trees(store, FILES)


def inspect(trees: Trees, tree: TreeId, path: str) -> FileEntry | None:
    """Return the file or directory at a path, or None.

    Args:
        trees: the store's file trees.
        tree: where to look.
        path: with a trailing slash only a directory is meant; without, a file before a directory.
    """
    if not path.endswith("/"):
        key = path.encode() + b"\0"
        row = trees.next_row(tree, key)
        if row and row[0].startswith(key):
            return entry_of_row(*row)
        path += "/"
    folder = trees.folder(tree, path.encode())
    return entry_of_folder(trees, folder) if folder else None


def listing(
    trees: Trees, tree: TreeId, directory: str, after: str | None = None, *, reverse: bool = False
) -> Iterator[FileEntry]:
    """Yield the files and directories right in a directory; costs what is listed, not what lies below.

    Args:
        trees: the store's file trees.
        tree: where to look.
        directory: its path, with or without trailing slash.
        after: go on behind this path (before it when reversed), which need not exist; directories with
            their slash.
        reverse: list backwards.
    """
    prefix = (directory if directory.endswith("/") else directory + "/").encode()
    folder = trees.folder(tree, prefix)
    if folder is None:
        return
    lo, hi = b"", None
    if after is not None:
        low, high = _range_of(after)
        bound = low if reverse else high
        if bound > prefix and bound.startswith(prefix):
            name = bound[len(prefix) :]
            slash = name.find(b"/")
            if 0 <= slash < len(name) - 1:
                # Within a directory: it is listed if it has something on the side that is listed.
                child = prefix + name[: slash + 1]
                rest = (child, bound) if reverse else (bound, key_after(child))
                if next(trees.scan(tree, *rest), None):
                    part = trees.folder(tree, child)
                    if part:
                        yield entry_of_folder(trees, part)
                name = name[: slash + 1] if reverse else key_after(name[: slash + 1])
            lo, hi = (lo, name) if reverse else (name, hi)
        elif (bound <= prefix) == reverse:
            return
    for piece in children(trees.reader, folder, lo, hi, reverse=reverse, eager=False):
        if isinstance(piece, Folder):
            yield entry_of_folder(trees, piece)
        else:
            yield from map(entry_of_row, *piece)


def walk(trees: Trees, tree: TreeId, path: str = "/") -> Iterator[FileEntry]:
    """Yield a file, or a directory and everything below it, each directory before its content.

    Args:
        trees: reads the tree.
        tree: the files.
        path: the file or directory to start from.
    """
    entry = inspect(trees, tree, path)
    if entry is None:
        return
    yield entry
    folder = trees.folder(tree, entry.path.encode()) if entry.is_dir else None
    if folder is None:
        return
    stack = [read_ahead(trees.reader, children(trees.reader, folder))]
    while stack:
        piece = next(stack[-1], None)
        if piece is None:
            stack.pop()
        elif isinstance(piece, Folder):
            yield entry_of_folder(trees, piece)
            stack.append(read_ahead(trees.reader, children(trees.reader, piece)))
        else:
            yield from map(entry_of_row, *piece)


def diff(
    trees: Trees, old: TreeId, new: TreeId, path: str = "/"
) -> Iterator[tuple[FileEntry | None, FileEntry | None]]:
    """Yield ``(new, old)`` of each file and directory that is not the same in both trees.

    A directory comes before what changed in it. Costs what changed, not what is there.

    Args:
        trees: the store's file trees.
        old: the tree before.
        new: the tree after.
        path: compare only this file or directory.
    """
    if path.endswith("/"):
        ranges = [_below(path)]
    else:
        ranges = [(path.encode() + b"\0", path.encode() + b"\1"), _below(path + "/")]
    top = path.encode()
    above = b""
    for key, before, after in chain.from_iterable(trees.diff(old, new, lo, hi) for lo, hi in ranges):
        folder = key[: key.rindex(b"/", 0, key.index(b"\0")) + 1]
        if folder != above:
            for directory in _entered(folder, above):
                if directory.startswith(top):
                    yield _folder_entry(trees, new, directory), _folder_entry(trees, old, directory)
            above = folder
        yield (
            None if after is None else entry_of_row(key, after),
            None if before is None else entry_of_row(key, before),
        )


def read(store: ChunkSource, value: bytes, offset: int = 0, length: int | None = None) -> Generator[bytes]:
    """Yield a file's bytes in pieces of at most a chunk; gets only the chunks that are asked for.

    Args:
        store: where the chunks are.
        value: ``FileEntry.value``.
        offset: the first byte; beyond the end there is nothing.
        length: bytes at most; None for all that follow.
    """
    ranges: deque[tuple[int, int, int]] = deque()

    def ids() -> Iterator[ChunkId]:
        for id, *span in file_values.spans(store, value, offset, length):
            ranges.append((span[0], span[1], span[2]))
            yield id

    pieces = store.read_many(ids())
    while True:
        piece = next(pieces, None)
        if piece is None:
            return
        start, stop, size = ranges.popleft()
        if stop - start < size:
            piece = piece[start:stop]
        yield piece
        del piece  # no name holds it while its reader has it


def read_all(store: ChunkSource, values: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the bytes of many files: position among ``values``, and the next piece of that file.

    Files follow each other; empty ones and directories (without a value) yield nothing. Much faster than one
    ``read`` each, because small files that were written together are got together.
    """
    owners: deque[int] = deque()

    def ids() -> Iterator[ChunkId]:
        for number, value in enumerate(values):
            for id, _ in file_values.chunks_of(store, value) if value else ():
                owners.append(number)
                yield id

    for piece in store.read_many(ids()):
        yield owners.popleft(), piece


def _entered(folder: bytes, above: bytes) -> Iterator[bytes]:
    """Yield the directories that lead to ``folder`` and did not lead to ``above``, outermost first."""
    end = folder.find(b"/")
    while end != -1:
        if not above.startswith(folder[: end + 1]):
            yield folder[: end + 1]
        end = folder.find(b"/", end + 1)


def _folder_entry(trees: Trees, tree: TreeId, path: bytes) -> FileEntry | None:
    folder = trees.folder(tree, path)
    return entry_of_folder(trees, folder) if folder else None


def entry_of_row(key: bytes, value: bytes) -> FileEntry:
    """Return a file by its row."""
    try:
        path, _, tag = key.decode().partition("\0")
    except UnicodeDecodeError as error:
        raise _not_text(key) from error
    return FileEntry(path, False, file_values.size_of(value), file_values.hash_of(value), tag, value)


def entry_of_folder(trees: Trees, folder: Folder) -> FileEntry:
    """Return a directory."""
    _, size, *lanes = folder.sums(trees.reader)
    content = _LANES.pack(*lanes)
    try:
        path = folder.path.decode()
    except UnicodeDecodeError as error:
        raise _not_text(folder.path) from error
    return FileEntry(path, True, size, blake3(b"dir" + content).digest())


def _not_text(key: bytes) -> DataLoss:
    """Return the error for a key that names no file."""
    return DataLoss(
        f"a file tree has the path {key!r}, which is not UTF-8: the row was damaged when it was written, or belongs to"
        " a newer release; delete the folder above it, or put its files again"
    )


def _below(directory: str) -> tuple[bytes, bytes]:
    """Return the range of the keys below a directory."""
    prefix = directory.encode()
    return prefix, key_after(prefix)


def _range_of(path: str) -> tuple[bytes, bytes]:
    """Return the range of keys of a file, or of everything below a directory."""
    return _below(path) if path.endswith("/") else (path.encode() + b"\0", path.encode() + b"\1")
