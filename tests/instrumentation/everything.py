"""An application that uses every client once, run under `opentelemetry-instrument` by `test_everything`.

    python everything.py HTTP_URL WS_URL MARKER

It imports nothing of OpenTelemetry or of this package: all of that comes from the environment. The marker
goes into everything that is asked or said. Prints a line for each call it made: what its span is called.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any

HTTP, WS, MARKER = sys.argv[1:4]
MESSAGES: Any = [{"role": "user", "content": MARKER}]
OUTPUT: Any = {"container": "raw", "encoding": "pcm_f32le", "sample_rate": 44100}


def made(name: str, times: int = 1) -> None:
    for _ in range(times):
        print(name, flush=True)


def call_openai(openai: Any) -> None:
    client = openai.OpenAI(api_key="k", base_url=f"{HTTP}/openai/v1", max_retries=0)
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    list(client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True))
    client.audio.transcriptions.create(model="whisper-1", file=("a.wav", MARKER.encode()))
    made("chat gpt-4o-mini", 2)
    made("speech_to_text whisper-1")
    router = openai.OpenAI(api_key="k", base_url=f"{HTTP}/v1", max_retries=0)
    router.chat.completions.create(model="auto", messages=MESSAGES)
    made("chat auto")
    try:
        client.with_options(base_url=f"{HTTP}/nowhere").chat.completions.create(
            model="missing", messages=MESSAGES
        )
    except openai.NotFoundError:
        made("chat missing")


def call_groq(groq: Any) -> None:
    client = groq.Groq(api_key="k", base_url=f"{HTTP}/groq", max_retries=0)
    client.chat.completions.create(model="llama", messages=MESSAGES)
    made("chat llama")


def call_anthropic(anthropic: Any) -> None:
    client = anthropic.Anthropic(api_key="k", base_url=f"{HTTP}/anthropic", max_retries=0)
    with client.messages.stream(model="claude", max_tokens=9, messages=MESSAGES) as stream:
        "".join(stream.text_stream)
    made("chat claude")


def call_inworld_tts(inworld_tts: Any) -> None:
    client = inworld_tts.InworldTTS(api_key="k", base_url=HTTP, max_retries=0)
    client.generate(MARKER, voice="narrator", model="inworld-tts-2")

    async def stream() -> None:
        async for _ in client.stream(MARKER, voice="narrator", model="inworld-tts-2"):
            pass

    asyncio.run(stream())
    made("text_to_speech inworld-tts-2", 2)


def call_requests(requests: Any) -> None:
    config = {"modelId": "groq/whisper-large-v3", "prompts": [MARKER]}
    body = {"transcribeConfig": config, "audioData": {"content": "AAAA"}}
    requests.post(f"{HTTP}/stt/v1/transcribe", json=body, timeout=20).raise_for_status()
    made("speech_to_text groq/whisper-large-v3")


def call_deepgram(deepgram: Any) -> None:
    environment = importlib.import_module("deepgram.environment").DeepgramClientEnvironment
    addresses = {"base": f"{HTTP}/deepgram", "production": f"{WS}/deepgram", "agent": f"{WS}/deepgram"}
    try:
        there = environment(**addresses, agent_rest=f"{HTTP}/deepgram")
    except TypeError:  # version 5
        there = environment(**addresses, preview=f"{WS}/deepgram")
    client = deepgram.DeepgramClient(api_key="k", environment=there)
    client.listen.v1.media.transcribe_file(request=MARKER.encode(), model="nova-3")
    list(client.speak.v1.audio.generate(text=MARKER, model="aura-2"))
    made("speech_to_text nova-3")
    made("text_to_speech aura-2")


def call_elevenlabs(elevenlabs: Any) -> None:
    kind = importlib.import_module("elevenlabs.client").ElevenLabs
    client = kind(api_key="k", base_url=f"{HTTP}/elevenlabs")
    if not hasattr(client._client_wrapper, "get_base_url"):  # version 2.0 keeps only the host of the address
        there = importlib.import_module("elevenlabs.environment").ElevenLabsEnvironment
        client = kind(api_key="k", environment=there(base=f"{HTTP}/elevenlabs", wss=f"{WS}/elevenlabs"))
    list(client.text_to_speech.convert(voice_id="v", text=MARKER, model_id="flash"))
    made("text_to_speech flash")


def call_cartesia(cartesia: Any) -> None:
    client = cartesia.Cartesia(api_key="k", base_url=f"{HTTP}/cartesia", max_retries=0)
    said: Any = {"model_id": "sonic-3", "transcript": MARKER, "voice": {"mode": "id", "id": "v"}}
    list(client.tts.generate_sse(**said, output_format=OUTPUT))
    made("text_to_speech sonic-3")


def call_assemblyai(aai: Any) -> None:
    settings = aai.Settings(api_key="k", base_url=f"{HTTP}/assemblyai", polling_interval=0.05)
    config = aai.TranscriptionConfig(speech_model="universal", word_boost=[MARKER])
    aai.Transcriber(client=aai.Client(settings=settings)).transcribe(MARKER.encode(), config)
    made("speech_to_text universal")


def call_soniox(soniox: Any) -> None:
    client = soniox.SonioxClient(api_key="k", api_base_url=f"{HTTP}/soniox/v1")
    files = client.stt if hasattr(client, "stt") else client.transcriptions
    files.transcribe_and_wait(model="stt-async", file=MARKER.encode(), wait_interval_sec=0.05)
    made("speech_to_text stt-async")


def main() -> None:
    for name, call in list(globals().items()):
        if name.startswith("call_"):
            try:
                module = importlib.import_module(name.removeprefix("call_"))
            except ImportError:
                continue
            call(module)


if __name__ == "__main__":
    main()
