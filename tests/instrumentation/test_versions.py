"""Which versions are instrumented, and what an environment variable switches off."""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
from importlib import metadata
from importlib.metadata import PackageNotFoundError, entry_points
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from otel_zdr.instrumentation._instrumentor import ClientInstrumentor

INSTRUMENTORS = sorted(
    (e for e in entry_points(group="opentelemetry_instrumentor") if e.name.startswith("zdr_")),
    key=lambda e: e.name,
)
WITH_A_CLIENT = [e for e in INSTRUMENTORS if e.load().requires]
# What each of them patches first
METHODS = {
    "zdr_anthropic": ("anthropic.resources.messages", "Messages", "create"),
    "zdr_assemblyai": ("assemblyai.prerecorded.v2.client", "Transcriber", "transcribe"),
    "zdr_cartesia": ("cartesia.resources.tts", "TTSResource", "generate"),
    "zdr_deepgram": ("deepgram.listen.v1.media.raw_client", "RawMediaClient", "transcribe_file"),
    "zdr_elevenlabs": ("elevenlabs.text_to_speech.raw_client", "RawTextToSpeechClient", "convert"),
    "zdr_groq": ("groq.resources.chat.completions", "Completions", "create"),
    "zdr_inworld": ("inworld_tts", "InworldTTS", "stream"),
    "zdr_openai": ("openai.resources.chat.completions.completions", "Completions", "create"),
    "zdr_soniox": ("soniox.realtime.stt", "RealtimeSTTSession", "close"),
}


def requirement_of(kind: type[ClientInstrumentor]) -> Requirement:
    (text,) = kind.requires
    return Requirement(text)


def method_of(name: str) -> Any:
    module, cls, method = METHODS[name]
    return vars(getattr(importlib.import_module(module), cls))[method]


def pretend(monkeypatch: pytest.MonkeyPatch, distribution: str, version: str | None) -> None:
    """As if another version of `distribution` were installed, or none."""
    real = metadata.version

    def asked(name: str) -> str:
        if name != distribution:
            return real(name)
        if version is None:
            raise PackageNotFoundError(name)
        return version

    from opentelemetry.instrumentation import dependencies

    monkeypatch.setattr(dependencies, "version", asked)


def test_every_client_has_an_instrumentor() -> None:
    assert {e.name for e in WITH_A_CLIENT} == set(METHODS)
    assert {e.name for e in INSTRUMENTORS} - set(METHODS) == {"zdr_inworld_transports"}


@pytest.mark.parametrize("entry", WITH_A_CLIENT, ids=lambda e: e.name)
@pytest.mark.parametrize("side", ["too_old", "too_new"])
def test_a_version_out_of_range_is_left_alone_with_one_line(
    entry: Any, side: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kind = entry.load()
    requirement = requirement_of(kind)
    pytest.importorskip(METHODS[entry.name][0].partition(".")[0])
    bounds = {s.operator: s.version for s in requirement.specifier}
    version = f"{bounds['<']}.0.0" if side == "too_new" else "0.0.1"
    pretend(monkeypatch, requirement.name, version)
    before = method_of(entry.name)
    with caplog.at_level(logging.DEBUG, "otel_zdr.instrumentation"):
        kind().instrument()
    assert method_of(entry.name) is before
    (line,) = [r for r in caplog.records if "is not instrumented" in r.getMessage()]
    assert requirement.name in line.getMessage()
    assert version in line.getMessage()
    # newer versions of anthropic trace themselves, so that nothing is amiss
    assert (line.levelno >= logging.WARNING) is (entry.name != "zdr_anthropic")


@pytest.mark.parametrize("entry", WITH_A_CLIENT, ids=lambda e: e.name)
def test_a_client_that_is_not_installed_is_passed_over_quietly(
    entry: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kind = entry.load()
    pytest.importorskip(METHODS[entry.name][0].partition(".")[0])
    pretend(monkeypatch, requirement_of(kind).name, None)
    before = method_of(entry.name)
    with caplog.at_level(logging.INFO):
        kind().instrument()
    assert method_of(entry.name) is before
    assert caplog.records == []


@pytest.mark.parametrize("entry", WITH_A_CLIENT, ids=lambda e: e.name)
def test_the_range_is_the_one_the_extra_declares(entry: Any) -> None:
    requirement = requirement_of(entry.load())
    declared = [
        Requirement(text)
        for text in metadata.requires("otel-zdr") or ()
        if f'extra == "{entry.name.removeprefix("zdr_")}"' in text.replace("'", '"')
    ]
    assert [(d.name, d.specifier) for d in declared] == [(requirement.name, requirement.specifier)]


SWITCHED_OFF = """
import inspect
from openai.resources.chat.completions.completions import Completions
from groq.resources.chat.completions import Completions as GroqCompletions

def wrapped(cls):
    return hasattr(inspect.getattr_static(cls, "create"), "_self_wrapper")

print(wrapped(Completions), wrapped(GroqCompletions))
"""


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("", "True True"),
        ("zdr_openai", "False True"),
        ("zdr_openai,zdr_groq", "False False"),
        ("*", "False False"),
    ],
)
def test_the_environment_switches_instrumentors_off(names: str, expected: str) -> None:
    pytest.importorskip("openai")
    pytest.importorskip("groq")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    environment |= {
        "OTEL_PYTHON_DISTRO": "zdr",
        "OTEL_PYTHON_CONFIGURATOR": "zdr",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": names,
    }
    instrument = Path(sys.executable).with_name("opentelemetry-instrument")
    done = subprocess.run(
        [str(instrument), sys.executable, "-c", SWITCHED_OFF],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == expected, done.stderr
