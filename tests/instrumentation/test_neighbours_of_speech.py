"""Where another instrumentor's wrapper covers a call, ours step aside; where it has gone, they are back."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import wrapt

from otel_zdr.instrumentation.assemblyai import AssemblyAIInstrumentor
from otel_zdr.instrumentation.cartesia import CartesiaInstrumentor
from otel_zdr.instrumentation.deepgram import DeepgramInstrumentor
from otel_zdr.instrumentation.elevenlabs import ElevenLabsInstrumentor
from otel_zdr.instrumentation.inworld import InworldInstrumentor
from otel_zdr.instrumentation.soniox import SonioxInstrumentor
from tests.fakes.server import FakeServer

AUDIO: Any = {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100}
SPOKEN: Any = {"model_id": "sonic-3", "transcript": "abc", "voice": {"mode": "id", "id": "v"}}


def deepgram(server: FakeServer) -> None:
    from tests.instrumentation.test_deepgram import environment

    sdk = importlib.import_module("deepgram")
    client = sdk.DeepgramClient(api_key="k", environment=environment(server))
    list(client.speak.v1.audio.generate(text="abc", model="aura-2"))


def elevenlabs(server: FakeServer) -> None:
    from tests.instrumentation.test_elevenlabs import made

    client = made(importlib.import_module("elevenlabs.client").ElevenLabs, server)
    list(client.text_to_speech.convert(voice_id="v", text="abc"))


def cartesia(server: FakeServer) -> None:
    client = importlib.import_module("cartesia").Cartesia(api_key="k", base_url=f"{server.url}/cartesia")
    client.tts.generate(**SPOKEN, output_format=AUDIO).read()


def assemblyai(server: FakeServer) -> None:
    aai = importlib.import_module("assemblyai")
    settings = aai.Settings(api_key="k", base_url=f"{server.url}/assemblyai", polling_interval=0.05)
    config = aai.TranscriptionConfig(speech_model="universal")
    aai.Transcriber(client=aai.Client(settings=settings)).transcribe(b"abc", config)


def soniox(server: FakeServer) -> None:
    client = importlib.import_module("soniox").SonioxClient(
        api_key="k", api_base_url=f"{server.url}/soniox/v1"
    )
    files = client.stt if hasattr(client, "stt") else client.transcriptions
    files.transcribe_and_wait(model="m", file=b"abc", wait_interval_sec=0.05)


def inworld(server: FakeServer) -> None:
    importlib.import_module("inworld_tts").InworldTTS(api_key="k", base_url=server.url).generate(
        "abc", voice="narrator", play=False
    )


# the class that applications use, which is what others wrap
CALLS = [
    pytest.param(
        DeepgramInstrumentor,
        deepgram,
        "deepgram.speak.v1.audio.client",
        "AudioClient.generate",
        id="deepgram",
    ),
    pytest.param(
        ElevenLabsInstrumentor,
        elevenlabs,
        "elevenlabs.text_to_speech.client",
        "TextToSpeechClient.convert",
        id="elevenlabs",
    ),
    pytest.param(
        CartesiaInstrumentor, cartesia, "cartesia.resources.tts", "TTSResource.generate", id="cartesia"
    ),
    pytest.param(
        AssemblyAIInstrumentor,
        assemblyai,
        "assemblyai.prerecorded.v2.client",
        "Transcriber.transcribe",
        id="assemblyai",
    ),
    pytest.param(SonioxInstrumentor, soniox, "soniox.api.stt", "SttAPI.transcribe_and_wait", id="soniox"),
    pytest.param(InworldInstrumentor, inworld, "inworld_tts", "InworldTTS.generate", id="inworld"),
]


@pytest.fixture
def neighbour() -> Iterator[Callable[[str, str], Callable[[], None]]]:
    """Wraps a method as an instrumentor of another vendor does; returns what takes the wrapper off again."""
    taking_off: list[Callable[[], None]] = []
    source = "def wrapper(wrapped, instance, args, kwargs):\n    return wrapped(*args, **kwargs)\n"
    theirs = types.ModuleType("openlit.instrumentation.speech")
    exec(source, vars(theirs))

    def wrap(module: str, name: str) -> Callable[[], None]:
        owner, _, method = name.partition(".")
        cls = getattr(importlib.import_module(module), owner)
        before = inspect.getattr_static(cls, method)
        wrapt.wrap_function_wrapper(cls, method, theirs.wrapper)

        def take_off() -> None:
            setattr(cls, method, before)

        taking_off.append(take_off)
        return take_off

    yield wrap
    for take_off in taking_off:
        take_off()


@pytest.mark.parametrize(("kind", "call", "module", "method"), CALLS)
@pytest.mark.parametrize("ours_first", [True, False], ids=["ours_first", "theirs_first"])
def test_a_call_that_a_neighbour_covers_makes_no_span_of_ours(
    telemetry: Any,
    instrument: Callable[[Any], Any],
    server: FakeServer,
    neighbour: Callable[[str, str], Callable[[], None]],
    kind: Any,
    call: Callable[[FakeServer], None],
    module: str,
    method: str,
    ours_first: bool,
) -> None:
    pytest.importorskip(module.partition(".")[0])
    try:
        importlib.import_module(module)
    except ModuleNotFoundError:
        pytest.skip("this version has another module")
    if ours_first:
        instrument(kind)
    take_off = neighbour(module, method)
    if not ours_first:
        instrument(kind)
    call(server)
    assert telemetry.spans() == []
    if ours_first:
        take_off()
        call(server)
        assert len(telemetry.spans()) == 1
