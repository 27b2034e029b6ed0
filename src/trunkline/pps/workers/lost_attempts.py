"""Fail a datum whose workers crash several times in a row (docs/design/states.md, "Lost attempts")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.meta import chunks, datum_sums, jobs, pipelines
from trunkline.model.states import DatumState
from trunkline.pps import datum_rows, todos
from trunkline.pps.datum_sums import Measured, sum_of
from trunkline.pps.jobs import datum_failure, fail
from trunkline.pps.pipeline_events import record_datums
from trunkline.storage.sums import EMPTY

if TYPE_CHECKING:
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.repository import VersionedStore
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.datum_rows import DatumRow
    from trunkline.pps.workers.claims import LostAttempts
    from trunkline.storage.chunks import PackRecord
    from trunkline.storage.sums import TreeId

#: Lost attempts in a row after which a datum fails, unless ``datum_tries`` is larger: a worker may crash
#: once or twice for reasons of its machine.
LEAST_ATTEMPTS = 3


def limit(spec: PipelineSpec) -> int:
    """Return after how many lost attempts in a row a datum fails."""
    return max(spec.datum_tries or 0, LEAST_ATTEMPTS)


def fail_datum(versions: VersionedStore, lost: LostAttempts) -> None:
    """Record a datum as failed with the last worker's ending, and fail its job. Blocks."""
    job = lost.job
    trees = datum_rows.trees(versions)
    [(key, value)] = todos.rows(trees, job, lost.position, lost.position + 1)
    row = datum_rows.decode(key, value).finished(
        state=DatumState.FAILED,
        job_id=job.set_id,
        reason=f"{lost.count} workers in a row ended while they ran it; the last one {lost.reason}",
    )
    writer = versions.chunks.writer()
    tree = trees.build(writer, [(row.id, datum_rows.encode(row))])
    versions.write(_record, job.id, row, lost.position, tree, writer.seal(), datum_failure(row))


def _record(
    write: WriteTransaction,
    job_id: int,
    row: DatumRow,
    position: int,
    rows: TreeId,
    packs: list[PackRecord],
    failure: str,
) -> None:
    job = jobs.by_id(write.conn, job_id)
    if job is None or not job.takes_results:
        return  # ended or begun anew meanwhile
    chunks.add(write.conn, packs, 0, write.now)
    results = jobs.Results(failed=1)
    jobs.add_handin(write.conn, job.id, [(EMPTY, rows)], results, write.now, first=position)
    total = sum_of(position, [Measured(DatumState.FAILED, 0, row.size, 0)], write.now)
    datum_sums.add(write.conn, job.id, "", total)
    name = pipelines.name_of(write.conn, job.pipeline_id)
    if name is not None:
        record_datums(write, name, job, "", results, total, [(row.id.hex(), DatumState.FAILED)])
    fail(write, job, failure)
