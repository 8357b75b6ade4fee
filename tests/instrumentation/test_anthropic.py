"""Calls of the real anthropic client below 1 against a server on loopback, each under ZDR and not."""

from __future__ import annotations

import asyncio
import gc
import logging
import operator
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import anthropic
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from otel_zdr.instrumentation.anthropic import AnthropicInstrumentor
from tests.fakes.server import FakeServer

INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
SYSTEM, TOOLS = "gen_ai.system_instructions", "gen_ai.tool.definitions"
MODEL = "claude-sonnet-4-5"

native = pytest.mark.skipif(int(version("anthropic").split(".")[0]) >= 1, reason="this version traces itself")


@pytest.fixture
def client(instrument: Callable[[Any], Any], server: FakeServer) -> anthropic.Anthropic:
    instrument(AnthropicInstrumentor)
    return anthropic.Anthropic(api_key="sk-ant", base_url=f"{server.url}/anthropic", max_retries=0)


@pytest.fixture
def async_client(instrument: Callable[[Any], Any], server: FakeServer) -> anthropic.AsyncAnthropic:
    instrument(AnthropicInstrumentor)
    return anthropic.AsyncAnthropic(api_key="sk-ant", base_url=f"{server.url}/anthropic", max_retries=0)


def request(telemetry: Any) -> dict[str, Any]:
    return {
        "model": MODEL,
        "max_tokens": 64,
        "system": f"system {telemetry.canary}",
        "messages": [{"role": "user", "content": f"user {telemetry.canary}"}],
        "tools": [
            {"name": "look_up", "description": telemetry.canary, "input_schema": {"type": "object"}},
        ],
    }


def assert_message(telemetry: Any, *, stream: bool) -> None:
    span = telemetry.span()
    assert span.kind is SpanKind.CLIENT
    assert span.name == f"chat {MODEL}"
    expected = {
        "gen_ai.provider.name": "anthropic",
        "gen_ai.response.id": "msg_1",
        "gen_ai.response.model": MODEL,
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.id": "req_anthropic_1",
        "gen_ai.usage.input_tokens": 27,  # with what the cache read and wrote, as the conventions count
        "gen_ai.usage.output_tokens": 11,
        "gen_ai.usage.cache_read.input_tokens": 5,
        "gen_ai.usage.cache_creation.input_tokens": 3,
        "otel_zdr.product": "llm",
        "otel_zdr.mode": "streaming" if stream else "sync",
    }
    for key, value in expected.items():
        assert span.attributes[key] == value, key
    assert ("gen_ai.response.time_to_first_chunk" in span.attributes) is stream
    tokens = {p.attributes["gen_ai.token.type"]: p.sum for p in telemetry.points("gen_ai.client.token.usage")}
    assert tokens == {"input": 27, "output": 11}
    telemetry.assert_content(INPUT, OUTPUT, SYSTEM, TOOLS)
    if not telemetry.zdr:
        assert '"tool_call"' in span.attributes[OUTPUT]


@native
def test_a_message_is_one_span(client: anthropic.Anthropic, telemetry: Any) -> None:
    answer = client.messages.create(**request(telemetry))
    assert telemetry.canary in answer.content[0].text
    assert_message(telemetry, stream=False)


@native
async def test_an_async_message_is_one_span(async_client: anthropic.AsyncAnthropic, telemetry: Any) -> None:
    await async_client.messages.create(**request(telemetry))
    assert_message(telemetry, stream=False)


@native
def test_a_streamed_message_is_one_span(client: anthropic.Anthropic, telemetry: Any) -> None:
    stream = client.messages.create(**request(telemetry), stream=True)
    assert type(stream).__name__ == "Stream"
    assert list(stream)
    assert_message(telemetry, stream=True)


@native
async def test_an_async_streamed_message_is_one_span(
    async_client: anthropic.AsyncAnthropic, telemetry: Any
) -> None:
    assert [event async for event in await async_client.messages.create(**request(telemetry), stream=True)]
    assert_message(telemetry, stream=True)


@native
def test_the_stream_helper_starts_its_span_when_it_is_entered(
    client: anthropic.Anthropic, telemetry: Any, server: FakeServer
) -> None:
    manager = client.messages.stream(**request(telemetry))
    assert server.requests == []
    with manager as stream:
        assert telemetry.canary in "".join(stream.text_stream)
        assert telemetry.canary in stream.get_final_message().content[0].text
    assert_message(telemetry, stream=True)


@native
def test_a_stream_helper_never_entered_makes_no_span(client: anthropic.Anthropic, telemetry: Any) -> None:
    client.messages.stream(**request(telemetry))
    gc.collect()
    assert telemetry.spans() == []


