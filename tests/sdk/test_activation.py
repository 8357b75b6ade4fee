"""Every way a process can start: the gate is in place, or nothing is exported."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RECORDS_HOLD_EXCEPTIONS
from tests.receiver import Receiver, receiver

BIN = Path(sys.executable).parent
#: The application: the canary comes from the environment, so that no literal of it can be proven.
APP = """
import os, logging
from opentelemetry import trace, metrics
text = os.environ["CANARY"]
with trace.get_tracer("app").start_as_current_span(text, attributes={"app.note": text, "gen_ai.usage.input_tokens": 1111}) as span:
    span.add_event(text)
    logging.getLogger("app").warning("said %s", text)
metrics.get_meter("app").create_counter("gen_ai.client.token.usage").add(1, {"app.note": text})
"""
OWN_PROVIDER = """
import os
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
text = os.environ["CANARY"]
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
with provider.get_tracer("app").start_as_current_span(text, attributes={"app.note": text, "gen_ai.usage.input_tokens": 1111}):
    pass
"""


@pytest.fixture
def sink() -> Iterator[Receiver]:
    with receiver() as state:
        yield state


class Run:
    """The end of a subprocess and what it sent."""

    def __init__(self, done: subprocess.CompletedProcess[str], sink: Receiver, canary: str) -> None:
        self.done, self.sink, self.canary = done, sink, canary

    def is_clean(self) -> bool:
        return self.canary.encode() not in self.sink.data


def run(
    sink: Receiver,
    tmp_path: Path,
    code: str,
    *command: str,
    environment: dict[str, str] | None = None,
    grpc: bool = False,
) -> Run:
    """Run ``code`` as app.py under ``command``; the exporters point at the receiver."""
    app = tmp_path / "app.py"
    app.write_text(textwrap.dedent(code))
    canary = "CANARY " + uuid.uuid4().hex
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTHON"))}
    env.update(
        CANARY=canary,
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.grpc_endpoint if grpc else sink.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc" if grpc else "http/protobuf",
        OTEL_METRIC_EXPORT_INTERVAL="60000",
        OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION="true",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="grpc_client,requests,urllib3,urllib,httpx",
        **(environment or {}),
    )
    done = subprocess.run(
        [*(command or (str(BIN / "opentelemetry-instrument"), sys.executable)), str(app)],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    return Run(done, sink, canary)


ZDR = {"OTEL_PYTHON_DISTRO": "zdr", "OTEL_PYTHON_CONFIGURATOR": "zdr"}
STOCK = {"OTEL_PYTHON_DISTRO": "distro", "OTEL_PYTHON_CONFIGURATOR": "configurator"}


@pytest.mark.parametrize("grpc", [False, True], ids=["http", "grpc"])
def test_zero_code_activation_cleans_all_three_signals(sink: Receiver, tmp_path: Path, grpc: bool) -> None:
    """Way (a): two variables and the launcher, with the real exporters."""
    result = run(sink, tmp_path, APP, environment=ZDR, grpc=grpc)
    assert result.done.returncode == 0, result.done.stderr
    assert all(sink.received.values()), result.done.stderr
    assert result.is_clean()
    assert b"gen_ai.usage.input_tokens" in sink.of("traces")
    assert "zero data retention is on" in result.done.stderr


def test_without_a_workspace_under_zdr_the_same_application_is_exported_raw(
    sink: Receiver, tmp_path: Path
) -> None:
    """The positive control: the canary stands in all three signals."""
    result = run(sink, tmp_path, APP, environment={**ZDR, "OTEL_ZDR_WORKSPACES": "none"})
    assert result.done.returncode == 0, result.done.stderr
    for signal in ("traces", "logs", "metrics"):
        assert result.canary.encode() in sink.of(signal), signal


@pytest.mark.parametrize(
    "environment",
    [
        STOCK,
        {},
        {"OTEL_PYTHON_DISTRO": "zdr"},
        {"OTEL_PYTHON_CONFIGURATOR": "zdr"},
        {"OTEL_PYTHON_DISTRO": "ZDR", "OTEL_PYTHON_CONFIGURATOR": "configurator"},
        {"OTEL_PYTHON_DISTRO": "zrd "},
        {"OTEL_PYTHON_DISTRO": "zdr", "OTEL_PYTHON_CONFIGURATOR": "zrd"},
    ],
    ids=[
        "stock",
        "unset",
        "distro only",
        "configurator only",
        "upper case",
        "misspelt distro",
        "misspelt both",
    ],
)
def test_whatever_distro_was_chosen_or_misspelt_the_launcher_leaks_nothing(
    sink: Receiver, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Way (b): the pre-instrument hook runs in every process that the launcher starts."""
    result = run(sink, tmp_path, APP, environment=environment)
    assert result.done.returncode == 0, result.done.stderr
    assert result.is_clean(), "content left"
    assert "zero data retention is on" in result.done.stderr


