"""Metrics: each event updates one number, and a scrape shows it under every name that it has."""

from __future__ import annotations

import pytest

from trunkline.model.names import PipelineName
from trunkline.telemetry.metrics import Metrics
from trunkline.telemetry.reports import DatumReport, JobReport

EDGES = PipelineName("default", "edges")
LABELS = {"project": "default", "pipeline": "edges"}


def datum(state="SUCCESS"):
    return DatumReport("ab", state, "", 1.0, 4.0, 2.0, 10, 20, 0.0, 0.0)


@pytest.fixture
def metrics():
    return Metrics("1.0", "abc")


@pytest.fixture
def value(metrics):
    """Return a function that scrapes one series."""

    def value(name, **labels):
        return metrics.registry.get_sample_value(name, labels)

    return value


def test_datums_are_counted_under_both_names(metrics, value):
    metrics.datums_recorded(EDGES, [datum(), datum(), datum("FAILED")])

    for name in ("trunkline_datums_total", "pachyderm_worker_datum_count"):
        assert value(name, **LABELS, state="SUCCESS") == 2
        assert value(name, **LABELS, state="FAILED") == 1
    assert value("trunkline_datum_bytes_total", **LABELS, direction="upload") == 60


@pytest.mark.parametrize(
    ("phase", "alias", "seconds"),
    [("download", "download", 3), ("process", "proc", 12), ("upload", "upload", 6)],
)
def test_the_time_of_a_phase_is_summed_under_both_names(metrics, value, phase, alias, seconds):
    metrics.datums_recorded(EDGES, [datum(), datum(), datum()])

    assert value("trunkline_datum_phase_seconds_total", **LABELS, phase=phase) == seconds
    assert value(f"pachyderm_worker_datum_{alias}_seconds_count", **LABELS) == seconds
    assert value("trunkline_datum_duration_seconds_count", **LABELS, phase=phase) == 3


def test_only_a_good_job_is_a_last_success(metrics, value):
    metrics.job_finished(EDGES, JobReport("1", "SUCCESS", "", 90.0, 120.0, 1, 1, 0, 0, 0))
    metrics.job_finished(EDGES, JobReport("2", "FAILURE", "no", 190.0, 220.0, 1, 0, 0, 1, 0))

    assert value("trunkline_pipeline_last_success_timestamp_seconds", **LABELS) == 120
    assert value("pipeline_last_ok_at", **LABELS) == 120
    assert value("trunkline_job_duration_seconds_sum", **LABELS) == 60


def test_transactions_are_timed_under_both_names(metrics, value):
    metrics.transaction_done(0.02)

    for name in (
        "trunkline_database_transaction_duration_seconds",
        "pachyderm_postgres_tx_duration_seconds",
    ):
        assert value(f"{name}_count") == 1
        assert value(f"{name}_sum") == 0.02
        assert value(f"{name}_bucket", le="0.01") == 0
        assert value(f"{name}_bucket", le="0.025") == 1


def test_a_call_is_in_progress_until_it_is_done(metrics, value):
    metrics.call_began()
    metrics.call_began()
    metrics.call_done("pfs_v2.API/ListRepo", "OK", 0.1)

    assert value("trunkline_rpcs_running") == 1
    assert value("trunkline_rpc_duration_seconds_count", method="pfs_v2.API/ListRepo", code="OK") == 1


def test_a_deleted_pipeline_has_no_series(metrics):
    metrics.datums_recorded(EDGES, [datum()])
    metrics.job_finished(EDGES, JobReport("1", "SUCCESS", "", 90.0, 120.0, 1, 1, 0, 0, 0))
    metrics.worker_ready(EDGES, 0.5)
    metrics.worker_ended(EDGES, asked=True)
    metrics.scaling_decided(EDGES, "start")

    metrics.pipeline_deleted(EDGES)

    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    assert not [sample for sample in samples if "edges" in sample.labels.values()]
