"""Claims: which worker runs which datums, and how their completion is recorded (docs/design/states.md, "Claim").

A job's todo is addressed by position. A claim is a run of positions ``[start, stop)`` that one worker owns
while its lease lasts; ``done`` is the first position without a recorded result. Runs are cut on demand and
shrink towards the end of the job (``scaling.policy.run_length``). A completion is accepted only from the owner
and only from ``done`` on, inside the transaction that records it, so no datum is ever recorded twice. With the last
results of a run that transaction also gives the worker its next run, if the worker asks for it.

Each function is one transaction; ``dispatch`` waits for work.
"""

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from trunkline import errors
from trunkline.meta import chunks, datum_sums, job_queue, jobs, pipelines, workers
from trunkline.meta import claims as claim_rows
from trunkline.model.leases import Lease
from trunkline.model.states import ClaimState, WorkerState
from trunkline.pps import jobs as job_ops
from trunkline.pps.pipeline_events import record_datums, record_worker
from trunkline.runtime import failpoints
from trunkline.scaling import policy
from trunkline.storage.sums import EMPTY, TreeId
from trunkline.telemetry import events
from trunkline.telemetry.reports import DatumOrigin

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.claims import ClaimRow
    from trunkline.meta.datum_sums import NewSum
    from trunkline.meta.jobs import JobRow, Results
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.meta.workers import WorkerRow
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.spec_cache import Specs
    from trunkline.pps.workers.last_completion import LastCompletion
    from trunkline.storage.chunks import PackRecord
    from trunkline.telemetry.reports import DatumReport

#: Seconds until a claim that is not renewed is given to another worker. Workers renew every third of it.
LEASE = 10.0
#: Why a worker is replaced whose lease ran out.
SILENT = f"has not called for {LEASE:g} s"
#: Seconds since 1970: the end of the year 9999, the last time that can be shown.
LATEST = 253_402_300_799.0


class ClaimLost(errors.FailedPrecondition):
    """The claim belongs to another worker, or does not exist any more."""


class Claimed(Struct, frozen=True):
    """A claim with all that its assignment is computed from."""

    claim: ClaimRow
    job: JobRow
    pipeline: PipelineRow
    worker_id: str


class PreparedCompletion(Struct, frozen=True):
    """Outputs and results of a claim's next datums; all bytes are durable."""

    claim_id: str
    #: Position in the job of the first datum that has a result; None without results.
    first: int | None
    #: Datums that have results.
    count: int
    #: What the datums wrote and their rows, to be applied in this order.
    parts: Sequence[tuple[TreeId, TreeId]]
    results: Results
    #: What they add up to; None without results.
    sum: NewSum | None
    #: Reason of the first failed datum, empty when none failed.
    failure: str
    #: The worker gives the rest back.
    release: bool
    packs: Sequence[PackRecord]
    #: Packs that the worker uploaded itself.
    uploaded: Sequence[PackRecord]
    written_bytes: int
    #: The results again, for logs and metrics.
    reports: Sequence[DatumReport] = ()
    #: The job as it is settled with these results, when they are its last ones.
    last: LastCompletion | None = None


class Completed(NamedTuple):
    """The result of a completion."""

    #: False: the claim was lost and nothing was recorded.
    accepted: bool
    #: The worker must exit after its claim.
    retire: bool
    #: The worker's next claim, when it asked for one.
    following: Claimed | None = None


class Renewal(NamedTuple):
    """The result of a claim's renewal."""

    #: False: the claim is lost; the worker stops its command and claims anew.
    valid: bool
    #: A user asked for the running datum to start again.
    restart_datum: bool
    #: The worker must complete what is finished, give the rest back and exit.
    retire: bool


def work_waits(conn: sa.Connection, worker_id: str) -> bool:
    """Return whether ``take`` would return a claim or an order to exit for a worker. Cheap, reads only."""
    worker = workers.by_id(conn, worker_id)
    if worker is None or must_exit(worker) or worker.state is WorkerState.BUSY:
        return True
    return has_unclaimed(conn, worker.pipeline_id)


