"""Lists of all datums of a job with their states; ``job_datums`` reads those at some places.

A finished job has them in its datum tree. One that runs or failed is read from the last good job's tree,
the todo and the recorded completions; a datum without a result is UNKNOWN, or STARTING while a worker has it.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from trunkline import errors
from trunkline.meta import claims as claim_rows
from trunkline.meta import jobs
from trunkline.model.states import DatumState
from trunkline.pps import datum_rows, todos
from trunkline.pps.queries.job_datums import JobDatums, ListedDatum, in_job
from trunkline.pps.settle import results
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from trunkline.meta.claims import ClaimRow
    from trunkline.meta.jobs import JobRow
    from trunkline.pfs.repository import VersionedStore


class _Parts(Struct, frozen=True):
    """The sources of the datums of a job that is not a success."""

    base: TreeId
    completions: list[tuple[bytes, bytes]]
    claims: list[ClaimRow]


def list_datums(versions: VersionedStore, job: JobRow, after: bytes = b"") -> Iterator[ListedDatum]:
    """Yield a job's datums by id, those after an id. Blocks between rows.

    Args:
        versions: the store to read and write.
        job: a job in any state; a running one lists its claimed datums as such, with the time that they have run.
        after: yield only datums with a larger id.
    """
    low = after + b"\0" if after else b""
    if job.datums is not None:
        for key, value in datum_rows.trees(versions).scan(TreeId(job.datums), low):
            yield in_job(job, datum_rows.decode(key, value))
        return
    if job.todo is None and job.early is None:
        return
    parts = versions.read(_look, job)
    trees = datum_rows.trees(versions)
    #: When each was begun that a worker holds; None for one that waits its turn.
    running: dict[bytes, float | None] = {}
    for claim in parts.claims:
        for position, (key, _) in enumerate(todos.rows(trees, job, claim.done, claim.stop), claim.done):
            running[key] = claim.datum_started if position == claim.datum_position else None
    now = versions.clock.now()
    done = dict(results(trees, parts.completions))
    obsolete = {key for key, _ in trees.scan(TreeId(job.obsolete or EMPTY))}
    own_job = bytes.fromhex(job.set_id)
    reused = sorted(
        (key, value) for key, value in done.items() if key >= low and value[datum_rows.JOB] != own_job
    )
    unchanged = ((key, value) for key, value in trees.scan(parts.base, low) if key not in obsolete)
    todo = ((key, done.get(key, value)) for key, value in todos.scan(trees, job, low))
    for key, value in heapq.merge(unchanged, reused, todo):
        listed = in_job(job, datum_rows.decode(key, value))
        if listed.state is DatumState.UNKNOWN and key in running:
            since = running[key]
            elapsed = max(0, round((now - since) * 1e9)) if since is not None else 0
            listed = ListedDatum(replace(listed.row, process_ns=elapsed), DatumState.STARTING)
        yield listed


def inspect_datum(versions: VersionedStore, job: JobRow, datum_id: str) -> ListedDatum:
    """Return one datum of a job, or raise NotFound. Blocks.

    Args:
        versions: the store to read and write.
        job: the job that has the datum.
        datum_id: id of the datum, in hex.
    """
    missing = errors.NotFound(f"datum {datum_id} not found in job {job.set_id}")
    try:
        key = bytes.fromhex(datum_id)
    except ValueError:
        raise missing from None
    listed = JobDatums(versions, job).get(key)
    if listed is None:
        raise missing
    return listed


def _look(conn: sa.Connection, job: JobRow) -> _Parts:
    base = jobs.by_id(conn, job.base_id) if job.base_id is not None else None
    tree = TreeId(base.datums) if base is not None and base.datums is not None else EMPTY
    return _Parts(tree, jobs.handins(conn, job.id), claim_rows.owned_claims(conn, job.id))
