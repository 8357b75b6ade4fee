"""Calls of the real groq client against a server on loopback, each under ZDR and not."""

from __future__ import annotations

import asyncio
import gc
import io
from collections.abc import Callable
from typing import Any

import groq
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from otel_zdr.instrumentation.groq import GroqInstrumentor
from tests.fakes.server import FakeServer

INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
MODEL = "llama-3.3-70b-versatile"


@pytest.fixture
def client(instrument: Callable[[Any], Any], server: FakeServer) -> groq.Groq:
    instrument(GroqInstrumentor)
    return groq.Groq(api_key="gsk-test", base_url=f"{server.url}/groq", max_retries=0)


@pytest.fixture
def async_client(instrument: Callable[[Any], Any], server: FakeServer) -> groq.AsyncGroq:
    instrument(GroqInstrumentor)
    return groq.AsyncGroq(api_key="gsk-test", base_url=f"{server.url}/groq", max_retries=0)


def asked(telemetry: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"user {telemetry.canary}"}]


def assert_chat(telemetry: Any, *, stream: bool) -> None:
    span = telemetry.span()
    assert span.kind is SpanKind.CLIENT
    assert span.name == f"chat {MODEL}"
    expected = {
        "gen_ai.provider.name": "groq",
        "gen_ai.response.id": "chatcmpl-g1",
        "gen_ai.response.model": MODEL,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 19,
        "gen_ai.usage.output_tokens": 11,
        "gen_ai.usage.cache_read.input_tokens": 5,
        "otel_zdr.product": "llm",
        "otel_zdr.mode": "streaming" if stream else "sync",
    }
    for key, value in expected.items():
        assert span.attributes[key] == value, key
    assert ("gen_ai.response.time_to_first_chunk" in span.attributes) is stream
    telemetry.assert_content(INPUT, OUTPUT)


def test_a_chat_is_one_span(client: groq.Groq, telemetry: Any) -> None:
    client.chat.completions.create(model=MODEL, messages=asked(telemetry))
    assert_chat(telemetry, stream=False)


async def test_an_async_chat_is_one_span(async_client: groq.AsyncGroq, telemetry: Any) -> None:
    await async_client.chat.completions.create(model=MODEL, messages=asked(telemetry))
    assert_chat(telemetry, stream=False)


def test_a_streamed_chat_counts_what_its_last_chunk_says(client: groq.Groq, telemetry: Any) -> None:
    stream = client.chat.completions.create(model=MODEL, messages=asked(telemetry), stream=True)
    assert isinstance(stream, groq.Stream)
    assert list(stream)
    assert_chat(telemetry, stream=True)
    assert telemetry.span().attributes["gen_ai.request.id"] == "req_groq_1"


async def test_an_async_streamed_chat_does_the_same(async_client: groq.AsyncGroq, telemetry: Any) -> None:
    stream = await async_client.chat.completions.create(model=MODEL, messages=asked(telemetry), stream=True)
    assert [chunk async for chunk in stream]
    assert_chat(telemetry, stream=True)


def test_a_raw_response_is_read_beside_the_application(client: groq.Groq, telemetry: Any) -> None:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=asked(telemetry))
    assert telemetry.canary in raw.parse().choices[0].message.content
    assert telemetry.span().attributes["gen_ai.usage.input_tokens"] == 19
    telemetry.assert_content(INPUT, OUTPUT)


def test_a_streaming_response_ends_when_its_body_was_read(client: groq.Groq, telemetry: Any) -> None:
    with client.chat.completions.with_streaming_response.create(
        model=MODEL, messages=asked(telemetry), stream=True
    ) as response:
        for _ in response.parse():
            pass
    assert_chat(telemetry, stream=True)


def test_an_error_passes_through_and_its_text_stays_in(
    client: groq.Groq, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/groq/*", status=400)
    with pytest.raises(groq.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=asked(telemetry))
    assert telemetry.canary in str(caught.value)
    assert telemetry.span().status.status_code is StatusCode.ERROR
    assert telemetry.span().attributes["error.type"] == "BadRequestError"
    telemetry.assert_content(INPUT)


def test_a_stream_can_be_left_closed_and_dropped(client: groq.Groq, telemetry: Any) -> None:
    def start() -> Any:
        return client.chat.completions.create(model=MODEL, messages=asked(telemetry), stream=True)

    for _ in start():
        break
    assert len(telemetry.spans()) == 1
    with start() as stream:
        next(stream)
    assert len(telemetry.spans()) == 2
    stream = start()
    del stream
    gc.collect()
    assert len(telemetry.spans()) == 3


async def test_cancelling_a_stream_ends_the_span(
    async_client: groq.AsyncGroq, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/groq/*", delay=5)

    async def read() -> None:
        async for _ in await async_client.chat.completions.create(
            model=MODEL, messages=asked(telemetry), stream=True
        ):
            pass

    task = asyncio.create_task(read())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert telemetry.span().attributes["error.type"] == "CancelledError"


@pytest.mark.parametrize("resource", ["transcriptions", "translations"])
def test_a_transcription_counts_its_seconds(client: groq.Groq, telemetry: Any, resource: str) -> None:
    getattr(client.audio, resource).create(
        model="whisper-large-v3",
        file=("speech.wav", io.BytesIO(telemetry.canary.encode())),
        response_format="verbose_json",
        prompt=f"hint {telemetry.canary}",
    )
    span = telemetry.span()
    assert span.name == "speech_to_text whisper-large-v3"
    assert span.attributes["otel_zdr.usage.audio_seconds"] == 2.5
    assert span.attributes["otel_zdr.product"] == "stt"
    assert span.attributes["gen_ai.request.id"] == "req_groq_1"
    telemetry.assert_content(INPUT, OUTPUT)


async def test_an_async_transcription_does_the_same(async_client: groq.AsyncGroq, telemetry: Any) -> None:
    await async_client.audio.transcriptions.create(
        model="whisper-large-v3", file=("speech.wav", io.BytesIO(telemetry.canary.encode()))
    )
    assert telemetry.span().name == "speech_to_text whisper-large-v3"
    telemetry.assert_content(OUTPUT)


def test_speech_counts_its_characters(client: groq.Groq, telemetry: Any) -> None:
    answer = client.audio.speech.create(model="playai-tts", voice="Fritz-PlayAI", input=telemetry.canary)
    assert answer.read().startswith(b"ID3")
    span = telemetry.span()
    assert span.name == "text_to_speech playai-tts"
    assert span.attributes["otel_zdr.usage.characters"] == len(telemetry.canary)
    telemetry.assert_content(INPUT)


async def test_async_speech_is_one_span(async_client: groq.AsyncGroq, telemetry: Any) -> None:
    async with async_client.audio.speech.with_streaming_response.create(
        model="playai-tts", voice="Fritz-PlayAI", input=telemetry.canary
    ) as response:
        assert [part async for part in response.iter_bytes()]
    assert telemetry.span().attributes["otel_zdr.usage.characters"] == len(telemetry.canary)
    telemetry.assert_content(INPUT)
