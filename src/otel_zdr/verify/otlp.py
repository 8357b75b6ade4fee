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

import base64
import binascii
import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message

Document = dict[str, Any]
"""One export request in the OTLP/JSON mapping: ``{"resourceSpans": [...]}`` and the like."""

SIGNALS = {"traces": "resourceSpans", "logs": "resourceLogs", "metrics": "resourceMetrics"}

MAX_DEPTH = 64
"""Values nested deeper are read as ``None``: no exporter of ours or of the SDK writes them."""

MAX_EXPANSION = 4 * 1024**3
"""Bytes that a gzip file may expand to."""

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_HEX_ID = re.compile(r"[0-9a-fA-F]+\Z")
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUS = ("unset", "ok", "error")
_METRIC_KINDS = {
    "gauge": "gauge",
    "sum": "sum",
    "histogram": "histogram",
    "exponentialHistogram": "exponential_histogram",
    "summary": "summary",
}


class OtlpError(ValueError):
    """A file cannot be read as OTLP. The text names the file and what is wrong, never its content."""


class Attributes(dict[str, object]):
    """Attributes by key. OTLP forbids a second value for a key; what came all the same is in ``repeated``."""

    __slots__ = ("repeated",)

    def __init__(self) -> None:
        super().__init__()
        self.repeated: list[tuple[str, object]] = []

    def pairs(self) -> Iterator[tuple[str, object]]:
        """Every key and value that the file holds, repeated keys too."""
        yield from self.items()
        yield from self.repeated


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


# --- public -------------------------------------------------------------------------------------


def read_items(path: str | Path, *, signal: str | None = None) -> Iterator[Item]:
    """The items of a file, one after the other.

    `signal` ("traces", "logs", "metrics") overrides the guess that protobuf needs, whose three
    requests look alike on the outside. Raises :class:`OtlpError`, also in the middle of a file.
    """
    for document in read_documents(path, signal=signal):
        yield from document_items(document)


def read_documents(path: str | Path, *, signal: str | None = None) -> Iterator[Document]:
    """The export requests of a file as OTLP/JSON dicts. Raises :class:`OtlpError`."""
    try:
        with open_stored(path) as stream:
            head = stream.peek(512)[:512]
            if is_json(head):
                yield from _json_documents(stream, path)
            else:
                yield from _protobuf_documents(stream.read(), path, signal)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise OtlpError(f"{path}: cannot be read ({reason})") from None


def document_items(document: Document) -> Iterator[Item]:
    """The spans, log records and metrics of one export request."""
    yield from _spans(document)
    yield from _logs(document)
    yield from _metrics(document)


def open_stored(path: str | Path) -> io.BufferedReader:
    """A file as bytes, through gzip where it is compressed."""
    buffered = open(path, "rb")  # noqa: SIM115 (the caller closes what is returned)
    magic = buffered.peek(4)[:4]
    if magic[:2] == b"\x1f\x8b":
        return io.BufferedReader(_Bounded(gzip.GzipFile(fileobj=buffered), buffered))
    if magic == b"\x28\xb5\x2f\xfd":
        buffered.close()
        raise OtlpError(f"{path}: is compressed with zstd; decompress it first")
    return buffered


def is_json(head: bytes) -> bool:
    """Whether a file that begins with `head` is JSON: protobuf begins with a tag or a length."""
    # JSON has no raw control characters; protobuf has tags such as 0x0A and 0x12 in its first bytes.
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    return text[:1] in (b"{", b"[") and not _CONTROL.search(text)


def decode_value(value: object, depth: int = 0) -> object:
    """An OTLP ``AnyValue`` in JSON as str, bool, int, float, bytes, list, dict or None."""
    if not isinstance(value, dict) or depth > MAX_DEPTH:
        return None
    for name, content in value.items():
        kind = _VALUE_FIELDS.get(name) if isinstance(name, str) else None
        if kind is None or content is None:
            continue
        if kind == "string":
            return content if isinstance(content, str) else None
        if kind == "bool":
            return content if isinstance(content, bool) else None
        if kind == "int":
            return _integer(content, None)
        if kind == "double":
            return _number(content)
        if kind == "bytes":
            return _bytes(content)
        members = _list(_get(content, "values"))
        if kind == "array":
            return [decode_value(member, depth + 1) for member in members]
        return decode_attributes(members, depth + 1)
    return None


