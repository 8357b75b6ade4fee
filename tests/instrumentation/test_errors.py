"""Error texts that may go out do so without what gives access."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import openai
import pytest

from otel_zdr.instrumentation._errors import safe_text
from otel_zdr.instrumentation.openai import OpenAIInstrumentor
from tests.fakes.server import FakeServer
from tests.instrumentation.conftest import CAPTURE


def secret() -> str:
    return uuid.uuid4().hex


@pytest.mark.parametrize(
    "shape",
    [
        "GET https://files.example/a.wav?X-Amz-Signature={} failed",
        "see https://files.example/a.wav#access_token={}",
        "cannot reach wss://user:{}@stt.example/v1/listen",
        "Incorrect API key provided: sk-{}.",
        "Incorrect API key provided: gsk_{}.",
        'headers: {{"Authorization": "Bearer {}"}}',
        "authorization=Basic {} was refused",
        "xi-api-key: {}",
        "token {} has expired",
        "the key {} is not known",
        "the provided key {} is not known",
        "'api_key': '{}'",
    ],
)
def test_a_secret_in_an_error_text_goes(shape: str) -> None:
    token = secret()
    assert token not in safe_text(shape.format(token))
    assert token in shape.format(token)


@pytest.mark.parametrize(
    "text",
    [
        "Error code: 400 - {'error': {'message': 'invalid input: hello', 'type': 'invalid_request_error'}}",
        "model whisper-large-v3 does not exist",
        "request 7b1e2a5c-1d7e-4f0e-9a53-0d6c4f6f7a10 failed",
        "the key of the map was not found in claude-sonnet-4-5-20250929",
        "the token limit of 4096 was exceeded",
        "Connection to https://api.example.com/v1/chat/completions timed out after 30 s",
        "[Errno 111] Connect call failed ('127.0.0.1', 8080)",
    ],
)
def test_what_helps_to_find_the_fault_stays(text: str) -> None:
    assert safe_text(text) == text


@pytest.mark.parametrize("piece", ["a.", "key ", "A", "sk-a ", "://", "token a1", "authorization: "])
def test_a_text_of_any_length_is_looked_through_in_proportion(piece: str) -> None:
    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        found = []
        for _ in range(3):
            started = time.thread_time()
            safe_text(text)
            found.append(time.thread_time() - started)
        return min(found)

    assert seconds(200_000) < 40 * seconds(20_000) + 0.05


def test_a_provider_that_repeats_a_signed_url_and_a_key_puts_neither_into_telemetry(
    instrument: Callable[[Any], Any], telemetry: Any, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside ZDR the text stays, the positive control, but for the secrets in it."""
    instrument(OpenAIInstrumentor)
    server.fail("/openai/*", status=400)
    url, key, words = secret(), secret(), "some words of the prompt"
    client = openai.OpenAI(api_key="k", base_url=f"{server.url}/openai/v1", max_retries=0)
    said = f"{words}, https://files.example/a.png?signature={url} with sk-{key}"
    monkeypatch.delenv(CAPTURE)  # messages as content are another matter
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": said}])
    assert url in str(caught.value)
    assert key in str(caught.value)
    assert url.encode() not in telemetry.wire()
    assert key.encode() not in telemetry.wire()
    (event,) = telemetry.span().events
    assert event.attributes["exception.type"].endswith("BadRequestError")
    if telemetry.zdr:
        assert words.encode() not in telemetry.wire()
    else:
        assert words in telemetry.span().status.description
        assert words in event.attributes["exception.message"]
        assert words in event.attributes["exception.stacktrace"]


def test_an_exception_event_carries_the_frames(
    instrument: Callable[[Any], Any], telemetry: Any, server: FakeServer
) -> None:
    instrument(OpenAIInstrumentor)
    server.fail("/openai/*", status=400)
    client = openai.OpenAI(api_key="k", base_url=f"{server.url}/openai/v1", max_retries=0)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": telemetry.canary}], stream=True
        )
    (event,) = telemetry.span().events
    assert "_base_client" in event.attributes["exception.stacktrace"]
    assert ("zdr.exception.fingerprint" in event.attributes) is telemetry.zdr
    if telemetry.zdr:
        assert "exception.message" not in event.attributes
        assert telemetry.canary.encode() not in telemetry.wire()
