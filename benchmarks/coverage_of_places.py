"""Which places of an item still carry a prose canary after a system, read in the OTLP bytes.

Every place holds a canary of its own, made at run time. The exporters serialise inside ``export()``, because
a span cleaned after it was exported would look clean later. What never reaches the bytes even with no
redaction (an older SDK refuses nested maps, say) is not counted for anyone.
"""

from __future__ import annotations

import struct
import uuid
from typing import Any

import systems
import workload


class Canaries:
    """Hands out canaries and finds them again in bytes."""

    def __init__(self) -> None:
        self._wanted: dict[str, bytes] = {}

    def text(self, place: str) -> str:
        canary = "canary" + uuid.uuid4().hex
        self._wanted[place] = canary.encode()
        return f"the patient said {canary} to our nurse"

    def number(self, place: str) -> float:
        """A double that only this canary encodes to."""
        value = struct.unpack("<d", uuid.uuid4().bytes[:6] + b"\x55\x40")[0]
        self._wanted[place] = struct.pack("<d", value)
        return float(value)

    def token(self, place: str) -> str:
        """For places that take no spaces and at most 63 characters."""
        canary = "canary" + uuid.uuid4().hex
        self._wanted[place] = canary.encode()
        return canary

    def found(self, payload: bytes) -> dict[str, bool]:
        return {place: canary in payload for place, canary in self._wanted.items()}


def _span_exporter(payloads: list[bytes]) -> Any:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Serialising(SpanExporter):
        def export(self, spans: Any) -> Any:
            payloads.append(encode_spans(spans).SerializeToString())
            return SpanExportResult.SUCCESS

    return Serialising()


def _log_exporter(payloads: list[bytes]) -> Any:
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
    from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

    class Serialising(LogRecordExporter):
        def export(self, batch: Any) -> Any:
            payloads.append(encode_logs(batch).SerializeToString())
            return LogRecordExportResult.SUCCESS

        def shutdown(self) -> None:
            return None

        def force_flush(self, timeout_millis: int = 10_000) -> bool:
            return True

    return Serialising()


def _metric_exporter(payloads: list[bytes]) -> Any:
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult

    class Serialising(MetricExporter):
        def export(self, metrics_data: Any, timeout_millis: float = 10_000, **kwargs: Any) -> Any:
            payloads.append(encode_metrics(metrics_data).SerializeToString())
            return MetricExportResult.SUCCESS

        def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
            return None

        def force_flush(self, timeout_millis: float = 10_000) -> bool:
            return True

    return Serialising()


def measure(system: systems.System) -> dict[str, Any]:
    """``{"leaks": {place: bool}, "kept": [n, of]}`` over one span, two log records and a few measurements."""
    canaries = Canaries()
    spans: list[bytes] = []
    logs: list[bytes] = []
    metrics: list[bytes] = []
    span = _write_span(system, canaries, spans)
    _write_logs(system, canaries, logs)
    _write_metrics(canaries, metrics, span)
    wanted = {f"span {key}": value for key, value in workload.metadata().items()}
    wanted |= {"log gen_ai.request.model": "gpt-4o-mini", "log usage": 512}
    wanted |= {"metric gen_ai.request.model": "gpt-4o-mini", "metric sum": 512.0}
    exported = _exported(spans, logs, metrics)
    return {
        "leaks": canaries.found(b"\x00".join((*spans, *logs, *metrics))),
        "kept": [sum(exported.get(key) == value for key, value in wanted.items()), len(wanted)],
    }


def _write_span(system: systems.System, canaries: Canaries, payloads: list[bytes]) -> Any:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.trace import (
        Link,
        NonRecordingSpan,
        SpanContext,
        SpanKind,
        Status,
        StatusCode,
        TraceFlags,
        TraceState,
        set_span_in_context,
    )

    text = canaries.text

    def remote(place: str) -> SpanContext:
        return SpanContext(
            trace_id=uuid.uuid4().int,
            span_id=uuid.uuid4().int >> 64,
            is_remote=True,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
            trace_state=TraceState([("vendor", text(place))]),
        )

    provider = system.build(
        SimpleSpanProcessor,
        _span_exporter(payloads),
        shutdown_on_exit=False,
        resource=Resource({"service.name": "demo", "app.note": text("resource attribute")}),
    )
    tracer = provider.get_tracer(
        text("scope name"),
        text("scope version"),
        text("scope schema URL"),
        {"app.note": text("scope attribute")},
    )
    question, answer = workload.MESSAGE_KEYS[system.dialect]
    span = tracer.start_span(
        text("span name"),
        context=set_span_in_context(NonRecordingSpan(remote("span tracestate"))),
        kind=SpanKind.CLIENT,
        attributes={"workspace.id": system.workspace, **workload.metadata()},
        links=[Link(remote("link tracestate"), {"app.note": text("link attribute")})],
    )
    span.set_attribute(question, text("known content key"))
    span.set_attribute(answer, [text("known content key, list")])
    span.set_attribute("app.customer_note", text("unknown key"))
    span.set_attribute(text("attribute key"), 1)
    span.set_attribute("gen_ai.response.id", text("prose under a metadata key"))
    span.set_attribute("app.tags", [text("list under an unknown key")])
    span.set_attribute("app.record", {"inner": {"note": text("nested map")}})
    span.set_attribute("app.audio", text("bytes").encode())
    span.set_attribute("app.vector", [canaries.number("numeric vector"), 0.5, 0.25])
    span.add_event(
        "exception",
        {
            "exception.type": "RateLimited",
            "exception.message": text("exception message"),
            "exception.stacktrace": text("exception stack trace"),
        },
    )
    span.add_event(text("event name"), {"app.note": text("event attribute")})
    span.set_status(Status(StatusCode.ERROR, text("status description")))
    span.end()
    provider.force_flush()
    return span


