"""Calls of the real assemblyai client against a server on loopback, each under ZDR and not."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("assemblyai")

import assemblyai as aai
from assemblyai.streaming.v3 import (
    StreamingClient,
    StreamingClientOptions,
    StreamingEvents,
    StreamingParameters,
)

from otel_zdr.instrumentation.assemblyai import AssemblyAIInstrumentor
from tests.fakes import assemblyai as fake
from tests.fakes.server import FakeServer
from tests.instrumentation.speech_checks import OUTPUT, STT, assert_nowhere, assert_span, wait_until

KEY = f"key-{uuid.uuid4()}"
MODEL = "universal"
SECONDS = "otel_zdr.usage.audio_seconds"


@pytest.fixture
def settings(server: FakeServer) -> Any:
    return aai.Settings(api_key=KEY, base_url=f"{server.url}/assemblyai", polling_interval=0.05)


@pytest.fixture
def transcriber(settings: Any, telemetry: Any, instrument: Callable[[Any], Any]) -> Any:
    instrument(AssemblyAIInstrumentor)
    return aai.Transcriber(client=aai.Client(settings=settings), max_workers=2)


@pytest.fixture
def async_transcriber(settings: Any, telemetry: Any, instrument: Callable[[Any], Any]) -> Any:
    instrument(AssemblyAIInstrumentor)
    from assemblyai import AsyncTranscriber
    from assemblyai.async_client import AsyncClient

    return AsyncTranscriber(client=AsyncClient(settings=settings))


@pytest.fixture
def config(telemetry: Any) -> Any:
    return aai.TranscriptionConfig(
        speech_model=aai.SpeechModel.universal, word_boost=[f"term {telemetry.canary}"]
    )


def assert_heard(telemetry: Any, *, jobs: int = 1, error: str | None = None, seconds: Any = ...) -> Any:
    found = assert_span(
        telemetry,
        STT,
        "assemblyai",
        stream=False,
        model=MODEL,
        error=error,
        content=() if error else (OUTPUT,),
        **{SECONDS: fake.SECONDS * jobs if seconds is ... else seconds},
    )
    assert_nowhere(telemetry, KEY, "signature=")
    return found


def test_a_file_is_transcribed(transcriber: Any, telemetry: Any, config: Any) -> None:
    transcript = transcriber.transcribe(telemetry.canary.encode(), config)
    assert type(transcript) is aai.Transcript
    assert transcript.text == telemetry.canary
    found = assert_heard(telemetry)
    assert found["gen_ai.response.model"] == "universal-2"
    assert found["gen_ai.response.id"] == transcript.id
    assert found["gen_ai.response.status"] == "completed"


def test_the_clients_own_configuration_names_the_model(transcriber: Any, telemetry: Any, config: Any) -> None:
    transcriber.config = config
    transcriber.transcribe(telemetry.canary.encode())
    assert_heard(telemetry)


async def test_a_file_is_transcribed_async(async_transcriber: Any, telemetry: Any, config: Any) -> None:
    transcript = await async_transcriber.transcribe(telemetry.canary.encode(), config)
    assert transcript.text == telemetry.canary
    assert_heard(telemetry)


def test_a_future_ends_its_span_when_it_is_done(transcriber: Any, telemetry: Any, config: Any) -> None:
    future = transcriber.transcribe_async(telemetry.canary.encode(), config)
    assert future.result(10).text == telemetry.canary
    wait_until(telemetry.spans)  # a future wakes its waiters before it calls back
    assert_heard(telemetry)


def test_a_submitted_job_is_one_span_without_usage(transcriber: Any, telemetry: Any, config: Any) -> None:
    job = transcriber.submit(telemetry.canary.encode(), config)
    found = assert_span(telemetry, STT, "assemblyai", stream=False, model=MODEL, **{SECONDS: None})
    assert found["gen_ai.response.status"] == "queued"
    assert found["gen_ai.response.id"] == job.id


def assert_submitted_then_heard(telemetry: Any, job: Any) -> None:
    """Two spans; the second one has the usage, once."""
    first, second = telemetry.spans()
    assert [span.name.partition(" ")[0] for span in (first, second)] == [STT, STT]
    assert SECONDS not in first.attributes
    assert second.attributes[SECONDS] == fake.SECONDS
    assert second.attributes["gen_ai.response.id"] == job.id
    assert second.attributes["gen_ai.response.status"] == "completed"
    assert second.attributes["server.address"] == "127.0.0.1"
    telemetry.assert_content(OUTPUT)
    assert_nowhere(telemetry, KEY, "signature=")


def test_waiting_for_a_submitted_job_is_a_second_span_with_its_usage(
    transcriber: Any, telemetry: Any, config: Any
) -> None:
    job = transcriber.submit(telemetry.canary.encode(), config)
    assert job.wait_for_completion() is job
    job.wait_for_completion()  # nothing new
    assert_submitted_then_heard(telemetry, job)


def test_waiting_in_the_clients_pool_does_the_same(transcriber: Any, telemetry: Any, config: Any) -> None:
    job = transcriber.submit(telemetry.canary.encode(), config)
    assert job.wait_for_completion_async().result(10) is job
    wait_until(lambda: len(telemetry.spans()) == 2)
    assert_submitted_then_heard(telemetry, job)


async def test_waiting_for_a_submitted_job_does_the_same_async(
    async_transcriber: Any, telemetry: Any, config: Any
) -> None:
    job = await async_transcriber.submit(telemetry.canary.encode(), config)
    await job.wait_for_completion()
    assert_submitted_then_heard(telemetry, job)


async def test_a_job_looked_up_is_counted_once(async_transcriber: Any, telemetry: Any, config: Any) -> None:
    job = await async_transcriber.submit(telemetry.canary.encode(), config)
    for _ in range(2):
        assert (await async_transcriber.get_by_id(job.id)).text == telemetry.canary
    assert_submitted_then_heard(telemetry, job)


def test_a_job_looked_up_by_its_id_is_one_span(
    transcriber: Any, telemetry: Any, config: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("api_key", "base_url", "polling_interval"):
        monkeypatch.setattr(aai.settings, name, getattr(settings, name))
    job = transcriber.submit(telemetry.canary.encode(), config)
    assert aai.Transcript.get_by_id(job.id).text == telemetry.canary
    assert_submitted_then_heard(telemetry, job)


def test_a_submitted_job_that_fails_is_an_error_when_waited_for(
    transcriber: Any, telemetry: Any, config: Any
) -> None:
    transcriber.submit(f"{fake.FAILS} {telemetry.canary}".encode(), config).wait_for_completion()
    assert telemetry.spans()[1].attributes["error.type"] == "TranscriptError"
    telemetry.assert_content()


def test_a_group_is_one_span_with_the_sum(transcriber: Any, telemetry: Any, config: Any) -> None:
    group = transcriber.transcribe_group([telemetry.canary.encode(), b"two"], config)
    assert type(group) is aai.TranscriptGroup
    assert_heard(telemetry, jobs=2)


async def test_a_group_is_one_span_with_the_sum_async(
    async_transcriber: Any, telemetry: Any, config: Any
) -> None:
    group = await async_transcriber.transcribe_group([telemetry.canary.encode(), b"two"], config)
    assert len(group) == 2
    assert_heard(telemetry, jobs=2)


def test_a_failed_job_is_an_error_though_nothing_is_raised(
    transcriber: Any, telemetry: Any, config: Any
) -> None:
    transcript = transcriber.transcribe(f"{fake.FAILS} {telemetry.canary}".encode(), config)
    assert transcript.status == aai.TranscriptStatus.error
    assert telemetry.canary in transcript.error
    assert_heard(telemetry, error="TranscriptError", seconds=None)


async def test_a_failed_job_is_an_error_though_nothing_is_raised_async(
    async_transcriber: Any, telemetry: Any, config: Any
) -> None:
    await async_transcriber.transcribe(f"{fake.FAILS} {telemetry.canary}".encode(), config)
    assert_heard(telemetry, error="TranscriptError", seconds=None)


def test_a_failed_job_of_a_future_is_an_error(transcriber: Any, telemetry: Any, config: Any) -> None:
    future = transcriber.transcribe_async(f"{fake.FAILS} {telemetry.canary}".encode(), config)
    future.result(10)
    wait_until(telemetry.spans)
    assert_heard(telemetry, error="TranscriptError", seconds=None)


def test_one_failed_job_makes_its_group_an_error(transcriber: Any, telemetry: Any, config: Any) -> None:
    audio = [b"good", f"{fake.FAILS} {telemetry.canary}".encode()]
    transcriber.transcribe_group(audio, config)
    assert_heard(telemetry, error="TranscriptError")


def test_a_refusal_passes_through_and_is_an_error(
    transcriber: Any, telemetry: Any, config: Any, server: FakeServer
) -> None:
    server.fail("/assemblyai/v2/transcript", status=400)
    with pytest.raises(aai.AssemblyAIError) as caught:
        transcriber.transcribe(telemetry.canary.encode(), config)
    assert_span(telemetry, STT, "assemblyai", stream=False, model=MODEL, error=type(caught.value).__name__)
    assert_nowhere(telemetry, KEY)


async def test_a_cancelled_transcription_is_cancelled(
    async_transcriber: Any, telemetry: Any, config: Any, server: FakeServer
) -> None:
    server.fail("/assemblyai/*", delay=5)
    task = asyncio.ensure_future(async_transcriber.transcribe(telemetry.canary.encode(), config))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_span(
        telemetry,
        STT,
        "assemblyai",
        stream=False,
        model=MODEL,
        error="CancelledError",
        reason="cancelled",
    )


# streaming


def streaming_options(server: FakeServer) -> StreamingClientOptions:
    return StreamingClientOptions(api_key=KEY, api_host=f"{server.ws_url}/assemblyai")


def parameters(telemetry: Any) -> StreamingParameters:
    return StreamingParameters(
        sample_rate=16000, format_turns=True, keyterms_prompt=[f"term-{telemetry.canary}"]
    )


def assert_live(telemetry: Any, **more: Any) -> Any:
    model = more.pop("model", None)
    found = assert_span(
        telemetry, STT, "assemblyai", stream=True, model=model, **{"content": (OUTPUT,), **more}
    )
    assert_nowhere(telemetry, KEY, "term-")
    return found


class Heard:
    """Collects what the client's handlers get; they run in its reader thread or task."""

    def __init__(self, client: Any) -> None:
        self.turns: list[Any] = []
        self.errors: list[Any] = []
        self.formatted, self.failed = threading.Event(), threading.Event()
        client.on(StreamingEvents.Turn, self.turn)
        client.on(StreamingEvents.Error, self.error)

    def turn(self, client: Any, event: Any) -> None:
        self.turns.append(event)
        if event.turn_is_formatted:
            self.formatted.set()

    def error(self, client: Any, error: Any) -> None:
        self.errors.append(error)
        self.failed.set()


