"""Plan a job: the datums it must run are the difference to the last good job, by a diff of the input trees.

When only the commits of the inputs differ, only changed files are read, so the cost depends on the change
and not on the number of files. When something else changed (a new glob, a new salt, recovered datums to
try again), all datums are enumerated and compared with the last good job's, row by row in id order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from trunkline.errors import Cancelled, InvalidArgument, NotFound
from trunkline.meta import commit_graph, jobs, repos
from trunkline.model import limits, names
from trunkline.model.names import META
from trunkline.model.states import TERMINAL_JOB_STATES, JobState
from trunkline.pfs import files, resolve
from trunkline.pps import datum_lists, datum_rows, datums, item_reads, kept_results, todos
from trunkline.pps.items import LeafIndex, leaf_key, leaves_of
from trunkline.pps.jobs import base_job, failed_before
from trunkline.pps.sorted_rows import SortedRows
from trunkline.pps.spec_cache import input_of
from trunkline.runtime import cancellation, failpoints
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Set

    import sqlalchemy as sa

    from trunkline.meta.commits import CommitRow
    from trunkline.meta.jobs import JobRow
    from trunkline.model.globs import Glob
    from trunkline.model.spec import PfsInput, PipelineSpec
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pps.items import ItemRef, ItemsOf, LeafKey
    from trunkline.pps.spec_cache import Specs
    from trunkline.storage.chunks import PackRecord

T = TypeVar("T")

#: Rows between two checks whether the job is still live.
WATCHED_ROWS = 20_000


class JobPlan(Struct, frozen=True):
    """The plan of a job. The packs are durable but not in the chunk index yet."""

    base: JobRow | None
    #: The job as it was planned.
    job: JobRow
    #: The sequential rule does not run the early part as it is: it goes, with its claims and results.
    drops_early: bool
    #: What runs besides the early part.
    todo: TreeId
    #: Results of the failed job before that need not be made again, as completions record them.
    taken_over: list[tuple[TreeId, TreeId]]
    #: Datums to run, with those of the early part.
    todo_count: int
    #: Bytes of the inputs of all datums to run; 0 when nothing needs them.
    todo_bytes: int
    #: Rows of the base job's datums that do not exist any more or run again: their outputs are removed.
    obsolete: TreeId
    total: int
    packs: list[PackRecord]


class Inputs(Struct, frozen=True):
    """The files that the input leaves of a job mean. Leaves are keyed as ``items.leaves_of`` does."""

    trees: dict[LeafKey, TreeId]
    commits: dict[LeafKey, CommitRow | None]

    def covers(self, later: Inputs) -> bool:
        """Return whether every leaf of ``later`` has its commit; one may have been squashed."""
        return all(self.commits.get(key) is not None for key, row in later.commits.items() if row is not None)

    def check_pinned(self, spec: PipelineSpec) -> None:
        """Check that the commits that inputs name exist.

        Raises:
            NotFound: one was deleted.
        """
        for key, leaf in leaves_of(input_of(spec)):
            if leaf.commit and self.commits[key] is None:
                raise NotFound(
                    f'commit {leaf.project}/{leaf.repo}@{leaf.commit}, which input "{leaf.name}" names, was deleted;'
                    " name another one, or none to read the head of the branch"
                )


def inputs_of(conn: sa.Connection, spec: PipelineSpec, job: JobRow) -> Inputs:
    """Find the commit and tree of each input leaf: the one that it names, or that of the job's provenance in its repo.

    Args:
        conn: connection of the transaction.
        spec: the specification of the pipeline.
        job: the job, whose commit has the provenance.
    """
    upstream = {row.repo_id: row for row in commit_graph.upstream(conn, job.commit_id)}
    trees: dict[LeafKey, TreeId] = {}
    rows_: dict[LeafKey, CommitRow | None] = {}
    for key, leaf in leaves_of(input_of(spec)):
        repo = repos.find_repo(conn, leaf.project, leaf.repo, leaf.repo_type)
        commit: CommitRow | None = None
        if repo is not None:
            commit = _pinned(conn, leaf) if leaf.commit else upstream.get(repo.id)
        rows_[key] = commit
        trees[key] = TreeId(commit.tree) if commit is not None and commit.tree is not None else EMPTY
    return Inputs(trees, rows_)


def _pinned(conn: sa.Connection, leaf: PfsInput) -> CommitRow | None:
    """Return the commit that a leaf names; None when it was deleted."""
    repo = names.RepoName(leaf.project, leaf.repo, leaf.repo_type)
    try:
        return resolve.commit(conn, names.CommitName(repo, leaf.commit))
    except NotFound:
        return None


def plan(versions: VersionedStore, specs: Specs, job: JobRow) -> JobPlan:
    """Plan a job whose inputs are finished. Blocks; writes nothing but durable, unreferenced packs.

    Takes bounded memory, whatever the number of datums.

    Args:
        versions: the store to read and write.
        specs: cache of specifications.
        job: the job; its inputs are finished.

    Raises:
        InvalidArgument: the input makes more datums than a job may have.
        NotFound: a commit that the input names was deleted.
        Cancelled: the job ended meanwhile.
    """
    failpoints.reach("plan")
    spec = specs.get(job.pipeline_id, job.version)
    store_meta_inputs(versions, spec, job)
    base, failed, old_spec, new, old = versions.read(_look, specs, job, spec)
    new.check_pinned(spec)
    writer = versions.chunks.writer()
    try:
        with SortedRows() as todo, SortedRows() as obsolete:
            draft = _Draft(versions, job, todo, obsolete)
            trees = datum_rows.trees(versions)
            if spec.service is not None:  # it shows its inputs, changed or not, and has no outputs to keep
                base = failed = None
            if base is None or base.total == 0:  # nothing to compare with, so no change is gathered
                draft.add_all(spec, new)
                total = len(todo)
            elif (
                spec.reprocess_spec != "every_job"
                and base.recovered == 0
                and _same_datums(spec, old_spec)
                and old.covers(new)
            ):
                total = draft.add_difference(spec, base, old, new)
            else:
                total = draft.add_comparison(spec, base, new)
            if spec.service is not None and total != 1:
                raise InvalidArgument(
                    f'a service shows exactly one datum, and its input makes {total:,}; write the glob "/", or for'
                    " several inputs a cross of them"
                )
            todo_bytes = bytes_of(spec, todo)
            drops_early = job.early is not None and not todos.has_all(trees, TreeId(job.early), todo)
            rows: Iterable[tuple[bytes, bytes]] = todo
            if job.early is not None and not drops_early:
                rows = todos.without(trees, TreeId(job.early), todo)
            taken_over: list[tuple[TreeId, TreeId]] = []
            count = len(todo)
            with SortedRows() as remaining:
                if failed is not None and spec.reprocess_spec != "every_job":
                    taken_over, taken_count = kept_results.take_over(
                        versions, writer, failed, draft.watched(rows), remaining
                    )
                    count = len(todo) - taken_count
                    rows = remaining
                todo_tree = trees.build(writer, draft.watched(rows))
            obsolete_tree = trees.build(writer, draft.watched(obsolete))
            return JobPlan(
                base=base,
                job=job,
                drops_early=drops_early,
                todo=todo_tree,
                taken_over=taken_over,
                todo_count=count,
                todo_bytes=todo_bytes,
                obsolete=obsolete_tree,
                total=total,
                packs=writer.seal(),
            )
    except BaseException:
        writer.abort()
        raise


def bytes_of(spec: PipelineSpec, todo: SortedRows) -> int:
    """Return the bytes of the inputs of datums; 0 when no claim is sized by them."""
    if spec.datum_set_spec is None:
        return 0
    return sum(datum_rows.decode(key, value).size for key, value in todo)


def store_meta_inputs(versions: VersionedStore, spec: PipelineSpec, job: JobRow) -> None:
    """Store the files of the meta commits that a job reads; workers read stored trees alone.

    Args:
        versions: the store.
        spec: the specification of the pipeline.
        job: the job; its inputs are finished.
    """
    derived = [(key, leaf) for key, leaf in leaves_of(input_of(spec)) if leaf.repo_type == META]
    if not derived:
        return
    inputs = versions.read(inputs_of, spec, job)
    for key, leaf in derived:
        row = inputs.commits[key]
        if row is not None:
            files.stored_tree(versions, row, leaf.repo_type)


def _look(
    conn: sa.Connection, specs: Specs, job: JobRow, spec: PipelineSpec
) -> tuple[JobRow | None, JobRow | None, PipelineSpec, Inputs, Inputs]:
    """Return the base of a job, the failed job whose results it may take over, the base's spec, and both inputs."""
    base, failed = base_job(conn, job), failed_before(conn, job)
    new = inputs_of(conn, spec, job)
    if base is None:
        return None, failed, spec, new, new
    old_spec = specs.of(conn, base.pipeline_id, base.version)
    return base, failed, old_spec, new, inputs_of(conn, old_spec, base)