def test_a_provider_of_the_application_under_the_launcher_is_covered(sink: Receiver, tmp_path: Path) -> None:
    """A second TracerProvider, made by the application itself."""
    result = run(sink, tmp_path, OWN_PROVIDER, environment=ZDR)
    assert sink.received["traces"], result.done.stderr
    assert result.is_clean()


@pytest.mark.parametrize("variable", ["OTEL_ZDR_WORKSPACES", "OTEL_ZDR_EVIDENCE"])
def test_without_the_launcher_one_variable_is_enough(sink: Receiver, tmp_path: Path, variable: str) -> None:
    """Way (c): plain ``python app.py``."""
    value = {"OTEL_ZDR_WORKSPACES": "*", "OTEL_ZDR_EVIDENCE": "off"}[variable]
    result = run(sink, tmp_path, OWN_PROVIDER, sys.executable, environment={variable: value})
    assert sink.received["traces"], result.done.stderr
    assert result.is_clean()


def test_without_any_variable_and_without_the_launcher_nothing_is_touched(
    sink: Receiver, tmp_path: Path
) -> None:
    """The positive control of way (c): the hook does nothing unless it is asked to."""
    result = run(sink, tmp_path, OWN_PROVIDER, sys.executable)
    assert result.canary.encode() in sink.of("traces")
    assert "otel-zdr" not in result.done.stderr


