"""The events that the server reports: each writes one log record and updates the metrics, if the server has any.

Call them after the transaction has committed (``Tx.after_commit``): a transaction may run twice.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from trunkline.model import trace
from trunkline.telemetry import tracing
from trunkline.telemetry.logs import ACCESS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.model.names import PipelineName
    from trunkline.telemetry.metrics import Metrics
    from trunkline.telemetry.reports import DatumOrigin, DatumReport, JobReport

_jobs = logging.getLogger("trunkline.jobs")
_workers = logging.getLogger("trunkline.workers")
_scaling = logging.getLogger("trunkline.scaling")
_slow = logging.getLogger("trunkline.slow")
_access = logging.getLogger(ACCESS)
_traces = logging.getLogger("trunkline.traces")

#: Names of gRPC's status codes, by number.
_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
#: Those that OpenTelemetry's conventions count as errors of the server's span.
_SERVER_FAULTS = ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
#: Seconds after which a database transaction is logged as slow.
SLOW_TRANSACTION = 0.5
#: Failed datums of one report that are logged one by one; further ones are only counted.
MOST_FAILURES = 10
#: Seconds between two records about dropped spans.
DROPS_LOGGED_EVERY = 60.0


_metrics: Metrics | None = None


def count_in(metrics: Metrics | None) -> None:
    """Let events update these metrics; None ends that."""
    global _metrics
    _metrics = metrics


def job_started(pipeline: PipelineName, job_id: str, *, total: int, todo: int) -> None:
    """Report that a job is planned and workers may claim its datums.

    Args:
        pipeline: the job's pipeline.
        job_id: id of the job and its output commit.
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
    if _metrics is not None:
        _metrics.job_finished(pipeline, report)
    good = report.state == "SUCCESS"
    extra = {
        "action": "job_finished",
        "pipeline": str(pipeline),
        "job": report.id,
        "state": report.state,
        "duration": round(report.finished - report.created, 3),
        "datums": report.total,
        "processed": report.processed,
        "skipped": report.skipped,
        "failed": report.failed,
        "recovered": report.recovered,
    }
    if report.reason:
        extra["reason"] = report.reason
    _jobs.log(logging.INFO if good else logging.WARNING, "job finished", extra=extra)
    above = trace.from_text(report.trace) if tracing.is_on() else None
    if above is not None and above.sampled:
        context = tracing.job_context(above, str(pipeline), report.id)
        attributes = {
            **_span_attributes(pipeline, report.id),
            "trunkline.job.state": report.state,
            "trunkline.job.datums": report.total,
            "trunkline.job.processed": report.processed,
            "trunkline.job.skipped": report.skipped,
            "trunkline.job.failed": report.failed,
        }
        error = None if good else report.reason
        tracing.record(
            tracing.Span(context, above.span_id, "job", report.created, report.finished, attributes, error)
        )


def _span_attributes(pipeline: PipelineName, job_id: str) -> dict[str, str | int]:
    return {
        "trunkline.project": pipeline.project,
        "trunkline.pipeline": pipeline.name,
        "trunkline.job.id": job_id,
    }


def datums_recorded(pipeline: PipelineName, origin: DatumOrigin, reports: Sequence[DatumReport]) -> None:
    """Report the datums of one completion. Each failed one is a warning, up to ``MOST_FAILURES``.

    Args:
        pipeline: the job's pipeline.
        origin: what they were run for.
        reports: one for each datum.
    """
    if _metrics is not None:
        _metrics.datums_recorded(pipeline, reports)
    failed = [report for report in reports if report.state == "FAILED"]
    if failed:
        _log_failed(pipeline, origin, failed)
    _record_datum_spans(pipeline, origin, reports)


def _log_failed(pipeline: PipelineName, origin: DatumOrigin, failed: Sequence[DatumReport]) -> None:
    common = {
        "action": "datum_failed",
        "pipeline": str(pipeline),
        "job": origin.job_id,
        "worker": origin.worker_id,
    }
    for report in failed[:MOST_FAILURES]:
        extra = {**common, "datum": report.id, "reason": report.reason, "duration": round(report.process, 3)}
        _jobs.warning("datum failed", extra=extra)
    if len(failed) > MOST_FAILURES:
        _jobs.warning("%d more datums failed", len(failed) - MOST_FAILURES, extra=common)


def _record_datum_spans(pipeline: PipelineName, origin: DatumOrigin, reports: Sequence[DatumReport]) -> None:
    above = trace.from_text(origin.trace) if tracing.is_on() else None
    if above is None or not above.sampled:
        return
    job = tracing.job_context(above, str(pipeline), origin.job_id)
    common = _span_attributes(pipeline, origin.job_id) | {"trunkline.worker.id": origin.worker_id}
    for report in reports:
        if not 0 < report.started <= report.finished:
            continue
        # The worker says how long each phase took and when the last one ended; they follow each other.
        uploaded = report.finished - report.upload
        processed = uploaded - report.process
        phases = (
            tracing.Phase("download", processed - report.download, processed),
            tracing.Phase("run", processed, uploaded),
            tracing.Phase("upload", uploaded, report.finished),
        )
        attributes = common | {"trunkline.datum.id": report.id, "trunkline.datum.state": report.state}
        tracing.record(
            tracing.Span(
                tracing.datum_context(job, origin.claim_id, report.id),
                job.span_id,
                "datum",
                min(report.started, phases[0].start),
                report.finished,
                attributes,
                report.reason if report.state == "FAILED" else None,
                phases=phases,
            )
        )