def _same_datums(new: PipelineSpec, old: PipelineSpec) -> bool:
    """Return whether equal files make equal datums under both specifications."""
    return new is old or (new.input == old.input and new.salt == old.salt)


class _Draft(Struct, frozen=True):
    """A plan in progress: the todo, and the datums of the base job to remove."""

    versions: VersionedStore
    job: JobRow
    todo: SortedRows
    obsolete: SortedRows

    def add_all(self, spec: PipelineSpec, new: Inputs) -> None:
        """Add every datum to the todo."""
        shared = LeafIndex(input_of(spec)).shared
        for datum in self._enumerate(spec, new):
            self.todo.add(*encoded(datum, shared))

    def add_difference(self, spec: PipelineSpec, base: JobRow, old: Inputs, new: Inputs) -> int:
        """Add the datums that changed items affect. Returns the number of datums."""
        assert base.datums is not None
        versions = self.versions
        trees, done = datum_rows.trees(versions), TreeId(base.datums)
        shared = LeafIndex(input_of(spec)).shared
        total = base.total
        for change in self.watched(changed_datums(versions, spec, old, new)):
            if change.old is not None and change.new is not None and change.old.hash == change.new.hash:
                continue
            if change.old is not None:
                total -= 1
                value = trees.get(done, change.old.id)
                if value is not None:
                    self.obsolete.add(change.old.id, value)
            if change.new is not None:
                total += 1
                self.todo.add(*encoded(change.new, shared))
                datums.check_total(len(self.todo))
        datums.check_total(total)
        return total

    def add_comparison(self, spec: PipelineSpec, base: JobRow, new: Inputs) -> int:
        """Add the differences between all datums of both jobs. Returns the number of datums."""
        assert base.datums is not None
        shared = LeafIndex(input_of(spec)).shared
        with SortedRows() as every:
            for datum in self._enumerate(spec, new):
                every.add(*encoded(datum, shared))
            remaining = iter(every)
            row = next(remaining, None)
            for key, value in self.watched(datum_rows.trees(self.versions).scan(TreeId(base.datums))):
                while row is not None and row[0] < key:
                    self.todo.add(*row)
                    row = next(remaining, None)
                same = row is not None and row[0] == key
                if (
                    same
                    and row is not None
                    and spec.reprocess_spec != "every_job"
                    and datum_rows.same_work(value, row[1][datum_rows.HASH])
                ):
                    row = next(remaining, None)
                else:
                    self.obsolete.add(key, value)
            while row is not None:
                self.todo.add(*row)
                row = next(remaining, None)
            return len(every)

    def watched(self, rows: Iterable[T]) -> Iterator[T]:
        """Yield rows while the plan is needed."""
        return watched(self.versions, self.job, rows)

    def _enumerate(self, spec: PipelineSpec, new: Inputs) -> Iterator[datums.DatumSpec]:
        """Yield every datum, unless there are too many."""
        items_of = listing_of(self.versions, new)
        datums.check_count(input_of(spec), lambda leaf: sum(1 for _ in items_of(leaf)))
        every = datum_lists.enumerate_datums(input_of(spec), items_of, spec.salt)
        for number, datum in enumerate(self.watched(every), 1):
            if number > limits.DATUMS:
                datums.check_total(number)
            yield datum


