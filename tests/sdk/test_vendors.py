"""Other vendors' SDKs active in the same process, sending to a receiver on loopback, started without a launcher."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_zdr.testing import canary, forms
from tests.fakes.server import FakeServer
from tests.receiver import Receiver, receiver
from tests.sdk import vendor_environments
from tests.sdk.environments import clean_environ

pytestmark = pytest.mark.slow

ASK = """
import os
text = os.environ["CANARY"]
def ask():
    import openai
    client = openai.OpenAI(api_key="sk-test", base_url=os.environ["URL"], max_retries=0)
    messages = [{"role": "system", "content": text}, {"role": "user", "content": text}]
    client.chat.completions.create(model="gpt-4o", messages=messages)
    for _ in client.chat.completions.create(model="gpt-4o", messages=messages, stream=True):
        pass
    try:
        client.chat.completions.create(model="nothing", messages=messages, extra_headers={"x-fail": "1"}, timeout=text)
    except Exception as error:
        return error
"""
LOGFIRE = """
import logfire
logfire.configure(
    token="pylf_v1_us_0", send_to_logfire=True, console=False, service_name="test",
    advanced=logfire.AdvancedOptions(base_url=os.environ["SINK"]),
)
logfire.instrument_openai()
with logfire.span("asked {question}", question=text):
    ask()
    logfire.info("said {answer}", answer={"messages": [text]})
    logfire.info(f"plainly {text}")
    try:
        with logfire.span(text):
            raise ValueError(text)
    except ValueError:
        pass
logfire.metric_counter("gen_ai.client.token.usage").add(1, {"note": text})
logfire.force_flush()
logfire.shutdown()
"""
LANGFUSE = """
from langfuse import Langfuse, observe
client = Langfuse(public_key="pk-lf-1", secret_key="sk-lf-1", host=os.environ["SINK"], flush_interval=0.1)
from langfuse.openai import openai
@observe()
def answer(question):
    with client.start_as_current_observation(
        name=text, as_type="generation", input=[{"role": "user", "content": question}], model="gpt-4o",
        metadata={"note": text},
    ) as generation:
        generation.update(output=text, usage_details={"input": 19, "output": 11})
        asked = openai.OpenAI(api_key="sk-test", base_url=os.environ["URL"], max_retries=0)
        asked.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": question}])
    return text
answer(text)
client.flush()
client.shutdown()
"""
TRACELOOP = """
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import task, workflow
Traceloop.init(
    app_name="test", api_endpoint=os.environ["SINK"], api_key="k", disable_batch=True, telemetry_enabled=False,
)
@task(name="inner")
def inner(question):
    ask()
    return text
@workflow(name="outer")
def outer(question):
    Traceloop.set_association_properties({"note": text})
    return inner(question)
outer(text)
Traceloop._flush() if hasattr(Traceloop, "_flush") else None
from opentelemetry import metrics, trace
trace.get_tracer_provider().force_flush()
metrics.get_meter_provider().force_flush()
"""
TOGETHER = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=os.environ["SINK"] + "/v1/traces")))
trace.set_tracer_provider(provider)
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor as Contrib
from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInference
from opentelemetry.instrumentation.openai import OpenAIInstrumentor as OpenLLMetry
for instrumentor in (Contrib(), OpenInference(), OpenLLMetry()):
    instrumentor.instrument(skip_dep_check=True)
with trace.get_tracer("app").start_as_current_span("call"):
    ask()
provider.force_flush()
"""
VENDORS: dict[str, tuple[Callable[[], Path], str, bytes]] = {
    "logfire": (vendor_environments.logfire, LOGFIRE, b"gen_ai."),
    "langfuse": (vendor_environments.langfuse, LANGFUSE, b"langfuse.observation.usage_details"),
    "traceloop": (vendor_environments.traceloop, TRACELOOP, b"gen_ai.usage"),
    "together": (vendor_environments.genai, TOGETHER, b"gen_ai.usage.input_tokens"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def sink() -> Iterator[Receiver]:
    with receiver() as state:
        yield state


def stands_in(text: str, data: bytes) -> bool:
    return any(form in data for form in forms(text))


@pytest.mark.parametrize("workspaces", ["*", "clinic", "none"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendors_own_pipeline_sends_no_content_under_zdr(
    server: FakeServer, sink: Receiver, tmp_path: Path, vendor: str, workspaces: str
) -> None:
    """``none`` is the positive control; usage and the number of requests' signals stay."""
    make, code, figure = VENDORS[vendor]
    text = canary()
    done = subprocess.run(
        [str(make() / "python"), "-c", ASK + textwrap.dedent(code)],
        env={
            **clean_environ(),
            "CANARY": text,
            "URL": f"{server.url}/openai/v1",
            "SINK": sink.endpoint,
            "OTEL_ZDR_WORKSPACES": workspaces,
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
            "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
            "LANGFUSE_TRACING_ENVIRONMENT": "test",
        },
        capture_output=True,
        text=True,
        timeout=150,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert sink.received["traces"], done.stderr[-3000:]
    assert stands_in(text, sink.data) is (workspaces == "none")
    assert figure in sink.of("traces")
    if workspaces != "none":
        assert b"zdr.redacted" in sink.of("traces")


AWS = """
import logging, os
from opentelemetry import metrics, trace
text = os.environ["CANARY"]
with trace.get_tracer("app").start_as_current_span(text, attributes={"app.note": text, "gen_ai.usage.input_tokens": 1}) as span:
    span.add_event(text)
    logging.getLogger("app").warning("said %s", text)
metrics.get_meter("app").create_counter("gen_ai.client.token.usage").add(1, {"app.note": text})
"""


@pytest.mark.parametrize("workspaces", ["*", "none"])
def test_beside_the_aws_distro_and_its_configurator(sink: Receiver, tmp_path: Path, workspaces: str) -> None:
    """The launcher with both of its variables naming AWS: the pre-instrument hook puts the gate in place."""
    home = vendor_environments.aws()
    text = canary()
    (tmp_path / "app.py").write_text(AWS)
    done = subprocess.run(
        [str(home / "opentelemetry-instrument"), str(home / "python"), "app.py"],
        env={
            **clean_environ(),
            "CANARY": text,
            "OTEL_PYTHON_DISTRO": "aws_distro",
            "OTEL_PYTHON_CONFIGURATOR": "aws_configurator",
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{sink.endpoint}/v1/traces",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_SAMPLER": "always_on",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_AWS_APPLICATION_SIGNALS_ENABLED": "false",
            "OTEL_ZDR_WORKSPACES": workspaces,
            "PATH": f"{home}:/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        timeout=150,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert sink.received["traces"], done.stderr[-3000:]
    assert stands_in(text, sink.data) is (workspaces == "none")
    assert b"gen_ai.usage.input_tokens" in sink.of("traces")