def model_of(telemetry: Any) -> str | None:
    """Newer versions have a default model, which they send."""
    return telemetry.span().attributes.get("gen_ai.request.model")


@pytest.fixture
def streaming(server: FakeServer, telemetry: Any, instrument: Callable[[Any], Any]) -> Iterator[Any]:
    instrument(AssemblyAIInstrumentor)
    client = StreamingClient(streaming_options(server))
    yield client
    client.disconnect()


@pytest.fixture
def connect_parameters(telemetry: Any) -> StreamingParameters:
    try:
        return parameters(telemetry)
    except Exception:  # newer versions ask for a model
        return StreamingParameters(
            sample_rate=16000,
            format_turns=True,
            keyterms_prompt=[f"term-{telemetry.canary}"],
            speech_model="universal-streaming-english",
        )


def test_a_session_counts_what_the_server_heard(
    streaming: Any, telemetry: Any, connect_parameters: Any
) -> None:
    heard = Heard(streaming)
    streaming.connect(connect_parameters)
    streaming.stream(telemetry.canary.encode())
    assert heard.formatted.wait(5)
    streaming.disconnect(terminate=True)
    assert [turn.transcript for turn in heard.turns] == [telemetry.canary] * 3
    found = assert_live(
        telemetry,
        model=model_of(telemetry),
        gen_ai__response__id=fake.SESSION_ID,
        **{SECONDS: fake.STREAMED_SECONDS},
    )
    assert "gen_ai.response.time_to_first_chunk" in found
    if not telemetry.zdr:
        assert found[OUTPUT].count(telemetry.canary) == 1  # the formatted turn replaces the other


