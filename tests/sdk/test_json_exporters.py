"""The official OTLP exporters that send or write JSON: what passed the gate, and the second wall before their encoders."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadableLogRecord
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricsData,
    NumberDataPoint,
    PeriodicExportingMetricReader,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

import otel_zdr
from otel_zdr.testing import assert_no_content, canary
from tests.receiver import receiver
from tests.sdk.environments import clean_environ

json_http = pytest.importorskip(
    "opentelemetry.exporter.otlp.json.http", reason="the JSON exporters need SDK 1.42 or newer"
)
json_file = pytest.importorskip("opentelemetry.exporter.otlp.json.file", reason="as above")


class Way:
    """The three exporters of a kind, and what they have let out."""

    def __init__(self, spans: Any, logs: Any, metrics: Any, shown: Callable[[], bytes]) -> None:
        self.spans, self.logs, self.metrics, self.shown = spans, logs, metrics, shown


@pytest.fixture(params=["http", "file"])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    if request.param == "file":
        from opentelemetry.exporter.otlp.json.file._log_exporter import FileLogExporter
        from opentelemetry.exporter.otlp.json.file.metric_exporter import FileMetricExporter
        from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter

        out = io.StringIO()
        exporters = (
            FileSpanExporter(stream=out),
            FileLogExporter(stream=out),
            FileMetricExporter(stream=out),
        )
        yield Way(*exporters, lambda: out.getvalue().encode())
        return
    from opentelemetry.exporter.otlp.json.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.json.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter

    with receiver() as sink:
        yield Way(
            OTLPSpanExporter(endpoint=f"{sink.endpoint}/v1/traces"),
            OTLPLogExporter(endpoint=f"{sink.endpoint}/v1/logs"),
            OTLPMetricExporter(endpoint=f"{sink.endpoint}/v1/metrics"),
            lambda: b"\n".join(body for bodies in sink.received.values() for body in bodies),
        )


GATE = pytest.mark.parametrize("gate", [True, False], ids=["zdr", "raw"])


def judge(data: bytes, text: str, gate: bool) -> None:
    """Without the gate everything is there, with it the metadata only; what is there is JSON in both."""
    for line in data.splitlines():
        json.loads(line)
    if gate:
        assert_no_content(data, [text])
    else:
        assert text.encode() in data


@GATE
def test_what_goes_through_the_gate_arrives_clean_and_complete(way: Way, gate: bool) -> None:
    if gate:
        otel_zdr.install()
    text = canary()
    tracers, loggers = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(way.spans))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(way.logs))
    reader = PeriodicExportingMetricReader(way.metrics, export_interval_millis=3_600_000)
    meters = MeterProvider([reader], shutdown_on_exit=False)
    attributes = {"app.note": text, "gen_ai.usage.input_tokens": 1111}
    with tracers.get_tracer("otel_zdr").start_as_current_span(text, attributes=attributes) as span:
        span.add_event(text, {"note": text})
        span.record_exception(ValueError(text))
        loggers.get_logger("otel_zdr").emit(LogRecord(body={"said": text}, attributes=attributes))
    meters.get_meter("otel_zdr").create_counter("gen_ai.client.token.usage").add(
        77, {"app.note": text, "gen_ai.token.type": "input"}
    )
    assert meters.force_flush(10_000)
    data = way.shown()
    judge(data, text, gate)
    assert data.count(b"1111") == 2
    assert b"gen_ai.client.token.usage" in data
    assert b"gen_ai.token.type" in data
    assert (data.count(b"zdr.policy.version") == 2) is gate
    meters.shutdown()


def span_by_hand(text: str, workspace: dict[str, str] | None = None) -> ReadableSpan:
    return ReadableSpan(
        name=text,
        context=SpanContext(1, 2, False, TraceFlags(1)),
        attributes={"app.note": text, "gen_ai.usage.input_tokens": 1111, **(workspace or {})},
        events=[Event(text, {"a": text})],
        resource=Resource({"app.note": text}),
        status=Status(StatusCode.ERROR, text),
        start_time=1,
        end_time=2,
        instrumentation_scope=InstrumentationScope(text),
    )


def record_by_hand(text: str, workspace: dict[str, str] | None = None) -> ReadableLogRecord:
    attributes = {"app.note": text, "gen_ai.usage.input_tokens": 1111, **(workspace or {})}
    made = LogRecord(timestamp=1, body=text, event_name=text, severity_text=text, attributes=attributes)
    return ReadableLogRecord(made, Resource({"app.note": text}), InstrumentationScope(text))


def metrics_by_hand(text: str, workspace: dict[str, str] | None = None) -> MetricsData:
    def counted(name: str) -> Metric:
        point = NumberDataPoint({"app.note": text, **(workspace or {})}, 1, 2, 1111)
        return Metric(name, text, text, Sum([point], AggregationTemporality.CUMULATIVE, True))

    scope = ScopeMetrics(
        InstrumentationScope(text), [counted(text), counted("gen_ai.client.token.usage")], text
    )
    return MetricsData([ResourceMetrics(Resource({"app.note": text}), [scope], "")])


def export_by_hand(way: Way, text: str, workspace: dict[str, str] | None = None) -> None:
    way.spans.export([span_by_hand(text, workspace)])
    way.logs.export([record_by_hand(text, workspace)])
    way.metrics.export(metrics_by_hand(text, workspace))


@GATE
def test_what_never_passed_the_gate_is_cleaned_before_the_encoder(way: Way, gate: bool) -> None:
    """export() called directly with items built by hand, in exporters that were there before the gate."""
    text = canary()
    if gate:
        otel_zdr.install()
    export_by_hand(way, text)
    data = way.shown()
    judge(data, text, gate)
    assert data.count(b"1111") == (3 if gate else 4)  # the counter of an unknown name is not exported
    assert b"gen_ai.client.token.usage" in data


def test_what_is_built_by_hand_for_a_workspace_that_is_not_under_zdr_passes(way: Way) -> None:
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    studio, clinic = canary(), canary()
    export_by_hand(way, studio, {"workspace.id": "studio"})
    export_by_hand(way, clinic, {"workspace.id": "clinic"})
    assert_no_content(way.shown(), [clinic])
    assert way.shown().count(studio.encode()) > 6


class Writer(SpanProcessor, LogRecordProcessor):
    """A vendor's processor that writes past the gate into what the next one exports."""

    def __init__(self, text: str) -> None:
        self.text = text

    def on_end(self, span: ReadableSpan) -> None:
        span._name = self.text
        span._attributes = {"note": self.text, "gen_ai.usage.input_tokens": 1111}

    def on_emit(self, log_record: Any) -> None:
        log_record.log_record.body = self.text


