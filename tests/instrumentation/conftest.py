"""Real providers, exporters that serialise, the fake vendors, and two policies each call is tried under."""

from __future__ import annotations

import gc
import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

import otel_zdr
from otel_zdr.testing import uninstall
from tests.fakes.server import FakeServer

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


class _Spans(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.wire: list[bytes] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.spans.extend(spans)
        self.wire.append(encode_spans(spans).SerializeToString())
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None: ...


class _Logs:
    def __init__(self) -> None:
        self.records: list[Any] = []
        self.wire: list[bytes] = []

    def export(self, batch: Any) -> Any:
        self.records.extend(batch)
        self.wire.append(encode_logs(batch).SerializeToString())

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


@dataclass
class Telemetry:
    """What one test exports.

    zdr: whether it runs under ZDR. canary: made for this test; put it into every content field.
    """

    zdr: bool
    canary: str = field(default_factory=lambda: f"CANARY-{uuid.uuid4()}")

    def __post_init__(self) -> None:
        resource = Resource({"service.name": "tests"})
        self._spans, self._logs, self._reader = _Spans(), _Logs(), InMemoryMetricReader()
        self.tracer_provider = TracerProvider(resource=resource)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meter_provider = MeterProvider(resource=resource, metric_readers=[self._reader])
        self.logger_provider = LoggerProvider(resource=resource)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        self._metrics: list[Any] = []

    @property
    def providers(self) -> dict[str, Any]:
        """Arguments for `Instrumentor().instrument`."""
        return {
            "tracer_provider": self.tracer_provider,
            "meter_provider": self.meter_provider,
            "logger_provider": self.logger_provider,
        }

    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, oldest first."""
        return list(self._spans.spans)

    def span(self) -> ReadableSpan:
        """The one span there is."""
        spans = self.spans()
        assert len(spans) == 1, [span.name for span in spans]
        return spans[0]

    def events(self) -> list[Any]:
        """The log records that were emitted."""
        return [item.log_record for item in self._logs.records]

    def points(self, metric: str) -> list[Any]:
        """The data points of a metric, over all collections."""
        self._collect()
        return [
            point
            for data in self._metrics
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for found in scope.metrics
            if found.name == metric
            for point in found.data.data_points
        ]

    def _collect(self) -> None:
        data = self._reader.get_metrics_data()
        if data is not None:
            self._metrics.append(data)

    def wire(self) -> bytes:
        """Everything exported, as it goes over the wire."""
        self._collect()
        metrics = [encode_metrics(data).SerializeToString() for data in self._metrics]
        return b"".join(self._spans.wire + self._logs.wire + metrics)

    def assert_content(self, *keys: str) -> None:
        """Under ZDR the canary is nowhere; else, the positive control, it is under each of `keys`."""
        if self.zdr:
            assert self.canary.encode() not in self.wire()
            return
        for key in keys:
            assert any(self.canary in str((span.attributes or {}).get(key, "")) for span in self.spans()), key


@pytest.fixture(scope="session")
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh_server(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "server" in request.fixturenames:
        request.getfixturevalue("server").reset()


@pytest.fixture(params=["zdr", "open"])
def telemetry(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Telemetry]:
    """Each test runs under the gate twice: with every workspace under ZDR and with none.

    Both times the conventions' switch asks for content.
    """
    zdr = request.param == "zdr"
    monkeypatch.setenv(CAPTURE, "SPAN_AND_EVENT")
    otel_zdr.install(otel_zdr.Settings(workspaces=("*",) if zdr else ()))
    try:
        yield Telemetry(zdr=zdr)
    finally:
        uninstall()


@pytest.fixture
def instrument(telemetry: Telemetry) -> Iterator[Callable[[Any], Any]]:
    """`instrument(SomeInstrumentor)` switches it on for this test."""
    used: list[Any] = []

    def start(kind: Any) -> Any:
        instrumentor = kind()
        instrumentor.instrument(**telemetry.providers)
        used.append(instrumentor)
        return instrumentor

    yield start
    for instrumentor in reversed(used):
        instrumentor.uninstrument()


def messages_of(span: ReadableSpan, key: str) -> Any:
    """A content attribute of `span`, parsed."""
    return json.loads(str((span.attributes or {})[key]))


_tests_run = itertools.count(1)


@pytest.fixture(autouse=True)
def no_collections_at_their_own_time() -> Iterator[None]:
    """A stream that a test drops is collected when the test says so.

    The clients' streams are reference cycles. Collected while the HTTP library holds the lock of its
    connection pool, they close the connection, which waits for that very lock: also without us.
    """
    gc.disable()
    yield
    if next(_tests_run) % 40 == 0:
        gc.collect()
