"""The files of a pipeline's meta commits, derived from its jobs (docs/design/decisions/0032-meta-repos-are-views.md).

They are laid out as Pachyderm does: ``/meta/<datum id>/meta`` describes the datum and its result in JSON,
``/pfs/<datum id>/<input>/…`` are its input files and ``/pfs/<datum id>/out/…`` what it wrote. All can be computed from
the job's datum tree and the trees of its inputs and output, so nothing is stored; the chunks of the files
are those of the inputs and the output. The tree is built when it is first read, in the same scratch
chunks for all jobs of a pipeline: from the differences to the last reader's job, or from
everything. Only a pipeline that reads meta commits as its input needs them stored.

Equal datum rows make equal files: a row names the datum's id and hash and the job that ran it. Inputs marked as
``reference`` are not part of the hash, so with one of these every tree is built from everything.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct, field

from trunkline.formats.chunking import MIN_BYTES, REF
from trunkline.meta import chunks, commits, jobs, pipelines, repos
from trunkline.model.states import JobState
from trunkline.pfs.compositions import FileTree
from trunkline.pps import datum_rows, meta_json, plan
from trunkline.pps.items import LeafIndex
from trunkline.pps.jobs import base_job
from trunkline.pps.sorted_rows import SortedRows
from trunkline.pps.spec_cache import input_of
from trunkline.runtime import cancellation
from trunkline.storage import chunk_lists, file_values
from trunkline.storage.scratch_chunks import ScratchChunks
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.datum_rows import DatumRow
    from trunkline.pps.spec_cache import Specs
    from trunkline.storage.chunks import ChunkSink
    from trunkline.storage.trees import Trees

#: Pipelines whose trees are held, and trees of one pipeline before the scratch chunks are freed and built again.
_PIPELINES = 8
_TREES = 32
#: Jobs whose inputs are held while a tree is built.
_ORIGINS = 256
#: Seconds between two checks whether the caller still waits.
_PATIENCE = 0.2
#: Ancestors that are looked at for stored files.
_NEAR = 32
#: Datums whose JSON is stored together.
_TOGETHER = 512
#: The number of the output among the trees that files are taken from; inputs follow.
_OUTPUT = 0


class MetaSource(Struct, frozen=True):
    """What the files of a meta commit are derived from."""

    pipeline: PipelineRow
    job: JobRow
    #: Trees that files are taken from: the output, then the inputs.
    trees: list[TreeId]
    #: Position among the trees by input and origin of items.
    inputs: dict[tuple[str, str], int]
    #: An input is not part of the hash of its datums.
    has_reference: bool
    #: The nearest earlier commit whose files are stored: its job's datums and its tree.
    base: tuple[TreeId, TreeId] | None

    @property
    def datums(self) -> TreeId:
        """Return the job's datum tree."""
        return TreeId(self.job.datums or EMPTY)


class _View(Struct, eq=False):
    """The trees of one pipeline."""

    scratch: ScratchChunks
    lock: threading.Lock = field(default_factory=threading.Lock)
    #: By job, the last one built last.
    trees: dict[str, TreeId] = field(default_factory=dict)
    #: Datums and tree of the job that was built last.
    last: tuple[TreeId, TreeId] | None = None


