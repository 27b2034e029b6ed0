"""Events of pipelines, jobs, datums, workers and scaling decisions (docs/design/events.md, Events)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.model.events import EventKind, event
from trunkline.model.states import DatumState
from trunkline.pfs.commit_events import DELETED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.meta.datum_sums import NewSum
    from trunkline.meta.jobs import JobRow, Results
    from trunkline.meta.pipelines import PipelineRow
    from trunkline.model.names import PipelineName
    from trunkline.model.states import WorkerState
    from trunkline.pfs.writes import WriteTransaction

#: Datums that one event lists.
DATUMS = 64
#: The order in which they are listed: what fails is looked at first.
_DATUM_STATES = (DatumState.FAILED, DatumState.RECOVERED, DatumState.SUCCESS)


def record_pipeline(write: WriteTransaction, row: PipelineRow, *, deleted: bool = False) -> None:
    """Record that a pipeline was created, updated or removed, or has another state.

    Args:
        write: transaction that the change belongs to.
        row: the pipeline after the change.
        deleted: it was removed.
    """
    write.tx.record(
        event(
            EventKind.PIPELINE, write.now, row.project, pipeline=row.name, version=row.version,
            state=DELETED if deleted else row.state, reason=row.reason, stopped=row.stopped,
        )
    )  # fmt: skip


def record_alerts(write: WriteTransaction, row: PipelineRow, texts: Sequence[str]) -> None:
    """Record that alerts of a pipeline began, or ended.

    Args:
        write: transaction that the change belongs to.
        row: the pipeline.
        texts: its alerts now.
    """
    write.tx.record(
        event(
            EventKind.PIPELINE, write.now, row.project, pipeline=row.name, version=row.version, state=row.state,
            reason=row.reason, stopped=row.stopped, alerts=list(texts),
        )
    )  # fmt: skip


def record_job(
    write: WriteTransaction, pipeline: PipelineName, row: JobRow, *, deleted: bool = False
) -> None:
    """Record that a job was created or removed, or has another state.

    Args:
        write: transaction that the change belongs to.
        pipeline: the job's pipeline.
        row: the job after the change.
        deleted: it was removed.
    """
    write.tx.record(
        event(
            EventKind.JOB, write.now, pipeline.project, pipeline=pipeline.name, job=row.set_id, version=row.version,
            state=DELETED if deleted else row.state, reason=row.reason, created=row.created, started=row.started,
            finished=row.finished, restart=row.restart, total=row.total, processed=row.processed,
            skipped=row.skipped, failed=row.failed, recovered=row.recovered,
        )
    )  # fmt: skip


def record_datums(
    write: WriteTransaction,
    pipeline: PipelineName,
    row: JobRow,
    worker_id: str,
    results: Results,
    total: NewSum,
    datums: Sequence[tuple[str, str]],
) -> None:
    """Record the results of some datums.

    Args:
        write: transaction that the change belongs to.
        pipeline: the job's pipeline.
        row: the job before the results were added to its counters.
        worker_id: who ran them; empty when no worker reported them.
        results: what was added.
        total: what they add up to.
        datums: id and state of each.
    """
    room, listed = DATUMS, {}
    for state in _DATUM_STATES:
        ids = [datum_id for datum_id, reached in datums if reached == state][:room]
        if ids:
            listed[state.value] = ids
            room -= len(ids)
    write.tx.record(
        event(
            EventKind.DATUM, write.now, pipeline.project, pipeline=pipeline.name, job=row.set_id, worker=worker_id,
            processed=row.processed + results.processed, failed=row.failed + results.failed,
            recovered=row.recovered + results.recovered, begin=total.begin, end=total.end, busy=total.busy,
            datums=listed, more=max(0, len(datums) - DATUMS),
        )
    )  # fmt: skip


def record_log(
    write: WriteTransaction,
    pipeline: PipelineName,
    job: JobRow | None,
    worker_id: str,
    batch: int,
    lines: int,
) -> None:
    """Record that lines were added to a log.

    Args:
        write: transaction that the change belongs to.
        pipeline: the pipeline whose log it is.
        job: the job of the lines; None: lines of the pipeline alone.
        worker_id: the worker that wrote them.
        batch: number of their batch.
        lines: how many there are.
    """
    write.tx.record(
        event(
            EventKind.LOG, write.now, pipeline.project, pipeline=pipeline.name, job=job.set_id if job else "",
            worker=worker_id, begin=f"{batch}.0", lines=lines,
        )
    )  # fmt: skip


def record_worker(
    write: WriteTransaction,
    pipeline: PipelineName,
    worker_id: str,
    state: WorkerState,
    reason: str = "",
    *,
    machine: Mapping[str, Any] | None = None,
    busy_with: str = "",
) -> None:
    """Record that a worker has another state.

    Args:
        write: transaction that the change belongs to.
        pipeline: the worker's pipeline.
        worker_id: id of the worker.
        state: the new state.
        reason: why; empty when there is nothing to say.
        machine: the machine that it runs on, as far as it is known.
        busy_with: id of the job whose datums it runs from now on.
    """
    fields: dict[str, str] = {}
    if machine is not None:
        fields["machine"] = machine["name"]
    if busy_with:
        fields["busy_with"] = busy_with
    write.tx.record(
        event(
            EventKind.WORKER, write.now, pipeline.project, pipeline=pipeline.name, worker=worker_id, state=state,
            reason=reason, **fields,
        )
    )  # fmt: skip


def record_decision(
    write: WriteTransaction,
    pipeline: PipelineName,
    *,
    target: int,
    workers: int | None,
    waiting: int | None,
    sentence: str,
) -> None:
    """Record a scaling decision.

    Args:
        write: transaction that the change belongs to.
        pipeline: the pipeline that it is about.
        target: the number of workers that it should have.
        workers: the number that it has, those that start included; None when that is not known.
        waiting: datums that no worker has; None when that is not known.
        sentence: the reason.
    """
    write.tx.record(
        event(
            EventKind.DECISION, write.now, pipeline.project, pipeline=pipeline.name, target=target, workers=workers,
            waiting=waiting, sentence=sentence,
        )
    )  # fmt: skip
