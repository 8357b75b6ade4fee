"""The gate's place in the SDK: every reader, whoever registers it and when, sees cleaned items only."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

import otel_zdr
from otel_zdr.testing import CapturingLogExporter, CapturingSpanExporter, assert_no_content, canary

UNDER = {"workspace.id": "clinic"}
NOT_UNDER = {"workspace.id": "studio"}


class Vendor(SpanProcessor):
    """Another vendor's processor: sends partial spans at the start, and reads in every hook."""

    def __init__(self, exporter: CapturingSpanExporter) -> None:
        self.exporter = exporter

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        partial = ReadableSpan(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=dict(span.attributes or {}),
            events=span.events,
            links=span.links,
            kind=span.kind,
            status=span.status,
            start_time=span.start_time,
            end_time=span.start_time,
            instrumentation_scope=span.instrumentation_scope,
        )
        self.exporter.export([partial])
        self.exporter.requests.append(span.to_json().encode())

    def _on_ending(self, span: Any) -> None:
        self.exporter.export([span._readable_span()])

    def on_end(self, span: ReadableSpan) -> None:
        self.exporter.export([span])
        self.exporter.requests.append(span.to_json().encode())


def write_everywhere(tracer: Any, text: str) -> Any:
    """A span with the canary in several places; returns the live span."""
    span = tracer.start_span(text, attributes={"app.note": text, "gen_ai.usage.input_tokens": 1111})
    span.set_attribute("gen_ai.prompt.0.content", text)
    span.add_event(text, {"note": text})
    span.record_exception(ValueError(text))
    span.update_name(text + "!")
    span.end()
    return span


def stand(provider: TracerProvider, how: str, exporter: CapturingSpanExporter) -> None:
    """Register a reader in one of the ways of the table."""
    if how == "own batch exporter":
        provider.add_span_processor(BatchSpanProcessor(exporter))
    elif how == "vendor":
        provider.add_span_processor(Vendor(exporter))
    elif how == "vendor prepends to the private tuple":
        multi: Any = provider._active_span_processor
        multi._span_processors = (Vendor(exporter), *multi._span_processors)
    else:
        provider.add_span_processor(SimpleSpanProcessor(exporter))


WAYS = ["own batch exporter", "vendor", "vendor prepends to the private tuple", "simple"]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("ours", ["none", "first", "last"])
@pytest.mark.parametrize("multi", ["synchronous", "concurrent"])
def test_no_order_of_processors_lets_content_by(how: str, ours: str, multi: str) -> None:
    """The place of our processor among the others does not matter, nor whether there is one."""
    settings = otel_zdr.Settings(workspaces=("clinic",))
    otel_zdr.install(settings)
    for attributes, is_clean in ((UNDER, True), (NOT_UNDER, False)):
        made = canary()
        provider = TracerProvider(
            resource=Resource({}),
            shutdown_on_exit=False,
            active_span_processor=ConcurrentMultiSpanProcessor() if multi == "concurrent" else None,
        )
        exporter = CapturingSpanExporter()
        if ours == "first":
            provider.add_span_processor(otel_zdr.ZDRSpanProcessor(settings))
        stand(provider, how, exporter)
        if ours == "last":
            provider.add_span_processor(otel_zdr.ZDRSpanProcessor())
        with otel_zdr.workspace(attributes["workspace.id"]):
            write_everywhere(provider.get_tracer("t"), made)
        provider.force_flush()
        assert exporter.data
        if is_clean:
            assert_no_content(exporter.data, [made])
            assert b"gen_ai.usage.input_tokens" in exporter.data
        else:
            assert made.encode() in exporter.data
        provider.shutdown()


@pytest.mark.parametrize("workspaces", [("*",), ("clinic",)])
def test_a_reader_of_an_open_span_sees_a_cleaned_one(workspaces: tuple[str, ...]) -> None:
    """Under ZDR from the start, or undecided: what another thread reads is clean."""
    otel_zdr.install(otel_zdr.Settings(workspaces=workspaces))
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    exporter = CapturingSpanExporter()
    made = canary()
    span: Any = provider.get_tracer("t").start_span(made, attributes={"app.note": made})
    span.set_attribute("gen_ai.prompt", made)
    span.add_event(made, {"note": made})
    span.record_exception(ValueError(made))
    span.set_status(otel_zdr_error(made))
    exporter.export([span._readable_span()])
    exporter.requests.append(span.to_json().encode())
    exporter.requests.append(repr((span.name, dict(span.attributes), span.events, span.status)).encode())
    assert_no_content(exporter.data, [made])
    span.set_attribute("workspace.id", "clinic")
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span.end()
    assert_no_content(exporter.data, [made])


def otel_zdr_error(text: str) -> Any:
    from opentelemetry.trace.status import Status, StatusCode

    return Status(StatusCode.ERROR, text)


