"""The server's metrics, registered with ``prometheus-client``; ``telemetry.events`` updates them.

Names and labels follow Prometheus' conventions: unit suffixes, few label values (project, pipeline, state; never a
job or a path). Names that Pachyderm's dashboards use are aliases: a scrape derives them, so that an event updates
each number once. Values that a scrape can read from the database (queues, workers, stored bytes) are not counted
here; ``pps.gauges`` collects them.

Only a server that serves metrics imports this module: the library takes longer to load than most others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.samples import Sample

    from trunkline.model.names import PipelineName
    from trunkline.telemetry.reports import DatumReport, JobReport

disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for each label value, without use
_PIPELINE = ("project", "pipeline")
#: Seconds: API calls and transactions, from a tenth of a millisecond to a minute.
_FAST = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
#: Seconds: datums and jobs, from ten milliseconds to a day.
_WORK = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400)


class Metrics:
    """Every metric of one server, with the events that update them. Thread-safe."""

    def __init__(self, version: str, commit: str) -> None:
        """Register the metrics.

        Args:
            version: of this program.
            commit: that it was built from.
        """
        self.registry = registry = CollectorRegistry()
        build = Gauge(
            "trunkline_build_info",
            "Always 1; version and commit are labels.",
            ("version", "commit"),
            registry=registry,
        )
        build.labels(version, commit).set(1)
        self._calls = Histogram(
            "trunkline_rpc_duration_seconds",
            "Duration of API calls; streams count from their start to their end.",
            ("method", "code"),
            buckets=_FAST,
            registry=registry,
        )
        self._calls_running = Gauge("trunkline_rpcs_running", "API calls in progress.", registry=registry)
        self._transactions = Histogram(
            "trunkline_database_transaction_duration_seconds",
            "Duration of write transactions; several operations may share one.",
            buckets=_FAST,
            registry=registry,
        )
        self._jobs = Counter(
            "trunkline_jobs", "Jobs that finished.", (*_PIPELINE, "state"), registry=registry
        )
        self._job_seconds = Histogram(
            "trunkline_job_duration_seconds",
            "Time from a job's creation to its end.",
            _PIPELINE,
            buckets=_WORK,
            registry=registry,
        )
        self._last_success = Gauge(
            "trunkline_pipeline_last_success_timestamp_seconds",
            "When the last successful job of a pipeline finished, in seconds since the epoch.",
            _PIPELINE,
            registry=registry,
        )
        self._datums = Counter(
            "trunkline_datums", "Datums that workers ran.", (*_PIPELINE, "state"), registry=registry
        )
        self._datum_seconds = Histogram(
            "trunkline_datum_duration_seconds",
            "Duration of the phases of a datum: download, process, upload.",
            (*_PIPELINE, "phase"),
            buckets=_WORK,
            registry=registry,
        )
        self._datum_bytes = Counter(
            "trunkline_datum_bytes",
            "Bytes that workers moved for datums, by direction: download, upload.",
            (*_PIPELINE, "direction"),
            registry=registry,
        )
        self._decisions = Counter(
            "trunkline_scale_decisions",
            "Scaling decisions, by what they did: start, retire, hold.",
            (*_PIPELINE, "reason"),
            registry=registry,
        )
        self._alerts = Gauge(
            "trunkline_pipeline_alerts",
            "Alerts of a pipeline, as CheckStatus lists them.",
            _PIPELINE,
            registry=registry,
        )
        self._worker_starts = Histogram(
            "trunkline_worker_start_duration_seconds",
            "Time from the request for a worker to its registration.",
            _PIPELINE,
            buckets=_WORK,
            registry=registry,
        )
        self._worker_ends = Counter(
            "trunkline_worker_ends",
            "Workers that ended, by whether they were asked to.",
            (*_PIPELINE, "asked"),
            registry=registry,
        )
        self._slow_operations = Counter(
            "trunkline_slow_operations",
            "Operations that took longer than their limit and were logged, by kind.",
            ("kind",),
            registry=registry,
        )
        self._spans = Counter(
            "trunkline_spans",
            "Spans of traces, by what became of them: exported, dropped.",
            ("outcome",),
            registry=registry,
        )
        self._services = Gauge(
            "trunkline_service_up",
            "Whether a background service of the server runs (1) or is being restarted (0).",
            ("service",),
            registry=registry,
        )
        registry.register(
            _Derived(
                datums=self._datums,
                datum_seconds=self._datum_seconds,
                last_success=self._last_success,
                transactions=self._transactions,
            )
        )

    def job_finished(self, pipeline: PipelineName, report: JobReport) -> None:
        """Count a job and its duration."""
        labels = (pipeline.project, pipeline.name)
        self._jobs.labels(*labels, report.state).inc()
        self._job_seconds.labels(*labels).observe(report.finished - report.created)
        if report.state == "SUCCESS":
            self._last_success.labels(*labels).set(report.finished)

    def datums_recorded(self, pipeline: PipelineName, reports: Sequence[DatumReport]) -> None:
        """Count the datums of one completion, their bytes, and the time of each phase."""
        labels = (pipeline.project, pipeline.name)
        download, process, upload = (
            self._datum_seconds.labels(*labels, phase) for phase in ("download", "process", "upload")
        )
        for report in reports:
            download.observe(report.download)
            process.observe(report.process)
            upload.observe(report.upload)
        states = [report.state for report in reports]
        for state in dict.fromkeys(states):
            self._datums.labels(*labels, state).inc(states.count(state))
        self._datum_bytes.labels(*labels, "download").inc(sum(report.download_bytes for report in reports))
        self._datum_bytes.labels(*labels, "upload").inc(sum(report.upload_bytes for report in reports))

    def worker_ready(self, pipeline: PipelineName, seconds: float) -> None:
        """Count a worker's start, with the seconds from the request for it."""
        self._worker_starts.labels(pipeline.project, pipeline.name).observe(seconds)

    def worker_ended(self, pipeline: PipelineName, *, asked: bool) -> None:
        """Count a worker's end, by whether the server stopped it."""
        self._worker_ends.labels(pipeline.project, pipeline.name, "yes" if asked else "no").inc()

    def scaling_decided(self, pipeline: PipelineName, effect: str) -> None:
        """Count a scaling decision by its effect: start, retire or hold."""
        self._decisions.labels(pipeline.project, pipeline.name, effect).inc()

    def alerts_changed(self, pipeline: PipelineName, number: int) -> None:
        """Set how many alerts a pipeline has."""
        self._alerts.labels(pipeline.project, pipeline.name).set(number)

    def pipeline_deleted(self, pipeline: PipelineName) -> None:
        """Drop the label values of a pipeline, so that their number follows the pipelines that exist."""
        labels = {"project": pipeline.project, "pipeline": pipeline.name}
        for metric in (
            self._jobs,
            self._job_seconds,
            self._last_success,
            self._datums,
            self._datum_seconds,
            self._datum_bytes,
            self._decisions,
            self._worker_starts,
            self._worker_ends,
            self._alerts,
        ):
            metric.remove_by_labels(labels)

    def transaction_done(self, seconds: float) -> None:
        """Count a write transaction and its duration."""
        self._transactions.observe(seconds)

    def operation_was_slow(self, kind: str) -> None:
        """Count an operation that took longer than its limit."""
        self._slow_operations.labels(kind).inc()

    def call_began(self) -> None:
        """Count a call in progress."""
        self._calls_running.inc()

    def call_done(self, method: str, code: str, seconds: float) -> None:
        """Count a call that is no longer in progress.

        Args:
            method: ``package.Service/Method``.
            code: name of its status code.
            seconds: its duration.
        """
        self._calls_running.dec()
        self._calls.labels(method, code).observe(seconds)

    def spans_exported(self, exported: int, dropped: int) -> None:
        """Count spans of traces that a collector has, and those that are lost."""
        self._spans.labels("exported").inc(exported)
        self._spans.labels("dropped").inc(dropped)

    def service_changed(self, service: str, *, running: bool) -> None:
        """Show whether a background service runs."""
        self._services.labels(service).set(1 if running else 0)


