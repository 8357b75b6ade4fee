"""Inworld over plain HTTP libraries, each endpoint with each of them, under ZDR and not."""

from __future__ import annotations

import asyncio
import base64
import gc
import inspect
import json
import pickle
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx
import pytest
import requests
from opentelemetry.context import attach, detach, set_value
from opentelemetry.trace import SpanKind, StatusCode

from otel_zdr.instrumentation._patch import Patches
from otel_zdr.instrumentation.transports import InworldTransportInstrumentor
from otel_zdr.instrumentation.transports._bodies import reading
from tests.fakes.server import FakeServer
from tests.instrumentation.http_clients import ASYNC_CLIENTS, CLIENTS, KEY

INPUT, OUTPUT, SYSTEM = "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions"
VOICE = "workspace-1__narrator"
STT_MODELS = {
    "inworld/inworld-stt-1": "inworld",
    "assemblyai/universal-streaming": "assemblyai",
    "groq/whisper-large-v3": "groq",
    "soniox/stt-rt-v4": "soniox",
    "soniox/stt-rt-v5": "soniox",
    "deepgram/flux-general-en": "deepgram",
    "deepgram/flux-general-multi": "deepgram",
}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, on: None) -> Any:
    return CLIENTS[request.param]()


@pytest.fixture(params=ASYNC_CLIENTS)
def async_client(request: pytest.FixtureRequest, on: None) -> Any:
    return CLIENTS[request.param]()


@pytest.fixture
def on(
    server: FakeServer,
    telemetry: Any,
    monkeypatch: pytest.MonkeyPatch,
    instrument: Callable[[Any], Any],
) -> None:
    monkeypatch.setenv("OTEL_ZDR_INWORLD_HOSTS", server.host)
    instrument(InworldTransportInstrumentor)


def speech(telemetry: Any, **more: Any) -> dict[str, Any]:
    return {
        "text": f"say {telemetry.canary}",
        "voiceId": VOICE,
        "modelId": "inworld-tts-2",
        "instruction": f"like {telemetry.canary}",
        "synthesisContext": {"previousRequests": [{"text": f"before {telemetry.canary}"}]},
        **more,
    }


def assert_call(
    telemetry: Any, expected: dict[str, Any], *, name: str, status: StatusCode = StatusCode.UNSET
) -> Any:
    span = telemetry.span()
    assert span.kind is SpanKind.CLIENT
    assert span.name == name
    assert span.status.status_code is status
    found = dict(span.attributes)
    assert {key: found.get(key) for key in expected} == expected
    assert found["server.address"] == "127.0.0.1"
    assert KEY.encode() not in telemetry.wire()
    return span


# text to speech