@native
async def test_the_async_stream_helper_is_one_span(
    async_client: anthropic.AsyncAnthropic, telemetry: Any
) -> None:
    async with async_client.messages.stream(**request(telemetry)) as stream:
        assert telemetry.canary in await stream.get_final_text()
    assert_message(telemetry, stream=True)


@native
def test_leaving_the_stream_helper_early_ends_the_span(client: anthropic.Anthropic, telemetry: Any) -> None:
    with client.messages.stream(**request(telemetry)) as stream:
        for _ in stream:
            break
    assert telemetry.span().attributes["otel_zdr.response.end_reason"] == "interrupted"
    telemetry.assert_content(INPUT)


@native
async def test_leaving_the_async_stream_helper_early_ends_the_span(
    async_client: anthropic.AsyncAnthropic, telemetry: Any
) -> None:
    async with async_client.messages.stream(**request(telemetry)) as stream:
        async for _ in stream:
            break
    assert telemetry.span().attributes["otel_zdr.response.end_reason"] == "interrupted"


@native
def test_a_raw_response_is_read_beside_the_application(client: anthropic.Anthropic, telemetry: Any) -> None:
    raw = client.messages.with_raw_response.create(**request(telemetry))
    assert telemetry.canary in raw.parse().content[0].text
    assert_message(telemetry, stream=False)


@native
async def test_an_async_streaming_response_read_as_bytes_is_understood(
    async_client: anthropic.AsyncAnthropic, telemetry: Any
) -> None:
    async with async_client.messages.with_streaming_response.create(
        **request(telemetry), stream=True
    ) as response:
        assert [part async for part in response.iter_bytes()]
    assert_message(telemetry, stream=True)


@native
def test_beta_messages_are_one_span_each(client: anthropic.Anthropic, telemetry: Any) -> None:
    answer = client.beta.messages.create(**request(telemetry))
    assert telemetry.canary in answer.content[0].text
    assert_message(telemetry, stream=False)


@native
async def test_a_beta_stream_helper_is_one_span(
    async_client: anthropic.AsyncAnthropic, telemetry: Any
) -> None:
    if not hasattr(async_client.beta.messages, "stream"):
        pytest.skip("this version has no such method")
    async with async_client.beta.messages.stream(**request(telemetry)) as stream:
        assert telemetry.canary in await stream.get_final_text()
    assert_message(telemetry, stream=True)


@native
@pytest.mark.parametrize("path", ["messages", "beta.messages"])
def test_a_parsed_message_is_one_span(client: anthropic.Anthropic, telemetry: Any, path: str) -> None:
    messages = operator.attrgetter(path)(client)
    if not hasattr(messages, "parse"):
        pytest.skip("this version has no such method")
    answer = messages.parse(**request(telemetry))
    assert telemetry.canary in answer.content[0].text
    assert_message(telemetry, stream=False)


@native
async def test_an_async_parsed_message_is_one_span(
    async_client: anthropic.AsyncAnthropic, telemetry: Any
) -> None:
    if not hasattr(async_client.messages, "parse"):
        pytest.skip("this version has no such method")
    await async_client.messages.parse(**request(telemetry))
    assert_message(telemetry, stream=False)


@native
def test_an_error_passes_through_and_its_text_stays_in(
    client: anthropic.Anthropic, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/anthropic/*", status=400)
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(**request(telemetry))
    assert telemetry.canary in str(caught.value)
    assert telemetry.span().status.status_code is StatusCode.ERROR
    assert telemetry.span().attributes["error.type"] == "BadRequestError"
    telemetry.assert_content(INPUT)


@native
def test_an_error_when_the_stream_helper_is_entered_passes_through(
    client: anthropic.Anthropic, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/anthropic/*", status=500)
    with pytest.raises(anthropic.InternalServerError), client.messages.stream(**request(telemetry)):
        pass
    assert telemetry.span().attributes["error.type"] == "InternalServerError"
    telemetry.assert_content(INPUT)


@native
async def test_cancelling_a_stream_ends_the_span(
    async_client: anthropic.AsyncAnthropic, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/anthropic/*", delay=5)

    async def read() -> None:
        async with async_client.messages.stream(**request(telemetry)) as stream:
            async for _ in stream:
                pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert telemetry.span().attributes["error.type"] == "CancelledError"


@pytest.mark.skipif(int(version("anthropic").split(".")[0]) < 1, reason="this version is instrumented")
def test_a_version_that_traces_itself_is_left_alone(telemetry: Any, caplog: pytest.LogCaptureFixture) -> None:
    before = anthropic.resources.messages.Messages.create
    with caplog.at_level(logging.DEBUG, "otel_zdr.instrumentation"):
        AnthropicInstrumentor().instrument(**telemetry.providers)
    assert anthropic.resources.messages.Messages.create is before
    assert "anthropic is not instrumented: this version works with" in caplog.text
    assert not AnthropicInstrumentor().is_instrumented_by_opentelemetry
