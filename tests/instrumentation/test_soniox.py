"""Calls of the real soniox client against a server on loopback, each under ZDR and not."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("soniox")

from soniox import AsyncSonioxClient, SonioxClient
from soniox.errors import SonioxError
from soniox.types.realtime import RealtimeSTTConfig

from otel_zdr.instrumentation.soniox import SonioxInstrumentor
from tests.fakes import soniox as fake
from tests.fakes.server import FakeServer
from tests.instrumentation.speech_checks import INPUT, OUTPUT, STT, TTS, assert_nowhere, assert_span

KEY = f"key-{uuid.uuid4()}"
MODEL = "stt-async-v4"
LIVE = "stt-rt-v4"
SECONDS = "otel_zdr.usage.audio_seconds"
CHARACTERS = "otel_zdr.usage.characters"
FIRST = "gen_ai.response.time_to_first_chunk"


def made(kind: Any, server: FakeServer) -> Any:
    addresses = {
        "api_base_url": f"{server.url}/soniox/v1",
        "websocket_base_url": f"{server.ws_url}/soniox/transcribe-websocket",
    }
    speech = {
        "tts_api_base_url": f"{server.url}/soniox/tts",
        "tts_websocket_base_url": f"{server.ws_url}/soniox/tts-websocket",
    }
    try:
        return kind(api_key=KEY, **addresses, **speech)
    except TypeError:  # version 2.0 has no speech
        return kind(api_key=KEY, **addresses)


@pytest.fixture
def client(server: FakeServer, telemetry: Any, instrument: Callable[[Any], Any]) -> Any:
    instrument(SonioxInstrumentor)
    return made(SonioxClient, server)


@pytest.fixture
def async_client(server: FakeServer, telemetry: Any, instrument: Callable[[Any], Any]) -> Any:
    instrument(SonioxInstrumentor)
    return made(AsyncSonioxClient, server)


def stt(client: Any) -> Any:
    """The file API; it was called `transcriptions` first."""
    return client.stt if hasattr(client, "stt") else client.transcriptions


def assert_heard(telemetry: Any, **more: Any) -> Any:
    found = assert_span(
        telemetry,
        STT,
        "soniox",
        stream=False,
        model=MODEL,
        **{SECONDS: fake.MILLISECONDS / 1000, "gen_ai.response.model": MODEL, **more},
    )
    assert_nowhere(telemetry, KEY)
    return found


# files


def test_a_job_that_is_waited_for_is_one_span_with_its_usage(client: Any, telemetry: Any) -> None:
    job = stt(client).transcribe_and_wait(model=MODEL, file=telemetry.canary.encode(), wait_interval_sec=0.05)
    assert type(job).__name__ == "Transcription"
    found = assert_heard(telemetry)
    assert found["gen_ai.response.id"] == job.id
    assert found["gen_ai.response.status"] == "completed"


def test_a_transcript_that_is_waited_for_is_one_span_with_its_usage(client: Any, telemetry: Any) -> None:
    result = stt(client).transcribe_and_wait_with_tokens(
        model=MODEL, file=telemetry.canary.encode(), wait_interval_sec=0.05
    )
    assert result.text == telemetry.canary
    assert_heard(telemetry, content=(OUTPUT,))


async def test_a_transcript_that_is_waited_for_is_one_span_with_its_usage_async(
    async_client: Any, telemetry: Any
) -> None:
    result = await stt(async_client).transcribe_and_wait_with_tokens(
        model=MODEL, file=telemetry.canary.encode(), wait_interval_sec=0.05
    )
    assert result.text == telemetry.canary
    assert_heard(telemetry, content=(OUTPUT,))


def test_a_job_that_is_only_started_names_its_model(client: Any, telemetry: Any) -> None:
    job = stt(client).transcribe(
        model=MODEL, audio_url=f"https://bucket.example/a.wav?signature={telemetry.canary}"
    )
    found = assert_heard(telemetry, **{SECONDS: None})
    assert found["gen_ai.response.status"] == "queued"
    assert found["gen_ai.response.id"] == job.id
    assert telemetry.canary.encode() not in telemetry.wire()


def test_waiting_for_a_job_brings_its_usage(client: Any, telemetry: Any) -> None:
    job = stt(client).create(model=MODEL, audio_url="https://bucket.example/a.wav")
    stt(client).wait(job.id, interval_sec=0.05)
    started, waited = telemetry.spans()
    assert SECONDS not in started.attributes
    assert waited.attributes[SECONDS] == fake.MILLISECONDS / 1000


def test_a_failed_job_is_an_error_though_nothing_is_raised(client: Any, telemetry: Any) -> None:
    job = stt(client).transcribe_and_wait(
        model=MODEL, file=f"{fake.FAILS} {telemetry.canary}".encode(), wait_interval_sec=0.05
    )
    assert telemetry.canary in job.error_message
    assert_heard(telemetry, error="invalid_audio")


async def test_a_failed_job_is_an_error_though_nothing_is_raised_async(
    async_client: Any, telemetry: Any
) -> None:
    await stt(async_client).transcribe_and_wait(
        model=MODEL, file=f"{fake.FAILS} {telemetry.canary}".encode(), wait_interval_sec=0.05
    )
    assert_heard(telemetry, error="invalid_audio")


def test_a_refusal_passes_through_and_is_an_error(client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/soniox/v1/transcriptions", status=400)
    with pytest.raises(SonioxError) as caught:
        stt(client).transcribe(model=MODEL, audio_url=f"https://example/{telemetry.canary}")
    assert_heard(
        telemetry, error=type(caught.value).__name__, **{SECONDS: None, "gen_ai.response.model": None}
    )


async def test_a_cancelled_transcription_is_cancelled(
    async_client: Any, telemetry: Any, server: FakeServer
) -> None:
    server.fail("/soniox/*", delay=5)
    task = asyncio.ensure_future(stt(async_client).transcribe(model=MODEL, file=telemetry.canary.encode()))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_heard(
        telemetry,
        error="CancelledError",
        reason="cancelled",
        **{SECONDS: None, "gen_ai.response.model": None},
    )


# live transcription


def assert_live(telemetry: Any, seconds: Any, **more: Any) -> Any:
    found = assert_span(
        telemetry,
        STT,
        "soniox",
        stream=True,
        model=LIVE,
        **{"content": (OUTPUT,), SECONDS: seconds, **more},
    )
    assert_nowhere(telemetry, KEY)
    return found


def session(client: Any, **more: Any) -> Any:
    return client.realtime.stt.connect(config=RealtimeSTTConfig(model=LIVE, **more))


def finish(live: Any) -> Any:
    return live.finish() if hasattr(live, "finish") else live.send_finish()


TOTAL = fake.STREAMED_MILLISECONDS / 1000


def test_a_session_counts_what_the_server_heard(client: Any, telemetry: Any) -> None:
    with session(client) as live:
        assert type(live).__name__ == "RealtimeSTTSession"
        for _ in range(2):
            live.send_byte_chunk(telemetry.canary.encode())
        finish(live)
        events = list(live.receive_events())
    assert events[-1].finished
    found = assert_live(telemetry, TOTAL)
    assert FIRST in found
    if not telemetry.zdr:
        assert found[OUTPUT].count(telemetry.canary) == 2  # final tokens only, joined
        assert "<end>" not in found[OUTPUT]


async def test_a_session_counts_what_the_server_heard_async(async_client: Any, telemetry: Any) -> None:
    async with session(async_client) as live:
        await live.send_byte_chunk(telemetry.canary.encode())
        await finish(live)
        assert [event async for event in live.receive_events()]
    assert_live(telemetry, TOTAL / 2)


def test_the_alias_of_enter_starts_a_session_too(client: Any, telemetry: Any) -> None:
    live = session(client).enter()
    live.send_byte_chunk(telemetry.canary.encode())
    live.receive_event()
    live.receive_event()
    live.close()
    assert_live(telemetry, TOTAL / 2, reason="interrupted")


@pytest.mark.parametrize("alias", ["enter", "aenter"])
async def test_the_aliases_of_enter_start_a_session_too_async(
    async_client: Any, telemetry: Any, alias: str
) -> None:
    live = session(async_client)
    if not hasattr(live, alias):
        pytest.skip("not in this version")
    await getattr(live, alias)()
    await live.send_byte_chunk(telemetry.canary.encode())
    await live.receive_event()
    await live.receive_event()
    await live.close()
    assert_live(telemetry, TOTAL / 2, reason="interrupted")


def test_a_session_without_an_answer_counts_the_audio_it_sent(client: Any, telemetry: Any) -> None:
    with session(client, audio_format="pcm_s16le", sample_rate=16000, num_channels=1) as live:
        live.send_byte_chunk(bytes(32000))
    assert_live(telemetry, 1.0, reason="interrupted", content=())


def test_an_error_event_is_an_error(client: Any, telemetry: Any) -> None:
    with session(client) as live:
        live.send_byte_chunk(f"{fake.ERROR_EVENT} {telemetry.canary}".encode())
        event = live.receive_event()
        assert telemetry.canary in event.error_message
    assert_live(telemetry, None, error="503", content=())


def test_a_session_the_server_cuts_is_an_error(client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/soniox/*", close_after=1, close_code=1011)
    with session(client) as live:
        live.send_byte_chunk(telemetry.canary.encode())
        assert len(list(live.receive_events())) == 1  # the client hides how it ended
        assert telemetry.spans()
    assert_live(telemetry, TOTAL / 2, error="ConnectionClosed", content=())


def test_a_refused_session_is_an_error(client: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/soniox/*", status=401)
    with pytest.raises(SonioxError), session(client):
        pass
    assert_live(telemetry, None, error="SonioxRealtimeError", content=())


async def test_a_cancelled_session_is_cancelled(async_client: Any, telemetry: Any) -> None:
    async def listen() -> None:
        async with session(async_client) as live:
            await live.send_byte_chunk(telemetry.canary.encode())
            async for _ in live.receive_events():
                pass

    task = asyncio.ensure_future(listen())
    await asyncio.sleep(0.4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_live(telemetry, TOTAL / 2, error="CancelledError", reason="cancelled")


# speech (not in the oldest versions)


def assert_spoken(telemetry: Any, *, stream: bool, characters: int | None = None, **more: Any) -> Any:
    found = assert_span(
        telemetry,
        TTS,
        "soniox",
        stream=stream,
        model="tts-rt-v1",
        **{
            "content": (INPUT,),
            "gen_ai.output.type": "speech",
            CHARACTERS: len(f"say {telemetry.canary}") if characters is None else characters,
            **more,
        },
    )
    assert_nowhere(telemetry, KEY)
    return found


@pytest.fixture
def speaking(client: Any) -> Any:
    if not hasattr(client, "tts"):
        pytest.skip("this version has no speech")
    return client


@pytest.fixture
def speaking_async(async_client: Any) -> Any:
    if not hasattr(async_client, "tts"):
        pytest.skip("this version has no speech")
    return async_client


def said(telemetry: Any) -> dict[str, Any]:
    return {"text": f"say {telemetry.canary}", "voice": "Adrian", "model": "tts-rt-v1", "language": "en"}


def test_speech_in_one_piece(speaking: Any, telemetry: Any) -> None:
    assert speaking.tts.generate(**said(telemetry)) == fake.AUDIO
    assert_spoken(telemetry, stream=False)


async def test_speech_in_one_piece_async(speaking_async: Any, telemetry: Any) -> None:
    assert await speaking_async.tts.generate(**said(telemetry)) == fake.AUDIO
    assert_spoken(telemetry, stream=False)


def test_speech_to_a_file_is_one_span(speaking: Any, telemetry: Any, tmp_path: Any) -> None:
    speaking.tts.generate_to_file(tmp_path / "speech.wav", **said(telemetry))
    assert_spoken(telemetry, stream=False)


def test_refused_speech_is_an_error(speaking: Any, telemetry: Any, server: FakeServer) -> None:
    server.fail("/soniox/*", status=400)
    with pytest.raises(SonioxError) as caught:
        speaking.tts.generate(**said(telemetry))
    assert_spoken(telemetry, stream=False, error=type(caught.value).__name__)


def speech_config(stream: str = "stream-1") -> Any:
    from soniox.types.realtime import RealtimeTTSConfig

    return RealtimeTTSConfig(
        stream_id=stream, model="tts-rt-v1", language="en", voice="Adrian", audio_format="wav"
    )


def test_live_speech_counts_the_text(speaking: Any, telemetry: Any) -> None:
    with speaking.realtime.tts.connect(config=speech_config()) as live:
        live.send_text_chunks(iter(["say ", telemetry.canary]))
        assert list(live.receive_audio_chunks()) == [fake.AUDIO] * 2
    assert FIRST in assert_spoken(telemetry, stream=True)


async def test_live_speech_counts_the_text_async(speaking_async: Any, telemetry: Any) -> None:
    async with speaking_async.realtime.tts.connect(config=speech_config()) as live:
        await live.send_text_chunk(f"say {telemetry.canary}", text_end=True)
        assert [chunk async for chunk in live.receive_audio_chunks()]
    assert_spoken(telemetry, stream=True)


def test_live_speech_left_early_is_interrupted(speaking: Any, telemetry: Any) -> None:
    with speaking.realtime.tts.connect(config=speech_config()) as live:
        live.send_text_chunk(f"say {telemetry.canary}", text_end=True)
        live.receive_event()
    assert_spoken(telemetry, stream=True, reason="interrupted")


def test_an_error_event_of_live_speech_is_an_error(speaking: Any, telemetry: Any) -> None:
    text = f"{fake.ERROR_EVENT} {telemetry.canary}"
    with speaking.realtime.tts.connect(config=speech_config()) as live:
        live.send_text_chunk(text)
        with pytest.raises(SonioxError):
            live.receive_event()
    assert_spoken(telemetry, stream=True, error="400", characters=len(text))


def test_streams_of_one_connection_are_a_span_each(speaking: Any, telemetry: Any) -> None:
    with speaking.realtime.tts.connect_multi_stream() as connection:
        streams = [connection.open_stream(config=speech_config(f"stream-{index}")) for index in range(2)]
        for stream, text in zip(streams, ("one", f"say {telemetry.canary}"), strict=True):
            stream.send_text_chunk(text, text_end=True)
        for stream in reversed(streams):
            assert list(stream.receive_audio_chunks()) == [fake.AUDIO] * 2
        unread = connection.open_stream(config=speech_config("stream-unread"))
        assert unread.stream_id
    finished = telemetry.spans()
    assert sorted(span.attributes[CHARACTERS] for span in finished) == [0, 3, len(f"say {telemetry.canary}")]
    assert [span.attributes.get("otel_zdr.response.end_reason") for span in finished] == [
        None,
        None,
        "interrupted",
    ]
    telemetry.assert_content(INPUT)


async def test_streams_of_one_connection_are_a_span_each_async(speaking_async: Any, telemetry: Any) -> None:
    async with speaking_async.realtime.tts.connect_multi_stream() as connection:
        stream = await connection.open_stream(config=speech_config())
        await stream.send_text_chunk(f"say {telemetry.canary}", text_end=True)
        assert [chunk async for chunk in stream.receive_audio_chunks()]
    assert_spoken(telemetry, stream=True)
