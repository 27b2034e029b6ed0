"""Lineage of files: the datums that make a file and the files that they read, upstream and downstream.

Upstream, a file's row names the datum that wrote it, so each step costs a look-up. Downstream, the datums that read a
file are computed from its path where the input is a single leaf, and searched for among the datums of the job
otherwise, at most ``SEARCHED`` of them.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import ancestry, commit_graph, commits, jobs, pipelines, repos
from trunkline.model import limits
from trunkline.model.globs import compile_glob
from trunkline.model.names import CommitName, RepoName
from trunkline.model.paths import clean
from trunkline.pfs import files, resolve
from trunkline.pps import datum_rows, datums, plan
from trunkline.pps.items import ItemRef, LeafIndex
from trunkline.pps.spec_cache import input_of
from trunkline.storage import files as storage_files
from trunkline.storage.sums import TreeId

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.meta.jobs import JobRow
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.spec import PfsInput, PipelineSpec
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.datum_rows import DatumRow
    from trunkline.pps.items import LeafKey
    from trunkline.pps.spec_cache import Specs

#: Steps that are returned when the request does not say how many.
STEPS = 1000
#: Datums of a job that are looked at for those that read a file.
SEARCHED = 100_000
#: Files of a folder that are followed, and output files of a datum that a step lists.
FOLLOWED, LISTED = 1000, 1000


class FilePlace(Struct, frozen=True):
    """A file or folder in a commit."""

    repo: RepoName
    commit_id: str
    #: Folders end with a slash.
    path: str
    #: Name of the input that shows it; empty for outputs.
    input: str = ""
    hash: bytes = b""
    #: Bytes.
    size: int = 0


class LineageStep(Struct, frozen=True):
    """A datum with the files that it reads and writes."""

    #: Number of datums between it and the file that was asked for, itself included.
    depth: int
    pipeline: PipelineRow
    job: JobRow
    row: DatumRow
    inputs: tuple[FilePlace, ...]
    outputs: tuple[FilePlace, ...]


class Cut(Struct, frozen=True):
    """The end of a lineage that is not complete."""

    #: For people.
    reason: str


class _Product(Struct, frozen=True):
    """A commit that a job has made."""

    job: JobRow
    pipeline: PipelineRow
    spec: PipelineSpec
    output: RepoName
    #: The commits of the input by name and origin of items.
    inputs: Mapping[tuple[str, str], tuple[RepoName, CommitRow]]


def lineage(
    versions: VersionedStore, specs: Specs, name: CommitName, path: str, *, forward: bool, number: int
) -> Iterator[LineageStep | Cut]:
    """Yield the datums that a file was made by, or that were made from it, nearest first. Blocks.

    Args:
        versions: the store.
        specs: the parsed specifications.
        name: the commit.
        path: the file, or a folder for all files below it.
        forward: follow what was made from the file instead of what it was made from.
        number: at most so many datums; 0: ``STEPS``.

    Raises:
        NotFound: there is no such commit or file.
        InvalidArgument: the number is too large.
    """
    limits.check_count(number, limits.LINEAGE, "number", "send a smaller number")
    snapshot = files.snapshot(versions, name)
    entry = snapshot.inspect(clean(path))
    walk = _Walk(versions, specs, forward=forward, most=number or STEPS)
    yield from walk.from_file(FilePlace(snapshot.commit_name.repo, snapshot.commit_name.id, entry.path))


class _Walk:
    """One walk through a lineage, breadth first; each datum of a job comes once."""

    def __init__(self, versions: VersionedStore, specs: Specs, *, forward: bool, most: int) -> None:
        self._versions = versions
        self._specs = specs
        self._forward = forward
        self._most = most
        self._products: dict[tuple[RepoName, str], list[_Product]] = {}
        self._seen: set[tuple[int, bytes]] = set()
        self._cuts: dict[str, None] = {}

    def from_file(self, place: FilePlace) -> Iterator[LineageStep | Cut]:
        """Yield the steps from a file on, and last why they are not all."""
        waiting = deque([(1, place)])
        followed = {(place.repo, place.commit_id, place.path)}
        count = 0
        while waiting:
            depth, at = waiting.popleft()
            for product, row in self._datums(at):
                if (product.job.id, row.id) in self._seen:
                    continue
                if count == self._most:
                    yield Cut(f"it has more than {self._most:,} datums; send a larger number")
                    return
                self._seen.add((product.job.id, row.id))
                count += 1
                step = _step(depth, product, row)
                yield step
                for target in step.outputs if self._forward else step.inputs:
                    key = (target.repo, target.commit_id, target.path)
                    if key not in followed:
                        followed.add(key)
                        waiting.append((depth + 1, target))
        for reason in self._cuts:
            yield Cut(reason)

    def _datums(self, place: FilePlace) -> Iterator[tuple[_Product, DatumRow]]:
        key = (place.repo, place.commit_id)
        if key not in self._products:
            self._products[key] = self._versions.read(
                _jobs_reading if self._forward else _job_behind, self._specs, *key
            )
        for product in self._products[key]:
            if product.job.datums is not None:
                rows = self._readers(product, place) if self._forward else self._writers(product, place)
                yield from ((product, row) for row in rows)

    def _writers(self, product: _Product, place: FilePlace) -> Iterator[DatumRow]:
        """Yield the datums that wrote a file, or the files of a folder."""
        snapshot = files.snapshot(self._versions, CommitName(place.repo, place.commit_id))
        trees, tags = datum_rows.trees(self._versions), set()
        entries = storage_files.walk(snapshot.trees, snapshot.tree, place.path)
        written = (entry for entry in entries if not entry.is_dir)
        for entry in islice(written, FOLLOWED):
            if entry.tag not in tags:
                tags.add(entry.tag)
                yield from self._row(
                    trees.get(TreeId(product.job.datums or b""), _id(entry.tag)), _id(entry.tag)
                )
        if next(written, None) is not None:
            self._cuts[
                f"of folder {place.repo}@{place.commit_id}:{place.path} {FOLLOWED:,} files were followed"
            ] = None

    def _row(self, value: bytes | None, key: bytes) -> Iterator[DatumRow]:
        if value is not None:
            yield datum_rows.decode(key, value)

    def _readers(self, product: _Product, place: FilePlace) -> Iterator[DatumRow]:
        """Yield the datums that read a file."""
        trees, tree = datum_rows.trees(self._versions), TreeId(product.job.datums or b"")
        single = input_of(product.spec).as_files()
        if single is not None:
            _, commit = product.inputs[single.name, ""]
            for key in _items_with(
                self._versions, single, TreeId(commit.tree or b""), place.path, product.spec.salt
            ):
                yield from self._row(trees.get(tree, key), key)
            return
        names = {
            where for where, (repo, read) in product.inputs.items()
            if (repo, read.set_id) == (place.repo, place.commit_id)
        }  # fmt: skip
        rows = trees.scan(tree)
        for key, value in islice(rows, SEARCHED):
            row = datum_rows.decode(key, value)
            if any(
                (item.input, item.origin) in names and _covers(item.path, place.path) for item in row.items
            ):
                yield row
        if next(rows, None) is not None:
            reason = (
                f"of job {product.pipeline}@{product.job.set_id} the first {SEARCHED:,} datums were searched"
            )
            self._cuts[reason] = None


def _items_with(
    versions: VersionedStore, leaf: PfsInput, tree: TreeId, path: str, salt: str
) -> Iterator[bytes]:
    """Yield the ids of the datums of a single leaf that show a path: those of items that are it or above it."""
    glob = compile_glob(leaf.glob)
    parts = path.rstrip("/").split("/")
    above = ["/".join(parts[:count]) + "/" for count in range(1, len(parts))]
    for candidate in (*above, path):
        if glob.matches(candidate.rstrip("/") or "/"):
            entry = storage_files.inspect(versions.trees, tree, candidate)
            if entry is not None:
                item = ItemRef(leaf.name, leaf.repo, leaf.branch, entry.path, entry.hash, entry.size)
                yield datums.datum_of((item,), salt).id


def _covers(item: str, path: str) -> bool:
    return item == path or (item.endswith("/") and path.startswith(item))


def _id(tag: str) -> bytes:
    """Return the datum id of a file's tag; empty when the file was not written by a datum."""
    try:
        return bytes.fromhex(tag)
    except ValueError:
        return b""