class MetaFiles:
    """The ``DerivedFiles`` of meta repos. May be used from any thread.

    Args:
        versions: the store.
        specs: parsed specifications.
    """

    def __init__(self, versions: VersionedStore, specs: Specs) -> None:
        self._versions = versions
        self._specs = specs
        self._lock = threading.Lock()
        self._views: OrderedDict[int, _View] = OrderedDict()

    def files_of(self, row: CommitRow) -> FileTree | None:
        """Return the files of a meta commit; None when no pipeline owns it. Blocks; records nothing.

        A commit of a job that runs, or that was not a success, shows the files of the last good job.
        """
        versions = self._versions
        source = versions.read(self._look, row)
        if source is None or isinstance(source, bytes):
            return None if source is None else FileTree(versions.trees, TreeId(source), versions.chunks)
        view = self._view(source.pipeline.id)
        with _held(view.lock):  # many readers of a new commit build its tree once
            tree = view.trees.get(source.job.set_id)
            if tree is None:
                tree = build(versions, self._specs, view.scratch, source, view.last or source.base)
                view.trees[source.job.set_id] = tree
                view.last = (source.datums, tree)
        return FileTree(versions.trees.through(view.scratch), tree, view.scratch)

    def store(self, row: CommitRow) -> TreeId | None:
        """Store the files of a meta commit and record them in its row; None when no pipeline owns it. Blocks."""
        versions = self._versions
        source = versions.read(self._look, row)
        if source is None or isinstance(source, bytes):
            return None if source is None else TreeId(source)
        writer = versions.chunks.writer()
        try:
            tree = build(versions, self._specs, writer, source, source.base)
            packs = writer.seal()

            def record(write: WriteTransaction) -> None:
                chunks.add(write.conn, packs, 0, write.now)
                current = commits.find_by_id(write.conn, row.id)
                if current is not None and current.finished is not None:
                    commits.set_tree(write.conn, current, tree)

            versions.write(record)
        finally:
            writer.abort()
        return tree

    def _view(self, pipeline_id: int) -> _View:
        versions = self._versions
        with self._lock:
            view = self._views.get(pipeline_id)
            if view is None or len(view.trees) >= _TREES:
                view = self._views[pipeline_id] = _View(ScratchChunks(versions.chunks, versions.scratch))
            self._views.move_to_end(pipeline_id)
            if len(self._views) > _PIPELINES:
                self._views.popitem(last=False)
            return view

    def _look(self, conn: sa.Connection, row: CommitRow) -> MetaSource | bytes | None:
        """Return what a commit's files are derived from, or their tree; None when no pipeline owns the commit."""
        repo = repos.repo_by_id(conn, row.repo_id)
        pipeline = pipelines.find(conn, repo.project, repo.name)
        if pipeline is None:
            return None
        job = _good_job(conn, pipeline, row)
        if job is None:
            return EMPTY
        at = commits.meta_commit(conn, pipeline.id, job.set_id)
        if at is not None and _is_stored(at):
            return at.tree
        spec = self._specs.of(conn, pipeline.id, job.version)
        inputs = plan.inputs_of(conn, spec, job)
        leaves = list(LeafIndex(input_of(spec)))
        output = commits.by_id(conn, job.commit_id).tree
        return MetaSource(
            pipeline,
            job,
            [TreeId(output or EMPTY), *(inputs.trees[key] for _, key, _ in leaves)],
            {place: number for number, (place, _, _) in enumerate(leaves, _OUTPUT + 1)},
            any(leaf.reference for _, _, leaf in leaves),
            _stored_base(conn, pipeline, at) if at is not None else None,
        )


@contextmanager
def _held(lock: threading.Lock) -> Iterator[None]:
    """Hold a lock; waiting for it ends when the call is cancelled."""
    while not lock.acquire(timeout=_PATIENCE):
        cancellation.check()
    try:
        yield
    finally:
        lock.release()


def _is_stored(row: CommitRow) -> bool:
    return TreeId(row.tree or EMPTY) != EMPTY


def _parent(conn: sa.Connection, row: CommitRow) -> CommitRow | None:
    return commits.by_id(conn, row.parent_id) if row.parent_id is not None else None


def _good_job(conn: sa.Connection, pipeline: PipelineRow, row: CommitRow) -> JobRow | None:
    """Return the job of a meta commit if it was a success, else the last good job before it."""
    at: CommitRow | None = row
    while at is not None:
        job = jobs.find(conn, pipeline.id, at.set_id)
        if job is not None:
            return job if job.state is JobState.SUCCESS else base_job(conn, job)
        at = _parent(conn, at)  # the job was deleted
    return None


def _stored_base(conn: sa.Connection, pipeline: PipelineRow, row: CommitRow) -> tuple[TreeId, TreeId] | None:
    """Return datums and tree of the nearest ancestor whose files are stored, if it is near."""
    at = _parent(conn, row)
    for _ in range(_NEAR):
        if at is None or _is_stored(at):
            break
        at = _parent(conn, at)
    else:
        return None
    job = jobs.find(conn, pipeline.id, at.set_id) if at is not None else None
    if at is None or job is None or job.state is not JobState.SUCCESS:
        return None
    return TreeId(job.datums or EMPTY), TreeId(at.tree or EMPTY)


