"""The events that the server reports: each writes one log record and updates its metrics.

Call them after the transaction has committed (``Tx.after_commit``): a transaction may run twice.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from trunkline.telemetry import metrics
from trunkline.telemetry.logs import ACCESS

if TYPE_CHECKING:
    from collections.abc import Sequence

_jobs = logging.getLogger("trunkline.jobs")
_workers = logging.getLogger("trunkline.workers")
_scaling = logging.getLogger("trunkline.scaling")
_slow = logging.getLogger("trunkline.slow")
_access = logging.getLogger(ACCESS)

#: Seconds after which a database transaction is logged as slow.
SLOW_TRANSACTION = 0.5
#: Failed datums of one report that are logged one by one; further ones are only counted.
MOST_FAILURES = 10


class PipelineName(NamedTuple):
    """A pipeline's name in log fields and labels."""

    project: str
    name: str

    def __str__(self) -> str:
        """Return ``project/pipeline``."""
        return f"{self.project}/{self.name}"


class DatumReport(NamedTuple):
    """What a worker reported about one datum. Times in seconds, sizes in bytes."""

    id: str
    state: str
    reason: str
    download: float
    process: float
    upload: float
    download_bytes: int
    upload_bytes: int


class JobReport(NamedTuple):
    """The result of a job."""

    id: str
    state: str
    reason: str
    #: Seconds since the epoch.
    created: float
    finished: float
    total: int
    processed: int
    skipped: int
    failed: int
    recovered: int


def job_started(pipeline: PipelineName, job_id: str, *, total: int, todo: int) -> None:
    """Report that a job is planned and workers may claim its datums.

    Args:
        pipeline: the job's pipeline.
        job_id: the job.
        total: datums of the job.
        todo: the datums that must run; the others are skipped.
    """
    _jobs.info(
        "job started",
        extra={
            "action": "job_started",
            "pipeline": str(pipeline),
            "job": job_id,
            "datums": total,
            "todo": todo,
        },
    )


def job_finished(pipeline: PipelineName, report: JobReport) -> None:
    """Report that a job ended. A job that did not succeed is a warning with its reason."""
    duration = report.finished - report.created
    labels = tuple(pipeline)
    metrics.jobs.labels(*labels, report.state).inc()
    metrics.job_seconds.labels(*labels).observe(duration)
    good = report.state == "SUCCESS"
    if good:
        metrics.last_success.labels(*labels).set(report.finished)
        metrics.last_success_alias.labels(*labels).set(report.finished)
    extra = {
        "action": "job_finished",
        "pipeline": str(pipeline),
        "job": report.id,
        "state": report.state,
        "duration": round(duration, 3),
        "datums": report.total,
        "processed": report.processed,
        "skipped": report.skipped,
        "failed": report.failed,
        "recovered": report.recovered,
    }
    if report.reason:
        extra["reason"] = report.reason
    _jobs.log(logging.INFO if good else logging.WARNING, "job finished", extra=extra)


def datums_recorded(
    pipeline: PipelineName, job_id: str, worker_id: str, reports: Sequence[DatumReport]
) -> None:
    """Report the datums of one completion. Each failed one is a warning, up to ``MOST_FAILURES``.

    Args:
        pipeline: the job's pipeline.
        job_id: the job.
        worker_id: the worker that ran them.
        reports: one for each datum.
    """
    labels = tuple(pipeline)
    sums = {"download": 0.0, "process": 0.0, "upload": 0.0}
    histograms = {phase: metrics.datum_seconds.labels(*labels, phase) for phase in sums}
    for report in reports:
        for phase, seconds in (
            ("download", report.download),
            ("process", report.process),
            ("upload", report.upload),
        ):
            histograms[phase].observe(seconds)
            sums[phase] += seconds
    states = [report.state for report in reports]
    for state in dict.fromkeys(states):
        metrics.datums.labels(*labels, state).inc(states.count(state))
        metrics.datums_alias.labels(*labels, state).inc(states.count(state))
    for phase, total in sums.items():
        metrics.datum_phase_seconds.labels(*labels, phase).inc(total)
        metrics.datum_alias_seconds[phase].labels(*labels).inc(total)
    metrics.datum_bytes.labels(*labels, "download").inc(sum(report.download_bytes for report in reports))
    metrics.datum_bytes.labels(*labels, "upload").inc(sum(report.upload_bytes for report in reports))
    failed = [report for report in reports if report.state == "FAILED"]
    common = {"action": "datum_failed", "pipeline": str(pipeline), "job": job_id, "worker": worker_id}
    for report in failed[:MOST_FAILURES]:
        extra = {**common, "datum": report.id, "reason": report.reason, "duration": round(report.process, 3)}
        _jobs.warning("datum failed", extra=extra)
    if len(failed) > MOST_FAILURES:
        _jobs.warning("%d more datums failed", len(failed) - MOST_FAILURES, extra=common)


