"""Read stored OTLP (JSON or protobuf) as plain Python items.

One file may hold

* one JSON document, a JSON array of documents, JSON lines or documents one after the other (what the
  Collector's file exporter and ``curl``-ed requests look like),
* one protobuf ``Export{Trace,Logs,Metrics}ServiceRequest``, or several of them, each behind its
  length: a varint (protobuf's delimited form) or four bytes, big endian (the Collector's file exporter),

plain or in gzip. Everything becomes a *document*, a ``dict`` in the OTLP/JSON mapping with ids in hex
(https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding), and a document becomes *items*:
:class:`Span`, :class:`LogRecord` and :class:`Metric`. Field names are accepted in lowerCamelCase and
snake_case, enums as numbers and names, 64 bit numbers as text and numbers.

Files are untrusted: a field of a wrong type is read as if it were absent, nothing is evaluated, and
what cannot be read at all raises :class:`OtlpError`, whose text names the file, never its content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from otel_zdr.verify.otlp_fields import (
    Attributes,
    Document,
    as_dict,
    as_text,
    decode_attributes,
    decode_value,
    dicts,
    get,
    integer,
    number,
    read_id,
    read_kind,
    read_severity,
    read_status,
)
from otel_zdr.verify.otlp_files import OtlpError, encode_protobuf, read_documents
from otel_zdr.verify.otlp_unread import Unread, document_unread

__all__ = [
    "Attributes",
    "DataPoint",
    "Document",
    "Event",
    "Exemplar",
    "Item",
    "Link",
    "LogRecord",
    "Metric",
    "OtlpError",
    "Resource",
    "Scope",
    "Span",
    "document_items",
    "encode_protobuf",
    "read_documents",
    "read_items",
]

METRIC_KINDS = {
    "gauge": "gauge",
    "sum": "sum",
    "histogram": "histogram",
    "exponentialHistogram": "exponential_histogram",
    "summary": "summary",
}


@dataclass(slots=True)
class Resource:
    attributes: Attributes = field(default_factory=Attributes)
    schema_url: str = ""


@dataclass(slots=True)
class Scope:
    name: str = ""
    version: str = ""
    attributes: Attributes = field(default_factory=Attributes)
    schema_url: str = ""


@dataclass(slots=True)
class Event:
    name: str = ""
    time: int = 0  # ns since the epoch
    attributes: Attributes = field(default_factory=Attributes)


@dataclass(slots=True)
class Link:
    trace_id: str = ""
    span_id: str = ""
    trace_state: str = ""
    attributes: Attributes = field(default_factory=Attributes)


@dataclass(slots=True)
class Span:
    resource: Resource
    scope: Scope
    trace_id: str = ""  # lower-case hex, "" if it is none
    span_id: str = ""
    parent_span_id: str = ""
    trace_state: str = ""
    name: str = ""
    kind: str = "unspecified"  # one of: unspecified internal server client producer consumer
    start: int = 0  # ns since the epoch
    end: int = 0
    attributes: Attributes = field(default_factory=Attributes)
    events: list[Event] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    status: str = "unset"  # one of: unset ok error
    status_message: str = ""

    @property
    def seconds(self) -> float:
        return max(0, self.end - self.start) / 1e9


@dataclass(slots=True)
class LogRecord:
    resource: Resource
    scope: Scope
    trace_id: str = ""
    span_id: str = ""
    time: int = 0  # ns since the epoch; the observed time where the record has no other
    severity_number: int = 0
    severity_text: str = ""
    event_name: str = ""
    body: object = None
    attributes: Attributes = field(default_factory=Attributes)


@dataclass(slots=True)
class Exemplar:
    attributes: Attributes = field(default_factory=Attributes)
    value: float | int | None = None
    trace_id: str = ""
    span_id: str = ""


@dataclass(slots=True)
class DataPoint:
    attributes: Attributes = field(default_factory=Attributes)
    start: int = 0
    time: int = 0
    value: float | int | None = None  # of gauges and sums
    count: int | None = None  # of histograms and summaries
    sum: float | None = None
    exemplars: list[Exemplar] = field(default_factory=list)


@dataclass(slots=True)
class Metric:
    resource: Resource
    scope: Scope
    name: str = ""
    description: str = ""
    unit: str = ""
    kind: str = ""  # one of: gauge sum histogram exponential_histogram summary, "" if it has no data
    points: list[DataPoint] = field(default_factory=list)
    metadata: Attributes = field(default_factory=Attributes)


Item = Span | LogRecord | Metric


def read_items(
    path: str | Path, *, signal: str | None = None, report_unread: Callable[[Unread], None] | None = None
) -> Iterator[Item]:
    """The items of a file, one after the other.

    `signal` ("traces", "logs", "metrics") overrides the guess that protobuf needs, whose three
    requests look alike on the outside. `report_unread` is told what no item shows, since it was not
    understood. Raises :class:`OtlpError`, also in the middle of a file.
    """
    for document in read_documents(path, signal=signal):
        if report_unread is not None:
            for each in document_unread(document):
                report_unread(each)
        yield from document_items(document)


def document_items(document: Document) -> Iterator[Item]:
    """The spans, log records and metrics of one export request."""
    yield from _spans(document)
    yield from _logs(document)
    yield from _metrics(document)


# --- documents to items -------------------------------------------------------------------------


def _spans(document: Document) -> Iterator[Span]:
    for resource, scope, node in _entries(document, "resourceSpans", "scopeSpans", "spans"):
        status = as_dict(get(node, "status"))
        yield Span(
            resource=resource,
            scope=scope,
            trace_id=read_id(get(node, "traceId"), 16),
            span_id=read_id(get(node, "spanId"), 8),
            parent_span_id=read_id(get(node, "parentSpanId"), 8),
            trace_state=as_text(get(node, "traceState")),
            name=as_text(get(node, "name")),
            kind=read_kind(get(node, "kind")),
            start=integer(get(node, "startTimeUnixNano"), 0),
            end=integer(get(node, "endTimeUnixNano"), 0),
            attributes=decode_attributes(get(node, "attributes")),
            events=[
                Event(
                    name=as_text(get(event, "name")),
                    time=integer(get(event, "timeUnixNano"), 0),
                    attributes=decode_attributes(get(event, "attributes")),
                )
                for event in dicts(get(node, "events"))
            ],
            links=[
                Link(
                    trace_id=read_id(get(link, "traceId"), 16),
                    span_id=read_id(get(link, "spanId"), 8),
                    trace_state=as_text(get(link, "traceState")),
                    attributes=decode_attributes(get(link, "attributes")),
                )
                for link in dicts(get(node, "links"))
            ],
            status=read_status(get(status, "code")),
            status_message=as_text(get(status, "message")),
        )


def _logs(document: Document) -> Iterator[LogRecord]:
    for resource, scope, node in _entries(document, "resourceLogs", "scopeLogs", "logRecords"):
        yield LogRecord(
            resource=resource,
            scope=scope,
            trace_id=read_id(get(node, "traceId"), 16),
            span_id=read_id(get(node, "spanId"), 8),
            time=integer(get(node, "timeUnixNano"), 0) or integer(get(node, "observedTimeUnixNano"), 0),
            severity_number=read_severity(get(node, "severityNumber")),
            severity_text=as_text(get(node, "severityText")),
            event_name=as_text(get(node, "eventName")),
            body=decode_value(get(node, "body")),
            attributes=decode_attributes(get(node, "attributes")),
        )


def _metrics(document: Document) -> Iterator[Metric]:
    for resource, scope, node in _entries(document, "resourceMetrics", "scopeMetrics", "metrics"):
        kind, points = "", []
        for name, readable in METRIC_KINDS.items():
            data = get(node, name)
            if isinstance(data, dict):
                kind = readable
                points = [_point(point) for point in dicts(get(data, "dataPoints"))]
                break
        yield Metric(
            resource=resource,
            scope=scope,
            name=as_text(get(node, "name")),
            description=as_text(get(node, "description")),
            unit=as_text(get(node, "unit")),
            kind=kind,
            points=points,
            metadata=decode_attributes(get(node, "metadata")),
        )


def _point(node: Document) -> DataPoint:
    total = get(node, "sum")
    count = get(node, "count")
    return DataPoint(
        attributes=decode_attributes(get(node, "attributes")),
        start=integer(get(node, "startTimeUnixNano"), 0),
        time=integer(get(node, "timeUnixNano"), 0),
        value=_measured(node),
        count=None if count is None else integer(count, None),
        sum=None if total is None else number(total),
        exemplars=[
            Exemplar(
                attributes=decode_attributes(get(exemplar, "filteredAttributes")),
                value=_measured(exemplar),
                trace_id=read_id(get(exemplar, "traceId"), 16),
                span_id=read_id(get(exemplar, "spanId"), 8),
            )
            for exemplar in dicts(get(node, "exemplars"))
        ],
    )


def _measured(node: Document) -> float | int | None:
    whole = get(node, "asInt")
    return integer(whole, None) if whole is not None else number(get(node, "asDouble"))


def _entries(
    document: Document, resources: str, scopes: str, items: str
) -> Iterator[tuple[Resource, Scope, Document]]:
    for group in dicts(get(document, resources)):
        resource = Resource(
            attributes=decode_attributes(get(as_dict(get(group, "resource")), "attributes")),
            schema_url=as_text(get(group, "schemaUrl")),
        )
        for scoped in dicts(get(group, scopes)):
            node = as_dict(get(scoped, "scope"))
            scope = Scope(
                name=as_text(get(node, "name")),
                version=as_text(get(node, "version")),
                attributes=decode_attributes(get(node, "attributes")),
                schema_url=as_text(get(scoped, "schemaUrl")),
            )
            for item in dicts(get(scoped, items)):
                yield resource, scope, item
