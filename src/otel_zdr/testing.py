"""For tests of applications: canaries, exporters that serialise, assertions, and taking the gate off.

The exporters encode to OTLP bytes inside ``export()``: an exporter that keeps the span objects can lie,
because what is cleaned later looks clean although it left raw.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

__all__ = [
    "CapturingLogExporter",
    "CapturingMetricExporter",
    "CapturingSpanExporter",
    "assert_metadata_kept",
    "assert_no_content",
    "canary",
    "forms",
    "uninstall",
]


def uninstall() -> None:
    """Take the gate off this process again. For tests only: production code has no way to loosen."""
    from otel_zdr.sdk.activation import reset

    reset()


def canary(kind: str = "content") -> str:
    """A unique text that looks like content (it has spaces), made at run time."""
    return f"CANARY {kind} {uuid.uuid4().hex}"


class _Capturing:
    """Keeps what was exported as OTLP bytes."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    @property
    def data(self) -> bytes:
        """Everything exported so far."""
        return b"".join(self.requests)

    def clear(self) -> None:
        """Forget what was exported."""
        self.requests.clear()


class CapturingSpanExporter(_Capturing, SpanExporter):
    """A span exporter that serialises inside ``export()``."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.requests.append(encode_spans(spans).SerializeToString())
        return SpanExportResult.SUCCESS

    def parsed(self) -> list[Any]:
        """The exported spans as protobuf messages, each with ``resource`` and ``scope`` beside it."""
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        return [
            (span, scope_spans, resource_spans)
            for request in self.requests
            for resource_spans in ExportTraceServiceRequest.FromString(request).resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
        ]

    @property
    def spans(self) -> list[Any]:
        """The exported spans as protobuf messages."""
        return [item[0] for item in self.parsed()]


class CapturingLogExporter(_Capturing, LogRecordExporter):
    """A log record exporter that serialises inside ``export()``."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        self.requests.append(encode_logs(batch).SerializeToString())
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to do."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is held."""
        return True

    @property
    def records(self) -> list[Any]:
        """The exported log records as protobuf messages."""
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

        return [
            record
            for request in self.requests
            for resource_logs in ExportLogsServiceRequest.FromString(request).resource_logs
            for scope_logs in resource_logs.scope_logs
            for record in scope_logs.log_records
        ]


class CapturingMetricExporter(_Capturing, MetricExporter):
    """A metric exporter that serialises inside ``export()``."""

    def __init__(self, **kwargs: Any) -> None:
        MetricExporter.__init__(self, **kwargs)
        _Capturing.__init__(self)

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        self.requests.append(encode_metrics(metrics_data).SerializeToString())
        return MetricExportResult.SUCCESS

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Nothing to do."""

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is held."""
        return True

    @property
    def metrics(self) -> list[Any]:
        """The exported metrics as protobuf messages."""
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

        return [
            metric
            for request in self.requests
            for resource_metrics in ExportMetricsServiceRequest.FromString(request).resource_metrics
            for scope_metrics in resource_metrics.scope_metrics
            for metric in scope_metrics.metrics
        ]


def forms(text: str) -> list[bytes]:
    """The encodings of ``text`` to search for: plain, JSON-escaped, base64 at every alignment."""
    plain = text.encode()
    found = {plain, text.encode("unicode_escape"), text.encode("utf-16-le")}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + plain)
        # The first and last groups also hold neighbouring bytes.
        core = encoded[4 if offset else 0 : -4]
        if len(core) >= 8:
            found.add(core)
            found.add(core.replace(b"+", b"-").replace(b"/", b"_"))
    return sorted(found)


def assert_no_content(data: bytes, texts: Iterable[str], *, may_be_empty: bool = False) -> None:
    """Fail if one of ``texts`` stands in ``data`` in any of its :func:`forms`, or if there is nothing to tell by.

    Args:
        may_be_empty: pass where nothing was exported, or where there are no texts.

    Raises:
        AssertionError: names how many were found and in which form, never the text.
    """
    looked_for = list(texts)
    if not may_be_empty:
        _need(
            bool(looked_for),
            "there is no text to look for, so nothing can be found: make one with canary() and have the "
            "application under test handle it, or give the texts it handles; may_be_empty=True where none is meant",
        )
        _need(
            bool(data),
            "nothing was exported, so nothing can be found: hang the capturing exporter on the provider that the "
            "application under test uses, and flush it before; may_be_empty=True where nothing is to be exported",
        )
    for index, text in enumerate(looked_for):
        for form in forms(text):
            _need(
                form not in data,
                f"text {index} of {len(text)} characters was found in {len(data)} exported bytes",
            )


def assert_metadata_kept(data: bytes, values: Iterable[str]) -> None:
    """Fail if one of the metadata ``values`` is missing from ``data``, or if none are given."""
    looked_for = list(values)
    _need(bool(looked_for), "there is no value to look for: give those that have to be exported")
    for value in looked_for:
        _need(value.encode() in data, f"metadata {value!r} is missing from {len(data)} exported bytes")


def _need(holds: bool, otherwise: str) -> None:
    """As an assertion, which ``python -O`` would leave out."""
    if not holds:
        raise AssertionError(otherwise)
