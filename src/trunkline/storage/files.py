"""Reads file trees: inspect, list, walk, glob, diff, and the bytes of files.

A file tree's rows are files: key is path, NUL, tag; value is the content by its chunks (``file_values``). Directories
are not stored; they are the ranges of keys below their path, with size and hash from the tree's sums.

Order. Everything comes in byte order of paths, where a directory's path counts with its slash: ``/a-b``,
``/a/``, ``/a/x``, ``/a0``. It is the order of the keys, so no result is ever gathered or sorted, a
directory comes before what is in it, and a listing can go on after any path.

Paths are taken canonical (``model.paths``); those of directories end with ``/``, the root is ``/``. The
root is there when the tree has a file.
"""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from trunkline.runtime import cancellation
from trunkline.storage import file_values
from trunkline.storage.segments import Sums, TreeKind
from trunkline.storage.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trunkline.model.globs import Glob
    from trunkline.storage.chunks import ChunkId, ChunkSource
    from trunkline.storage.segments import TreeId

FILES = TreeKind(size_of=file_values.size_of, content_of=file_values.content_of)

#: The end of the keys that start with a directory's path: the character after ``/``.
_AFTER_SLASH = b"0"
#: After every key with the same start: UTF-8 has no such byte.
_AFTER_ALL = b"\xff"


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
            return _file(*row)
        path += "/"
    return _directory(path, trees.summary(tree, *_below(path)))


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
    prefix = directory if directory.endswith("/") else directory + "/"
    lo, hi = _below(prefix)
    if after is not None and reverse:
        hi = min(hi, _range_of(after)[0])
    elif after is not None:
        lo = max(lo, _range_of(after)[1])
    start = len(prefix.encode())
    while True:
        for key, value in trees.scan(tree, lo, hi, reverse=reverse):
            slash = key.find(b"/", start, key.rindex(b"\0"))
            if slash == -1:
                yield _file(key, value)
                continue
            # Step over all that lies below, by searching anew.
            child = key[: slash + 1]
            yield _entry(trees, tree, child, None)
            lo, hi = (lo, child) if reverse else (child[:-1] + _AFTER_SLASH, hi)
            break
        else:
            return


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
    if not entry.is_dir:
        yield entry
        return
    for key, value in _steps(trees, tree, *_below(entry.path)):
        if value is not None or len(key) >= len(entry.path.encode()):
            yield _entry(trees, tree, key, value)


def glob(trees: Trees, tree: TreeId, glob: Glob, lower: str = "", upper: str = "") -> Iterator[FileEntry]:
    """Yield the files and directories that a glob matches.

    Reads only below the glob's literal start, and not below the depth that it can reach.

    Args:
        trees: the store's file trees.
        tree: where to look.
        glob: matched against paths without trailing slash; ``/`` is the root.
        lower: leave out paths before this one.
        upper: leave out this path and those after it; empty for no bound.
    """
    if glob.matches("/"):
        root = inspect(trees, tree, "/")
        if root and lower <= "/" and (not upper or upper > "/"):
            yield root
        return
    prefix = glob.literal_prefix.encode()
    lo, hi = max(prefix, lower.encode()), prefix + _AFTER_ALL
    depth = glob_depth(glob.pattern)
    steps = _steps(trees, tree, lo, hi) if depth is None else _steps_at(trees, tree, lo, hi, depth)
    for key, value in steps:
        cancellation.check()  # matching one path may take milliseconds
        path = key.partition(b"\0")[0].decode()
        if upper and path >= upper:
            return
        if path >= lower and glob.matches(path.removesuffix("/")):
            yield _entry(trees, tree, key, value)


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
        folder = key[: key.rindex(b"/", 0, key.rindex(b"\0")) + 1]
        if folder != above:
            for directory in _entered(folder, above):
                if directory.startswith(top):
                    span = directory, directory[:-1] + _AFTER_SLASH
                    name = directory.decode()
                    yield (
                        _directory(name, trees.summary(new, *span)),
                        _directory(name, trees.summary(old, *span)),
                    )
            above = folder
        yield (
            None if after is None else _file(key, after),
            None if before is None else _file(key, before),
        )


def read(store: ChunkSource, value: bytes, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
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


def glob_depth(pattern: str) -> int | None:
    """Return how many slashes every path that matches has, or None when that is not fixed."""
    if "**" in pattern:
        return None
    depth = nesting = 0
    escaped = False
    for character in pattern:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
            continue
        elif character in "[({":
            nesting += 1
        elif character in "])}":
            nesting -= 1
            if nesting < 0:
                return None
        if character == "/":
            if nesting:
                return None
            depth += 1
    return depth


def _steps(trees: Trees, tree: TreeId, lo: bytes, hi: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the rows of a range and, before the first row in each, directories: path and None."""
    above = b""
    for key, value in trees.scan(tree, lo, hi):
        folder = key[: key.rindex(b"/", 0, key.rindex(b"\0")) + 1]
        if folder != above:
            for directory in _entered(folder, above):
                yield directory, None
            above = folder
        yield key, value


def _steps_at(
    trees: Trees, tree: TreeId, lo: bytes, hi: bytes, depth: int
) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield only the rows and directories whose path has ``depth`` slashes, stepping over what is below."""
    while True:
        for key, value in trees.scan(tree, lo, hi):
            slashes = key.count(b"/", 0, key.rindex(b"\0"))
            if slashes == depth:
                yield key, value
            elif slashes > depth:
                directory = b"/".join(key.split(b"/", depth + 1)[: depth + 1]) + b"/"
                yield directory, None
                lo = directory[:-1] + _AFTER_SLASH
                break
        else:
            return


def _entered(folder: bytes, above: bytes) -> Iterator[bytes]:
    """Yield the directories that lead to ``folder`` and did not lead to ``above``, outermost first."""
    end = folder.find(b"/")
    while end != -1:
        if not above.startswith(folder[: end + 1]):
            yield folder[: end + 1]
        end = folder.find(b"/", end + 1)


def _entry(trees: Trees, tree: TreeId, key: bytes, value: bytes | None) -> FileEntry:
    """Return what a step of ``_steps`` stands for."""
    if value is not None:
        return _file(key, value)
    return _known_directory(key.decode(), trees.summary(tree, key, key[:-1] + _AFTER_SLASH))


def _file(key: bytes, value: bytes) -> FileEntry:
    path, _, tag = key.decode().rpartition("\0")
    return FileEntry(path, False, file_values.size_of(value), file_values.hash_of(value), tag, value)


def _directory(path: str, sums: Sums) -> FileEntry | None:
    return _known_directory(path, sums) if sums.rows else None


def _known_directory(path: str, sums: Sums) -> FileEntry:
    content = b"".join(lane.to_bytes(8, "little") for lane in sums.content)
    return FileEntry(path, True, sums.size, blake3(b"dir" + content).digest())


def _below(directory: str) -> tuple[bytes, bytes]:
    """Return the range of the keys below a directory."""
    prefix = directory.encode()
    return prefix, prefix[:-1] + _AFTER_SLASH


def _range_of(path: str) -> tuple[bytes, bytes]:
    """Return the range of keys of a file, or of everything below a directory."""
    return _below(path) if path.endswith("/") else (path.encode() + b"\0", path.encode() + b"\1")
