"""Calls of the real cartesia client against a server on loopback, each under ZDR and not."""

from __future__ import annotations

import asyncio
import gc
import io
import uuid
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("cartesia")

from cartesia import APIStatusError, AsyncCartesia, Cartesia, CartesiaError

from otel_zdr.instrumentation.cartesia import CartesiaInstrumentor
from tests.fakes import cartesia as fake
from tests.fakes.server import FakeServer
from tests.instrumentation.speech_checks import INPUT, OUTPUT, STT, TTS, assert_nowhere, assert_span

KEY = f"key-{uuid.uuid4()}"
MODEL = "sonic-3"
SECONDS = "otel_zdr.usage.audio_seconds"
CHARACTERS = "otel_zdr.usage.characters"
FIRST = "gen_ai.response.time_to_first_chunk"
VOICE: Any = {"mode": "id", "id": "a0e99841-438c-4a64-b679-ae501e7d6091"}
RAW: Any = {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100}


def made(kind: Any, server: FakeServer) -> Any:
    return kind(
        api_key=KEY,
        base_url=f"{server.url}/cartesia",
        websocket_base_url=f"{server.ws_url}/cartesia",
        max_retries=0,
    )


@pytest.fixture
def client(server: FakeServer, telemetry: Any, instrument: Callable[[Any], Any]) -> Any:
    instrument(CartesiaInstrumentor)
    return made(Cartesia, server)


@pytest.fixture
def async_client(server: FakeServer, telemetry: Any, instrument: Callable[[Any], Any]) -> Any:
    instrument(CartesiaInstrumentor)
    return made(AsyncCartesia, server)


def arguments(telemetry: Any, text: str | None = None) -> dict[str, Any]:
    transcript = f"say {telemetry.canary}" if text is None else text
    return {"model_id": MODEL, "transcript": transcript, "voice": VOICE, "output_format": RAW}


def assert_spoken(
    telemetry: Any,
    *,
    stream: bool,
    characters: int | None = None,
    reason: str | None = None,
    error: str | None = None,
    model: str | None = MODEL,
    **more: Any,
) -> dict[str, Any]:
    found = assert_span(
        telemetry,
        TTS,
        "cartesia",
        stream=stream,
        model=model,
        reason=reason,
        error=error,
        content=(INPUT,),
        gen_ai__output__type="speech",
        **{CHARACTERS: len(f"say {telemetry.canary}") if characters is None else characters, **more},
    )
    assert_nowhere(telemetry, KEY)
    return found


# bytes


def test_speech_in_one_piece(client: Any, telemetry: Any) -> None:
    response = client.tts.generate(**arguments(telemetry))
    assert type(response).__name__ == "BinaryAPIResponse"
    assert response.read() == fake.AUDIO * 2
    assert_spoken(telemetry, stream=False, gen_ai__request__id=fake.REQUEST_ID)


async def test_speech_in_one_piece_async(async_client: Any, telemetry: Any) -> None:
    response = await async_client.tts.generate(**arguments(telemetry))
    assert await response.read() == fake.AUDIO * 2
    assert_spoken(telemetry, stream=False)


@pytest.mark.filterwarnings("ignore:bytes")
def test_the_deprecated_name_makes_one_span_too(client: Any, telemetry: Any) -> None:
    assert b"".join(client.tts.bytes(**arguments(telemetry))) == fake.AUDIO * 2
    assert_spoken(telemetry, stream=False)


def test_infill_speaks_too(client: Any, telemetry: Any) -> None:
    client.tts.infill(
        model_id=MODEL,
        transcript=f"say {telemetry.canary}",
        voice_id="v",
        left_audio=io.BytesIO(telemetry.canary.encode()),
    )
    assert_spoken(telemetry, stream=False)


def test_a_streamed_response_ends_with_its_context(client: Any, telemetry: Any) -> None:
    with client.tts.with_streaming_response.generate(**arguments(telemetry)) as response:
        assert b"".join(response.iter_bytes()) == fake.AUDIO * 2
    assert FIRST in assert_spoken(telemetry, stream=False)


