"""Whatever is written, wherever: under ZDR no canary leaves; not under ZDR not one byte changes."""

from __future__ import annotations

import base64
import importlib.metadata
import json
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace as trace_api
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, SpanContext, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

import otel_zdr
from otel_zdr import catalogue
from otel_zdr.testing import (
    CapturingLogExporter,
    CapturingMetricExporter,
    CapturingSpanExporter,
    canary,
    uninstall,
)
from otel_zdr.verify.canary import Search

#: One a run: hypothesis repeats examples, and a proven literal cannot be made at run time.
CANARY = canary("property")
SEARCH = Search([CANARY], fragments=False)

SDK_VERSION = tuple(map(int, importlib.metadata.version("opentelemetry-sdk").split(".")[:2]))
KNOWN_KEYS = sorted(catalogue.exact_rules())
ENCODINGS: list[Callable[[str], Any]] = [
    lambda text: text,
    lambda text: text.encode(),
    # With a space: a text that is one token may stand under the key of an id, which is outside the promise.
    lambda text: base64.b64encode(text.encode()).decode() + " ",
    lambda text: base64.b64encode(b"x" + text.encode()).decode() + " ",
    lambda text: text.encode().hex() + " ",
    lambda text: json.dumps({"messages": [{"content": text}]}),
    lambda text: json.dumps(json.dumps({"usage": {"total_tokens": 3, "text": text}})),
    lambda text: json.dumps({"usage": {"total_tokens": 3, text: 1}, "model": "m"}),
    lambda text: json.dumps({"usage": {"details": {"type": text, "note": [text]}}}),
    lambda text: repr({"content": text}),
    lambda text: urllib.parse.quote(text),
    lambda text: f"https://example.invalid/{urllib.parse.quote(text)}?q={urllib.parse.quote_plus(text)}",
    lambda text: bytearray(text.encode()),
    lambda text: list(text.encode()),
    lambda text: list(text),
    lambda text: [text, text],
    lambda text: ("stop", text),
    lambda text: {text: text},
    lambda text: text.upper(),
    lambda text: text.encode("utf-16-le"),
]
planted = st.sampled_from(ENCODINGS).map(lambda encode: encode(CANARY))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8), planted, planted
)
names = st.one_of(
    st.sampled_from(KNOWN_KEYS),
    st.sampled_from(KNOWN_KEYS).map(lambda key: f"{key}.0.content"),
    st.sampled_from(["gen_ai.usage.", "llm.token_count.", "workspace.", "acme.", "", "otel_zdr."]).flatmap(
        lambda prefix: st.sampled_from(["x", "tokens", CANARY, "total_tokens", "id"]).map(
            lambda end: prefix + end
        )
    ),
    st.text(max_size=12),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)
mappings = st.dictionaries(names, values, max_size=5)
LESS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Counting(IdGenerator):
    """Ids in order, so that two runs make the same ones."""

    def __init__(self) -> None:
        self.last = 0

    def generate_span_id(self) -> int:
        self.last += 1
        return self.last

    generate_trace_id = generate_span_id


