"""OpenTelemetry traces: spans are queued by whoever ends something and exported in batches by one thread.

This is the only module that knows OpenTelemetry. Its libraries are the extra ``otel`` and are imported when the
standard variables ask for an export (``is_asked_for``), because importing them takes longer than most commands.

The queue is bounded and nobody waits for it: when the collector is slow or gone, spans are dropped and counted.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from trunkline import __version__
from trunkline.errors import FailedPrecondition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trunkline.model.trace import TraceContext

    Attributes = Mapping[str, str | bool | int | float | Sequence[str]]

#: Spans that wait for their export; those beyond are dropped. The spans of a datum count as one.
QUEUE = 16_384
#: Spans of one export, and seconds between two exports of fewer.
BATCH, INTERVAL = 512, 1.0
#: Seconds that ``Tracer.close`` waits for the last exports, twice.
CLOSE_GRACE = 1.0
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class Phase(NamedTuple):
    """A part of a span that is shown as a span of its own. Times in seconds since the epoch."""

    name: str
    start: float
    end: float


class Span(NamedTuple):
    """A span that has ended."""

    context: TraceContext
    #: Span id of the span above; empty for the first span of a trace.
    parent: str
    name: str
    #: Seconds since the epoch.
    start: float
    end: float
    attributes: Attributes
    #: Why it failed; None when it did not.
    error: str | None = None
    #: It is the server's side of a call.
    server: bool = False
    phases: Sequence[Phase] = ()


class OpenSpan(NamedTuple):
    """A span that has begun."""

    context: TraceContext
    #: As in ``Span``.
    parent: str
    #: Seconds since the epoch.
    start: float

    def end(self, name: str, attributes: Attributes, error: str | None, *, server: bool = False) -> Span:
        """Return the span as it ends now.

        Args:
            name: of the operation, without ids.
            attributes: as in ``Span``.
            error: as in ``Span``.
            server: as in ``Span``.
        """
        return Span(self.context, self.parent, name, self.start, time.time(), attributes, error, server)


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Return whether the standard variables ask for an export of traces by OTLP."""
    exporters = environment.get("OTEL_TRACES_EXPORTER", "otlp").split(",")
    return (
        any(environment.get(name) for name in _ENDPOINTS)
        and environment.get("OTEL_SDK_DISABLED", "").lower() != "true"
        and "otlp" in [name.strip() for name in exporters]
    )