def has_unclaimed(conn: sa.Connection, pipeline_id: int) -> bool:
    """Return whether a pipeline has datums that a worker can claim."""
    return job_queue.next_with_work(conn, pipeline_id) is not None


def must_exit(worker: WorkerRow) -> bool:
    """Return whether a worker gets no work any more: it retires, or was silent for so long that it is replaced."""
    return worker.state in (WorkerState.RETIRING, WorkerState.LOST)


def take(write: WriteTransaction, worker_id: str, specs: Specs) -> Claimed | None:
    """Claim the next run of datums of its pipeline for a worker; None when there is none.

    A worker that asks holds nothing (``let_go``), unless ``give_out`` of ``waiting`` was quicker: it gets that claim.

    Args:
        write: transaction that the change belongs to.
        worker_id: id of the worker.
        specs: cache of specifications.

    Raises:
        Unauthenticated: the worker is unknown.
    """
    conn = write.conn
    worker = require_worker(conn, worker_id)
    if must_exit(worker):
        return None
    pipeline = pipelines.by_id(conn, worker.pipeline_id)
    if pipeline is None or pipeline.version != worker.version:
        return None
    busy = worker.state is WorkerState.BUSY
    for held in claim_rows.claims_of_worker(conn, worker_id) if busy else ():
        owner = jobs.by_id(conn, held.job_id)
        assert owner is not None
        return Claimed(held, owner, pipeline, worker_id)
    job = job_queue.next_with_work(conn, pipeline.id)
    if job is None:
        return None
    if pipeline.worker_limit is not None and _is_beyond(conn, pipeline):
        workers.move(conn, worker.id, WorkerState.RETIRING, "makes room for other pipelines", write.now)
        record_worker(write, pipeline.full_name, worker.id, WorkerState.RETIRING)
        write.tx.wake("workers", f"pipeline:{pipeline.id}")
        return None
    claim = _next_run(write, job, worker, specs.of(conn, pipeline.id, job.version))
    if worker.state is not WorkerState.BUSY:
        workers.move(conn, worker.id, WorkerState.BUSY, "", write.now)
        record_worker(
            write,
            pipeline.full_name,
            worker.id,
            WorkerState.BUSY,
            machine=worker.machine,
            busy_with=job.set_id,
        )
        write.tx.wake("workers")
    return Claimed(claim, job, pipeline, worker_id)


def _is_beyond(conn: sa.Connection, pipeline: PipelineRow) -> bool:
    """Return whether a pipeline has more workers than its share of the fleet."""
    assert pipeline.worker_limit is not None
    present = (row.state is not WorkerState.RETIRING for row in workers.of_pipeline(conn, pipeline.id))
    return sum(present) > pipeline.worker_limit


def register(write: WriteTransaction, worker_id: str) -> None:
    """Record that a worker is ready to claim.

    Raises:
        Unauthenticated: the worker is unknown.
    """
    worker = require_worker(write.conn, worker_id)
    if worker.state in (WorkerState.PENDING, WorkerState.STARTING):
        workers.set_ready(write.conn, worker_id, write.now)
        write.tx.wake("workers", f"pipeline:{worker.pipeline_id}")
        name, seconds = pipelines.name_of(write.conn, worker.pipeline_id), write.now - worker.created
        machine = str((worker.machine or {}).get("name", ""))
        if name is not None:
            record_worker(write, name, worker_id, WorkerState.IDLE, machine=worker.machine)
            write.tx.after_commit(
                partial(events.worker_ready, name, worker_id, seconds=seconds, machine=machine)
            )