def test_a_session_left_without_termination_is_interrupted(
    streaming: Any, telemetry: Any, connect_parameters: Any
) -> None:
    heard = Heard(streaming)
    streaming.connect(connect_parameters)
    streaming.stream(iter([telemetry.canary.encode()]))
    assert heard.formatted.wait(5)
    streaming.disconnect()
    assert_live(telemetry, model=model_of(telemetry), reason="interrupted", **{SECONDS: 1.5})


def test_a_silent_session_counts_the_audio_it_sent(
    streaming: Any, telemetry: Any, connect_parameters: Any, server: FakeServer
) -> None:
    server.fail("/assemblyai/*", delay=3)
    streaming.connect(connect_parameters)
    streaming.stream(bytes(32000))
    streaming.stream(iter([bytes(16000)]))
    streaming.disconnect()
    assert_live(telemetry, model=model_of(telemetry), reason="interrupted", content=(), **{SECONDS: ...})
    assert telemetry.span().attributes[SECONDS] >= 1.0


def test_an_error_of_the_server_is_an_error(streaming: Any, telemetry: Any, connect_parameters: Any) -> None:
    heard = Heard(streaming)
    streaming.connect(connect_parameters)
    streaming.stream(fake.ERROR_EVENT + telemetry.canary.encode())
    assert heard.failed.wait(5)
    assert telemetry.canary in str(heard.errors[0])
    assert_live(telemetry, model=model_of(telemetry), error="3005", content=())