def encode_value(value: object) -> dict[str, Any]:
    """The inverse of :func:`decode_value`; tuples become arrays, what OTLP cannot say an empty value."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)} if -(2**63) <= value < 2**63 else {}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else json.dumps(value)}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode("ascii")}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [encode_value(member) for member in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": encode_attributes(value)}}
    return {}


def decode_attributes(pairs: object, depth: int = 0) -> Attributes:
    """A list of OTLP ``KeyValue`` in JSON by key."""
    attributes = Attributes()
    for pair in _list(pairs):
        key = pair.get("key", "") if isinstance(pair, dict) else None
        if not isinstance(key, str):
            continue
        value = decode_value(pair.get("value"), depth)
        if key in attributes:
            attributes.repeated.append((key, value))
        else:
            attributes[key] = value
    return attributes


def encode_attributes(attributes: dict[str, object]) -> list[dict[str, Any]]:
    return [{"key": key, "value": encode_value(value)} for key, value in attributes.items()]


def encode_protobuf(document: Document) -> bytes:
    """An export request in JSON as protobuf; unknown fields are left out.

    Raises :class:`OtlpError` if it holds more than one signal, which no protobuf request can.
    """
    from google.protobuf import json_format

    signals = [signal for signal, name in SIGNALS.items() if name in document]
    if len(signals) != 1:
        raise OtlpError("a protobuf request holds exactly one of traces, logs and metrics")
    message = _request(signals[0])
    try:
        json_format.ParseDict(_map_ids(document, _hex_to_base64), message, ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError) as error:
        raise OtlpError(f"cannot be written as protobuf ({type(error).__name__})") from None
    encoded: bytes = message.SerializeToString()
    return encoded


# --- JSON ---------------------------------------------------------------------------------------


def _json_documents(stream: io.BufferedReader, path: str | Path) -> Iterator[Document]:
    """Documents one after the other; a document may span lines, a line may hold several."""
    decoder = json.JSONDecoder()
    pending = ""
    found = False
    for line in stream:
        text = line.decode("utf-8", "replace")
        pending = pending + text if pending else text.removeprefix("\ufeff")
        # Only a line that ends an object or array can complete a document: no need to try others.
        if pending[:1] in "[{ \t\r\n" and not text.rstrip().endswith(("}", "]")):
            continue
        documents, pending = _decode_all(decoder, pending, path)
        if pending:  # a pretty-printed document: one try a line would take quadratic time
            pending += stream.read().decode("utf-8", "replace")
            more, pending = _decode_all(decoder, pending, path)
            documents += more
        for document in documents:
            found = True
            yield from _unwrap(document, path)
    if pending.strip():
        raise OtlpError(f"{path}: is not valid JSON (it ends inside a document or holds something else)")
    if not found:
        raise OtlpError(f"{path}: holds no JSON document")


def _decode_all(decoder: json.JSONDecoder, text: str, path: str | Path) -> tuple[list[object], str]:
    """The complete documents at the front of `text`, and what is left."""
    documents: list[object] = []
    position = 0
    while True:
        while position < len(text) and text[position] in " \t\r\n,":
            position += 1
        if position == len(text):
            return documents, ""
        try:
            document, position = decoder.raw_decode(text, position)
        except RecursionError:
            raise OtlpError(f"{path}: is nested too deeply") from None
        except ValueError:
            return documents, text[position:]
        documents.append(document)


def _unwrap(document: object, path: str | Path) -> Iterator[Document]:
    """An array of documents as documents; a single Resource… object as a request."""
    if isinstance(document, list):
        for member in document:
            yield from _unwrap_one(member, path)
    else:
        yield from _unwrap_one(document, path)


def _unwrap_one(document: object, path: str | Path) -> Iterator[Document]:
    if not isinstance(document, dict):
        raise OtlpError(f"{path}: holds JSON that is not OTLP")
    normal: Document = {}
    for name in SIGNALS.values():
        content = _get(document, name)
        if content is not None:
            if not isinstance(content, list):
                raise OtlpError(f"{path}: {name} is not a list")
            normal[name] = content
    if not normal:
        for scopes, name in (
            ("scopeSpans", "resourceSpans"),
            ("scopeLogs", "resourceLogs"),
            ("scopeMetrics", "resourceMetrics"),
        ):
            if isinstance(_get(document, scopes), list):
                normal[name] = [document]
    if normal or not document:
        yield normal
        return
    raise OtlpError(f"{path}: holds JSON without resourceSpans, resourceLogs or resourceMetrics")


# --- protobuf -----------------------------------------------------------------------------------


def _protobuf_documents(content: bytes, path: str | Path, signal: str | None) -> Iterator[Document]:
    from google.protobuf import json_format
    from google.protobuf.message import DecodeError

    for frame in _frames(content, path):
        message = _request(signal or _guess_signal(frame) or _named_signal(path) or "traces")
        try:
            message.ParseFromString(frame)
            document = json_format.MessageToDict(message, use_integers_for_enums=True)
        except (DecodeError, ValueError, RecursionError) as error:
            raise OtlpError(f"{path}: is not valid OTLP protobuf ({type(error).__name__})") from None
        yield _map_ids(document, _base64_to_hex)


def _request(signal: str) -> Message:
    if signal == "traces":
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

        return trace_service_pb2.ExportTraceServiceRequest()
    if signal == "logs":
        from opentelemetry.proto.collector.logs.v1 import logs_service_pb2

        return logs_service_pb2.ExportLogsServiceRequest()
    if signal == "metrics":
        from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

        return metrics_service_pb2.ExportMetricsServiceRequest()
    raise OtlpError(f"unknown signal: allowed are {', '.join(SIGNALS)}")


def _frames(content: bytes, path: str | Path) -> list[bytes]:
    """The single requests of a file: the whole of it, or behind lengths."""
    if _is_request(content):
        return [content]
    for split in (_split_fixed, _split_varint):
        frames = split(content)
        if frames is not None:
            return frames
    raise OtlpError(f"{path}: is neither OTLP JSON nor OTLP protobuf")


def _is_request(content: bytes) -> bool:
    fields = _wire_fields(content)
    return fields is not None and all(number == 1 and wire == 2 for number, wire, _ in fields)


def _split_fixed(content: bytes) -> list[bytes] | None:
    frames, position = [], 0
    while position < len(content):
        size = int.from_bytes(content[position : position + 4], "big")
        frame = content[position + 4 : position + 4 + size]
        if position + 4 > len(content) or len(frame) != size or not _is_request(frame):
            return None
        frames.append(frame)
        position += 4 + size
    return frames


def _split_varint(content: bytes) -> list[bytes] | None:
    frames, position = [], 0
    while position < len(content):
        read = _varint(content, position)
        if read is None:
            return None
        size, start = read
        frame = content[start : start + size]
        if len(frame) != size or not _is_request(frame):
            return None
        frames.append(frame)
        position = start + size
    return frames


def _guess_signal(frame: bytes) -> str | None:
    """Which request a frame is, by the wire types of its first innermost items.

    Spans have fixed 64 bit times in fields 7 and 8 and a 16 byte id in field 1; log records a fixed
    64 bit time in field 1 or 11; metrics a text in field 1 and data in length-delimited fields
    (opentelemetry/proto/{trace,logs,metrics}/v1).
    """
    for resource in _nested(frame, 1):
        for scope in _nested(resource, 2):
            for item in _nested(scope, 2):
                wires = {(number, wire): value for number, wire, value in _wire_fields(item) or ()}
                if (7, 1) in wires or (8, 1) in wires:
                    return "traces"
                if (1, 1) in wires or (11, 1) in wires or (2, 0) in wires:
                    return "logs"
                if any((number, 2) in wires for number in (5, 7, 9, 10, 11)) and (2, 0) not in wires:
                    first = wires.get((1, 2), b"")
                    return "traces" if len(first) == 16 and len(wires.get((2, 2), b"")) == 8 else "metrics"
    return None


def _named_signal(path: str | Path) -> str | None:
    name = Path(path).name.lower()
    return next((signal for signal in SIGNALS if signal[:-1] in name), None)


def _nested(content: bytes, number: int) -> Iterator[bytes]:
    for found, wire, value in _wire_fields(content) or ():
        if found == number and wire == 2:
            yield value


def _wire_fields(content: bytes) -> list[tuple[int, int, bytes]] | None:
    """Number, wire type and bytes of the fields of a message; None if it is none."""
    fields, position = [], 0
    while position < len(content):
        read = _varint(content, position)
        if read is None:
            return None
        tag, position = read
        wire = tag & 7
        if wire == 0:
            read = _varint(content, position)
            if read is None:
                return None
            end = read[1]
        elif wire == 1:
            end = position + 8
        elif wire == 5:
            end = position + 4
        elif wire == 2:
            read = _varint(content, position)
            if read is None:
                return None
            size, position = read
            end = position + size
        else:
            return None
        if end > len(content) or tag >> 3 == 0:
            return None
        fields.append((tag >> 3, wire, content[position:end]))
        position = end
    return fields


def _varint(content: bytes, position: int) -> tuple[int, int] | None:
    value = shift = 0
    while position < len(content) and shift < 64:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    return None


_ID_FIELDS = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})


def _map_ids(node: Any, convert: Any) -> Any:
    """A copy of a document with its ids converted; attributes are kept as they are."""
    if isinstance(node, dict):
        return {
            name: convert(content)
            if name in _ID_FIELDS
            else content
            if name in ("attributes", "body", "filteredAttributes", "metadata")
            else _map_ids(content, convert)
            for name, content in node.items()
        }
    if isinstance(node, list):
        return [_map_ids(member, convert) for member in node]
    return node


def _base64_to_hex(value: object) -> str:
    try:
        return base64.b64decode(str(value), validate=True).hex()
    except (binascii.Error, ValueError):
        return ""


def _hex_to_base64(value: object) -> str:
    try:
        return base64.b64encode(bytes.fromhex(str(value))).decode("ascii")
    except ValueError:
        return ""


# --- documents to items -------------------------------------------------------------------------


def _spans(document: Document) -> Iterator[Span]:
    for resource, scope, node in _entries(document, "resourceSpans", "scopeSpans", "spans"):
        status = _dict(_get(node, "status"))
        yield Span(
            resource=resource,
            scope=scope,
            trace_id=_id(_get(node, "traceId"), 16),
            span_id=_id(_get(node, "spanId"), 8),
            parent_span_id=_id(_get(node, "parentSpanId"), 8),
            trace_state=_text(_get(node, "traceState")),
            name=_text(_get(node, "name")),
            kind=_enum(_get(node, "kind"), _KINDS, "SPAN_KIND_"),
            start=_integer(_get(node, "startTimeUnixNano"), 0),
            end=_integer(_get(node, "endTimeUnixNano"), 0),
            attributes=decode_attributes(_get(node, "attributes")),
            events=[
                Event(
                    name=_text(_get(event, "name")),
                    time=_integer(_get(event, "timeUnixNano"), 0),
                    attributes=decode_attributes(_get(event, "attributes")),
                )
                for event in _dicts(_get(node, "events"))
            ],
            links=[
                Link(
                    trace_id=_id(_get(link, "traceId"), 16),
                    span_id=_id(_get(link, "spanId"), 8),
                    trace_state=_text(_get(link, "traceState")),
                    attributes=decode_attributes(_get(link, "attributes")),
                )
                for link in _dicts(_get(node, "links"))
            ],
            status=_enum(_get(status, "code"), _STATUS, "STATUS_CODE_"),
            status_message=_text(_get(status, "message")),
        )


def _logs(document: Document) -> Iterator[LogRecord]:
    for resource, scope, node in _entries(document, "resourceLogs", "scopeLogs", "logRecords"):
        severity = _get(node, "severityNumber")
        yield LogRecord(
            resource=resource,
            scope=scope,
            trace_id=_id(_get(node, "traceId"), 16),
            span_id=_id(_get(node, "spanId"), 8),
            time=_integer(_get(node, "timeUnixNano"), 0) or _integer(_get(node, "observedTimeUnixNano"), 0),
            severity_number=_SEVERITIES.get(severity, 0)
            if isinstance(severity, str)
            else _integer(severity, 0),
            severity_text=_text(_get(node, "severityText")),
            event_name=_text(_get(node, "eventName")),
            body=decode_value(_get(node, "body")),
            attributes=decode_attributes(_get(node, "attributes")),
        )


def _metrics(document: Document) -> Iterator[Metric]:
    for resource, scope, node in _entries(document, "resourceMetrics", "scopeMetrics", "metrics"):
        kind, points = "", []
        for name, readable in _METRIC_KINDS.items():
            data = _get(node, name)
            if isinstance(data, dict):
                kind = readable
                points = [_point(point) for point in _dicts(_get(data, "dataPoints"))]
                break
        yield Metric(
            resource=resource,
            scope=scope,
            name=_text(_get(node, "name")),
            description=_text(_get(node, "description")),
            unit=_text(_get(node, "unit")),
            kind=kind,
            points=points,
            metadata=decode_attributes(_get(node, "metadata")),
        )


def _point(node: Document) -> DataPoint:
    total = _get(node, "sum")
    count = _get(node, "count")
    return DataPoint(
        attributes=decode_attributes(_get(node, "attributes")),
        start=_integer(_get(node, "startTimeUnixNano"), 0),
        time=_integer(_get(node, "timeUnixNano"), 0),
        value=_measured(node),
        count=None if count is None else _integer(count, None),
        sum=None if total is None else _number(total),
        exemplars=[
            Exemplar(
                attributes=decode_attributes(_get(exemplar, "filteredAttributes")),
                value=_measured(exemplar),
                trace_id=_id(_get(exemplar, "traceId"), 16),
                span_id=_id(_get(exemplar, "spanId"), 8),
            )
            for exemplar in _dicts(_get(node, "exemplars"))
        ],
    )


def _measured(node: Document) -> float | int | None:
    integer = _get(node, "asInt")
    return _integer(integer, None) if integer is not None else _number(_get(node, "asDouble"))


def _entries(
    document: Document, resources: str, scopes: str, items: str
) -> Iterator[tuple[Resource, Scope, Document]]:
    for group in _dicts(_get(document, resources)):
        resource = Resource(
            attributes=decode_attributes(_get(_dict(_get(group, "resource")), "attributes")),
            schema_url=_text(_get(group, "schemaUrl")),
        )
        for scoped in _dicts(_get(group, scopes)):
            node = _dict(_get(scoped, "scope"))
            scope = Scope(
                name=_text(_get(node, "name")),
                version=_text(_get(node, "version")),
                attributes=decode_attributes(_get(node, "attributes")),
                schema_url=_text(_get(scoped, "schemaUrl")),
            )
            for item in _dicts(_get(scoped, items)):
                yield resource, scope, item


# --- fields of unknown type ---------------------------------------------------------------------

_VALUE_FIELDS = {
    "stringValue": "string",
    "string_value": "string",
    "boolValue": "bool",
    "bool_value": "bool",
    "intValue": "int",
    "int_value": "int",
    "doubleValue": "double",
    "double_value": "double",
    "arrayValue": "array",
    "array_value": "array",
    "kvlistValue": "map",
    "kvlist_value": "map",
    "bytesValue": "bytes",
    "bytes_value": "bytes",
}

_SEVERITIES = {
    f"SEVERITY_NUMBER_{level}{step or ''}": 1 + 4 * index + max(0, step - 1)
    for index, level in enumerate(("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"))
    for step in (0, 2, 3, 4)
}


@lru_cache(maxsize=256)
def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), name)


def _get(node: object, name: str) -> Any:
    if not isinstance(node, dict):
        return None
    found = node.get(name)
    return node.get(_snake(name)) if found is None else found


def _dict(value: object) -> Document:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dicts(value: object) -> Iterable[Document]:
    return (member for member in _list(value) if isinstance(member, dict))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _integer(value: object, default: Any) -> Any:
    if isinstance(value, bool):
        return default
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value == int(value) else default
    if isinstance(value, str) and len(value) <= 20:
        try:
            return int(value)
        except ValueError:
            return default
    return default


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= 32):
        try:
            return float(value)
        except (ValueError, OverflowError):
            return None
    return None


def _bytes(value: object) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(
            value + "=" * (-len(value) % 4), altchars=b"-_" if "-" in value or "_" in value else None
        )
    except (binascii.Error, ValueError):
        return value.encode("utf-8", "replace")  # not base64: keep what stands there for a search


def _id(value: object, size: int) -> str:
    """An id as lower-case hex; base64, which protobuf's own JSON writes, is accepted too."""
    if not isinstance(value, str):
        return ""
    if len(value) == size * 2 and _HEX_ID.match(value):
        return value.lower()
    if len(value) == (size + 2) // 3 * 4 and value.endswith("="):
        decoded = _base64_to_hex(value)
        return decoded if len(decoded) == size * 2 else ""
    return ""


def _enum(value: object, names: tuple[str, ...], prefix: str) -> str:
    if isinstance(value, str) and not value.isdecimal():
        name = value.removeprefix(prefix).lower()
        return name if name in names else names[0]
    number = _integer(value, 0)
    return names[number] if 0 <= number < len(names) else names[0]


class _Bounded(io.RawIOBase):
    """A gzip stream that ends with an error where it expands without end."""

    def __init__(self, stream: gzip.GzipFile, below: io.BufferedReader) -> None:
        self._stream = stream
        self._below = below
        self._left = MAX_EXPANSION

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        self._left -= len(content)
        if self._left < 0:
            raise OSError("the compressed file expands to more than is allowed")
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._stream.close()
        self._below.close()
        super().close()
