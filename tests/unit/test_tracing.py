"""The producer's trace goes on through the stages to the event."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from infra.telemetry import tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield exporter
    provider.shutdown()


def test_a_record_is_a_child_of_its_producer(spans: InMemorySpanExporter) -> None:
    span = tracing.begin("process t", TRACEPARENT, {"agentmem.project": "p"})
    span.end()
    [finished] = spans.get_finished_spans()
    assert finished.parent is not None
    assert f"{finished.parent.span_id:016x}" == PARENT
    assert tracing.trace_id_of(span) == TRACE
    going_on = tracing.traceparent_of(span)
    assert going_on is not None
    assert going_on.startswith(f"00-{TRACE}-")
    assert PARENT not in going_on


def test_a_stage_is_a_child_of_each_record_of_its_batch(spans: InMemorySpanExporter) -> None:
    records = [tracing.begin("process t", TRACEPARENT.replace(TRACE, f"{n:032x}"), {}) for n in (1, 2)]
    with pytest.raises(KeyError), tracing.stage("apply", [records[0], None, records[1]]):
        raise KeyError("why")
    stages = spans.get_finished_spans()
    assert {span.parent.span_id for span in stages if span.parent} == {
        record.get_span_context().span_id for record in records
    }
    assert [(span.name, span.status.status_code) for span in stages] == [("apply", StatusCode.ERROR)] * 2


def test_of_records_that_are_not_recorded_there_is_no_stage(spans: InMemorySpanExporter) -> None:
    unwanted = tracing.begin("process t", TRACEPARENT.removesuffix("01") + "00", {})
    with tracing.stage("apply", [unwanted, None]):
        pass
    assert spans.get_finished_spans() == ()


def test_without_an_endpoint_the_producers_context_is_passed_on() -> None:
    span = tracing.begin("process t", TRACEPARENT, {})
    assert tracing.traceparent_of(span) == TRACEPARENT


def test_a_header_that_is_no_trace_context_is_dropped() -> None:
    assert tracing.traceparent_of(tracing.begin("process t", "nonsense", {})) is None
