"""Stored OTLP files as documents: JSON in its several forms, protobuf with and without lengths, gzip."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_zdr.verify.otlp_fields import SIGNALS, Document, base64_to_hex, get

if TYPE_CHECKING:
    from google.protobuf.message import Message

MAX_EXPANSION = 4 * 1024**3
"""Bytes that a gzip file may expand to."""

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


class OtlpError(ValueError):
    """A file cannot be read as OTLP. The text names the file and what is wrong, never its content."""


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


def stored_format(path: str | Path) -> str:
    """The form of a file: json, protobuf, protobuf-delimited or protobuf-fixed. Raises :class:`OtlpError`."""
    try:
        with open_stored(path) as stream:
            if is_json(stream.peek(512)[:512]):
                return "json"
            content = stream.read()
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise OtlpError(f"{path}: cannot be read ({reason})") from None
    if _is_request(content):
        return "protobuf"
    return "protobuf-fixed" if _split_fixed(content) is not None else "protobuf-delimited"


def is_json(head: bytes) -> bool:
    """Whether a file that begins with `head` is JSON: protobuf begins with a tag or a length."""
    # JSON has no raw control characters; protobuf has tags such as 0x0A and 0x12 in its first bytes.
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    return text[:1] in (b"{", b"[") and not _CONTROL.search(text)


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
        content = get(document, name)
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
            if isinstance(get(document, scopes), list):
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
        yield _map_ids(document, base64_to_hex)


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


def _hex_to_base64(value: object) -> str:
    try:
        return base64.b64encode(bytes.fromhex(str(value))).decode("ascii")
    except ValueError:
        return ""


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
