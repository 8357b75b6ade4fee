"""The evidence as it is exported: on items, as metrics, in the log; and never what it speaks of."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import otel_zdr
from otel_zdr.catalogue import CONTENT_CLASSES
from otel_zdr.testing import assert_no_content, canary
from tests.policy.otlp import attributes_of
from tests.receiver import Receiver, receiver

BIN = Path(sys.executable).parent
APP = """
import logging, os, sys
from opentelemetry import metrics, trace
import otel_zdr
{before}
{setup}
{after}
text = os.environ["CANARY"]
tracer = trace.get_tracer("app")
for number in range(3):
    attributes = {{"gen_ai.operation.name": "chat", "gen_ai.input.messages": text, text: text, "app.note": text}}
    with tracer.start_as_current_span("chat", attributes=attributes) as span:
        span.set_attribute("gen_ai.output.messages", text)
    logging.getLogger("app").warning(text)
metrics.get_meter("app").create_counter("gen_ai.client.token.usage").add(1, {{"app.note": text}})
"""
SETUP = """
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
"""
INSTALL = "otel_zdr.install()"
#: No name of a span can be judged.
BROKEN = """
from otel_zdr.sdk.span import copying, forms, reading, starting, writing
for part in (copying, forms, reading, starting, writing):
    assert part.name_at_write
    part.name_at_write = None
