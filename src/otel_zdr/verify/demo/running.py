"""Start the vendor's stand-in, the backend and the application; hand back what reached either."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from otel_zdr.verify.receiver import Received, Receiver

STUDIO, CLINIC = "studio", "clinic"
"""Two tenants of one application; the clinic is the one under ZDR."""

NEEDS = ("aiohttp", "openai", "inworld_tts")
"""What the extra `demo` installs."""

_TIMEOUT_SECONDS = 120
_SENTENCES = {
    STUDIO: {
        "hosted": "Write a jingle for our summer sale",
        "routed": "Translate the slogan into French",
        "refused": "Draw the mascot with a top hat",
        "spoken": "Welcome back to the show everybody",
        "noted": "The jingle was approved by marketing",
    },
    CLINIC: {
        "hosted": "My chest has hurt since Monday night",
        "routed": "Which dose of insulin may I take",
        "refused": "I am allergic to penicillin and latex",
        "spoken": "Your blood test came back positive",
        "noted": "Caller asked about her pregnancy",
    },
}


class DemoError(RuntimeError):
    """The demo could not be run; the message says why."""


@dataclass(frozen=True, slots=True)
class Run:
    """What was said by workspace and kind, what the vendor's stand-in got, what the backend got, and what the
    application's process wrote to standard error.
    """

    said: dict[str, dict[str, str]]
    vendor: bytes
    arrived: list[Received]
    stderr: str


def missing() -> list[str]:
    """The packages the demo needs and does not find."""
    from importlib.util import find_spec

    return [name for name in NEEDS if find_spec(name) is None]


def run(progress: Callable[[str], None]) -> Run:
    """Run it all on loopback.

    Raises:
        DemoError: the application did not come to its end.
    """
    from otel_zdr.verify.fake_vendors import FakeServer

    # Made now: a text that stood in a source file could pass as the application's own code.
    said = {
        workspace: {kind: f"{text}, note {uuid.uuid4().hex}" for kind, text in texts.items()}
        for workspace, texts in _SENTENCES.items()
    }
    progress("starting a stand-in for the vendor's API and an OTLP backend, both on loopback")
    with FakeServer() as vendor, Receiver() as backend:
        vendor.fail("/v1/responses", status=400, times=-1)
        progress("running the application: openai and inworld-tts calls for two workspaces")
        stderr = _run_application(vendor.url, vendor.host, backend.url, said)
        progress("comparing what arrived")
        got = b"\n".join(request.body for request in vendor.requests)
        return Run(said, got, list(backend.requests), stderr)


def _run_application(url: str, host: str, backend: str, said: dict[str, dict[str, str]]) -> str:
    conversations = [{"workspace": workspace, **texts} for workspace, texts in said.items()]
    try:
        done = subprocess.run(
            [*launcher(), sys.executable, "-m", "otel_zdr.verify.demo.application"],
            input=json.dumps({"base_url": url, "conversations": conversations}),
            env=environment(host, backend),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise DemoError(f"the application did not end within {_TIMEOUT_SECONDS} s") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise DemoError(f"the application ended with exit code {done.returncode}: {last[0]}")
    return done.stderr


def launcher() -> list[str]:
    """``opentelemetry-instrument`` of this environment."""
    script = shutil.which("opentelemetry-instrument", path=str(Path(sys.executable).parent))
    if script is not None:
        return [script]
    return [sys.executable, "-c", "from opentelemetry.instrumentation.auto_instrumentation import run; run()"]


SETTINGS = {
    "OTEL_PYTHON_DISTRO": "zdr",
    "OTEL_PYTHON_CONFIGURATOR": "zdr",
    "OTEL_ZDR_WORKSPACES": CLINIC,
    # The switch that makes clients capture prompts and completions: it is on for both.
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
}
"""What turns it on; the rest says where the servers are."""


def environment(vendor_host: str, backend: str) -> dict[str, str]:
    """The environment of the application: nothing of the caller's may redirect or configure it."""
    foreign = ("OTEL_", "OPENAI_", "INWORLD_")
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(foreign) and not name.lower().endswith("_proxy")
    }
    return {
        **inherited,
        **SETTINGS,
        "OTEL_ZDR_INWORLD_HOSTS": vendor_host,
        "OTEL_EXPORTER_OTLP_ENDPOINT": backend,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": "voice-agent",
        "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "true",
    }
