"""Cartesia's API, as far as the tests use it: what is heard is the audio read as text.

Text that holds ERROR_EVENT makes a stream answer with an error event.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.fakes.openai import form
from tests.fakes.server import respond, sse, stream, websocket

PREFIX = "/cartesia"
SECONDS = 4.25
AUDIO = b"RIFF" + bytes(60)
DATA = base64.b64encode(AUDIO).decode()
REQUEST_ID = "cartesia-request-1"
ERROR_EVENT = "<error-event>"


def add_routes(app: web.Application) -> None:
    app.router.add_post(f"{PREFIX}/tts/bytes", generate)
    app.router.add_post(f"{PREFIX}/infill/bytes", generate)
    app.router.add_post(f"{PREFIX}/tts/sse", generate_sse)
    app.router.add_post(f"{PREFIX}/stt", transcribe)
    app.router.add_post(f"{PREFIX}/voices/clone", clone)
    app.router.add_get(f"{PREFIX}/tts/websocket", live)


async def generate(request: web.Request) -> web.StreamResponse:
    return await stream(
        request, [AUDIO, AUDIO], content_type="audio/wav", headers={"x-request-id": REQUEST_ID}
    )


def _error(context: str | None, text: str) -> dict[str, Any]:
    return {
        "type": "error",
        "context_id": context,
        "done": True,
        "status_code": 400,
        "error_code": "invalid_transcript",
        "error": f"cannot say {text}",
        "message": f"cannot say {text}",
        "request_id": REQUEST_ID,
    }


def _events(context: str | None, text: str) -> Iterator[dict[str, Any]]:
    base = {"context_id": context, "status_code": 206, "done": False}
    if ERROR_EVENT in text:
        yield _error(context, text)
        return
    yield {**base, "type": "chunk", "data": DATA, "step_time": 1.5}
    times = {"words": text.split(), "start": [0.0], "end": [0.5]}
    yield {**base, "type": "timestamps", "word_timestamps": times}
    yield {**base, "type": "chunk", "data": DATA, "step_time": 1.5}


async def generate_sse(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    context = body.get("context_id", "c-1")
    events = list(_events(context, body["transcript"]))
    if events[-1]["type"] != "error":
        events.append({"type": "done", "context_id": context, "status_code": 200, "done": True})
    chunks = [sse(event, event["type"]) for event in events]
    return await stream(
        request, chunks, content_type="text/event-stream", headers={"x-request-id": REQUEST_ID}
    )


async def transcribe(request: web.Request) -> web.StreamResponse:
    fields = await form(request)
    heard = fields["file"]
    answer = {"type": "transcript", "text": heard, "duration": SECONDS, "request_id": REQUEST_ID}
    words = [{"word": word, "start": 0.0, "end": 0.5} for word in heard.split()]
    return await respond(request, {**answer, "language": "en", "words": words})


async def clone(request: web.Request) -> web.StreamResponse:
    fields = await form(request)
    voice = {
        "id": "a0e99841-438c-4a64-b679-ae501e7d6091",
        "name": fields["name"],
        "description": fields.get("description", ""),
        "language": "en",
        "is_public": False,
        "user_id": "u-1",
        "created_at": "2024-11-26T00:00:00Z",
    }
    return await respond(request, voice)


async def live(request: web.Request) -> web.StreamResponse:
    session = await websocket(request)
    async for message in session:
        event = json.loads(message)
        if event.get("cancel"):
            continue
        context, text = event["context_id"], event.get("transcript", "")
        failed = ERROR_EVENT in text
        if text:
            for answer in _events(context, text):
                await session.send(answer)
        if not failed and not event.get("continue"):
            await session.send({"type": "done", "context_id": context, "status_code": 200, "done": True})
    return session.response
