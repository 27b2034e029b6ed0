"""The progress of a job: its counters, its rate, the time that it still takes, and the datums that are late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import claims as claim_rows
from trunkline.meta import jobs, workers
from trunkline.model.states import TERMINAL_JOB_STATES, ClaimState
from trunkline.pps import datum_rows, todos
from trunkline.pps import jobs as job_ops
from trunkline.scaling import progress
from trunkline.storage.sums import EMPTY, TreeId

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.claims import ClaimRow
    from trunkline.meta.jobs import JobRow
    from trunkline.model.names import JobName
    from trunkline.pfs.repository import VersionedStore
    from trunkline.scaling.progress import Outlook

#: Latest completions of a job, and datums of them, whose times are the sample.
COMPLETIONS, SAMPLE = 64, 1_000
#: Late datums that are listed, the longest first.
LATE = 20


class LateDatum(Struct, frozen=True):
    """A datum that runs much longer than others of its job."""

    id: str
    paths: tuple[str, ...]
    worker_id: str
    #: How long it has run, and that in medians.
    seconds: float
    times_median: float


class JobProgress(Struct, frozen=True):
    """How far a job is."""

    job: JobRow
    #: Datums that workers hold, and that nobody has yet.
    running: int
    waiting: int
    workers: int
    outlook: Outlook
    late: Sequence[LateDatum]


class _Seen(Struct, frozen=True):
    job: JobRow
    claims: list[ClaimRow]
    completions: list[bytes]
    workers: int


def of_job(versions: VersionedStore, name: JobName) -> JobProgress:
    """Return the progress of a job. Blocks.

    Raises:
        NotFound: there is no such job.
    """
    seen = versions.read(_look, name)
    job = seen.job
    ended = job.state in TERMINAL_JOB_STATES
    remaining = 0 if ended else job.todo_count - job.handed_in
    held = [claim for claim in seen.claims if claim.state is ClaimState.CLAIMED]
    running = min(remaining, sum(claim.stop - claim.done for claim in held))
    outlook = progress.outlook(_sample(versions, seen.completions), remaining, len(held) or seen.workers)
    return JobProgress(
        job=job,
        running=running,
        waiting=remaining - running,
        workers=len(held),
        outlook=outlook,
        late=[] if ended else _late(versions, seen, outlook.median),
    )


def _look(conn: sa.Connection, name: JobName) -> _Seen:
    job = job_ops.find(conn, name)
    completions = jobs.latest_results(conn, job.id, COMPLETIONS)
    before = jobs.last_with_results(conn, job.pipeline_id, job.version) if not completions else None
    if before is not None and before.datums is not None and before.datums != EMPTY:
        completions = [before.datums]
    ready = [row for row in workers.of_pipeline(conn, job.pipeline_id) if row.ready is not None]
    return _Seen(job, claim_rows.owned_claims(conn, job.id), completions, len(ready))


def _sample(versions: VersionedStore, trees: Sequence[bytes]) -> list[float]:
    """Return the seconds of the latest datums that ran."""
    reader = datum_rows.trees(versions)
    sample: list[float] = []
    for tree in trees:
        for key, value in reader.rows(TreeId(tree), 0, SAMPLE - len(sample)):
            row = datum_rows.decode(key, value)
            nanoseconds = row.download_ns + row.process_ns + row.upload_ns
            if nanoseconds:
                sample.append(nanoseconds / 1e9)
        if len(sample) >= SAMPLE:
            break
    return sample


def _late(versions: VersionedStore, seen: _Seen, median: float) -> list[LateDatum]:
    now = versions.clock.now()
    running = [
        (now - claim.datum_started, claim.datum_position, claim.worker_id)
        for claim in seen.claims
        if claim.datum_started is not None
        and claim.datum_position is not None
        and claim.worker_id is not None
        and progress.is_late(now - claim.datum_started, median)
    ]
    late = []
    for seconds, position, worker_id in sorted(running, reverse=True)[:LATE]:
        for key, value in todos.rows(datum_rows.trees(versions), seen.job, position, position + 1):
            paths = tuple(item.path for item in datum_rows.decode(key, value).items)
            late.append(LateDatum(key.hex(), paths, worker_id, seconds, seconds / median))
    return late
