"""Calls of the real openai client against a server on loopback, each under ZDR and not."""

from __future__ import annotations

import asyncio
import gc
import io
from collections.abc import Callable
from typing import Any

import openai
import pytest
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import BaseModel

from otel_zdr.instrumentation.openai import OpenAIInstrumentor
from tests.fakes.server import FakeServer

INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
SYSTEM, TOOLS = "gen_ai.system_instructions", "gen_ai.tool.definitions"
MODEL = "gpt-4o-mini"


class Said(BaseModel):
    said: str


@pytest.fixture
def base_url(server: FakeServer) -> str:
    return f"{server.url}/openai/v1"


@pytest.fixture
def client(telemetry: Any, instrument: Callable[[Any], Any], base_url: str) -> openai.OpenAI:
    instrument(OpenAIInstrumentor)
    return openai.OpenAI(api_key="sk-test", base_url=base_url, max_retries=0)


@pytest.fixture
def async_client(telemetry: Any, instrument: Callable[[Any], Any], base_url: str) -> openai.AsyncOpenAI:
    instrument(OpenAIInstrumentor)
    return openai.AsyncOpenAI(api_key="sk-test", base_url=base_url, max_retries=0)


def asked(telemetry: Any) -> list[dict[str, Any]]:
    return [
        {"role": "system", "content": f"system {telemetry.canary}"},
        {"role": "user", "content": [{"type": "text", "text": f"user {telemetry.canary}"}]},
    ]


def audio(telemetry: Any) -> tuple[str, io.BytesIO]:
    return ("speech.wav", io.BytesIO(telemetry.canary.encode()))


def assert_chat(telemetry: Any, *, stream: bool, usage: bool = True) -> None:
    span = telemetry.span()
    assert span.kind is SpanKind.CLIENT
    assert span.name == f"chat {MODEL}"
    assert span.status.status_code is StatusCode.UNSET
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.model": f"{MODEL}-2026-01-01",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.request.id": "req_openai_1",
        "openai.response.service_tier": "default",
        "server.address": "127.0.0.1",
        "otel_zdr.product": "llm",
        "otel_zdr.mode": "streaming" if stream else "sync",
        "otel_zdr.request.stream": stream,
    }
    if usage:
        expected |= {
            "gen_ai.usage.input_tokens": 19,
            "gen_ai.usage.output_tokens": 11,
            "gen_ai.usage.cache_read.input_tokens": 5,
            "gen_ai.usage.audio.input_tokens": 2,
            "gen_ai.usage.reasoning.output_tokens": 4,
            "gen_ai.usage.audio.output_tokens": 1,
        }
    for key, value in expected.items():
        assert span.attributes[key] == value, key
    assert ("gen_ai.response.time_to_first_chunk" in span.attributes) is stream
    (duration,) = telemetry.points("gen_ai.client.operation.duration")
    assert duration.count == 1
    assert duration.attributes["gen_ai.response.model"] == f"{MODEL}-2026-01-01"
    tokens = {p.attributes["gen_ai.token.type"]: p.sum for p in telemetry.points("gen_ai.client.token.usage")}
    assert tokens == ({"input": 19, "output": 11} if usage else {})


# chat


def test_a_chat_makes_one_span_with_usage_and_content_only_where_allowed(
    client: openai.OpenAI, telemetry: Any
) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "description": telemetry.canary}}
    answer = client.chat.completions.create(
        model=MODEL, messages=asked(telemetry), tools=[tool], max_tokens=50, temperature=0.5, seed=7, n=1
    )
    assert type(answer).__name__ == "ChatCompletion"
    assert telemetry.canary in answer.choices[0].message.content
    assert_chat(telemetry, stream=False)
    attributes = telemetry.span().attributes
    assert attributes["gen_ai.request.max_tokens"] == 50
    assert attributes["gen_ai.request.temperature"] == 0.5
    assert attributes["gen_ai.request.seed"] == 7
    telemetry.assert_content(INPUT, OUTPUT, TOOLS)


