"""The end of a job whose datums all have results: its output commit and its datum tree.

The output is the last good job's files, without what the datums that no longer exist or ran again had put there,
plus the recorded completions; so the cost depends on the change. Conflicts between the outputs of datums are
detected here and fail the job with their text.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from trunkline.meta import chunks, commits, jobs
from trunkline.model.states import JobState
from trunkline.pps import datum_rows
from trunkline.pps.jobs import base_output, end_job
from trunkline.storage.apply_deltas import apply_deltas
from trunkline.storage.deltas import DeltaWriter
from trunkline.storage.scratch_chunks import ScratchChunks
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.storage.chunks import PackRecord
    from trunkline.storage.packing import ChunkWriter
    from trunkline.storage.trees import Trees

#: Changed rows of the datum tree that are held in memory, about.
_ROWS_TOGETHER = 1 << 15


class Settled(Struct, frozen=True):
    """The result of a job. The packs are durable but not in the chunk index yet."""

    output: TreeId
    size: int
    datums: TreeId
    problem: str | None
    packs: list[PackRecord]


def settle(versions: VersionedStore, job: JobRow) -> Settled:
    """Compute a job's output commit and datum tree. Blocks; writes nothing but durable, unreferenced packs."""
    writer = versions.chunks.writer()
    return replace(settle_into(versions, job, writer), packs=writer.seal())


def settle_into(
    versions: VersionedStore,
    job: JobRow,
    writer: ChunkWriter,
    more: Sequence[tuple[TreeId, TreeId]] = (),
) -> Settled:
    """Compute a job's output commit and datum tree into a writer, which the caller seals. Blocks.

    Args:
        versions: the store.
        job: the job; with ``more`` all its datums have results.
        writer: takes the new chunks.
        more: completions that are not recorded yet, whose chunks the writer has: what datums wrote, and their rows.

    Returns:
        The result, without packs.
    """

    def look(conn: sa.Connection) -> tuple[JobRow | None, TreeId, list[tuple[bytes, bytes]]]:
        base = jobs.by_id(conn, job.base_id) if job.base_id is not None else None
        return base, base_output(conn, base), jobs.handins(conn, job.id)

    base, before, completions = versions.read(look)
    completions = [*completions, *more]
    trees = versions.trees
    datum_trees = datum_rows.trees(versions).through(writer)
    obsolete = TreeId(job.obsolete or EMPTY)
    scratch = ScratchChunks(writer, versions.scratch)
    removal = DeltaWriter(trees, writer, nodes=scratch)
    for key, value in datum_trees.scan(obsolete):
        for path in datum_rows.decode(key, value).outputs:
            removal.delete(path, key.hex())
    deltas = [*removal.finish(), *(TreeId(delta) for delta, _ in completions if delta != EMPTY)]
    applied = apply_deltas(trees, writer, before, deltas, scratch)
    base_datums = TreeId(base.datums or EMPTY) if base is not None else EMPTY
    changes = _changes(datum_trees, obsolete, [TreeId(tree) for _, tree in completions])
    datum_tree = datum_trees.merge(writer, base_datums, changes)
    size = 0 if applied.problem else trees.through(writer).summary(applied.tree).size
    return Settled(applied.tree, size, datum_tree, applied.problem, [])


def results(datum_trees: Trees, completions: list[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the datum rows of completions."""
    for _, tree in completions:
        yield from datum_trees.scan(TreeId(tree))


def _changes(
    datum_trees: Trees, obsolete: TreeId, completed: Sequence[TreeId]
) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield what changes in the datum tree, sorted; a part of the ids at a time, since there may be millions of rows.

    Args:
        datum_trees: reads the trees.
        obsolete: the datums whose rows go.
        completed: the datums that have results; of a datum in several trees, the last one counts.
    """
    total = sum(datum_trees.summary(tree).rows for tree in (obsolete, *completed))
    parts = min(total // _ROWS_TOGETHER + 1, 1 << 16)
    bounds = [(number * (1 << 16) // parts).to_bytes(2, "big") for number in range(parts)]
    for low, high in zip_longest(bounds, bounds[1:]):
        changes: dict[bytes, bytes | None] = dict.fromkeys(
            key for key, _ in datum_trees.scan(obsolete, low, high)
        )
        for tree in completed:
            changes.update(datum_trees.scan(tree, low, high))
        yield from sorted(changes.items())


def record(write: WriteTransaction, job: JobRow, settled: Settled) -> None:
    """End the job with its output commit.

    Args:
        write: transaction that the change belongs to.
        job: the job, in state FINISHING; all its datums have a result.
        settled: the output of the job.
    """
    if settled.problem:
        chunks.add(write.conn, settled.packs, 0, write.now)
        end_job(write, job, JobState.FAILURE, settled.problem)
        return
    row = commits.find_by_id(write.conn, job.commit_id)
    if row is None:
        return  # removed meanwhile, and the job with it
    jobs.change(write.conn, job.id, datums=settled.datums)
    end_job(
        write, job, JobState.SUCCESS, tree=settled.output, size=settled.size, packs=settled.packs,
    )  # fmt: skip
