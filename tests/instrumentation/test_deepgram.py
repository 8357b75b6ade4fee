"""Calls of the real deepgram client against a server on loopback, each under ZDR and not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("deepgram")

import deepgram
from deepgram.core.api_error import ApiError
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment

from otel_zdr.instrumentation.deepgram import DeepgramInstrumentor
from tests.fakes import deepgram as fake
from tests.fakes.server import FakeServer
from tests.instrumentation.speech_checks import INPUT, OUTPUT, STT, TTS, assert_nowhere, assert_span

KEY = f"key-{uuid.uuid4()}"
HINT = "otel_zdr.request.no_retention_hint"
SECONDS = "otel_zdr.usage.audio_seconds"
CHARACTERS = "otel_zdr.usage.characters"
# as a query parameter, since version 5 has no argument for it in every call
OPT_OUT: Any = {"additional_query_parameters": {"mip_opt_out": "true"}}
FIRST = "gen_ai.response.time_to_first_chunk"


def environment(server: FakeServer) -> DeepgramClientEnvironment:
    http, ws = f"{server.url}/deepgram", f"{server.ws_url}/deepgram"
    try:
        return DeepgramClientEnvironment(base=http, production=ws, agent=ws, agent_rest=http)
    except TypeError:  # version 5
        return DeepgramClientEnvironment(base=http, production=ws, agent=ws, preview=ws)


@pytest.fixture
def client(server: FakeServer, telemetry: Any, instrument: Callable[[Any], Any]) -> deepgram.DeepgramClient:
    instrument(DeepgramInstrumentor)
    return deepgram.DeepgramClient(api_key=KEY, environment=environment(server))


@pytest.fixture
def async_client(
    server: FakeServer, telemetry: Any, instrument: Callable[[Any], Any]
) -> deepgram.AsyncDeepgramClient:
    instrument(DeepgramInstrumentor)
    return deepgram.AsyncDeepgramClient(api_key=KEY, environment=environment(server))


def send_control(connection: Any, kind: str) -> Any:
    """A control message, whose helpers changed names between versions; what goes out is the same."""
    return connection._send({"type": kind})


def assert_heard(telemetry: Any, *, hint: bool = False) -> None:
    assert_span(
        telemetry,
        STT,
        "deepgram",
        stream=False,
        model="nova-2",
        content=(OUTPUT,),
        gen_ai__response__model="2-general-nova",
        gen_ai__request__id=fake.REQUEST_ID,
        **{SECONDS: fake.SECONDS, HINT: hint},
    )
    assert_nowhere(telemetry, KEY)


# prerecorded


def test_a_file_is_transcribed(client: Any, telemetry: Any) -> None:
    result = client.listen.v1.media.transcribe_file(
        request=telemetry.canary.encode(), model="nova-2", keyterm=f"term {telemetry.canary}"
    )
    assert result.results.channels[0].alternatives[0].transcript == telemetry.canary
    assert_heard(telemetry)


async def test_a_file_is_transcribed_async(async_client: Any, telemetry: Any) -> None:
    result = await async_client.listen.v1.media.transcribe_file(
        request=telemetry.canary.encode(), model="nova-2", request_options=OPT_OUT
    )
    assert result.results.channels[0].alternatives[0].transcript == telemetry.canary
    assert_heard(telemetry, hint=True)


def test_a_url_is_transcribed_and_recorded_nowhere_but_in_the_transcript(
    client: Any, telemetry: Any, server: FakeServer
) -> None:
    url = f"https://bucket.example/a.wav?signature={telemetry.canary}"
    client.listen.v1.media.transcribe_url(url=url, model="nova-2")
    assert_heard(telemetry)
    assert [request.path for request in server.requests] == ["/deepgram/v1/listen"]


def test_a_raw_response_is_the_clients_own(client: Any, telemetry: Any) -> None:
    response = client.listen.v1.media.with_raw_response.transcribe_file(
        request=telemetry.canary.encode(), model="nova-2"
    )
    assert type(response).__name__ == "HttpResponse"
    assert_heard(telemetry)


def test_with_a_callback_only_the_request_is_known(client: Any, telemetry: Any) -> None:
    client.listen.v1.media.transcribe_file(
        request=telemetry.canary.encode(), model="nova-2", callback=f"https://me.example/{telemetry.canary}"
    )
    assert_span(
        telemetry,
        STT,
        "deepgram",
        stream=False,
        model="nova-2",
        gen_ai__request__id=fake.REQUEST_ID,
        **{SECONDS: None},
    )
    assert telemetry.canary.encode() not in telemetry.wire()


def test_a_refusal_passes_through_and_is_an_error(client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/deepgram/*", status=402)
    with pytest.raises(ApiError) as caught:
        client.listen.v1.media.transcribe_file(request=telemetry.canary.encode(), model="nova-2")
    assert telemetry.canary in str(caught.value.body)
    assert_span(
        telemetry,
        STT,
        "deepgram",
        stream=False,
        model="nova-2",
        error=type(caught.value).__name__,
        http__response__status_code=402,
    )


async def test_a_cancelled_transcription_is_cancelled(
    async_client: Any, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/deepgram/*", delay=5)
    task = asyncio.ensure_future(
        async_client.listen.v1.media.transcribe_file(request=telemetry.canary.encode(), model="nova-2")
    )
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_span(
        telemetry, STT, "deepgram", stream=False, model="nova-2", error="CancelledError", reason="cancelled"
    )


# speech


def assert_spoken(telemetry: Any, *, reason: str | None = None, error: str | None = None) -> None:
    said = f"say {telemetry.canary}"
    known = error is None
    assert_span(
        telemetry,
        TTS,
        "deepgram",
        stream=True,
        model="aura-2-thalia-en",
        reason=reason,
        error=error,
        content=(INPUT,),
        gen_ai__output__type="speech",
        gen_ai__request__id=fake.REQUEST_ID if known else ...,
        **{CHARACTERS: len(said), HINT: True},
    )
    assert_nowhere(telemetry, KEY)


def speech(client: Any, telemetry: Any) -> Any:
    return client.speak.v1.audio.generate(
        text=f"say {telemetry.canary}",
        model="aura-2-thalia-en",
        request_options={
            "chunk_size": 64,
            "additional_query_parameters": {"mip_opt_out": "true"},
        },
    )


def test_speech_sends_nothing_until_it_is_iterated(client: Any, telemetry: Any, server: FakeServer) -> None:
    chunks = speech(client, telemetry)
    assert server.requests == []
    assert telemetry.spans() == []
    assert b"".join(chunks) == b"".join(fake.AUDIO)
    assert_spoken(telemetry)
    assert FIRST in telemetry.span().attributes


async def test_speech_is_streamed_async(async_client: Any, telemetry: Any) -> None:
    heard = b"".join([chunk async for chunk in speech(async_client, telemetry)])
    assert heard == b"".join(fake.AUDIO)
    assert_spoken(telemetry)


def test_speech_left_early_is_interrupted(client: Any, telemetry: Any) -> None:
    chunks = speech(client, telemetry)
    next(chunks)
    chunks.close()
    assert_spoken(telemetry, reason="interrupted")


def test_speech_that_is_dropped_ends_its_span(client: Any, telemetry: Any) -> None:
    chunks = speech(client, telemetry)
    next(chunks)
    del chunks
    gc.collect()
    assert_spoken(telemetry, reason="interrupted")


async def test_speech_left_early_is_interrupted_async(async_client: Any, telemetry: Any) -> None:
    chunks = speech(async_client, telemetry)
    async for _ in chunks:
        break
    await chunks.aclose()
    assert_spoken(telemetry, reason="interrupted")


def test_speech_in_a_context_is_ended_by_its_exit(client: Any, telemetry: Any) -> None:
    with client.speak.v1.audio.with_raw_response.generate(
        text=f"say {telemetry.canary}", model="aura-2-thalia-en", mip_opt_out=True
    ) as response:
        assert type(response).__name__ == "HttpResponse"
    assert_spoken(telemetry, reason="interrupted")


def test_speech_that_breaks_off_is_an_error(client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/deepgram/v1/speak", drop_after=1)
    with pytest.raises(Exception) as caught:
        list(speech(client, telemetry))
    assert_spoken(telemetry, error=type(caught.value).__name__)


def test_refused_speech_is_an_error(client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/deepgram/*", status=400)
    with pytest.raises(ApiError):
        list(speech(client, telemetry))
    assert_span(
        telemetry,
        TTS,
        "deepgram",
        stream=True,
        model="aura-2-thalia-en",
        error="BadRequestError",
        content=(INPUT,),
        **{CHARACTERS: len(f"say {telemetry.canary}")},
    )


# live


def live(client: Any, version: int, telemetry: Any) -> Any:
    if version == 2:
        return client.listen.v2.connect(
            model="flux-general-en",
            encoding="linear16",
            sample_rate="16000",
            keyterm=f"term-{telemetry.canary}",
        )
    return client.listen.v1.connect(model="nova-2", keyterm=f"term-{telemetry.canary}", mip_opt_out="true")


def assert_live(
    telemetry: Any,
    version: int,
    seconds: Any,
    *,
    reason: str | None = None,
    error: str | None = None,
    content: tuple[str, ...] = (OUTPUT,),
) -> dict[str, Any]:
    found = assert_span(
        telemetry,
        STT,
        "deepgram",
        stream=True,
        model="flux-general-en" if version == 2 else "nova-2",
        reason=reason,
        error=error,
        content=content,
        **{SECONDS: seconds, HINT: version == 1},
    )
    assert_nowhere(telemetry, KEY, "term-")
    return found


@pytest.mark.parametrize(("version", "seconds"), [(1, fake.SECONDS), (2, 3.0)])
def test_a_live_session_counts_what_the_server_heard(
    client: Any, telemetry: Any, version: int, seconds: float
) -> None:
    with live(client, version, telemetry) as connection:
        assert type(connection).__name__ == f"V{version}SocketClient"
        for _ in range(2):
            connection.send_media(telemetry.canary.encode())
        send_control(connection, "CloseStream")
        messages = list(connection)
    assert any(telemetry.canary in str(message) for message in messages)
    found = assert_live(telemetry, version, seconds)
    assert found["gen_ai.request.id"] == fake.REQUEST_ID
    assert FIRST in found


@pytest.mark.parametrize(("version", "seconds"), [(1, fake.SECONDS), (2, 1.5)])
async def test_a_live_session_counts_what_the_server_heard_async(
    async_client: Any, telemetry: Any, version: int, seconds: float
) -> None:
    async with live(async_client, version, telemetry) as connection:
        assert type(connection).__name__ == f"AsyncV{version}SocketClient"
        await connection.send_media(telemetry.canary.encode())
        await send_control(connection, "CloseStream")
        messages = [message async for message in connection]
    assert messages
    assert_live(telemetry, version, seconds)


@pytest.mark.parametrize("version", [1, 2])
def test_events_read_by_a_thread_are_seen(client: Any, telemetry: Any, version: int) -> None:
    heard: list[Any] = []
    with live(client, version, telemetry) as connection:
        connection.on(EventType.MESSAGE, heard.append)
        reader = threading.Thread(target=connection.start_listening)
        reader.start()
        connection.send_media(telemetry.canary.encode())
        send_control(connection, "CloseStream")
        reader.join(10)
    assert heard
    assert_live(telemetry, version, ...)


@pytest.mark.parametrize("version", [1, 2])
def test_one_message_at_a_time_is_seen(client: Any, telemetry: Any, version: int) -> None:
    with live(client, version, telemetry) as connection:
        connection.send_media(telemetry.canary.encode())
        for _ in range(4 if version == 2 else 2):
            connection.recv()
    assert_live(telemetry, version, 1.5 if version == 2 else 1.25)


@pytest.mark.parametrize(("version", "code"), [(1, "NET-0001"), (2, "INTERNAL_SERVER_ERROR")])
def test_an_error_event_is_an_error(client: Any, telemetry: Any, version: int, code: str) -> None:
    with live(client, version, telemetry) as connection:
        connection.send_media(fake.ERROR_EVENT + telemetry.canary.encode())
        for _ in range(version):
            with contextlib.suppress(ValueError):  # version 5 has no class for this event
                connection.recv()
    assert_live(telemetry, version, None if version == 1 else ..., error=code, content=())


def test_a_session_the_server_cuts_is_an_error(client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/deepgram/v1/listen", close_after=1, close_code=1011)
    with live(client, 1, telemetry) as connection:
        connection.send_media(telemetry.canary.encode())
        connection.recv()
        with pytest.raises(Exception, match="1011"):
            connection.recv()
        assert telemetry.spans()  # at once, not at the exit
    assert_live(telemetry, 1, 1.25, error="ConnectionClosedError", content=())


async def test_a_cancelled_session_is_cancelled(async_client: Any, telemetry: Any) -> None:
    async def listen() -> None:
        async with live(async_client, 2, telemetry) as connection:
            await connection.send_media(telemetry.canary.encode())
            async for _ in connection:
                pass

    task = asyncio.ensure_future(listen())
    await asyncio.sleep(0.4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_live(telemetry, 2, 1.5, error="CancelledError", reason="cancelled")


def test_a_session_without_an_answer_counts_the_audio_it_sent(client: Any, telemetry: Any) -> None:
    with live(client, 2, telemetry) as connection:
        connection.send_media(bytes(32000))
    assert_live(telemetry, 2, 1.0, content=())


def test_a_refused_session_is_an_error(client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/deepgram/*", status=401)
    with pytest.raises(Exception) as caught, live(client, 1, telemetry):
        pass
    assert_live(telemetry, 1, None, error=type(caught.value).__name__, content=())


def test_an_error_of_the_body_ends_the_session(client: Any, telemetry: Any) -> None:
    with pytest.raises(ZeroDivisionError), live(client, 1, telemetry):
        _ = 1 / 0
    assert_live(telemetry, 1, None, error="ZeroDivisionError", content=())


def test_a_dropped_session_ends_its_span(client: Any, telemetry: Any) -> None:
    manager = live(client, 1, telemetry)
    connection = manager.__enter__()
    connection.send_media(b"abc")
    del manager, connection
    gc.collect()
    deadline = time.monotonic() + 5
    while not telemetry.spans() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert_live(telemetry, 1, None, reason="abandoned", content=())


# live speech


def speak_text(connection: Any, text: str) -> Any:
    return connection._send({"type": "Speak", "text": text})


def test_live_speech_counts_the_text(client: Any, telemetry: Any) -> None:
    heard = b""
    with client.speak.v1.connect(model="aura-2-thalia-en", encoding="linear16") as connection:
        for text in ("say ", telemetry.canary):
            speak_text(connection, text)
        send_control(connection, "Flush")
        send_control(connection, "Close")
        for message in connection:
            heard += message if isinstance(message, bytes) else b""
    assert heard == b"".join(fake.AUDIO)
    found = assert_span(
        telemetry,
        TTS,
        "deepgram",
        stream=True,
        model="aura-2-thalia-en",
        content=(INPUT,),
        gen_ai__request__id=fake.REQUEST_ID,
        **{CHARACTERS: len(f"say {telemetry.canary}"), HINT: False},
    )
    assert FIRST in found
    assert_nowhere(telemetry, KEY)


async def test_live_speech_counts_the_text_async(async_client: Any, telemetry: Any) -> None:
    async with async_client.speak.v1.connect(model="aura-2-thalia-en") as connection:
        await speak_text(connection, telemetry.canary)
        await send_control(connection, "Flush")
        await send_control(connection, "Close")
        assert [message async for message in connection]
    assert_span(
        telemetry,
        TTS,
        "deepgram",
        stream=True,
        model="aura-2-thalia-en",
        content=(INPUT,),
        **{CHARACTERS: len(telemetry.canary)},
    )


# manners


def test_uninstrumented_there_is_no_span(server: FakeServer, telemetry: Any) -> None:
    instrumentor = DeepgramInstrumentor()
    instrumentor.instrument(**telemetry.providers)
    instrumentor.uninstrument()
    client = deepgram.DeepgramClient(api_key=KEY, environment=environment(server))
    client.listen.v1.media.transcribe_file(request=b"abc", model="nova-2")
    with client.listen.v1.connect(model="nova-2") as connection:
        assert type(connection._websocket).__name__ == "ClientConnection"
    assert telemetry.spans() == []
