"""Standing programs: the commands of spouts and services, which run without end (docs/design/work.md).

A service's program runs under the claim of its job's one datum. A spout has no jobs, so what its worker holds is the
worker itself: its claim has the worker's id, and its renewals are counted in memory, because nothing but the worker
depends on them (decision 107). Each function is one transaction.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.meta import claims as claim_rows
from trunkline.meta import jobs, pipelines, workers
from trunkline.model.leases import Lease
from trunkline.model.states import ClaimState, PipelineState, WorkerState
from trunkline.pps.pipeline_events import record_worker
from trunkline.pps.workers import claims

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from trunkline.meta.pipelines import PipelineRow
    from trunkline.meta.workers import WorkerRow
    from trunkline.model.spec import PipelineSpec
    from trunkline.pfs.writes import WriteTransaction
    from trunkline.pps.spec_cache import Specs


class Hold(StrEnum):
    """What becomes of a program whose worker asks with the claim that it holds."""

    #: It goes on.
    HELD = "held"
    #: Its job has ended and a newer one follows: it goes on while its worker waits for that one.
    FOLLOWED = "followed"
    #: It must end.
    ENDED = "ended"
    #: It must end, and its worker too.
    RETIRED = "retired"


class Renewals:
    """Counts the renewals of the workers of spouts. Used on the event loop.

    A server that has just started counts from the beginning, which gives each worker its full lease again.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, worker_id: str) -> None:
        """Count a renewal."""
        self._counts[worker_id] = self._counts.get(worker_id, 0) + 1

    def leases(self, worker_ids: Sequence[str]) -> list[Lease]:
        """Return the leases of workers, and forget all others."""
        self._counts = {each: self._counts.get(each, 0) for each in worker_ids}
        return [Lease(each, count, claims.LEASE) for each, count in self._counts.items()]


class SpoutRun(Struct, frozen=True):
    """The work of a spout's worker."""

    worker_id: str
    pipeline: PipelineRow
    spec: PipelineSpec


def hold(conn: sa.Connection, worker_id: str, claim_id: str, specs: Specs) -> Hold:
    """Return what becomes of a worker's program.

    Args:
        conn: the transaction.
        worker_id: the worker that runs it.
        claim_id: what the worker holds.
        specs: cache of specifications.

    Raises:
        Unauthenticated: the worker is unknown.
    """
    worker = claims.require_worker(conn, worker_id)
    if claims.must_exit(worker):
        return Hold.RETIRED
    if claim_id == worker_id:
        return Hold.HELD if _spout(conn, worker, specs) is not None else Hold.ENDED
    claim = claim_rows.claim_by_id(conn, claim_id)
    if claim is not None and claim.state is ClaimState.CLAIMED and claim.worker_id == worker_id:
        return Hold.HELD
    pipeline = pipelines.by_id(conn, worker.pipeline_id)
    follows = pipeline is not None and pipeline.version == worker.version and jobs.live(conn, pipeline.id)
    return Hold.FOLLOWED if follows else Hold.ENDED


def take_spout(write: WriteTransaction, worker_id: str, specs: Specs) -> SpoutRun | None:
    """Make a worker run its spout; None when its pipeline is no spout, or runs none now.

    Args:
        write: transaction that the change belongs to.
        worker_id: id of the worker.
        specs: cache of specifications.

    Raises:
        Unauthenticated: the worker is unknown.
    """
    worker = claims.require_worker(write.conn, worker_id)
    run = None if claims.must_exit(worker) else _spout(write.conn, worker, specs)
    if run is not None and worker.state is not WorkerState.BUSY:
        workers.move(write.conn, worker.id, WorkerState.BUSY, "", write.now)
        record_worker(write, run.pipeline.full_name, worker.id, WorkerState.BUSY, machine=worker.machine)
        write.tx.wake("workers")
    return run


def spout_waits(conn: sa.Connection, worker_id: str, specs: Specs) -> bool:
    """Return whether ``take_spout`` would return something. Reads only.

    Args:
        conn: the transaction.
        worker_id: id of the worker.
        specs: cache of specifications.
    """
    worker = workers.by_id(conn, worker_id)
    return worker is not None and not claims.must_exit(worker) and _spout(conn, worker, specs) is not None


def spout_workers(conn: sa.Connection, specs: Specs) -> list[str]:
    """Return the workers that run a spout."""
    return [
        row.id
        for row in workers.busy_without_claim(conn)
        if specs.of(conn, row.pipeline_id, row.version).spout is not None
    ]


def renew(conn: sa.Connection, worker_id: str) -> claims.Renewal:
    """Return what a spout's worker learns when it renews.

    Raises:
        Unauthenticated: the worker is unknown.
    """
    return claims.Renewal(
        valid=True, restart_datum=False, retire=claims.must_exit(claims.require_worker(conn, worker_id))
    )


def lose_silent(write: WriteTransaction, worker_id: str) -> None:
    """Record that a spout's worker has not renewed in time: it is stopped and replaced.

    From then on its token is not valid, so its program, which may still run, commits nothing more.
    """
    worker = workers.by_id(write.conn, worker_id)
    if worker is not None and worker.state is WorkerState.BUSY:
        _lose(write, worker, claims.SILENT)


def end_program(write: WriteTransaction, worker_id: str, claim_id: str, reason: str) -> None:
    """Record that a worker's program has ended by itself: the worker is replaced, after a pause.

    It counts as no attempt at a datum: a program that ends is started again as long as its pipeline runs.

    Args:
        write: transaction that the change belongs to.
        worker_id: the worker that ran it.
        claim_id: what the worker held.
        reason: how it ended, for people.

    Raises:
        Unauthenticated: the worker is unknown.
    """
    worker = claims.require_worker(write.conn, worker_id)
    claims.give_back(write, claim_id, worker_id)
    worker = claims.require_worker(write.conn, worker_id)
    if claims.must_exit(worker):
        return
    if worker.state is not WorkerState.BUSY:  # only busy workers can be lost
        workers.move(write.conn, worker_id, WorkerState.BUSY, "", write.now)
    _lose(write, worker, f"ended because its program did: {reason}")


def _lose(write: WriteTransaction, worker: WorkerRow, reason: str) -> None:
    workers.move(write.conn, worker.id, WorkerState.LOST, reason, write.now)
    name = pipelines.name_of(write.conn, worker.pipeline_id)
    if name is not None:
        record_worker(write, name, worker.id, WorkerState.LOST, reason, machine=worker.machine)
    write.tx.wake("workers", f"worker:{worker.id}", f"pipeline:{worker.pipeline_id}")


def _spout(conn: sa.Connection, worker: WorkerRow, specs: Specs) -> SpoutRun | None:
    """Return the spout that a worker is to run now."""
    pipeline = pipelines.by_id(conn, worker.pipeline_id)
    if pipeline is None or pipeline.version != worker.version:
        return None
    if pipeline.stopped or pipeline.state is PipelineState.FAILURE:
        return None
    spec = specs.of(conn, pipeline.id, pipeline.version)
    return SpoutRun(worker.id, pipeline, spec) if spec.spout is not None else None
