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

from otel_zdr.verify.otlp_fields import SIGNALS, Document, Overfull, base64_to_hex, get
from otel_zdr.verify.otlp_wire import guess_signal, is_request, outside, split_fixed, split_varint

if TYPE_CHECKING:
    from google.protobuf.message import Message

MAX_EXPANSION = 4 * 1024**3
"""Bytes that a gzip file may expand to."""

MAX_DOCUMENT = 512 * 1024**2
"""Bytes that are held at once: one JSON document, or all requests of a protobuf file."""

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_EXPECTED = (
    "expected are export requests as an OTLP exporter or the Collector's file exporter writes them: JSON, "
    "JSON lines or protobuf, plain or gzip"
)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class OtlpError(ValueError):
    """A file cannot be read as OTLP. The text names the file and what is wrong, never its content."""


def read_documents(path: str | Path, *, signal: str | None = None) -> Iterator[Document]:
    """The export requests of a file as OTLP/JSON dicts. Raises :class:`OtlpError`."""
    try:
        with open_stored(path) as stream:
            if _begins_as_json(stream):
                yield from _json_documents(stream, path)
            else:
                yield from _protobuf_documents(_whole(stream, path), path, signal)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from None


def open_stored(path: str | Path) -> io.BufferedReader:
    """A file as bytes, through gzip where it is compressed."""
    buffered = open(path, "rb")  # noqa: SIM115 (the caller closes what is returned)
    magic = buffered.peek(4)[:4]
    if magic[:2] == b"\x1f\x8b":
        return io.BufferedReader(_Bounded(gzip.GzipFile(fileobj=buffered), buffered, path), 1024 * 1024)
    if magic == b"\x28\xb5\x2f\xfd":
        buffered.close()
        raise OtlpError(f"{path}: is compressed with zstd, which is not read here; unpack it first (zstd -d)")
    return buffered


def stored_format(path: str | Path) -> str:
    """The form of a file: json, protobuf, protobuf-delimited or protobuf-fixed. Raises :class:`OtlpError`."""
    try:
        with open_stored(path) as stream:
            if _begins_as_json(stream):
                return "json"
            content = _whole(stream, path)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from None
    if is_request(content):
        return "protobuf"
    return "protobuf-fixed" if split_fixed(content) is not None else "protobuf-delimited"


def is_json(head: bytes) -> bool:
    """Whether a file that begins with `head` is JSON: protobuf begins with a tag or a length."""
    # JSON has no raw control characters; protobuf has tags such as 0x0A and 0x12 in its first bytes.
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    return text[:1] in (b"{", b"[") and not _CONTROL.search(text)


def encode_protobuf(document: Document) -> bytes:
    """An export request in JSON as protobuf; unknown fields are left out.

    Raises :class:`OtlpError` if it holds more than one signal, which no protobuf request can; its text
    names no file, since the document may be of none.
    """
    from google.protobuf import json_format

    signals = [signal for signal, name in SIGNALS.items() if name in document]
    if not signals:
        return b""  # a request without items
    if len(signals) > 1:
        raise OtlpError(
            f"holds {' and '.join(signals)} in one request, of which protobuf holds one; choose --format json"
        )
    message = _request(signals[0])
    try:
        json_format.ParseDict(_map_ids(document, _hex_to_base64), message, ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, TypeError) as error:
        raise OtlpError(
            f"holds what cannot be written as protobuf ({type(error).__name__}); choose --format json"
        ) from None
    encoded: bytes = message.SerializeToString()
    return encoded


def _begins_as_json(stream: io.BufferedReader) -> bool:
    return is_json(stream.peek(512)[:512])


def _whole(stream: io.BufferedReader, path: str | Path) -> bytes:
    content = stream.read(MAX_DOCUMENT + 1)
    if len(content) > MAX_DOCUMENT:
        raise OtlpError(
            f"{path}: is no JSON and longer than {_size(MAX_DOCUMENT)}, more than is read of a protobuf file; "
            "split it into files of fewer requests"
        )
    return content


