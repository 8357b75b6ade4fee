"""The recorded telemetry of real instrumentations, rebuilt through real providers under ZDR."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from opentelemetry import trace as trace_api
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

import otel_zdr
from otel_zdr.testing import CapturingLogExporter, CapturingMetricExporter, CapturingSpanExporter, uninstall
from tests.corpus import measure, replay

WORKSPACE = {"workspace.id": "clinic"}


class Ids(IdGenerator):
    """Gives out the recorded ids."""

    def __init__(self) -> None:
        self.trace_id = self.span_id = 1

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class Replayed:
    """One recording, sent through real providers of all three signals."""

    def __init__(self, recording: replay.Recording) -> None:
        self.spans = CapturingSpanExporter()
        self.logs = CapturingLogExporter()
        self.metrics = CapturingMetricExporter()
        for span in recording.spans():
            self._span(span)
        for record in recording.log_records():
            self._log(record)
        for measurement in recording.measurements():
            self._measurement(measurement)

    @property
    def data(self) -> bytes:
        return self.spans.data + self.logs.data + self.metrics.data

    def _resource(self, item: Any) -> Resource:
        return Resource({**item.resource, **WORKSPACE}, item.resource_schema_url or "")

    def _span(self, item: replay.Span) -> None:
        ids = Ids()
        ids.trace_id, ids.span_id = item.trace_id, item.span_id
        provider = TracerProvider(resource=self._resource(item), id_generator=ids, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.spans))
        tracer = provider.get_tracer(
            item.scope.name, item.scope.version, item.scope.schema_url, item.scope.attributes or None
        )
        context = None
        if item.parent_span_id:
            parent = SpanContext(item.trace_id, item.parent_span_id, True, TraceFlags(1))
            context = trace_api.set_span_in_context(trace_api.NonRecordingSpan(parent))
        links = [
            Link(
                SpanContext(
                    link.trace_id,
                    link.span_id,
                    True,
                    TraceFlags(1),
                    TraceState.from_header([link.trace_state]),
                ),
                link.attributes,
            )
            for link in item.links
        ]
        half = len(item.attributes) // 2
        attributes = list(item.attributes.items())
        span = tracer.start_span(
            item.name,
            context=context,
            kind=SpanKind[replay.KINDS[item.kind].upper()],
            attributes=dict(attributes[:half]),
            links=links,
            start_time=item.start,
        )
        for key, value in attributes[half:]:
            span.set_attribute(key, value)
        for event in item.events:
            span.add_event(event.name, event.attributes, event.time)
        if item.status_code:
            span.set_status(Status(StatusCode(item.status_code), item.status_description))
        span.end(item.end)

    def _log(self, item: replay.LogRecord) -> None:
        provider = LoggerProvider(resource=self._resource(item), shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(self.logs))
        logger = provider.get_logger(
            item.scope.name, item.scope.version, item.scope.schema_url, item.scope.attributes or None
        )
        record = LogRecord(
            timestamp=item.time,
            observed_timestamp=item.observed_time,
            severity_number=SeverityNumber(item.severity_number) if item.severity_number else None,
            severity_text=item.severity_text,
            body=item.body,
            attributes=item.attributes,
            event_name=item.event_name,
        )
        record.trace_id, record.span_id = item.trace_id, item.span_id
        logger.emit(record)

    def _measurement(self, item: replay.Measurement) -> None:
        reader = PeriodicExportingMetricReader(self.metrics, export_interval_millis=3_600_000)
        provider = MeterProvider(
            metric_readers=[reader], resource=self._resource(item), shutdown_on_exit=False
        )
        meter = provider.get_meter(item.scope.name, item.scope.version, item.scope.schema_url)
        if item.kind.lower().endswith("histogram"):
            histogram = meter.create_histogram(item.instrument, item.unit, item.description)
            for _ in range(min(item.count, 3) or 1):
                histogram.record(item.value / (item.count or 1), item.attributes)
        elif item.kind == "gauge":
            meter.create_gauge(item.instrument, item.unit, item.description).set(item.value, item.attributes)
        elif item.monotonic:
            meter.create_counter(item.instrument, item.unit, item.description).add(
                item.value, item.attributes
            )
        else:
            counter = meter.create_up_down_counter(item.instrument, item.unit, item.description)
            counter.add(item.value, item.attributes)
        provider.force_flush()
        provider.shutdown()


def value_of(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return getattr(value, kind) if kind else None


def attributes_of(items: Any) -> dict[str, Any]:
    return {item.key: value_of(item.value) for item in items}


RECORDINGS = replay.recordings()


@pytest.mark.parametrize("recording", RECORDINGS, ids=str)
def test_no_canary_of_a_recording_is_exported_under_zdr(recording: replay.Recording) -> None:
    """0 canaries in the OTLP bytes, and no span or record is lost, moved or retimed."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    replayed = Replayed(recording)
    assert not measure.leaks(replayed.data)
    for before, after in zip(recording.spans(), replayed.spans.spans, strict=True):
        assert int.from_bytes(after.trace_id, "big") == before.trace_id
        assert int.from_bytes(after.span_id, "big") == before.span_id
        assert int.from_bytes(after.parent_span_id or b"\0", "big") == before.parent_span_id
        assert (after.start_time_unix_nano, after.end_time_unix_nano) == (before.start, before.end)
        assert after.kind == max(before.kind, 1)
        assert after.status.code == before.status_code
        assert [event.time_unix_nano for event in after.events] == [event.time for event in before.events]
        assert len(after.links) == len(before.links)
    for record, exported in zip(recording.log_records(), replayed.logs.records, strict=True):
        assert exported.time_unix_nano == record.time
        assert exported.severity_number == record.severity_number
        assert int.from_bytes(exported.span_id or b"\0", "big") == record.span_id


