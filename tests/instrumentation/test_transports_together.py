"""The transports beside clients that are built on them: one span a call, whoever makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest

from otel_zdr.instrumentation.openai import OpenAIInstrumentor
from otel_zdr.instrumentation.transports import InworldTransportInstrumentor
from tests.fakes.server import FakeServer

INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
INSTRUMENTORS = pytest.mark.parametrize(
    "kinds",
    [
        [InworldTransportInstrumentor],
        [OpenAIInstrumentor, InworldTransportInstrumentor],
        [InworldTransportInstrumentor, OpenAIInstrumentor],
    ],
    ids=["transports", "openai-transports", "transports-openai"],
)


@pytest.fixture
def start(
    server: FakeServer, telemetry: Any, instrument: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Any], None]:
    monkeypatch.setenv("OTEL_ZDR_INWORLD_HOSTS", server.host)

    def started(kinds: Any) -> None:
        for kind in kinds:
            instrument(kind)

    return started


def assert_one_call(telemetry: Any) -> None:
    span = telemetry.span()
    assert span.name == "chat auto"
    assert span.attributes["gen_ai.usage.input_tokens"] == 11
    assert span.attributes["gen_ai.usage.output_tokens"] == 7
    assert span.attributes["gen_ai.provider.name"] == "openai"
    assert span.attributes["otel_zdr.provider"] == "openai"
    telemetry.assert_content(INPUT, OUTPUT)


def asked(telemetry: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": "user", "content": telemetry.canary}]}


@INSTRUMENTORS
def test_the_openai_client_against_the_router_is_one_span(
    kinds: Any, start: Any, server: FakeServer, telemetry: Any
) -> None:
    start(kinds)
    client = openai.OpenAI(api_key="sk-test", base_url=f"{server.url}/v1", max_retries=0)
    answer = client.chat.completions.create(**asked(telemetry))
    assert telemetry.canary in answer.choices[0].message.content
    assert_one_call(telemetry)


@INSTRUMENTORS
async def test_its_streams_are_one_span(kinds: Any, start: Any, server: FakeServer, telemetry: Any) -> None:
    start(kinds)
    client = openai.AsyncOpenAI(api_key="sk-test", base_url=f"{server.url}/v1", max_retries=0)
    more = {"stream": True, "stream_options": {"include_usage": True}}
    stream = await client.chat.completions.create(**asked(telemetry), **more)
    said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert telemetry.canary in said
    assert_one_call(telemetry)


@INSTRUMENTORS
def test_a_streamed_body_is_one_span(kinds: Any, start: Any, server: FakeServer, telemetry: Any) -> None:
    start(kinds)
    client = openai.OpenAI(api_key="sk-test", base_url=f"{server.url}/v1", max_retries=0)
    speech = {"model": "inworld-tts-2", "voice": "narrator", "input": telemetry.canary}
    with client.audio.speech.with_streaming_response.create(**speech) as response:
        assert sum(len(chunk) for chunk in response.iter_bytes()) == 3 * 2048
    assert telemetry.span().name == "text_to_speech inworld-tts-2"
    assert telemetry.span().attributes["otel_zdr.usage.characters"] == len(telemetry.canary)
    telemetry.assert_content(INPUT)