async def test_a_synthesis_is_one_span_with_the_characters_billed(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    body = speech(telemetry)
    status, answer = await client.send("POST", f"{server.url}/tts/v1/voice", body)
    assert status == 200
    assert json.loads(answer)["usage"]["processedCharactersCount"] == len(body["text"])
    expected = {
        "gen_ai.operation.name": "text_to_speech",
        "gen_ai.provider.name": "inworld",
        "gen_ai.request.model": "inworld-tts-2",
        "gen_ai.response.model": "inworld-tts-2",
        "gen_ai.output.type": "speech",
        "otel_zdr.usage.characters": len(body["text"]),
        "otel_zdr.product": "tts",
        "otel_zdr.mode": "sync",
        "otel_zdr.request.stream": False,
    }
    span = assert_call(telemetry, expected, name="text_to_speech inworld-tts-2")
    assert span.attributes["gen_ai.request.id"].startswith("req-")
    telemetry.assert_content(INPUT, SYSTEM)
    assert len(server.requests) == 1
    assert server.requests[0].json == body


async def test_a_streamed_synthesis_sums_the_characters_of_its_lines(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    body = speech(telemetry, timestampType="WORD")
    async with client.stream(f"{server.url}/tts/v1/voice:stream", body) as lines:
        got = [json.loads(line) async for line in lines if line]
    assert len(got) == 3
    expected = {
        "otel_zdr.usage.characters": len(body["text"]),
        "otel_zdr.mode": "streaming",
        "otel_zdr.request.stream": True,
        "gen_ai.response.model": "inworld-tts-2",
        "otel_zdr.response.end_reason": None,
    }
    span = assert_call(telemetry, expected, name="text_to_speech inworld-tts-2")
    assert 0 < span.attributes["gen_ai.response.time_to_first_chunk"] < 10
    telemetry.assert_content(INPUT, SYSTEM)


async def test_a_stream_left_early_ends_its_span(client: Any, server: FakeServer, telemetry: Any) -> None:
    server.fail("/tts/*", delay=0.05)
    async with client.stream(f"{server.url}/tts/v1/voice:stream", speech(telemetry)) as lines:
        async for _ in lines:
            break
        await lines.aclose()
    gc.collect()
    assert_call(
        telemetry, {"otel_zdr.response.end_reason": "interrupted"}, name="text_to_speech inworld-tts-2"
    )
    telemetry.assert_content(INPUT)


async def test_a_connection_cut_in_the_middle_of_a_stream_is_an_error(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    server.fail("/tts/*", drop_after=1)

    async def read() -> None:
        async with client.stream(f"{server.url}/tts/v1/voice:stream", speech(telemetry)) as lines:
            async for _ in lines:
                pass

    with pytest.raises(Exception) as caught:
        await read()
    span = assert_call(telemetry, {}, name="text_to_speech inworld-tts-2", status=StatusCode.ERROR)
    # requests turns its library's error into its own above the place where bodies are read
    assert span.attributes["error.type"] in (type(caught.value).__name__, "ProtocolError")
    telemetry.assert_content(INPUT)


async def test_an_error_status_is_an_error_without_the_text_that_echoes_the_request(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    server.fail("/tts/*", status=400)
    status, answer = await client.send("POST", f"{server.url}/tts/v1/voice", speech(telemetry))
    assert status == 400
    assert telemetry.canary.encode() in answer
    expected = {"error.type": "400", "http.response.status_code": 400}
    assert_call(telemetry, expected, name="text_to_speech inworld-tts-2", status=StatusCode.ERROR)
    telemetry.assert_content(INPUT)


async def test_a_connection_cut_before_the_answer_is_an_error(
    client: Any, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/tts/*", drop_after=0)
    with pytest.raises(Exception):
        await client.send("POST", f"{server.url}/tts/v1/voice", speech(telemetry))
    assert telemetry.span().status.status_code is StatusCode.ERROR
    telemetry.assert_content(INPUT)


async def test_a_cancelled_request_ends_its_span(
    async_client: Any, server: FakeServer, telemetry: Any
) -> None:
    server.fail("/tts/*", delay=30)
    task = asyncio.create_task(async_client.send("POST", f"{server.url}/tts/v1/voice", speech(telemetry)))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    expected = {"error.type": "CancelledError", "otel_zdr.response.end_reason": "cancelled"}
    assert_call(telemetry, expected, name="text_to_speech inworld-tts-2", status=StatusCode.ERROR)
    telemetry.assert_content(INPUT)


async def test_a_cancelled_stream_ends_its_span(
    async_client: Any, server: FakeServer, telemetry: Any
) -> None:
    server.fail("/tts/*", delay=0.2)
    seen = asyncio.Event()

    async def read() -> None:
        async with async_client.stream(f"{server.url}/tts/v1/voice:stream", speech(telemetry)) as lines:
            async for _ in lines:
                seen.set()

    task = asyncio.create_task(read())
    await asyncio.wait_for(seen.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_call(
        telemetry,
        {"otel_zdr.response.end_reason": "cancelled"},
        name="text_to_speech inworld-tts-2",
        status=StatusCode.ERROR,
    )


async def test_characters_are_counted_where_the_answer_counts_none(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    body = {"model": "inworld-tts-2", "input": f"say {telemetry.canary}", "voice": "narrator"}
    status, audio = await client.send("POST", f"{server.url}/v1/audio/speech", body)
    assert status == 200
    assert len(audio) == 3 * 2048
    expected = {"otel_zdr.usage.characters": len(body["input"]), "otel_zdr.product": "tts"}
    assert_call(telemetry, expected, name="text_to_speech inworld-tts-2")
    telemetry.assert_content(INPUT)


async def test_speech_events_carry_tokens(client: Any, server: FakeServer, telemetry: Any) -> None:
    body = {
        "model": "auto",
        "input": telemetry.canary,
        "instructions": telemetry.canary,
        "stream_format": "sse",
    }
    async with client.stream(f"{server.url}/v1/audio/speech", body) as lines:
        assert [line async for line in lines if line]
    expected = {
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        "otel_zdr.mode": "streaming",
    }
    assert_call(telemetry, expected, name="text_to_speech auto")
    telemetry.assert_content(INPUT, SYSTEM)


# voices


async def test_making_voices_is_a_span_each(client: Any, server: FakeServer, telemetry: Any) -> None:
    sample = {"audioData": "AAAA" * 1000, "transcription": f"heard {telemetry.canary}"}
    voices = f"{server.url}/voices/v1/voices"
    named = {"displayName": telemetry.canary, "description": telemetry.canary, "langCode": "EN_US"}
    await client.send("POST", f"{voices}:clone", {**named, "voiceSamples": [sample]})
    design = {
        "designPrompt": telemetry.canary,
        "previewText": telemetry.canary,
        "langCode": "EN_US",
        "voiceDesignConfig": {"numberOfSamples": 1},
    }
    await client.send("POST", f"{voices}:design", design)
    await client.send("POST", f"{voices}/{VOICE}:publish", named)
    await client.send("PATCH", f"{voices}/{VOICE}", named)
    assert [(span.name, span.attributes["otel_zdr.product"]) for span in telemetry.spans()] == [
        ("clone_voice", "voice_cloning"),
        ("design_voice", "voice_design"),
        ("publish_voice", "voice_design"),
        ("update_voice", "voice_design"),
    ]
    telemetry.assert_content(INPUT, OUTPUT)


# speech to text


def recording(telemetry: Any, model: str = "groq/whisper-large-v3", **config: Any) -> dict[str, Any]:
    audio = base64.b64encode(telemetry.canary.encode()).decode()
    return {
        "transcribeConfig": {"modelId": model, "prompts": [f"prompt {telemetry.canary}"], **config},
        "audioData": {"content": audio},
    }


@pytest.mark.parametrize(("model", "upstream"), STT_MODELS.items())
async def test_a_transcription_names_its_model_and_provider(
    on: None, model: str, upstream: str, server: FakeServer, telemetry: Any
) -> None:
    status, answer = await CLIENTS["httpx"]().send(
        "POST", f"{server.url}/stt/v1/transcribe", recording(telemetry, model)
    )
    assert status == 200
    assert json.loads(answer)["transcription"]["transcript"] == telemetry.canary
    expected = {
        "gen_ai.operation.name": "speech_to_text",
        "gen_ai.provider.name": "inworld",
        "otel_zdr.provider": upstream,
        "gen_ai.request.model": model,
        "gen_ai.response.model": model,
        "otel_zdr.usage.audio_seconds": 1.5,
        "otel_zdr.product": "stt",
        "otel_zdr.mode": "sync",
    }
    assert_call(telemetry, expected, name=f"speech_to_text {model}")
    telemetry.assert_content(INPUT, OUTPUT)


async def test_every_client_tells_the_audio_transcribed(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    await client.send("POST", f"{server.url}/stt/v1/transcribe", recording(telemetry))
    assert_call(telemetry, {"otel_zdr.usage.audio_seconds": 1.5}, name="speech_to_text groq/whisper-large-v3")
    telemetry.assert_content(INPUT, OUTPUT)


async def test_snake_case_is_understood(on: None, server: FakeServer, telemetry: Any) -> None:
    body = recording(telemetry)
    config = body["transcribeConfig"]
    snake = {
        "transcribe_config": {"model_id": config["modelId"], "prompts": config["prompts"]},
        "audio_data": body["audioData"],
    }
    await CLIENTS["requests"]().send("POST", f"{server.url}/stt/v1/transcribe", snake)
    expected = {"gen_ai.request.model": "groq/whisper-large-v3", "otel_zdr.usage.audio_seconds": 1.5}
    assert_call(telemetry, expected, name="speech_to_text groq/whisper-large-v3")
    telemetry.assert_content(INPUT, OUTPUT)


async def test_a_job_is_a_span_when_accepted_and_a_span_with_usage_when_done(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    body = recording(telemetry, "soniox/stt-rt-v5")
    _, answer = await client.send("POST", f"{server.url}/stt/v1/transcribe:async", body)
    operation = json.loads(answer)
    assert len(telemetry.spans()) == 1
    while not operation["done"]:
        _, answer = await client.send("GET", f"{server.url}/lro/v1alpha/{operation['name']}")
        operation = json.loads(answer)
    # asked again, a job that is done is not counted again
    await client.send("GET", f"{server.url}/lro/v1alpha/{operation['name']}")
    submitted, done = telemetry.spans()
    for span in (submitted, done):
        assert span.name == "speech_to_text soniox/stt-rt-v5"
        assert span.attributes["gen_ai.response.id"] == operation["name"]
        assert span.attributes["otel_zdr.product"] == "stt"
    assert "otel_zdr.usage.audio_seconds" not in submitted.attributes
    assert done.attributes["otel_zdr.usage.audio_seconds"] == 1.5
    wire = telemetry.wire()
    assert b"X-Signature" not in wire
    assert b"storage.example" not in wire
    assert body["audioData"]["content"].encode() not in wire
    telemetry.assert_content(INPUT)


# router

MODELS = {"inworld/fast": "inworld", "auto": "openai", "anthropic/claude-x": "anthropic"}
TOKENS = {
    "gen_ai.usage.input_tokens": 11,
    "gen_ai.usage.output_tokens": 7,
    "gen_ai.usage.cache_read.input_tokens": 3,
}


def chat(telemetry: Any, model: str = "auto", **more: Any) -> dict[str, Any]:
    messages = [
        {"role": "system", "content": f"system {telemetry.canary}"},
        {"role": "user", "content": f"user {telemetry.canary}"},
    ]
    tools = [{"type": "function", "function": {"name": "look_up", "description": telemetry.canary}}]
    return {"model": model, "messages": messages, "tools": tools, "temperature": 0.5, **more}


@pytest.mark.parametrize(("model", "provider"), MODELS.items())
async def test_the_answer_tells_whether_a_hosted_model_or_a_third_party_served(
    on: None, model: str, provider: str, server: FakeServer, telemetry: Any
) -> None:
    await CLIENTS["httpx"]().send("POST", f"{server.url}/v1/chat/completions", chat(telemetry, model))
    expected = {
        "gen_ai.provider.name": provider,
        "otel_zdr.provider": provider,
        "gen_ai.request.model": model,
    }
    assert_call(telemetry, expected, name=f"chat {model}")


async def test_a_chat_is_one_span_with_its_tokens(client: Any, server: FakeServer, telemetry: Any) -> None:
    await client.send("POST", f"{server.url}/v1/chat/completions", chat(telemetry))
    expected = {
        **TOKENS,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.request.temperature": 0.5,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "otel_zdr.product": "llm",
        "otel_zdr.mode": "sync",
    }
    span = assert_call(telemetry, expected, name="chat auto")
    assert span.attributes["gen_ai.response.id"].startswith("chatcmpl-")
    telemetry.assert_content(INPUT, OUTPUT, "gen_ai.tool.definitions")


async def test_a_streamed_chat_is_one_span_with_its_tokens(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    body = chat(telemetry, stream=True, stream_options={"include_usage": True})
    async with client.stream(f"{server.url}/v1/chat/completions", body) as lines:
        got = [line async for line in lines if line]
    assert got[-1] == b"data: [DONE]"
    expected = {
        **TOKENS,
        "gen_ai.provider.name": "openai",
        "gen_ai.response.finish_reasons": ("stop",),
        "otel_zdr.mode": "streaming",
    }
    span = assert_call(telemetry, expected, name="chat auto")
    assert span.attributes["gen_ai.response.time_to_first_chunk"] > 0
    telemetry.assert_content(INPUT, OUTPUT)
    assert server.requests[0].json == body


@pytest.mark.parametrize("stream", [False, True])
async def test_responses_is_one_span_with_its_tokens(
    client: Any, stream: bool, server: FakeServer, telemetry: Any
) -> None:
    body = {
        "model": "inworld/fast",
        "input": f"user {telemetry.canary}",
        "instructions": f"system {telemetry.canary}",
        "stream": stream,
    }
    async with client.stream(f"{server.url}/v1/responses", body) as lines:
        assert [line async for line in lines if line]
    assert_call(telemetry, {**TOKENS, "gen_ai.provider.name": "inworld"}, name="chat inworld/fast")
    telemetry.assert_content(INPUT, OUTPUT, SYSTEM)


@pytest.mark.parametrize("stream", [False, True])
async def test_messages_is_one_span_with_its_tokens(
    client: Any, stream: bool, server: FakeServer, telemetry: Any
) -> None:
    body = {
        "model": "anthropic/claude-x",
        "system": f"system {telemetry.canary}",
        "messages": [{"role": "user", "content": [{"type": "text", "text": telemetry.canary}]}],
        "max_tokens": 100,
        "stream": stream,
    }
    async with client.stream(f"{server.url}/v1/messages", body) as lines:
        assert [line async for line in lines if line]
    expected = {
        **TOKENS,
        "gen_ai.usage.cache_creation.input_tokens": 2,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.provider.name": "anthropic",
    }
    assert_call(telemetry, expected, name="chat anthropic/claude-x")
    telemetry.assert_content(INPUT, OUTPUT, SYSTEM)


# manners


async def test_other_hosts_and_paths_make_no_span(
    client: Any, server: FakeServer, telemetry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.send("GET", f"{server.url}/voices/v1/voices")
    other = server.url.replace("127.0.0.1", "localhost")
    await client.send("POST", f"{other}/tts/v1/voice", speech(telemetry))
    assert telemetry.spans() == []


async def test_a_suppressed_call_makes_no_span(client: Any, server: FakeServer, telemetry: Any) -> None:
    token = attach(set_value("suppress_instrumentation", True))
    try:
        await client.send("POST", f"{server.url}/tts/v1/voice", speech(telemetry))
    finally:
        detach(token)
    assert telemetry.spans() == []


async def test_a_call_that_another_instrumentor_covers_makes_no_second_span(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    tracer = telemetry.tracer_provider.get_tracer("another")
    attributes = {"gen_ai.operation.name": "chat"}
    with tracer.start_as_current_span("chat auto", kind=SpanKind.CLIENT, attributes=attributes):
        await client.send("POST", f"{server.url}/v1/chat/completions", chat(telemetry))
    assert telemetry.span().name == "chat auto"
    assert "gen_ai.usage.input_tokens" not in telemetry.span().attributes
    with tracer.start_as_current_span("agent", attributes={"gen_ai.operation.name": "invoke_agent"}):
        await client.send("POST", f"{server.url}/v1/chat/completions", chat(telemetry))
    assert len(telemetry.spans()) == 3


async def test_a_call_is_a_child_of_the_span_it_was_made_in(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    tracer = telemetry.tracer_provider.get_tracer("application")
    with tracer.start_as_current_span("work") as work:
        await client.send("POST", f"{server.url}/tts/v1/voice", speech(telemetry))
    call = telemetry.spans()[0]
    assert call.parent is not None
    assert call.parent.span_id == work.get_span_context().span_id


def test_a_response_that_is_dropped_ends_its_span(on: None, server: FakeServer, telemetry: Any) -> None:
    response = requests.post(
        f"{server.url}/tts/v1/voice:stream", json=speech(telemetry), stream=True, timeout=5
    )
    assert telemetry.spans() == []
    del response
    gc.collect()
    telemetry.tracer_provider.get_tracer("any")
    requests.get(f"{server.url}/nothing", timeout=5)
    assert_call(telemetry, {"otel_zdr.response.end_reason": "abandoned"}, name="text_to_speech inworld-tts-2")


async def test_methods_that_outlive_the_response_keep_it(
    on: None, server: FakeServer, telemetry: Any
) -> None:
    # As a streaming proxy does: `StreamingResponse(response.aiter_raw(), background=BackgroundTask(response.aclose))`.
    url = f"{server.url}/tts/v1/voice:stream"
    read = {}
    async with httpx.AsyncClient() as client:
        request = client.build_request("POST", url, json=speech(telemetry))
        response = await client.send(request, stream=True)
        assert inspect.iscoroutinefunction(response.aclose)
        pieces, aclose = response.aiter_raw(), response.aclose
        del response
        read["httpx, async"] = b"".join([piece async for piece in pieces])
        del pieces
        await aclose()
    with httpx.Client() as client:
        response = client.send(client.build_request("POST", url, json=speech(telemetry)), stream=True)
        iterate, close = response.iter_bytes, response.close
        del response
        read["httpx"] = b"".join(iterate())
        close()
    response = requests.post(url, json=speech(telemetry), stream=True, timeout=5)
    iterate, close = response.iter_content, response.close
    del response
    read["requests"] = b"".join(iterate(None))
    close()
    async with aiohttp.ClientSession() as session:
        response = await session.post(url, json=speech(telemetry))
        content, release = response.content, response.release
        del response
        read["aiohttp"] = await content.read()
        release()
    assert {name: data.count(b"\n") for name, data in read.items()} == dict.fromkeys(read, 3)
    found = [span.attributes for span in telemetry.spans()]
    assert [attributes.get("otel_zdr.response.end_reason") for attributes in found] == [None] * 4
    assert len({attributes["otel_zdr.usage.characters"] for attributes in found}) == 1


def test_an_observed_response_can_be_pickled(on: None, server: FakeServer, telemetry: Any) -> None:
    url = f"{server.url}/tts/v1/voice:stream"
    with httpx.Client() as client:
        response = client.send(client.build_request("POST", url, json=speech(telemetry)), stream=True)
        content = response.read()
    again = pickle.loads(pickle.dumps(response))
    assert again.content == content
    again.close()


def test_a_large_chunk_size_loses_no_usage(on: None, server: FakeServer, telemetry: Any) -> None:
    body = speech(telemetry)
    with httpx.stream("POST", f"{server.url}/tts/v1/voice:stream", json=body) as response:
        assert len(list(response.iter_bytes(chunk_size=1 << 20))) == 1
    expected = {"otel_zdr.usage.characters": len(body["text"]), "otel_zdr.response.end_reason": None}
    assert_call(telemetry, expected, name="text_to_speech inworld-tts-2")


def test_a_streamed_response_can_be_read_raw(on: None, server: FakeServer, telemetry: Any) -> None:
    body = speech(telemetry)
    with httpx.stream("POST", f"{server.url}/tts/v1/voice:stream", json=body) as response:
        assert b"".join(response.iter_raw()).count(b"\n") == 3
    assert_call(
        telemetry, {"otel_zdr.usage.characters": len(body["text"])}, name="text_to_speech inworld-tts-2"
    )


def test_uninstrumenting_brings_the_libraries_back(
    server: FakeServer, telemetry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_ZDR_INWORLD_HOSTS", server.host)
    before = requests.Session.__dict__["send"], httpx.Client.__dict__["send"]
    instrumentor = InworldTransportInstrumentor()
    read = httpx.Response.__dict__["iter_bytes"]
    instrumentor.instrument(**telemetry.providers)
    assert requests.Session.__dict__["send"] is not before[0]
    with httpx.stream("POST", f"{server.url}/tts/v1/voice:stream", json=speech(telemetry)) as response:
        response.read()
    assert httpx.Response.__dict__["iter_bytes"] is not read
    assert len(telemetry.spans()) == 1
    instrumentor.uninstrument()
    assert (requests.Session.__dict__["send"], httpx.Client.__dict__["send"]) == before
    assert httpx.Response.__dict__["iter_bytes"] is read
    requests.post(f"{server.url}/tts/v1/voice", json=speech(telemetry), timeout=5)
    assert len(telemetry.spans()) == 1


def test_methods_that_two_instrumentors_need_are_wrapped_once_and_for_either() -> None:
    original = requests.Response.__dict__["iter_content"]
    first, second = Patches(), Patches()
    first.wrap_method(requests.Response, "iter_content", reading)
    wrapped = requests.Response.__dict__["iter_content"]
    second.wrap_method(requests.Response, "iter_content", reading)
    assert requests.Response.__dict__["iter_content"] is wrapped is not original
    first.remove()
    second.wrap_method(requests.Response, "iter_content", reading)
    assert requests.Response.__dict__["iter_content"] is not original
    second.remove()
    assert requests.Response.__dict__["iter_content"] is original


async def test_an_upload_in_parts_tells_its_model(on: None, server: FakeServer, telemetry: Any) -> None:
    config = json.dumps({"modelId": "inworld/inworld-stt-1"})
    server.fail("/stt/*", status=400)  # the fake reads JSON only
    with httpx.Client() as client:
        files = {"transcribeConfig": (None, config, "application/json"), "file": ("a.wav", telemetry.canary)}
        body = httpx.Request("POST", server.url, files=files).read()
        kind = {"Content-Type": f"multipart/form-data; boundary={body[2:34].decode()}"}
        client.post(f"{server.url}/stt/v1/transcribe:async", content=body, headers=kind)
    assert telemetry.span().name == "speech_to_text inworld/inworld-stt-1"
    assert telemetry.canary.encode() not in telemetry.wire()


ODD = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe\x00",
    b"{" * 100_000,
    b'{"usage": []}',
    b'{"usage": {"processedCharactersCount": "many", "transcribedAudioMs": -1, "modelId": {}}}',
    b'{"choices": 7, "output": {}, "content": 3, "metadata": {"attempts": [null, 1, {}]}, "usage": "x"}',
    b'{"audioSamplesValidated": 3, "previewVoices": [4], "done": true, "error": [], "name": []}',
    b'data: {"type": "message_start", "message": 3}\n\ndata: {"choices": [1, null]}\ndata: {"response": 1}\n',
    b'{"text": "' + b'\\"' * 200_000,
]


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("answer", ODD, ids=range(len(ODD)))
def test_an_answer_of_any_shape_reaches_the_application_as_it_is(
    on: None, answer: bytes, kind: str, server: FakeServer, telemetry: Any
) -> None:
    paths = ("/tts/v1/voice", "/tts/v1/voice:stream", "/stt/v1/transcribe", "/stt/v1/transcribe:async")
    paths += (
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/audio/speech",
        "/voices/v1/voices:clone",
    )
    headers = {"Content-Type": kind}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=answer, headers=headers))
    with httpx.Client(transport=transport) as client:
        for path in paths:
            assert client.post(f"{server.url}{path}", content=answer).content == answer
            with client.stream("POST", f"{server.url}{path}", content=answer) as response:
                assert b"".join(response.iter_bytes(7000)) == answer
        assert client.get(f"{server.url}/lro/v1alpha/operations/x").content == answer
    assert len([span for span in telemetry.spans() if span.end_time]) >= 2 * len(paths)
