"""All instrumentors at once in a process of its own, with the exporters that an environment configures."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_zdr.verify.receiver import Receiver
from tests.fakes.server import FakeServer
from tests.instrumentation.conftest import CAPTURE

APPLICATION = Path(__file__).with_name("everything.py")


def run(server: FakeServer, receiver: Receiver, marker: str, workspaces: str, protocol: str) -> list[str]:
    """The names of the spans that the calls the application made should have."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    environment |= {
        "OTEL_PYTHON_DISTRO": "zdr",
        "OTEL_PYTHON_CONFIGURATOR": "zdr",
        "OTEL_SERVICE_NAME": "everything",
        "OTEL_ZDR_WORKSPACES": workspaces,
        "OTEL_ZDR_INWORLD_HOSTS": server.host,
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url
        if protocol == "http/protobuf"
        else f"http://{receiver.grpc_target}",
        CAPTURE: "SPAN_AND_EVENT",
    }
    instrument = Path(sys.executable).with_name("opentelemetry-instrument")
    done = subprocess.run(
        [str(instrument), sys.executable, str(APPLICATION), server.url, server.ws_url, marker],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Traceback" not in done.stderr, done.stderr[-4000:]
    return done.stdout.split("\n")[:-1]


def ours(receiver: Receiver) -> list[tuple[str, str]]:
    """Name and scope of the client spans that arrived."""
    found = []
    for request in receiver.requests:
        if request.signal == "traces":
            for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans:
                for scope in resource.scope_spans:
                    if scope.scope.name.startswith("otel_zdr.instrumentation"):
                        found += [(span.name, scope.scope.name) for span in scope.spans]
    return found


@pytest.mark.parametrize(
    ("workspaces", "protocol"),
    [("*", "http/protobuf"), ("*", "grpc"), ("none", "http/protobuf")],
    ids=["zdr-http", "zdr-grpc", "open-http"],
)
def test_every_call_arrives_once_and_nothing_else_does(
    server: FakeServer, workspaces: str, protocol: str
) -> None:
    marker = f"CANARY-{uuid.uuid4()}"
    with Receiver() as receiver:
        expected = run(server, receiver, marker, workspaces, protocol)
        spans, data = ours(receiver), receiver.data
        signals = {request.signal for request in receiver.requests}
    assert len(expected) >= 10
    assert Counter(name for name, _ in spans) == Counter(expected)
    assert {"traces", "metrics"} <= signals
    assert b"gen_ai.client.operation.duration" in data
    assert (marker.encode() in data) is (workspaces == "none")
    scopes = {scope.rpartition(".")[2] for _, scope in spans}
    assert {"openai", "groq", "inworld", "transports", "deepgram"} <= scopes
