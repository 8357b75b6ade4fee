"""The SDK and the encoders imported a second time, or reloaded: no class of theirs is without the gate unnoticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_zdr.testing import assert_no_content, canary
from tests.sdk.environments import clean_environ

#: What a process does with the SDK it finds: all three signals, shown by the SDK's own means.
USE = """
import importlib, os, sys

TEXT = os.environ["CANARY"]

def providers():
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    loggers = LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(ConsoleLogRecordExporter()))
    reader = InMemoryMetricReader()
    return tracers, loggers, MeterProvider([reader], shutdown_on_exit=False), reader

def use(made, which):
    from opentelemetry._logs import LogRecord
    tracers, loggers, meters, reader = made
    print(f"<{which}>")
    with tracers.get_tracer("t").start_as_current_span(TEXT + " in a span", attributes={"note": TEXT}):
        loggers.get_logger("t").emit(LogRecord(body=TEXT + " in a record"))
    meters.get_meter("t").create_counter("gen_ai.client.token.usage").add(5, {"note": TEXT + " in a point"})
    try:
        data = reader.get_metrics_data()
    except UnboundLocalError:  # the SDK itself, where some of its modules know each other's former classes
        data = None
    print(data.to_json() if data is not None else "no metrics")
    print(f"</{which}>")

def imported(prefix):
    return [name for name in sys.modules if name == prefix or name.startswith(prefix + ".")]
"""

AGAIN = {
    "removed": "for name in imported('opentelemetry.sdk'): del sys.modules[name]",
    "removed with the API": "for name in imported('opentelemetry'): del sys.modules[name]",
    "removed twice": """
for _ in range(2):
    for name in imported("opentelemetry.sdk"): del sys.modules[name]
    providers()
""",
    "reloaded": """
import opentelemetry.sdk.trace, opentelemetry.sdk._logs._internal
import opentelemetry.sdk.metrics._internal.metric_reader_storage
import opentelemetry.sdk.metrics._internal.measurement_consumer
for module in (
    opentelemetry.sdk.trace,
    opentelemetry.sdk._logs._internal,
    opentelemetry.sdk.metrics._internal.metric_reader_storage,
    opentelemetry.sdk.metrics._internal.measurement_consumer,
):
    importlib.reload(module)
""",
    "reloaded twice": """
for _ in range(2):
    for name in imported("opentelemetry.sdk"): importlib.reload(sys.modules[name])
""",
}

INSTALL = "import otel_zdr; otel_zdr.install()\n"


def run(code: str, text: str, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**clean_environ(), "CANARY": text, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


def part(shown: str, which: str) -> str:
    return shown.partition(f"<{which}>")[2].partition(f"</{which}>")[0]


PLACES = ("in a span", "in a record", "in a point")


@pytest.mark.parametrize("how", AGAIN)
@pytest.mark.parametrize("gate", ["code", "variable", "none"])
def test_what_the_second_sdk_makes_is_off_and_said_to_be(how: str, gate: str) -> None:
    """Whoever made the providers, and whether they were there before."""
    text = canary()
    code = "first = providers()\nuse(first, 'before')\n" + AGAIN[how]
    code += "\nuse(providers(), 'second')\nuse(first, 'first')\n"
    environment = {"OTEL_ZDR_WORKSPACES": "*"} if gate == "variable" else {}
    done = run((INSTALL if gate == "code" else "") + USE + code, text, **environment)
    if gate == "none":
        for place in PLACES:
            assert f"{text} {place}" in part(done.stdout, "second")
        return
    assert_no_content(done.stdout.encode(), [text])
    assert '"zdr.redacted": true' in part(done.stdout, "before")
    assert "gen_ai.client.token.usage" in part(done.stdout, "before")
    second = part(done.stdout, "second")
    assert '"trace_id"' not in second
    assert "gen_ai.client.token.usage" not in second
    for module in ("opentelemetry.sdk.trace", "opentelemetry.sdk._logs", "opentelemetry.sdk.metrics"):
        said = f"{module} was {'reloaded' if how.startswith('reloaded') else 'imported a second time'}"
        assert done.stderr.count(said) == 1, done.stderr


def test_what_the_first_sdk_made_goes_on_when_it_is_imported_a_second_time() -> None:
    text = canary()
    code = "first = providers()\n" + AGAIN["removed"] + "\nproviders()\nuse(first, 'first')\n"
    shown = part(run(INSTALL + USE + code, text).stdout, "first")
    assert_no_content(shown.encode(), [text])
    assert shown.count('"zdr.redacted": true') == 2
    assert "gen_ai.client.token.usage" in shown


def test_only_the_signal_that_is_imported_again_is_off() -> None:
    text = canary()
    code = "providers()\ndel sys.modules['opentelemetry.sdk.trace']\nuse(providers(), 'second')\n"
    done = run(INSTALL + USE + code, text)
    assert_no_content(done.stdout.encode(), [text])
    assert '"zdr.redacted": true' in done.stdout  # the log record
    assert "gen_ai.client.token.usage" in done.stdout
    assert "opentelemetry.sdk.trace was imported a second time" in done.stderr
    assert "opentelemetry.sdk._logs was" not in done.stderr


def test_a_process_started_from_one_that_imported_it_again_has_telemetry() -> None:
    """What is off is what that process imported, not what its children do."""
    text = canary()
    code = "providers()\n" + AGAIN["removed"] + "\nproviders()\n"
    code += "import subprocess\nprint(subprocess.run([sys.executable, '-c', os.environ['CHILD']], "
    code += "capture_output=True, text=True).stdout)"
    child = INSTALL + USE + "use(providers(), 'child')\n"
    done = run(INSTALL + USE + code, text, CHILD=child)
    assert_no_content(done.stdout.encode(), [text])
    assert '"zdr.redacted": true' in part(done.stdout, "child")


def test_an_installation_on_an_sdk_that_the_gates_classes_do_not_build_on_is_refused() -> None:
    """The gate was off while the SDK was imported again (as a test of an application may do)."""
    text = canary()
    code = (
        INSTALL
        + USE
        + "providers()\nfrom otel_zdr.testing import uninstall\nuninstall()\n"
        + AGAIN["removed"]
        + """