def _write_logs(system: systems.System, canaries: Canaries, payloads: list[bytes]) -> None:
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
    from opentelemetry.sdk.resources import Resource

    text = canaries.text
    provider = LoggerProvider(
        Resource({"service.name": "demo", "app.note": text("log resource attribute")}), shutdown_on_exit=False
    )
    provider.add_log_record_processor(system.log_processor(SimpleLogRecordProcessor(_log_exporter(payloads))))
    logger = provider.get_logger(text("log scope name"), attributes={"app.note": text("log scope attribute")})
    workspace = {"workspace.id": system.workspace}
    logger.emit(
        LogRecord(
            timestamp=1,
            severity_number=SeverityNumber.INFO,
            severity_text=text("log severity text"),
            event_name=text("log event name"),
            body=text("log body, text"),
            attributes={
                **workspace,
                "gen_ai.request.model": "gpt-4o-mini",
                "app.note": text("log attribute"),
                text("log attribute key"): 1,
            },
        )
    )
    logger.emit(
        LogRecord(
            timestamp=1,
            severity_number=SeverityNumber.INFO,
            body={
                "message": {"content": text("log body, structured")},
                "usage": {"input_tokens": 512},
                text("log body, map key"): 1,
            },
            attributes=dict(workspace),
        )
    )


def _write_metrics(canaries: Canaries, payloads: list[bytes], span: Any) -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.metrics.view import View
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import set_span_in_context

    text = canaries.text
    reader = PeriodicExportingMetricReader(_metric_exporter(payloads), export_interval_millis=float("inf"))
    provider = MeterProvider(
        [reader],
        Resource({"service.name": "demo", "app.note": text("metric resource attribute")}),
        shutdown_on_exit=False,
        views=[
            View(instrument_name="gen_ai.client.operation.duration", attribute_keys={"gen_ai.request.model"})
        ],
    )
    meter = provider.get_meter(text("metric scope name"))
    shared = {"workspace.id": "ward-1", "gen_ai.request.model": "gpt-4o-mini"}
    tokens = meter.create_histogram(
        "gen_ai.client.token.usage",
        unit="said " + canaries.token("metric unit"),
        description=text("metric description"),
    )
    tokens.record(512, {**shared, "app.note": text("metric attribute")})
    duration = meter.create_histogram("gen_ai.client.operation.duration", unit="s")
    duration.record(
        0.5, {**shared, "app.note": text("exemplar attribute")}, context=set_span_in_context(span)
    )
    meter.create_counter("app.count." + canaries.token("metric name")).add(1, shared)
    provider.force_flush()


def _exported(spans: list[bytes], logs: list[bytes], metrics: list[bytes]) -> dict[str, Any]:
    """The metadata that stands in the bytes: ``span KEY``, ``log KEY`` and ``metric KEY`` → value."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    found: dict[str, Any] = {}

    def take(signal: str, attributes: Any) -> None:
        for attribute in attributes:
            kind = attribute.value.WhichOneof("value")
            found[f"{signal} {attribute.key}"] = kind and getattr(attribute.value, kind)

    for payload in spans:
        for resource in ExportTraceServiceRequest.FromString(payload).resource_spans:
            for span in resource.scope_spans[0].spans:
                take("span", span.attributes)
    for payload in logs:
        for resource in ExportLogsServiceRequest.FromString(payload).resource_logs:
            for record in resource.scope_logs[0].log_records:
                take("log", record.attributes)
                for pair in record.body.kvlist_value.values:
                    if pair.key == "usage":
                        found["log usage"] = pair.value.kvlist_value.values[0].value.int_value
    for payload in metrics:
        for resource in ExportMetricsServiceRequest.FromString(payload).resource_metrics:
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                if metric.name == "gen_ai.client.token.usage":
                    take("metric", metric.histogram.data_points[0].attributes)
                    found["metric sum"] = metric.histogram.data_points[0].sum
    return found