def renew(
    write: WriteTransaction, worker_id: str, claim_id: str, position: int | None, since: float | None
) -> Renewal:
    """Extend a claim's lease.

    Args:
        write: the transaction.
        worker_id: the worker that renews.
        claim_id: its claim.
        position: the datum that it runs, counted in its assignment; None when it runs none.
        since: when it started the datum, seconds since the epoch.

    Raises:
        InvalidArgument: the claim has no such datum, or the time is out of range.
        Unauthenticated: the worker is unknown.
    """
    worker = require_worker(write.conn, worker_id)
    claim = claim_rows.claim_by_id(write.conn, claim_id)
    if claim is not None and position is not None and position >= claim.stop - claim.start:
        raise errors.InvalidArgument(
            f"the claim has {claim.stop - claim.start} datums, and datum {position} is said to run; send its"
            " position in the assignment"
        )
    if since is not None and not 0 <= since <= LATEST:
        raise errors.InvalidArgument(
            f"datum {position} is said to run since {since}, which is not a time; send seconds since 1970"
        )
    restart = claim is not None and claim.restart
    absolute = claim.start + position if claim is not None and position is not None else None
    valid = claim_rows.renew_claim(write.conn, claim_id, worker_id, absolute, since)
    return Renewal(valid, valid and restart, must_exit(worker))


def complete(
    write: WriteTransaction, worker_id: str, prepared: PreparedCompletion, specs: Specs | None = None
) -> Completed:
    """Record results; of a claim that was lost, nothing.

    Args:
        write: transaction that the change belongs to.
        worker_id: id of the worker.
        prepared: the results, with their trees already written.
        specs: cache of specifications, for a worker that wants its next run when this one is done; otherwise None.

    Raises:
        Unauthenticated: the worker is unknown.
    """
    conn = write.conn
    worker = require_worker(conn, worker_id)
    refused = Completed(accepted=False, retire=must_exit(worker))
    claim = claim_rows.claim_by_id(conn, prepared.claim_id)
    if claim is None or claim.state is not ClaimState.CLAIMED or claim.worker_id != worker_id:
        return refused
    job = jobs.by_id(conn, claim.job_id)
    if job is None or not job.takes_results or claim.done + prepared.count > claim.stop:
        return refused
    if prepared.first is not None and prepared.first != claim.done:
        return refused  # sent twice: the first one was recorded, its answer lost
    uploaded = prepared.uploaded
    if uploaded:  # a worker may report a pack again that an earlier completion recorded
        recorded = chunks.recorded_packs(conn, [pack.pack for pack in uploaded])
        uploaded = [pack for pack in uploaded if pack.pack not in recorded]
    chunks.add(conn, [*prepared.packs, *uploaded], prepared.written_bytes, write.now)
    if prepared.sum is not None:
        jobs.add_handin(conn, job.id, prepared.parts, prepared.results, write.now, first=claim.done)
        datum_sums.add(conn, job.id, worker_id, prepared.sum)
    name = pipelines.name_of(conn, job.pipeline_id)
    if name is not None and prepared.sum is not None:
        datums = [(report.id, report.state) for report in prepared.reports]
        record_datums(write, name, job, worker_id, prepared.results, prepared.sum, datums)
    done = claim.done + prepared.count
    goes_on = specs is not None and done == claim.stop
    if goes_on:
        claim_rows.advance_claim(conn, claim, done, ClaimState.DONE)
    else:
        _advance(write, job, claim, done, release=prepared.release)
    if prepared.failure:
        job_ops.fail(write, job, prepared.failure)
    elif prepared.last is not None and prepared.last.record(write, job):
        failpoints.reach("completion.settled")
    elif job.handed_in + prepared.count == job.todo_count:
        write.tx.wake(f"pipeline:{job.pipeline_id}")
    if prepared.count and name is not None:
        origin = DatumOrigin(job.set_id, claim.id, worker_id, job.trace)
        write.tx.after_commit(partial(events.datums_recorded, name, origin, prepared.reports))
    # The end of a small job is what pipelines downstream wait for, and seldom leaves work: no look for any.
    looks = goes_on and prepared.last is None
    following = take(write, worker_id, specs) if looks and specs is not None else None
    if following is not None:
        write.tx.wake(f"progress:{job.pipeline_id}")
    elif goes_on:
        _set_idle(write, worker_id)
        write.tx.wake(f"pipeline:{job.pipeline_id}")
    return Completed(accepted=True, retire=refused.retire, following=following)