def worker_ready(pipeline: PipelineName, worker_id: str, *, seconds: float, machine: str) -> None:
    """Report that a worker registered.

    Args:
        pipeline: the worker's pipeline.
        worker_id: id of the worker.
        seconds: from the request for it until now.
        machine: the machine that it runs on; empty when unknown.
    """
    if _metrics is not None:
        _metrics.worker_ready(pipeline, seconds)
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
        worker_id: id of the worker.
        asked: whether the server stopped it.
        reason: why it ended; may be empty.
    """
    if _metrics is not None:
        _metrics.worker_ended(pipeline, asked=asked)
    extra = {"action": "worker_ended", "pipeline": str(pipeline), "worker": worker_id, "asked": asked}
    if reason:
        extra["reason"] = reason
    _workers.log(logging.INFO if asked else logging.WARNING, "worker ended", extra=extra)


def scaling_decided(pipeline: PipelineName, *, target: int, workers: int, sentence: str) -> None:
    """Report a scaling decision that differs from the previous one.

    Args:
        pipeline: the pipeline whose workers it concerns.
        target: the number of workers that it should have.
        workers: the number that it has now, those that are starting included.
        sentence: the reason.
    """
    if _metrics is not None:
        effect = "start" if target > workers else "retire" if target < workers else "hold"
        _metrics.scaling_decided(pipeline, effect)
    extra = {"action": "scaling_decided", "pipeline": str(pipeline), "target": target, "workers": workers}
    _scaling.info("%s", sentence, extra=extra)


def alerts_changed(pipeline: PipelineName, texts: Sequence[str]) -> None:
    """Report that alerts of a pipeline began, or ended; ``texts`` are those that it has now."""
    if _metrics is not None:
        _metrics.alerts_changed(pipeline, len(texts))
    extra = {"action": "alerts_changed", "pipeline": str(pipeline), "alerts": len(texts)}
    if texts:
        _workers.warning("%s", "; ".join(texts), extra=extra)
    else:
        _workers.info("the alerts of the pipeline have ended", extra=extra)


def pipeline_deleted(pipeline: PipelineName) -> None:
    """Report that a pipeline is no more, so that nothing is counted for it."""
    if _metrics is not None:
        _metrics.pipeline_deleted(pipeline)


def service_changed(service: str, *, running: bool) -> None:
    """Report that a background service of the server runs, or that it does not."""
    if _metrics is not None:
        _metrics.service_changed(service, running=running)


def transaction_done(operations: Sequence[str], seconds: float) -> None:
    """Report a write transaction; a slow one is logged with the operations that shared it."""
    if _metrics is not None:
        _metrics.transaction_done(seconds)
    if seconds >= SLOW_TRANSACTION:
        if _metrics is not None:
            _metrics.operation_was_slow("transaction")
        _slow.warning(
            "slow transaction",
            extra={
                "action": "slow_transaction",
                "duration": round(seconds, 3),
                "operations": ",".join(dict.fromkeys(operations)),
            },
        )


def call_began() -> None:
    """Report that an API call began; ``call_done`` must follow."""
    if _metrics is not None:
        _metrics.call_began()


def call_done(
    method: str,
    code: str,
    seconds: float,
    *,
    caller: str,
    peer: str,
    span: tracing.OpenSpan | None,
    trace_id: str = "",
) -> None:
    """Report an API call: a metric always, a record in the access log, and the end of its span.

    Args:
        method: ``package.Service/Method``.
        code: name of its status code.
        seconds: its duration; of a stream, from start to end.
        caller: the identity of the caller.
        peer: the address it came from.
        span: the call's span; None without one.
        trace_id: of the trace that it belongs to, which pages of the console show as the request's id; empty
            without one.
    """
    if _metrics is not None:
        _metrics.call_done(method, code, seconds)
    if span is not None:
        service, _, name = method.partition("/")
        attributes: dict[str, str | int] = {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": name,
            "rpc.grpc.status_code": _CODES.index(code),
            "client.address": peer,
            "trunkline.caller": caller,
        }
        tracing.record(span.end(method, attributes, code if code in _SERVER_FAULTS else None, server=True))
    if _access.isEnabledFor(logging.INFO):
        extra = {
            "action": "call",
            "method": method,
            "code": code,
            "duration": round(seconds, 6),
            "caller": caller,
            "peer": peer,
        }
        if trace_id:
            extra["trace_id"] = trace_id
        _access.info("call", extra=extra)


class _Seldom:
    """Says when something is due that may happen once in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = float("-inf")

    def is_due(self, now: float) -> bool:
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


_drops = _Seldom(DROPS_LOGGED_EVERY)


def spans_exported(exported: int, dropped: int, reason: str) -> None:
    """Report an export of spans. Dropped ones are logged at most once in ``DROPS_LOGGED_EVERY`` seconds.

    Args:
        exported: how many the collector took.
        dropped: how many are lost.
        reason: why.
    """
    if _metrics is not None:
        _metrics.spans_exported(exported, dropped)
    if dropped and _drops.is_due(time.monotonic()):
        _traces.warning(
            "spans were dropped: %s; trunkline_spans_total counts them",
            reason,
            extra={"action": "spans_dropped", "dropped": dropped},
        )