def test_a_session_the_server_cuts_is_an_error(
    streaming: Any, telemetry: Any, connect_parameters: Any, server: FakeServer
) -> None:
    server.fail("/assemblyai/*", close_after=1, close_code=1011)
    heard = Heard(streaming)
    streaming.connect(connect_parameters)
    streaming.stream(telemetry.canary.encode())
    assert heard.failed.wait(5)
    assert_live(telemetry, model=model_of(telemetry), error="ConnectionClosedError", content=())


def test_a_refused_session_is_an_error_though_nothing_is_raised(
    streaming: Any, telemetry: Any, connect_parameters: Any, server: FakeServer
) -> None:
    server.fail("/assemblyai/*", status=401)
    heard = Heard(streaming)
    streaming.connect(connect_parameters)
    assert heard.errors
    found = assert_live(
        telemetry, model=model_of(telemetry), error=type(heard.errors[0]).__name__, content=()
    )
    assert found["error.type"].endswith("Error")


async def test_a_session_of_asyncio_is_the_same(
    server: FakeServer, telemetry: Any, instrument: Callable[[Any], Any], connect_parameters: Any
) -> None:
    from assemblyai.streaming.v3 import AsyncStreamingClient

    instrument(AssemblyAIInstrumentor)
    client = AsyncStreamingClient(streaming_options(server))
    heard = Heard(client)
    await client.connect(connect_parameters)
    await client.stream(telemetry.canary.encode())
    for _ in range(100):
        if heard.formatted.is_set():
            break
        await asyncio.sleep(0.02)
    await client.disconnect(terminate=True)
    assert_live(telemetry, model=model_of(telemetry), **{SECONDS: fake.STREAMED_SECONDS})


async def test_an_error_in_a_session_of_asyncio_is_an_error(
    server: FakeServer, telemetry: Any, instrument: Callable[[Any], Any], connect_parameters: Any
) -> None:
    from assemblyai.streaming.v3 import AsyncStreamingClient

    instrument(AssemblyAIInstrumentor)
    client = AsyncStreamingClient(streaming_options(server))
    heard = Heard(client)
    await client.connect(connect_parameters)
    await client.stream(fake.ERROR_EVENT + telemetry.canary.encode())
    for _ in range(100):
        if heard.failed.is_set():
            break
        await asyncio.sleep(0.02)
    await client.disconnect()
    assert_live(telemetry, model=model_of(telemetry), error="3005", content=())
