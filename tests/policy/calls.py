"""The specification's rows as calls of real clients, and what must be left of each under ZDR.

Inworld's API is `localhost` here, the vendors are `127.0.0.1`: one server, of which only the first name is
listed in `OTEL_ZDR_INWORLD_HOSTS`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import assemblyai
import cartesia
import deepgram
import groq
import inworld_tts
import openai
import requests
import soniox
import websockets.sync.client
from deepgram.environment import DeepgramClientEnvironment
from elevenlabs import VoiceSettings
from elevenlabs.client import ElevenLabs

from otel_zdr.testing import canary
from tests.fakes import assemblyai as assemblyai_fake
from tests.fakes import deepgram as deepgram_fake
from tests.fakes import elevenlabs as elevenlabs_fake
from tests.fakes import soniox as soniox_fake
from tests.fakes.server import FakeServer

CHARACTERS, SECONDS = "otel_zdr.usage.characters", "otel_zdr.usage.audio_seconds"
TOKENS = {"gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 7}
STT_MODELS = (
    "inworld/inworld-stt-1",
    "assemblyai/universal-streaming",
    "groq/whisper-large-v3",
    "soniox/stt-rt-v4",
    "soniox/stt-rt-v5",
    "deepgram/flux-general-en",
    "deepgram/flux-general-multi",
)


class Site:
    """Where the calls go, and the texts they carry: one for each kind, made for this test."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.port = int(server.host.rpartition(":")[2])
        self.inworld = f"localhost:{self.port}"
        self.texts: dict[str, str] = {}

    def text(self, kind: str) -> str:
        return self.texts.setdefault(kind, canary(kind))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        url, headers = f"http://{self.inworld}{path}", {"Authorization": "Basic key"}
        answer = requests.post(url, json=body, headers=headers, timeout=20)
        answer.raise_for_status()
        return answer

    def base64(self, kind: str) -> str:
        return base64.b64encode(self.text(kind).encode()).decode()


@dataclass
class Case:
    """One call. `left`: attributes that must be there afterwards, with their values (`...`: any).

    sent: the kinds of content that really go out with it. shown: those that telemetry of a workspace that
    is not under ZDR shows, the positive control.
    """

    name: str
    call: Callable[[Site], Any]
    product: str
    coverage: str
    reason: str = ""
    left: dict[str, Any] = field(default_factory=dict)
    sent: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    provider: str | None = None
    model: str | None = None
    mode: str = "sync"
    via: str = "inworld"


# speech


def _inworld(site: Site) -> Any:
    return inworld_tts.InworldTTS(api_key="key", base_url=f"http://{site.inworld}", max_retries=0)


def speak(voice: str) -> Callable[[Site], Any]:
    return lambda site: _inworld(site).generate(site.text("text"), voice=voice, model="inworld-tts-2")


def speak_plainly(path: str) -> Callable[[Site], Any]:
    def call(site: Site) -> Any:
        body = {"text": site.text("text"), "voiceId": "workspace-1__cloned", "modelId": "inworld-tts-2"}
        return site.post(path, {**body, "timestampType": "WORD"}).content

    return call


def speak_through_a_socket(site: Site) -> None:
    with websockets.sync.client.connect(f"ws://{site.inworld}/tts/v1/voice:streamBidirectional") as socket:
        create = {"voiceId": "workspace-1__cloned", "modelId": "inworld-tts-2"}
        socket.send(json.dumps({"create": create, "contextId": "a"}))
        message = {"text": site.text("text"), "flush_context": {}}
        socket.send(json.dumps({"send_text": message, "contextId": "a"}))
        while "flushCompleted" not in json.loads(socket.recv(timeout=10))["result"]:
            pass


def speak_through_the_router(site: Site) -> None:
    body = {"model": "inworld-tts-2", "input": site.text("text"), "voice": "x"}
    site.post("/v1/audio/speech", body)


def clone_plainly(site: Site) -> None:
    sample = {"audioData": site.base64("voice sample"), "transcription": site.text("transcript of a sample")}
    body = {"displayName": site.text("name"), "langCode": "EN_US", "voiceSamples": [sample]}
    site.post("/voices/v1/voices:clone", body)