@GATE
def test_what_a_processor_writes_after_the_gate_is_cleaned_before_the_encoder(way: Way, gate: bool) -> None:
    if gate:
        otel_zdr.install()
    text = canary()
    tracers, loggers = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(Writer(text))
    tracers.add_span_processor(SimpleSpanProcessor(way.spans))
    loggers.add_log_record_processor(Writer(text))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(way.logs))
    tracers.get_tracer("t").start_span("chat").end()
    loggers.get_logger("t").emit(LogRecord(attributes={"gen_ai.usage.input_tokens": 1111}))
    judge(way.shown(), text, gate)
    assert way.shown().count(b"1111") == 2


def test_a_closed_gate_lets_nothing_built_by_hand_through(way: Way) -> None:
    with pytest.raises(otel_zdr.ConfigurationError):
        otel_zdr.install(otel_zdr.Settings(workspaces=("a*",)))
    text = canary()
    export_by_hand(way, text)
    assert_no_content(way.shown(), [text])
    assert b"1111" not in way.shown()
    assert b"gen_ai" not in way.shown()


MISFIT = """
import importlib, os
package = "opentelemetry.exporter.otlp.json.common._internal"
delattr(importlib.import_module(f"{package}.{os.environ['MODULE']}"), os.environ["FUNCTION"])
if os.environ["GATE"]:
    import otel_zdr
    otel_zdr.install()
from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
tracers = TracerProvider()
tracers.add_span_processor(SimpleSpanProcessor(FileSpanExporter()))
tracers.get_tracer("t").start_span(os.environ["CANARY"]).end()
print("done")
"""


@GATE
@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("trace_encoder", "_encode_resource_spans"),
        ("_log_encoder", "_encode_resource_logs"),
        ("metrics_encoder", "_encode_resource_metrics"),
    ],
)
def test_an_encoder_that_the_wall_does_not_fit_means_telemetry_off(
    module: str, function: str, gate: bool
) -> None:
    """A function that all items go through is missing: nothing is exported, and a line says why."""
    text = canary()
    more = {"CANARY": text, "MODULE": module, "FUNCTION": function, "GATE": "1" if gate else ""}
    done = subprocess.run(
        [sys.executable, "-c", MISFIT], env={**clean_environ(), **more}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    if gate:
        assert done.stdout == "done\n"
        assert f"{function} is missing); telemetry is off" in done.stderr
    elif module != "trace_encoder":  # which cannot encode at all
        assert text in done.stdout