async def test_an_async_chat_does_the_same(async_client: openai.AsyncOpenAI, telemetry: Any) -> None:
    await async_client.chat.completions.create(model=MODEL, messages=asked(telemetry))
    assert_chat(telemetry, stream=False)
    telemetry.assert_content(INPUT, OUTPUT)


def test_content_goes_into_an_event_when_the_switch_asks_for_it(
    client: openai.OpenAI, telemetry: Any
) -> None:
    client.chat.completions.create(model=MODEL, messages=asked(telemetry))
    events = telemetry.events()
    if telemetry.zdr:
        assert events == []
    else:
        (event,) = events
        assert event.event_name == "gen_ai.client.inference.operation.details"
        assert telemetry.canary in str(event.attributes[INPUT])
        assert event.span_id == telemetry.span().context.span_id


@pytest.mark.parametrize(
    ("value", "on_span", "on_event"),
    [
        ("", False, False),
        ("NO_CONTENT", False, False),
        ("false", False, False),
        ("everything", False, False),
        ("true", True, False),
        ("span_only", True, False),
        ("EVENT_ONLY", False, True),
        ("SPAN_AND_EVENT", True, True),
    ],
)
def test_the_switch_has_the_values_of_the_conventions(
    client: openai.OpenAI,
    telemetry: Any,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    on_span: bool,
    on_event: bool,
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)
    client.chat.completions.create(model=MODEL, messages=asked(telemetry))
    assert (INPUT in telemetry.span().attributes) is (on_span and not telemetry.zdr)
    assert bool(telemetry.events()) is (on_event and not telemetry.zdr)


def test_a_parsed_chat_is_one_span(client: openai.OpenAI, telemetry: Any) -> None:
    answer = client.chat.completions.parse(model=MODEL, messages=asked(telemetry), response_format=Said)
    assert telemetry.canary in answer.choices[0].message.parsed.said
    assert_chat(telemetry, stream=False)
    telemetry.assert_content(INPUT, OUTPUT)


async def test_an_async_parsed_chat_is_one_span(async_client: openai.AsyncOpenAI, telemetry: Any) -> None:
    await async_client.chat.completions.parse(model=MODEL, messages=asked(telemetry), response_format=Said)
    assert_chat(telemetry, stream=False)


def test_a_streamed_chat_ends_with_its_last_chunk(client: openai.OpenAI, telemetry: Any) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=asked(telemetry), stream=True, stream_options={"include_usage": True}
    )
    assert isinstance(stream, openai.Stream)
    assert telemetry.spans() == []
    words = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert telemetry.canary in words
    assert_chat(telemetry, stream=True)
    assert "otel_zdr.response.end_reason" not in telemetry.span().attributes
    telemetry.assert_content(INPUT, OUTPUT)


async def test_an_async_streamed_chat_ends_with_its_last_chunk(
    async_client: openai.AsyncOpenAI, telemetry: Any
) -> None:
    stream = await async_client.chat.completions.create(
        model=MODEL, messages=asked(telemetry), stream=True, stream_options={"include_usage": True}
    )
    assert isinstance(stream, openai.AsyncStream)
    assert [c async for c in stream]
    assert_chat(telemetry, stream=True)
    telemetry.assert_content(INPUT, OUTPUT)


def test_no_usage_is_asked_for_that_the_application_did_not_ask_for(
    client: openai.OpenAI, telemetry: Any, server: FakeServer
) -> None:
    list(client.chat.completions.create(model=MODEL, messages=asked(telemetry), stream=True))
    assert "stream_options" not in server.requests[0].json
    assert_chat(telemetry, stream=True, usage=False)


def test_the_stream_helper_is_one_span(client: openai.OpenAI, telemetry: Any) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=asked(telemetry), stream_options={"include_usage": True}
    ) as stream:
        for _ in stream:
            pass
        assert telemetry.canary in stream.get_final_completion().choices[0].message.content
    assert_chat(telemetry, stream=True)
    telemetry.assert_content(INPUT, OUTPUT)