BAD = {
    "unknown variable": {"OTEL_ZDR_WORKSPACE": "clinic"},
    "unknown value": {"OTEL_ZDR_UNIDENTIFIED": "maybe"},
    "empty item": {"OTEL_ZDR_WORKSPACES": "a,,b"},
    "pattern in the list": {"OTEL_ZDR_WORKSPACES": "clinic-*"},
    "content key kept": {"OTEL_ZDR_KEEP_KEYS": "gen_ai.input.messages"},
    "prefix over content": {"OTEL_ZDR_KEEP_KEYS": "gen_ai.*"},
    "list and file": {"OTEL_ZDR_WORKSPACES": "a", "OTEL_ZDR_POLICY_FILE": "/nonexistent/policy.toml"},
    "unreadable file": {"OTEL_ZDR_POLICY_FILE": "/nonexistent/policy.toml"},
    "all but unidentified": {"OTEL_ZDR_WORKSPACES": "*", "OTEL_ZDR_UNIDENTIFIED": "retain"},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("launcher", [True, False], ids=["launcher", "plain"])
@pytest.mark.parametrize("code", [APP, OWN_PROVIDER], ids=["auto", "own provider"])
def test_a_bad_setting_never_means_capture(
    sink: Receiver, tmp_path: Path, bad: dict[str, str], launcher: bool, code: str
) -> None:
    """G6: the gate is closed, the application runs, and the error names the variable."""
    if code is APP and not launcher:
        pytest.skip("without the launcher the application has no global provider: nothing is exported anyway")
    environment = {**(ZDR if launcher else {}), **bad}
    result = run(sink, tmp_path, code, *(() if launcher else (sys.executable,)), environment=environment)
    assert result.done.returncode == 0, result.done.stderr
    assert not sink.of("traces"), "nothing is exported through a closed gate"
    assert result.is_clean()
    assert next(iter(bad)) in result.done.stderr


@pytest.mark.parametrize("launcher", [True, False], ids=["launcher", "plain"])
def test_refuse_ends_the_process_on_a_bad_setting(sink: Receiver, tmp_path: Path, launcher: bool) -> None:
    """``OTEL_ZDR_ON_FAILURE=refuse``."""
    environment = {**ZDR, "OTEL_ZDR_UNIDENTIFIED": "maybe", "OTEL_ZDR_ON_FAILURE": "Refuse "}
    result = run(
        sink, tmp_path, OWN_PROVIDER, *(() if launcher else (sys.executable,)), environment=environment
    )
    assert result.done.returncode != 0
    assert "OTEL_ZDR_UNIDENTIFIED" in result.done.stderr
    assert not sink.data


def test_a_configuration_file_pipeline_is_covered(sink: Receiver, tmp_path: Path) -> None:
    """``OTEL_CONFIG_FILE``: the SDK builds its own pipeline and ignores everything that is passed to it."""
    pytest.importorskip("opentelemetry.configuration", reason="the SDK's file-configuration extra")
    config = tmp_path / "otel.yaml"
    config.write_text(
        textwrap.dedent(f"""
        file_format: "1.0"
        tracer_provider:
          processors:
            - simple:
                exporter:
                  otlp_http:
                    endpoint: {sink.endpoint}/v1/traces
        """)
    )
    code = """
    import os
    from opentelemetry import trace
    text = os.environ["CANARY"]
    with trace.get_tracer("app").start_as_current_span(text, attributes={"app.note": text}):
        pass
    """
    for environment, is_clean in ((ZDR, True), ({**ZDR, "OTEL_ZDR_WORKSPACES": "none"}, False)):
        for bodies in sink.received.values():
            bodies.clear()
        result = run(sink, tmp_path, code, environment={**environment, "OTEL_CONFIG_FILE": str(config)})
        assert sink.received["traces"], result.done.stderr
        assert result.is_clean() is is_clean


WORKERS = """
import os, sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
import multiprocessing

def work():
    text = os.environ["CANARY"]
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    with provider.get_tracer("app").start_as_current_span(text, attributes={"app.note": text}):
        pass

if __name__ == "__main__":
    context = multiprocessing.get_context(os.environ["METHOD"])
    process = context.Process(target=work)
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
@pytest.mark.parametrize("launcher", [True, False], ids=["launcher", "plain"])
def test_worker_processes_are_covered(sink: Receiver, tmp_path: Path, method: str, launcher: bool) -> None:
    """Workers of every start method, with and without the launcher."""
    environment = {"METHOD": method, **(ZDR if launcher else {"OTEL_ZDR_WORKSPACES": "*"})}
    result = run(sink, tmp_path, WORKERS, *(() if launcher else (sys.executable,)), environment=environment)
    assert result.done.returncode == 0, result.done.stderr
    assert sink.received["traces"]
    assert result.is_clean()


def test_worker_processes_are_raw_without_the_gate(sink: Receiver, tmp_path: Path) -> None:
    """The positive control."""
    result = run(sink, tmp_path, WORKERS, sys.executable, environment={"METHOD": "spawn"})
    assert result.canary.encode() in sink.of("traces")


GUNICORN = """
import os
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("app")

def application(environ, start_response):
    text = os.environ["CANARY"]
    with tracer.start_as_current_span(text, attributes={"app.note": text}):
        start_response("200 OK", [])
        return [b"ok"]
"""


@pytest.mark.parametrize("covered", [True, False], ids=["zdr", "control"])
def test_a_preloading_gunicorn_is_covered(sink: Receiver, tmp_path: Path, covered: bool) -> None:
    """The provider is made in the master and used in forked workers."""
    import socket
    import time
    import urllib.request

    (tmp_path / "wsgi.py").write_text(GUNICORN)
    canary = "CANARY " + uuid.uuid4().hex
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    env.update(CANARY=canary, OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
    if covered:
        env["OTEL_ZDR_WORKSPACES"] = "*"
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gunicorn",
            "--preload",
            "-w",
            "2",
            "-b",
            f"127.0.0.1:{port}",
            "wsgi:application",
        ],
        env=env,
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
                break
            except OSError:
                time.sleep(0.1)
        for _ in range(50):
            if sink.received["traces"]:
                break
            time.sleep(0.1)
    finally:
        server.terminate()
        server.wait(20)
    assert sink.received["traces"]
    assert (canary.encode() not in sink.data) is covered


def test_an_sdk_that_the_gate_does_not_fit_means_telemetry_off(sink: Receiver, tmp_path: Path) -> None:
    """A method the gate needs is missing: nothing is exported, and a line says why."""
    code = """
    import os
    import opentelemetry.sdk.trace as sdk
    del sdk.Span._readable_span
    import otel_zdr
    try:
        otel_zdr.install()
    except otel_zdr.ConfigurationError as error:
        print("raised", error)
    """ + textwrap.indent(OWN_PROVIDER, "    ")
    result = run(sink, tmp_path, code, sys.executable)
    assert result.done.returncode == 0, result.done.stderr
    assert "raised" in result.done.stdout
    assert "telemetry is off" in result.done.stderr
    assert not sink.data


def test_the_error_of_the_api_leaves_the_gate_closed_even_when_it_is_caught(
    sink: Receiver, tmp_path: Path
) -> None:
    """An application that catches ConfigurationError and goes on exports nothing."""
    code = """
    import otel_zdr
    try:
        otel_zdr.install(otel_zdr.Settings(workspaces=("a*",)))
    except otel_zdr.ConfigurationError as error:
        print("raised", error)
    """ + textwrap.indent(OWN_PROVIDER, "    ")
    result = run(sink, tmp_path, code, sys.executable)
    assert "raised OTEL_ZDR_WORKSPACES" in result.done.stdout
    assert result.done.returncode == 0, result.done.stderr
    assert not sink.data


def test_settings_in_code_do_not_take_the_place_of_a_wrong_environment(
    sink: Receiver, tmp_path: Path
) -> None:
    """What the operator meant is not known: nothing that the application says makes it capture."""
    code = """
    import otel_zdr
    for _ in range(2):
        try:
            otel_zdr.install(otel_zdr.Settings(workspaces=("none",)))
        except otel_zdr.ConfigurationError as error:
            print("raised", error)
    """ + textwrap.indent(OWN_PROVIDER, "    ")
    wrong = {**ZDR, "OTEL_ZDR_WORKSPACES": "a,,b"}
    result = run(sink, tmp_path, code, environment=wrong)
    assert result.done.stdout.count("OTEL_ZDR_WORKSPACES") == 2
    assert result.done.returncode == 0, result.done.stderr
    assert not sink.data


@pytest.mark.parametrize("covered", [True, False])
def test_where_no_interpreter_reads_the_hook_importing_the_package_does_what_a_variable_asks(
    sink: Receiver, tmp_path: Path, covered: bool
) -> None:
    """``pip install --target``: no site directory, so no ``.pth`` file is read."""
    code = ("import otel_zdr\n" if covered else "") + OWN_PROVIDER
    path = os.pathsep.join(path for path in sys.path if path)
    result = run(
        sink,
        tmp_path,
        code,
        sys.executable,
        "-S",
        environment={"OTEL_ZDR_UNIDENTIFIED": "redact", "PYTHONPATH": path},
    )
    assert result.done.returncode == 0, result.done.stderr
    assert sink.of("traces")
    assert result.is_clean() is covered


def test_nothing_the_application_sees_changes_when_the_package_is_only_installed(
    sink: Receiver, tmp_path: Path
) -> None:
    """Importing the package installs nothing."""
    result = run(sink, tmp_path, "import otel_zdr\n" + OWN_PROVIDER, sys.executable)
    assert result.canary.encode() in sink.of("traces")


@pytest.mark.skipif(
    not RECORDS_HOLD_EXCEPTIONS, reason="this version of the API has no exception on log records"
)
def test_an_installation_below_anothers_wrapper_is_not_put_in_place_twice() -> None:
    """What is done twice would take the frames for text: an exception keeps them."""
    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import Logger, LoggerProvider
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

    import otel_zdr
    from otel_zdr.testing import CapturingLogExporter, uninstall

    otel_zdr.install(otel_zdr.Settings())
    ours = Logger.emit

    def anothers(self: Logger, *args: Any, **kwargs: Any) -> None:
        ours(self, *args, **kwargs)

    anothers.__wrapped__ = ours  # type: ignore[attr-defined]
    try:
        Logger.emit = anothers  # type: ignore[method-assign]
        uninstall()
        otel_zdr.install(otel_zdr.Settings())
        exporter = CapturingLogExporter()
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        try:
            raise ValueError("x")
        except ValueError as error:
            provider.get_logger("t").emit(LogRecord(exception=error))
        (record,) = exporter.records
        assert "exception.stacktrace" in {attribute.key for attribute in record.attributes}
    finally:
        uninstall()
        Logger.emit = ours.__wrapped__  # type: ignore[method-assign, attr-defined]
