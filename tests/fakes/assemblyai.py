"""AssemblyAI's API, as far as the tests use it: what is heard is the audio read as text.

Audio that holds FAILS makes a job that ends in `error`; audio that holds ERROR_EVENT makes the socket answer
with an error.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from aiohttp import web

from tests.fakes.server import respond, websocket

PREFIX = "/assemblyai"
SECONDS = 281
SESSION_ID = "de5d9927-73a6-4be8-b52d-b4c07be37e6b"
STREAMED_SECONDS = 7
FAILS = "<fails>"
ERROR_EVENT = b"<error-event>"

_uploads = web.AppKey("assemblyai_uploads", dict)
_jobs = web.AppKey("assemblyai_jobs", dict)


def add_routes(app: web.Application) -> None:
    app[_uploads], app[_jobs] = {}, {}
    app.router.add_post(f"{PREFIX}/v2/upload", upload)
    app.router.add_post(f"{PREFIX}/v2/transcript", create)
    app.router.add_get(f"{PREFIX}/v2/transcript/{{id}}", get)
    app.router.add_get(f"{PREFIX}/v3/ws", live)


async def upload(request: web.Request) -> web.StreamResponse:
    url = f"https://cdn.assemblyai.example/upload/{uuid.uuid4()}?signature={uuid.uuid4().hex}"
    request.app[_uploads][url] = (await request.read()).decode("utf-8", "replace")
    return await respond(request, {"upload_url": url})


async def create(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    job: dict[str, Any] = {"id": str(uuid.uuid4()), "status": "queued", **body}
    request.app[_jobs][job["id"]] = job
    return await respond(request, job)


async def get(request: web.Request) -> web.StreamResponse:
    job = request.app[_jobs][request.match_info["id"]]
    heard = request.app[_uploads].get(job["audio_url"], job["audio_url"])
    if FAILS in heard:
        return await respond(request, {**job, "status": "error", "error": f"cannot decode {heard}"})
    done = {
        "status": "completed",
        "text": heard,
        "audio_duration": SECONDS,
        "speech_model_used": "universal-2",
        "words": [{"text": heard, "start": 0, "end": 100, "confidence": 0.9, "speaker": None}],
        "confidence": 0.9,
    }
    return await respond(request, {**job, **done})


async def live(request: web.Request) -> web.StreamResponse:
    session = await websocket(request)
    await session.send({"type": "Begin", "id": SESSION_ID, "expires_at": 1759438348})
    turn = 0
    async for message in session:
        if isinstance(message, bytes):
            if ERROR_EVENT in message:
                heard = message.decode("utf-8", "replace")
                await session.send({"type": "Error", "error_code": 3005, "error": f"no speech in {heard}"})
                continue
            heard = message.decode("utf-8", "replace")
            for ended, formatted in ((False, False), (True, False), (True, True)):
                await session.send(
                    {
                        "type": "Turn",
                        "turn_order": turn,
                        "turn_is_formatted": formatted,
                        "end_of_turn": ended,
                        "transcript": heard,
                        "end_of_turn_confidence": 0.7,
                        "words": [
                            {
                                "start": 0,
                                "end": 1500,
                                "confidence": 0.9,
                                "text": heard,
                                "word_is_final": ended,
                            }
                        ],
                    }
                )
            turn += 1
        elif json.loads(message).get("type") == "Terminate":
            await session.send(
                {
                    "type": "Termination",
                    "audio_duration_seconds": STREAMED_SECONDS,
                    "session_duration_seconds": 9,
                }
            )
            await session.close()
            break
    return session.response
