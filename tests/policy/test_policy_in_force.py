"""A policy file as it is used: through the environment, under the launcher, in forked workers, by workspace."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

import otel_zdr
from otel_zdr.testing import CapturingLogExporter, canary
from tests.policy.otlp import attributes_of
from tests.receiver import Receiver, receiver

BIN = Path(sys.executable).parent
WITHIN = 2.0
POLICY = """
version = {version}
[organisation]
zdr = false
[workspaces.clinic]
zdr = true
keep_keys = ["acme.role"]
[workspaces.flips]
zdr = {flips}
keep_keys = ["acme.role"]
"""
#: A worker and its parent, each with its own exporter; both go on until they are told to stop.
APP = """
import os, pathlib, sys, time
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
text, stop = os.environ["CANARY"], pathlib.Path(os.environ["STOP"])
trace.get_tracer("before the fork").start_span("x").end()
role = "worker" if os.fork() == 0 else "parent"
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("app")
end = time.time() + 40
while not stop.exists() and time.time() < end:
    for workspace in ("clinic", "flips", "studio"):
        attributes = {"workspace.id": workspace, "acme.role": role, "acme.room": "room-7", "app.note": text}
        tracer.start_span("x", attributes=attributes).end()
    time.sleep(0.05)
if role == "worker":
    os._exit(0)
