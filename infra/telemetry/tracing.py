"""Traces: from the producer's ``traceparent`` through each stage to the event, by OpenTelemetry.

Without an endpoint nothing is recorded, and the producer's trace context is passed on as it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic import BaseModel, ConfigDict, Field

_propagator: Final = TraceContextTextMapPropagator()
_HEADER: Final = "traceparent"


class TelemetrySettings(BaseModel):
    """Where traces go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    otlp_endpoint: str = Field(
        "",
        description="Where traces are sent, as http://host:4318/v1/traces; empty: nowhere.",
    )
    sample_ratio: float = Field(
        1.0, ge=0, le=1, description="The share of traces recorded whose producer did not decide it."
    )


@contextmanager
def tracing(settings: TelemetrySettings, service: str, version: str) -> Iterator[None]:
    """Record and send traces while the block runs; what is pending is sent at its end."""
    if not settings.otlp_endpoint:
        yield
        return
    # Only here: who sends no traces need not load what sends them.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: service, SERVICE_VERSION: version}),
        sampler=ParentBasedTraceIdRatio(settings.sample_ratio),
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_endpoint)))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


def begin(name: str, traceparent: str, attributes: Mapping[str, str | int]) -> Span:
    """A span for one record, as a child of its producer's; the caller ends it."""
    parent = _propagator.extract({_HEADER: traceparent})
    return _tracer().start_span(name, context=parent, kind=SpanKind.CONSUMER, attributes=attributes)


def traceparent_of(span: Span) -> str | None:
    """The ``traceparent`` that makes what comes next a child of this span."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, trace.set_span_in_context(span))
    return carrier.get(_HEADER)


def trace_id_of(span: Span) -> str:
    """The trace's id, for a log line: 32 hex digits."""
    return trace.format_trace_id(span.get_span_context().trace_id)


@contextmanager
def stage(name: str, records: Iterable[Span | None]) -> Iterator[None]:
    """A span for one stage of a batch, in the trace of each of its records that is recorded.

    One span that links to all of them would be part of none of these traces, and lose its links after 128.
    """
    with ExitStack() as spans:
        for record in records:
            if record is not None and record.is_recording():
                context = trace.set_span_in_context(record)
                # What is raised is logged once, with its traceback; here it would be told once for each record.
                spans.enter_context(_tracer().start_as_current_span(name, context, record_exception=False))
        yield


def _tracer() -> trace.Tracer:
    return trace.get_tracer("agentmem")