class Tracer:
    """Exports spans over OTLP/HTTP as the standard variables say. May be used from any thread."""

    def __init__(
        self,
        environment: Mapping[str, str],
        exported: Callable[[int, int, str], None],
        timeout: float | None = None,
    ) -> None:
        """Load the libraries.

        Args:
            environment: the variables, for what is checked here; the libraries read those of the process.
            exported: called after each export with the number of exported spans, that of dropped spans, and why
                they were dropped.
            timeout: seconds that an export may take, if less than the standard variables say.

        Raises:
            FailedPrecondition: the extra is not installed, or another protocol is asked for.
        """
        protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), "http/protobuf")
        if protocol != "http/protobuf":
            raise FailedPrecondition(
                f"no traces are exported: OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, and only http/protobuf is"
                " supported; point the endpoint to the collector's HTTP port (4318) and set http/protobuf"
            )
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
        except ImportError as error:
            raise FailedPrecondition(
                f"no traces are exported: {_endpoint(environment)} is set, but OpenTelemetry is not installed; run:"
                ' pip install "trunkline[otel]"'
            ) from error
        defaults = {"service.version": __version__}
        if "OTEL_SERVICE_NAME" not in environment and "service.name=" not in environment.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        ):
            defaults["service.name"] = "trunkline"
        self._resource = Resource.create(defaults)
        provider = TracerProvider(shutdown_on_exit=False, resource=self._resource)
        self._sampler = provider.sampler
        self._failure = _LastMessage()
        self._exporter = OTLPSpanExporter(timeout=timeout)
        self._exported = exported
        self._wake = threading.Condition()
        self._spans: deque[Span] = deque()
        self._overflow = 0
        self._closing = False
        self._thread: threading.Thread | None = None

    def start(self, start_thread: Callable[[str, Callable[[], None]], threading.Thread]) -> None:
        """Export from now on, in a thread that ``start_thread(name, main)`` starts."""
        self._thread = start_thread("traces", self._run)

    def begin(self, parent: TraceContext | None) -> OpenSpan | None:
        """Begin a span; None when its trace is not recorded.

        Args:
            parent: the span above; None begins a trace.
        """
        from trunkline.model.trace import TraceContext

        span_id = f"{random.getrandbits(64) or 1:016x}"
        if parent is not None:
            return OpenSpan(parent.at(span_id), parent.span_id, time.time()) if parent.sampled else None
        trace_id = random.getrandbits(128) or 1
        decision = self._sampler.should_sample(None, trace_id, "").decision
        if decision.name != "RECORD_AND_SAMPLE":
            return None
        return OpenSpan(TraceContext(f"{trace_id:032x}", span_id, sampled=True), "", time.time())

    def record(self, span: Span) -> None:
        """Queue a span for its export."""
        with self._wake:
            if len(self._spans) >= QUEUE:
                self._overflow += 1 + len(span.phases)
                return
            self._spans.append(span)
            if len(self._spans) == BATCH:
                self._wake.notify()

    def close(self) -> None:
        """Export what is queued if that goes quickly, and stop."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is None:
            self._export()
            self._exporter.shutdown()  # type: ignore[no-untyped-call]
            return
        self._thread.join(CLOSE_GRACE)
        # Ends the pause before another try.
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
        self._thread.join(CLOSE_GRACE)

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._closing and len(self._spans) < BATCH:
                    self._wake.wait(INTERVAL)
                if self._closing and not self._spans:
                    return
            self._export()

    def _export(self) -> None:
        """Export one batch."""
        with self._wake:
            batch = [self._spans.popleft() for _ in range(min(BATCH, len(self._spans)))]
            overflow, self._overflow = self._overflow, 0
        if overflow:
            self._exported(0, overflow, f"more than {QUEUE} spans wait for their export")
        if not batch:
            return
        number = sum(1 + len(span.phases) for span in batch)
        self._failure.text = ""
        try:
            spans = [readable for span in batch for readable in self._readable(span)]
            good = self._exporter.export(spans).name == "SUCCESS"
        except Exception as error:  # noqa: BLE001 - a fault of the exporter must cost no more than the spans
            good, self._failure.text = False, str(error)
        reason = "" if good else self._failure.text or "the collector did not take them"
        self._exported(number if good else 0, 0 if good else number, reason)

    def _readable(self, span: Span) -> list[Any]:
        """Return the library's objects of a span and its phases."""
        spans = [self._object(span)]
        for phase in span.phases:
            context = span.context.child(phase.name)
            spans.append(
                self._object(Span(context, span.context.span_id, phase.name, phase.start, phase.end, {}))
            )
        return spans

    def _object(self, span: Span) -> Any:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

        def context(span_id: str) -> SpanContext:
            state = TraceState.from_header([span.context.state]) if span.context.state else None
            trace_id = int(span.context.trace_id, 16)
            return SpanContext(trace_id, int(span_id, 16), False, TraceFlags(TraceFlags.SAMPLED), state)

        return ReadableSpan(
            name=span.name,
            context=context(span.context.span_id),
            parent=context(span.parent) if span.parent else None,
            resource=self._resource,
            attributes=span.attributes,
            kind=SpanKind.SERVER if span.server else SpanKind.INTERNAL,
            status=Status() if span.error is None else Status(StatusCode.ERROR, span.error),
            start_time=_nanoseconds(span.start),
            end_time=_nanoseconds(max(span.start, span.end)),
            instrumentation_scope=InstrumentationScope("trunkline", __version__),
        )


class _LastMessage(logging.Handler):
    """Keeps what the exporter logs last, which is why an export failed, instead of writing it."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        logger = logging.getLogger("opentelemetry.exporter")
        logger.handlers, logger.propagate = [self], False

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def _nanoseconds(seconds: float) -> int:
    """Return a time as OTLP has it, an unsigned number of 64 bits: workers say what it is."""
    return min(max(0, int(seconds * 1e9)), 2**64 - 1)


def _endpoint(environment: Mapping[str, str]) -> str:
    return next(name for name in _ENDPOINTS if environment.get(name))


_tracer: Tracer | None = None


def install(tracer: Tracer | None) -> None:
    """Let the functions below use ``tracer``; None ends that."""
    global _tracer
    _tracer = tracer


def is_on() -> bool:
    """Return whether this process exports traces."""
    return _tracer is not None


def begin(parent: TraceContext | None, *, root: bool) -> OpenSpan | None:
    """Begin a span; None when this process exports no traces or the trace is not recorded.

    Args:
        parent: the span above.
        root: whether to begin a trace when there is none above.
    """
    if _tracer is None or (parent is None and not root):
        return None
    return _tracer.begin(parent)


def record(span: Span) -> None:
    """Queue a span for its export; drop it when this process exports no traces."""
    if _tracer is not None:
        _tracer.record(span)


def job_context(trace: TraceContext, pipeline: str, job_id: str) -> TraceContext:
    """Return what is below a job: the job's span, or without an export what is above it.

    Args:
        trace: the write that made the job.
        pipeline: the job's pipeline, with its project.
        job_id: id of the job and its output commit.
    """
    return trace.child(pipeline, job_id) if is_on() and trace.sampled else trace


def datum_context(job: TraceContext, claim_id: str, datum_id: str) -> TraceContext:
    """Return what is below a datum: its span, or without an export what is above its job.

    Args:
        job: what ``job_context`` returned.
        claim_id: the claim that the datum is run by.
        datum_id: id of the datum, in hex.
    """
    return job.child(claim_id, datum_id) if is_on() and job.sampled else job
