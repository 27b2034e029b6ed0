"""Finds the files and directories of a file tree that a glob matches, seeking from match to match.

A pattern is a list of components, one for each level of folders, up to the first one that may match a slash. Each
level looks only at the range of names that the literal start of its component leaves, and goes only into the folders
that match; below the last level nothing is read. From a component that may match a slash on, everything is looked at.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from trunkline.model.globs import compile_glob
from trunkline.runtime import cancellation
from trunkline.storage.files import entry_of_folder, entry_of_row, inspect
from trunkline.storage.folder_reads import Folder, children, read_ahead
from trunkline.storage.node_reader import after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.model.globs import Glob
    from trunkline.storage.files import FileEntry
    from trunkline.storage.row_reads import Run
    from trunkline.storage.sums import TreeId
    from trunkline.storage.trees import Trees

#: After every name with the same start: UTF-8 has no such byte.
_AFTER_ALL = b"\xff"


def glob(trees: Trees, tree: TreeId, glob: Glob, lower: str = "", upper: str = "") -> Iterator[FileEntry]:
    """Yield the files and directories that a glob matches, in path order.

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
    root_folder = trees.folder(tree, b"/")
    if root_folder is None:
        return
    search = _Search(trees, glob, lower.encode())
    stack = [search.pieces(root_folder, 0)]
    while stack:
        piece = next(stack[-1], None)
        if piece is None:
            stack.pop()
            continue
        level = len(stack) - 1
        if isinstance(piece, Folder):
            cancellation.check()  # matching one path may take milliseconds
            path = piece.path.decode()
            if upper and path >= upper:
                return
            if search.may_end(level) and path >= lower and glob.matches(path[:-1]):
                yield entry_of_folder(trees, piece)
            if search.goes_below(level):
                stack.append(search.pieces(piece, level + 1))
        elif search.may_end(level):
            for key, value in search.candidates(*piece):
                cancellation.check()
                path = key[: key.index(b"\0")].decode()
                if upper and path >= upper:
                    return
                if path >= lower and glob.matches(path):
                    yield entry_of_row(key, value)


def components(pattern: str) -> tuple[list[str], str | None]:
    """Split a pattern into components that match one name each, and the rest, which may match slashes.

    Returns:
        The components, and the rest from the first component on that may match a slash; None without such a rest.
    """
    parts: list[str] = []
    start = 1
    nesting = 0
    escaped = False
    at = 1
    while at <= len(pattern):
        character = pattern[at] if at < len(pattern) else "/"
        at += 1
        if character == "/":
            part = pattern[start : at - 1]
            if nesting or "**" in part:
                return parts, pattern[start:]
            part = part[:-1] if escaped else part  # the slash was written \/
            if part:
                parts.append(part)
            start, escaped = at, False
        elif escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character in "[({":
            nesting += 1
        elif character in "])}":
            nesting -= 1
    return parts, None


class _Search:
    """What a glob looks at on each level of folders."""

    def __init__(self, trees: Trees, glob: Glob, lower: bytes) -> None:
        self._reader = trees.reader
        self._lower = lower
        self._end = glob.literal_end.encode() + b"\0" if glob.literal_end else b""
        parts, rest = components(glob.pattern)
        self._globs = [compile_glob("/" + part) for part in parts]
        self._rest = rest is not None
        if rest is not None:
            self._globs.append(compile_glob("/" + rest))

    def candidates(self, keys: list[bytes], values: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield the rows of a run that may match: looking for the pattern's end costs a tenth of matching it."""
        cancellation.check()
        end = self._end
        return (
            zip(keys, values, strict=True)
            if not end
            else ((key, value) for key, value in zip(keys, values, strict=True) if end in key)
        )

    def may_end(self, level: int) -> bool:
        """Return whether something on a level may match the whole pattern."""
        return level >= len(self._globs) - 1

    def goes_below(self, level: int) -> bool:
        """Return whether something below a level may match the pattern."""
        return self._rest or level < len(self._globs) - 1

    def pieces(self, folder: Folder, level: int) -> Iterator[Run | Folder]:
        """Yield what to look at in a folder."""
        ranges = self._ranges(folder, level)
        pieces = chain.from_iterable(children(self._reader, folder, lo, hi) for lo, hi in ranges)
        last = self.may_end(level)
        passed = (piece for piece in pieces if self._passes(piece, folder.path, level, last))
        if not self.goes_below(level):
            return passed
        below = self._names(level + 1)
        return read_ahead(self._reader, passed, below[0][0], below[-1][1])

    def _passes(self, piece: Run | Folder, above: bytes, level: int, last: bool) -> bool:
        if not isinstance(piece, Folder):
            return last
        if self._lower and self._lower >= after(piece.path):
            return False
        if last:
            return True
        return self._globs[level].matches("/" + piece.path[len(above) : -1].decode())

    def _ranges(self, folder: Folder, level: int) -> list[tuple[bytes, bytes | None]]:
        """Return the ranges of names that a level looks at in a folder."""
        ranges = self._names(level)
        if not self._lower.startswith(folder.path):
            return ranges
        lower = self._lower[len(folder.path) :]
        slash = lower.find(b"/")
        lower = lower if slash < 0 else lower[: slash + 1]
        return [(max(lo, lower), hi) for lo, hi in ranges if hi is None or hi > lower]

    def _names(self, level: int) -> list[tuple[bytes, bytes | None]]:
        """Return the ranges of names that the literal start of a level's component leaves."""
        if level >= len(self._globs):
            return [(b"", None)]
        part = self._globs[level]
        start = part.literal_prefix[1:].encode()
        if part.is_literal:
            folder = start + b"/", start + b"0"
            return [(start + b"\0", start + b"\1"), folder] if self.may_end(level) else [folder]
        return [(start, start + _AFTER_ALL)] if start else [(b"", None)]
