"""Calls of the real inworld-tts client against a server on loopback, each under ZDR and not."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from collections.abc import Callable
from typing import Any

import inworld_tts
import pytest
import requests
from opentelemetry.trace import SpanKind, StatusCode

from otel_zdr.instrumentation.inworld import InworldInstrumentor
from otel_zdr.instrumentation.transports import InworldTransportInstrumentor
from tests.fakes.server import FakeServer

INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
KEY = "the-api-key-of-the-client"
VOICE = "workspace-1__narrator"


@pytest.fixture(params=["alone", "with transports"])
def client(
    request: pytest.FixtureRequest,
    server: FakeServer,
    telemetry: Any,
    instrument: Callable[[Any], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    monkeypatch.setenv("OTEL_ZDR_INWORLD_HOSTS", server.host)
    instrument(InworldInstrumentor)
    if request.param == "with transports":
        instrument(InworldTransportInstrumentor)
    return inworld_tts.InworldTTS(api_key=KEY, base_url=server.url, max_retries=0)


def assert_call(telemetry: Any, name: str, status: StatusCode = StatusCode.UNSET, **expected: Any) -> Any:
    span = telemetry.span()
    assert (span.name, span.kind, span.status.status_code) == (name, SpanKind.CLIENT, status)
    assert span.attributes["gen_ai.provider.name"] == "inworld"
    assert span.attributes["server.address"] == "127.0.0.1"
    found = {key: span.attributes.get(key) for key in expected}
    assert found == expected
    assert KEY.encode() not in telemetry.wire()
    return span


SPEECH = "text_to_speech inworld-tts-2"
CHARACTERS = "otel_zdr.usage.characters"
REASON = "otel_zdr.response.end_reason"


def test_generate_is_one_span_with_the_characters_billed(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    text = f"héllo {telemetry.canary}"
    audio = client.generate(text, voice=VOICE, model="inworld-tts-2")
    assert type(audio) is bytes
    assert len(audio) == 2048
    expected = {
        "gen_ai.operation.name": "text_to_speech",
        "gen_ai.request.model": "inworld-tts-2",
        "gen_ai.response.model": "inworld-tts-2",
        "otel_zdr.product": "tts",
        "otel_zdr.mode": "sync",
        CHARACTERS: len(text),
    }
    span = assert_call(telemetry, SPEECH, **expected)
    assert span.attributes["gen_ai.request.id"].startswith("req-")
    telemetry.assert_content(INPUT)
    assert len(server.requests) == 1


def test_the_default_model_is_named(client: Any, telemetry: Any) -> None:
    client.generate("hello", voice="Dennis")
    assert telemetry.span().name == "text_to_speech inworld-tts-1.5-max"


async def test_the_default_model_of_a_stream_is_named(client: Any, telemetry: Any) -> None:
    async for _ in client.stream("hello", voice="Dennis"):
        pass
    assert telemetry.span().name == "text_to_speech inworld-tts-1.5-mini"


def test_long_text_is_one_span_that_sums_its_requests(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    text = f"A sentence with {telemetry.canary} in it. " * 100
    client.generate(text, voice=VOICE, model="inworld-tts-2", encoding="MP3")
    assert len(server.requests) > 1
    sent = sum(len(request.json["text"]) for request in server.requests)
    assert_call(telemetry, SPEECH, **{CHARACTERS: sent})
    telemetry.assert_content(INPUT)


def test_calls_of_several_threads_do_not_mix(client: Any, server: FakeServer, telemetry: Any) -> None:
    def speak(length: int) -> None:
        client.generate("x" * length, voice=VOICE, model=f"model-{length}")

    threads = [threading.Thread(target=speak, args=(length,)) for length in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    counted = {
        span.attributes["gen_ai.request.model"]: span.attributes[CHARACTERS] for span in telemetry.spans()
    }
    assert counted == {f"model-{length}": length for length in range(1, 9)}


def test_generate_with_timestamps_keeps_the_words_in(client: Any, telemetry: Any) -> None:
    text = f"the words {telemetry.canary}"
    result = client.generate_with_timestamps(text, voice=VOICE, model="inworld-tts-2", timestamp_type="WORD")
    assert result["timestamps"]["wordAlignment"]["words"] == text.split()
    assert_call(telemetry, SPEECH, **{CHARACTERS: len(text)})
    telemetry.assert_content(INPUT)


@pytest.mark.parametrize("method", ["stream", "stream_with_timestamps"])
async def test_a_stream_is_one_span_from_its_first_request_to_its_last_chunk(
    method: str, client: Any, server: FakeServer, telemetry: Any
) -> None:
    text = f"streamed {telemetry.canary}"
    more = {"timestamp_type": "WORD"} if method == "stream_with_timestamps" else {}
    stream = getattr(client, method)(text, voice=VOICE, model="inworld-tts-2", **more)
    assert inspect.isasyncgen(stream)
    assert server.requests == []
    chunks = [chunk async for chunk in stream]
    assert len(chunks) == 3
    expected = {
        "otel_zdr.mode": "streaming",
        "otel_zdr.request.stream": True,
        "gen_ai.response.model": "inworld-tts-2",
        CHARACTERS: len(text),
        REASON: None,
    }
    span = assert_call(telemetry, SPEECH, **expected)
    assert span.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert span.attributes["gen_ai.request.id"].startswith("req-")
    telemetry.assert_content(INPUT)


async def test_a_stream_that_is_never_iterated_makes_no_span(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    stream = client.stream("hello", voice=VOICE)
    await stream.aclose()
    assert telemetry.spans() == []
    assert server.requests == []


async def test_a_stream_left_early_is_interrupted_and_counts_what_was_sent(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    server.fail("/tts/*", delay=0.05)
    text = f"streamed {telemetry.canary}"
    stream = client.stream(text, voice=VOICE, model="inworld-tts-2")
    async for _ in stream:
        break
    await stream.aclose()
    span = assert_call(telemetry, SPEECH, **{REASON: "interrupted"})
    assert span.attributes[CHARACTERS] > 0
    telemetry.assert_content(INPUT)


async def test_a_stream_that_is_dropped_ends_its_span(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    stream = client.stream(telemetry.canary, voice=VOICE, model="inworld-tts-2")
    async for _ in stream:
        break
    del stream
    gc.collect()
    await asyncio.sleep(0.1)
    assert_call(telemetry, SPEECH, **{REASON: "interrupted"})
    telemetry.assert_content(INPUT)


async def test_a_cancelled_stream_ends_with_its_task(client: Any, server: FakeServer, telemetry: Any) -> None:
    server.fail("/tts/*", delay=0.3)

    async def listen() -> None:
        async for _ in client.stream(telemetry.canary, voice=VOICE, model="inworld-tts-2"):
            pass

    task = asyncio.create_task(listen())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    expected = {"error.type": "CancelledError", REASON: "cancelled"}
    assert_call(telemetry, SPEECH, StatusCode.ERROR, **expected)
    telemetry.assert_content(INPUT)


def test_an_error_is_the_clients_own_and_its_text_stays_out(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    server.fail("/tts/*", status=400)
    with pytest.raises(inworld_tts.ApiError) as caught:
        client.generate(f"hello {telemetry.canary}", voice=VOICE, model="inworld-tts-2")
    assert telemetry.canary in str(caught.value)
    expected = {"error.type": "ApiError", "http.response.status_code": 400}
    assert_call(telemetry, SPEECH, StatusCode.ERROR, **expected)
    telemetry.assert_content(INPUT)


@pytest.mark.parametrize("fault", [{"status": 500}, {"drop_after": 1}])
async def test_a_failing_stream_is_an_error(
    fault: dict[str, int], client: Any, server: FakeServer, telemetry: Any
) -> None:
    server.fail("/tts/*", **fault)
    with pytest.raises(inworld_tts.InworldTTSError):
        [chunk async for chunk in client.stream(telemetry.canary, voice=VOICE, model="inworld-tts-2")]
    assert_call(telemetry, SPEECH, StatusCode.ERROR)
    telemetry.assert_content(INPUT)


def test_a_retried_call_is_one_span(
    server: FakeServer, telemetry: Any, instrument: Callable[[Any], Any]
) -> None:
    instrument(InworldInstrumentor)
    server.fail("/tts/*", status=503)
    client = inworld_tts.InworldTTS(api_key=KEY, base_url=server.url, max_retries=1)
    client.generate("hello", voice=VOICE, model="inworld-tts-2")
    assert len(server.requests) == 2
    assert_call(telemetry, SPEECH, **{CHARACTERS: 5})


def test_making_voices_keeps_samples_and_descriptions_in(client: Any, telemetry: Any) -> None:
    said = telemetry.canary
    cloned = client.clone_voice(
        [said.encode()], transcriptions=[f"heard {said}"], display_name=said, description=said
    )
    assert cloned["audioSamplesValidated"][0]["transcription"] == f"heard {said}"
    designed = client.design_voice(design_prompt=f"a voice like {said}", preview_text=f"preview {said}")
    assert designed["previewVoices"][0]["previewText"] == f"preview {said}"
    client.publish_voice(VOICE, display_name=said, description=said)
    client.update_voice(VOICE, display_name=said, description=said)
    assert [(span.name, span.attributes["otel_zdr.product"]) for span in telemetry.spans()] == [
        ("clone_voice", "voice_cloning"),
        ("design_voice", "voice_design"),
        ("publish_voice", "voice_design"),
        ("update_voice", "voice_design"),
    ]
    assert all(span.attributes["gen_ai.request.id"].startswith("req-") for span in telemetry.spans())
    telemetry.assert_content(INPUT, OUTPUT)
    if not telemetry.zdr:
        assert all(telemetry.canary in span.attributes[INPUT] for span in telemetry.spans())


def test_requests_are_what_they_are_without_instrumentation(
    client: Any, server: FakeServer, telemetry: Any
) -> None:
    client.generate("hello", voice=VOICE)
    observed = server.requests[-1]
    InworldInstrumentor().uninstrument()
    InworldTransportInstrumentor().uninstrument()
    client.generate("hello", voice=VOICE)
    bare = server.requests[-1]
    assert (observed.path, observed.body, observed.headers) == (bare.path, bare.body, bare.headers)


def test_uninstrumenting_brings_the_client_back(server: FakeServer, telemetry: Any) -> None:
    names = ("generate", "clone_voice", "stream")
    before = [vars(inworld_tts)[name] for name in names], inworld_tts.InworldTTS.__dict__["stream"]
    instrumentor = InworldInstrumentor()
    instrumentor.instrument(**telemetry.providers)
    assert vars(inworld_tts)["generate"] is not before[0][0]
    instrumentor.uninstrument()
    assert ([vars(inworld_tts)[name] for name in names], inworld_tts.InworldTTS.__dict__["stream"]) == before
    client = inworld_tts.InworldTTS(api_key=KEY, base_url=server.url)
    assert type(client._session) is requests.Session
    client.generate("hello", voice=VOICE)
    assert telemetry.spans() == []
