"""Real exporters and processors behind the gate, and what the gate adds to them: evidence, tightening, closing."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import metrics as metrics_api
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    ConsoleLogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    InMemoryMetricReader,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_zdr
from otel_zdr.testing import CapturingSpanExporter, assert_no_content, canary
from tests.receiver import Receiver, receiver
from tests.sdk.environments import clean_environ

HOUR = 3_600_000


@pytest.fixture
def sink() -> Iterator[Receiver]:
    with receiver() as state:
        yield state


class Signals:
    """Providers of all three signals over given exporters."""

    def __init__(self, spans: Any, logs: Any, metrics: Any, resource: dict[str, Any] | None = None) -> None:
        made = Resource(resource or {"service.name": "test"})
        self.tracers = TracerProvider(resource=made, shutdown_on_exit=False)
        self.tracers.add_span_processor(BatchSpanProcessor(spans))
        self.loggers = LoggerProvider(resource=made, shutdown_on_exit=False)
        self.loggers.add_log_record_processor(BatchLogRecordProcessor(logs))
        reader = PeriodicExportingMetricReader(metrics, export_interval_millis=HOUR)
        self.meters = MeterProvider(metric_readers=[reader], resource=made, shutdown_on_exit=False)

    def use(self, text: str) -> None:
        attributes = {"app.note": text, "gen_ai.usage.input_tokens": 1111}
        with self.tracers.get_tracer("otel_zdr").start_as_current_span(text, attributes=attributes) as span:
            span.add_event(text, {"note": text})
            self.loggers.get_logger("otel_zdr").emit(LogRecord(body=text, attributes={"app.note": text}))
        counter = self.meters.get_meter("otel_zdr").create_counter("gen_ai.client.token.usage")
        counter.add(5, {"app.note": text, "gen_ai.token.type": "input"})

    def flush(self) -> None:
        for provider in (self.tracers, self.loggers, self.meters):
            assert provider.force_flush(10_000)

    def shutdown(self) -> None:
        for provider in (self.tracers, self.loggers, self.meters):
            provider.shutdown()


def over_http(sink: Receiver) -> Signals:
    return Signals(
        HttpSpanExporter(endpoint=f"{sink.endpoint}/v1/traces"),
        HttpLogExporter(endpoint=f"{sink.endpoint}/v1/logs"),
        HttpMetricExporter(endpoint=f"{sink.endpoint}/v1/metrics"),
    )


def over_grpc(sink: Receiver) -> Signals:
    endpoint = sink.grpc_endpoint
    return Signals(
        GrpcSpanExporter(endpoint=endpoint, insecure=True),
        GrpcLogExporter(endpoint=endpoint, insecure=True),
        GrpcMetricExporter(endpoint=endpoint, insecure=True),
    )


@pytest.mark.parametrize("gate", [True, False], ids=["zdr", "raw"])
@pytest.mark.parametrize("over", [over_http, over_grpc], ids=["http", "grpc"])
def test_what_arrives_over_the_wire_is_clean_and_complete(sink: Receiver, over: Any, gate: bool) -> None:
    """Real OTLP exporters, both protocols, all signals."""
    if gate:
        otel_zdr.install()
    text = canary()
    signals = over(sink)
    signals.use(text)
    signals.flush()
    signals.shutdown()
    for signal in ("traces", "logs", "metrics"):
        assert sink.received[signal]
        if gate:
            assert_no_content(sink.of(signal), [text])
        else:
            assert text.encode() in sink.of(signal)
    assert b"gen_ai.usage.input_tokens" in sink.of("traces")
    assert b"gen_ai.token.type" in sink.of("metrics")


@pytest.mark.parametrize("gate", [True, False], ids=["zdr", "raw"])
def test_what_the_console_shows_is_clean(gate: bool) -> None:
    """The console exporters format items themselves: no OTLP encoder stands before them."""
    if gate:
        otel_zdr.install()
    text, out = canary(), io.StringIO()
    signals = Signals(
        ConsoleSpanExporter(out=out), ConsoleLogRecordExporter(out=out), ConsoleMetricExporter(out=out)
    )
    signals.use(text)
    signals.flush()
    signals.shutdown()
    shown = out.getvalue()
    assert (text not in shown) is gate
    assert '"name": "gen_ai.client.token.usage"' in shown
    assert '"gen_ai.usage.input_tokens": 1111' in shown


@pytest.mark.parametrize("gate", [True, False], ids=["zdr", "raw"])
def test_what_an_in_memory_exporter_keeps_is_clean(gate: bool) -> None:
    """Everything reachable from the objects that it holds, private parts included."""
    if gate:
        otel_zdr.install()
    text = canary()
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    with tracers.get_tracer("t").start_as_current_span(text, attributes={"app.note": text}) as span:
        span.record_exception(ValueError(text))
        meters.get_meter("t").create_counter("gen_ai.client.token.usage").add(1, {"app.note": text})
    (kept,) = exporter.get_finished_spans()
    assert (text not in kept.to_json() + repr(reachable(kept)) + repr(reader.get_metrics_data())) is gate
    meters.shutdown()


def reachable(item: Any, depth: int = 6) -> Any:
    """What can be reached from an object through its attributes and elements."""
    if depth == 0 or isinstance(item, (str, int, float, bytes, type(None))):
        return item
    if isinstance(item, dict):
        return {str(key): reachable(value, depth - 1) for key, value in item.items()}
    if isinstance(item, (list, tuple)) or type(item).__name__ == "deque":
        return [reachable(value, depth - 1) for value in item]
    inner = getattr(item, "__dict__", None)
    return reachable(dict(inner), depth - 1) if inner else type(item).__name__


class Ordered(SpanProcessor):
    """Notes what it is asked, and when."""

    def __init__(self, name: str, calls: list[tuple[str, str]], pause: float = 0) -> None:
        self.name, self.calls, self.pause = name, calls, pause

    def _note(self, hook: str) -> None:
        time.sleep(self.pause)
        self.calls.append((self.name, hook))

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self._note("on_start")

    def on_end(self, span: Any) -> None:
        self._note("on_end")

    def shutdown(self) -> None:
        self._note("shutdown")

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        self._note("force_flush")
        return True


@pytest.mark.parametrize("gate", [True, False], ids=["zdr", "raw"])
def test_processors_are_called_in_the_same_order_as_without_the_gate(gate: bool) -> None:
    """Start, end, flush and shutdown, each once and in the order of registration."""
    if gate:
        otel_zdr.install()
    calls: list[tuple[str, str]] = []
    provider = TracerProvider(shutdown_on_exit=False)
    for name in ("first", "second"):
        provider.add_span_processor(Ordered(name, calls))
    provider.get_tracer("t").start_span("x").end()
    provider.force_flush()
    provider.shutdown()
    provider.get_tracer("t").start_span("x").end()
    hooks = ["on_start", "on_end", "force_flush", "shutdown"]
    assert calls[:8] == [(name, hook) for hook in hooks for name in ("first", "second")]


def test_concurrent_processors_see_clean_spans_and_are_waited_for() -> None:
    """A slow vendor beside an exporter, each in a thread of its own."""
    otel_zdr.install()
    text, calls = canary(), []
    exporters = [CapturingSpanExporter() for _ in range(3)]
    provider = TracerProvider(active_span_processor=ConcurrentMultiSpanProcessor(4), shutdown_on_exit=False)
    provider.add_span_processor(Ordered("slow", calls, pause=0.02))
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    for _ in range(10):
        provider.get_tracer("t").start_span(text, attributes={"app.note": text}).end()
    assert provider.force_flush()
    provider.shutdown()
    for exporter in exporters:
        assert len(exporter.spans) == 10
        assert_no_content(exporter.data, [text])
    assert calls.count(("slow", "on_end")) == 10


def test_shutdown_exports_what_is_queued_and_it_is_clean() -> None:
    """Ended but not yet exported spans leave at shutdown."""
    otel_zdr.install()
    text, exporter = canary(), CapturingSpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=HOUR))
    for _ in range(5):
        provider.get_tracer("t").start_span(text).end()
    provider.shutdown()
    assert len(exporter.spans) == 5
    assert_no_content(exporter.data, [text])


FORK = """
import os, sys
import otel_zdr
if os.environ["ZDR"] == "on":
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
text = os.environ["CANARY"]
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("app")
under = tracer.start_span(text, attributes={"workspace.id": "clinic", "app.note": text})
undecided = tracer.start_span(text, attributes={"app.note": text})
child = os.fork()
where = "child" if child == 0 else "parent"
for span in (under, undecided):
    span.set_attribute("gen_ai.request.model", where)
    span.set_attribute("app.note", text)
    span.add_event(text)