def _unreadable(path: str | Path, error: Exception) -> OtlpError:
    if isinstance(error, EOFError):
        reason = "the compressed file ends too early; copy it again"
    elif isinstance(error, (zlib.error, gzip.BadGzipFile)):
        reason = "the compressed file is damaged; copy it again"
    else:
        reason = getattr(error, "strerror", None) or type(error).__name__
    return OtlpError(f"{path}: cannot be read ({reason})")


def _size(count: int) -> str:
    for unit, factor in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if count >= factor:
            return f"{count // factor} {unit}"
    return f"{count} bytes"


# --- JSON ---------------------------------------------------------------------------------------


def _json_documents(stream: io.BufferedReader, path: str | Path) -> Iterator[Document]:
    """Documents one after the other; a document may span lines, a line may hold several."""
    decoder = json.JSONDecoder(object_pairs_hook=_node)
    for number, text in _lines(stream, path):
        decoded = _Decoded(decoder, text, number, path)
        for document in decoded.documents:
            yield from _unwrap(document, path, decoded.line)
        if not decoded.broken:
            continue
        # A document that spans lines, then: as one text, since one try a line would take quadratic time.
        following = stream.readline(MAX_DOCUMENT + 1)
        if not text[decoded.position :].startswith("[") and _is_whole_request(decoder, following):
            raise decoded.error(f"line {number}")
        rest = following + stream.read(max(0, MAX_DOCUMENT + 1 - len(following)))
        if len(rest) > MAX_DOCUMENT:
            raise _too_long(path, decoded.line)
        decoded = _Decoded(decoder, text[decoded.position :] + _text(rest), decoded.line, path)
        for document in decoded.documents:
            yield from _unwrap(document, path, decoded.line)
        if decoded.broken:
            raise decoded.error(f"the document that begins in line {decoded.line}")


class _Decoded:
    """The complete documents at the front of `text`, which begins in line `line`, and what is left of it."""

    def __init__(self, decoder: json.JSONDecoder, text: str, line: int, path: str | Path) -> None:
        self.documents: list[object] = []
        self.position = 0
        self.line = line
        self.broken: json.JSONDecodeError | ValueError | None = None
        self._path, self._first = path, line
        while True:
            while self.position < len(text) and text[self.position] in " \t\r\n,":
                self.position += 1
            if self.position == len(text):
                return
            try:
                document, end = decoder.raw_decode(text, self.position)
            except RecursionError:
                raise OtlpError(
                    f"{path}: is nested too deeply in the document that begins in line {self._begin(text)}; "
                    + _EXPECTED
                ) from None
            except ValueError as error:
                self.line, self.broken = self._begin(text), error
                return
            self.documents.append(document)
            self.position = end

    def _begin(self, text: str) -> int:
        return self._first + text.count("\n", 0, self.position)

    def error(self, where: str) -> OtlpError:
        """What is wrong: `where`, and the place at which it was noticed."""
        noticed = ""
        if isinstance(self.broken, json.JSONDecodeError):
            # Its own message quotes nothing but may follow the content: the place is enough.
            noticed = f" (noticed in line {self._first + self.broken.lineno - 1}, column {self.broken.colno})"
        return OtlpError(
            f"{self._path}: {where} is not valid JSON{noticed}; correct or remove it, then run this again"
        )