def worker_ready(pipeline: PipelineName, worker_id: str, *, seconds: float, machine: str) -> None:
    """Report that a worker registered.

    Args:
        pipeline: the worker's pipeline.
        worker_id: the worker.
        seconds: from the request for it until now.
        machine: the machine that it runs on; empty when unknown.
    """
    metrics.worker_starts.labels(*pipeline).observe(seconds)
    extra = {
        "action": "worker_ready",
        "pipeline": str(pipeline),
        "worker": worker_id,
        "duration": round(seconds, 3),
    }
    if machine:
        extra["machine"] = machine
    _workers.info("worker ready", extra=extra)


def worker_ended(pipeline: PipelineName, worker_id: str, *, asked: bool, reason: str) -> None:
    """Report that a worker ended; a warning unless the server stopped it.

    Args:
        pipeline: the worker's pipeline.
        worker_id: the worker.
        asked: whether the server stopped it.
        reason: why it ended; may be empty.
    """
    metrics.worker_ends.labels(*pipeline, "yes" if asked else "no").inc()
    extra = {"action": "worker_ended", "pipeline": str(pipeline), "worker": worker_id, "asked": asked}
    if reason:
        extra["reason"] = reason
    _workers.log(logging.INFO if asked else logging.WARNING, "worker ended", extra=extra)


def scaling_decided(pipeline: PipelineName, *, target: int, workers: int, sentence: str) -> None:
    """Report a scaling decision that differs from the previous one.

    Args:
        pipeline: the pipeline.
        target: the number of workers that it should have.
        workers: the number that it has now, those that are starting included.
        sentence: the reason.
    """
    reason = "start" if target > workers else "retire" if target < workers else "hold"
    metrics.decisions.labels(*pipeline, reason).inc()
    extra = {"action": "scaling_decided", "pipeline": str(pipeline), "target": target, "workers": workers}
    _scaling.info("%s", sentence, extra=extra)


def transaction_done(operations: Sequence[str], seconds: float) -> None:
    """Report a write transaction; a slow one is logged with the operations that shared it."""
    metrics.transactions.observe(seconds)
    metrics.transactions_alias.observe(seconds)
    if seconds >= SLOW_TRANSACTION:
        metrics.slow_operations.labels("transaction").inc()
        _slow.warning(
            "slow transaction",
            extra={
                "action": "slow_transaction",
                "duration": round(seconds, 3),
                "operations": ",".join(dict.fromkeys(operations)),
            },
        )


def call_done(method: str, code: str, seconds: float, *, caller: str, peer: str) -> None:
    """Report an API call: a metric always, and a record in the access log.

    Args:
        method: ``package.Service/Method``.
        code: name of its status code.
        seconds: its duration; of a stream, from start to end.
        caller: the identity of the caller.
        peer: the address it came from.
    """
    metrics.calls.labels(method, code).observe(seconds)
    if _access.isEnabledFor(logging.INFO):
        extra = {
            "action": "call",
            "method": method,
            "code": code,
            "duration": round(seconds, 6),
            "caller": caller,
            "peer": peer,
        }
        _access.info("call", extra=extra)