def parts_of(deltas: Sequence[TreeId], rows: TreeId) -> list[tuple[TreeId, TreeId]]:
    """Return the parts of a completion: one for each delta, of which many files have several; the rows come first."""
    first, *more = deltas or [EMPTY]
    return [(first, rows), *((delta, EMPTY) for delta in more)]


def _advance(write: WriteTransaction, job: JobRow, claim: ClaimRow, done: int, *, release: bool) -> None:
    """Move a claim on; at its end, or when the rest is given back, its worker is idle."""
    if done < claim.stop and not release:
        claim_rows.advance_claim(write.conn, claim, done, ClaimState.CLAIMED)
        return
    ended = ClaimState.DONE if done == claim.stop else ClaimState.FREE
    claim_rows.advance_claim(write.conn, claim, done, ended)
    if claim.worker_id is not None:
        _set_idle(write, claim.worker_id)
    if done < claim.stop:
        write.tx.wake(f"work:{job.pipeline_id}")
    write.tx.wake(f"pipeline:{job.pipeline_id}")


def lease_of(claim: ClaimRow) -> Lease:
    """Return a held claim's lease. A completion counts as a renewal."""
    return Lease(claim.id, (claim.worker_id, claim.renewals, claim.done), LEASE)


def free_expired(write: WriteTransaction, expired: ClaimRow) -> None:
    """Free a claim whose lease ran out, unless its owner has renewed it since it was read.

    The owner is lost: it may be frozen, or its machine is, and is stopped and replaced.
    """
    claim = claim_rows.claim_by_id(write.conn, expired.id)
    if claim is not None and claim.state is ClaimState.CLAIMED and lease_of(claim) == lease_of(expired):
        worker = workers.by_id(write.conn, claim.worker_id) if claim.worker_id is not None else None
        if worker is not None and worker.state in (WorkerState.BUSY, WorkerState.RETIRING):
            workers.move(write.conn, worker.id, WorkerState.LOST, SILENT, write.now)
            name = pipelines.name_of(write.conn, worker.pipeline_id)
            if name is not None:
                record_worker(write, name, worker.id, WorkerState.LOST, SILENT, machine=worker.machine)
            write.tx.wake("workers", f"pipeline:{worker.pipeline_id}")
        _give_back(write, claim)


def let_go(write: WriteTransaction, worker_id: str) -> None:
    """Free what a worker holds that asks for work: its job ended, or the answer to its claim was lost."""
    free_of_worker(write, worker_id)
    worker = require_worker(write.conn, worker_id)
    if worker.state is WorkerState.BUSY:
        _set_idle(write, worker_id)
        write.tx.wake(f"pipeline:{worker.pipeline_id}")


def free_of_worker(write: WriteTransaction, worker_id: str) -> None:
    """Free the claims of a worker that ended."""
    for claim in claim_rows.claims_of_worker(write.conn, worker_id):
        _give_back(write, claim)


def _give_back(write: WriteTransaction, claim: ClaimRow) -> None:
    job = jobs.by_id(write.conn, claim.job_id)
    assert job is not None
    _advance(write, job, claim, claim.done, release=True)


def _set_idle(write: WriteTransaction, worker_id: str) -> None:
    worker = workers.by_id(write.conn, worker_id)
    if worker is not None and worker.state is WorkerState.BUSY:
        workers.move(write.conn, worker_id, WorkerState.IDLE, "", write.now)
        write.tx.wake("workers")
        name = pipelines.name_of(write.conn, worker.pipeline_id)
        if name is not None:
            record_worker(write, name, worker_id, WorkerState.IDLE, machine=worker.machine)