def test_refused_speech_passes_through_and_is_an_error(
    client: Any, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/cartesia/*", status=400)
    with pytest.raises(APIStatusError) as caught:
        client.tts.generate(**arguments(telemetry))
    assert telemetry.canary in str(caught.value)
    assert_spoken(telemetry, stream=False, error="BadRequestError", http__response__status_code=400)


async def test_cancelled_speech_is_cancelled(async_client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/cartesia/*", delay=5)
    task = asyncio.ensure_future(async_client.tts.generate(**arguments(telemetry)))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_spoken(telemetry, stream=False, error="CancelledError", reason="cancelled")


# server-sent events


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("method", ["generate_sse", "sse"])
def test_streamed_speech(client: Any, telemetry: Any, method: str) -> None:
    with getattr(client.tts, method)(**arguments(telemetry)) as stream:
        assert type(stream).__name__ in ("Stream", "SSEEventStream")
        assert len(list(stream)) == 4
    assert FIRST in assert_spoken(telemetry, stream=True)


async def test_streamed_speech_async(async_client: Any, telemetry: Any) -> None:
    stream = await async_client.tts.generate_sse(**arguments(telemetry))
    assert len([event async for event in stream]) == 4
    assert_spoken(telemetry, stream=True)


def test_streamed_speech_left_early_is_interrupted(client: Any, telemetry: Any) -> None:
    for _ in client.tts.generate_sse(**arguments(telemetry)):
        break
    gc.collect()
    assert_spoken(telemetry, stream=True, reason="interrupted")


async def test_streamed_speech_closed_early_is_interrupted_async(async_client: Any, telemetry: Any) -> None:
    stream = await async_client.tts.generate_sse(**arguments(telemetry))
    async for _ in stream:
        break
    await (stream.aclose() if hasattr(stream, "aclose") else stream.close())
    assert_spoken(telemetry, stream=True, reason="interrupted")


def test_dropped_speech_ends_its_span(client: Any, telemetry: Any) -> None:
    stream = client.tts.generate_sse(**arguments(telemetry))
    del stream
    gc.collect()
    assert_spoken(telemetry, stream=True, reason="abandoned")


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_error_event_is_an_error(
    client: Any, async_client: Any, telemetry: Any, asynchronous: bool
) -> None:
    text = f"{fake.ERROR_EVENT} {telemetry.canary}"
    try:
        if asynchronous:
            async for _ in await async_client.tts.generate_sse(**arguments(telemetry, text)):
                pass
        else:
            list(client.tts.generate_sse(**arguments(telemetry, text)))
    except CartesiaError:  # some versions raise what others hand out
        pass
    error = telemetry.span().attributes["error.type"]
    assert error in ("invalid_transcript", "400", "APIError", "CartesiaError")
    assert_spoken(telemetry, stream=True, error=error, characters=len(text))


def test_speech_that_breaks_off_is_an_error(client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/cartesia/*", drop_after=1)
    with pytest.raises(Exception) as caught:
        list(client.tts.generate_sse(**arguments(telemetry)))
    assert_spoken(telemetry, stream=True, error=type(caught.value).__name__)


# WebSocket


def read_to(connection: Any, kind: str, *, times: int = 1) -> bool:
    """Read the connection itself until so many events of this kind have come."""
    for event in connection:
        times -= event.type == kind
        if not times:
            return True
    return False


def test_a_context_is_one_span(client: Any, telemetry: Any) -> None:
    with client.tts.websocket_connect() as connection:
        assert type(connection).__name__ == "TTSResourceConnection"
        context = connection.context(f"context-{uuid.uuid4()}")
        for text in ("say ", telemetry.canary):
            context.send(model_id=MODEL, transcript=text, voice=VOICE, output_format=RAW, continue_=True)
        context.no_more_inputs()
        events = list(context.receive())
        assert telemetry.spans()  # before the connection is closed
    assert [event.type for event in events].count("chunk") == 4
    assert FIRST in assert_spoken(telemetry, stream=True)
    assert_nowhere(telemetry, "context-")


async def test_a_context_is_one_span_async(async_client: Any, telemetry: Any) -> None:
    async with async_client.tts.websocket_connect() as connection:
        context = connection.context()
        await context.send(
            model_id=MODEL,
            transcript=f"say {telemetry.canary}",
            voice=VOICE,
            output_format=RAW,
            continue_=False,
        )
        events = [event async for event in context.receive()]
    assert events
    assert_spoken(telemetry, stream=True)


def test_two_contexts_are_two_spans(client: Any, telemetry: Any) -> None:
    with client.tts.websocket_connect() as connection:
        contexts = [connection.context() for _ in range(2)]
        for context, text in zip(contexts, ("one", "three"), strict=True):
            context.send(model_id=MODEL, transcript=text, voice=VOICE, output_format=RAW, continue_=False)
        assert read_to(connection, "done", times=2)  # what `receive` of one drops in older versions
    assert sorted(span.attributes[CHARACTERS] for span in telemetry.spans()) == [3, 5]


def test_the_connection_itself_can_be_used(client: Any, telemetry: Any) -> None:
    with client.tts.websocket_connect() as connection:
        connection.send({**arguments(telemetry), "context_id": "c-7", "continue": False})
        assert read_to(connection, "done")
    assert_spoken(telemetry, stream=True)


def test_the_older_helper_makes_one_span(client: Any, telemetry: Any) -> None:
    socket = client.tts.websocket()
    assert list(socket.send(stream=True, **arguments(telemetry)))
    socket.close()
    assert_spoken(telemetry, stream=True)


def test_a_context_left_early_is_interrupted(client: Any, telemetry: Any) -> None:
    with client.tts.websocket_connect() as connection:
        context = connection.context()
        context.send(continue_=False, **arguments(telemetry))
        for _ in context.receive():
            break
        gc.collect()
        assert telemetry.spans()
    assert_spoken(telemetry, stream=True, reason="interrupted")


def test_a_cancelled_context_is_interrupted(client: Any, telemetry: Any) -> None:
    with client.tts.websocket_connect() as connection:
        context = connection.context("c-9")
        context.send(continue_=True, **arguments(telemetry))
        connection.send({"context_id": "c-9", "cancel": True})
        assert telemetry.spans()
    assert_spoken(telemetry, stream=True, reason="interrupted")


def test_closing_the_connection_ends_its_contexts(client: Any, telemetry: Any) -> None:
    with client.tts.websocket_connect() as connection:
        connection.context().send(continue_=True, **arguments(telemetry))
    assert_spoken(telemetry, stream=True, reason="interrupted")


def test_an_error_event_of_a_context_is_an_error(client: Any, telemetry: Any) -> None:
    text = f"{fake.ERROR_EVENT} {telemetry.canary}"
    with client.tts.websocket_connect() as connection:
        context = connection.context()
        context.send(continue_=False, **arguments(telemetry, text))
        assert read_to(connection, "error")
    error = telemetry.span().attributes["error.type"]
    assert_spoken(telemetry, stream=True, error=error, characters=len(text))
    assert error in ("invalid_transcript", "400")


def test_a_context_the_server_cuts_is_an_error(client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/cartesia/*", close_after=1, close_code=1011)
    with client.tts.websocket_connect() as connection:
        context = connection.context()
        context.send(continue_=False, **arguments(telemetry))
        with pytest.raises(Exception, match="1011"):
            list(context.receive())
        assert telemetry.spans()
    assert_spoken(telemetry, stream=True, error="ConnectionClosedError")


async def test_a_cancelled_reader_is_cancelled(async_client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/cartesia/*", delay=0.3)

    async def listen() -> None:
        async with async_client.tts.websocket_connect() as connection:
            context = connection.context()
            await context.send(continue_=False, **arguments(telemetry))
            async for _ in context.receive():
                pass

    task = asyncio.ensure_future(listen())
    await asyncio.sleep(0.45)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_spoken(telemetry, stream=True, error="CancelledError", reason="cancelled")


# transcription and voices


def assert_heard(telemetry: Any) -> None:
    assert_span(
        telemetry,
        STT,
        "cartesia",
        stream=False,
        model="ink-whisper",
        content=(OUTPUT,),
        **{SECONDS: fake.SECONDS},
    )
    assert_nowhere(telemetry, KEY)


def audio(telemetry: Any) -> tuple[str, io.BytesIO]:
    return ("speech.wav", io.BytesIO(telemetry.canary.encode()))


def test_a_file_is_transcribed(client: Any, telemetry: Any) -> None:
    result = client.stt.transcribe(file=audio(telemetry), model="ink-whisper")
    assert result.text == telemetry.canary
    assert_heard(telemetry)


async def test_a_file_is_transcribed_async(async_client: Any, telemetry: Any) -> None:
    result = await async_client.stt.transcribe(file=audio(telemetry), model="ink-whisper")
    assert result.text == telemetry.canary
    assert_heard(telemetry)


def test_a_raw_transcription_is_read_beside_the_application(client: Any, telemetry: Any) -> None:
    response = client.stt.with_raw_response.transcribe(file=audio(telemetry), model="ink-whisper")
    assert response.parse().text == telemetry.canary
    assert_heard(telemetry)


def clone(client: Any, telemetry: Any) -> Any:
    return client.voices.clone(
        clip=audio(telemetry),
        name=f"name {telemetry.canary}",
        description=f"description {telemetry.canary}",
        language="en",
    )


def test_a_voice_is_cloned(client: Any, telemetry: Any) -> None:
    assert telemetry.canary in clone(client, telemetry).name
    assert_span(telemetry, "clone_voice", "cartesia", stream=False, content=(INPUT,))
    assert_nowhere(telemetry, KEY)


async def test_a_voice_is_cloned_async(async_client: Any, telemetry: Any) -> None:
    await clone(async_client, telemetry)
    assert_span(telemetry, "clone_voice", "cartesia", stream=False, content=(INPUT,))
