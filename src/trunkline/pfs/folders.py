"""Pages of folders, what differs in a folder between two commits, and the versions of a file.

Each costs what it shows: a page of a folder with a million files reads the nodes of the page, a comparison those that
the commits do not share. Everything here blocks.
"""

from __future__ import annotations

from itertools import groupby, islice
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import commits
from trunkline.model import paths
from trunkline.model.names import CommitName
from trunkline.pfs import files, resolve
from trunkline.pfs.commit_lists import find_changes
from trunkline.storage import file_values
from trunkline.storage import files as storage_files
from trunkline.storage.folder_diff import differing_children
from trunkline.storage.folder_index import children_from, folder_index
from trunkline.storage.folder_reads import Folder
from trunkline.storage.node_reader import after as key_after
from trunkline.storage.sums import EMPTY

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.pfs.commit_lists import Searched
    from trunkline.pfs.files import Snapshot
    from trunkline.pfs.repository import VersionedStore
    from trunkline.storage.files import FileEntry
    from trunkline.storage.sums import TreeId
    from trunkline.storage.trees import Trees

#: Entries of a page when a request names no number, and at most.
PAGE, MOST = 200, 1_000
#: Rows that are compared to count what differs.
COUNTED = 10_000
#: Commits that are searched for the versions of a page.
SEARCHED = 1_000


class Child(Struct, frozen=True):
    """What is right in a folder.

    Attributes:
        name: without a slash.
        entry: the file or folder.
        files: files below a folder; 1 for a file.
    """

    name: str
    entry: FileEntry
    files: int


class FolderPage(Struct, frozen=True):
    """A page of a folder.

    Attributes:
        snapshot: the commit's files.
        offset: rank of the first child.
        total: children of the folder; None when they are very many and not counted.
        folder: the folder itself; None for the root of a commit without files.
        children: those of the page.
    """

    snapshot: Snapshot
    offset: int
    total: int | None
    folder: Child | None
    children: list[Child]


def list_folder(
    versions: VersionedStore,
    commit: CommitName,
    path: str,
    *,
    offset: int = 0,
    from_name: str = "",
    number: int = 0,
    count: bool = False,
) -> FolderPage:
    """Return a page of a folder, by rank or by name.

    Args:
        versions: the store.
        commit: the commit.
        path: of the folder.
        offset: rank of the first child.
        from_name: begin with the first name that is not before this, instead of at a rank.
        number: children; 0 for ``PAGE``.
        count: count the children of a very large folder.

    Raises:
        NotFound: there is no such folder.
        InvalidArgument: the offset or the number is out of bounds.
    """
    number = _page_size(number)
    if offset < 0:
        raise errors.InvalidArgument(f"offset {offset} is negative; count entries from 0")
    snapshot = files.snapshot(versions, commit)
    path = _folder_path(path)
    trees = snapshot.trees
    folder = trees.folder(snapshot.tree, path.encode())
    if folder is None:
        if path != "/":
            raise snapshot.not_found(path)
        return FolderPage(snapshot, 0, 0, None, [])
    index = folder_index(trees.reader, folder, count=count or offset > 0 or bool(from_name))
    key, rank = b"", 0
    if index is not None and from_name:
        first = from_name.encode().partition(b"/")[0]
        key, rank = index.near(first)
        skipped = children_from(trees.reader, folder, key)
        rank += sum(1 for _ in _until(skipped, first, len(folder.path)))
        offset, key = rank, first
    elif index is not None:
        key, rank = index.before(offset)
    rows = children_from(trees.reader, folder, key)
    page = [_child(trees, child, path) for child in islice(rows, offset - rank, offset - rank + number)]
    return FolderPage(
        snapshot, offset, None if index is None else index.total, _child(trees, folder, "/"), page
    )


class Change(Struct, frozen=True):
    """What is right in a folder and differs; None where there is nothing.

    Attributes:
        name: without a slash.
        is_folder: whether it is a folder.
        old: before.
        new: after.
        counts: files that differ; None when they are too many to count.
    """

    name: str
    is_folder: bool
    old: Child | None
    new: Child | None
    counts: Counts | None