second = providers()
try:
    otel_zdr.install()
except otel_zdr.ConfigurationError as error:
    print("raised", error)
use(second, "second")
"""
    )
    done = run(code, text)
    assert "raised the gate cannot be put in place, telemetry is off: opentelemetry.sdk.trace" in done.stdout
    assert "imported a second time" in done.stdout
    assert_no_content(done.stdout.encode(), [text])


HAND = """
def hand_built():
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, TraceFlags
    context = SpanContext(1, 2, False, TraceFlags(1))
    return ReadableSpan(
        TEXT + " in a span", context=context, attributes={"note": TEXT}, resource=Resource({}), start_time=1, end_time=2
    )

def encoded(spans):
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    sys.stdout.flush()
    sys.stdout.buffer.write(encode_spans(spans).SerializeToString())

encoded([hand_built()])
"""
ENCODERS = "opentelemetry.exporter.otlp.proto.common"


@pytest.mark.parametrize("gate", [True, False], ids=["zdr", "raw"])
@pytest.mark.parametrize(
    "again",
    [
        f"for name in imported('{ENCODERS}'): del sys.modules[name]",
        f"for name in imported('{ENCODERS}')[::-1]: importlib.reload(sys.modules[name])",
        "for name in imported('opentelemetry.sdk') + imported('opentelemetry.exporter'): del sys.modules[name]",
    ],
    ids=["removed", "reloaded", "removed with the SDK"],
)
def test_the_second_wall_stands_before_encoders_that_are_imported_again(again: str, gate: bool) -> None:
    text = canary()
    code = (INSTALL if gate else "") + USE + HAND + again + "\nprint('<again>')\nencoded([hand_built()])\n"
    code += "print('</again>')\n"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**clean_environ(), "CANARY": text}, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.partition(b"<again>")[2]
    assert (text.encode() in shown) is not gate
    if gate:
        assert_no_content(done.stdout, [text])
        assert b"zdr.redacted" in shown


UPLOADER = """
class MediaManager:
    def _process_media(self, content):
        print("uploaded", content)
"""


@pytest.mark.parametrize("gate", [True, False], ids=["zdr", "raw"])
@pytest.mark.parametrize(
    "again", ["importlib.reload(module)", "del sys.modules[module.__name__]"], ids=["reloaded", "removed"]
)
def test_an_uploader_that_is_imported_again_is_decided_too(tmp_path: Path, again: str, gate: bool) -> None:
    """A way round the SDK that a client brings along."""
    package = tmp_path / "langfuse" / "_task_manager"
    package.mkdir(parents=True)
    (package / "media_manager.py").write_text(UPLOADER)
    text = canary()
    code = f"""
sys.path.insert(0, os.environ["HERE"])
import langfuse._task_manager.media_manager as module
module.MediaManager()._process_media(TEXT)
{again}
module = importlib.import_module("langfuse._task_manager.media_manager")
module.MediaManager()._process_media(TEXT)
print("done")
"""
    done = run((INSTALL if gate else "") + USE + code, text, HERE=str(tmp_path))
    assert done.stdout == ("" if gate else f"uploaded {text}\n" * 2) + "done\n"
