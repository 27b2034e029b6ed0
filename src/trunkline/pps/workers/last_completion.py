"""The completion that gives a small job its last results settles the job at once.

Its transaction then ends the job too, which saves a round of the controller and a commit of the database. It is an
attempt: what does not fit, and any error, is left to the controller, which settles every job that waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from trunkline import errors
from trunkline.meta import jobs
from trunkline.model.states import JobState
from trunkline.pps import datum_rows, decide, settle
from trunkline.pps.job_view import view_of
from trunkline.runtime import failpoints
from trunkline.storage.deltas import DELTA
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.jobs import JobRow
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.spec_cache import Specs
    from trunkline.storage.packing import ChunkWriter

#: Datums of a job up to which it is settled here, and rows that it adds and removes: some milliseconds.
SMALL_JOB = 256
SMALL_CHANGE = 4096


class LastCompletion(Struct, frozen=True):
    """A job as it is settled with the completion that ends it; its chunks are in the completion's packs."""

    #: The job before the completion.
    job: JobRow
    settled: settle.Settled

    def record(self, write: WriteTransaction, job: JobRow) -> bool:
        """End the job; False when it is not the job any more that was settled.

        Args:
            write: the transaction that has recorded the completion.
            job: the job before the completion, as the transaction read it.
        """
        seen = self.job
        if (job.handed_in, job.restart, job.base_id) != (seen.handed_in, seen.restart, seen.base_id):
            return False
        settle.record(write, jobs.move(write.conn, job, JobState.FINISHING), self.settled)
        return True


def settled_with(
    versions: VersionedStore,
    specs: Specs,
    job_id: int,
    parts: Sequence[tuple[TreeId, TreeId]],
    count: int,
    writer: ChunkWriter,
) -> LastCompletion | None:
    """Settle a job with the results of a completion; None when others are missing or the job is not small. Blocks.

    Args:
        versions: the store.
        specs: cache of specifications.
        job_id: row number of the job.
        parts: what the completion adds: what its datums wrote and their rows.
        count: datums that have a result in it.
        writer: has the chunks of ``parts``, and takes those of the job.
    """

    def look(conn: sa.Connection) -> tuple[JobRow, list[tuple[bytes, bytes]]] | None:
        job = jobs.by_id(conn, job_id)
        if job is None or job.state is not JobState.RUNNING or job.todo_count > SMALL_JOB:
            return None
        if job.handed_in + count != job.todo_count or jobs.live(conn, job.pipeline_id)[0].id != job_id:
            return None
        view = replace(view_of(conn, specs, job), handed_in=job.todo_count)
        is_next = isinstance(decide.next_step(view, versions.clock.now()), decide.Settle)
        return (job, jobs.handins(conn, job_id)) if is_next else None

    seen = versions.read(look)
    if seen is None:
        return None
    job, completions = seen
    try:
        deltas = versions.trees.through(writer).of(DELTA)
        rows = sum(deltas.summary(TreeId(delta)).rows for delta, _ in (*completions, *parts))
        rows += datum_rows.trees(versions).summary(TreeId(job.obsolete or EMPTY)).rows
        if rows > SMALL_CHANGE:
            return None
        failpoints.reach("completion.settle")
        return LastCompletion(job, settle.settle_into(versions, job, writer, parts))
    except (errors.TrunklineError, OSError):
        return None  # the controller meets the error again and decides what it means
