"""ElevenLabs' API, as far as the tests use it: what is heard is the audio read as text."""

from __future__ import annotations

import base64
import json
from typing import Any

from aiohttp import web

from tests.fakes.openai import form
from tests.fakes.server import respond, stream, websocket

PREFIX = "/elevenlabs"
REQUEST_ID = "r3qu35t1d"
TRANSCRIPTION_ID = "tr4nscr1pt10n"
SESSION_ID = "s3ss10n"
COST = 77  # characters, as billed: not the text's length
SECONDS = 12.5
AUDIO = [b"ID3" + bytes(1021), bytes(1024), bytes(512)]
ERROR_EVENT = b"<error-event>"


def add_routes(app: web.Application) -> None:
    voice = f"{PREFIX}/v1/text-to-speech/{{voice}}"
    app.router.add_post(voice, convert)
    app.router.add_post(f"{voice}/stream", convert)
    app.router.add_post(f"{voice}/with-timestamps", timestamps)
    app.router.add_post(f"{voice}/stream/with-timestamps", stream_timestamps)
    app.router.add_get(f"{voice}/stream-input", speak_live)
    app.router.add_post(f"{PREFIX}/v1/speech-to-text", transcribe)
    app.router.add_get(f"{PREFIX}/v1/speech-to-text/realtime", listen_live)


HEADERS = {"request-id": REQUEST_ID, "character-cost": str(COST)}


async def convert(request: web.Request) -> web.StreamResponse:
    return await stream(request, AUDIO, content_type="audio/mpeg", headers=HEADERS)


def _timed(text: str) -> dict[str, Any]:
    times = [index / 10 for index in range(len(text))]
    alignment = {
        "characters": list(text),
        "character_start_times_seconds": times,
        "character_end_times_seconds": times,
    }
    audio = base64.b64encode(AUDIO[0]).decode()
    return {"audio_base64": audio, "alignment": alignment, "normalized_alignment": alignment}


async def timestamps(request: web.Request) -> web.StreamResponse:
    return await respond(request, _timed((await request.json())["text"]), headers=HEADERS)


async def stream_timestamps(request: web.Request) -> web.StreamResponse:
    text = (await request.json())["text"]
    lines = [json.dumps(_timed(text)).encode() + b"\n" for _ in range(3)]
    return await stream(request, lines, content_type="application/json", headers=HEADERS)


async def transcribe(request: web.Request) -> web.StreamResponse:
    fields = await form(request)
    heard = fields["file"]
    answer = {
        "language_code": "eng",
        "language_probability": 0.98,
        "text": heard,
        "words": [{"text": heard, "start": 0.0, "end": SECONDS, "type": "word", "logprob": 0.0}],
        "transcription_id": TRANSCRIPTION_ID,
        "audio_duration_secs": SECONDS,
    }
    return await respond(request, answer, headers={"request-id": REQUEST_ID})


async def speak_live(request: web.Request) -> web.StreamResponse:
    session = await websocket(request)
    audio = base64.b64encode(AUDIO[0]).decode()
    async for message in session:
        text = json.loads(message)["text"]
        if text == "":
            await session.send({"audio": audio, "isFinal": False})
            await session.send({"isFinal": True, "audio": None})
            await session.close()
            break
        if text.strip():
            await session.send({"audio": audio, "isFinal": False})
    return session.response


async def listen_live(request: web.Request) -> web.StreamResponse:
    session = await websocket(request)
    await session.send({"message_type": "session_started", "session_id": SESSION_ID, "config": {}})
    heard = b""
    async for message in session:
        event = json.loads(message)
        heard += base64.b64decode(event["audio_base_64"])
        text = heard.decode("utf-8", "replace")
        if ERROR_EVENT in heard:
            await session.send({"message_type": "input_error", "error": f"cannot hear {text}"})
            heard = b""
        elif event["commit"]:
            await session.send({"message_type": "committed_transcript", "text": text})
            heard = b""
        else:
            await session.send({"message_type": "partial_transcript", "text": text})
    return session.response
