"""Every inner function raising in turn: nothing leaks, nothing is raised, no item is lost."""

from __future__ import annotations

import functools
import logging
from typing import Any

import pytest
from opentelemetry import trace as trace_api
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.trace import Link, SpanContext, StatusCode, TraceFlags, TraceState
from opentelemetry.trace.status import Status

import otel_zdr
from otel_zdr.testing import assert_no_content, canary, uninstall
from tests.conftest import RECORDS_HOLD_EXCEPTIONS, Pipeline
from tests.sdk import inner

CONTEXT = SpanContext(0xA1, 0xB2, True, TraceFlags(1), TraceState([("vendor", "x")]))
SPANS, RECORDS = 5, 3
USAGE = "gen_ai.usage.input_tokens"


def fill(span: Any, text: str) -> None:
    """All that can be written on a span after its start."""
    span.set_attribute("app.note", text)
    span.set_attribute(text, 1)
    span.set_attribute("gen_ai.usage.raw", '{"total_tokens": 3, "text": "' + text + '"}')
    span.set_attributes(
        {"gen_ai.prompt.0.content": text, "gen_ai.request.model": "m", "acme.usage.tokens": 5}
    )
    span.set_attribute("gen_ai.usage.output_tokens", 222)
    span.add_event(text, {"note": text})
    span.add_event("gen_ai.content.prompt", {"gen_ai.prompt": text})
    span.add_link(CONTEXT, {"app.note": text})
    span.record_exception(ValueError(text), {"detail": text})
    span.set_status(Status(StatusCode.ERROR, text))
    span.set_status(StatusCode.ERROR, text)
    span.update_name(text)


def use(p: Any, text: str, *, workspace: str = "clinic") -> None:
    """Items of all kinds for one workspace, named in each of the ways that there are."""
    at_start = {"app.note": text, USAGE: 1111, "workspace.id": workspace, "gen_ai.operation.name": "chat"}
    links = [Link(CONTEXT, {"app.note": text})]
    with p.tracer.start_as_current_span(text, attributes=at_start, links=links) as span:
        fill(span, text)
        p.logger.emit(LogRecord(body=text, attributes={"app.note": text, USAGE: 1111}))
        child = p.tracer.start_span(
            text, attributes={"app.note": text, USAGE: 1111}, kind=trace_api.SpanKind.SERVER
        )
        fill(child, text)
        child.end()
    # Identified late, by an attribute.
    late = p.tracer.start_span(text, attributes={"app.note": text, USAGE: 1111})
    fill(late, text)
    late.set_attribute("workspace.id", workspace)
    fill(late, text)
    late.end()
    # Identified by context, and escaping.
    with otel_zdr.workspace(workspace):
        try:
            with p.tracer.start_as_current_span(text, attributes={USAGE: 1111}) as span:
                fill(span, text)
                p.logger.emit(
                    body={"message": {"content": text, "role": "user"}, "index": 0},
                    event_name="gen_ai.user.message",
                    severity_number=SeverityNumber.WARN,
                    severity_text=text,
                    attributes={"app.note": text, USAGE: 1111},
                    **({"exception": ValueError(text)} if RECORDS_HOLD_EXCEPTIONS else {}),
                )
                raise ValueError(text)
        except ValueError:
            pass
    # Not identified at all.
    p.tracer.start_span(text, attributes={"app.note": text, USAGE: 1111}).end()
    p.logger.emit(LogRecord(body=text, event_name=text, attributes={"app.note": text, USAGE: 1111}))
    usage = p.meter.create_histogram("gen_ai.client.token.usage", unit="{token}", description=text)
    with otel_zdr.workspace(workspace):
        usage.record(7, {"app.note": text, "gen_ai.token.type": "input"})
    usage.record(7, {"app.note": text, "workspace.id": workspace})
    p.meter.create_counter(text.replace(" ", ".")).add(1, {"app.note": text})


EVERYTHING = otel_zdr.Settings()
LISTED = otel_zdr.Settings(workspaces=("clinic",))
GIVEN = pytest.mark.parametrize("settings", [EVERYTHING, LISTED], ids=["everything", "listed"])
#: While these fail no name of an instrument can be told from content: its measurements are lost.
NAMES_OF_INSTRUMENTS = (
    "redaction.redactor.Redactor.knows_instrument",
    "redaction.naming.Names.is_instrument",
)
MEMBERS = inner.members()
EACH = pytest.mark.parametrize("member", MEMBERS, ids=map(inner.label, MEMBERS))