class Counts(Struct):
    """How many files differ, and their bytes."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    added_bytes: int = 0
    removed_bytes: int = 0


class Comparison(Struct, frozen=True):
    """A page of what differs in a folder.

    Attributes:
        old: the commit before; None when there is none.
        new: the commit after.
        changes: of the page.
        counts: of the whole folder; None on later pages, and when it is too much to count.
        next_name: where the next page begins; empty for the last page.
    """

    old: Snapshot | None
    new: Snapshot
    changes: list[Change]
    counts: Counts | None
    next_name: str


def compare_folders(
    versions: VersionedStore,
    old: CommitName | None,
    new: CommitName,
    path: str,
    *,
    after: str = "",
    number: int = 0,
) -> Comparison:
    """Return what differs in a folder between two commits, with sums.

    Args:
        versions: the store.
        old: the commit before; None for the parent of the other.
        new: the commit after.
        path: of the folder, which need not exist.
        after: ``next_name`` of the page before.
        number: changes; 0 for ``PAGE``.

    Raises:
        NotFound: there is no such commit.
        InvalidArgument: the number is out of bounds.
    """
    number = _page_size(number)
    after_snapshot = files.snapshot(versions, new)
    before_snapshot = _parent(versions, after_snapshot) if old is None else files.snapshot(versions, old)
    trees = (
        after_snapshot.trees
        if before_snapshot is None
        else after_snapshot.files.trees_with(before_snapshot.files)
    )
    before = EMPTY if before_snapshot is None else before_snapshot.tree
    now = after_snapshot.tree
    folder = _folder_path(path)
    lo = _behind(after)
    sums = _Sums(trees, before, now, folder, lo)
    sides = trees.folder(before, folder.encode()), trees.folder(now, folder.encode())
    changes: list[Change] = []
    next_name = ""
    for key in differing_children(trees.reader, *sides, lo):
        change = _change(trees, before, now, folder, key, sums)
        if change is None:
            continue
        if len(changes) == number:
            next_name = changes[-1].name + "/" * changes[-1].is_folder
            break
        changes.append(change)
    counts = sums.total if sums.is_complete and not after else None
    return Comparison(before_snapshot, after_snapshot, changes, counts, next_name)


def file_versions(
    versions: VersionedStore, commit: CommitName, path: str, *, after: str = "", number: int = 0
) -> tuple[list[Searched], str]:
    """Return commits that changed a file or folder, newest first, and where the next page begins.

    Args:
        versions: the store.
        commit: the newest commit to look at; the nearest finished one before it when it is open.
        path: of the file or folder.
        after: where the page begins, as the page before said; empty for the first.
        number: changes; 0 for ``PAGE``.

    Raises:
        NotFound: there is no such commit.
        InvalidArgument: the number is out of bounds.
    """
    number = _page_size(number)
    start = CommitName(commit.repo, after) if after else versions.read(_finished, commit)
    changes: list[Searched] = []
    if start is None:
        return changes, ""
    for searched, step in enumerate(find_changes(versions, start, path, 0)):
        if len(changes) == number or searched == SEARCHED:
            return changes, step.row.set_id
        if step.changed:
            changes.append(step)
    return changes, ""


def _finished(conn: sa.Connection, name: CommitName) -> CommitName | None:
    """Return the nearest finished commit at or before one; None without one."""
    row: CommitRow | None = resolve.commit(conn, name)
    while row is not None and row.finished is None:
        row = commits.find_by_id(conn, row.parent_id) if row.parent_id is not None else None
    return None if row is None else CommitName(name.repo, row.set_id)


class _Sums:
    """Counts the files that differ, at once for a folder and each of its children."""

    def __init__(self, trees: Trees, old: TreeId, new: TreeId, folder: str, lo: bytes) -> None:
        self.total = Counts()
        self.children: dict[bytes, Counts] = {}
        self.is_complete = True
        prefix = folder.encode()
        rows = trees.diff(old, new, prefix + lo, key_after(prefix))
        name, compared = b"", 0
        for path, group in groupby(rows, key=lambda row: row[0].partition(b"\0")[0]):
            if compared >= COUNTED:
                self.is_complete = False
                self.children.pop(name, None)  # perhaps not all of it
                return
            below = path[len(prefix) :]
            slash = below.find(b"/")
            name = below[: slash + 1] if slash >= 0 else below
            old_size = new_size = None
            for _, before, after in group:  # several when another datum has written the file
                compared += 1
                if before is not None:
                    old_size = file_values.size_of(before)
                if after is not None:
                    new_size = file_values.size_of(after)
            for counts in (self.total, self.children.setdefault(name, Counts())):
                _add(counts, old_size, new_size)


def _add(counts: Counts, old_size: int | None, new_size: int | None) -> None:
    counts.added += old_size is None
    counts.removed += new_size is None
    counts.changed += old_size is not None and new_size is not None
    counts.added_bytes += new_size or 0
    counts.removed_bytes += old_size or 0


def _change(trees: Trees, old: TreeId, new: TreeId, folder: str, key: bytes, sums: _Sums) -> Change | None:
    """Return a child that differs; None when it does not."""
    before, after = (_child_at(trees, tree, folder, key) for tree in (old, new))
    if (before and before.entry.hash) == (after and after.entry.hash):
        return None
    counts = sums.children.get(key)
    if before is None and after is not None:
        counts = Counts(added=after.files, added_bytes=after.entry.size)
    elif after is None and before is not None:
        counts = Counts(removed=before.files, removed_bytes=before.entry.size)
    return Change(key.decode().removesuffix("/"), key.endswith(b"/"), before, after, counts)


def _child_at(trees: Trees, tree: TreeId, folder: str, key: bytes) -> Child | None:
    path = folder.encode() + key
    if key.endswith(b"/"):
        located = trees.folder(tree, path)
        return None if located is None else _child(trees, located, folder)
    row = trees.next_row(tree, path + b"\0")
    return _child(trees, row, folder) if row is not None and row[0].startswith(path + b"\0") else None


def _child(trees: Trees, child: Folder | tuple[bytes, bytes], folder: str) -> Child:
    if isinstance(child, Folder):
        entry = storage_files.entry_of_folder(trees, child)
        return Child(entry.path[len(folder) : -1], entry, child.sums(trees.reader)[0])
    entry = storage_files.entry_of_row(*child)
    return Child(entry.path[len(folder) :], entry, 1)


def _until(
    children: Iterator[Folder | tuple[bytes, bytes]], key: bytes, cut: int
) -> Iterator[Folder | tuple[bytes, bytes]]:
    """Yield the children before a key."""
    for child in children:
        if (child.path if isinstance(child, Folder) else child[0])[cut:] >= key:
            return
        yield child


def _behind(name: str) -> bytes:
    """Return the first key behind a child."""
    if not name:
        return b""
    key = name.encode()
    return key_after(key) if key.endswith(b"/") else key + b"\1"


def _folder_path(path: str) -> str:
    path = paths.clean(path)
    return path if path == "/" else f"{path}/"


def _page_size(number: int) -> int:
    if not 0 <= number <= MOST:
        raise errors.InvalidArgument(
            f"number {number} is out of bounds; ask for 1 to {MOST:,}, or 0 for {PAGE}"
        )
    return number or PAGE


def _parent(versions: VersionedStore, snapshot: Snapshot) -> Snapshot | None:
    if snapshot.row is None or snapshot.row.parent_id is None:
        return None
    parent = versions.read(commits.find_by_id, snapshot.row.parent_id)
    return (
        None
        if parent is None
        else files.snapshot(versions, CommitName(snapshot.commit_name.repo, parent.set_id))
    )