async def test_the_async_stream_helper_is_one_span(async_client: openai.AsyncOpenAI, telemetry: Any) -> None:
    async with async_client.chat.completions.stream(
        model=MODEL, messages=asked(telemetry), stream_options={"include_usage": True}
    ) as stream:
        async for _ in stream:
            pass
    assert_chat(telemetry, stream=True)


def test_leaving_the_stream_helper_early_ends_the_span(client: openai.OpenAI, telemetry: Any) -> None:
    with client.chat.completions.stream(model=MODEL, messages=asked(telemetry)) as stream:
        for _ in stream:
            break
    assert telemetry.span().attributes["otel_zdr.response.end_reason"] == "interrupted"


# raw and streaming responses


def test_a_raw_response_is_read_beside_the_application(client: openai.OpenAI, telemetry: Any) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=asked(telemetry))
    assert type(raw).__name__ == "LegacyAPIResponse"
    assert_chat(telemetry, stream=False)
    assert telemetry.canary in raw.parse().choices[0].message.content
    telemetry.assert_content(INPUT, OUTPUT)


async def test_an_async_raw_response_is_read_too(async_client: openai.AsyncOpenAI, telemetry: Any) -> None:
    raw = await async_client.chat.completions.with_raw_response.create(model=MODEL, messages=asked(telemetry))
    raw.parse()
    assert_chat(telemetry, stream=False)


def test_a_stream_parsed_from_a_raw_response_ends_with_its_last_chunk(
    client: openai.OpenAI, telemetry: Any
) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=asked(telemetry), stream=True, stream_options={"include_usage": True}
    )
    stream = raw.parse()
    assert isinstance(stream, openai.Stream)
    assert telemetry.spans() == []
    for _ in stream:
        pass
    assert_chat(telemetry, stream=True)
    telemetry.assert_content(INPUT, OUTPUT)


async def test_an_async_stream_parsed_from_a_raw_response_ends_with_its_last_chunk(
    async_client: openai.AsyncOpenAI, telemetry: Any
) -> None:
    raw = await async_client.chat.completions.with_raw_response.create(
        model=MODEL, messages=asked(telemetry), stream=True, stream_options={"include_usage": True}
    )
    async for _ in raw.parse():
        pass
    assert_chat(telemetry, stream=True)


def test_a_streaming_response_ends_when_its_body_was_read(client: openai.OpenAI, telemetry: Any) -> None:
    with client.chat.completions.with_streaming_response.create(
        model=MODEL, messages=asked(telemetry)
    ) as response:
        assert type(response).__name__ == "APIResponse"
        assert telemetry.canary in response.parse().choices[0].message.content
    span = telemetry.span()
    assert span.attributes["gen_ai.usage.input_tokens"] == 19
    assert span.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    telemetry.assert_content(INPUT, OUTPUT)


def test_a_streaming_response_read_by_lines_is_understood(client: openai.OpenAI, telemetry: Any) -> None:
    with client.chat.completions.with_streaming_response.create(
        model=MODEL, messages=asked(telemetry), stream=True, stream_options={"include_usage": True}
    ) as response:
        lines = list(response.iter_lines())
    assert any(telemetry.canary in line for line in lines) or lines
    assert_chat(telemetry, stream=True)
    telemetry.assert_content(INPUT, OUTPUT)


async def test_an_async_streaming_response_parsed_as_a_stream_is_understood(
    async_client: openai.AsyncOpenAI, telemetry: Any
) -> None:
    async with async_client.chat.completions.with_streaming_response.create(
        model=MODEL, messages=asked(telemetry), stream=True, stream_options={"include_usage": True}
    ) as response:
        async for _ in await response.parse():
            pass
    assert_chat(telemetry, stream=True)
    telemetry.assert_content(INPUT, OUTPUT)


def test_a_streaming_response_left_unread_ends_with_its_block(client: openai.OpenAI, telemetry: Any) -> None:
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=asked(telemetry)):
        assert telemetry.spans() == []
    assert telemetry.span().attributes["otel_zdr.response.end_reason"] == "interrupted"


# endings


