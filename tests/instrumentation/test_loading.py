"""What instrumenting loads: patching code comes with the client, never before."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from otel_zdr.instrumentation._instrumentor import ClientInstrumentor

INSTRUMENT = """
import sys
from importlib.metadata import entry_points

instrumentors = [e.load()() for e in entry_points(group="opentelemetry_instrumentor") if e.name.startswith("zdr_")]
for instrumentor in instrumentors:
    instrumentor.instrument(skip_dep_check=True)

def ours():
    prefix = "otel_zdr.instrumentation."
    return {name.removeprefix(prefix) for name in sys.modules if name.startswith(prefix)}

def wrapped(cls, name):
    return hasattr(vars(cls)[name], "_self_wrapper")
"""
# What all patching code needs; none of it is to be there before.
SHARED = {"_call", "_telemetry", "_wrap", "_streams"}


def run(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INSTRUMENT + code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]


def patching() -> list[tuple[str, str]]:
    """Every package that is waited for, and the module that patches it."""
    kinds = [e.load() for e in entry_points(group="opentelemetry_instrumentor") if e.name.startswith("zdr_")]
    return [
        (package, module.removeprefix(".")) for kind in kinds for package, module in kind.patching.items()
    ]


def test_instrumenting_loads_nothing_for_clients_that_are_not_imported() -> None:
    late = SHARED | {module for _, module in patching()}
    run(f"assert not ours() & {late!r}, ours()")


@pytest.mark.parametrize(("package", "module"), patching())
def test_what_patches_a_client_is_loaded_when_the_client_is_imported(package: str, module: str) -> None:
    pytest.importorskip(package)
    run(f"import {package}\nassert {module!r} in ours(), ours()")


def test_a_request_to_other_hosts_loads_only_what_looks_at_its_url() -> None:
    run(f"""
import httpx, requests

class Adapter(requests.adapters.BaseAdapter):
    def send(self, request, **kwargs):
        response = requests.Response()
        response.status_code, response._content, response.request = 200, b"{{}}", request
        return response

    def close(self):
        pass

def send(url):
    session = requests.Session()
    session.mount("https://", Adapter())
    assert session.get(url).json() == {{}}
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json={{}}))) as client:
        assert client.get(url).json() == {{}}

send("https://example.com/tts/v1/voice")
assert wrapped(requests.Session, "send") and wrapped(httpx.Client, "send")
assert not ours() & {SHARED | {"transports._endpoints", "transports._bodies"}!r}, ours()
send("https://api.inworld.ai/tts/v1/voice")
assert {{"_call", "transports._endpoints"}} <= ours(), ours()
""")


def test_a_client_imported_after_uninstrumenting_stays_as_it_is() -> None:
    run("""
for instrumentor in instrumentors:
    instrumentor.uninstrument()
import requests
assert not wrapped(requests.Session, "send")
for instrumentor in instrumentors:
    instrumentor.instrument(skip_dep_check=True)
assert wrapped(requests.Session, "send")
""")


@pytest.mark.parametrize(("version", "fits"), [("1.0", True), ("99.0", False)])
def test_under_the_launcher_a_version_out_of_range_is_left_alone_with_one_line(
    version: str, fits: bool, tmp_path: Path
) -> None:
    client, info = tmp_path / "groq", tmp_path / f"groq-{version}.dist-info"
    client.mkdir()
    info.mkdir()
    (client / "__init__.py").write_text("")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: groq\nVersion: {version}\n")
    done = subprocess.run(
        [Path(sys.executable).with_name("opentelemetry-instrument"), sys.executable, "-c", "import groq"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "OTEL_LOGS_EXPORTER": "none"},
    )
    assert done.returncode == 0
    line = "groq is not instrumented: this version works with groq"
    assert done.stderr.count(line) == (0 if fits else 1), done.stderr


def test_a_fault_in_what_patches_a_client_does_not_come_out_of_its_import() -> None:
    class Faulty(ClientInstrumentor):
        _instance = None
        client = "faulty"
        requires = ()
        patching = {"json": "._no_such_module"}  # noqa: RUF012

    Faulty().instrument()
    Faulty().uninstrument()
