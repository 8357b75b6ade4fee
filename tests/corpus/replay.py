"""Recorded telemetry of third-party instrumentations, as items that a test can rebuild.

``recorded/`` holds one folder an instrumentation, ``<scenario>[--<mode>].{traces,logs,metrics}.json`` in OTLP
JSON and ``.meta.json`` beside it; its README says what is content (canaries) and what must survive (markers).

`recordings()` yields the scenarios; each gives its spans, log records and measurements as plain Python
values, with nothing of OpenTelemetry, so that both the pure core and real SDK providers can replay them.
Times are nanoseconds, ids integers, kinds and status codes the numbers of OTLP.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).with_name("recorded")
#: Instrumentations that the first recordings do not have.
MORE = Path(__file__).with_name("recorded_more")
#: OTLP's span kinds; index with ``Span.kind``.
KINDS = ("internal", "internal", "server", "client", "producer", "consumer")

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Scope:
    name: str
    version: str | None
    schema_url: str | None
    attributes: Attributes


@dataclass(frozen=True)
class Event:
    name: str
    time: int
    attributes: Attributes


@dataclass(frozen=True)
class Link:
    trace_id: int
    span_id: int
    trace_state: str
    attributes: Attributes


@dataclass(frozen=True)
class Span:
    resource: Attributes
    resource_schema_url: str | None
    scope: Scope
    name: str
    kind: int
    trace_id: int
    span_id: int
    parent_span_id: int
    trace_state: str
    start: int
    end: int
    attributes: Attributes
    events: list[Event]
    links: list[Link]
    status_code: int
    status_description: str | None

    @property
    def kind_name(self) -> str:
        return KINDS[self.kind]

    @property
    def is_server(self) -> bool:
        return self.kind_name in ("server", "consumer")


@dataclass(frozen=True)
class LogRecord:
    resource: Attributes
    resource_schema_url: str | None
    scope: Scope
    event_name: str | None
    time: int
    observed_time: int
    severity_number: int
    severity_text: str | None
    body: Any
    attributes: Attributes
    trace_id: int
    span_id: int


@dataclass(frozen=True)
class Exemplar:
    value: float
    time: int
    trace_id: int
    span_id: int
    attributes: Attributes


@dataclass(frozen=True)
class Measurement:
    """One data point. ``kind``: sum, gauge, histogram or exponentialHistogram.

    To rebuild a sum or gauge, record ``value`` once; a histogram, record ``value / count`` ``count`` times.
    """

    resource: Attributes
    resource_schema_url: str | None
    scope: Scope
    instrument: str
    description: str
    unit: str
    kind: str
    monotonic: bool
    value: float
    count: int
    attributes: Attributes
    exemplars: list[Exemplar] = field(default_factory=list)


@dataclass(frozen=True)
class Recording:
    """One scenario: ``folder/name``; ``planted`` are its canaries."""

    folder: str
    name: str
    planted: list[str]
    root: Path = ROOT

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}"

    def _load(self, signal: str) -> dict[str, Any]:
        path = self.root / self.folder / f"{self.name}.{signal}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def spans(self) -> Iterator[Span]:
        for resource, schema, scope, raw in _items(
            self._load("traces"), "resourceSpans", "scopeSpans", "spans"
        ):
            yield _span(resource, schema, scope, raw)

    def log_records(self) -> Iterator[LogRecord]:
        for resource, schema, scope, raw in _items(
            self._load("logs"), "resourceLogs", "scopeLogs", "logRecords"
        ):
            yield _log_record(resource, schema, scope, raw)

    def measurements(self) -> Iterator[Measurement]:
        for resource, schema, scope, raw in _items(
            self._load("metrics"), "resourceMetrics", "scopeMetrics", "metrics"
        ):
            yield from _measurements(resource, schema, scope, raw)


def recordings(*folders: str, root: Path = ROOT) -> list[Recording]:
    """The scenarios of the given folders, or of all, in a fixed order."""
    found = []
    for meta in sorted(root.glob("*/*.meta.json")):
        if not folders or meta.parent.name in folders:
            planted = [item["canary"] for item in json.loads(meta.read_text(encoding="utf-8"))["planted"]]
            name = meta.name.removesuffix(".meta.json")
            found.append(Recording(meta.parent.name, name, planted, root))
    return found


def value_of(raw: dict[str, Any] | None) -> Any:
    """An OTLP AnyValue as a Python value; bytes as ``bytes``."""
    if not raw:
        return None
    for kind, value in raw.items():
        if kind == "intValue":
            return int(value)
        if kind == "bytesValue":
            return base64.b64decode(value)
        if kind == "arrayValue":
            return [value_of(item) for item in value.get("values", [])]
        if kind == "kvlistValue":
            return attributes_of(value.get("values", []))
        return value
    return None


def attributes_of(raw: list[dict[str, Any]] | None) -> Attributes:
    return {item["key"]: value_of(item.get("value")) for item in raw or []}


def _items(
    document: dict[str, Any], resources: str, scopes: str, items: str
) -> Iterator[tuple[Attributes, str | None, Scope, dict[str, Any]]]:
    for per_resource in document.get(resources, []):
        resource = attributes_of(per_resource.get("resource", {}).get("attributes"))
        for per_scope in per_resource.get(scopes, []):
            raw = per_scope.get("scope", {})
            scope = Scope(
                raw.get("name", ""),
                raw.get("version"),
                per_scope.get("schemaUrl") or None,
                attributes_of(raw.get("attributes")),
            )
            for item in per_scope.get(items, []):
                yield resource, per_resource.get("schemaUrl") or None, scope, item


def _id(text: str | None) -> int:
    return int(text, 16) if text else 0


def _span(resource: Attributes, schema: str | None, scope: Scope, raw: dict[str, Any]) -> Span:
    status = raw.get("status", {})
    return Span(
        resource=resource,
        resource_schema_url=schema,
        scope=scope,
        name=raw.get("name", ""),
        kind=raw.get("kind", 0),
        trace_id=_id(raw["traceId"]),
        span_id=_id(raw["spanId"]),
        parent_span_id=_id(raw.get("parentSpanId")),
        trace_state=raw.get("traceState", ""),
        start=int(raw.get("startTimeUnixNano", 0)),
        end=int(raw.get("endTimeUnixNano", 0)),
        attributes=attributes_of(raw.get("attributes")),
        events=[
            Event(
                event.get("name", ""),
                int(event.get("timeUnixNano", 0)),
                attributes_of(event.get("attributes")),
            )
            for event in raw.get("events", [])
        ],
        links=[
            Link(
                _id(link["traceId"]),
                _id(link["spanId"]),
                link.get("traceState", ""),
                attributes_of(link.get("attributes")),
            )
            for link in raw.get("links", [])
        ],
        status_code=status.get("code", 0),
        status_description=status.get("message"),
    )


def _log_record(resource: Attributes, schema: str | None, scope: Scope, raw: dict[str, Any]) -> LogRecord:
    return LogRecord(
        resource=resource,
        resource_schema_url=schema,
        scope=scope,
        event_name=raw.get("eventName") or None,
        time=int(raw.get("timeUnixNano", 0)),
        observed_time=int(raw.get("observedTimeUnixNano", 0)),
        severity_number=raw.get("severityNumber", 0),
        severity_text=raw.get("severityText"),
        body=value_of(raw.get("body")),
        attributes=attributes_of(raw.get("attributes")),
        trace_id=_id(raw.get("traceId")),
        span_id=_id(raw.get("spanId")),
    )


def _measurements(
    resource: Attributes, schema: str | None, scope: Scope, raw: dict[str, Any]
) -> Iterator[Measurement]:
    for kind in ("sum", "gauge", "histogram", "exponentialHistogram"):
        data = raw.get(kind)
        if data is None:
            continue
        for point in data.get("dataPoints", []):
            yield Measurement(
                resource=resource,
                resource_schema_url=schema,
                scope=scope,
                instrument=raw["name"],
                description=raw.get("description", ""),
                unit=raw.get("unit", ""),
                kind=kind,
                monotonic=bool(data.get("isMonotonic")),
                value=_value_of_point(point),
                count=int(point.get("count", 1)),
                attributes=attributes_of(point.get("attributes")),
                exemplars=[
                    Exemplar(
                        _value_of_point(exemplar),
                        int(exemplar.get("timeUnixNano", 0)),
                        _id(exemplar.get("traceId")),
                        _id(exemplar.get("spanId")),
                        attributes_of(exemplar.get("filteredAttributes")),
                    )
                    for exemplar in point.get("exemplars", [])
                ],
            )


def _value_of_point(point: dict[str, Any]) -> float:
    if "asInt" in point:
        return int(point["asInt"])
    return float(point.get("asDouble", point.get("sum", 0)))
