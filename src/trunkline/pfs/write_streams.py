"""One stream of changes to files: into an open commit, or as a commit of its own.

The target is decided when the stream begins: an open commit gets a layer; a branch whose head is finished
(or that does not exist) gets a new commit, started and finished in one write when the stream ends, so that
two such writers on one branch both succeed, one after the other. Bytes are durable before the database
refers to them; a stream that breaks off leaves at most objects that nothing refers to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline import errors
from trunkline.meta import branches, chunks, commits
from trunkline.model import names, paths
from trunkline.pfs import commits as commit_ops
from trunkline.pfs import files, resolve, rights
from trunkline.pfs.ahead import GrowingTree
from trunkline.pfs.branches import BranchName
from trunkline.storage import file_values
from trunkline.storage import files as storage_files
from trunkline.storage.deltas import DeltaWriter
from trunkline.storage.scratch_chunks import ScratchChunks
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.storage.chunks import PackRecord
    from trunkline.storage.packing import ChunkWriter

#: The datum tag of files that users put.
DEFAULT_TAG = "default"


class Changes:
    """Changes being written; the part that needs no target. Used by one thread at a time."""

    def __init__(self, versions: VersionedStore, nodes: ScratchChunks | None = None) -> None:
        """Begin without a change.

        Args:
            versions: the store.
            nodes: takes the nodes of the deltas when nobody reads them after this stream; None to store them.
        """
        self._versions = versions
        self.writer = versions.chunks.writer()
        self.delta = DeltaWriter(versions.trees, self.writer, self._delta_stored, nodes)

    def add(self, path: str, tag: str, data: bytes | memoryview) -> None:
        """Append ``data`` to a file, and create it if it does not exist. ``path`` is valid.

        Args:
            path: a valid path of a file.
            tag: names the part of the file that this writer owns; parts are in the order of their tags.
            data: the bytes to append.
        """
        self.delta.add(path, tag or DEFAULT_TAG, data)

    def drain(self) -> None:
        """Hold as little as possible until the next change."""
        self.delta.drain()

    def delete(self, path: str, tag: str) -> None:
        """Delete a file, or with a trailing ``/`` everything below a directory; a path that does not exist is ignored.

        Raises:
            InvalidArgument: the path is empty, which would mean everything.
        """
        if not path:
            raise errors.InvalidArgument(
                "path () invalid: it names no file to delete; write / to delete all files"
            )
        cleaned = paths.clean(path)
        if path.endswith("/") and cleaned != "/":
            cleaned += "/"
        self.delta.delete(cleaned, tag)

    def copy(self, source: files.Snapshot, source_path: str, target: str, tag: str, *, append: bool) -> None:
        """Copy a file, or every file of a directory, without moving bytes.

        Args:
            source: the files to copy from.
            source_path: a file or directory there.
            target: path of the copy.
            tag: names the part of the file that this writer owns.
            append: append to files that exist, instead of replacing them.

        Raises:
            NotFound: the source is not there.
            InvalidArgument: the target is not a valid path of a file.
        """
        entry = source.inspect(source_path)
        target = paths.clean(target)
        tag = tag or DEFAULT_TAG
        if not entry.is_dir:
            paths.validate(target)
            source.files.store_chunks(self.writer, entry.value)
            self.delta.copy(target, tag, entry.value, append=append)
            return
        for below in storage_files.walk(source.trees, source.tree, entry.path):
            if not below.is_dir:
                path = paths.clean(f"{target}/{below.path[len(entry.path) :]}")
                paths.validate(path)
                source.files.store_chunks(self.writer, below.value)
                self.delta.copy(path, tag, below.value, append=append)

    def put(self, path: str, tag: str, chunks: bytes, *, size: int, append: bool) -> None:
        """Set the content of a file by a chunk list. Every chunk is stored, or was added to ``writer``.

        Args:
            path: valid.
            tag: the datum that writes it; empty for what users put.
            chunks: the chunk list.
            size: bytes of the content, counted as written.
            append: put it after what is there. Without it, what the datum wrote is replaced; with no datum
                named, what any of them wrote.
        """
        if not append:
            self.delta.delete(path, tag)
        value = file_values.encode(self.writer, chunks)
        self.delta.copy(path, tag or DEFAULT_TAG, value, append=True)
        self.delta.bytes_in += size

    def _delta_stored(self, delta: TreeId) -> None:
        """Note a delta of a stream that has several."""

    def abort(self) -> None:
        """Discard everything; packs that were uploaded are deleted."""
        self.writer.abort()


class FileSetStream(Changes):
    """A stream that becomes a file set."""

    def finish(self, handle: str, ttl: float) -> None:
        """Make the file set durable under its handle."""
        deltas = self.delta.finish()
        packs = self.writer.seal()
        files.record_fileset(
            self._versions, handle, EMPTY, deltas, ttl, packs=packs, written_bytes=self.delta.bytes_in
        )


class PreparedStream(Struct, frozen=True):
    """The changes of a stream, ready to be recorded. The bytes are durable."""

    deltas: Sequence[TreeId]
    #: Bytes that the client wrote and that are not counted yet.
    written: int
    packs: Sequence[PackRecord]
    #: Of a commit of its own: the head that the changes were applied to, and the result.
    head: CommitRow | None = None
    applied: files.AppliedLayers | None = None


class CommitStream(Changes):
    """A stream into a commit."""

    def __init__(self, versions: VersionedStore, target: names.CommitName) -> None:
        """Decide the target. Blocks.

        Raises:
            CommitFinished: an explicit commit is finished.
            FailedPrecondition: the branch belongs to a pipeline.
            NotFound: the repo or the explicit commit does not exist.
        """
        self._target = target
        self._caller = versions.caller
        self._growing: GrowingTree | None = None
        self._open: CommitRow | None = versions.read(self._settle)
        #: Id of the commit that has the changes, once they are recorded.
        self.commit_id = "" if self._open is None else self._open.set_id
        #: The deltas of a commit of its own, which are applied before it is recorded and named by nothing.
        self._scratch = None if self._open is not None else ScratchChunks(versions.chunks, versions.scratch)
        super().__init__(versions, self._scratch)

    def _settle(self, conn: sa.Connection) -> CommitRow | None:
        """Return the open commit to write to; None for a commit of its own."""
        name = self._target
        owner = resolve.repo(conn, name.repo)
        rights.check_write(self._caller, owner)
        if name.id and not name.ancestry:
            row = resolve.commit(conn, name)
            if row.finished is not None:
                raise errors.CommitFinished(
                    f"commit {resolve.text(conn, row)} has already finished; write to a branch or start a new commit"
                )
            return row
        names.check_branch(name.revision)
        branch = branches.find(conn, owner.id, name.branch)
        if branch is not None:
            commit_ops.refuse_output_branch(conn, branch, self._caller)
            head = commits.by_id(conn, branch.head_id) if branch.head_id is not None else None
            if head is not None and head.finished is None and head.origin == "USER":
                return head
        self._branch = BranchName(name.repo, name.branch)
        return None

    def finish(self) -> None:
        """Make the changes part of the commit. Blocks until they are durable.

        Raises:
            CommitFinished: the open commit was finished while the stream ran.
            FailedPrecondition: the changes of a commit of its own contradict each other.
        """
        prepared = self.prepare()
        while not self._versions.write(self.record, prepared):
            prepared = self.prepare_again(prepared)
        if self._growing is not None:
            self._growing.remember(self._versions.ahead)

    def prepare(self) -> PreparedStream:
        """Make the changes durable, and of a commit of its own the files. Blocks; errors as ``finish``."""
        deltas = self.delta.finish()
        if self._open is not None:
            return PreparedStream(deltas, self.delta.bytes_in, packs=self.writer.seal())
        return self._apply(self.writer, deltas, self.delta.bytes_in)

    def prepare_again(self, prepared: PreparedStream) -> PreparedStream:
        """Apply the same changes to the files of the commit that another writer made meanwhile. Blocks."""
        return self._apply(self._versions.chunks.writer(), prepared.deltas, 0)

    def record(self, write: WriteTransaction, prepared: PreparedStream) -> bool:
        """Record prepared changes; False when another writer has moved the branch since.

        Raises:
            CommitFinished: the open commit was finished.
        """
        if self._open is not None:
            self._add_layers(write, self._open, prepared)
            return True
        return self._start_and_finish(write, prepared)

    def _delta_stored(self, delta: TreeId) -> None:
        if self._open is None:
            return
        if self._growing is None:
            view = self._versions.read(files.open_view, self._open)
            below, layers = self._versions.ahead.shorten(view.base, view.deltas)
            tree = None if layers else below
            self._growing = GrowingTree(self._versions.trees, self.writer, view.base, view.deltas, tree)
        self._growing.apply(delta)

    def _add_layers(self, write: WriteTransaction, row: CommitRow, prepared: PreparedStream) -> None:
        now = commits.find_by_id(write.conn, row.id)
        if now is None or now.finished is not None:
            raise errors.CommitFinished(
                f"commit {self._target.repo}@{row.set_id} has already finished: it was finished or removed while"
                " this stream was writing, and the stream was discarded; write to a new commit"
            )
        chunks.add(write.conn, prepared.packs, prepared.written, write.now)
        commits.add_layers(write.conn, row.id, prepared.deltas)

    def _apply(self, writer: ChunkWriter, deltas: Sequence[TreeId], written: int) -> PreparedStream:
        head = self._versions.read(self._finished_head)
        base = TreeId(head.tree) if head is not None and head.tree is not None else EMPTY
        applied = files.apply(self._versions, writer, base, deltas, self._scratch)
        if applied.problem:
            raise errors.FailedPrecondition(f"nothing was committed to {self._branch}: {applied.problem}")
        return PreparedStream(deltas, written, packs=applied.packs, head=head, applied=applied)

    def _finished_head(self, conn: sa.Connection) -> CommitRow | None:
        owner = resolve.repo(conn, self._branch.repo)
        branch = branches.find(conn, owner.id, self._branch.name)
        if branch is None or branch.head_id is None:
            return None
        head = commits.by_id(conn, branch.head_id)
        if head.finished is None:
            raise errors.FailedPrecondition(
                f"commit {resolve.text(conn, head)} was started on {self._branch} while this stream was writing, and"
                " the stream was discarded; send it again to write into that commit"
            )
        return head

    def _start_and_finish(self, write: WriteTransaction, prepared: PreparedStream) -> bool:
        # The bytes are indexed even when another writer was first: the same deltas are applied to its files.
        chunks.add(write.conn, prepared.packs, prepared.written, write.now)
        head, now = prepared.head, self._finished_head(write.conn)
        if (now.id if now is not None else None) != (head.id if head is not None else None):
            return False
        assert prepared.applied is not None
        row = commit_ops.start_commit(write, self._branch)
        self.commit_id = row.set_id
        commit_ops.close(write, row, tree=prepared.applied.tree, size=prepared.applied.size, packs=[])
        return True
