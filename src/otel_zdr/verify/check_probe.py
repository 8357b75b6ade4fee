"""The checked process: started by :mod:`otel_zdr.verify.check` in the environment that is checked.

It activates what this environment configures, as the launcher does, then puts canaries into every place of
all three signals, through the providers that are there and through some of its own. The task comes on
standard input, the facts go to a file: standard output belongs to what is checked (console exporters).
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from otel_zdr.verify.check_places import CONFIGURED
from otel_zdr.verify.check_wire import Wire

_FLUSH_MILLIS = 10_000
_CONTENT_KEY, _UNKNOWN_KEY = "gen_ai.input.messages", "otel_zdr_check.note"
_USAGE_JSON_KEY = "langfuse.observation.usage_details"
_USAGE_KEY = "gen_ai.usage.input_tokens"


def main() -> None:
    task = json.load(sys.stdin)
    wire = Wire(task["http_port"], task["grpc_port"])
    wire.install()
    facts: dict[str, Any] = {"problems": []}
    if task["launcher"]:
        from opentelemetry.instrumentation.auto_instrumentation import initialize

        initialize()
    for module in task["imports"]:
        with _noted(facts, f"importing {module}"):
            importlib.import_module(module)
    for group in task["groups"]:
        _exercise(group, task["exporters"], facts)
    _completion_hook(task, facts)
    _flush(facts)
    _gather(facts, wire)
    with open(task["facts"], "w", encoding="utf-8") as file:
        json.dump(facts, file)
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)  # exporters that retry would hold the interpreter's end up


@contextlib.contextmanager
def _noted(facts: dict[str, Any], doing: str) -> Any:
    """A step that fails is a problem to report by type: its text may hold canaries or secrets."""
    try:
        yield
    except Exception as error:
        facts["problems"].append(f"{doing}: {type(error).__name__}")


def _exercise(group: Mapping[str, Any], exporters: Mapping[str, str], facts: dict[str, Any]) -> None:
    """`group`: whose canaries these are: `pipeline`, `key`, `workspace` (or None), `canaries` by place."""
    canaries: dict[str, str] = group["canaries"]
    identity = {group["key"]: group["workspace"]} if group["workspace"] is not None else {}
    pipeline = _configured() if group["pipeline"] == CONFIGURED else _own(exporters, canaries)
    for signal, send in (("traces", _traces), ("logs", _logs), ("metrics", _metrics)):
        with _noted(facts, f"{group['pipeline']} {signal}"):
            send(pipeline, canaries, identity)
    # Last and alone: an exporter that cannot encode these drops everything that is queued with them.
    with _noted(facts, f"{group['pipeline']} traces of unusual values"):
        _flush_one(pipeline.tracers, facts)
        _unusual(pipeline, canaries, identity)
    _flush_one(pipeline.tracers, facts)
    pipeline.end()


class _Pipeline:
    """Providers, and what only a pipeline of our own lets us reach."""

    def __init__(self, tracers: Any, loggers: Any, meters: Any) -> None:
        self.tracers, self.loggers, self.meters = tracers, loggers, meters
        self.span_exporter: Any = None
        self.end: Callable[[], None] = lambda: None
        self.configured = True


def _configured() -> _Pipeline:
    from opentelemetry import _logs, metrics, trace

    return _Pipeline(trace.get_tracer_provider(), _logs.get_logger_provider(), metrics.get_meter_provider())


def _own(exporters: Mapping[str, str], canaries: Mapping[str, str]) -> _Pipeline:
    """Providers that an application makes by hand, with exporters of its own."""
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
    from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.metrics.view import View
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    def resource(signal: str) -> Any:
        note = canaries[f"{signal}: resource attribute"]
        return Resource({"service.name": "otel-zdr-check", _UNKNOWN_KEY: note})

    span_exporter = OTLPSpanExporter(endpoint=exporters["traces"])
    tracers = TracerProvider(resource=resource("traces"), shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(span_exporter))
    loggers = LoggerProvider(resource=resource("logs"), shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint=exporters["logs"])))
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=exporters["metrics"]), export_interval_millis=3_600_000
    )
    meters = MeterProvider(
        metric_readers=[reader],
        resource=resource("metrics"),
        shutdown_on_exit=False,
        exemplar_filter=AlwaysOnExemplarFilter(),
        # What a view drops from the attributes reappears in exemplars.
        views=[View(instrument_name=_VIEWED, attribute_keys={"gen_ai.operation.name"})],
    )
    pipeline = _Pipeline(tracers, loggers, meters)
    pipeline.span_exporter = span_exporter
    pipeline.configured = False

    def end() -> None:
        meters.force_flush(_FLUSH_MILLIS)
        for provider in (tracers, loggers, meters):
            provider.shutdown()

    pipeline.end = end
    return pipeline


_VIEWED = "gen_ai.client.operation.duration"


def _traces(pipeline: _Pipeline, canaries: Mapping[str, str], identity: Mapping[str, str]) -> None:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags

    def of(place: str) -> str:
        return canaries[f"traces: {place}"]

    def remote(state: str) -> SpanContext:
        states = trace.TraceState([("otelzdrcheck", state)])
        return SpanContext(
            0x1F2E3D4C5B6A79881F2E3D4C5B6A7988, 0x1F2E3D4C5B6A7988, True, TraceFlags(1), states
        )

    tracer = pipeline.tracers.get_tracer(
        of("scope name"),
        of("scope version"),
        schema_url=f"https://example.test/{of('scope schema URL')}",
        attributes={_UNKNOWN_KEY: of("scope attribute")},
    )
    parent = trace.set_span_in_context(NonRecordingSpan(remote(of("trace state"))), Context())
    span = tracer.start_span(
        of("span name"),
        context=parent,
        attributes={
            **identity,
            _CONTENT_KEY: of("attribute of a content key"),
            _UNKNOWN_KEY: of("attribute of an unknown key"),
        },
        links=[Link(remote(of("trace state of a link")), {_UNKNOWN_KEY: of("link attribute")})],
    )
    span.set_attribute(f"otel_zdr_check.{of('attribute key')}", 1)
    span.set_attribute("otel_zdr_check.list", [of("list of texts")] * 2)
    span.set_attribute("otel_zdr_check.vector", [float(part) for part in of("numeric vector").split(",")])
    beside = {"input": 3, "output": 5, "note": of("text beside usage in JSON")}
    span.set_attribute(_USAGE_JSON_KEY, json.dumps(beside))
    span.set_attribute(_USAGE_KEY, of("text under a key of usage"))
    span.add_event(of("event name"), {_UNKNOWN_KEY: of("event attribute")})
    try:
        raise ValueError(of("exception message"))
    except ValueError as error:
        span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, of("status description")))
    span.end()
    if pipeline.span_exporter is not None:
        pipeline.span_exporter.export([_made_by_hand(of("span given to the exporter itself"), identity)])


def _unusual(pipeline: _Pipeline, canaries: Mapping[str, str], identity: Mapping[str, str]) -> None:
    tracer = pipeline.tracers.get_tracer("otel_zdr_check")
    values = {
        "otel_zdr_check.map": {"inner": {"note": canaries["traces: nested map"]}},
        "otel_zdr_check.bytes": canaries["traces: bytes"].encode(),
    }
    for key, value in values.items():
        span = tracer.start_span("check", attributes=identity)
        span.set_attribute(key, value)
        span.end()


def _made_by_hand(text: str, identity: Mapping[str, str]) -> Any:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, TraceFlags

    context = SpanContext(0x2F2E3D4C5B6A79881F2E3D4C5B6A7988, 0x2F2E3D4C5B6A7988, False, TraceFlags(1))
    attributes = {**identity, _UNKNOWN_KEY: text}
    resource = Resource({"service.name": "otel-zdr-check"})
    return ReadableSpan(
        text, context=context, attributes=attributes, resource=resource, start_time=1, end_time=2
    )


def _logs(pipeline: _Pipeline, canaries: Mapping[str, str], identity: Mapping[str, str]) -> None:
    import inspect

    from opentelemetry._logs import LogRecord, SeverityNumber

    def of(place: str) -> str:
        return canaries[f"logs: {place}"]

    logger = pipeline.loggers.get_logger(of("scope name"), of("scope version"))
    given: dict[str, Any] = {
        "timestamp": 1_700_000_000_000_000_000,
        "severity_number": SeverityNumber.ERROR,
        "severity_text": of("severity text"),
        "body": of("body, text"),
        "event_name": of("event name"),
        "attributes": {
            **identity,
            _UNKNOWN_KEY: of("attribute"),
            f"otel_zdr_check.{of('attribute key')}": 1,
        },
    }
    if "exception" in inspect.signature(LogRecord.__init__).parameters:
        given["exception"] = ValueError(of("exception object"))
    logger.emit(LogRecord(**given))
    body: Any = {"parts": [{"content": of("body, structured")}], of("key in a structured body"): 1}
    logger.emit(
        LogRecord(
            timestamp=given["timestamp"], severity_number=SeverityNumber.INFO, body=body, attributes=identity
        )
    )
    if pipeline.configured:
        _logging(of, identity)


def _logging(of: Callable[[str], str], identity: Mapping[str, str]) -> None:
    logger = logging.getLogger("otel_zdr_check")
    # A handler of last resort would print: the application's own handlers are outside the promise.
    logger.addHandler(logging.NullHandler())
    logger.warning("checked: %s", of("argument of logging"), extra=dict(identity))
    logger.warning("checked", extra={**identity, _UNKNOWN_KEY: of("extra of logging")})
    try:
        raise ValueError(of("exception of logging"))
    except ValueError:
        logger.exception("checked", extra=dict(identity))


def _metrics(pipeline: _Pipeline, canaries: Mapping[str, str], identity: Mapping[str, str]) -> None:
    from opentelemetry.metrics import CallbackOptions, Observation

    def of(place: str) -> str:
        return canaries[f"metrics: {place}"]

    # Names and descriptions belong to one instrument a meter: two groups may not share a meter.
    meter = pipeline.meters.get_meter(of("scope name"))
    attributes = {
        **identity,
        _UNKNOWN_KEY: of("attribute"),
        f"otel_zdr_check.{of('attribute key')}": 1,
    }
    meter.create_counter(of("instrument name")).add(1, dict(identity))
    tokens = meter.create_histogram(
        "gen_ai.client.token.usage", unit=of("unit"), description=of("description")
    )
    tokens.record(3, attributes)
    if "metrics: exemplar" in canaries:
        meter.create_histogram(_VIEWED).record(
            1.5, {**identity, _UNKNOWN_KEY: of("exemplar"), "gen_ai.operation.name": "chat"}
        )
    observed = {**identity, _UNKNOWN_KEY: of("attribute of an observation")}

    def observe(_options: CallbackOptions) -> list[Observation]:
        return [Observation(1, observed)]

    meter.create_observable_gauge("process.cpu.utilization", callbacks=[observe])


def _completion_hook(task: Mapping[str, Any], facts: dict[str, Any]) -> None:
    """Content for a hook passes no span: the one that is configured is called as clients call it."""
    if task["hook_canary"] is None or not os.environ.get("OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK"):
        return
    with _noted(facts, "the completion hook"):
        from opentelemetry import trace
        from opentelemetry.util.genai import types  # type: ignore[import-not-found,unused-ignore]
        from opentelemetry.util.genai.completion_hook import (  # type: ignore[import-not-found,unused-ignore]
            load_completion_hook,
        )

        text = types.Text(content=task["hook_canary"])
        tracer = trace.get_tracer("otel_zdr_check")
        with tracer.start_as_current_span("chat", attributes=task["hook_identity"]) as span:
            load_completion_hook().on_completion(
                inputs=[types.InputMessage(role="user", parts=[text])],
                outputs=[],
                system_instruction=[],
                span=span,
                log_record=None,
            )
        facts["hook"] = True


def _flush(facts: dict[str, Any]) -> None:
    from opentelemetry import _logs, metrics, trace

    for provider in (trace.get_tracer_provider(), _logs.get_logger_provider(), metrics.get_meter_provider()):
        _flush_one(provider, facts)
    pulled = sys.modules.get("prometheus_client")
    if pulled is not None:
        with _noted(facts, "reading what Prometheus would"):
            facts["scraped"] = pulled.generate_latest().decode("utf-8", "replace")


def _flush_one(provider: Any, facts: dict[str, Any]) -> None:
    flush = getattr(provider, "force_flush", None)
    if callable(flush):
        with _noted(facts, f"flushing {type(provider).__name__}"):
            flush(_FLUSH_MILLIS)


def _gather(facts: dict[str, Any], wire: Wire) -> None:
    from otel_zdr.verify import check_bypasses

    with _noted(facts, "looking at the pipeline"):
        facts["gate"] = check_bypasses.gate_state()
        facts["uploads"] = check_bypasses.uploads()
        facts["pipeline"] = check_bypasses.pipeline_facts()
    facts["redirected"] = sorted(wire.redirected)
    facts["refused"] = sorted(wire.refused)
    facts["written"] = sorted(wire.written)


if __name__ == "__main__":
    main()
