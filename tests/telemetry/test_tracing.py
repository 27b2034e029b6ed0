"""Trace contexts, and the export of spans."""

from __future__ import annotations

import socket
import sys
import threading

import pytest
from collector import Collector
from patience import eventually

from trunkline.errors import FailedPrecondition
from trunkline.model import trace
from trunkline.telemetry import tracing

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{SPAN}-01"


def thread(name, main):
    started = threading.Thread(target=main, name=name)
    started.start()
    return started


def span(name="work", **more):
    return tracing.Span(trace.from_headers(HEADER), "", name, 1.0, 2.0, {}, **more)


@pytest.fixture
def counts():
    return []


@pytest.fixture
def dead(monkeypatch):
    """Variables that name a collector that is not there."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield variables


def test_a_trace_context_is_read_and_written_as_headers():
    context = trace.from_headers(HEADER, "vendor=1")

    assert context is not None
    assert (context.trace_id, context.span_id, context.sampled) == (TRACE, SPAN, True)
    assert (context.header, context.state) == (HEADER, "vendor=1")
    assert trace.from_text(str(context)) == context


@pytest.mark.parametrize(
    "header",
    [
        "",
        "no",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n00",
    ],
)
def test_a_header_that_is_not_valid_is_no_context(header):
    assert trace.from_headers(header) is None


def test_a_header_of_a_later_version_is_read():
    context = trace.from_headers(f"01-{TRACE}-{SPAN}-00-more")

    assert context is not None
    assert not context.sampled


def test_ids_of_children_follow_from_their_names():
    above = trace.from_headers(HEADER)
    assert above is not None

    assert above.child("a", "b") == above.child("a", "b")
    assert len({above.child("a", "b").span_id, above.child("ab").span_id, above.span_id}) == 3


@pytest.mark.parametrize(
    ("variables", "asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_standard_variables_ask_for_an_export(variables, asked):
    assert tracing.is_asked_for(variables) is asked


def test_spans_and_their_phases_arrive_below_each_other(monkeypatch, counts):
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    tracer = tracing.Tracer(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}, lambda *count: counts.append(count)
    )
    tracer.start(thread)

    tracer.record(span(phases=(tracing.Phase("run", 1.25, 2.0),), error="exit code 1"))

    eventually(lambda: len(collector.spans) == 2, "the spans")
    tracer.close()
    collector.close()
    work, run = sorted(collector.spans.values(), key=lambda each: each.name, reverse=True)
    assert (work.trace, work.id, work.parent, work.failed) == (TRACE, SPAN, "", True)
    assert (run.trace, run.parent, run.start, run.end) == (TRACE, SPAN, 1_250_000_000, 2_000_000_000)
    assert work.attributes["service.name"] == "trunkline"
    assert counts == [(2, 0, "")]


def test_times_that_no_collector_can_read_do_not_cost_the_spans_beside_them(monkeypatch, counts):
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    tracer = tracing.Tracer(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}, lambda *count: counts.append(count)
    )

    tracer.record(span(phases=(tracing.Phase("run", -1e9, 1e12),)))
    tracer.close()

    collector.close()
    assert counts == [(2, 0, "")]


def test_spans_for_a_collector_that_is_gone_are_counted_as_dropped(dead, counts):
    tracer = tracing.Tracer(dead, lambda *count: counts.append(count), timeout=0.2)
    tracer.start(thread)

    tracer.record(span())
    tracer.close()

    [(exported, dropped, reason)] = counts
    assert (exported, dropped) == (0, 1)
    assert reason


def test_spans_beyond_the_queue_are_counted_as_dropped(dead, counts, monkeypatch):
    monkeypatch.setattr(tracing, "QUEUE", 2)
    tracer = tracing.Tracer(dead, lambda *count: counts.append(count), timeout=0.2)

    for _ in range(5):
        tracer.record(span())
    tracer.close()

    assert [count[:2] for count in counts] == [(0, 3), (0, 2)]


def test_without_the_extra_the_error_says_how_to_install_it(dead, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(FailedPrecondition, match=r"trunkline\[otel\]"):
        tracing.Tracer(dead, lambda *_: None)


def test_another_protocol_is_refused(dead):
    with pytest.raises(FailedPrecondition):
        tracing.Tracer(dead | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, lambda *_: None)


def test_the_sampler_of_the_standard_variables_decides_about_new_traces(dead, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    tracer = tracing.Tracer(dead, lambda *_: None)

    begun = tracer.begin(None)
    continued = tracer.begin(trace.from_headers(HEADER))
    tracer.close()

    assert begun is None
    assert continued is not None
    assert (continued.context.trace_id, continued.parent) == (TRACE, SPAN)