def test_an_undecided_span_gets_its_raw_values_back_when_it_is_not_under_zdr() -> None:
    """Identified late as another workspace, everything it wrote is exported."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    exporter = CapturingSpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    made = canary()
    span = provider.get_tracer("t").start_span(made, attributes={"app.start": made})
    span.add_event(made, {"app.event": made})
    span.set_status(otel_zdr_error(made))
    span.record_exception(ValueError(made))
    span.set_attribute("workspace.id", "studio")
    span.set_attribute("app.late", made)
    span.end()
    (exported,) = exporter.spans
    assert exported.name == made
    assert exported.status.message == made
    assert {item.key for item in exported.attributes} == {"app.start", "workspace.id", "app.late"}
    assert [event.name for event in exported.events] == [made, "exception"]
    assert exporter.data.count(made.encode()) >= 7


def test_a_span_that_tightens_late_is_cleaned_then() -> None:
    """A span of one workspace that then names a second one under ZDR."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    exporter = CapturingSpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    made = canary()
    span: Any = provider.get_tracer("t").start_span(
        made, attributes={"workspace.id": "studio", "app.note": made}
    )
    span.add_event(made)
    child: Any = provider.get_tracer("t").start_span(
        made, context=trace_context(span), attributes={"app.note": made}
    )
    assert made in child.to_json()
    span.set_attribute("workspace.id", "clinic")
    assert made not in span.to_json()
    assert made not in child.to_json(), "open children tighten with their parent"
    child.end()
    span.end()
    assert_no_content(exporter.data, [made])


def trace_context(span: Any) -> Any:
    from opentelemetry import trace as trace_api

    return trace_api.set_span_in_context(span)


def test_providers_loggers_meters_and_open_spans_from_before_the_gate_are_covered(make_pipeline: Any) -> None:
    """What existed before the installation goes through the gate as well."""
    p = make_pipeline()
    made = canary()
    span: Any = p.tracer.start_span(made, attributes={"app.note": made})
    span.add_event(made)
    counter = p.meter.create_counter("gen_ai.client.token.usage")
    otel_zdr.install()
    assert made not in span.to_json(), "open spans are taken under the gate at once"
    span.set_attribute("app.more", made)
    span.end()
    p.logger.emit(LogRecord(body=made))
    counter.add(1, {"app.note": made})
    assert_no_content(p.collect(), [made])


def test_the_live_span_object_is_clean_after_its_end() -> None:
    """Whoever keeps the live object finds nothing in it."""
    otel_zdr.install()
    provider = TracerProvider(shutdown_on_exit=False)
    made = canary()
    span = write_everywhere(provider.get_tracer("t"), made)
    assert made not in span.to_json()
    assert made not in repr(vars(span))


def test_content_is_gone_before_it_is_queued() -> None:
    """What a batch processor holds, and all that can be reached from it, is clean."""
    import gc

    otel_zdr.install()
    exporter = CapturingSpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=3_600_000))
    made = canary()
    write_everywhere(provider.get_tracer("t"), made)
    marker = made + "!"
    del made
    gc.collect()
    held = [
        item
        for item in gc.get_objects()
        if isinstance(item, dict) and any(v == marker[:-1] for v in list(item.values()) if isinstance(v, str))
    ]
    assert all("made" in item or "marker" in item for item in held if item is not globals()), (
        "something keeps the content"
    )
    provider.shutdown()
    assert_no_content(exporter.data, [marker[:-1]])


class Enricher(LogRecordProcessor):
    """A vendor's log processor that writes content, or a workspace, on the record it is handed."""

    def __init__(self, **attributes: Any) -> None:
        self.attributes = attributes

    def on_emit(self, log_record: Any) -> None:
        for key, value in self.attributes.items():
            log_record.log_record.attributes[key.replace("_", ".")] = value

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


@pytest.mark.parametrize("batch", [False, True])
def test_what_a_log_processor_writes_after_the_gate_is_cleaned_too(batch: bool) -> None:
    """Enrichment with content does not reach the exporter of a workspace under ZDR."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    made = canary()
    exporter = CapturingLogExporter()
    provider = LoggerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_log_record_processor(Enricher(app_note=made, http_route="/x"))
    provider.add_log_record_processor(
        BatchLogRecordProcessor(exporter) if batch else SimpleLogRecordProcessor(exporter)
    )
    with otel_zdr.workspace("clinic"):
        provider.get_logger("t").emit(LogRecord(body="b"))
    provider.force_flush()
    assert_no_content(exporter.data, [made])
    assert b"http.route" in exporter.data
    with otel_zdr.workspace("studio"):
        provider.get_logger("t").emit(LogRecord(body="b"))
    provider.force_flush()
    assert made.encode() in exporter.data
    provider.shutdown()


class Unreadable(LogRecord):
    """A record that fails whoever reads one part of it."""

    @property
    def severity_text(self) -> str:  # type: ignore[override]
        raise RuntimeError("unreadable")

    @severity_text.setter
    def severity_text(self, text: str) -> None:
        """The constructor's."""


def test_what_a_log_processor_writes_on_a_skeleton_meets_the_second_wall() -> None:
    """A record that could not be cleaned is as closed as any."""
    otel_zdr.install(otel_zdr.Settings())
    made = canary()
    exporter = CapturingLogExporter()
    provider = LoggerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_log_record_processor(Enricher(app_note=made))
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger("t").emit(Unreadable(body=made, attributes={"note": made}))
    (record,) = exporter.records
    assert any(attribute.key == "zdr.redacted" for attribute in record.attributes)
    assert_no_content(exporter.data, [made])
    provider.shutdown()


