"""The early part of a job: datums that it runs before the jobs before it have ended (docs/design/jobs.md).

These are the datums that are new against the live job before it, and that neither another live job before it has nor,
with the same hash, the last good one: they have to run whichever of these jobs succeed. They are found by the
difference of two jobs' inputs, so the cost depends on the change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import chunks, job_queue, jobs, pipelines
from trunkline.model import limits
from trunkline.model.states import JobState
from trunkline.pps import datum_rows, plan
from trunkline.pps.items import LeafIndex
from trunkline.pps.jobs import wake_job
from trunkline.pps.pipeline_events import record_job
from trunkline.pps.sorted_rows import SortedRows
from trunkline.pps.spec_cache import input_of
from trunkline.runtime import failpoints
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.spec_cache import Specs
    from trunkline.pps.workers.waiting import WaitingWorkers
    from trunkline.storage.chunks import PackRecord


class EarlyPart(Struct, frozen=True):
    """An early part. The packs are durable but not in the chunk index yet."""

    todo: TreeId
    count: int
    #: Bytes of the inputs of its datums; 0 when nothing needs them.
    input_bytes: int
    #: Every datum that differs from the job before.
    changes: TreeId
    packs: Sequence[PackRecord] = ()


#: That of a job of which nothing is known to run in any case.
NOTHING = EarlyPart(EMPTY, 0, 0, EMPTY)


def find(versions: VersionedStore, specs: Specs, job: JobRow) -> EarlyPart:
    """Return the early part of a job whose inputs are finished. Blocks; writes nothing but durable packs.

    Args:
        versions: the store to read and write.
        specs: cache of specifications.
        job: a live job behind one that is planned.

    Raises:
        Cancelled: the job ended meanwhile.
    """
    failpoints.reach("early")
    spec = specs.get(job.pipeline_id, job.version)
    plan.store_meta_inputs(versions, spec, job)
    earlier, old, new = versions.read(_look, spec, job)
    if not earlier or old is None or earlier[-1].version != job.version or not old.covers(new):
        return NOTHING
    trees = datum_rows.trees(versions)
    writer = versions.chunks.writer()
    try:
        with SortedRows() as added, SortedRows() as changes, SortedRows() as todo:
            shared = LeafIndex(input_of(spec)).shared
            for change in plan.watched(versions, job, plan.changed_datums(versions, spec, old, new)):
                datum = change.new or change.old
                assert datum is not None
                row = plan.encoded(datum, shared)
                changes.add(*row)
                if change.old is None:
                    added.add(*row)
                if len(changes) > limits.DATUMS:
                    writer.abort()
                    return NOTHING
            # What an earlier job changes: a plan says what goes from the base, an early part what differs.
            touched = [
                TreeId(tree)
                for row in earlier
                if (tree := row.obsolete or row.early_changes) != EMPTY and tree
            ]
            for key, value in plan.watched(versions, job, added):
                if all(trees.get(tree, key) is None for tree in touched):
                    todo.add(key, value)
            return EarlyPart(
                todo=trees.build(writer, todo),
                count=len(todo),
                input_bytes=plan.bytes_of(spec, todo),
                changes=trees.build(writer, changes),
                packs=writer.seal(),
            )
    except BaseException:
        writer.abort()
        raise


def _look(
    conn: sa.Connection, spec: PipelineSpec, job: JobRow
) -> tuple[Sequence[job_queue.ChainedJob], plan.Inputs | None, plan.Inputs]:
    """Return the jobs before one, the inputs of the last of them, and its own."""
    earlier = job_queue.chain(conn, job.pipeline_id, job.id)
    before = jobs.by_id(conn, earlier[-1].id) if earlier else None
    old = plan.inputs_of(conn, spec, before) if before is not None else None
    return earlier, old, plan.inputs_of(conn, spec, job)


def record(
    write: WriteTransaction, job_id: int, part: EarlyPart, waiting: WaitingWorkers, specs: Specs
) -> None:
    """Give a job its early part, unless it ended or its turn came meanwhile, and its datums to waiting workers.

    Args:
        write: transaction that the change belongs to.
        job_id: row number of the job.
        part: what runs early.
        waiting: the workers that wait.
        specs: cache of specifications.
    """
    job = jobs.by_id(write.conn, job_id)
    if job is None or job.state is not JobState.CREATED or job.early_changes is not None:
        return
    chunks.add(write.conn, part.packs, 0, write.now)
    if not part.count:
        jobs.change(write.conn, job.id, early_changes=part.changes)
        return
    started = jobs.move(
        write.conn,
        job,
        JobState.STARTING,
        early=part.todo,
        early_count=part.count,
        early_changes=part.changes,
        todo_count=part.count,
        todo_bytes=part.input_bytes,
        total=part.count,
    )
    wake_job(write, job)
    waiting.give_out(write, job.pipeline_id, specs)
    name = pipelines.name_of(write.conn, job.pipeline_id)
    if name is not None:
        record_job(write, name, started)