def _lines(stream: io.BufferedReader, path: str | Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers."""
    number = 0
    while line := stream.readline(MAX_DOCUMENT + 1):
        number += 1
        if len(line) > MAX_DOCUMENT:
            raise _too_long(path, number)
        if line.isspace():
            continue
        text = _text(line)
        yield number, text.removeprefix("\ufeff") if number == 1 else text


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _too_long(path: str | Path, line: int) -> OtlpError:
    return OtlpError(
        f"{path}: the document that begins in line {line} is longer than {_size(MAX_DOCUMENT)}, more than is "
        "held at once; write one request a line (JSON lines) or split the file"
    )


def _is_whole_request(decoder: json.JSONDecoder, line: bytes) -> bool:
    """Whether a line is a request by itself: what stands before it then is a line of its own as well."""
    try:
        document = decoder.decode(_text(line).strip())
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and any(get(document, name) is not None for name in SIGNALS.values())


def _node(pairs: list[tuple[str, Any]]) -> Document:
    """An object; what JSON's last-one-wins would hide is kept beside it."""
    node = dict(pairs)
    if len(node) == len(pairs):
        return node
    last = {name: index for index, (name, _) in enumerate(pairs)}
    return Overfull(node, [pair for index, pair in enumerate(pairs) if last[pair[0]] != index])


def _unwrap(document: object, path: str | Path, line: int) -> Iterator[Document]:
    """An array of documents as documents; a single Resource… object as a request."""
    for member in document if isinstance(document, list) else (document,):
        yield _unwrap_one(member, path, line)


def _unwrap_one(document: object, path: str | Path, line: int) -> Document:
    where = f"{path}: the JSON document of line {line}"
    if not isinstance(document, dict):
        raise OtlpError(f"{where} is no object; {_EXPECTED}")
    if not document:
        return document
    normal: Document = {}
    for name in SIGNALS.values():
        content = get(document, name)
        if content is not None:
            if not isinstance(content, list):
                raise OtlpError(f"{where} has {name} that is not a list; {_EXPECTED}")
            normal[name] = content
    if not normal:
        for scopes, name in (
            ("scopeSpans", "resourceSpans"),
            ("scopeLogs", "resourceLogs"),
            ("scopeMetrics", "resourceMetrics"),
        ):
            if isinstance(get(document, scopes), list):
                normal[name] = [document]
        if normal:
            return normal
        raise OtlpError(f"{where} has no resourceSpans, resourceLogs or resourceMetrics; {_EXPECTED}")
    beside = [
        (name, content)
        for name, content in document.items()
        if not any(content is taken for taken in normal.values())
        and not (content is None and name in SIGNALS.values())
    ]
    beside += document.beside if isinstance(document, Overfull) else []
    return Overfull(normal, beside) if beside else normal


# --- protobuf -----------------------------------------------------------------------------------


def _protobuf_documents(content: bytes, path: str | Path, signal: str | None) -> Iterator[Document]:
    from google.protobuf import json_format
    from google.protobuf.message import DecodeError

    for number, frame in enumerate(_frames(content, path), 1):
        message = _request(signal or guess_signal(frame) or _named_signal(path) or "traces")
        try:
            message.ParseFromString(frame)
            known = message.ByteSize()
            message.DiscardUnknownFields()  # type: ignore[no-untyped-call,unused-ignore]
            document = json_format.MessageToDict(message, use_integers_for_enums=True)
        except (DecodeError, ValueError, RecursionError) as error:
            raise OtlpError(
                f"{path}: request {number} is not valid OTLP protobuf ({type(error).__name__}); {_EXPECTED}"
            ) from None
        document = _map_ids(document, base64_to_hex)
        if known != len(frame) or message.ByteSize() != known:
            document = outside(frame, message.DESCRIPTOR, document)
        yield document


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
    if is_request(content):
        return [content]
    for split in (split_fixed, split_varint):
        frames = split(content)
        if frames is not None:
            return frames
    if content[:2] in _UTF_16:
        raise OtlpError(f"{path}: is UTF-16; convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)")
    raise OtlpError(f"{path}: is neither OTLP JSON nor OTLP protobuf; {_EXPECTED}")


def _named_signal(path: str | Path) -> str | None:
    name = Path(path).name.lower()
    return next((signal for signal in SIGNALS if signal[:-1] in name), None)


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

    def __init__(self, stream: gzip.GzipFile, below: io.BufferedReader, path: str | Path) -> None:
        self._stream = stream
        self._below = below
        self._path = path
        self._left = MAX_EXPANSION

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        self._left -= len(content)
        if self._left < 0:
            raise OtlpError(
                f"{self._path}: expands to more than {_size(MAX_EXPANSION)}, more than is read of a compressed "
                "file; if it is meant to, unpack it first (gzip -d)"
            )
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._stream.close()
        self._below.close()
        super().close()
