"""The spans that events make, as a collector gets them, and the records about spans that are dropped."""

from __future__ import annotations

import logging

import pytest
from collector import Collector

from trunkline.model import trace
from trunkline.model.names import PipelineName
from trunkline.telemetry import events, tracing
from trunkline.telemetry.metrics import Metrics
from trunkline.telemetry.reports import DatumOrigin, DatumReport, JobReport

ABOVE = trace.from_headers("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
PIPELINE = PipelineName("default", "edges")
ORIGIN = DatumOrigin("job", "claim", "worker", str(ABOVE))


def datum(state="SUCCESS", reason="", started=100.0, finished=110.0):
    return DatumReport("ab", state, reason, 1.0, 4.0, 2.0, 0, 0, started, finished)


def job(state="SUCCESS", reason=""):
    return JobReport("job", state, reason, 90.0, 120.0, 1, 1, 0, 0, 0, str(ABOVE))


@pytest.fixture
def exported(monkeypatch):
    """Return a function that exports what was recorded and returns the spans by name."""
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    tracer = tracing.Tracer({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}, lambda *_: None)
    tracing.install(tracer)

    def export():
        tracer.close()
        return {span.name: span for span in collector.spans.values()}

    yield export
    tracing.install(None)
    collector.close()


def test_a_failed_datum_fails_its_span_and_keeps_its_place_in_the_job(exported):
    events.datums_recorded(PIPELINE, ORIGIN, [datum("FAILED", "exit code 3")])
    events.job_finished(PIPELINE, job("FAILURE", "a datum failed"))

    spans = exported()
    assert spans["job"].failed
    assert spans["datum"].failed
    assert (spans["job"].parent, spans["datum"].parent) == (ABOVE.span_id, spans["job"].id)
    assert (
        spans["datum"].id
        == tracing.datum_context(tracing.job_context(ABOVE, str(PIPELINE), "job"), "claim", "ab").span_id
    )
    assert not spans["run"].failed


def test_phases_follow_each_other_up_to_the_end_of_the_datum(exported):
    events.datums_recorded(PIPELINE, ORIGIN, [datum(started=105.0, finished=110.0)])

    spans = exported()
    times = {name: (span.start // 10**9, span.end // 10**9) for name, span in spans.items()}
    assert times == {"download": (103, 104), "run": (104, 108), "upload": (108, 110), "datum": (103, 110)}


def test_a_datum_whose_times_are_not_known_has_no_span(exported):
    events.datums_recorded(PIPELINE, ORIGIN, [datum(started=0.0, finished=0.0)])

    assert exported() == {}


def test_a_trace_that_is_not_recorded_gets_no_spans(exported):
    quiet = trace.from_headers(ABOVE.header[:-2] + "00")

    events.datums_recorded(PIPELINE, ORIGIN._replace(trace=str(quiet)), [datum()])
    begun = tracing.begin(quiet, root=True)

    assert begun is None
    assert exported() == {}


@pytest.mark.parametrize(("code", "failed"), [("OK", False), ("NOT_FOUND", False), ("INTERNAL", True)])
def test_only_faults_of_the_server_fail_the_span_of_a_call(exported, code, failed):
    span = tracing.begin(ABOVE, root=True)

    events.call_done("pfs_v2.API/ListRepo", code, 0.1, caller="anonymous", peer="ipv4:127.0.0.1:1", span=span)

    call = exported()["pfs_v2.API/ListRepo"]
    assert (call.parent, call.failed) == (ABOVE.span_id, failed)
    assert (call.attributes["rpc.service"], call.attributes["rpc.method"]) == ("pfs_v2.API", "ListRepo")


def test_dropped_spans_are_all_counted_and_seldom_logged(caplog, monkeypatch):
    monkeypatch.setattr(events, "_drops", events._Seldom(events.DROPS_LOGGED_EVERY))
    counted = Metrics("1.0", "abc")
    monkeypatch.setattr(events, "_metrics", counted)

    with caplog.at_level(logging.WARNING, "trunkline.traces"):
        for _ in range(3):
            events.spans_exported(0, 2, "the collector is gone")

    assert counted.registry.get_sample_value("trunkline_spans_total", {"outcome": "dropped"}) == 6
    assert [record.action for record in caplog.records] == ["spans_dropped"]
