"""What one chunk of a stream costs through a wrapped client, next to the bare one.

    python benchmarks/client_chunks.py [CLIENT ...] [--rounds 12]

The real clients, as far as they are installed, read streams from a server on loopback in another process.
Bare and wrapped calls alternate in one process, under ZDR; the figure is the least CPU time of each, which a
busy machine distorts least. Target: at most 1.05.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import clients
from clients import CHUNKS
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ASKED = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": True}
SPOKEN = {"text": "hello", "voiceId": "v", "modelId": "inworld-tts-2"}

Run = Callable[[], int]


class Target:
    """Where the server listens, and the loop that asynchronous clients run on."""

    def __init__(self, http: str, ws: str) -> None:
        self.http = http
        self.ws = ws
        self.loop = asyncio.new_event_loop()

    def run(self, call: Callable[[], Awaitable[int]]) -> Run:
        return lambda: self.loop.run_until_complete(call())  # type: ignore[arg-type,return-value]


def openai(target: Target) -> Run:
    from openai import OpenAI

    client = OpenAI(api_key="none", base_url=f"{target.http}/v1", max_retries=0)
    return lambda: sum(1 for _ in client.chat.completions.create(**ASKED))  # type: ignore[call-overload]


def openai_async(target: Target) -> Run:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key="none", base_url=f"{target.http}/v1", max_retries=0)

    async def call() -> int:
        stream = await client.chat.completions.create(**ASKED)  # type: ignore[call-overload]
        return len([None async for _ in stream])

    return target.run(call)


def openai_lines(target: Target) -> Run:
    from openai import OpenAI

    def call() -> int:
        # A client of its own: what makes the response keeps the method that it has found first.
        client = OpenAI(api_key="none", base_url=f"{target.http}/v1", max_retries=0)
        with client.chat.completions.with_streaming_response.create(**ASKED) as response:  # type: ignore[call-overload]
            return sum(1 for line in response.iter_lines() if line.startswith("data: {"))

    return call


def groq(target: Target) -> Run:
    from groq import Groq

    client = Groq(api_key="none", base_url=target.http, max_retries=0)
    return lambda: sum(1 for _ in client.chat.completions.create(**ASKED))  # type: ignore[call-overload]


def anthropic(target: Target) -> Run:
    from anthropic import Anthropic

    client = Anthropic(api_key="none", base_url=f"{target.http}/anthropic", max_retries=0)
    return lambda: sum(1 for _ in client.messages.create(max_tokens=9, **ASKED)) - 4  # type: ignore[call-overload]


def anthropic_helper(target: Target) -> Run:
    from anthropic import Anthropic

    client = Anthropic(api_key="none", base_url=f"{target.http}/anthropic", max_retries=0)

    def call() -> int:
        with client.messages.stream(max_tokens=9, model="m", messages=ASKED["messages"]) as stream:  # type: ignore[arg-type]
            return sum(1 for _ in stream.text_stream)

    return call


def inworld_tts(target: Target) -> Run:
    from inworld_tts import InworldTTS

    client = InworldTTS(api_key="none", base_url=target.http)

    async def call() -> int:
        return len([None async for _ in client.stream("hello", voice="Ashley")])

    return target.run(call)


def requests_ndjson(target: Target) -> Run:
    import requests

    session = requests.Session()

    def call() -> int:
        with session.post(f"{target.http}/tts/v1/voice:stream", json=SPOKEN, stream=True) as response:
            return sum(1 for line in response.iter_lines() if line)

    return call


def requests_sse(target: Target) -> Run:
    import requests

    session = requests.Session()

    def call() -> int:
        with session.post(f"{target.http}/v1/chat/completions", json=ASKED, stream=True) as response:
            return sum(1 for line in response.iter_lines() if line.startswith(b"data: {"))

    return call


def _httpx(target: Target, path: str, body: Any) -> Run:
    import httpx

    client = httpx.Client()

    def call() -> int:
        with client.stream("POST", f"{target.http}{path}", json=body) as response:
            return sum(1 for line in response.iter_lines() if "{" in line)

    return call


def httpx_ndjson(target: Target) -> Run:
    return _httpx(target, "/tts/v1/voice:stream", SPOKEN)


def httpx_sse(target: Target) -> Run:
    return _httpx(target, "/v1/chat/completions", ASKED)


def httpx_async_sse(target: Target) -> Run:
    import httpx

    client = httpx.AsyncClient()

    async def call() -> int:
        async with client.stream("POST", f"{target.http}/v1/chat/completions", json=ASKED) as response:
            return len([None async for line in response.aiter_lines() if line.startswith("data: {")])

    return target.run(call)


def _aiohttp(target: Target, path: str, body: Any) -> Run:
    import aiohttp

    async def call() -> int:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{target.http}{path}", json=body) as response,
        ):
            return len([None async for line in response.content if b"{" in line])

    return target.run(call)


def aiohttp_ndjson(target: Target) -> Run:
    return _aiohttp(target, "/tts/v1/voice:stream", SPOKEN)


def aiohttp_sse(target: Target) -> Run:
    return _aiohttp(target, "/v1/chat/completions", ASKED)


def websockets_speech(target: Target) -> Run:
    from websockets.sync.client import connect

    def call() -> int:
        with connect(f"{target.ws}/tts/v1/voice:streamBidirectional", max_size=None) as socket:
            socket.send(json.dumps({"create": {"voiceId": "v", "modelId": "m"}, "contextId": "c"}))
            socket.send(json.dumps({"send_text": {"text": "hello"}, "contextId": "c"}))
            return sum(1 for _ in socket) - 1

    return call


def websockets_async_speech(target: Target) -> Run:
    from websockets.asyncio.client import connect

    async def call() -> int:
        async with connect(f"{target.ws}/tts/v1/voice:streamBidirectional", max_size=None) as socket:
            await socket.send(json.dumps({"create": {"voiceId": "v", "modelId": "m"}, "contextId": "c"}))
            await socket.send(json.dumps({"send_text": {"text": "hello"}, "contextId": "c"}))
            return len([None async for _ in socket]) - 1

    return target.run(call)


def websockets_transcription(target: Target) -> Run:
    from websockets.sync.client import connect

    def call() -> int:
        with connect(f"{target.ws}/stt/v1/transcribe:streamBidirectional", max_size=None) as socket:
            socket.send(json.dumps({"transcribeConfig": {"modelId": "groq/whisper-large-v3"}}))
            return sum(1 for _ in socket)

    return call


def _pieces(audio: Iterable[bytes]) -> int:
    """Clients cut audio anew: counted is what the server sent."""
    return sum(map(len, audio)) // 2048


def _deepgram(target: Target) -> Any:
    from deepgram import DeepgramClient
    from deepgram.environment import DeepgramClientEnvironment

    http, ws = f"{target.http}/deepgram", f"{target.ws}/deepgram"
    environment = DeepgramClientEnvironment(base=http, production=ws, agent=ws, agent_rest=http)
    return DeepgramClient(api_key="none", environment=environment)


def deepgram_listen(target: Target) -> Run:
    client = _deepgram(target)

    def call() -> int:
        with client.listen.v1.connect(model="nova-3") as connection:
            connection.send_media(b"audio")
            return sum(1 for _ in connection)

    return call


def deepgram_flux(target: Target) -> Run:
    client = _deepgram(target)

    def call() -> int:
        with client.listen.v2.connect(
            model="flux-general-en", encoding="linear16", sample_rate=16000
        ) as socket:
            socket.send_media(b"audio")
            return sum(1 for _ in socket)

    return call


def deepgram_speak(target: Target) -> Run:
    client = _deepgram(target)
    return lambda: _pieces(client.speak.v1.audio.generate(text="hello", model="aura-2"))


def cartesia_socket(target: Target) -> Run:
    from cartesia import Cartesia

    client = Cartesia(api_key="none", base_url=target.http, websocket_base_url=f"{target.ws}/cartesia")
    output: Any = {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100}

    def call() -> int:
        with client.tts.websocket_connect() as connection:
            context = connection.context()
            context.send(
                model_id="sonic-3",
                transcript="hello",
                voice={"mode": "id", "id": "v"},
                output_format=output,
                continue_=False,
            )
            return sum(1 for event in context.receive() if event.type == "chunk")

    return call


def cartesia_sse(target: Target) -> Run:
    from cartesia import Cartesia

    client = Cartesia(api_key="none", base_url=f"{target.http}/cartesia", max_retries=0)
    output: Any = {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100}

    def call() -> int:
        events = client.tts.generate_sse(
            model_id="sonic-3", transcript="hello", voice={"mode": "id", "id": "v"}, output_format=output
        )
        return sum(1 for event in events if event.type == "chunk")

    return call


def elevenlabs_stream(target: Target) -> Run:
    from elevenlabs.client import ElevenLabs

    client = ElevenLabs(api_key="none", base_url=f"{target.http}/elevenlabs")
    return lambda: _pieces(client.text_to_speech.stream(voice_id="v", text="hello"))


def elevenlabs_scribe(target: Target) -> Run:
    from elevenlabs.client import AsyncElevenLabs
    from elevenlabs.realtime.scribe import AudioFormat

    realtime: Any = AsyncElevenLabs(api_key="none", base_url=target.http).speech_to_text.realtime
    realtime.base_url = f"{target.ws}/elevenlabs"

    async def call() -> int:
        connection = await realtime.connect(
            {"model_id": "scribe_v2_realtime", "audio_format": AudioFormat.PCM_16000, "sample_rate": 16000}
        )
        seen, done = 0, asyncio.Event()

        def took(_: Any) -> None:
            nonlocal seen
            seen += 1
            if seen == CHUNKS:
                done.set()

        connection.on("partial_transcript", took)
        await connection.send({"audio_base_64": "AAAA"})
        await done.wait()
        await connection.close()
        return seen

    return target.run(call)


CLIENTS: dict[str, tuple[str, Callable[[Target], Run]]] = {
    "openai": ("openai", openai),
    "openai-async": ("openai", openai_async),
    "openai-lines": ("openai", openai_lines),
    "groq": ("groq", groq),
    "anthropic": ("anthropic", anthropic),
    "anthropic-helper": ("anthropic", anthropic_helper),
    "inworld-tts": ("inworld", inworld_tts),
    "requests-ndjson": ("inworld_transports", requests_ndjson),
    "requests-sse": ("inworld_transports", requests_sse),
    "httpx-ndjson": ("inworld_transports", httpx_ndjson),
    "httpx-sse": ("inworld_transports", httpx_sse),
    "httpx-async-sse": ("inworld_transports", httpx_async_sse),
    "aiohttp-ndjson": ("inworld_transports", aiohttp_ndjson),
    "aiohttp-sse": ("inworld_transports", aiohttp_sse),
    "websockets-speech": ("inworld_transports", websockets_speech),
    "websockets-async-speech": ("inworld_transports", websockets_async_speech),
    "websockets-transcription": ("inworld_transports", websockets_transcription),
    "deepgram-listen": ("deepgram", deepgram_listen),
    "deepgram-flux": ("deepgram", deepgram_flux),
    "deepgram-speak": ("deepgram", deepgram_speak),
    "cartesia-socket": ("cartesia", cartesia_socket),
    "cartesia-sse": ("cartesia", cartesia_sse),
    "elevenlabs-stream": ("elevenlabs", elevenlabs_stream),
    "elevenlabs-scribe": ("elevenlabs", elevenlabs_scribe),
}


def measure(name: str, target: Target, providers: dict[str, Any], rounds: int) -> tuple[float, float, int]:
    """CPU microseconds a chunk, bare and wrapped, and the chunks of one call."""
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

    instrumentor_name, prepare = CLIENTS[name]
    (entry,) = entry_points(group="opentelemetry_instrumentor", name=f"zdr_{instrumentor_name}")
    instrumentor: BaseInstrumentor = entry.load()()
    run = prepare(target)

    def timed() -> float:
        started = time.process_time_ns()
        seen = run()
        spent = (time.process_time_ns() - started) / 1e3
        if seen != CHUNKS:
            raise RuntimeError(f"{name}: {seen} chunks of {CHUNKS} came through")
        return spent / CHUNKS

    bare, wrapped = [], []
    timed()
    for _ in range(rounds + 1):
        bare.append(timed())
        instrumentor.instrument(**providers)
        try:
            wrapped.append(timed())
        finally:
            instrumentor.uninstrument()
    return min(bare[1:]), min(wrapped[1:]), CHUNKS


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=", ".join(CLIENTS))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--content", action="store_true", help="not under ZDR, with content captured")
    options = parser.parse_args()
    unknown = set(options.clients) - set(CLIENTS)
    if unknown:
        parser.error(f"no such client: {', '.join(sorted(unknown))}")
    server = subprocess.Popen(
        [sys.executable, str(Path(clients.__file__))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    http, ws = (int(server.stdout.readline()) for _ in range(2))
    import os

    # All of it in the environment: that is where the client instrumentations look for the hosts, and where the
    # gate is put in place from as soon as the package is imported.
    os.environ["OTEL_ZDR_INWORLD_HOSTS"] = f"127.0.0.1:{http},127.0.0.1:{ws}"
    os.environ["OTEL_ZDR_WORKSPACES"] = "none" if options.content else "*"
    if options.content:
        os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"
    import otel_zdr

    otel_zdr.install()
    spans = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider(metric_readers=[InMemoryMetricReader()], shutdown_on_exit=False)
    providers = {"tracer_provider": tracers, "meter_provider": meters}
    target = Target(f"http://127.0.0.1:{http}", f"ws://127.0.0.1:{ws}")
    missed = False
    try:
        for name in options.clients or CLIENTS:
            spans.clear()
            try:
                bare, wrapped, _ = measure(name, target, providers, options.rounds)
            except ImportError as error:
                print(f"{name:26} not measured: {error.name} is not installed", flush=True)
                continue
            made = len(spans.get_finished_spans())
            if made != options.rounds + 1:
                raise RuntimeError(f"{name}: {made} spans for {options.rounds + 1} calls")
            missed = missed or wrapped > 1.05 * bare
            print(
                f"{name:26} bare {bare:7.2f} µs, wrapped {wrapped:7.2f} µs a chunk: {wrapped - bare:+6.2f} µs,"
                f" × {wrapped / bare:.3f}",
                flush=True,
            )
    finally:
        server.communicate(timeout=30)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