def build(
    versions: VersionedStore,
    specs: Specs,
    sink: ChunkSink,
    source: MetaSource,
    base: tuple[TreeId, TreeId] | None = None,
) -> TreeId:
    """Build the tree of a job's meta commit. Blocks; takes bounded memory, whatever the number of datums.

    Args:
        versions: the store.
        specs: parsed specifications.
        sink: takes the tree and the JSON of the datums.
        source: what to derive it from.
        base: datums and meta tree of another job of the pipeline; None to make it of everything.

    Returns:
        The tree; the same with every base.
    """
    if source.has_reference:
        base = None
    trees = versions.trees.through(sink)
    with SortedRows() as requests, SortedRows() as changes:
        draft = _Draft(
            source, meta_json.Origins(versions, specs, source.pipeline, _ORIGINS), requests, changes
        )
        datum_trees = datum_rows.trees(versions)
        before, tree = base or (EMPTY, EMPTY)
        rows = draft.removing(trees, tree, datum_trees.diff(before, source.datums))
        while together := list(islice(rows, _TOGETHER)):
            draft.add(sink, together)
        draft.copy_requested(versions.trees)
        return trees.merge(sink, tree, draft.merged())


class _Draft:
    """A tree being built: the files to copy with their sources, then the changes to the base.

    Files are requested in the order of datums and fetched in the order of their source's keys, so that each leaf
    of a source is read once.
    """

    def __init__(
        self, source: MetaSource, origins: meta_json.Origins, requests: SortedRows, changes: SortedRows
    ) -> None:
        self._source = source
        self._origins = origins
        #: Number of the source tree, path, NUL and datum id; the folder that the file goes to.
        self._requests = requests
        #: Keys of the tree and, behind a plus, their new values; nothing to delete the key.
        self._changes = changes

    def removing(
        self, trees: Trees, tree: TreeId, differences: Iterator[tuple[bytes, bytes | None, bytes | None]]
    ) -> Iterator[DatumRow]:
        """Remove the files of datums that were removed or changed; yield the new and the changed datums."""
        for key, before, after in differences:
            if before is not None:
                for folder in (f"/meta/{key.hex()}/".encode(), f"/pfs/{key.hex()}/".encode()):
                    for old_key, _ in trees.scan(tree, folder, folder[:-1] + b"0"):
                        self._changes.add(old_key, b"")
            if after is not None:
                yield datum_rows.decode(key, after)

    def add(self, sink: ChunkSink, rows: list[DatumRow]) -> None:
        """Add the JSON of datums, and request their files."""
        texts = [meta_json.text(row, self._origins) for row in rows]
        small = [text for text in texts if len(text) <= MIN_BYTES]
        values = {text: value for text, value in zip(small, _values(sink, small), strict=True)}
        for row, text in zip(rows, texts, strict=True):
            name = row.id.hex()
            value = (
                values[text] if text in values else file_values.encode(sink, chunk_lists.cut(sink, [text]))
            )
            self._changes.add(f"/meta/{name}/meta\0{name}".encode(), b"+" + value)
            for path in row.outputs:
                self._request(_OUTPUT, path, name, "out")
            for item in row.items:
                self._request(self._source.inputs[item.input, item.origin], item.path, name, item.input)

    def copy_requested(self, trees: Trees) -> None:
        """Copy the requested files from their trees."""
        for requests, folder in self._requests:
            tree = self._source.trees[int.from_bytes(requests[:2])]
            path, _, name = requests[2:].rpartition(b"\0")
            if path.endswith(b"/"):
                low, high = path, path[:-1] + b"0"
            else:
                low, high = path + b"\0", path + b"\1"
            for key, value in trees.scan(tree, low, high):
                file = key.partition(b"\0")[0]
                self._changes.add(b"%b%b\0%b" % (folder, file, name), b"+" + value)

    def merged(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield the changes by key; of several changes of a key, the last one."""
        last: tuple[bytes, bytes] | None = None
        for row in self._changes:
            if last is not None and last[0] != row[0]:
                yield last[0], last[1][1:] if last[1] else None
            last = row
        if last is not None:
            yield last[0], last[1][1:] if last[1] else None

    def _request(self, number: int, path: str, name: str, folder: str) -> None:
        key = b"%b%b\0%b" % (number.to_bytes(2), path.encode(), name.encode())
        self._requests.add(key, f"/pfs/{name}/{folder}".encode())


def _values(sink: ChunkSink, texts: list[bytes]) -> list[bytes]:
    """Store files of one chunk each; return their chunk lists."""
    return [
        file_values.inline(REF.pack(id, len(text)))
        for id, text in zip(sink.add_many(texts), texts, strict=True)
    ]
