"""Calls of the real elevenlabs client against a server on loopback, each under ZDR and not."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

pytest.importorskip("elevenlabs")

from elevenlabs import VoiceSettings
from elevenlabs.client import AsyncElevenLabs, ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.environment import ElevenLabsEnvironment

from otel_zdr.instrumentation.elevenlabs import ElevenLabsInstrumentor
from otel_zdr.instrumentation.openai import OpenAIInstrumentor
from tests.fakes import elevenlabs as fake
from tests.fakes.server import FakeServer
from tests.instrumentation.speech_checks import INPUT, OUTPUT, STT, TTS, assert_nowhere, assert_span

KEY = f"key-{uuid.uuid4()}"
MODEL = "eleven_flash_v2_5"
HINT = "otel_zdr.request.no_retention_hint"
SECONDS = "otel_zdr.usage.audio_seconds"
CHARACTERS = "otel_zdr.usage.characters"
# version 2.0 fails without
SETTINGS = VoiceSettings(stability=0.5)
FIRST = "gen_ai.response.time_to_first_chunk"


def made(kind: Any, server: FakeServer) -> Any:
    client = kind(api_key=KEY, base_url=f"{server.url}/elevenlabs")
    if hasattr(client._client_wrapper, "get_base_url"):
        return client
    # version 2.0 keeps only the host of the address
    environment = ElevenLabsEnvironment(base=f"{server.url}/elevenlabs", wss=f"{server.ws_url}/elevenlabs")
    return kind(api_key=KEY, environment=environment)


@pytest.fixture
def client(server: FakeServer, telemetry: Any, instrument: Callable[[Any], Any]) -> ElevenLabs:
    instrument(ElevenLabsInstrumentor)
    return made(ElevenLabs, server)


@pytest.fixture
def async_client(server: FakeServer, telemetry: Any, instrument: Callable[[Any], Any]) -> AsyncElevenLabs:
    instrument(ElevenLabsInstrumentor)
    return made(AsyncElevenLabs, server)


def arguments(telemetry: Any, **more: Any) -> dict[str, Any]:
    return {
        "voice_id": "voice-1",
        "text": f"say {telemetry.canary}",
        "previous_text": f"before {telemetry.canary}",
        "next_text": f"after {telemetry.canary}",
        "model_id": MODEL,
        **more,
    }


def assert_spoken(
    telemetry: Any,
    *,
    stream: bool = True,
    characters: int = fake.COST,
    hint: bool = False,
    reason: str | None = None,
    error: str | None = None,
    request_id: Any = fake.REQUEST_ID,
) -> dict[str, Any]:
    found = assert_span(
        telemetry,
        TTS,
        "elevenlabs",
        stream=stream,
        model=MODEL,
        reason=reason,
        error=error,
        content=(INPUT,),
        gen_ai__output__type="speech",
        gen_ai__request__id=request_id,
        **{CHARACTERS: characters, HINT: hint},
    )
    assert_nowhere(telemetry, KEY)
    return found


@pytest.mark.parametrize("method", ["convert", "stream"])
def test_speech_is_billed_as_the_server_counts(client: Any, telemetry: Any, method: str) -> None:
    chunks = getattr(client.text_to_speech, method)(**arguments(telemetry))
    assert telemetry.spans() == []  # nothing is sent before it is iterated
    assert b"".join(chunks) == b"".join(fake.AUDIO)
    assert FIRST in assert_spoken(telemetry)


@pytest.mark.parametrize("method", ["convert", "stream"])
async def test_speech_is_billed_as_the_server_counts_async(
    async_client: Any, telemetry: Any, method: str
) -> None:
    chunks = getattr(async_client.text_to_speech, method)(**arguments(telemetry, enable_logging=False))
    assert b"".join([chunk async for chunk in chunks]) == b"".join(fake.AUDIO)
    assert_spoken(telemetry, hint=True)


def test_zero_retention_asked_for_among_the_query_parameters_is_seen(client: Any, telemetry: Any) -> None:
    options = {"additional_query_parameters": {"enable_logging": "false"}}
    list(client.text_to_speech.convert(**arguments(telemetry, request_options=options)))
    assert_spoken(telemetry, hint=True)


def test_speech_with_timestamps(client: Any, telemetry: Any) -> None:
    result = client.text_to_speech.convert_with_timestamps(**arguments(telemetry, enable_logging=False))
    assert "".join(result.alignment.characters) == f"say {telemetry.canary}"
    assert_spoken(telemetry, stream=False, hint=True)


async def test_speech_with_timestamps_async(async_client: Any, telemetry: Any) -> None:
    result = await async_client.text_to_speech.convert_with_timestamps(**arguments(telemetry))
    assert "".join(result.alignment.characters) == f"say {telemetry.canary}"
    assert_spoken(telemetry, stream=False)


def test_streamed_speech_with_timestamps(client: Any, telemetry: Any) -> None:
    pieces = list(client.text_to_speech.stream_with_timestamps(**arguments(telemetry)))
    assert len(pieces) == 3
    assert_spoken(telemetry)


async def test_streamed_speech_with_timestamps_async(async_client: Any, telemetry: Any) -> None:
    pieces = [p async for p in async_client.text_to_speech.stream_with_timestamps(**arguments(telemetry))]
    assert len(pieces) == 3
    assert_spoken(telemetry)


def test_speech_left_early_is_interrupted(client: Any, telemetry: Any) -> None:
    for _ in client.text_to_speech.convert(**arguments(telemetry)):
        break
    gc.collect()
    assert_spoken(telemetry, reason="interrupted")


async def test_speech_left_early_is_interrupted_async(async_client: Any, telemetry: Any) -> None:
    chunks = async_client.text_to_speech.stream(**arguments(telemetry))
    await chunks.__anext__()
    await chunks.aclose()
    assert_spoken(telemetry, reason="interrupted")


async def test_cancelled_speech_is_cancelled(async_client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/elevenlabs/*", delay=0.3)

    async def listen() -> None:
        async for _ in async_client.text_to_speech.convert(**arguments(telemetry)):
            pass

    task = asyncio.ensure_future(listen())
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_spoken(telemetry, error="CancelledError", reason="cancelled")


def test_a_raw_response_is_the_clients_own(client: Any, telemetry: Any) -> None:
    with client.text_to_speech.with_raw_response.convert(**arguments(telemetry)) as response:
        assert type(response).__name__ == "HttpResponse"
        assert response.headers["request-id"] == fake.REQUEST_ID
        assert b"".join(response.data) == b"".join(fake.AUDIO)
    assert_spoken(telemetry)


def test_refused_speech_passes_through_and_is_an_error(
    client: Any, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/elevenlabs/*", status=401)
    with pytest.raises(ApiError) as caught:
        list(client.text_to_speech.convert(**arguments(telemetry)))
    assert telemetry.canary in str(caught.value)
    found = assert_spoken(
        telemetry,
        characters=len(f"say {telemetry.canary}"),
        error=type(caught.value).__name__,
        request_id=None,
    )
    assert found["http.response.status_code"] == 401


def test_speech_that_breaks_off_is_an_error(client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/elevenlabs/*", drop_after=1)
    with pytest.raises(Exception) as caught:
        list(client.text_to_speech.convert(**arguments(telemetry)))
    assert_spoken(telemetry, error=type(caught.value).__name__)


# text as it comes


@pytest.fixture
def realtime(client: Any, server: FakeServer) -> Any:
    # the client turns every address into wss
    client.text_to_speech._ws_base_url = f"{server.ws_url}/elevenlabs/"
    return client.text_to_speech.convert_realtime


def pieces(telemetry: Any) -> Iterator[str]:
    yield "say "
    yield f"{telemetry.canary} "


def assert_realtime(telemetry: Any, **more: Any) -> None:
    characters = more.pop("characters", len("".join(pieces(telemetry))))
    assert_span(
        telemetry,
        TTS,
        "elevenlabs",
        stream=True,
        model=MODEL,
        **{"content": (INPUT,), CHARACTERS: characters, **more},
    )
    assert_nowhere(telemetry, KEY)


def test_text_as_it_comes_is_counted_as_it_is_taken(
    realtime: Any, telemetry: Any, server: FakeServer
) -> None:
    chunks = realtime("voice-1", text=pieces(telemetry), model_id=MODEL, voice_settings=SETTINGS)
    assert server.requests == []
    assert list(chunks)
    assert any(telemetry.canary in str(message) for message in server.requests[0].messages)
    assert_realtime(telemetry)
    assert FIRST in telemetry.span().attributes


def test_a_call_that_makes_the_text_is_a_span_of_its_own(
    realtime: Any, telemetry: Any, server: FakeServer, instrument: Callable[[Any], Any]
) -> None:
    instrument(OpenAIInstrumentor)
    model = openai.OpenAI(api_key="k", base_url=f"{server.url}/openai/v1", max_retries=0)

    def thought() -> Iterator[str]:
        said = [{"role": "user", "content": telemetry.canary}]
        for chunk in model.chat.completions.create(model="m", messages=said, stream=True):
            yield f"{chunk.choices[0].delta.content or ''} "

    assert list(realtime("voice-1", text=thought(), model_id=MODEL, voice_settings=SETTINGS))
    assert sorted(span.name for span in telemetry.spans()) == ["chat m", f"text_to_speech {MODEL}"]
    assert all(span.parent is None for span in telemetry.spans())
    telemetry.assert_content(INPUT)


def test_text_as_it_comes_left_early_is_interrupted(realtime: Any, telemetry: Any) -> None:
    chunks = realtime("voice-1", text=pieces(telemetry), model_id=MODEL, voice_settings=SETTINGS)
    next(chunks)
    chunks.close()
    assert_realtime(telemetry, reason="interrupted")


def test_an_error_of_the_text_passes_through(realtime: Any, telemetry: Any) -> None:
    def broken() -> Iterator[str]:
        yield f"{telemetry.canary} "
        raise LookupError(telemetry.canary)

    with pytest.raises(LookupError):
        list(realtime("voice-1", text=broken(), model_id=MODEL, voice_settings=SETTINGS))
    assert_realtime(telemetry, error="LookupError", characters=len(f"{telemetry.canary} "))


def test_text_as_it_comes_that_the_server_refuses_is_an_error(
    realtime: Any, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/elevenlabs/*", close_after=0, close_code=1008)
    with pytest.raises(ApiError):
        list(realtime("voice-1", text=pieces(telemetry), model_id=MODEL, voice_settings=SETTINGS))
    assert_realtime(telemetry, error="ApiError")


# transcription


def assert_heard(telemetry: Any, *, hint: bool = False) -> None:
    assert_span(
        telemetry,
        STT,
        "elevenlabs",
        stream=False,
        model="scribe_v1",
        content=(OUTPUT,),
        gen_ai__request__id=fake.REQUEST_ID,
        **{SECONDS: fake.SECONDS, HINT: hint},
    )
    assert_nowhere(telemetry, KEY)


def audio(telemetry: Any) -> tuple[str, io.BytesIO]:
    return ("speech.wav", io.BytesIO(telemetry.canary.encode()))


def test_a_file_is_transcribed(client: Any, telemetry: Any) -> None:
    result = client.speech_to_text.convert(model_id="scribe_v1", file=audio(telemetry), enable_logging=False)
    assert result.text == telemetry.canary
    assert_heard(telemetry, hint=True)


async def test_a_file_is_transcribed_async(async_client: Any, telemetry: Any) -> None:
    result = await async_client.speech_to_text.convert(model_id="scribe_v1", file=audio(telemetry))
    assert result.text == telemetry.canary
    assert_heard(telemetry)


def test_a_refused_file_is_an_error(client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/elevenlabs/*", status=422)
    with pytest.raises(ApiError) as caught:
        client.speech_to_text.convert(model_id="scribe_v1", file=audio(telemetry))
    assert_span(
        telemetry, STT, "elevenlabs", stream=False, model="scribe_v1", error=type(caught.value).__name__
    )


# live transcription (not in the oldest versions)


@pytest.fixture
def scribe(async_client: Any, server: FakeServer) -> Any:
    realtime = getattr(async_client.speech_to_text, "realtime", None)
    if realtime is None:
        pytest.skip("this version has no live transcription")
    realtime.base_url = f"{server.ws_url}/elevenlabs"
    return realtime


def options(telemetry: Any) -> dict[str, Any]:
    from elevenlabs.realtime.scribe import AudioFormat

    return {
        "model_id": "scribe_v2_realtime",
        "audio_format": AudioFormat.PCM_16000,
        "sample_rate": 16000,
        "keyterms": [f"term-{telemetry.canary}"],
        "enable_logging": False,
    }


def assert_live(telemetry: Any, **more: Any) -> None:
    assert_span(
        telemetry,
        STT,
        "elevenlabs",
        stream=True,
        model="scribe_v2_realtime",
        **{"content": (OUTPUT,), HINT: True, **more},
    )
    assert_nowhere(telemetry, KEY, "term-")


async def hear(connection: Any, data: bytes, *, until: str) -> None:
    heard = asyncio.Event()
    connection.on(until, lambda *_: heard.set())
    await connection.send({"audio_base_64": base64.b64encode(data).decode()})
    await connection.commit()
    await asyncio.wait_for(heard.wait(), 5)


async def test_live_transcription_counts_the_audio_it_sent(scribe: Any, telemetry: Any) -> None:
    connection = await scribe.connect(options(telemetry))
    assert type(connection).__name__ == "RealtimeConnection"
    data = telemetry.canary.encode()
    await hear(connection, data, until="committed_transcript")
    await connection.close()
    assert_live(telemetry, **{SECONDS: len(data) / 32000, "gen_ai.response.id": fake.SESSION_ID})


async def test_an_error_event_is_an_error(scribe: Any, telemetry: Any) -> None:
    connection = await scribe.connect(options(telemetry))
    await hear(connection, fake.ERROR_EVENT + telemetry.canary.encode(), until="error")
    await connection.close()
    assert_live(telemetry, error="input_error", content=())


async def test_live_transcription_the_server_cuts_is_an_error(
    scribe: Any, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/elevenlabs/*", close_after=1, close_code=1011)
    connection = await scribe.connect(options(telemetry))
    closed = asyncio.Event()
    connection.on("close", lambda *_: closed.set())
    await connection.send({"audio_base_64": "AAAA"})
    await asyncio.wait_for(closed.wait(), 5)
    assert_live(telemetry, error="ConnectionClosedError", content=())


async def test_a_refused_live_transcription_is_an_error(
    scribe: Any, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/elevenlabs/*", status=403)
    with pytest.raises(Exception) as caught:
        await scribe.connect(options(telemetry))
    assert_live(telemetry, error=type(caught.value).__name__, content=())