def clone(site: Site) -> None:
    _inworld(site).clone_voice(
        [site.text("voice sample").encode()],
        transcriptions=[site.text("transcript of a sample")],
        display_name=site.text("name"),
    )


def design_plainly(site: Site) -> None:
    body = {"designPrompt": site.text("description"), "previewText": site.text("script"), "langCode": "EN_US"}
    site.post("/voices/v1/voices:design", {**body, "voiceDesignConfig": {"numberOfSamples": 1}})


def design(site: Site) -> None:
    _inworld(site).design_voice(design_prompt=site.text("description"), preview_text=site.text("script"))


def transcribe(model: str) -> Callable[[Site], Any]:
    def call(site: Site) -> None:
        audio = {"content": site.base64("transcript")}
        site.post("/stt/v1/transcribe", {"transcribeConfig": {"modelId": model}, "audioData": audio})

    return call


def transcribe_streaming(model: str) -> Callable[[Site], Any]:
    def call(site: Site) -> None:
        url = f"ws://{site.inworld}/stt/v1/transcribe:streamBidirectional"
        with websockets.sync.client.connect(url) as socket:
            socket.send(json.dumps({"transcribeConfig": {"modelId": model}}))
            socket.send(json.dumps({"audioChunk": {"content": site.base64("transcript")}}))
            socket.send(json.dumps({"endTurn": {}}))
            socket.send(json.dumps({"closeStream": {}}))
            for _ in socket:
                pass

    return call


# chat


def _conversation(site: Site) -> dict[str, Any]:
    function = {"name": "look_up", "arguments": json.dumps({"q": site.text("tool arguments")})}
    schema = {"type": "object", "properties": {"q": {"description": site.text("tool definition")}}}
    return {
        "messages": [
            {"role": "system", "content": site.text("system prompt")},
            {"role": "user", "content": site.text("prompt")},
            {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": "c1", "content": site.text("tool result")},
        ],
        "tools": [{"type": "function", "function": {"name": "look_up", "parameters": schema}}],
    }


CONVERSATION = ("system prompt", "prompt", "tool arguments", "tool result", "tool definition")


def chat(model: str, host: str | None = None, **more: Any) -> Callable[[Site], Any]:
    """A conversation with the openai client: with Inworld's router, or with `host`."""

    def call(site: Site) -> Any:
        client = openai.OpenAI(
            api_key="key",
            base_url=f"http://{host or site.inworld}/v1",
            max_retries=0,
            http_client=_to_loopback(site) if host else None,
        )
        answer = client.chat.completions.create(model=model, **_conversation(site), **more)
        return list(answer) if more.get("stream") else answer

    return call


def _to_loopback(site: Site) -> Any:
    """The client's own HTTP client; whatever host it is asked for, the server on loopback answers."""

    class ToLoopback(openai.DefaultHttpxClient):
        def send(self, request: Any, **more: Any) -> Any:
            request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=site.port)
            return super().send(request, **more)

    return ToLoopback()


def chat_plainly(path: str, model: str) -> Callable[[Site], Any]:
    def call(site: Site) -> None:
        message = {"role": "user", "content": site.text("prompt")}
        body: dict[str, Any] = {"model": model}
        body |= {"input": [message]} if path.endswith("responses") else {"messages": [message]}
        if path.endswith("messages"):
            body["max_tokens"] = 9
        site.post(path, body)

    return call


# vendors, called directly


def vendor_groq(site: Site) -> None:
    client = groq.Groq(api_key="key", base_url=f"http://127.0.0.1:{site.port}/groq", max_retries=0)
    message: Any = {"role": "user", "content": site.text("prompt")}
    client.chat.completions.create(model="llama-3.3-70b-versatile", messages=[message])


def _deepgram(site: Site, **more: Any) -> None:
    http, ws = f"http://127.0.0.1:{site.port}/deepgram", f"ws://127.0.0.1:{site.port}/deepgram"
    try:
        environment = DeepgramClientEnvironment(base=http, production=ws, agent=ws, agent_rest=http)
    except TypeError:  # version 5
        environment = DeepgramClientEnvironment(base=http, production=ws, agent=ws, preview=ws)
    client = deepgram.DeepgramClient(api_key="key", environment=environment)
    audio = site.text("transcript").encode()
    client.listen.v1.media.transcribe_file(request=audio, model="nova-2", **more)