def test_a_workspace_that_a_log_processor_names_tightens_the_record() -> None:
    """A record that was raw so far is cleaned when an enricher says whose it is."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    made = canary()
    exporter = CapturingLogExporter()
    provider = LoggerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_log_record_processor(Enricher(workspace_id="clinic"))
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    with otel_zdr.workspace("studio"):
        provider.get_logger("t").emit(LogRecord(body=made, attributes={"app.note": made}))
    assert exporter.records
    assert_no_content(exporter.data, [made])


def test_a_record_that_is_tightened_still_says_how_many_attributes_it_had_lost() -> None:
    """As it says where nobody tightens it."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    counts = []
    for workspace in ("studio", "clinic"):
        exporter = CapturingLogExporter()
        provider = LoggerProvider(resource=Resource({}), shutdown_on_exit=False)
        provider.add_log_record_processor(Enricher(workspace_id=workspace))
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        with otel_zdr.workspace("studio"):
            attributes = {f"app.note.{number}": number for number in range(200)}
            provider.get_logger("t").emit(LogRecord(attributes=attributes))
        (record,) = exporter.records
        counts.append(record.dropped_attributes_count)
        provider.shutdown()
    # The enricher's key is one more: where all else is redacted, it replaces nothing.
    assert counts[0] - 1 <= counts[1] <= counts[0]
    assert counts[1] > 0


@pytest.mark.parametrize("processor", ["simple first", "batch first"])
def test_log_processors_registered_before_ours_see_cleaned_records(processor: str) -> None:
    """The table of the log hooks: Simple or Batch before ours."""
    otel_zdr.install()
    made = canary()
    exporter = CapturingLogExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(
        SimpleLogRecordProcessor(exporter)
        if processor == "simple first"
        else BatchLogRecordProcessor(exporter)
    )
    provider.add_log_record_processor(otel_zdr.ZDRLogRecordProcessor())
    provider.get_logger("t").emit(LogRecord(body=made, event_name=made, attributes={"a": made}))
    provider.force_flush()
    assert exporter.records
    assert_no_content(exporter.data, [made])
    provider.shutdown()


def test_a_span_built_by_hand_is_cleaned_before_the_encoder() -> None:
    """The second wall: export() called directly with what never passed the gate."""
    made = canary()

    def by_hand() -> ReadableSpan:
        from opentelemetry.sdk.trace import Event
        from opentelemetry.trace import SpanContext

        return ReadableSpan(
            name=made,
            context=SpanContext(1, 2, False),
            attributes={"app.note": made, "gen_ai.usage.input_tokens": 1111},
            events=[Event(made, {"a": made})],
            resource=Resource({"app.note": made}),
            status=otel_zdr_error(made),
            start_time=1,
            end_time=2,
        )

    before = CapturingSpanExporter()
    before.export([by_hand()])
    assert made.encode() in before.data
    otel_zdr.install()
    after = CapturingSpanExporter()
    after.export([by_hand()])
    assert_no_content(after.data, [made])
    (span,) = after.spans
    assert {item.key: item.value.int_value for item in span.attributes}["gen_ai.usage.input_tokens"] == 1111


def test_a_copy_that_a_vendor_changed_after_the_gate_is_cleaned_before_the_encoder() -> None:
    """Replacing a part of a passed span is noticed."""
    otel_zdr.install()
    made = canary()

    class Rewriter(SpanProcessor):
        def on_end(self, span: Any) -> None:
            span._attributes = {"app.note": made}
            span._name = made

    exporter = CapturingSpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Rewriter())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("t").start_span("x").end()
    assert exporter.spans
    assert_no_content(exporter.data, [made])


def test_private_writes_in_on_ending_are_cleaned() -> None:
    """A vendor that writes past the API while the span ends."""
    otel_zdr.install()
    made = canary()

    class Poker(SpanProcessor):
        def _on_ending(self, span: Any) -> None:
            span._attributes._dict["app.note"] = made
            span._status = otel_zdr_error(made)

    exporter = CapturingSpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Poker())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("t").start_span("x").end()
    assert exporter.spans
    assert_no_content(exporter.data, [made])


def test_a_writer_that_races_with_the_end_leaks_nothing() -> None:
    """300 spans that another thread writes on while they end and tighten."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    exporter = CapturingSpanExporter()
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("t")
    made = canary()
    for index in range(300):
        span = tracer.start_span("x", attributes={"workspace.id": "studio"} if index % 2 else None)
        done = threading.Event()

        def write(span: Any = span, done: threading.Event = done) -> None:
            while not done.is_set():
                span.set_attribute("app.note", made)
                span.add_event(made)

        writer = threading.Thread(target=write)
        writer.start()
        span.set_attribute("workspace.id", "clinic")
        span.end()
        done.set()
        writer.join()
    assert len(exporter.spans) == 300
    assert_no_content(exporter.data, [made])
