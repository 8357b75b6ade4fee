"""openai and anthropic clients against Inworld's router: only the answer tells who served a call."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import anthropic
import openai
import pytest

from otel_zdr.instrumentation.anthropic import AnthropicInstrumentor
from otel_zdr.instrumentation.openai import OpenAIInstrumentor
from tests.fakes.server import FakeServer

INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
SERVED = [
    ("inworld/my-router", "inworld", "hosted-1"),
    ("auto", "openai", "gpt-x"),
    ("groq/llama-3", "groq", "llama-3"),
]


@pytest.fixture
def client(
    instrument: Callable[[Any], Any], server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> openai.OpenAI:
    monkeypatch.setenv("OTEL_ZDR_INWORLD_HOSTS", server.host)
    instrument(OpenAIInstrumentor)
    return openai.OpenAI(api_key="inworld-key", base_url=f"{server.url}/v1", max_retries=0)


def assert_served(telemetry: Any, provider: str, model: str) -> None:
    attributes = telemetry.span().attributes
    assert attributes["gen_ai.provider.name"] == provider
    assert attributes["otel_zdr.provider"] == provider
    assert attributes["gen_ai.response.model"] == model
    assert attributes["gen_ai.usage.input_tokens"] > 0
    (duration,) = telemetry.points("gen_ai.client.operation.duration")
    assert duration.attributes["gen_ai.provider.name"] == provider
    telemetry.assert_content(INPUT, OUTPUT)


@pytest.mark.parametrize(("asked", "provider", "model"), SERVED)
def test_the_last_attempt_names_the_provider_of_a_chat(
    client: openai.OpenAI, telemetry: Any, asked: str, provider: str, model: str
) -> None:
    client.chat.completions.create(model=asked, messages=[{"role": "user", "content": telemetry.canary}])
    assert telemetry.span().name == f"chat {asked}"
    assert_served(telemetry, provider, model)


@pytest.mark.parametrize(("asked", "provider", "model"), SERVED)
def test_the_last_attempt_names_the_provider_of_a_streamed_chat(
    client: openai.OpenAI, telemetry: Any, asked: str, provider: str, model: str
) -> None:
    for _ in client.chat.completions.create(
        model=asked,
        messages=[{"role": "user", "content": telemetry.canary}],
        stream=True,
        stream_options={"include_usage": True},
    ):
        pass
    assert_served(telemetry, provider, model)


@pytest.mark.parametrize("stream", [False, True])
def test_the_last_attempt_names_the_provider_of_a_response(
    client: openai.OpenAI, telemetry: Any, stream: bool
) -> None:
    answer = client.responses.create(model="auto", input=telemetry.canary, stream=stream)
    if stream:
        list(answer)
    assert_served(telemetry, "openai", "gpt-x")


def test_a_raw_response_is_read_for_its_provider_too(client: openai.OpenAI, telemetry: Any) -> None:
    client.chat.completions.with_raw_response.create(
        model="auto", messages=[{"role": "user", "content": telemetry.canary}]
    )
    assert_served(telemetry, "openai", "gpt-x")


def test_a_call_that_is_left_before_the_router_says_who_served_it_stays_the_routers(
    client: openai.OpenAI, telemetry: Any
) -> None:
    for _ in client.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": telemetry.canary}], stream=True
    ):
        break
    attributes = telemetry.span().attributes
    assert attributes["gen_ai.provider.name"] == "inworld"
    assert "otel_zdr.provider" not in attributes


def test_credentials_for_the_router_are_nowhere_in_telemetry(client: openai.OpenAI, telemetry: Any) -> None:
    client.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": "hello"}],
        extra_body={"provider_credentials": {"openai": {"api_key": telemetry.canary}}},
        extra_headers={"x-extra": telemetry.canary},
    )
    assert telemetry.canary.encode() not in telemetry.wire()


@pytest.mark.skipif(int(version("anthropic").split(".")[0]) >= 1, reason="this version traces itself")
@pytest.mark.parametrize("stream", [False, True])
def test_the_last_attempt_names_the_provider_of_a_message(
    instrument: Callable[[Any], Any],
    server: FakeServer,
    telemetry: Any,
    monkeypatch: pytest.MonkeyPatch,
    stream: bool,
) -> None:
    monkeypatch.setenv("OTEL_ZDR_INWORLD_HOSTS", server.host)
    instrument(AnthropicInstrumentor)
    client = anthropic.Anthropic(api_key="inworld-key", base_url=server.url, max_retries=0)
    answer = client.messages.create(
        model="auto",
        max_tokens=9,
        messages=[{"role": "user", "content": telemetry.canary}],
        stream=stream,
    )
    if stream:
        list(answer)
    assert_served(telemetry, "openai", "gpt-x")
