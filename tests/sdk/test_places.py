"""Every place where content hides is clean under ZDR, and raw where the workspace is not under ZDR."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace as trace_api
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import Link, SpanContext, StatusCode, TraceFlags, TraceState
from opentelemetry.trace.status import Status

import otel_zdr
from otel_zdr.testing import assert_no_content, canary

CONTEXT = SpanContext(
    0x5FDDA868871616BD25A9944A39D945A0,
    0x2A6E887C2F6458DD,
    is_remote=True,
    trace_flags=TraceFlags(1),
    trace_state=TraceState(),
)


def token() -> str:
    """A canary without spaces, for places that take no other text."""
    return canary().replace(" ", "-").lower()


def span_name(p: Any, c: str) -> None:
    p.tracer.start_span(c).end()


def updated_span_name(p: Any, c: str) -> None:
    with p.tracer.start_as_current_span("x") as span:
        span.update_name(c)


def start_attribute(p: Any, c: str) -> None:
    p.tracer.start_span("x", attributes={"app.note": c}).end()


def later_attribute(p: Any, c: str) -> None:
    with p.tracer.start_as_current_span("x") as span:
        span.set_attribute("app.note", c)


def many_attributes(p: Any, c: str) -> None:
    with p.tracer.start_as_current_span("x") as span:
        span.set_attributes({"app.note": c, "gen_ai.prompt.0.content": c})


def attribute_key(p: Any, c: str) -> None:
    with p.tracer.start_as_current_span("x") as span:
        span.set_attribute(c, 1)


def allowed_key_with_text(p: Any, c: str) -> None:
    p.tracer.start_span("x", attributes={"gen_ai.request.model": c}).end()


def list_attribute(p: Any, c: str) -> None:
    p.tracer.start_span("x", attributes={"gen_ai.response.finish_reasons": ["stop", c]}).end()


def nested_attribute(p: Any, c: str) -> None:
    p.tracer.start_span("x", attributes={"gen_ai.usage.details": {"text": {"deep": [c]}}}).end()


def bytes_attribute(p: Any, c: str) -> None:
    p.tracer.start_span("x", attributes={"gen_ai.request.model": c.encode()}).end()


def json_attribute(p: Any, c: str) -> None:
    p.tracer.start_span("x", attributes={"gen_ai.input.messages": '[{"content": "' + c + '"}]'}).end()


def status_description(p: Any, c: str) -> None:
    with p.tracer.start_as_current_span("x") as span:
        span.set_status(Status(StatusCode.ERROR, c))


def status_description_beside_code(p: Any, c: str) -> None:
    with p.tracer.start_as_current_span("x") as span:
        span.set_status(StatusCode.ERROR, c)


def event_name(p: Any, c: str) -> None:
    with p.tracer.start_as_current_span("x") as span:
        span.add_event(c)


def event_attribute(p: Any, c: str) -> None:
    with p.tracer.start_as_current_span("x") as span:
        span.add_event("gen_ai.content.prompt", {"gen_ai.prompt": c})


def exception_message(p: Any, c: str) -> None:
    with p.tracer.start_as_current_span("x") as span:
        span.record_exception(ValueError(c), {"detail": c})


def escaping_exception(p: Any, c: str) -> None:
    with pytest.raises(ValueError), p.tracer.start_as_current_span("x"):
        raise ValueError(c) from KeyError(c)


def link_attribute(p: Any, c: str) -> None:
    p.tracer.start_span("x", links=[Link(CONTEXT, {"app.note": c})]).end()


def later_link_attribute(p: Any, c: str) -> None:
    with p.tracer.start_as_current_span("x") as span:
        span.add_link(CONTEXT, {"app.note": c})


def trace_state(p: Any, c: str) -> None:
    parent = SpanContext(
        CONTEXT.trace_id, CONTEXT.span_id, True, TraceFlags(1), TraceState([("vendor", c.replace(" ", "-"))])
    )
    context = trace_api.set_span_in_context(trace_api.NonRecordingSpan(parent))
    p.tracer.start_span("x", context=context).end()


def scope_name(p: Any, c: str) -> None:
    p.tracer_provider.get_tracer(c).start_span("x").end()


def scope_version(p: Any, c: str) -> None:
    p.tracer_provider.get_tracer("otel_zdr", c).start_span("x").end()


def scope_schema_url(p: Any, c: str) -> None:
    p.tracer_provider.get_tracer("otel_zdr", schema_url=f"https://example.invalid/{c}").start_span("x").end()


def scope_attribute(p: Any, c: str) -> None:
    p.tracer_provider.get_tracer("otel_zdr", attributes={"app.note": c}).start_span("x").end()


def log_text_body(p: Any, c: str) -> None:
    p.logger.emit(LogRecord(body=c, severity_number=SeverityNumber.INFO))


def log_body_by_arguments(p: Any, c: str) -> None:
    p.logger.emit(body=c, severity_number=SeverityNumber.INFO)


def log_structured_body(p: Any, c: str) -> None:
    p.logger.emit(LogRecord(body={"message": {"content": [{"text": c}]}, "index": 0}))


def log_body_key(p: Any, c: str) -> None:
    p.logger.emit(LogRecord(body={c: 1}))


def log_bytes_body(p: Any, c: str) -> None:
    p.logger.emit(LogRecord(body=c.encode()))


def log_attribute(p: Any, c: str) -> None:
    p.logger.emit(LogRecord(body=None, attributes={"app.note": c}))


def log_event_name(p: Any, c: str) -> None:
    p.logger.emit(LogRecord(body=None, event_name=c))


def log_severity_text(p: Any, c: str) -> None:
    p.logger.emit(LogRecord(body=None, severity_text=c))


def log_exception(p: Any, c: str) -> None:
    try:
        raise ValueError(c)
    except ValueError as error:
        p.logger.emit(exception=error)


def measurement_attribute(p: Any, c: str) -> None:
    p.meter.create_counter("gen_ai.client.token.usage").add(1, {"app.note": c})


def measurement_allowed_key(p: Any, c: str) -> None:
    p.meter.create_histogram("gen_ai.client.operation.duration").record(1, {"gen_ai.request.model": c})


def observed_attribute(p: Any, c: str) -> None:
    from opentelemetry.metrics import Observation

    p.meter.create_observable_gauge("process.memory.usage", [lambda _: [Observation(1, {"app.note": c})]])


def instrument_name(p: Any, c: str) -> None:
    p.meter.create_counter(c.replace(" ", ".")).add(1)


def instrument_description(p: Any, c: str) -> None:
    p.meter.create_counter("gen_ai.client.token.usage", description=c).add(1)


def instrument_unit(p: Any, c: str) -> None:
    p.meter.create_counter("gen_ai.client.token.usage", unit=c[:60]).add(1)


def meter_scope(p: Any, c: str) -> None:
    p.meter_provider.get_meter(c, c, attributes={"a": c}).create_counter("gen_ai.client.token.usage").add(1)


PLACES = [
    value
    for value in list(globals().values())
    if callable(value) and getattr(value, "__module__", "") == __name__ and value is not token
]
TOKEN_ONLY = {trace_state, instrument_name}


def text_for(place: Any) -> tuple[str, str]:
    """(what is planted, what is searched for)."""
    made = canary()
    if place is trace_state:
        return made, made.replace(" ", "-")
    if place is instrument_name:
        return made, made.replace(" ", ".").lower()
    if place is instrument_unit:
        return made, made[:60]
    if place is attribute_key or place is log_body_key:
        return made, made
    return made, made


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("workspaces", [("*",), ("clinic",)], ids=["everything", "listed"])
def test_content_in_this_place_is_gone_under_zdr(make_pipeline: Any, place: Any, workspaces: Any) -> None:
    """Whatever is written there, a workspace under ZDR exports nothing of it."""
    otel_zdr.install(otel_zdr.Settings(workspaces=workspaces))
    p = make_pipeline({"service.name": "test", "workspace.id": "Clinic"})
    planted, searched = text_for(place)
    place(p, planted)
    data = p.collect()
    # An instrument of an unknown name loses its measurements, which are all there is.
    assert_no_content(data, [searched], may_be_empty=place.__name__ == "instrument_name")


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_the_same_content_is_there_when_the_workspace_is_not_under_zdr(
    make_pipeline: Any, place: Any
) -> None:
    """The positive control: the canary does reach the exporter of another workspace."""
    planted, searched = text_for(place)
    without = make_pipeline()
    try:
        place(without, planted)
    except TypeError:
        pytest.skip("this version of the SDK has no such place")
    if searched.encode() not in without.collect():
        pytest.skip("this version of the SDK exports nothing of this place")
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    p = make_pipeline({"service.name": "test", "workspace.id": "studio"})
    planted, searched = text_for(place)
    place(p, planted)
    data = p.collect()
    if (
        place in (scope_name, instrument_description, instrument_unit, meter_scope)
        and not p.metric_exporter.requests
    ):
        assert searched.encode() in data
        return
    if place in (instrument_description, instrument_unit, meter_scope):
        # What all tenants of a MeterProvider share is cleaned for all.
        assert searched.encode() not in data
        return
    assert searched.encode() in data


@pytest.mark.parametrize(
    "place", [instrument_description, instrument_unit, meter_scope], ids=lambda place: place.__name__
)
def test_shared_parts_of_metrics_are_there_without_the_gate(make_pipeline: Any, place: Any) -> None:
    """The positive control for what is cleaned for all tenants."""
    p = make_pipeline()
    planted, searched = text_for(place)
    place(p, planted)
    assert searched.encode() in p.collect()


def test_content_in_the_resource_is_gone_for_all_signals(make_pipeline: Any) -> None:
    """A resource is cleaned in spans, log records and metrics."""
    otel_zdr.install()
    made = canary()
    p = make_pipeline({"process.command_args": ["app", made], "app.note": made, "service.name": "keep-me"})
    span_name(p, "x")
    log_text_body(p, "x")
    p.meter.create_counter("gen_ai.client.token.usage").add(1)
    data = p.collect()
    assert_no_content(data, [made])
    assert data.count(b"keep-me") == 3


def test_usage_and_identity_survive_in_all_signals(make_pipeline: Any) -> None:
    """What is needed for billing arrives."""
    otel_zdr.install()
    p = make_pipeline({"service.name": "svc", "workspace.id": "clinic-7"})
    name = canary()
    with p.tracer.start_as_current_span(name, attributes={"gen_ai.operation.name": "chat"}) as span:
        span.set_attribute("gen_ai.request.model", "gpt-4o")
        span.set_attribute("gen_ai.usage.input_tokens", 1111)
        span.set_attribute("gen_ai.response.id", "chatcmpl-1")
        p.logger.emit(LogRecord(body="x", attributes={"gen_ai.usage.output_tokens": 222}))
    p.meter.create_histogram("gen_ai.client.token.usage").record(
        5, {"gen_ai.token.type": "input", "gen_ai.request.model": "gpt-4o"}
    )
    data = p.collect()
    (span,) = p.span_exporter.spans
    attributes = {item.key: item.value for item in span.attributes}
    assert span.name == "chat gpt-4o"
    assert attributes["gen_ai.usage.input_tokens"].int_value == 1111
    assert attributes["gen_ai.response.id"].string_value == "chatcmpl-1"
    assert attributes["zdr.redacted"].bool_value
    (record,) = p.log_exporter.records
    assert {item.key for item in record.attributes} >= {"gen_ai.usage.output_tokens", "zdr.redacted"}
    assert record.span_id == span.span_id
    assert data.count(b"clinic-7") == 3
    (metric,) = p.metric_exporter.metrics
    assert metric.name == "gen_ai.client.token.usage"
    assert {item.key for item in metric.histogram.data_points[0].attributes} == {
        "gen_ai.token.type",
        "gen_ai.request.model",
    }


def test_the_callers_link_and_record_are_not_edited(pipeline: Any) -> None:
    """What belongs to the application stays as it is."""
    otel_zdr.install()
    made = canary()
    record = LogRecord(body=made, attributes={"app.note": made})
    resource = Resource({"app.note": made})
    pipeline.logger.emit(record)
    assert record.body == made
    assert dict(record.attributes or {}) == {"app.note": made}
    assert resource.attributes["app.note"] == made
