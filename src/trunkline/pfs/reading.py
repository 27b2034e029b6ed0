"""Resolve the files of a request: paths, globs, lists, differences and archives of a commit.

Functions take a ``files.Snapshot`` and yield file entries in path order. They block between entries.
"""

from __future__ import annotations

from collections import deque
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

from trunkline import errors
from trunkline.meta import commits
from trunkline.model import paths
from trunkline.model.globs import compile_glob
from trunkline.model.names import CommitName
from trunkline.pfs import files, tar
from trunkline.storage import file_globs
from trunkline.storage import files as storage_files
from trunkline.storage.files import FileEntry
from trunkline.storage.sums import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trunkline.pfs.files import Snapshot
    from trunkline.pfs.repository import VersionedStore

__all__ = [
    "Difference", "FileEntry", "archive", "content", "diff", "files_within", "glob", "list_directory", "one_file",
    "walk",
]  # fmt: skip

#: The largest ``number`` of files in a request; as in Pachyderm.
MAX_NUMBER = 100_000


def one_file(snapshot: Snapshot, path: str) -> FileEntry:
    """Return the one file that a path or glob means.

    Raises:
        NotFound: there is none.
        InvalidArgument: it means a directory, or more than one file.
    """
    entries = list(islice(_matching(snapshot, path), 2))
    if not entries:
        raise snapshot.not_found(path)
    if len(entries) > 1 or entries[0].is_dir:
        what = "matches more than one file" if len(entries) > 1 else "is a directory"
        raise errors.InvalidArgument(
            f'"{path}" {what} in {snapshot.name}; get it as an archive (get file -r, GetFileTAR)'
        )
    return entries[0]


def content(snapshot: Snapshot, path: str, offset: int = 0) -> Iterator[bytes]:
    """Yield the bytes of the one file that a path or glob means.

    Args:
        snapshot: the commit's files.
        path: path or glob.
        offset: bytes to leave out at the beginning.

    Raises:
        NotFound: there is no such file.
        InvalidArgument: the offset is negative, or the path means something else than one file.
    """
    if offset < 0:
        raise errors.InvalidArgument(f"offset {offset} is negative; count bytes from 0")
    return snapshot.read(one_file(snapshot, path), offset)


def archive(snapshot: Snapshot, path: str, lower: str = "", upper: str = "") -> Iterator[bytes]:
    """Yield a tar archive of what a path or glob means and everything below it, in pieces of any size.

    Args:
        snapshot: the commit's files.
        path: path or glob.
        lower: only paths from here on.
        upper: only paths before this one, when given.

    Raises:
        NotFound: there is nothing.
    """
    entries = _within(snapshot, path, lower, upper)
    return tar.archive(snapshot.chunks, entries)


def files_within(snapshot: Snapshot, path: str, lower: str = "", upper: str = "") -> Iterator[FileEntry]:
    """Yield the files that a path or glob means, and those below folders that it means; as ``archive``.

    Args:
        snapshot: the commit's files.
        path: path or glob.
        lower: only paths from here on.
        upper: only paths before this one, when given.

    Raises:
        NotFound: there is nothing.
    """
    return (entry for entry in _within(snapshot, path, lower, upper) if not entry.is_dir)


def list_directory(
    snapshot: Snapshot, path: str, *, after: str = "", reverse: bool = False, number: int = 0
) -> Iterator[FileEntry]:
    """Yield the entries of a directory, or the file of that path; nothing when there is neither.

    Args:
        snapshot: the commit's files.
        path: of a directory or a file.
        after: only entries behind this path, in the direction of the list.
        reverse: from the last entry to the first; needs a number.
        number: at most so many, 0 for all.

    Raises:
        InvalidArgument: the number is out of bounds.
    """
    limit = _limit(number, reverse=reverse)
    trees, tree = snapshot.trees, snapshot.tree
    entry = storage_files.inspect(trees, tree, _canonical(path))
    if entry is None:
        return
    entries: Iterable[FileEntry] = (entry,)
    if entry.is_dir:
        marker = _canonical(after) if after else None
        entries = storage_files.listing(trees, tree, entry.path, marker, reverse=reverse)
    yield from islice(entries, limit)


def walk(
    snapshot: Snapshot, path: str, *, after: str = "", reverse: bool = False, number: int = 0
) -> Iterator[FileEntry]:
    """Yield a file, or a directory with everything below it.

    Args:
        snapshot: the commit's files.
        path: of a directory or a file.
        after: only entries behind this path, in the direction of the walk.
        reverse: from the last entry to the first; needs a number.
        number: at most so many, 0 for all.

    Raises:
        NotFound: there is nothing at the path.
        InvalidArgument: the number is out of bounds.
    """
    limit = _limit(number, reverse=reverse)
    path = _canonical(path)
    entries = storage_files.walk(snapshot.trees, snapshot.tree, path)
    first = next(entries, None)
    if first is None:
        if path == "/":
            return
        raise snapshot.not_found(path)
    entries = chain((first,), entries)
    if after:
        marker = _canonical(after)
        entries = (entry for entry in entries if (entry.path < marker if reverse else entry.path > marker))
    if reverse:
        yield from reversed(deque(entries, maxlen=limit))
    else:
        yield from islice(entries, limit)