def vendor_deepgram(site: Site) -> None:
    _deepgram(site)


def vendor_deepgram_with_its_hint(site: Site) -> None:
    _deepgram(site, request_options={"additional_query_parameters": {"mip_opt_out": "true"}})


def vendor_assemblyai(site: Site) -> None:
    settings = assemblyai.Settings(
        api_key="key", base_url=f"http://127.0.0.1:{site.port}/assemblyai", polling_interval=0.05
    )
    transcriber = assemblyai.Transcriber(client=assemblyai.Client(settings=settings))
    config = assemblyai.TranscriptionConfig(speech_model=assemblyai.SpeechModel.universal)
    transcriber.transcribe(site.text("transcript").encode(), config)


def vendor_soniox(site: Site) -> None:
    addresses = {
        "api_base_url": f"http://127.0.0.1:{site.port}/soniox/v1",
        "websocket_base_url": f"ws://127.0.0.1:{site.port}/soniox/transcribe-websocket",
    }
    client: Any = soniox.SonioxClient(api_key="key", **addresses)
    files = client.stt if hasattr(client, "stt") else client.transcriptions
    files.transcribe_and_wait_with_tokens(
        model="stt-async-v4", file=site.text("transcript").encode(), wait_interval_sec=0.05
    )


def _elevenlabs(site: Site, **more: Any) -> None:
    client = ElevenLabs(api_key="key", base_url=f"http://127.0.0.1:{site.port}/elevenlabs")
    settings = VoiceSettings(stability=0.5)
    list(
        client.text_to_speech.convert(
            voice_id="v", text=site.text("text"), model_id="eleven_x", voice_settings=settings, **more
        )
    )


def vendor_elevenlabs(site: Site) -> None:
    _elevenlabs(site)


def vendor_elevenlabs_with_its_hint(site: Site) -> None:
    _elevenlabs(site, enable_logging=False)


def vendor_cartesia(site: Site) -> None:
    address = f"127.0.0.1:{site.port}/cartesia"
    client = cartesia.Cartesia(
        api_key="key", base_url=f"http://{address}", websocket_base_url=f"ws://{address}", max_retries=0
    )
    raw: Any = {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100}
    voice: Any = {"mode": "id", "id": "v"}
    client.tts.generate(
        model_id="sonic-3", transcript=site.text("text"), voice=voice, output_format=raw
    ).read()


_TTS: dict[str, Any] = {
    "product": "tts",
    "coverage": "covered",
    "left": {CHARACTERS: ...},
    "sent": ("text",),
    "shown": ("text",),
    "data": ("text", "audio"),
}
_CLONING: dict[str, Any] = {
    "product": "voice_cloning",
    "coverage": "not_covered",
    "reason": "voice-samples-are-not-eligible",
    "sent": ("voice sample", "transcript of a sample", "name"),
    "shown": ("transcript of a sample", "name"),
    "data": ("voice_sample",),
}
_DESIGN: dict[str, Any] = {
    "product": "voice_design",
    "coverage": "not_covered",
    "reason": "voice-descriptions-are-not-eligible",
    "sent": ("description", "script"),
    "shown": ("description", "script"),
    "data": ("voice_description",),
}
_HOSTED: dict[str, Any] = {
    "product": "llm",
    "coverage": "covered",
    "left": TOKENS,
    "data": ("prompt", "completion", "system_instructions", "tool"),
    "provider": "inworld",
}
_THIRD: dict[str, Any] = {
    **_HOSTED,
    "coverage": "not_covered",
    "reason": "third-party-model-provider",
    "provider": "anthropic",
}
_TALK: dict[str, Any] = {"sent": CONVERSATION, "shown": CONVERSATION}
_ASKED: dict[str, Any] = {"sent": ("prompt",), "shown": ("prompt",)}
_DIRECT: dict[str, Any] = {"coverage": "not_covered", "reason": "direct-vendor-call", "via": "direct"}
_HEARD: dict[str, Any] = {
    "product": "stt",
    "data": ("audio", "transcript"),
    "sent": ("transcript",),
    "shown": ("transcript",),
}
_SPOKEN: dict[str, Any] = {"product": "tts", "data": ("text", "audio"), "sent": ("text",), "shown": ("text",)}
_WITHOUT_HINT = {"reason": "direct-vendor-call-without-no-retention-hint"}

