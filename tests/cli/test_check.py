"""``otel-zdr check``: a clean environment, leaks, ways round, and that nothing leaves the machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from otel_zdr.verify.check_places import PLACES

LAUNCHED = {"OTEL_PYTHON_DISTRO": "zdr", "OTEL_PYTHON_CONFIGURATOR": "zdr"}


def check(*arguments: str, path: Path | None = None, **environ: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of `otel-zdr check --json`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    if path is not None:
        clean["PYTHONPATH"] = str(path)
    shown = subprocess.run(
        [sys.executable, "-m", "otel_zdr.cli", "check", "--json", *arguments],
        env={**clean, **environ},
        capture_output=True,
        text=True,
        timeout=280,
    )
    return shown.returncode, json.loads(shown.stdout) if shown.stdout else {"stderr": shown.stderr}


def statuses(report: dict[str, Any], pipeline: str) -> dict[str, set[str]]:
    """The statuses of each place in one pipeline."""
    found: dict[str, set[str]] = {}
    for result in report["results"]:
        if result["pipeline"] == pipeline:
            found.setdefault(f"{result['signal']}: {result['place']}", set()).add(result["status"])
    return found


def test_a_configured_environment_is_clean_in_every_place_of_all_signals_with_a_control() -> None:
    code, report = check(**LAUNCHED, OTEL_ZDR_WORKSPACES="clinic")
    assert code == 0, report
    assert report["clean"]
    assert report["bypasses"] == []
    for pipeline in ("configured", "own"):
        found = statuses(report, pipeline)
        assert set(found) == {place.id for place in PLACES if pipeline in place.pipelines}
        # What the control does not see either proves nothing: only what OTLP of this SDK has no place for.
        unproven = {place for place, status in found.items() if status != {"clean"}}
        assert unproven <= {"traces: trace state of a link", "traces: nested map", "logs: exception object"}
    assert {who["workspace"] for who in report["workspaces"]} == {"clinic", None}


def test_endpoints_far_away_are_named_and_never_reached() -> None:
    code, report = check(
        **LAUNCHED,
        OTEL_EXPORTER_OTLP_ENDPOINT="https://collector.invalid:4317",
        OTEL_EXPORTER_OTLP_LOGS_PROTOCOL="http/protobuf",
        OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="https://logs.invalid/v1/logs",
    )
    assert code == 0, report
    assert report["destinations"] == ["collector.invalid:4317", "logs.invalid:443"]
    assert all(
        status == {"clean"} for place, status in statuses(report, "configured").items() if "body" in place
    )


def test_a_collector_on_this_machine_gets_no_canary() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        connections: list[Any] = []

        def accept() -> None:
            try:
                connections.append(listening.accept())
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        endpoint = f"http://127.0.0.1:{listening.getsockname()[1]}"
        code, report = check(
            **LAUNCHED, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf"
        )
        assert code == 0, report
        assert connections == []
        assert endpoint.removeprefix("http://") in report["destinations"]


def test_a_console_exporter_is_looked_into_as_well() -> None:
    code, report = check(
        **LAUNCHED,
        OTEL_TRACES_EXPORTER="console",
        OTEL_LOGS_EXPORTER="console",
        OTEL_METRICS_EXPORTER="console",
    )
    assert code == 0, report
    assert statuses(report, "configured")["traces: attribute of an unknown key"] == {"clean"}
    assert report["destinations"] == []


def test_a_configuration_file_is_followed(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.configuration", reason="the SDK's file-configuration extra")
    file = tmp_path / "otel.yaml"
    file.write_text(
        'file_format: "1.0"\n'
        "tracer_provider:\n"
        "  processors:\n"
        "    - batch:\n"
        "        exporter:\n"
        "          otlp_http:\n"
        "            endpoint: https://from-the-file.invalid/v1/traces\n"
    )
    code, report = check(**LAUNCHED, OTEL_CONFIG_FILE=str(file))
    assert code == 0, report
    assert report["destinations"] == ["from-the-file.invalid:443"]
    assert statuses(report, "configured")["traces: span name"] == {"clean"}
    assert statuses(report, "configured")["logs: body, text"] == {"not exported"}


def test_plain_python_without_the_launcher_is_clean_too() -> None:
    code, report = check("--no-launcher", OTEL_ZDR_WORKSPACES="clinic")
    assert code == 0, report
    assert statuses(report, "configured") == {}
    assert statuses(report, "own")["traces: span given to the exporter itself"] == {"clean"}


def test_a_process_without_a_gate_is_a_bypass_and_every_place_a_leak(tmp_path: Path) -> None:
    (tmp_path / "takes_the_gate_off.py").write_text("from otel_zdr.testing import uninstall\nuninstall()\n")
    code, report = check("--import", "takes_the_gate_off", path=tmp_path, **LAUNCHED)
    assert code == 1
    assert any("gate is not in place" in bypass for bypass in report["bypasses"])
    assert "leaked" in statuses(report, "configured")["traces: attribute of a content key"]
    assert "leaked" in statuses(report, "own")["metrics: exemplar"]


def test_a_processor_that_writes_to_a_file_round_the_exporters_is_caught(tmp_path: Path) -> None:
    written = tmp_path / "own.log"
    (tmp_path / "keeps_a_diary.py").write_text(
        "import logging\n"
        "class Diary(logging.Handler):\n"
        "    def emit(self, record):\n"
        f"        with open({str(written)!r}, 'a') as file:\n"
        "            file.write(self.format(record))\n"
        "logging.getLogger('otel_zdr_check').addHandler(Diary())\n"
    )
    code, report = check("--import", "keeps_a_diary", path=tmp_path, **LAUNCHED)
    assert code == 1
    assert written.exists()
    assert "leaked" in statuses(report, "configured")["logs: argument of logging"]


def test_a_connection_that_cannot_be_looked_into_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "phones_home.py").write_text(
        "import socket\n"
        "try:\n"
        "    socket.create_connection(('192.0.2.1', 8126), timeout=5)\n"
        "except ConnectionRefusedError:\n"
        "    pass\n"
    )
    code, report = check("--import", "phones_home", path=tmp_path, **LAUNCHED)
    assert code == 0, report
    assert any("192.0.2.1:8126" in note for note in report["notes"])


def test_a_vendors_own_upload_is_named(tmp_path: Path) -> None:
    # The real package is not installed here: what counts is that a module of its name is loaded.
    (tmp_path / "rollbar.py").write_text("")
    code, report = check("--import", "rollbar", path=tmp_path, **LAUNCHED)
    assert code == 1
    assert [bypass for bypass in report["bypasses"] if "rollbar" in bypass]


def test_what_a_library_sends_beside_its_spans_is_named(tmp_path: Path) -> None:
    sends = {
        "langfuse": "scores with comments",
        "livekit.agents": "transcripts",
        "agents.tracing": "to OpenAI",
    }
    for module in sends:
        folder = tmp_path.joinpath(*module.split("."))
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
    imports = [word for module in sends for word in ("--import", module)]
    code, report = check(*imports, path=tmp_path, **LAUNCHED)
    assert code == 1
    assert len(report["bypasses"]) == len(sends)
    for module, what in sends.items():
        (bypass,) = [line for line in report["bypasses"] if line.startswith(module)]
        assert what in bypass
    assert "known by the name of their module" in " ".join(report["outside_the_promise"])


def test_a_workspace_that_no_list_names_is_named() -> None:
    code, report = check(
        "--workspace", "stranger", "--workspace", "clinic", **LAUNCHED, OTEL_ZDR_WORKSPACES="clinic"
    )
    assert code == 0, report
    assert any("stranger" in note and "not under ZDR" in note for note in report["notes"])
    assert {result["who"] for result in report["results"]} == {"clinic", "unidentified"}


def test_what_is_outside_the_promise_is_said() -> None:
    _, report = check("--no-launcher")
    said = " ".join(report["outside_the_promise"])
    assert all(word in said for word in ("samplers", "baggage", "log handlers", "core dumps"))


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_ZDR_WORKSPACES": "none"},
        {"OTEL_ZDR_WORKSPACES": "clinic*"},
        {"OTEL_ZDR_NO_SUCH_VARIABLE": "1"},
    ],
)
def test_where_nothing_can_be_checked_it_is_not_called_clean(environ: dict[str, str]) -> None:
    code, said = check(**environ)
    assert code == 2
    assert said["stderr"].startswith("otel-zdr: ")
    assert "Traceback" not in said["stderr"]