class _Derived(Collector):
    """What other metrics hold already, under the names that dashboards use; computed by a scrape."""

    def __init__(
        self, *, datums: Counter, datum_seconds: Histogram, last_success: Gauge, transactions: Histogram
    ) -> None:
        self._datums = datums
        self._datum_seconds = datum_seconds
        self._last_success = last_success
        self._transactions = transactions

    def describe(self) -> list[Metric]:
        return list(self.collect())

    def collect(self) -> Iterator[Metric]:
        phases = Metric(
            "trunkline_datum_phase_seconds",
            "Time that workers spent on datums, by phase: download, process, upload.",
            "counter",
        )
        # Pachyderm's names of the phases' sums; gauges, because "_total" is added to the name of a counter.
        of_phase = {
            phase: Metric(
                f"pachyderm_worker_datum_{name}_seconds_count",
                f'Alias of trunkline_datum_phase_seconds_total with phase "{phase}".',
                "gauge",
            )
            for phase, name in (("download", "download"), ("process", "proc"), ("upload", "upload"))
        }
        for sample in _samples(self._datum_seconds, "_sum"):
            labels = dict(sample.labels)
            phases.add_sample("trunkline_datum_phase_seconds_total", labels, sample.value)
            alias = of_phase[labels["phase"]]
            alias.add_sample(alias.name, {key: labels[key] for key in _PIPELINE}, sample.value)
        datums = Metric("pachyderm_worker_datum_count", "Alias of trunkline_datums_total.", "gauge")
        for sample in _samples(self._datums, "_total"):
            datums.add_sample(datums.name, sample.labels, sample.value)
        last_success = Metric(
            "pipeline_last_ok_at", "Alias of trunkline_pipeline_last_success_timestamp_seconds.", "gauge"
        )
        for sample in _samples(self._last_success, ""):
            last_success.add_sample(last_success.name, sample.labels, sample.value)
        transactions = Metric(
            "pachyderm_postgres_tx_duration_seconds",
            "Alias of trunkline_database_transaction_duration_seconds.",
            "histogram",
        )
        for suffix in ("_bucket", "_count", "_sum"):
            for sample in _samples(self._transactions, suffix):
                transactions.add_sample(transactions.name + suffix, sample.labels, sample.value)
        yield from (phases, *of_phase.values(), datums, last_success, transactions)


def _samples(metric: Counter | Gauge | Histogram, suffix: str) -> Iterator[Sample]:
    """Yield the samples of a metric whose name ends so."""
    for family in metric.collect():
        yield from (sample for sample in family.samples if sample.name == family.name + suffix)