def test_an_error_passes_through_unchanged_and_its_text_stays_in(
    client: openai.OpenAI, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/openai/*", status=400, headers={"x-request-id": "req_bad"})
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=asked(telemetry))
    assert telemetry.canary in str(caught.value)
    span = telemetry.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "BadRequestError"
    assert span.attributes["http.response.status_code"] == 400
    assert span.attributes["gen_ai.request.id"] == "req_bad"
    (duration,) = telemetry.points("gen_ai.client.operation.duration")
    assert duration.attributes["error.type"] == "BadRequestError"
    if telemetry.zdr:
        assert span.status.description is None
        assert telemetry.canary.encode() not in telemetry.wire()
    else:
        assert telemetry.canary in span.status.description
        assert telemetry.canary in span.events[0].attributes["exception.message"]


async def test_an_async_error_does_the_same(
    async_client: openai.AsyncOpenAI, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/openai/*", status=429)
    with pytest.raises(openai.RateLimitError):
        await async_client.chat.completions.create(model=MODEL, messages=asked(telemetry))
    assert telemetry.span().attributes["error.type"] == "RateLimitError"
    if telemetry.zdr:
        assert telemetry.canary.encode() not in telemetry.wire()


def test_a_connection_cut_in_a_stream_is_an_error(
    client: openai.OpenAI, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/openai/*", drop_after=1)
    stream = client.chat.completions.create(model=MODEL, messages=asked(telemetry), stream=True)
    with pytest.raises(Exception) as caught:
        list(stream)
    span = telemetry.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == type(caught.value).__qualname__
    telemetry.assert_content(INPUT)


def test_closing_a_stream_ends_the_span_once(client: openai.OpenAI, telemetry: Any) -> None:
    stream = client.chat.completions.create(model=MODEL, messages=asked(telemetry), stream=True)
    next(stream)
    stream.close()
    stream.close()
    assert telemetry.span().attributes["otel_zdr.response.end_reason"] == "interrupted"
    assert telemetry.span().status.status_code is StatusCode.UNSET


def test_leaving_the_with_block_of_a_stream_ends_the_span(client: openai.OpenAI, telemetry: Any) -> None:
    with client.chat.completions.create(model=MODEL, messages=asked(telemetry), stream=True) as stream:
        next(stream)
    assert len(telemetry.spans()) == 1


def test_a_break_out_of_the_loop_ends_the_span(client: openai.OpenAI, telemetry: Any) -> None:
    stream = client.chat.completions.create(model=MODEL, messages=asked(telemetry), stream=True)
    for _ in stream:
        break
    assert len(telemetry.spans()) == 1
    stream.close()
    assert len(telemetry.spans()) == 1


def test_an_iterator_kept_across_loops_is_one_stream(client: openai.OpenAI, telemetry: Any) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=asked(telemetry), stream=True, stream_options={"include_usage": True}
    )
    chunks = iter(stream)
    next(chunks)
    for _ in chunks:
        pass
    assert_chat(telemetry, stream=True)


def test_a_dropped_stream_ends_when_it_is_collected(client: openai.OpenAI, telemetry: Any) -> None:
    stream = client.chat.completions.create(model=MODEL, messages=asked(telemetry), stream=True)
    next(stream)
    assert telemetry.spans() == []
    del stream
    gc.collect()
    # Which comes first, the client's own cleaning up or ours, is up to the interpreter.
    assert telemetry.span().attributes["otel_zdr.response.end_reason"] in ("abandoned", "interrupted")


async def test_an_async_stream_that_is_left_ends_the_span(
    async_client: openai.AsyncOpenAI, telemetry: Any
) -> None:
    stream = await async_client.chat.completions.create(model=MODEL, messages=asked(telemetry), stream=True)
    async for _ in stream:
        break
    await asyncio.sleep(0.01)  # asyncio closes the generator the loop has left
    assert len(telemetry.spans()) == 1
    await stream.close()
    assert len(telemetry.spans()) == 1


async def test_an_async_stream_that_is_closed_ends_the_span(
    async_client: openai.AsyncOpenAI, telemetry: Any
) -> None:
    stream = await async_client.chat.completions.create(model=MODEL, messages=asked(telemetry), stream=True)
    await stream.__anext__()
    await stream.close()
    assert telemetry.span().attributes["otel_zdr.response.end_reason"] == "interrupted"


async def test_cancelling_the_request_ends_the_span(
    async_client: openai.AsyncOpenAI, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/openai/*", delay=5)
    task = asyncio.create_task(async_client.chat.completions.create(model=MODEL, messages=asked(telemetry)))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert telemetry.span().attributes["error.type"] == "CancelledError"
    assert telemetry.span().attributes["otel_zdr.response.end_reason"] == "cancelled"


async def test_cancelling_a_stream_ends_the_span(
    async_client: openai.AsyncOpenAI, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/openai/*", delay=5)

    async def read() -> None:
        stream = await async_client.chat.completions.create(
            model=MODEL, messages=asked(telemetry), stream=True
        )
        async for _ in stream:
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert telemetry.span().attributes["error.type"] == "CancelledError"


# responses


def assert_responses(telemetry: Any) -> None:
    attributes = telemetry.span().attributes
    assert telemetry.span().name == f"chat {MODEL}"
    assert attributes["gen_ai.response.id"].startswith("resp_")
    assert attributes["gen_ai.response.model"] == f"{MODEL}-2026-01-01"
    assert attributes["gen_ai.response.status"] == "completed"
    assert attributes["gen_ai.usage.input_tokens"] == 19
    assert attributes["gen_ai.usage.output_tokens"] == 11
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 5
    assert attributes["gen_ai.usage.reasoning.output_tokens"] == 4
    assert attributes["gen_ai.request.id"] == "req_openai_1"


def test_a_response_is_one_span(client: openai.OpenAI, telemetry: Any) -> None:
    client.responses.create(
        model=MODEL, input=telemetry.canary, instructions=f"be {telemetry.canary}", store=False
    )
    assert_responses(telemetry)
    assert telemetry.span().attributes["otel_zdr.request.no_retention_hint"] is True
    telemetry.assert_content(INPUT, OUTPUT, SYSTEM)


async def test_an_async_response_is_one_span(async_client: openai.AsyncOpenAI, telemetry: Any) -> None:
    await async_client.responses.create(model=MODEL, input=[{"role": "user", "content": telemetry.canary}])
    assert_responses(telemetry)
    telemetry.assert_content(INPUT, OUTPUT)


def test_a_streamed_response_is_one_span(client: openai.OpenAI, telemetry: Any) -> None:
    for _ in client.responses.create(model=MODEL, input=telemetry.canary, stream=True):
        pass
    assert_responses(telemetry)
    assert telemetry.span().attributes["otel_zdr.mode"] == "streaming"
    telemetry.assert_content(INPUT, OUTPUT)


async def test_an_async_streamed_response_is_one_span(
    async_client: openai.AsyncOpenAI, telemetry: Any
) -> None:
    async for _ in await async_client.responses.create(model=MODEL, input=telemetry.canary, stream=True):
        pass
    assert_responses(telemetry)
    telemetry.assert_content(INPUT, OUTPUT)


def test_a_parsed_response_is_one_span(client: openai.OpenAI, telemetry: Any) -> None:
    answer = client.responses.parse(model=MODEL, input=telemetry.canary, text_format=Said)
    assert telemetry.canary in answer.output_parsed.said
    assert_responses(telemetry)


async def test_an_async_parsed_response_is_one_span(async_client: openai.AsyncOpenAI, telemetry: Any) -> None:
    await async_client.responses.parse(model=MODEL, input=telemetry.canary, text_format=Said)
    assert_responses(telemetry)


def test_the_response_stream_helper_is_one_span(client: openai.OpenAI, telemetry: Any) -> None:
    with client.responses.stream(model=MODEL, input=telemetry.canary) as stream:
        for _ in stream:
            pass
        assert telemetry.canary in stream.get_final_response().output_text
    assert_responses(telemetry)
    telemetry.assert_content(INPUT, OUTPUT)


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_that_failed_without_raising_is_an_error(
    client: openai.OpenAI, telemetry: Any, stream: bool
) -> None:
    answer = client.responses.create(model="gpt-fails", input=telemetry.canary, stream=stream)
    if stream:
        list(answer)
    span = telemetry.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "server_error"
    assert span.attributes["gen_ai.usage.input_tokens"] == 19
    telemetry.assert_content(INPUT)


def test_a_failed_response_read_by_lines_is_an_error(client: openai.OpenAI, telemetry: Any) -> None:
    with client.responses.with_streaming_response.create(
        model="gpt-fails", input=telemetry.canary, stream=True
    ) as response:
        assert list(response.iter_lines())
    span = telemetry.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "server_error"
    assert span.attributes["gen_ai.usage.input_tokens"] == 19
    telemetry.assert_content(INPUT)


# text completions


@pytest.mark.parametrize("stream", [False, True])
def test_a_text_completion_is_one_span(client: openai.OpenAI, telemetry: Any, stream: bool) -> None:
    answer = client.completions.create(model="gpt-3.5-turbo-instruct", prompt=telemetry.canary, stream=stream)
    if stream:
        list(answer)
    span = telemetry.span()
    assert span.name == "text_completion gpt-3.5-turbo-instruct"
    assert span.attributes["gen_ai.response.finish_reasons"] == ("length",)
    if not stream:
        assert span.attributes["gen_ai.usage.output_tokens"] == 11
    telemetry.assert_content(INPUT, OUTPUT)


async def test_an_async_text_completion_is_one_span(async_client: openai.AsyncOpenAI, telemetry: Any) -> None:
    await async_client.completions.create(model="gpt-3.5-turbo-instruct", prompt=telemetry.canary)
    telemetry.assert_content(INPUT, OUTPUT)
    assert telemetry.span().attributes["gen_ai.operation.name"] == "text_completion"


# speech


def assert_speech(telemetry: Any, text: str, *, stream: bool) -> None:
    span = telemetry.span()
    assert span.name == "text_to_speech gpt-4o-mini-tts"
    assert span.attributes["otel_zdr.usage.characters"] == len(text)
    assert span.attributes["otel_zdr.product"] == "tts"
    assert span.attributes["otel_zdr.mode"] == ("streaming" if stream else "sync")
    assert span.attributes["gen_ai.output.type"] == "speech"
    assert span.attributes["gen_ai.request.id"] == "req_openai_1"
    assert not any(b"ID3" in wire for wire in [telemetry.wire()])


def test_speech_counts_its_characters(client: openai.OpenAI, telemetry: Any) -> None:
    text = f"say {telemetry.canary}"
    answer = client.audio.speech.create(
        model="gpt-4o-mini-tts", voice="alloy", input=text, instructions=f"as {telemetry.canary}"
    )
    assert answer.read().startswith(b"ID3")
    assert_speech(telemetry, text, stream=False)
    telemetry.assert_content(INPUT, SYSTEM)


async def test_async_speech_does_the_same(async_client: openai.AsyncOpenAI, telemetry: Any) -> None:
    text = f"say {telemetry.canary}"
    await async_client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input=text)
    assert_speech(telemetry, text, stream=False)
    telemetry.assert_content(INPUT)


def test_speech_streamed_as_bytes_ends_with_the_last_one(client: openai.OpenAI, telemetry: Any) -> None:
    text = f"say {telemetry.canary}"
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input=text
    ) as response:
        heard = b"".join(response.iter_bytes())
        assert len(telemetry.spans()) == 1
    assert heard.startswith(b"ID3")
    assert_speech(telemetry, text, stream=True)
    assert "gen_ai.response.time_to_first_chunk" in telemetry.span().attributes
    telemetry.assert_content(INPUT)


async def test_async_speech_streamed_as_bytes_can_be_left(
    async_client: openai.AsyncOpenAI, telemetry: Any
) -> None:
    text = f"say {telemetry.canary}"
    async with async_client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input=text
    ) as response:
        async for _ in response.iter_bytes(8):
            break
    assert_speech(telemetry, text, stream=True)
    assert telemetry.span().attributes["otel_zdr.response.end_reason"] == "interrupted"


def test_tokens_of_speech_events_are_counted(client: openai.OpenAI, telemetry: Any) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input=telemetry.canary, stream_format="sse"
    ) as response:
        response.read()
    assert telemetry.span().attributes["gen_ai.usage.input_tokens"] == 7
    assert telemetry.span().attributes["gen_ai.usage.output_tokens"] == 31


def test_speech_that_fails_is_an_error(client: openai.OpenAI, telemetry: Any, server: FakeServer) -> None:
    server.fail("/openai/*", status=500)
    with pytest.raises(openai.InternalServerError):
        client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input=telemetry.canary)
    assert telemetry.span().attributes["error.type"] == "InternalServerError"
    assert telemetry.span().attributes["otel_zdr.usage.characters"] == len(telemetry.canary)
    telemetry.assert_content(INPUT)


# transcriptions and translations


@pytest.mark.parametrize("resource", ["transcriptions", "translations"])
def test_a_transcription_counts_its_seconds(client: openai.OpenAI, telemetry: Any, resource: str) -> None:
    answer = getattr(client.audio, resource).create(
        model="whisper-1", file=audio(telemetry), prompt=f"hint {telemetry.canary}"
    )
    assert answer.text == telemetry.canary
    span = telemetry.span()
    assert span.name == "speech_to_text whisper-1"
    assert span.attributes["otel_zdr.product"] == "stt"
    assert span.attributes["otel_zdr.usage.audio_seconds"] == 3.0
    telemetry.assert_content(INPUT, OUTPUT)


@pytest.mark.parametrize("resource", ["transcriptions", "translations"])
async def test_an_async_transcription_does_the_same(
    async_client: openai.AsyncOpenAI, telemetry: Any, resource: str
) -> None:
    await getattr(async_client.audio, resource).create(model="whisper-1", file=audio(telemetry))
    assert telemetry.span().attributes["otel_zdr.usage.audio_seconds"] == 3.0
    telemetry.assert_content(OUTPUT)


def test_a_verbose_transcription_counts_its_duration(client: openai.OpenAI, telemetry: Any) -> None:
    client.audio.transcriptions.create(
        model="whisper-1", file=audio(telemetry), response_format="verbose_json"
    )
    assert telemetry.span().attributes["otel_zdr.usage.audio_seconds"] == 2.5
    telemetry.assert_content(OUTPUT)


def test_a_transcription_as_plain_text_stays_text(client: openai.OpenAI, telemetry: Any) -> None:
    answer = client.audio.transcriptions.create(
        model="whisper-1", file=audio(telemetry), response_format="text"
    )
    assert answer == telemetry.canary
    telemetry.assert_content(OUTPUT)


def test_a_streamed_transcription_counts_its_tokens(client: openai.OpenAI, telemetry: Any) -> None:
    events = list(
        client.audio.transcriptions.create(model="gpt-4o-transcribe", file=audio(telemetry), stream=True)
    )
    assert events[-1].text == telemetry.canary
    attributes = telemetry.span().attributes
    assert attributes["gen_ai.usage.input_tokens"] == 14
    assert attributes["gen_ai.usage.audio.input_tokens"] == 10
    assert attributes["gen_ai.usage.output_tokens"] == 45
    assert attributes["otel_zdr.mode"] == "streaming"
    telemetry.assert_content(OUTPUT)


async def test_an_async_streamed_transcription_can_be_closed(
    async_client: openai.AsyncOpenAI, telemetry: Any
) -> None:
    stream = await async_client.audio.transcriptions.create(
        model="gpt-4o-transcribe", file=audio(telemetry), stream=True
    )
    await stream.__anext__()
    await stream.close()
    assert telemetry.span().attributes["otel_zdr.response.end_reason"] == "interrupted"
    if telemetry.zdr:
        assert telemetry.canary.encode() not in telemetry.wire()


def test_a_file_is_sent_whole(client: openai.OpenAI, telemetry: Any, server: FakeServer) -> None:
    client.audio.transcriptions.create(model="whisper-1", file=audio(telemetry))
    assert telemetry.canary.encode() in server.requests[0].body
