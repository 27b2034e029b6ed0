"""The server's metrics, registered with ``prometheus-client`` in one registry.

Names and labels follow Prometheus' conventions: unit suffixes, few label values (project, pipeline, state; never a
job or a path). Names that Pachyderm's dashboards use exist as aliases. Values that a scrape can read from the
database (queues, workers, stored bytes) are not counted here; ``pps.gauges`` collects them.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for each label value, without use
#: Every metric of the server.
REGISTRY = CollectorRegistry()
_PIPELINE = ("project", "pipeline")
#: Seconds: API calls and transactions, from a tenth of a millisecond to a minute.
_FAST = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
#: Seconds: datums and jobs, from ten milliseconds to a day.
_WORK = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400)

build = Gauge(
    "trunkline_build_info",
    "Always 1; version and commit are labels.",
    ("version", "commit"),
    registry=REGISTRY,
)
calls = Histogram(
    "trunkline_rpc_duration_seconds",
    "Duration of API calls; streams count from their start to their end.",
    ("method", "code"),
    buckets=_FAST,
    registry=REGISTRY,
)
calls_running = Gauge("trunkline_rpcs_running", "API calls in progress.", registry=REGISTRY)
transactions = Histogram(
    "trunkline_database_transaction_duration_seconds",
    "Duration of write transactions; several operations may share one.",
    buckets=_FAST,
    registry=REGISTRY,
)
transactions_alias = Histogram(
    "pachyderm_postgres_tx_duration_seconds",
    "Alias of trunkline_database_transaction_duration_seconds.",
    buckets=_FAST,
    registry=REGISTRY,
)
jobs = Counter("trunkline_jobs", "Jobs that finished.", (*_PIPELINE, "state"), registry=REGISTRY)
job_seconds = Histogram(
    "trunkline_job_duration_seconds",
    "Time from a job's creation to its end.",
    _PIPELINE,
    buckets=_WORK,
    registry=REGISTRY,
)
last_success = Gauge(
    "trunkline_pipeline_last_success_timestamp_seconds",
    "When the last successful job of a pipeline finished, in seconds since the epoch.",
    _PIPELINE,
    registry=REGISTRY,
)
last_success_alias = Gauge(
    "pipeline_last_ok_at",
    "Alias of trunkline_pipeline_last_success_timestamp_seconds.",
    _PIPELINE,
    registry=REGISTRY,
)
datums = Counter("trunkline_datums", "Datums that workers ran.", (*_PIPELINE, "state"), registry=REGISTRY)
# Gauges, because the library adds "_total" to the name of a counter.
datums_alias = Gauge(
    "pachyderm_worker_datum_count",
    "Alias of trunkline_datums_total.",
    (*_PIPELINE, "state"),
    registry=REGISTRY,
)
datum_seconds = Histogram(
    "trunkline_datum_duration_seconds",
    "Duration of the phases of a datum: download, process, upload.",
    (*_PIPELINE, "phase"),
    buckets=_WORK,
    registry=REGISTRY,
)
datum_phase_seconds = Counter(
    "trunkline_datum_phase_seconds",
    "Time that workers spent on datums, by phase: download, process, upload.",
    (*_PIPELINE, "phase"),
    registry=REGISTRY,
)
#: Pachyderm's names of the phases' sums.
datum_alias_seconds = {
    phase: Gauge(
        f"pachyderm_worker_datum_{name}_seconds_count",
        f'Alias of trunkline_datum_phase_seconds_total with phase "{phase}".',
        _PIPELINE,
        registry=REGISTRY,
    )
    for phase, name in (("download", "download"), ("process", "proc"), ("upload", "upload"))
}
datum_bytes = Counter(
    "trunkline_datum_bytes",
    "Bytes that workers moved for datums, by direction: download, upload.",
    (*_PIPELINE, "direction"),
    registry=REGISTRY,
)
decisions = Counter(
    "trunkline_scale_decisions",
    "Scaling decisions, by what they did: start, retire, hold.",
    (*_PIPELINE, "reason"),
    registry=REGISTRY,
)
worker_starts = Histogram(
    "trunkline_worker_start_duration_seconds",
    "Time from the request for a worker to its registration.",
    _PIPELINE,
    buckets=_WORK,
    registry=REGISTRY,
)
worker_ends = Counter(
    "trunkline_worker_ends",
    "Workers that ended, by whether they were asked to.",
    (*_PIPELINE, "asked"),
    registry=REGISTRY,
)
slow_operations = Counter(
    "trunkline_slow_operations",
    "Operations that took longer than their limit and were logged, by kind.",
    ("kind",),
    registry=REGISTRY,
)
spans = Counter(
    "trunkline_spans",
    "Spans of traces, by what became of them: exported, dropped.",
    ("outcome",),
    registry=REGISTRY,
)
services = Gauge(
    "trunkline_service_up",
    "Whether a background service of the server runs (1) or is being restarted (0).",
    ("service",),
    registry=REGISTRY,
)


def forget_pipeline(project: str, pipeline: str) -> None:
    """Drop the label values of a deleted pipeline, so that their number follows the pipelines that exist."""
    labels = {"project": project, "pipeline": pipeline}
    for metric in (
        jobs,
        job_seconds,
        last_success,
        last_success_alias,
        datums,
        datums_alias,
        datum_seconds,
        datum_phase_seconds,
        datum_bytes,
        decisions,
        worker_starts,
        worker_ends,
        *datum_alias_seconds.values(),
    ):
        metric.remove_by_labels(labels)
