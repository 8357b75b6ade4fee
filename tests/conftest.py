"""Shared fixtures: providers whose exporters serialise, and a gate that is off before and after each test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import context as context_api
from opentelemetry._logs import LogRecord

from otel_zdr.testing import CapturingLogExporter, CapturingMetricExporter, CapturingSpanExporter, uninstall

# Properties say what holds, not how fast: on a busy machine one example may take a second, and the first one
# builds tables of all of Unicode. What else Hypothesis chose (in CI the same examples each time) stays. The
# environments of neighbours have no Hypothesis, and run no properties.
with contextlib.suppress(ModuleNotFoundError):
    import hypothesis

    hypothesis.settings.register_profile(
        "otel_zdr",
        hypothesis.settings(),
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("otel_zdr")

#: Since SDK 1.41.
RECORDS_HOLD_EXCEPTIONS = hasattr(LogRecord(), "exception")


@pytest.fixture(autouse=True)
def gate_is_off() -> Iterator[None]:
    """No test leaves a gate, or a workspace in the context, behind, or finds one."""
    uninstall()
    context_api.attach(context_api.Context())
    yield
    context_api.attach(context_api.Context())
    uninstall()


class Pipeline:
    """Real providers for all three signals with exporters that serialise inside ``export()``."""

    def __init__(self, resource: dict[str, Any] | None = None) -> None:
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
        from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor

        made = Resource(resource or {"service.name": "test"})
        self.span_exporter = CapturingSpanExporter()
        self.log_exporter = CapturingLogExporter()
        self.metric_exporter = CapturingMetricExporter()
        self.tracer_provider = TracerProvider(resource=made, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.span_exporter))
        self.logger_provider = LoggerProvider(resource=made, shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self.log_exporter))
        self.reader = PeriodicExportingMetricReader(self.metric_exporter, export_interval_millis=3_600_000)
        self.meter_provider = MeterProvider(
            metric_readers=[self.reader],
            resource=made,
            shutdown_on_exit=False,
            exemplar_filter=AlwaysOnExemplarFilter(),
        )
        self.tracer = self.tracer_provider.get_tracer("otel_zdr")
        self.logger = self.logger_provider.get_logger("otel_zdr")
        self.meter = self.meter_provider.get_meter("otel_zdr")

    def collect(self) -> bytes:
        """Collect the metrics and return all exported bytes of all signals."""
        self.meter_provider.force_flush()
        return self.data

    @property
    def data(self) -> bytes:
        return self.span_exporter.data + self.log_exporter.data + self.metric_exporter.data

    def shutdown(self) -> None:
        self.tracer_provider.shutdown()
        self.logger_provider.shutdown()
        self.meter_provider.shutdown()


@pytest.fixture
def make_pipeline() -> Iterator[Any]:
    """A factory of pipelines that are shut down after the test."""
    made: list[Pipeline] = []

    def make(resource: dict[str, Any] | None = None) -> Pipeline:
        made.append(Pipeline(resource))
        return made[-1]

    yield make
    for pipeline in made:
        pipeline.shutdown()


@pytest.fixture
def pipeline(make_pipeline: Any) -> Any:
    """One pipeline with a plain resource."""
    return make_pipeline()