def resource(text: str) -> dict[str, Any]:
    return {"service.name": "test", "app.note": text}


def usage_of(item: Any) -> dict[str, int]:
    return {
        entry.key: entry.value.int_value for entry in item.attributes if entry.key.startswith("gen_ai.usage.")
    }


@GIVEN
def test_without_a_fault_everything_is_as_it_should_be(make_pipeline: Any, settings: Any) -> None:
    """The control of the tests below: with the gate no canary leaves, all items and figures do."""
    otel_zdr.install(settings)
    p, text = make_pipeline(), canary()
    use(p, text)
    assert_no_content(p.collect(), [text])
    assert len(p.span_exporter.spans) == SPANS
    assert len(p.log_exporter.records) == RECORDS
    assert all(usage_of(span)[USAGE] == 1111 for span in p.span_exporter.spans)
    assert [usage_of(span).get("gen_ai.usage.output_tokens") for span in p.span_exporter.spans].count(
        222
    ) == 4
    assert "gen_ai.client.token.usage" in {metric.name for metric in p.metric_exporter.metrics}


def test_without_the_gate_the_same_items_hold_content(make_pipeline: Any) -> None:
    """The positive control."""
    p, text = make_pipeline(), canary()
    use(p, text)
    p.collect()
    assert all(
        text.encode() in exporter.data for exporter in (p.span_exporter, p.log_exporter, p.metric_exporter)
    )
    assert len(p.span_exporter.spans) == SPANS
    assert len(p.log_exporter.records) == RECORDS


@functools.cache
def called(settings: otel_zdr.Settings) -> set[Any]:
    """The code that items go through under ``settings``, caches being cold."""
    pipeline = Pipeline(resource("x"))
    text = canary()
    found = inner.called_by(lambda: (otel_zdr.install(settings), use(pipeline, text), pipeline.collect()))  # type: ignore
    pipeline.shutdown()
    uninstall()
    return found


def skip_unless_called(member: inner.Member, *all_settings: otel_zdr.Settings) -> None:
    code = inner.code_of(member)
    if code is not None and not any(code in called(settings) for settings in all_settings):
        pytest.skip("no item goes through it")


@GIVEN
@EACH
def test_a_failing_part_leaks_nothing_raises_nothing_and_loses_no_item(
    make_pipeline: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    member: inner.Member,
    settings: Any,
) -> None:
    """The gate is in place; then one of its parts fails, whenever it is called."""
    skip_unless_called(member, EVERYTHING, LISTED)
    otel_zdr.install(settings)
    text = canary()
    p = make_pipeline(resource(text))
    caplog.set_level(logging.DEBUG)
    fault = inner.Fault(monkeypatch, member)
    use(p, text)
    data = p.collect()
    monkeypatch.undo()
    assert_no_content(data, [text])
    assert text not in "".join(capfd.readouterr()) + caplog.text
    spans, records = p.span_exporter.spans, p.log_exporter.records
    assert (len(spans), len(records)) == (SPANS, RECORDS), f"an item was lost in {fault.calls} failures"
    if inner.label(member) not in NAMES_OF_INSTRUMENTS:
        names = {metric.name for metric in p.metric_exporter.metrics}
        assert "gen_ai.client.token.usage" in names, "a batch of metrics was lost"
    assert {span.kind for span in spans} == {1, 2}
    assert all(span.start_time_unix_nano and span.end_time_unix_nano and span.span_id for span in spans)
    lost = [index for index, span in enumerate(spans) if usage_of(span).get(USAGE) != 1111]
    assert not lost, "usage was lost"
    assert b"clinic" in data, "the workspace was lost"


@EACH
def test_a_part_that_fails_while_the_gate_is_put_in_place_leaves_it_closed_or_whole(
    make_pipeline: Any, monkeypatch: pytest.MonkeyPatch, member: inner.Member
) -> None:
    """Half an installation lets nothing by: the application's items are clean, or not exported at all."""
    skip_unless_called(member, LISTED)
    text = canary()
    p = make_pipeline(resource(text))
    before = p.tracer.start_span(text, attributes={"app.note": text})
    inner.Fault(monkeypatch, member)
    raised = False
    try:
        otel_zdr.install(LISTED)
    except otel_zdr.ConfigurationError:
        raised = True
    monkeypatch.undo()
    before.end()
    use(p, text)
    data = p.collect()
    assert_no_content(data, [text], may_be_empty=raised)
    if raised:
        assert not p.span_exporter.spans
        assert not p.log_exporter.records
    else:
        assert len(p.span_exporter.spans) == SPANS + 1