def watched(versions: VersionedStore, job: JobRow, rows: Iterable[T]) -> Iterator[T]:
    """Yield rows while the plan of a job is needed.

    Args:
        versions: the store.
        job: the job that is planned.
        rows: what to yield.

    Raises:
        Cancelled: the job ended, or the server stops.
    """
    for number, row in enumerate(rows, 1):
        if number % WATCHED_ROWS == 0:
            cancellation.check()
            versions.read(_check_live, job.id)
        yield row


def _check_live(conn: sa.Connection, job_id: int) -> None:
    job = jobs.by_id(conn, job_id)
    if job is None or job.state in TERMINAL_JOB_STATES:
        raise Cancelled("the job ended while it was planned")


def listing_of(versions: VersionedStore, inputs: Inputs) -> ItemsOf:
    """Return what lists the items of leaves."""

    def items_of(leaf: PfsInput, within: Glob | None = None) -> Iterator[ItemRef]:
        return item_reads.items(versions.trees, inputs.trees[leaf_key(leaf)], leaf, within)

    return items_of


def changed_datums(
    versions: VersionedStore, spec: PipelineSpec, old: Inputs, new: Inputs
) -> Iterator[datum_lists.DatumChange]:
    """Yield the datums that differ between two states of the inputs; the cost depends on the change.

    Args:
        versions: the store.
        spec: of both states.
        old: the inputs before.
        new: the inputs after.
    """
    deltas = {
        key: item_reads.delta(versions.trees, leaf, old.trees[key], new.trees[key])
        for key, leaf in leaves_of(input_of(spec))
    }
    listings = listing_of(versions, old), listing_of(versions, new)
    return datum_lists.changed(input_of(spec), deltas, *listings, spec.salt)


def encoded(datum: datums.DatumSpec, shared: Set[str]) -> tuple[bytes, bytes]:
    """Return key and value of a datum's row in a todo; ``shared`` are the names that several leaves have."""
    return datum.id, datum_rows.encode_todo(datum.hash, datum.items, shared)


def record(conn: sa.Connection, job: JobRow, job_plan: JobPlan, now: float) -> JobRow:
    """Write a plan into its job, which becomes RUNNING; return it as it is then.

    Positions of the early part stay, so its claims go on.

    Args:
        conn: connection of the transaction.
        job: the planned job, in state STARTING.
        job_plan: the datums to run and to remove.
        now: current time, in seconds since the epoch.
    """
    if job_plan.drops_early:
        job = jobs.drop_early(conn, job)
    jobs.add_results(conn, job.id, job_plan.taken_over)
    return jobs.move(
        conn,
        job,
        JobState.RUNNING,
        started=now,
        base_id=job_plan.base.id if job_plan.base is not None else None,
        todo=job_plan.todo,
        todo_count=job_plan.todo_count,
        todo_bytes=job_plan.todo_bytes,
        obsolete=job_plan.obsolete,
        total=job_plan.total,
        skipped=job_plan.total - job_plan.todo_count,
    )