class Run:
    """Providers whose ids and times are the same in every run."""

    def __init__(self, workspace: str) -> None:
        resource = Resource(
            {"service.name": "test", "workspace.id": workspace, "app.note": "a note"}, "urn:x"
        )
        self.spans, self.logs, self.metrics = (
            CapturingSpanExporter(),
            CapturingLogExporter(),
            CapturingMetricExporter(),
        )
        tracers = TracerProvider(resource=resource, id_generator=Counting(), shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
        loggers.add_log_record_processor(SimpleLogRecordProcessor(self.logs))
        reader = PeriodicExportingMetricReader(self.metrics, export_interval_millis=3_600_000)
        self.meters = MeterProvider([reader], resource, AlwaysOffExemplarFilter(), shutdown_on_exit=False)
        self.tracer = tracers.get_tracer("a scope", "1 beta", "urn:y", {"app.note": "a note"})
        self.logger = loggers.get_logger("a scope", "1 beta", "urn:y", {"app.note": "a note"})
        self.meter = self.meters.get_meter("a scope")

    def close(self) -> None:
        self.meters.shutdown()


CONTEXT = SpanContext(7, 8, True, TraceFlags(1), TraceState([("vendor", "x-y")]))


def write_span(run: Run, name: str, start: dict[str, Any], later: dict[str, Any], nested: Any) -> None:
    span = run.tracer.start_span(
        name, attributes=start, links=[Link(CONTEXT, later)], kind=trace_api.SpanKind.CLIENT, start_time=1_000
    )
    span.set_attributes(later)
    for key, value in start.items():
        span.set_attribute(key, value)
    span.set_attribute("app.nested", nested)
    span.add_event(name, start, timestamp=2_000)
    span.record_exception(ValueError(name), later, timestamp=2_500)
    span.add_link(CONTEXT, start)
    span.set_status(Status(StatusCode.ERROR, name))
    span.update_name(name + "!")
    span.end(end_time=3_000)


def write_log(run: Run, body: Any, name: str, attributes: dict[str, Any]) -> None:
    run.logger.emit(
        LogRecord(
            timestamp=1_000,
            observed_timestamp=1_001,
            severity_text=name or None,
            severity_number=SeverityNumber.WARN,
            body=body,
            attributes=attributes,
            event_name=name or None,
        )
    )


@pytest.fixture(params=["*", "clinic"])
def under(request: pytest.FixtureRequest) -> Iterator[Run]:
    """A gate under which everything of the run is."""
    uninstall()
    otel_zdr.install(otel_zdr.Settings(workspaces=(request.param,)))
    run = Run("clinic")
    yield run
    run.close()
    uninstall()


def assert_clean(data: bytes) -> None:
    assert not SEARCH.find(data)


@LESS
@given(name=st.one_of(st.text(max_size=8), planted.map(str)), start=mappings, later=mappings, nested=values)
def test_no_canary_on_a_span_leaves(under: Run, name: str, start: Any, later: Any, nested: Any) -> None:
    """At the start and later, on events, links and exceptions, in names and descriptions."""
    under.spans.clear()
    write_span(under, name, start, later, nested)
    assert len(under.spans.spans) == 1
    assert_clean(under.spans.data)


KEYS_WRITTEN = st.sampled_from(
    [
        "gen_ai.request.model", "gen_ai.usage.input_tokens", "gen_ai.response.finish_reasons", "gen_ai.input.messages",
        "gen_ai.request.stream", "http.route", "acme.note", "acme.usage.tokens", "workspace.id", "server.address",
    ]
)  # fmt: skip
VALUES_WRITTEN = st.one_of(
    st.sampled_from(["gpt-4o", "a/b", "a//b", "", "x" * 128, "x" * 129, "two words", "clinic", "{}", "7"]),
    st.sampled_from([0, 2**63 - 1, 2**63, 1.5, True, None, ("stop",), ("two words",), ["stop"], "stop"]),
)


@LESS
@given(written=st.lists(st.tuples(KEYS_WRITTEN, VALUES_WRITTEN), max_size=12))
def test_what_is_written_one_by_one_stays_as_it_would_all_at_once(
    under: Run, written: list[tuple[str, Any]]
) -> None:
    """Whatever short way a write takes: the last of each key, in the order of the SDK, or none."""
    one_by_one = under.tracer.start_span("x")
    last: dict[str, Any] = {}
    for key, value in written:
        one_by_one.set_attribute(key, value)
        last.pop(key, None)
        last[key] = value
    one_by_one.end()
    all_at_once = under.tracer.start_span("x", attributes=last)
    all_at_once.end()
    later = under.tracer.start_span("x")
    later.set_attributes(last)
    later.end()
    first, second, third = (
        [a.SerializeToString() for a in span.attributes if not a.key.startswith("zdr.")]
        for span in under.spans.spans[-3:]
    )
    assert first == second == third


@LESS
@given(body=values, name=st.one_of(st.text(max_size=8), planted.map(str)), attributes=mappings)
def test_no_canary_on_a_log_record_leaves(under: Run, body: Any, name: str, attributes: Any) -> None:
    """Bodies of text and structure, attributes, event names, severities."""
    under.logs.clear()
    write_log(under, body, name, attributes)
    assert len(under.logs.records) == 1
    assert_clean(under.logs.data)


@settings(LESS, max_examples=30)
@given(
    attributes=mappings, name=st.sampled_from(["gen_ai.client.token.usage", "http.server.request.duration"])
)
def test_no_canary_on_a_measurement_leaves(under: Run, attributes: Any, name: str) -> None:
    """Series and what exemplars would keep."""
    under.metrics.clear()
    under.meter.create_histogram(name).record(1, attributes)
    under.meters.force_flush()
    assert under.metrics.metrics
    assert_clean(under.metrics.data)


@settings(LESS, max_examples=15)
@given(start=mappings, body=planted)
def test_the_control_without_the_gate_a_planted_canary_is_found(start: Any, body: Any) -> None:
    """The search finds the same canaries in the bytes of the SDK alone."""
    uninstall()
    run = Run("clinic")
    run.tracer.start_span(CANARY, attributes={**start, "app.note": CANARY}).end()
    write_log(run, body, CANARY, {"app.note": CANARY})
    assert SEARCH.find(run.spans.data)
    assert SEARCH.find(run.logs.data)
    run.close()


# --- not under ZDR: byte for byte --------------------------------------------------------------

# What only the gate may write is removed, and a workspace that is written decides: neither is the property.
plain_names = names.filter(
    lambda key: not key.startswith("zdr.") and key not in ("workspace.id", "workspace.zdr")
)
plain_mappings = st.dictionaries(plain_names, values, max_size=5)


def both(write: Callable[[Run], bytes]) -> tuple[bytes, bytes]:
    """The bytes without the gate, and with it for a workspace that is not under ZDR."""
    made = []
    for gate in (False, True):
        uninstall()
        if gate:
            otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
        run = Run("studio")
        made.append(write(run))
        run.close()
    uninstall()
    return made[0], made[1]


@settings(LESS, max_examples=30)
@given(name=st.text(max_size=8), start=plain_mappings, later=plain_mappings, nested=values)
def test_a_span_that_is_not_under_zdr_is_the_same_to_the_byte(
    name: str, start: Any, later: Any, nested: Any
) -> None:
    """Resource and scope included, and what the attribute limits leave."""

    def write(run: Run) -> bytes:
        write_span(run, name, start, later, nested)
        return run.spans.data

    raw, passed = both(write)
    assert without_lines(raw) == without_lines(passed)


def without_lines(data: bytes) -> Any:
    """The request without the stack trace of the test's own exception: it was never raised, so it is short."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    return ExportTraceServiceRequest.FromString(data).SerializeToString(deterministic=True)


@settings(LESS, max_examples=30)
@given(start=plain_mappings, later=plain_mappings)
def test_a_span_that_is_identified_late_is_the_same_to_the_byte(start: Any, later: Any) -> None:
    """Undecided until its own attribute names a workspace that is not under ZDR."""

    def write(run: Run) -> bytes:
        tracers = TracerProvider(resource=Resource({}), id_generator=Counting(), shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(run.spans))
        span = tracers.get_tracer("a scope").start_span("a name", attributes=start, start_time=1)
        span.add_event("an event", later, timestamp=2)
        span.set_status(Status(StatusCode.ERROR, "a text"))
        span.set_attributes(later)
        span.set_attribute("workspace.id", "studio")
        span.set_attributes(start)
        span.end(end_time=3)
        return run.spans.data

    raw, passed = both(write)
    assert raw == passed


@settings(LESS, max_examples=30)
@given(body=values, name=st.text(max_size=8), attributes=plain_mappings)
def test_a_log_record_that_is_not_under_zdr_is_the_same_to_the_byte(
    body: Any, name: str, attributes: Any
) -> None:
    """Bodies of any structure."""

    def write(run: Run) -> bytes:
        write_log(run, body, name, attributes)
        return run.logs.data

    raw, passed = both(write)
    assert raw == passed


@settings(LESS, max_examples=20)
@given(attributes=plain_mappings, unit=st.sampled_from(["1", "s", "{token}"]))
def test_a_measurement_that_is_not_under_zdr_is_the_same(attributes: Any, unit: str) -> None:
    """But for what the tenants of a provider share: resource, scope and description."""
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    if SDK_VERSION < (1, 41):  # which hashes the values as they are, and raises for lists
        attributes = {key: value for key, value in attributes.items() if isinstance(value, (str, int, float))}

    def write(run: Run) -> bytes:
        run.meter.create_counter("acme.calls", unit).add(3, attributes)
        run.meter.create_histogram("acme.time", unit).record(3, attributes)
        run.meters.force_flush()
        return run.metrics.data

    def points(data: bytes) -> list[Any]:
        found = []
        for resource in ExportMetricsServiceRequest.FromString(data).resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in (*metric.sum.data_points, *metric.histogram.data_points):
                        point.start_time_unix_nano = point.time_unix_nano = 0
                    found.append(metric.SerializeToString(deterministic=True))
        return found

    raw, passed = map(points, both(write))
    assert raw == passed
    assert len(raw) == 2
