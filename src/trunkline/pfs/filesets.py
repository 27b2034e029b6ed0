"""File sets: files without a commit, with a lease, to be added to commits or read on their own.

A file set is a tree and deltas on top of it. What becomes part of another file set or commit must be deltas
alone, so a tree is turned into appends of all its files, which moves no bytes and costs a row per file. The
packs of these rows are recorded in the same write as what refers to them.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import chunks, commits, repos
from trunkline.model import names
from trunkline.pfs import files, forgotten, resolve, rights
from trunkline.pfs.write_streams import Changes
from trunkline.storage import files as storage_files
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.storage.chunks import PackRecord

#: Seconds that a file set lives unless it is renewed; as in Pachyderm.
DEFAULT_TTL = 600.0
#: The longest lifetime in seconds; as in Pachyderm.
MIN_TTL, MAX_TTL = 1, 1800


def new_handle() -> str:
    """Return the handle of a new file set."""
    return uuid.uuid4().hex


def of_commit(versions: VersionedStore, name: names.CommitName) -> str:
    """Make a file set of all files of a commit; return its handle. Blocks."""
    if name.repo.name == names.FILESETS_REPO:
        return _record(versions, *files.fileset_parts(versions, name.revision))
    row, repo, view = versions.read(_look, name)
    if row.tree is not None:
        return _record(versions, files.stored_tree(versions, row, repo.type), [])
    return _record(versions, view.base, view.deltas)


def of_changes(versions: VersionedStore, name: names.CommitName) -> str:
    """Make a file set of what a commit changes in its parent; return its handle. Blocks."""
    row, repo, view = versions.read(_look, name)
    if row.tree is None:
        return _record(versions, EMPTY, view.deltas)
    tree, base = files.stored_tree(versions, row, repo.type), view.base
    if repo.type == names.META and row.parent_id is not None:
        base = files.stored_tree(versions, versions.read(commits.by_id, row.parent_id), repo.type)
    changes = Changes(versions)
    try:
        for new, old in storage_files.diff(versions.trees, base, tree):
            if new is not None and not new.is_dir:
                changes.delta.copy(new.path, new.tag, new.value, append=False)
            elif new is None and old is not None and not old.is_dir:
                changes.delta.delete(old.path)
        return _store(versions, changes)
    finally:
        changes.abort()


def _look(conn: sa.Connection, name: names.CommitName) -> tuple[CommitRow, repos.RepoRow, files.OpenView]:
    row = resolve.commit(conn, name)
    forgotten.check_readable(conn, row)
    return row, repos.repo_by_id(conn, row.repo_id), files.open_view(conn, row)


class PreparedAddition(Struct, frozen=True):
    """The changes of a file set, ready to be recorded in a commit. The bytes are durable."""

    deltas: Sequence[TreeId]
    packs: Sequence[PackRecord]


def add_to_commit(versions: VersionedStore, name: names.CommitName, handle: str) -> None:
    """Add the changes of a file set to an open commit. Blocks.

    Args:
        versions: the store to read and write.
        name: the open commit.
        handle: id of the file set.

    Raises:
        NotFound: there is no such commit or file set.
        CommitFinished: the commit is finished.
    """
    versions.write(record_addition, name, prepare_addition(versions, handle))


def prepare_addition(versions: VersionedStore, handle: str) -> PreparedAddition:
    """Make the changes of a file set ready to be added to commits. Blocks.

    Raises:
        NotFound: there is no such file set.
    """
    return PreparedAddition(*_as_deltas(versions, handle))


def record_addition(write: WriteTransaction, name: names.CommitName, prepared: PreparedAddition) -> None:
    """Add prepared changes to an open commit.

    Args:
        write: the transaction.
        name: the commit.
        prepared: the changes; their bytes are durable.

    Raises:
        NotFound: there is no such commit.
        CommitFinished: it is finished.
        PermissionDenied: the caller may not write to the repo.
    """
    rights.check_write(write.caller, name.repo)
    chunks.add(write.conn, prepared.packs, 0, write.now)
    row = resolve.commit(write.conn, name)
    if row.finished is not None:
        raise errors.CommitFinished(
            f"commit {resolve.text(write.conn, row)} has already finished; add the file set to an open commit"
        )
    commits.add_layers(write.conn, row.id, prepared.deltas)


def renew(write: WriteTransaction, versions: VersionedStore, handle: str, ttl: int) -> None:
    """Set the lifetime of a file set, from now on.

    Args:
        write: transaction that the change belongs to.
        versions: the store to read and write.
        handle: id of the file set.
        ttl: lifetime from now on, in seconds.

    Raises:
        NotFound: there is none.
        InvalidArgument: the time is out of bounds.
    """
    _check_ttl(ttl)
    row = repos.find_fileset(write.conn, handle)
    if row is None or versions.fileset_leases.is_expired(files.fileset_lease(row)):
        raise files.no_fileset(handle)
    repos.renew_fileset(write.conn, handle, ttl)


def compose(versions: VersionedStore, handles: Sequence[str], ttl: int, *, compact: bool) -> str:
    """Make one file set of several, applied in order; return its handle. Blocks.

    Args:
        versions: the store.
        handles: the file sets.
        ttl: seconds that the new one lives; 0 for the usual time.
        compact: apply the changes now instead of for each reader.

    Raises:
        NotFound: one of them is not there.
        InvalidArgument: the time is out of bounds.
        FailedPrecondition: ``compact`` is set, and the files of one are folders of another.
    """
    if ttl:
        _check_ttl(ttl)
    tree = EMPTY
    deltas: list[TreeId] = []
    packs: list[PackRecord] = []
    for number, handle in enumerate(handles):
        if number == 0:
            tree, deltas = files.fileset_parts(versions, handle)
        else:
            more, with_packs = _as_deltas(versions, handle)
            deltas += more
            packs += with_packs
    lifetime = float(ttl or DEFAULT_TTL)
    if not compact or not deltas:
        return _record(versions, tree, deltas, lifetime, packs)
    if packs:  # applying reads the deltas
        versions.write(lambda write: chunks.add(write.conn, packs, 0, write.now))
    applied = files.apply_layers(versions, files.OpenView(tree, [], deltas))
    if applied.problem:
        raise errors.FailedPrecondition(f"the file sets cannot be composed: {applied.problem}")
    return _record(versions, applied.tree, [], lifetime, applied.packs)


def _as_deltas(versions: VersionedStore, handle: str) -> tuple[list[TreeId], list[PackRecord]]:
    """Return a file set as deltas that can be put on top of anything, and the packs that must be recorded."""
    tree, deltas = files.fileset_parts(versions, handle)
    if tree == EMPTY:
        return deltas, []
    changes = Changes(versions)
    try:
        for entry in storage_files.walk(versions.trees, tree):
            if not entry.is_dir:
                changes.delta.copy(entry.path, entry.tag, entry.value, append=True)
        appends = changes.delta.finish()
        return [*appends, *deltas], changes.writer.seal()
    finally:
        changes.abort()


def _store(versions: VersionedStore, changes: Changes) -> str:
    deltas = changes.delta.finish()
    packs = changes.writer.seal()
    handle = new_handle()
    files.record_fileset(versions, handle, EMPTY, deltas, DEFAULT_TTL, packs=packs)
    return handle


def _record(
    versions: VersionedStore,
    tree: TreeId,
    deltas: Sequence[TreeId],
    ttl: float = DEFAULT_TTL,
    packs: Sequence[PackRecord] = (),
) -> str:
    """Record a file set and the packs of its chunks that are not recorded yet; return its handle."""
    handle = new_handle()
    files.record_fileset(versions, handle, tree, deltas, ttl, packs=packs)
    return handle


def _check_ttl(ttl: int) -> None:
    if not MIN_TTL <= ttl <= MAX_TTL:
        raise errors.InvalidArgument(
            f"a file set cannot live {ttl} seconds; ask for {MIN_TTL} to {MAX_TTL} and renew it in time"
        )
