"""Soniox's API, as far as the tests use it: what is heard is the audio read as text.

Audio that holds FAILS makes a job that ends in `error`; audio or text that holds ERROR_EVENT makes the
sockets answer with an error event.
"""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

from aiohttp import web

from tests.fakes.openai import form
from tests.fakes.server import respond, websocket

PREFIX = "/soniox"
CREATED = "2024-11-26T00:00:00Z"
MILLISECONDS = 16079
STREAMED_MILLISECONDS = 2400
AUDIO = b"RIFF" + bytes(60)
FAILS = "<fails>"
ERROR_EVENT = "<error-event>"

_files = web.AppKey("soniox_files", dict)
_jobs = web.AppKey("soniox_jobs", dict)


def add_routes(app: web.Application) -> None:
    app[_files], app[_jobs] = {}, {}
    app.router.add_post(f"{PREFIX}/v1/files", upload)
    app.router.add_post(f"{PREFIX}/v1/transcriptions", create)
    app.router.add_get(f"{PREFIX}/v1/transcriptions/{{id}}", get)
    app.router.add_get(f"{PREFIX}/v1/transcriptions/{{id}}/transcript", transcript)
    app.router.add_post(f"{PREFIX}/tts/tts", generate)
    app.router.add_get(f"{PREFIX}/transcribe-websocket", live)
    app.router.add_get(f"{PREFIX}/tts-websocket", speak_live)


async def upload(request: web.Request) -> web.StreamResponse:
    fields = await form(request)
    content = fields["file"]
    name = str(uuid.uuid4())
    request.app[_files][name] = content
    answer = {"id": name, "filename": "audio.wav", "size": len(content), "created_at": CREATED}
    return await respond(request, answer)


async def create(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    job: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "status": "queued",
        "created_at": CREATED,
        "model": body["model"],
        "audio_url": body.get("audio_url"),
        "file_id": body.get("file_id"),
        "filename": "audio.wav",
        "enable_speaker_diarization": False,
        "enable_language_identification": False,
    }
    request.app[_jobs][job["id"]] = job
    return await respond(request, job)


def _heard(request: web.Request, job: dict[str, Any]) -> str:
    return str(request.app[_files].get(job["file_id"], job["audio_url"]))


async def get(request: web.Request) -> web.StreamResponse:
    job = request.app[_jobs][request.match_info["id"]]
    heard = _heard(request, job)
    done: dict[str, Any] = {"status": "completed", "audio_duration_ms": MILLISECONDS}
    if FAILS in heard:
        done |= {"status": "error", "error_type": "invalid_audio", "error_message": f"cannot decode {heard}"}
    return await respond(request, {**job, **done})


def _token(text: str, final: bool) -> dict[str, Any]:
    return {"text": text, "start_ms": 10, "end_ms": 90, "confidence": 0.95, "is_final": final}


async def transcript(request: web.Request) -> web.StreamResponse:
    job = request.app[_jobs][request.match_info["id"]]
    heard = _heard(request, job)
    return await respond(request, {"id": job["id"], "text": heard, "tokens": [_token(heard, True)]})


async def generate(request: web.Request) -> web.StreamResponse:
    return await respond(request, AUDIO, content_type="audio/wav")


async def live(request: web.Request) -> web.StreamResponse:
    session = await websocket(request)
    heard_ms = 0
    first = True
    async for message in session:
        if first:
            first = False  # the configuration
        elif isinstance(message, bytes):
            heard = message.decode("utf-8", "replace")
            if ERROR_EVENT in heard:
                await session.send({"tokens": [], "error_code": 503, "error_message": f"cannot hear {heard}"})
                await session.close()
                break
            heard_ms += STREAMED_MILLISECONDS // 2
            half = len(heard) // 2
            for tokens in (
                [_token(heard, False)],
                [_token(heard[:half], True), _token(heard[half:], True), _token("<end>", True)],
            ):
                await session.send(
                    {"tokens": tokens, "final_audio_proc_ms": heard_ms, "total_audio_proc_ms": heard_ms}
                )
        elif message == "":
            await session.send(
                {
                    "tokens": [],
                    "final_audio_proc_ms": heard_ms,
                    "total_audio_proc_ms": heard_ms,
                    "finished": True,
                }
            )
            await session.close()
            break
    return session.response


async def speak_live(request: web.Request) -> web.StreamResponse:
    session = await websocket(request)
    async for message in session:
        event = json.loads(message)
        if "model" in event or "keep_alive" in event:
            continue
        name = event["stream_id"]
        if ERROR_EVENT in event.get("text", ""):
            await session.send({"stream_id": name, "error_code": 400, "error_message": f"cannot say {event}"})
        elif event.get("cancel"):
            await session.send({"stream_id": name, "terminated": True})
        elif event.get("text_end"):
            audio = base64.b64encode(AUDIO).decode()
            await session.send({"stream_id": name, "audio": audio})
            await session.send({"stream_id": name, "audio": audio, "audio_end": True})
            await session.send({"stream_id": name, "terminated": True})
    return session.response