def test_the_recordings_hold_canaries_when_the_workspace_is_not_under_zdr() -> None:
    """The positive control: the same replay leaks without the policy."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("another",)))
    leaking = sum(1 for recording in RECORDINGS if measure.leaks(Replayed(recording).data))
    assert leaking > len(RECORDINGS) * 0.6


def test_metadata_of_the_recordings_survives() -> None:
    """The shares that the specification of the replay asks for."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",)))
    total: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    points: Counter[str] = Counter()
    distinct: Counter[str] = Counter()
    for recording in RECORDINGS:
        replayed = Replayed(recording)
        pairs = [
            *zip(recording.spans(), replayed.spans.spans, strict=True),
            *zip(recording.log_records(), replayed.logs.records, strict=True),
        ]
        for before, after in pairs:
            exported = attributes_of(after.attributes)
            body = value_of(after.body) if hasattr(after, "body") else None
            had, has, _ = measure.kept(before.attributes, exported)
            total += had
            survived += has
            text = measure.anywhere([exported, body])
            for kind, marker in measure.distinct(before.attributes):
                distinct["all"] += 1
                distinct["kept"] += measure.still_stands(kind, marker, text)
        exported_points = [
            (metric.name, attributes_of(point.attributes))
            for metric in replayed.metrics.metrics
            for point in getattr(metric, metric.WhichOneof("data")).data_points
        ]
        for measurement in recording.measurements():
            had, _, _ = measure.kept(measurement.attributes, {})
            best: Counter[str] = Counter()
            for name, exported in exported_points:
                if name == measurement.instrument.lower() or name == measurement.instrument:
                    _, has, _ = measure.kept(measurement.attributes, exported)
                    best = max(best, has, key=lambda counter: counter.total())
            points["all"] += had.total()
            points["kept"] += best.total()
    share = {kind: survived[kind] / total[kind] for kind in total}
    print({kind: f"{survived[kind]}/{total[kind]}" for kind in total}, dict(points), dict(distinct))
    assert share["usage"] >= 0.995
    assert share["model"] >= 0.95
    assert share["id"] >= 0.95
    assert share["name"] >= 0.70
    assert points["kept"] / points["all"] >= 0.85
    assert distinct["kept"] / distinct["all"] >= 0.99


def test_a_workspace_that_is_not_under_zdr_is_exported_byte_for_byte() -> None:
    """The bytes are those without the package, over all recordings."""
    for recording in RECORDINGS[::3]:
        uninstall()
        without = Replayed(recording)
        otel_zdr.install(otel_zdr.Settings(workspaces=("another",)))
        with_gate = Replayed(recording)
        assert with_gate.spans.requests == without.spans.requests
        assert with_gate.logs.requests == without.logs.requests