CASES = [
    Case("tts", speak("Dennis"), **_TTS),
    Case("tts, cloned voice", speak("workspace-1__cloned"), **_TTS),
    Case("tts, plain HTTP", speak_plainly("/tts/v1/voice"), **_TTS),
    Case("tts, stream", speak_plainly("/tts/v1/voice:stream"), **_TTS, mode="streaming"),
    Case("tts, WebSocket", speak_through_a_socket, **_TTS, mode="streaming"),
    Case("tts, router", speak_through_the_router, **_TTS),
    Case("voice cloning", clone, **_CLONING),
    Case("voice cloning, plain HTTP", clone_plainly, **_CLONING),
    Case("voice design", design, **_DESIGN),
    Case("voice design, plain HTTP", design_plainly, **_DESIGN),
    *(
        Case(
            f"stt {model}, {mode}",
            call(model),
            **_HEARD,
            coverage="covered",
            left={SECONDS: 1.5, "gen_ai.request.model": model},
            model=model,
            mode=mode,
        )
        for model in STT_MODELS
        for mode, call in (("sync", transcribe), ("streaming", transcribe_streaming))
    ),
    Case("hosted llm", chat("inworld/fast"), **_HOSTED, **_TALK),
    Case(
        "hosted llm, stream",
        chat("inworld/fast", stream=True),
        **{**_HOSTED, "left": {}},
        **_TALK,
        mode="streaming",
    ),
    *(
        Case(f"hosted llm, plain HTTP {path}", chat_plainly(path, "inworld/fast"), **_HOSTED, **_ASKED)
        for path in ("/v1/chat/completions", "/v1/responses", "/v1/messages")
    ),
    Case("third party, router", chat("anthropic/claude-x"), **_THIRD, **_TALK),
    Case(
        "third party, router, stream",
        chat("anthropic/claude-x", stream=True),
        **{**_THIRD, "left": {}},
        **_TALK,
        mode="streaming",
    ),
    *(
        Case(f"third party, plain HTTP {path}", chat_plainly(path, "anthropic/claude-x"), **_THIRD, **_ASKED)
        for path in ("/v1/chat/completions", "/v1/responses", "/v1/messages")
    ),
    Case(
        "openai, its own host", chat("gpt-x", "api.openai.com"), **{**_THIRD, "provider": "openai"}, **_TALK
    ),
    Case(
        "openai, unknown host",
        chat("gpt-x", "models.example"),
        **{**_HOSTED, **_DIRECT, "provider": "openai"},
        **_TALK,
    ),
    Case(
        "groq",
        vendor_groq,
        **{**_HOSTED, **_DIRECT, "left": {"gen_ai.usage.input_tokens": 19}, "provider": "groq"},
        **_ASKED,
    ),
    Case(
        "deepgram",
        vendor_deepgram,
        **_HEARD,
        **{**_DIRECT, **_WITHOUT_HINT},
        left={SECONDS: deepgram_fake.SECONDS},
    ),
    Case(
        "deepgram, hint",
        vendor_deepgram_with_its_hint,
        **_HEARD,
        **_DIRECT,
        left={SECONDS: deepgram_fake.SECONDS},
    ),
    Case("assemblyai", vendor_assemblyai, **_HEARD, **_DIRECT, left={SECONDS: assemblyai_fake.SECONDS}),
    Case("soniox", vendor_soniox, **_HEARD, **_DIRECT, left={SECONDS: soniox_fake.MILLISECONDS / 1000}),
    Case(
        "elevenlabs",
        vendor_elevenlabs,
        **_SPOKEN,
        **{**_DIRECT, **_WITHOUT_HINT},
        left={CHARACTERS: elevenlabs_fake.COST},
        mode="streaming",
    ),
    Case(
        "elevenlabs, hint",
        vendor_elevenlabs_with_its_hint,
        **_SPOKEN,
        **_DIRECT,
        left={CHARACTERS: elevenlabs_fake.COST},
        mode="streaming",
    ),
    Case("cartesia", vendor_cartesia, **_SPOKEN, **_DIRECT, left={CHARACTERS: ...}),
]
