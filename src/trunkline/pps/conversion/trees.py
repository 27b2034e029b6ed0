"""Converts trees: the rows of each tree of format 1 become a tree of format 2.

What a tree costs follows what it changed: a commit's tree is the tree of its parent, which is converted before, changed
by the rows in which the two differ; so is the datum tree of a job by that of the job before it. The rows hold the same
content: a value of a file tree gets a form byte, or its long chunk list out of line. Hashes stay what they were, so
that no datum runs again.

Several trees share the packs that they are stored in and the transaction that records them. An interruption costs
those that were not recorded.

A tree that cannot be read any more keeps its id: whoever reads it gets the error that names the lost chunk, and the
rest of the installation can be used.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from trunkline.errors import DataLoss
from trunkline.meta import chunks as chunk_rows
from trunkline.meta import conversion
from trunkline.meta.conversion import DATUMS, DELTAS, FILES
from trunkline.pps import datum_rows
from trunkline.pps.conversion.progress import Progress
from trunkline.runtime import cancellation, failpoints
from trunkline.storage import deltas, file_values
from trunkline.storage.files import file_trees
from trunkline.storage.format1.trees import OldTrees
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trunkline.meta.database import Database
    from trunkline.meta.group_commit import Tx
    from trunkline.storage.chunks import PackRecord
    from trunkline.storage.packing import ChunkWriter
    from trunkline.storage.store import ChunkStore

log = logging.getLogger("trunkline.pps.conversion")

#: Trees, bytes of their nodes, and seconds, after which they are recorded.
_TREES = 2_000
_BYTES = 48 << 20
_SECONDS = 10.0


class _Reference(NamedTuple):
    """A tree that a row of the database names."""

    kind: int
    tree: bytes
    #: A tree that it may be similar to; none: no bytes.
    base: bytes
    #: The row, for messages.
    owner: str

    @property
    def key(self) -> tuple[int, bytes]:
        """The tree and its kind."""
        return self.kind, self.tree


class TreeConverter:
    """Converts all trees that a database names.

    Args:
        db: the database.
        chunks: the chunk store; what it writes are objects, however small.
        check_store: raises when the object store is not the one that the database belongs to.
        now: seconds since the epoch.
    """

    def __init__(self, db: Database, chunks: ChunkStore, check_store: Callable[[], None], now: float) -> None:
        self._db = db
        self._chunks = chunks
        self._check_store = check_store
        self._now = now
        self._old = OldTrees(chunks)
        files = file_trees(chunks)
        self._trees = {FILES: files, DELTAS: files.of(deltas.DELTA), DATUMS: files.of(datum_rows.KIND)}
        self._values = {FILES: _file_value, DELTAS: _delta_value, DATUMS: _datum_value}
        #: Converted trees that are needed now.
        self._new: dict[tuple[int, bytes], bytes] = {}
        #: Those that are not recorded yet.
        self._pending: list[tuple[int, bytes, bytes]] = []
        self._writer: ChunkWriter | None = None
        self._started = 0.0
        self._rows_done: Callable[[int], None] = _ignore

    def run(self) -> None:
        """Convert what is not converted yet.

        Raises:
            TrunklineError: the database or the object store cannot be used now.
        """
        progress = Progress("trees", self._db.read_blocking(conversion.count_trees))
        self._rows_done = progress.rows
        try:
            for page in self._pages():
                self._new = {(kind, old): new for kind, old, new in self._pending}
                needed = {reference.key for reference in page}
                needed.update((reference.kind, reference.base) for reference in page if reference.base)
                self._new.update(self._db.read_blocking(conversion.find_trees, needed))
                for reference in page:
                    cancellation.check()
                    is_new = reference.key not in self._new
                    if is_new:
                        self._convert(reference)
                    progress.step(skipped=not is_new)
            self._record()
        finally:
            if self._writer is not None:
                self._writer.abort()
        progress.end()

    def _pages(self) -> Iterator[list[_Reference]]:
        """Yield what is to be converted: bases before the trees that are similar to them."""
        after = 0
        while commits := self._db.read_blocking(conversion.commits_after, after):
            after = commits[-1][0]
            yield [
                _Reference(FILES, bytes(tree), bytes(base or b""), f"commit row {number}")
                for number, tree, base in commits
            ]
        yield from self._job_pages()
        after = 0
        while layers := self._db.read_blocking(conversion.layers_after, after):
            after = layers[-1][0]
            yield [_Reference(DELTAS, bytes(delta), b"", f"layer row {number}") for number, delta in layers]
        after = 0
        while completions := self._db.read_blocking(conversion.completions_after, after):
            after = completions[-1][0]
            yield [
                _Reference(kind, bytes(tree), b"", f"handin row {number}")
                for number, delta, rows in completions
                for kind, tree in ((DELTAS, delta), (DATUMS, rows))
            ]
        yield from self._fileset_pages()

    def _job_pages(self) -> Iterator[list[_Reference]]:
        after = 0
        #: The last datum tree of each pipeline.
        last: dict[int, bytes] = {}
        while jobs := self._db.read_blocking(conversion.jobs_after, after):
            after = jobs[-1][0]
            page: list[_Reference] = []
            for number, pipeline, todo, obsolete, datums, base in jobs:
                owner = f"job row {number}"
                page.extend(_Reference(DATUMS, bytes(tree), b"", owner) for tree in (todo, obsolete) if tree)
                if datums:
                    similar = base or last.get(pipeline, b"")
                    page.append(_Reference(DATUMS, bytes(datums), bytes(similar), owner))
                    last[pipeline] = datums
            yield page

    def _fileset_pages(self) -> Iterator[list[_Reference]]:
        after = ""
        while filesets := self._db.read_blocking(conversion.filesets_after, after):
            after = filesets[-1][0]
            page: list[_Reference] = []
            for handle, tree, delta_ids in filesets:
                owner = f"fileset row {handle}"
                if tree:
                    page.append(_Reference(FILES, bytes(tree), b"", owner))
                page.extend(_Reference(DELTAS, bytes.fromhex(delta), b"", owner) for delta in delta_ids)
            yield page

    def _convert(self, reference: _Reference) -> None:
        """Convert a tree, or let it keep its id when it cannot be read any more."""
        if self._writer is None:
            self._writer, self._started = self._chunks.writer(), time.monotonic()
        kind, tree, base, owner = reference
        new_base = self._new.get((kind, base), base)
        try:
            new = None
            if new_base not in (base, EMPTY):
                new = self._merged(kind, TreeId(base), TreeId(new_base), TreeId(tree))
            if new is None:
                new = self._built(kind, TreeId(tree))
        except DataLoss as error:
            self._check_store()
            log.error(
                "the tree of %s cannot be read and stays as it is: %s",
                owner, error.message, extra={"action": "conversion_damage", "tree": tree.hex()},
            )  # fmt: skip
            new = TreeId(tree)
        self._new[kind, tree] = new
        self._pending.append((kind, tree, new))
        writer = self._writer
        if (
            len(self._pending) >= _TREES
            or writer.bytes_in >= _BYTES
            or time.monotonic() - self._started >= _SECONDS
        ):
            self._record()

    def _merged(self, kind: int, base: TreeId, new_base: TreeId, tree: TreeId) -> TreeId | None:
        """Return the tree that a converted one becomes; None when the old one's base cannot be read."""
        writer, convert = self._open_writer, self._values[kind]
        changes = (
            (key, None if value is None else convert(writer, value))
            for key, _, value in self._old.diff(base, tree)
        )
        try:
            return self._trees[kind].merge(writer, new_base, changes)
        except DataLoss:
            return None

    def _built(self, kind: int, tree: TreeId) -> TreeId:
        """Return the tree with the rows of an old one."""
        writer, convert = self._open_writer, self._values[kind]

        def runs() -> Iterator[tuple[list[bytes], list[bytes]]]:
            for keys, values in self._old.runs(tree):
                yield keys, [convert(writer, value) for value in values]
                self._rows_done(len(keys))

        return self._trees[kind].build_runs(writer, runs())

    @property
    def _open_writer(self) -> ChunkWriter:
        assert self._writer is not None
        return self._writer

    def _record(self) -> None:
        """Make the trees durable, and record them."""
        if self._writer is None:
            return
        packs = self._writer.seal()
        failpoints.reach("conversion.trees_stored")
        self._db.run_blocking(_record, packs, self._pending, self._now)
        failpoints.reach("conversion.trees_recorded")
        self._writer, self._pending = None, []


def _record(tx: Tx, packs: list[PackRecord], trees: list[tuple[int, bytes, bytes]], now: float) -> None:
    chunk_rows.add(tx.conn, packs, 0, now)
    conversion.add_trees(tx.conn, trees)


def _file_value(writer: ChunkWriter, value: bytes) -> bytes:
    """Return the value of a file from its chunk list."""
    return file_values.encode(writer, value)


def _delta_value(writer: ChunkWriter, value: bytes) -> bytes:
    """Return the value of a delta's row; the chunk list of an append gets the form of a file's value."""
    kind = value[:1]
    return kind + file_values.encode(writer, value[1:]) if kind in (deltas.APPEND, deltas.REPLACE) else value


def _datum_value(_writer: ChunkWriter, value: bytes) -> bytes:
    """Return a datum's row, which is the same in both formats."""
    return value


def _ignore(_rows: int) -> None:
    """Count nothing."""