def give_back(write: WriteTransaction, claim_id: str, worker_id: str) -> None:
    """Free a claim that its worker never received.

    Args:
        write: transaction that the change belongs to.
        claim_id: id of the claim.
        worker_id: id of the worker.
    """
    claim = claim_rows.claim_by_id(write.conn, claim_id)
    if claim is not None and claim.state is ClaimState.CLAIMED and claim.worker_id == worker_id:
        _give_back(write, claim)


def require_worker(conn: sa.Connection, worker_id: str) -> WorkerRow:
    """Return a worker, or raise Unauthenticated."""
    worker = workers.by_id(conn, worker_id)
    if worker is None:
        raise errors.Unauthenticated(
            f"worker {worker_id or '(none)'} is unknown to this server; it must exit"
        )
    return worker


def _next_run(write: WriteTransaction, job: JobRow, worker: WorkerRow, spec: PipelineSpec) -> ClaimRow:
    """Return a run for the worker of a job that has one: one that came back, else the next positions."""
    conn = write.conn
    returned = claim_rows.free_claim(conn, job.id)
    if returned is not None:
        if returned.one_by_one and returned.stop - returned.done > 1:
            _split(conn, returned)
        claim_rows.take_claim(conn, returned.id, worker.id)
        run = claim_rows.claim_by_id(conn, returned.id)
        assert run is not None
        return run
    remaining = job.todo_count - job.cursor
    length = policy.run_length(
        remaining,
        spec.parallelism,
        spec.datum_set_spec,
        seconds_per_datum(job),
        job.todo_bytes / job.todo_count,
    )
    stop = min(job.todo_count, job.cursor + length)
    claim = claim_rows.ClaimRow(
        uuid.uuid4().hex,
        job.id,
        job.cursor,
        stop,
        job.cursor,
        ClaimState.CLAIMED,
        worker.id,
        0,
        False,
        None,
        None,
    )
    claim_rows.add_claim(conn, claim)
    first = job.first_claim if job.first_claim is not None else write.now
    jobs.change(conn, job.id, cursor=stop, first_claim=first, last_claim=write.now)
    return claim


def _split(conn: sa.Connection, claim: ClaimRow) -> None:
    """Leave the first datum of a free run to it, and make a run of the others."""
    first = claim.done + 1
    rest = claim_rows.ClaimRow(
        uuid.uuid4().hex, claim.job_id, first, claim.stop, first, ClaimState.FREE,
        None, 0, False, None, None, one_by_one=True,
    )  # fmt: skip
    claim_rows.shorten_claim(conn, claim, first)
    claim_rows.add_claim(conn, rest)


class LostAttempts(Struct, frozen=True):
    """Workers that crashed one after the other while they ran the same datum."""

    job: JobRow
    #: Of the datum in the job's todo.
    position: int
    count: int
    #: How the last worker ended.
    reason: str


def lose_attempts(write: WriteTransaction, worker_id: str, reason: str) -> list[LostAttempts]:
    """Take back what a worker that crashed had claimed, and count the attempt against the datum that it ran.

    Of a run of several datums it is not known which one it ran; such a run counts nothing yet, and is given out one
    datum at a time from now on.

    Args:
        write: the transaction.
        worker_id: the worker.
        reason: how it ended.
    """
    lost = []
    for claim in claim_rows.claims_of_worker(write.conn, worker_id):
        attempts = claim.lost_attempts + 1 if claim.stop - claim.done == 1 else 0
        claim_rows.count_lost_attempt(write.conn, claim, attempts)
        job = jobs.by_id(write.conn, claim.job_id)
        if attempts and job is not None and job.takes_results:
            lost.append(LostAttempts(job, claim.done, attempts, reason))
        _give_back(write, claim)
    return lost


def seconds_per_datum(job: JobRow) -> float | None:
    """Return the mean seconds that a datum of this job has taken so far; None before the first."""
    if not job.handed_in:
        return None
    return (job.download_ns + job.process_ns + job.upload_ns) / job.handed_in / 1e9
