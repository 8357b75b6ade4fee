"""What all speech instrumentors owe the application: they leave as they came, step aside, never double."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_zdr.instrumentation.assemblyai import AssemblyAIInstrumentor
from otel_zdr.instrumentation.cartesia import CartesiaInstrumentor
from otel_zdr.instrumentation.deepgram import DeepgramInstrumentor
from otel_zdr.instrumentation.elevenlabs import ElevenLabsInstrumentor
from otel_zdr.instrumentation.soniox import SonioxInstrumentor
from tests.fakes.server import FakeServer

ALL = (
    AssemblyAIInstrumentor,
    CartesiaInstrumentor,
    DeepgramInstrumentor,
    ElevenLabsInstrumentor,
    SonioxInstrumentor,
)
TARGETS = [
    (AssemblyAIInstrumentor, "assemblyai.prerecorded.v2.client", "Transcriber", "transcribe"),
    (AssemblyAIInstrumentor, "assemblyai.streaming.v3.client", "StreamingClient", "_handle_message"),
    (CartesiaInstrumentor, "cartesia.resources.tts", "TTSResource", "sse"),
    (CartesiaInstrumentor, "cartesia.resources.tts", "TTSResourceConnection", "parse_event"),
    (DeepgramInstrumentor, "deepgram.listen.v1.client", "V1Client", "connect"),
    (DeepgramInstrumentor, "deepgram.speak.v1.audio.raw_client", "AsyncRawAudioClient", "generate"),
    (ElevenLabsInstrumentor, "elevenlabs.text_to_speech.raw_client", "RawTextToSpeechClient", "stream"),
    (SonioxInstrumentor, "soniox.realtime.stt", "RealtimeSTTSession", "enter"),
    (SonioxInstrumentor, "soniox.realtime.stt", "RealtimeSTTSession", "__enter__"),
]


@pytest.mark.parametrize(("kind", "module", "name", "method"), TARGETS)
def test_uninstrumenting_restores_the_clients_own_function(
    telemetry: Any, kind: Any, module: str, name: str, method: str
) -> None:
    pytest.importorskip(module.partition(".")[0])
    owner = getattr(importlib.import_module(module), name)
    original = inspect.getattr_static(owner, method)
    instrumentor = kind()
    instrumentor.instrument(**telemetry.providers)
    try:
        assert inspect.getattr_static(owner, method) is not original
    finally:
        instrumentor.uninstrument()
    assert inspect.getattr_static(owner, method) is original


@pytest.fixture
def speak(server: FakeServer) -> Callable[[], None]:
    """A call of each kind of result: bytes, a stream, a context manager, a socket, a job."""
    cartesia = pytest.importorskip("cartesia")
    soniox = pytest.importorskip("soniox")
    from soniox.types.realtime import RealtimeSTTConfig

    speech = cartesia.Cartesia(
        api_key="k",
        base_url=f"{server.url}/cartesia",
        websocket_base_url=f"{server.ws_url}/cartesia",
    )
    voice, raw = (
        {"mode": "id", "id": "v"},
        {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100},
    )
    said: Any = {"model_id": "sonic-3", "transcript": "abc", "voice": voice, "output_format": raw}
    listening = soniox.SonioxClient(
        api_key="k",
        api_base_url=f"{server.url}/soniox/v1",
        websocket_base_url=f"{server.ws_url}/soniox/transcribe-websocket",
    )
    files = listening.stt if hasattr(listening, "stt") else listening.transcriptions

    def run() -> None:
        speech.tts.generate(**said).read()
        list(speech.tts.generate_sse(**said))
        with speech.tts.websocket_connect() as connection:
            context = connection.context()
            context.send(continue_=False, **said)
            list(context.receive())
        with listening.realtime.stt.connect(config=RealtimeSTTConfig(model="stt-rt-v4")) as live:
            live.send_byte_chunk(b"abc")
            live.receive_event()
        files.transcribe_and_wait(model="m", file=b"abc", wait_interval_sec=0.05)

    return run


def test_all_together_make_one_span_a_call(
    telemetry: Any, instrument: Callable[[Any], Any], speak: Callable[[], None]
) -> None:
    for kind in ALL:
        instrument(kind)
    speak()
    names = [span.name for span in telemetry.spans()]
    assert names == [
        "text_to_speech sonic-3",
        "text_to_speech sonic-3",
        "text_to_speech sonic-3",
        "speech_to_text stt-rt-v4",
        "speech_to_text m",
    ]


def test_suppressed_there_is_no_span(
    telemetry: Any, instrument: Callable[[Any], Any], speak: Callable[[], None]
) -> None:
    for kind in ALL:
        instrument(kind)
    with suppress_instrumentation():
        speak()
    assert telemetry.spans() == []
