"""What the autoscaler writes: its decisions, and the rows of workers that it requests, retires and loses.

Each function is the body of one write transaction.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from msgspec import to_builtins

from trunkline.meta import claims as claim_rows
from trunkline.meta import jobs, pipelines, workers
from trunkline.model.states import PipelineState, WorkerState
from trunkline.model.workers import WorkerEnding, WorkerSpec
from trunkline.pps import jobs as job_ops
from trunkline.pps.autoscaling import instructions as instructions
from trunkline.pps.pipeline_events import record_decision, record_pipeline, record_worker
from trunkline.pps.worker_tokens import token_hash
from trunkline.pps.workers import claims
from trunkline.telemetry import events as telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.meta.pipelines import PipelineRow
    from trunkline.pfs.writes import WriteTransaction

_NOT_READY = (WorkerState.PENDING, WorkerState.STARTING)


def lose(
    write: WriteTransaction, pipeline_id: int, lost: Sequence[tuple[str, str, WorkerEnding]]
) -> list[claims.LostAttempts]:
    """Remove workers that are gone; those that crashed have lost an attempt at their datum.

    Args:
        write: the transaction.
        pipeline_id: number of their pipeline.
        lost: id of each worker, why it is gone, and how it ended.

    Returns:
        The datums that have lost attempts.
    """
    owner = pipelines.by_id(write.conn, pipeline_id)
    if owner is None:
        return []  # deleted meanwhile, with its workers
    attempts = [
        attempt
        for worker_id, reason, ending in lost
        if ending is WorkerEnding.CRASHED
        for attempt in claims.lose_attempts(write, worker_id, reason)
    ]
    staff = _staff(write, pipeline_id)
    remove(write, pipeline_id, {worker_id: reason for worker_id, reason, _ in lost})
    for worker_id, reason, _ in lost:
        asked = worker_id in staff and staff[worker_id].state is WorkerState.RETIRING
        report = partial(telemetry.worker_ended, owner.full_name, worker_id, asked=asked, reason=reason)
        write.tx.after_commit(report)
    events = [(worker_id, WorkerState.GONE, reason) for worker_id, reason, _ in lost]
    workers.add_events(write.conn, pipeline_id, write.now, events)
    write.tx.wake(f"pipeline:{pipeline_id}")
    return attempts


def record(write: WriteTransaction, pipeline_id: int, records: Sequence[instructions.Instruction]) -> None:
    """Record what the fleet shows and what was decided: a thousand workers may get ready at once.

    Args:
        write: the transaction.
        pipeline_id: number of the pipeline.
        records: instructions that only change rows.
    """
    conn = write.conn
    owner = pipelines.by_id(conn, pipeline_id)
    if owner is None:
        return  # deleted meanwhile
    for record in records:
        match record:
            case instructions.SetMachines(placed):
                workers.set_machines(
                    conn, [(worker_id, to_builtins(machine)) for worker_id, machine in placed]
                )
            case instructions.SetReasons(reasons):
                workers.set_reasons(conn, [(worker_id, reason) for worker_id, _, reason in reasons])
                events = [(worker_id, state, reason) for worker_id, state, reason in reasons]
                workers.add_events(conn, pipeline_id, write.now, events)
                staff = _staff(write, pipeline_id)
                for worker_id, _, reason in reasons:
                    row = staff.get(worker_id)
                    if row is not None:
                        record_worker(
                            write, owner.full_name, worker_id, row.state, reason, machine=row.machine
                        )
            case instructions.BeginWorkers(begun):
                staff = _staff(write, pipeline_id)
                workers.begin(conn, begun, write.now)
                for worker_id in begun:
                    row = staff.get(worker_id)
                    if row is not None and row.state is WorkerState.PENDING:  # else it was quicker
                        record_worker(
                            write, owner.full_name, worker_id, WorkerState.STARTING, machine=row.machine
                        )
            case instructions.LimitWorkers(number):
                pipelines.change(conn, pipeline_id, worker_limit=number)
            case instructions.RecordDecision():
                _record_decision(write, owner, record)
            case instructions.FailPipeline(reason):
                _fail(write, pipeline_id, reason)
            case _:
                raise AssertionError(f"{record} changes more than rows")
    write.tx.wake("workers")


def _staff(write: WriteTransaction, pipeline_id: int) -> dict[str, workers.WorkerRow]:
    """Return the workers of a pipeline by their ids."""
    return {row.id: row for row in workers.of_pipeline(write.conn, pipeline_id)}


def _fail(write: WriteTransaction, pipeline_id: int, reason: str) -> None:
    """Fail a pipeline that cannot run; only an update of its specification lets it try again."""
    row = pipelines.by_id(write.conn, pipeline_id)
    if row is None or row.state is PipelineState.FAILURE:
        return
    record_pipeline(write, pipelines.move(write.conn, row, PipelineState.FAILURE, reason))
    job_ops.stop_live_jobs(write, pipeline_id, f"the pipeline cannot run: {reason}")
    write.tx.wake("pipeline states", f"pipeline:{pipeline_id}")


def _record_decision(
    write: WriteTransaction, owner: PipelineRow, decision: instructions.RecordDecision
) -> None:
    inputs = {
        "demand": to_builtins(decision.demand),
        "policy": to_builtins(decision.rules),
        "observed": to_builtins(decision.observed),
        #: For charts, which must not read all workers of all decisions.
        "states": Counter(worker.state for worker in decision.observed.workers),
    }
    row = pipelines.DecisionRow(write.now, decision.target, decision.sentence, json.loads(json.dumps(inputs)))
    pipelines.add_decision(write.conn, owner.id, row)
    pipelines.change(write.conn, owner.id, target=decision.target)
    workers_now = len(decision.observed.workers)
    record_decision(
        write,
        owner.full_name,
        target=decision.target,
        workers=workers_now,
        waiting=decision.demand.unclaimed,
        sentence=decision.sentence,
    )
    write.tx.after_commit(
        partial(
            telemetry.scaling_decided,
            owner.full_name,
            target=decision.target,
            workers=workers_now,
            sentence=decision.sentence,
        )
    )


def request(write: WriteTransaction, pipeline: PipelineRow, batch: Sequence[WorkerSpec]) -> bool:
    """Record new workers before the fleet starts them; False when the pipeline needs none any more.

    Args:
        write: the transaction.
        pipeline: as read at the begin of the round.
        batch: the new workers.
    """
    current = pipelines.by_id(write.conn, pipeline.id)
    if current is None or current.version != pipeline.version or current.stopped:
        return False
    rows = [
        workers.WorkerRow(
            id=each.worker_id,
            pipeline_id=pipeline.id,
            version=each.version,
            token_hash=token_hash(each.token),
            state=WorkerState.PENDING,
            reason="",
            created=write.now,
            ready=None,
            since=write.now,
        )
        for each in batch
    ]
    workers.add(write.conn, rows)
    events = [(row.id, WorkerState.PENDING, "was requested") for row in rows]
    workers.add_events(write.conn, pipeline.id, write.now, events)
    for worker_id, state, reason in events:
        record_worker(write, pipeline.full_name, worker_id, state, reason)
    write.tx.wake("workers")
    return True


def retire(write: WriteTransaction, pipeline_id: int, worker_ids: Sequence[str]) -> list[str]:
    """Remove those that are not ready, and let the others retire.

    Args:
        write: the transaction.
        pipeline_id: number of their pipeline.
        worker_ids: workers that are not needed any more.

    Returns:
        The removed ones.
    """
    picked = set(worker_ids)
    rows = [row for row in workers.of_pipeline(write.conn, pipeline_id) if row.id in picked]
    cancelled = [row.id for row in rows if row.state in _NOT_READY]
    remove(write, pipeline_id, dict.fromkeys(cancelled, "is not needed any more"))
    owner = pipelines.name_of(write.conn, pipeline_id)
    for row in rows:
        if row.state in (WorkerState.IDLE, WorkerState.BUSY):
            workers.move(write.conn, row.id, WorkerState.RETIRING, "", write.now)
            if owner is not None:
                record_worker(write, owner, row.id, WorkerState.RETIRING, machine=row.machine)
            write.tx.wake("workers", f"work:{pipeline_id}")
    return cancelled


def remove(write: WriteTransaction, pipeline_id: int, removed: Mapping[str, str]) -> None:
    """Remove workers of a pipeline, each for a reason, and free their claims.

    Args:
        write: the transaction.
        pipeline_id: number of the pipeline.
        removed: reason by worker.
    """
    owned = (
        claim
        for job in jobs.live(write.conn, pipeline_id)
        for claim in claim_rows.owned_claims(write.conn, job.id)
    )
    for worker_id in {claim.worker_id for claim in owned if claim.worker_id is not None} & removed.keys():
        claims.free_of_worker(write, worker_id)
    owner = pipelines.name_of(write.conn, pipeline_id)
    for row in workers.remove_many(write.conn, pipeline_id, removed, write.now):
        if owner is not None:
            record_worker(write, owner, row.id, WorkerState.GONE, removed[row.id], machine=row.machine)
    write.tx.wake("workers")