def _step(depth: int, product: _Product, row: DatumRow) -> LineageStep:
    inputs = []
    for item in row.items:
        where = product.inputs.get((item.input, item.origin))
        if where is not None:
            repo, commit = where
            inputs.append(FilePlace(repo, commit.set_id, item.path, item.input, item.hash, item.size))
    outputs = tuple(FilePlace(product.output, product.job.set_id, path) for path in row.outputs[:LISTED])
    return LineageStep(depth, product.pipeline, product.job, row, tuple(inputs), outputs)


def _job_behind(conn: sa.Connection, specs: Specs, repo: RepoName, commit_id: str) -> list[_Product]:
    """Return the job that made the files of a commit; nothing when a client wrote them."""
    row = resolve.commit(conn, CommitName(repo, commit_id))
    if row.error:
        row = ancestry.last_good(conn, row) or row  # its files are those of that one
    job = jobs.by_commit(conn, row.id)
    product = _of_job(conn, specs, job) if job is not None else None
    return [product] if product is not None else []


def _jobs_reading(conn: sa.Connection, specs: Specs, repo: RepoName, commit_id: str) -> list[_Product]:
    """Return the jobs that read a commit."""
    row = resolve.commit(conn, CommitName(repo, commit_id))
    readers = (jobs.by_commit(conn, down.id) for down in commit_graph.downstream(conn, row.id))
    product = (_of_job(conn, specs, job) for job in readers if job is not None)
    return [each for each in product if each is not None]


def _of_job(conn: sa.Connection, specs: Specs, job: JobRow) -> _Product | None:
    pipeline = pipelines.by_id(conn, job.pipeline_id)
    output = commits.find_by_id(conn, job.commit_id)
    if pipeline is None or output is None:
        return None
    spec = specs.of(conn, job.pipeline_id, job.version)
    if spec.input is None:
        return None
    read: dict[LeafKey, CommitRow | None] = plan.inputs_of(conn, spec, job).commits
    inputs = {}
    for where, key, leaf in LeafIndex(spec.input):
        commit = read[key]
        if commit is not None:
            inputs[where] = RepoName(leaf.project, leaf.repo, leaf.repo_type), commit
    repo = repos.repo_by_id(conn, output.repo_id)
    return _Product(job, pipeline, spec, RepoName(repo.project, repo.name, repo.type), inputs)