def glob(snapshot: Snapshot, pattern: str, lower: str = "", upper: str = "") -> Iterator[FileEntry]:
    """Yield files and directories that match a glob.

    Args:
        snapshot: the commit's files.
        pattern: the glob.
        lower: only paths from here on.
        upper: only paths before this one, when given.

    Raises:
        InvalidArgument: the glob is not valid.
    """
    return file_globs.glob(snapshot.trees, snapshot.tree, compile_glob(pattern), lower, upper)


class Difference(NamedTuple):
    """The differences between two commits; pairs of new and old entry, None where there is none."""

    new: Snapshot
    #: None when the new commit is compared with nothing.
    old: Snapshot | None
    pairs: Iterator[tuple[FileEntry | None, FileEntry | None]]


def diff(
    versions: VersionedStore,
    new_name: CommitName,
    new_path: str,
    old_name: CommitName | None,
    old_path: str,
) -> Difference:
    """Compare the files of two commits. Blocks.

    Args:
        versions: the store.
        new_name: the newer commit.
        new_path: compare what is at and below this path.
        old_name: the older commit; None for the newer one's parent.
        old_path: the path in the older commit, empty for the same.

    Raises:
        NotFound: there is no such commit.
    """
    new = files.snapshot(versions, new_name)
    old = files.snapshot(versions, old_name) if old_name is not None else _parent(versions, new)
    new_path = paths.clean(new_path)
    old_path = paths.clean(old_path) if old_path else new_path
    old_tree = old.tree if old is not None else EMPTY
    if old_path == new_path:
        trees = new.files.trees_with(old.files) if old is not None else new.trees
        pairs = storage_files.diff(trees, old_tree, new.tree, new_path)
    else:
        pairs = chain(
            storage_files.diff(new.trees, EMPTY, new.tree, new_path),
            storage_files.diff(old.trees if old is not None else new.trees, old_tree, EMPTY, old_path),
        )
    return Difference(new, old, iter(pairs))


def _parent(versions: VersionedStore, snapshot: Snapshot) -> Snapshot | None:
    if snapshot.row is None or snapshot.row.parent_id is None:
        return None
    parent = versions.read(commits.find_by_id, snapshot.row.parent_id)
    if parent is None:
        return None
    return files.snapshot(versions, CommitName(snapshot.commit_name.repo, parent.set_id))


def _within(snapshot: Snapshot, path: str, lower: str, upper: str) -> Iterator[FileEntry]:
    """Yield what a path or glob means and everything below it, but the root, within bounds."""
    for entry in _matching_with_content(snapshot, path):
        if entry.path != "/" and entry.path >= lower and (not upper or entry.path < upper):
            yield entry


def _matching_with_content(snapshot: Snapshot, path: str) -> Iterator[FileEntry]:
    """Yield what a path or glob means and everything below it, each once."""
    inside: str | None = None
    empty = True
    for entry in _matching(snapshot, path):
        empty = False
        if inside is not None and entry.path.startswith(inside):
            continue  # came with its directory
        if entry.is_dir:
            inside = entry.path
            yield from storage_files.walk(snapshot.trees, snapshot.tree, entry.path)
        else:
            yield entry
    if empty:
        raise snapshot.not_found(path)


def _matching(snapshot: Snapshot, path: str) -> Iterator[FileEntry]:
    """Yield the file or directory of that very name, else all that the path matches as a glob."""
    trees, tree = snapshot.trees, snapshot.tree
    exact = storage_files.inspect(trees, tree, _canonical(path))
    if exact is not None:
        yield exact
        return
    compiled = compile_glob(path or "/")
    if not compiled.is_literal:
        yield from file_globs.glob(trees, tree, compiled)


def _canonical(path: str) -> str:
    """Return a path in canonical form, with its trailing slash if it has one."""
    cleaned = paths.clean(path)
    return f"{cleaned}/" if path.endswith("/") and cleaned != "/" else cleaned


def _limit(number: int, *, reverse: bool) -> int | None:
    """Return the largest number of files to return; None: no limit."""
    if not 0 <= number <= MAX_NUMBER:
        raise errors.InvalidArgument(
            f"number {number} is out of bounds; ask for at most {MAX_NUMBER:,} files, or 0 for all"
        )
    if reverse and not number:
        raise errors.InvalidArgument("reverse needs a number; say how many files to return from the end")
    return number or None
