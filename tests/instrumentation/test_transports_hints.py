"""What a call says of its workspace: API keys and voice ids tighten, and never loosen."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import inworld_tts
import pytest

import otel_zdr
from otel_zdr.instrumentation import _hints
from otel_zdr.instrumentation.inworld import InworldInstrumentor
from otel_zdr.instrumentation.transports import InworldTransportInstrumentor
from otel_zdr.policy.fingerprint import fingerprint
from otel_zdr.testing import uninstall
from tests.fakes.server import FakeServer
from tests.instrumentation.conftest import CAPTURE, Telemetry

POLICY = """
version = 1
[organisation]
zdr = false
[workspaces.clinic-1]
zdr = true
[api_keys]
"{fingerprint}" = "clinic-1"
"""
CLINIC_KEY, OTHER_KEY = f"key-{uuid.uuid4()}", f"key-{uuid.uuid4()}"


@pytest.fixture
def open_telemetry(
    tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Telemetry]:
    """A policy with one workspace under ZDR, whose key and voices are known; content is asked for."""
    secret = secrets.token_hex(32)
    secret_file, policy_file = tmp_path / "secret", tmp_path / "policy.toml"
    secret_file.write_text(secret)
    secret_file.chmod(0o600)
    policy_file.write_text(POLICY.format(fingerprint=fingerprint(CLINIC_KEY, secret.encode())))
    policy_file.chmod(0o600)
    monkeypatch.setenv(CAPTURE, "SPAN_AND_EVENT")
    monkeypatch.setenv("OTEL_ZDR_INWORLD_HOSTS", server.host)
    otel_zdr.install(otel_zdr.Settings(policy_file=str(policy_file), key_secret_file=str(secret_file)))
    telemetry = Telemetry(zdr=False)
    instrumentors = [InworldInstrumentor(), InworldTransportInstrumentor()]
    for instrumentor in instrumentors:
        instrumentor.instrument(**telemetry.providers)
    try:
        yield telemetry
    finally:
        for instrumentor in instrumentors:
            instrumentor.uninstrument()
        uninstall()


CALLS = pytest.mark.parametrize("call", ["sdk", "transport"])
HINTS = pytest.mark.parametrize(
    ("key", "voice", "tightens"),
    [
        (OTHER_KEY, "Dennis", False),
        (CLINIC_KEY, "Dennis", True),
        (OTHER_KEY, "clinic-1__nurse", True),
        (OTHER_KEY, "Clinic-1__nurse__deep", True),
        (OTHER_KEY, "workspaces/clinic-1/voices/nurse", True),
        (OTHER_KEY, "studio__nurse", False),
    ],
    ids=["nothing", "key", "voice", "voice of a deeper name", "resource name of a voice", "voice of another"],
)


@CALLS
@HINTS
def test_a_hint_of_a_workspace_under_zdr_takes_the_content_out(
    call: str, key: str, voice: str, tightens: bool, server: FakeServer, open_telemetry: Telemetry
) -> None:
    canary = open_telemetry.canary
    with otel_zdr.workspace("studio"):
        if call == "sdk":
            inworld_tts.InworldTTS(api_key=key, base_url=server.url).generate(canary, voice=voice)
        else:
            body: dict[str, Any] = {"text": canary, "voiceId": voice, "modelId": "inworld-tts-1"}
            httpx.post(f"{server.url}/tts/v1/voice", json=body, headers={"Authorization": f"Basic {key}"})
    span = open_telemetry.span()
    assert (span.attributes or {})["otel_zdr.usage.characters"] == len(canary)
    wire = open_telemetry.wire()
    assert (canary.encode() in wire) is not tightens
    assert key.encode() not in wire
    assert ((span.attributes or {}).get("zdr.redacted") is True) is tightens


@pytest.mark.parametrize(
    "voice", ["", "__", "Dennis", "__voice", None, 7, "workspaces/", "workspaces//voices/x"]
)
def test_a_voice_that_names_nobody_gives_no_hint(voice: object) -> None:
    assert _hints.of_voice(voice) == ()
