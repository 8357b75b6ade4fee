"""Deepgram's API, as far as the tests use it: what is heard is the audio read as text.

Audio that holds ERROR_EVENT makes the sockets answer with an error event.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.fakes.server import respond, stream, websocket

PREFIX = "/deepgram"
REQUEST_ID = "3f2c8a54-1111-4222-8333-944455556666"
MODEL_INFO = {"name": "2-general-nova", "version": "2024-01-18.26916", "arch": "nova-2"}
SECONDS = 3.5
AUDIO = [b"RIFF" + bytes(60), bytes(64), bytes(64)]
ERROR_EVENT = b"<error-event>"


def add_routes(app: web.Application) -> None:
    app.router.add_post(f"{PREFIX}/v1/listen", listen)
    app.router.add_post(f"{PREFIX}/v1/speak", speak)
    app.router.add_get(f"{PREFIX}/v1/listen", listen_live)
    app.router.add_get(f"{PREFIX}/v2/listen", flux)
    app.router.add_get(f"{PREFIX}/v1/speak", speak_live)


def _alternative(heard: str) -> dict[str, Any]:
    words = [{"word": word, "start": 0.1, "end": 0.4, "confidence": 0.9} for word in heard.split()]
    return {"transcript": heard, "confidence": 0.98, "words": words}


async def listen(request: web.Request) -> web.StreamResponse:
    if "callback" in request.query:
        return await respond(request, {"request_id": REQUEST_ID})
    body = await request.read()
    heard = body.decode("utf-8", "replace")
    if request.content_type == "application/json":
        heard = json.loads(body)["url"]
    metadata = {
        "transaction_key": "deprecated",
        "request_id": REQUEST_ID,
        "sha256": "a" * 64,
        "created": "2024-05-12T18:57:13.426Z",
        "duration": SECONDS,
        "channels": 1,
        "models": ["1ed36bac-f71c-4f3f-a31f-02fd6525c489"],
        "model_info": {"1ed36bac-f71c-4f3f-a31f-02fd6525c489": MODEL_INFO},
    }
    channels = [{"search": [], "alternatives": [_alternative(heard)]}]
    return await respond(request, {"metadata": metadata, "results": {"channels": channels}})


async def speak(request: web.Request) -> web.StreamResponse:
    text = (await request.json())["text"]
    headers = {
        "dg-request-id": REQUEST_ID,
        "dg-model-name": "aura-2-thalia-en",
        "dg-char-count": str(len(text)),
    }
    return await stream(request, AUDIO, content_type="audio/wav", headers=headers)


async def listen_live(request: web.Request) -> web.StreamResponse:
    session = await websocket(request)
    start = 0.0
    async for message in session:
        if isinstance(message, bytes):
            if ERROR_EVENT in message:
                await session.send(
                    {"type": "Error", "variant": "NET-0001", "description": "no audio", "message": "x"}
                )
                continue
            heard = message.decode("utf-8", "replace")
            for final in (False, True):
                await session.send(
                    {
                        "type": "Results",
                        "channel_index": [0, 1],
                        "duration": 1.25,
                        "start": start,
                        "is_final": final,
                        "speech_final": final,
                        "channel": {"alternatives": [_alternative(heard)]},
                        "metadata": {
                            "request_id": REQUEST_ID,
                            "model_uuid": "1ed36bac-f71c-4f3f-a31f-02fd6525c489",
                            "model_info": MODEL_INFO,
                        },
                        "from_finalize": False,
                    }
                )
            start += 1.25
        elif json.loads(message).get("type") == "CloseStream":
            await session.send(
                {
                    "type": "Metadata",
                    "transaction_key": "deprecated",
                    "request_id": REQUEST_ID,
                    "sha256": "a" * 64,
                    "created": "2024-05-12T18:57:13.426Z",
                    "duration": SECONDS,
                    "channels": 1,
                }
            )
            await session.close()
            break
    return session.response


async def flux(request: web.Request) -> web.StreamResponse:
    session = await websocket(request)
    await session.send({"type": "Connected", "request_id": REQUEST_ID, "sequence_id": 0})
    turn = 0
    async for message in session:
        if isinstance(message, bytes):
            if ERROR_EVENT in message:
                await session.send(
                    {"type": "Error", "sequence_id": 9, "code": "INTERNAL_SERVER_ERROR", "description": "no"}
                )
                continue
            heard = message.decode("utf-8", "replace")
            for event in ("StartOfTurn", "Update", "EndOfTurn"):
                await session.send(
                    {
                        "type": "TurnInfo",
                        "request_id": REQUEST_ID,
                        "sequence_id": turn * 3 + 1,
                        "event": event,
                        "turn_index": turn,
                        "audio_window_start": turn * 1.5,
                        "audio_window_end": turn * 1.5 + 1.5,
                        "transcript": heard,
                        "words": [{"word": word, "confidence": 0.9} for word in heard.split()],
                        "end_of_turn_confidence": 0.9,
                    }
                )
            turn += 1
        elif json.loads(message).get("type") == "CloseStream":
            await session.close()
            break
    return session.response


async def speak_live(request: web.Request) -> web.StreamResponse:
    session = await websocket(request)
    await session.send(
        {
            "type": "Metadata",
            "request_id": REQUEST_ID,
            "model_name": "aura-2-thalia-en",
            "model_version": "2025-04-07.0",
            "model_uuid": "1ed36bac-f71c-4f3f-a31f-02fd6525c489",
        }
    )
    sequence = 0
    async for message in session:
        event = json.loads(message)
        if event["type"] == "Flush":
            for chunk in AUDIO:
                await session.send(chunk)
            await session.send({"type": "Flushed", "sequence_id": sequence})
            sequence += 1
        elif event["type"] == "Close":
            await session.close()
            break
    return session.response
