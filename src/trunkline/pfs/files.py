"""The files of a commit: its tree for reading, its layers for finishing.

A finished commit has a tree. An open one has the tree of its nearest finished ancestor and layers on top;
reading it applies them first (``compositions``), which costs what they changed, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import ancestry, chunks, commits, repos
from trunkline.model import names, paths
from trunkline.model.leases import Lease
from trunkline.pfs import forgotten, resolve
from trunkline.storage import files as storage_files
from trunkline.storage.apply_deltas import apply_deltas
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.pfs.compositions import FileTree
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.storage.chunks import ChunkSource, PackRecord
    from trunkline.storage.files import FileEntry
    from trunkline.storage.packing import ChunkWriter
    from trunkline.storage.trees import Trees


class OpenView(Struct, frozen=True):
    """An open commit as one snapshot shows it."""

    base: TreeId
    #: Numbers of the layers, to see later whether there are more.
    numbers: list[int]
    deltas: list[TreeId]


class AppliedLayers(Struct, frozen=True):
    """Files that layers make of a base. The packs are durable but not in the chunk index yet."""

    tree: TreeId
    size: int
    #: Why these files cannot be a commit without an error; None if they can.
    problem: str | None
    packs: list[PackRecord]


class Snapshot(Struct, frozen=True):
    """The files of a commit (or of a file set) at one moment."""

    versions: VersionedStore
    #: The commit or file set by its id, without ancestry.
    commit_name: names.CommitName
    #: None for a file set.
    row: CommitRow | None
    files: FileTree

    @property
    def trees(self) -> Trees:
        """Where ``tree`` is read."""
        return self.files.trees

    @property
    def tree(self) -> TreeId:
        """The files."""
        return self.files.tree

    @property
    def chunks(self) -> ChunkSource:
        """Where the content of the files is read."""
        return self.files.chunks

    @property
    def name(self) -> str:
        """The commit as messages write it."""
        return str(self.commit_name)

    @property
    def finished(self) -> float | None:
        """When the commit was finished, seconds since the epoch; None for an open one and for a file set."""
        return self.row.finished if self.row is not None else None

    def inspect(self, path: str) -> FileEntry:
        """Return the file or directory at ``path``, or raise NotFound."""
        entry = storage_files.inspect(self.trees, self.tree, paths.clean(path))
        if entry is None:
            raise self.not_found(path)
        return entry

    def not_found(self, path: str) -> errors.NotFound:
        """Return the error for a path that does not exist."""
        repo, _, commit = self.name.partition("@")
        return errors.NotFound(f"file {paths.clean(path)} not found in repo {repo} at commit {commit}")

    def read(self, entry: FileEntry, offset: int = 0, length: int | None = None) -> Generator[bytes]:
        """Yield the bytes of a file; gets only the chunks that have them.

        Args:
            entry: the file.
            offset: the first byte.
            length: bytes at most; None for all that follow.
        """
        return storage_files.read(self.chunks, entry.value, offset, length)


def snapshot(versions: VersionedStore, name: names.CommitName) -> Snapshot:
    """Return the files of the commit that a request names. Blocks.

    Raises:
        NotFound: there is no such commit or file set.
        FailedPrecondition: its files are forgotten.
    """
    if name.repo.name == names.FILESETS_REPO:
        return Snapshot(versions, name, None, versions.composed(*fileset_parts(versions, name.revision)))

    def look(conn: sa.Connection) -> tuple[CommitRow, repos.RepoRow, OpenView | None]:
        row = resolve.commit(conn, name)
        forgotten.check_readable(conn, row)
        view = open_view(conn, row) if row.finished is None else None
        return row, repos.repo_by_id(conn, row.repo_id), view

    row, repo, view = versions.read(look)
    exact = names.CommitName(names.RepoName(repo.project, repo.name, repo.type), row.set_id)
    return Snapshot(versions, exact, row, _file_tree(versions, row, repo, view))


def file_tree(versions: VersionedStore, row: CommitRow, repo: repos.RepoRow) -> FileTree:
    """Return the files of a commit, open or finished, of a repo. Blocks.

    Args:
        versions: the store to read and write.
        row: the commit.
        repo: the repo of the commit.
    """
    return _file_tree(versions, row, repo, None if row.tree is not None else versions.read(open_view, row))


def _file_tree(
    versions: VersionedStore, row: CommitRow, repo: repos.RepoRow, view: OpenView | None
) -> FileTree:
    if versions.derived is not None and _is_derived(row, repo.type):
        files = versions.derived.files_of(row)
        if files is not None:
            return files
    if view is not None:
        return versions.composed(view.base, view.deltas)
    return versions.composed(TreeId(row.tree or EMPTY), [])


def stored_tree(versions: VersionedStore, row: CommitRow, repo_type: str) -> TreeId:
    """Return the tree of a finished commit, storing it first if its files were derived until now. Blocks.

    Args:
        versions: the store to read and write.
        row: the finished commit.
        repo_type: kind of its repo.
    """
    stored = None
    if versions.derived is not None and _is_derived(row, repo_type):
        stored = versions.derived.store(row)
    return stored or TreeId(row.tree or EMPTY)


def _is_derived(row: CommitRow, repo_type: str) -> bool:
    # An empty tree that was stored is derived again, which costs nothing.
    return repo_type == names.META and row.origin == "AUTO" and TreeId(row.tree or EMPTY) == EMPTY


def open_view(conn: sa.Connection, row: CommitRow) -> OpenView:
    """Return base and layers of an open commit."""
    layers = commits.layers(conn, row.id)
    return OpenView(
        base_tree(conn, row), [number for number, _ in layers], [TreeId(delta) for _, delta in layers]
    )


def base_tree(conn: sa.Connection, row: CommitRow) -> TreeId:
    """Return the tree of the nearest ancestor that finished without an error."""
    good = ancestry.last_good(conn, row)
    return EMPTY if good is None or good.tree is None else TreeId(good.tree)


def apply_layers(versions: VersionedStore, view: OpenView) -> AppliedLayers:
    """Apply an open commit's layers to its base. The result's bytes are durable on return."""
    base, deltas = versions.ahead.shorten(view.base, view.deltas)
    if not deltas:
        return AppliedLayers(base, versions.trees.summary(base).size, None, [])
    applied = _apply_durably(versions, base, deltas)
    if applied.problem is not None and base != view.base:  # a commit with a problem has the files of its base
        return _apply_durably(versions, view.base, view.deltas)
    return applied


def _apply_durably(versions: VersionedStore, base: TreeId, deltas: Sequence[TreeId]) -> AppliedLayers:
    writer = versions.chunks.writer()
    try:
        return apply(versions, writer, base, deltas)
    finally:
        writer.abort()


def apply(
    versions: VersionedStore,
    writer: ChunkWriter,
    base: TreeId,
    deltas: Sequence[TreeId],
    source: ChunkSource | None = None,
) -> AppliedLayers:
    """Apply deltas to a tree through ``writer`` and seal it. A tree with a problem is the base again.

    Args:
        versions: the store to read and write.
        writer: takes the new chunks.
        base: the tree before the changes.
        deltas: the trees of changes, in their order.
        source: where the nodes of the deltas are read; None for ``writer``.
    """
    applied = apply_deltas(versions.trees, writer, base, deltas, source)
    tree = base if applied.problem else applied.tree
    size = versions.trees.through(writer).summary(tree).size
    return AppliedLayers(tree, size, applied.problem, writer.seal())


def fileset_parts(versions: VersionedStore, handle: str) -> tuple[TreeId, list[TreeId]]:
    """Return tree and deltas of a file set. Blocks.

    Raises:
        NotFound: it does not exist, or its lease ran out.
    """
    row = versions.read(repos.find_fileset, handle)
    if row is None or versions.fileset_leases.is_expired(fileset_lease(row)):
        raise no_fileset(handle)
    return TreeId(row.tree or EMPTY), [TreeId(bytes.fromhex(delta)) for delta in row.deltas]


def no_fileset(handle: str) -> errors.NotFound:
    """Return the error for a file set that does not exist."""
    return errors.NotFound(
        f"file set {handle} not found; it never existed or its time to live ran out: renew file sets in time"
    )


def record_fileset(
    versions: VersionedStore,
    handle: str,
    tree: TreeId,
    deltas: Sequence[TreeId],
    ttl: float,
    *,
    packs: Sequence[PackRecord] = (),
    written_bytes: int = 0,
) -> None:
    """Record a file set, and remove those whose lease ran out. Blocks.

    Args:
        versions: the store.
        handle: of the new file set.
        tree: what the deltas are applied to.
        deltas: applied in order.
        ttl: seconds that it lives unless it is renewed.
        packs: what holds its chunks.
        written_bytes: bytes that a client sent for it.
    """
    row = repos.FilesetRow(handle, tree, [delta.hex() for delta in deltas], ttl, 0)

    def record(write: WriteTransaction) -> None:
        chunks.add(write.conn, packs, written_bytes, write.now)
        repos.add_fileset(write.conn, row)
        leases = [Lease(handle, renewals, ttl) for handle, ttl, renewals in repos.fileset_leases(write.conn)]
        repos.remove_filesets(write.conn, versions.fileset_leases.expired(leases))

    versions.write(record)


def fileset_lease(row: repos.FilesetRow) -> Lease:
    """Return a file set's lease."""
    return Lease(row.handle, row.renewals, row.ttl)