"""


@pytest.fixture
def sink() -> Iterator[Receiver]:
    with receiver() as state:
        yield state


def run(
    sink: Receiver, tmp_path: Path, code: str, *command: str, environment: dict[str, str] | None = None
) -> tuple[str, str]:
    """Run ``code`` in a process of its own; returns its standard error and the canary it was given."""
    app = tmp_path / "app.py"
    app.write_text(code)
    text = f"CANARY {uuid.uuid4().hex}"
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTHON"))}
    env.update(
        CANARY=text,
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="grpc_client,requests,urllib3,urllib,httpx",
        **(environment or {}),
    )
    done = subprocess.run(
        [*(command or (sys.executable,)), str(app)], env=env, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert text not in done.stderr.replace("WARNING:app:" + text, "").replace(text + "\n", "")
    return done.stderr, text


def series(sink: Receiver, name: str) -> dict[tuple[tuple[str, str], ...], int]:
    """The last value of each series of a metric."""
    found: dict[tuple[tuple[str, str], ...], int] = {}
    for body in sink.received["metrics"]:
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        for point in metric.sum.data_points:
                            found[tuple(sorted(attributes_of(point).items()))] = point.as_int
    return found


def spans(sink: Receiver) -> list[dict[str, Any]]:
    return [
        attributes_of(span)
        for body in sink.received["traces"]
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def of(counted: str, signal: str = "span", product: str | None = "llm") -> tuple[tuple[str, str], ...]:
    found = [("zdr.class", counted), ("zdr.signal", signal)]
    return tuple(sorted([*found, ("zdr.product", product)] if product else found))


WAYS = {
    "provider after the gate": APP.format(before=INSTALL, setup=SETUP, after=""),
    "provider before the gate": APP.format(before="", setup=SETUP, after=INSTALL),
}


@pytest.mark.parametrize("workspaces", ["*", "clinic"])
@pytest.mark.parametrize("code", WAYS.values(), ids=WAYS)
def test_what_was_removed_is_counted_whenever_the_meter_provider_is_made(
    sink: Receiver, tmp_path: Path, code: str, workspaces: str
) -> None:
    _, text = run(sink, tmp_path, code, environment={"OTEL_ZDR_WORKSPACES": workspaces})
    counted = series(sink, "zdr.removed.values")
    assert counted[of("prompt")] == 3
    assert counted[of("completion")] == 3
    assert sum(count for key, count in counted.items() if ("zdr.signal", "span") in key) == 3 * 4
    for key in counted:
        named = dict(key)
        assert set(named) <= {"zdr.class", "zdr.signal", "zdr.product"}
        assert named["zdr.class"] in CONTENT_CLASSES
    assert_no_content(sink.data, [text])


def test_the_counts_of_a_launched_application_arrive_with_its_summary(sink: Receiver, tmp_path: Path) -> None:
    code = APP.format(before="", setup="logging.basicConfig(level=logging.INFO)", after="")
    environment = {"OTEL_PYTHON_DISTRO": "zdr", "OTEL_PYTHON_CONFIGURATOR": "zdr"}
    launcher = (str(BIN / "opentelemetry-instrument"), sys.executable)
    stderr, text = run(sink, tmp_path, code, *launcher, environment=environment)
    assert series(sink, "zdr.removed.values")[of("prompt")] == 3
    (summary,) = [line for line in stderr.splitlines() if "values removed:" in line]
    assert "3 spans" in summary
    assert "completion:3" in summary
    assert "prompt:3" in summary
    assert_no_content(sink.data, [text])


def test_without_logging_the_summary_goes_to_standard_error_once(sink: Receiver, tmp_path: Path) -> None:
    code = APP.format(before=INSTALL, setup=SETUP, after="")
    stderr, _ = run(sink, tmp_path, code)
    (summary,) = [line for line in stderr.splitlines() if "values removed:" in line]
    assert summary.startswith("otel-zdr: ")
    assert "prompt:3" in summary


def test_a_failure_is_counted_where_it_happened(sink: Receiver, tmp_path: Path) -> None:
    code = APP.format(before=INSTALL + BROKEN, setup=SETUP, after="")
    _, text = run(sink, tmp_path, code)
    assert series(sink, "zdr.failsafe.items")[("zdr.signal", "span"),] >= 3
    assert all(span["zdr.failsafe"] is True for span in spans(sink))
    assert_no_content(sink.data, [text])


@pytest.mark.parametrize("broken", ["", BROKEN])
def test_evidence_that_is_off_leaves_one_attribute(sink: Receiver, tmp_path: Path, broken: str) -> None:
    code = APP.format(before=INSTALL + broken, setup=SETUP, after="")
    stderr, text = run(sink, tmp_path, code, environment={"OTEL_ZDR_EVIDENCE": "off"})
    assert len(spans(sink)) == 3
    for span in spans(sink):
        assert {key for key in span if key.startswith("zdr.")} == {"zdr.redacted"}
        assert span["zdr.redacted"] is True
    assert "values removed" not in stderr
    assert b"zdr.removed" not in sink.data
    assert_no_content(sink.data, [text])


def test_a_value_counts_when_it_is_removed(pipeline: Any) -> None:
    """Keys of what was removed are not remembered: what was written over had been removed, too."""
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",), unidentified="retain"))
    text = canary()
    for first, last in (({"workspace.id": "clinic"}, {}), ({}, {"workspace.id": "clinic"})):
        span = pipeline.tracer.start_span("chat", attributes=first)
        for _ in range(2):
            span.set_attribute("gen_ai.input.messages", text)
            span.set_attribute("gen_ai.usage.input_tokens", 3)
        span.set_attributes(last)
        span.end()
    written, at_the_end = (attributes_of(span) for span in pipeline.span_exporter.spans)
    assert list(written["zdr.removed"]) == ["prompt:2"]
    assert list(at_the_end["zdr.removed"]) == ["prompt:1"]
    assert written["gen_ai.usage.input_tokens"] == at_the_end["gen_ai.usage.input_tokens"] == 3
    assert_no_content(pipeline.collect(), [text])


def test_an_application_cannot_write_content_under_the_names_of_the_evidence(pipeline: Any) -> None:
    otel_zdr.install(otel_zdr.Settings())
    text = canary()
    counter = pipeline.meter_provider.get_meter("otel_zdr").create_counter("zdr.removed.values")
    counter.add(1, {"zdr.class": text, "zdr.signal": "span", text: "prompt", "zdr.product": [text]})
    data = pipeline.collect()
    assert b"zdr.removed.values" in data
    assert_no_content(data, [text])


FORGED = {
    "zdr.redacted": True,
    "zdr.removed": ["prompt:99"],
    "zdr.coverage": "covered",
    "zdr.product": "llm",
    "zdr.policy.version": "99",
    "zdr.anything": "else",
}


@pytest.mark.parametrize("workspace", ["clinic", "studio", None])
def test_what_an_application_writes_as_evidence_is_removed(make_pipeline: Any, workspace: str | None) -> None:
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",), unidentified="retain"))
    pipeline = make_pipeline({"service.name": "x", **FORGED})
    note = canary("note")
    own = {"workspace.id": workspace} if workspace else {}
    with pipeline.tracer.start_as_current_span(
        "chat", attributes={**FORGED, **own, "app.note": note}
    ) as span:
        span.set_attributes(FORGED)
        for key, value in FORGED.items():
            span.set_attribute(key, value)
        pipeline.logger.emit(body="x", attributes={**FORGED, **own})
    pipeline.logger.emit(body="x", attributes={**FORGED, **own})
    pipeline.meter.create_counter("gen_ai.client.token.usage").add(1, {**FORGED, **own})
    pipeline.collect()
    ((exported, _, resource),) = pipeline.span_exporter.parsed()
    marks = {"zdr.redacted", "zdr.removed", "zdr.policy.version"} if workspace == "clinic" else set()
    for item in (exported, *pipeline.log_exporter.records):
        left = {key: value for key, value in attributes_of(item).items() if key.startswith("zdr.")}
        assert set(left) <= marks
        assert "zdr.redacted" in left or not marks
        assert left.get("zdr.policy.version", "environment") == "environment"
        assert "prompt:99" not in left.get("zdr.removed", [])
    assert not [pair.key for pair in resource.resource.attributes if pair.key.startswith("zdr.")]
    for request in pipeline.log_exporter.requests:
        for logs in ExportLogsServiceRequest.FromString(request).resource_logs:
            assert not [pair.key for pair in logs.resource.attributes if pair.key.startswith("zdr.")]
    for request in pipeline.metric_exporter.requests:
        for part in ExportMetricsServiceRequest.FromString(request).resource_metrics:
            assert not [pair.key for pair in part.resource.attributes if pair.key.startswith("zdr.")]
            for scope in part.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.sum.data_points:
                        assert not [pair.key for pair in point.attributes if pair.key.startswith("zdr.")]
    assert (note.encode() in pipeline.data) is (workspace != "clinic")


def test_an_attribute_key_that_is_no_text_disturbs_nobody(pipeline: Any) -> None:
    otel_zdr.install(otel_zdr.Settings(workspaces=("clinic",), unidentified="retain"))
    for workspace in ("clinic", "studio", None):
        span = pipeline.tracer.start_span("x", attributes={"workspace.id": workspace} if workspace else {})
        for key in (7, None, b"zdr.x", ("a",), ["unhashable"]):
            span.set_attribute(key, "value")
        span.set_attribute("gen_ai.usage.input_tokens", 5)
        span.end()
    assert all(attributes_of(span)["gen_ai.usage.input_tokens"] == 5 for span in pipeline.span_exporter.spans)
    assert len(pipeline.span_exporter.spans) == 3


CHANGES = """
import pathlib, time
import otel_zdr
from opentelemetry import metrics, trace
otel_zdr.install()
{setup}
file = pathlib.Path(os.environ["OTEL_ZDR_POLICY_FILE"])
for text in (
    "version = 2\\n[organisation]\\nzdr = false\\n[workspaces.lab]\\nzdr = true\\n",
    "version = broken",
    "version = 3\\n[organisation]\\nzdr = false\\n",
):
    file.write_text(text)
    time.sleep(2.5)
"""


def test_changes_of_the_policy_are_counted_by_kind(sink: Receiver, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text("version = 1\n[organisation]\nzdr = false\n")
    file.chmod(0o600)
    code = "import os\n" + CHANGES.replace("{setup}", SETUP)
    stderr, _ = run(sink, tmp_path, code, environment={"OTEL_ZDR_POLICY_FILE": str(file)})
    counted = series(sink, "zdr.policy.changes")
    assert counted == {(("zdr.change", kind),): 1 for kind in ("tightened", "loosened", "bad")}, stderr