os.wait()
"""


@pytest.fixture
def sink() -> Iterator[Receiver]:
    with receiver() as state:
        yield state


def write(file: Path, text: str) -> float:
    new = file.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o600)
    new.replace(file)
    return time.time()


def exported(sink: Receiver) -> list[tuple[float, dict[str, Any]]]:
    """Start (seconds) and attributes of every span so far."""
    return [
        (span.start_time_unix_nano / 1e9, attributes_of(span))
        for body in list(sink.received["traces"])
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if any(pair.key == "acme.role" for pair in span.attributes)
    ]


def wait_for(sink: Receiver, since: float, shown: bool) -> None:
    """Until both processes have exported a span of the workspace that flips as it shall be."""
    end = time.time() + 15
    while time.time() < end:
        roles = {
            found["acme.role"]
            for start, found in exported(sink)
            if start > since and found["workspace.id"] == "flips" and ("app.note" in found) is shown
        }
        if roles == {"parent", "worker"}:
            return
        time.sleep(0.1)
    raise AssertionError(f"only {roles} followed the policy")


def test_a_policy_file_is_followed_under_the_launcher_and_in_forked_workers(
    sink: Receiver, tmp_path: Path
) -> None:
    app, file, stop = tmp_path / "app.py", tmp_path / "policy.toml", tmp_path / "stop"
    app.write_text(APP)
    write(file, POLICY.format(version=1, flips="false"))
    text = f"CANARY {uuid.uuid4().hex}"
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTHON"))}
    env.update(
        CANARY=text,
        STOP=str(stop),
        OTEL_ZDR_POLICY_FILE=str(file),
        OTEL_PYTHON_DISTRO="zdr",
        OTEL_PYTHON_CONFIGURATOR="zdr",
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        OTEL_RESOURCE_ATTRIBUTES="workspace.id=nobody%2Dknows",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="requests,urllib3,urllib,httpx",
    )
    process = subprocess.Popen(
        [str(BIN / "opentelemetry-instrument"), sys.executable, str(app)],
        env=env,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(sink, 0, shown=True)
        tightened = write(file, POLICY.format(version=2, flips="true"))
        wait_for(sink, tightened, shown=False)
        time.sleep(WITHIN + 0.5)
        loosened = write(file, POLICY.format(version=3, flips="false"))
        wait_for(sink, loosened, shown=True)
    finally:
        stop.touch()
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert "policy 1" in stderr
    assert stderr.count("'nobody-knows' is named by no list or policy") == 1
    late = [found for start, found in exported(sink) if tightened + WITHIN < start < loosened]
    assert {found["acme.role"] for found in late} == {"parent", "worker"}
    for start, found in exported(sink):
        under = found["workspace.id"] == "clinic" or (
            found["workspace.id"] == "flips" and tightened + WITHIN < start < loosened
        )
        if under:
            assert found["zdr.redacted"] is True
            assert found["acme.role"] in ("parent", "worker")
            assert not {"app.note", "acme.room"} & set(found)
        elif found["workspace.id"] == "studio":
            assert (found["app.note"], found["acme.room"]) == (text, "room-7")


# keys and names that a workspace keeps

LISTS = """
version = 1
[organisation]
zdr = true
keep_keys = ["acme.site"]
[workspaces.clinic]
keep_keys = ["acme.site", "acme.room", "acme.bed.*"]
keep_names = ["acme-clinic-step"]
[workspaces.ward]
keep_keys = ["acme.room", "acme.bed.number"]
keep_names = ["acme-clinic-step", "acme-ward-step"]
[workspaces.studio]
zdr = false
"""
#: Nobody is under ZDR but by name, so a span is undecided until it names a workspace.
LATE = """
version = 1
[organisation]
zdr = false
[workspaces.clinic]
zdr = true
keep_keys = ["acme.site", "acme.room", "acme.bed.*"]
[workspaces.ward]
zdr = true
keep_keys = ["acme.room", "acme.bed.number"]
"""
GIVEN = {"acme.site": "s-1", "acme.room": "room-7", "acme.bed.number": "b-2", "acme.bed.side": "left"}


def install(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    write(file, LISTS)
    otel_zdr.install(otel_zdr.Settings(policy_file=str(file)))


def kept(pipeline: Any, signal: str) -> set[str]:
    """What is left of :data:`GIVEN` on the last exported item of a signal."""
    if signal == "span":
        item = pipeline.span_exporter.spans[-1]
    elif signal == "log":
        request = ExportLogsServiceRequest.FromString(pipeline.log_exporter.requests[-1])
        item = request.resource_logs[-1].scope_logs[-1].log_records[-1]
    else:
        pipeline.meter_provider.force_flush()
        request = ExportMetricsServiceRequest.FromString(pipeline.metric_exporter.requests[-1])
        points = request.resource_metrics[-1].scope_metrics[-1].metrics[-1].sum.data_points
        return {key for point in points for key in attributes_of(point)} & set(GIVEN)
    return set(attributes_of(item)) & set(GIVEN)


def emit(pipeline: Any, signal: str, attributes: dict[str, Any]) -> None:
    if signal == "span":
        pipeline.tracer.start_span("x", attributes=attributes).end()
    elif signal == "log":
        pipeline.logger.emit(body="x", attributes=attributes)
    else:
        pipeline.meter.create_counter("gen_ai.client.token.usage").add(1, attributes)


@pytest.mark.parametrize("signal", ["span", "log", "metric"])
@pytest.mark.parametrize(
    ("workspaces", "expected"),
    [
        ([], {"acme.site"}),
        (["anybody"], {"acme.site"}),
        (["clinic"], {"acme.site", "acme.room", "acme.bed.number", "acme.bed.side"}),
        (["ward"], {"acme.room", "acme.bed.number"}),
        (["clinic", "ward"], {"acme.room", "acme.bed.number"}),
        (["clinic", "anybody"], {"acme.site"}),
        (["ward", "anybody"], set()),
        (["ward", "studio"], {"acme.room", "acme.bed.number"}),
        (["studio"], set(GIVEN)),
    ],
    ids=lambda given: "+".join(sorted(given)) or "nobody",
)
def test_a_key_stays_where_every_workspace_of_the_item_keeps_it(
    pipeline: Any, tmp_path: Path, signal: str, workspaces: list[str], expected: set[str]
) -> None:
    install(tmp_path)
    emit(pipeline, signal, {**GIVEN, **({"workspace.id": workspaces} if workspaces else {})})
    assert kept(pipeline, signal) == expected


@pytest.mark.parametrize("signal", ["span", "log", "metric"])
@pytest.mark.parametrize("where", ["resource", "ambient", "parent"])
def test_the_lists_of_a_workspace_count_wherever_it_is_named(
    make_pipeline: Any, tmp_path: Path, signal: str, where: str
) -> None:
    install(tmp_path)
    pipeline = make_pipeline({"workspace.id": "ward"} if where == "resource" else None)
    for more in ({}, {"workspace.id": "clinic"}):
        if where == "ambient":
            with otel_zdr.workspace("ward"):
                emit(pipeline, signal, {**GIVEN, **more})
        elif where == "parent":
            parent = pipeline.tracer.start_span("parent", attributes={"workspace.id": "ward"})
            with trace.use_span(parent):
                emit(pipeline, signal, {**GIVEN, **more})
        else:
            emit(pipeline, signal, {**GIVEN, **more})
    assert kept(pipeline, signal) == {"acme.room", "acme.bed.number"}
    assert b"s-1" not in pipeline.data
    assert b"left" not in pipeline.data


def test_a_workspace_that_is_named_last_decides_over_what_was_written_before(
    pipeline: Any, tmp_path: Path
) -> None:
    file = tmp_path / "policy.toml"
    write(file, LATE)
    otel_zdr.install(otel_zdr.Settings(policy_file=str(file)))
    note = canary("note")
    for named, expected in (
        (["clinic"], set(GIVEN)),
        (["ward"], {"acme.room", "acme.bed.number"}),
        (["clinic", "ward"], {"acme.room", "acme.bed.number"}),
        (["studio", "clinic"], set(GIVEN)),
    ):
        span = pipeline.tracer.start_span("x", attributes={**GIVEN, "app.note": note})
        for workspace in named:
            span.set_attribute("workspace.id", workspace)
        span.end()
        assert kept(pipeline, "span") == expected, named
    assert note.encode() not in pipeline.data


@pytest.mark.parametrize(
    ("workspaces", "expected"),
    [
        (["clinic"], {"acme-clinic-step"}),
        (["ward"], {"acme-clinic-step", "acme-ward-step"}),
        (["clinic", "ward"], {"acme-clinic-step"}),
        (["ward", "anybody"], set()),
    ],
    ids=lambda given: "+".join(sorted(given)) or "nobody",
)
def test_a_name_stays_where_every_workspace_of_the_item_keeps_it(
    pipeline: Any, tmp_path: Path, workspaces: list[str], expected: set[str]
) -> None:
    install(tmp_path)
    for name in ("clinic", "ward", "other"):
        # Made at run time: a literal could be proven and stay for that.
        made = "-".join(("acme", name, "step"))
        pipeline.tracer.start_span(made, attributes={"workspace.id": workspaces}).end()
    assert {span.name for span in pipeline.span_exporter.spans} - {"internal"} == expected


def test_what_was_written_while_more_was_allowed_goes_when_another_workspace_is_named(
    pipeline: Any, tmp_path: Path
) -> None:
    install(tmp_path)
    name = "-".join(("acme", "ward", "step"))
    link = trace.Link(trace.SpanContext(7, 7, is_remote=True), GIVEN)
    span = pipeline.tracer.start_span(name, attributes={**GIVEN, "workspace.id": "ward"}, links=[link])
    span.add_event(name, GIVEN)
    span.add_event("acme-clinic-step", GIVEN)
    try:
        raise ValueError("x")
    except ValueError as error:
        span.record_exception(error)
    span.set_attribute("workspace.id", "clinic")
    span.set_attribute("acme.bed.side", "left")
    span.end()
    (exported,) = pipeline.span_exporter.spans
    assert exported.name == "internal"
    expected = {"acme.room", "acme.bed.number"}
    assert kept(pipeline, "span") == expected
    assert [event.name for event in exported.events] == ["event", "acme-clinic-step", "exception"]
    for part in (*exported.events[:2], *exported.links):
        assert set(attributes_of(part)) == expected
    assert attributes_of(exported.events[2])["exception.type"] == "ValueError"
    assert "test_policy_in_force.py" in attributes_of(exported.events[2])["exception.stacktrace"]


class Names:
    """A processor that names one more workspace on each log record, as tenants' middleware does."""

    def on_emit(self, record: Any) -> None:
        record.log_record.attributes["workspace.id"] = "ward"

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


def test_a_processor_that_names_another_workspace_takes_out_what_that_one_does_not_keep(
    tmp_path: Path,
) -> None:
    install(tmp_path)
    exporter = CapturingLogExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    processor: Any = Names()
    provider.add_log_record_processor(processor)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger("t").emit(body="x", attributes={**GIVEN, "workspace.id": "clinic"})
    (record,) = exporter.records
    left = attributes_of(record)
    assert set(left) & set(GIVEN) == {"acme.room", "acme.bed.number"}
    assert left["zdr.redacted"] is True
    assert left["workspace.id"] == "ward"