undecided.set_attribute("workspace.id", "clinic")
for span in (under, undecided):
    span.end()
tracer.start_span(text, attributes={"workspace.id": "clinic", "gen_ai.request.model": where}).end()
provider.force_flush()
if child == 0:
    os._exit(0)
_, status = os.waitpid(child, 0)
provider.shutdown()
sys.exit(status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("zdr", ["on", "off"])
def test_spans_that_are_open_across_a_fork_are_clean_in_both_processes(
    sink: Receiver, tmp_path: Path, zdr: str
) -> None:
    """One under ZDR and one not decided yet; each process ends its own copy and makes new ones."""
    text = canary()
    done = subprocess.run(
        [sys.executable, "-c", FORK],
        env={**clean_environ(), "CANARY": text, "ZDR": zdr, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    data = sink.of("traces")
    assert data.count(b"parent") >= 3
    assert data.count(b"child") >= 3
    assert (text.encode() not in data) is (zdr == "on")


# --- evidence ---------------------------------------------------------------------------------


EVIDENCE = """
import os
import otel_zdr
otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
from opentelemetry import metrics
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
text = os.environ["CANARY"]
reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=3_600_000)
metrics.set_meter_provider(MeterProvider(metric_readers=[reader], shutdown_on_exit=False))
tracer = TracerProvider(shutdown_on_exit=False).get_tracer("app")
for index in range(300):
    span = tracer.start_span(f"{text} {index}", attributes={"workspace.id": "clinic", "gen_ai.prompt": text})
    span.set_attribute(f"{text} {index}", text)
    span.record_exception(ValueError(text))
    span.end()
metrics.get_meter_provider().force_flush()
"""


def test_evidence_metrics_arrive_with_bounded_attributes_and_true_figures(
    sink: Receiver, tmp_path: Path
) -> None:
    """``zdr.removed.values``: sums of content classes by signal, however many keys and names there were."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    text = canary()
    done = subprocess.run(
        [sys.executable, "-c", EVIDENCE],
        env={**clean_environ(), "CANARY": text, "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert_no_content(sink.of("metrics"), [text])
    points: dict[tuple[str, str], float] = {}
    for body in sink.received["metrics"]:
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == "zdr.removed.values":
                        assert metric.sum.is_monotonic
                        for point in metric.sum.data_points:
                            found = {item.key: item.value.string_value for item in point.attributes}
                            assert set(found) == {"zdr.class", "zdr.signal"}
                            points[found["zdr.class"], found["zdr.signal"]] = point.as_int or point.as_double
    print(points)
    assert points["prompt", "span"] == 300
    assert points["error_text", "span"] == 300
    assert points["free_text", "span"] == 600
    assert len(points) <= 5


# --- tightening and closing -----------------------------------------------------------------------


def policy_file(path: Path, version: int, zdr: bool) -> None:
    text = f"version = {version}\n[workspaces.studio]\nzdr = {str(zdr).lower()}\n"
    made = path.with_suffix(".new")
    made.write_text(text)
    made.chmod(0o600)
    made.rename(path)


@pytest.mark.parametrize("tighten", [True, False], ids=["tightened", "unchanged"])
def test_series_stored_before_a_policy_tightened_are_clean_at_the_next_collection(
    make_pipeline: Any, tmp_path: Path, tighten: bool
) -> None:
    """Cumulative series keep their attributes for ever: they go, or are keyed anew."""
    path = tmp_path / "policy.toml"
    policy_file(path, 1, zdr=False)
    otel_zdr.install(otel_zdr.Settings(policy_file=str(path)))
    p, text = make_pipeline({"service.name": "test", "workspace.id": "studio"}), canary()
    counter = p.meter.create_counter("gen_ai.client.token.usage")
    counter.add(1, {"app.note": text})
    histogram = p.meter.create_histogram("gen_ai.client.operation.duration")
    histogram.record(1, {"app.note": text, "gen_ai.request.model": "m"})
    counter.add(7, {"gen_ai.request.model": "kept"})
    p.collect()
    assert text.encode() in p.metric_exporter.data, "the control"
    p.metric_exporter.clear()
    if tighten:
        policy_file(path, 2, zdr=True)
        deadline = time.monotonic() + 10
        while not under_zdr() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert under_zdr()
    counter.add(1, {"app.note": text, "gen_ai.request.model": "later"})
    p.collect()
    data = p.metric_exporter.data
    assert (text.encode() not in data) is tighten
    assert b"kept" in data
    assert b"later" in data


def under_zdr() -> bool:
    from otel_zdr.sdk.decision import content_allowed

    with otel_zdr.workspace("studio"):
        return not content_allowed()


def test_a_closed_gate_lets_nothing_of_any_signal_by(make_pipeline: Any) -> None:
    """After a setting that is not allowed: old and new providers, open spans, observable instruments."""
    p = make_pipeline()
    observed: list[int] = []

    def observe(_options: Any) -> list[metrics_api.Observation]:
        observed.append(1)
        return [metrics_api.Observation(1)]

    p.meter.create_observable_gauge("process.memory.usage", [observe])
    text = canary()
    before = p.tracer.start_span(text)
    counter = p.meter.create_counter("gen_ai.client.token.usage")
    counter.add(1, {"app.note": text})
    with pytest.raises(otel_zdr.ConfigurationError):
        otel_zdr.install(otel_zdr.Settings(workspaces=("a*",)))
    after = make_pipeline()
    before.end()
    counter.add(1)
    for pipeline in (p, after):
        with pipeline.tracer.start_as_current_span(text, attributes={"gen_ai.usage.input_tokens": 1}):
            pipeline.logger.emit(LogRecord(body=text))
        pipeline.meter.create_counter("gen_ai.client.operation.duration").add(1)
        pipeline.collect()
        assert not pipeline.span_exporter.spans
        assert not pipeline.log_exporter.records
        assert not pipeline.metric_exporter.metrics


def test_without_a_mistake_the_same_items_are_exported(make_pipeline: Any) -> None:
    """The positive control of the closed gate."""
    otel_zdr.install()
    p = make_pipeline()
    with p.tracer.start_as_current_span("x"):
        p.logger.emit(LogRecord(body="x"))
    p.meter.create_counter("gen_ai.client.operation.duration").add(1)
    p.collect()
    assert p.span_exporter.spans
    assert p.log_exporter.records
    assert p.metric_exporter.metrics


def test_a_simple_log_processor_and_json_output_agree_on_what_is_clean() -> None:
    """One record to two exporters: the same cleaned record."""
    otel_zdr.install()
    text, out = canary(), io.StringIO()
    loggers = LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(ConsoleLogRecordExporter(out=out)))
    loggers.get_logger("otel_zdr").emit(LogRecord(body=text, attributes={"gen_ai.usage.input_tokens": 3}))
    shown = json.loads(out.getvalue())
    assert shown["body"] is None
    assert shown["attributes"]["gen_ai.usage.input_tokens"] == 3
    assert text not in out.getvalue()


def test_the_evidence_that_spans_share_is_encoded_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the span's own attributes, beside the count of those that the limits dropped; also the second time."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2")
    otel_zdr.install()
    exporter = CapturingSpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    for tokens in (3, 4):
        span = tracer.start_span("chat")
        for number, key in enumerate(("input", "output", "total")):
            span.set_attribute(f"gen_ai.usage.{key}_tokens", tokens + number)
        span.set_attribute("app.note", canary())
        span.end()
    for span, tokens in zip(exporter.spans, (3, 4), strict=True):
        values = {attribute.key: attribute.value for attribute in span.attributes}
        assert list(values)[:3] == ["gen_ai.usage.output_tokens", "gen_ai.usage.total_tokens", "zdr.redacted"]
        assert len(values) == len(span.attributes)
        assert values["gen_ai.usage.total_tokens"].int_value == tokens + 2
        assert [item.string_value for item in values["zdr.removed"].array_value.values] == ["free_text:1"]
        assert span.dropped_attributes_count == 1
        assert span.name == "chat"
