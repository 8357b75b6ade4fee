"""Inworld's HTTP and WebSocket API, as its public documentation describes it, with repeatable answers.

Answers echo what was sent (transcripts, completions, previews), so that content that leaks can be told.
A word of the request steers what cannot be chosen otherwise: a router model `openai/…` is answered by a third
party, `inworld/…` by a hosted model, `auto` by both (a failed hosted attempt, then a third party).
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from otel_zdr.verify.fake_vendors.server import respond, sse, stream, websocket

REQUEST_ID = "x-inworld-request-id"
AUDIO = bytes(range(256)) * 8
TRANSCRIBED_MS = 1500
_numbers = itertools.count(1)
_operations: dict[str, dict[str, Any]] = {}


def add_routes(app: web.Application) -> None:
    """Everything under /tts, /voices, /stt, /lro and the router's /v1."""
    app.router.add_post("/tts/v1/voice", _speak)
    app.router.add_post("/tts/v1/voice:stream", _speak_stream)
    app.router.add_get("/tts/v1/voice:streamBidirectional", _speak_socket)
    app.router.add_post("/voices/v1/voices:clone", _clone)
    app.router.add_post("/voices/v1/voices:design", _design)
    app.router.add_post("/voices/v1/voices/{voice:[^:]+}:publish", _voice)
    app.router.add_patch("/voices/v1/voices/{voice}", _voice)
    app.router.add_post("/stt/v1/transcribe", _transcribe)
    app.router.add_post("/stt/v1/transcribe:async", _transcribe_later)
    app.router.add_get("/lro/v1alpha/{name:.+}", _operation)
    app.router.add_get("/stt/v1/transcribe:streamBidirectional", _transcribe_socket)
    app.router.add_post("/v1/chat/completions", _chat)
    app.router.add_post("/v1/responses", _responses)
    app.router.add_post("/v1/messages", _messages)
    app.router.add_post("/v1/audio/speech", _speech)


def _headers() -> dict[str, str]:
    return {REQUEST_ID: f"req-{next(_numbers)}"}


def _pick(mapping: Any, name: str) -> Any:
    """A field in either spelling: the API accepts camelCase and snake_case."""
    if not isinstance(mapping, dict):
        return None
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    return mapping.get(name, mapping.get(snake))


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _words(text: str) -> list[str]:
    return text.split() or [""]


# text to speech


def _timestamps(text: str) -> dict[str, Any]:
    words = _words(text)
    return {
        "wordAlignment": {
            "words": words,
            "wordStartTimeSeconds": [float(i) for i in range(len(words))],
            "wordEndTimeSeconds": [float(i + 1) for i in range(len(words))],
        }
    }


async def _speak(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    text, model = _pick(body, "text"), _pick(body, "modelId")
    answer = {
        "audioContent": _b64(AUDIO),
        "usage": {"processedCharactersCount": len(text), "modelId": model},
    }
    if _pick(body, "timestampType"):
        answer["timestampInfo"] = _timestamps(text)
    return await respond(request, answer, headers=_headers())


async def _speak_stream(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    text, model = _pick(body, "text"), _pick(body, "modelId")
    parts = _thirds(text)

    def lines() -> Iterator[bytes]:
        for part in parts:
            result: dict[str, Any] = {
                "audioContent": _b64(AUDIO),
                "usage": {"processedCharactersCount": len(part), "modelId": model},
            }
            if _pick(body, "timestampType"):
                result["timestampInfo"] = _timestamps(part)
            yield json.dumps({"result": result}).encode() + b"\n"

    return await stream(request, lines(), content_type="application/x-ndjson", headers=_headers())


def _thirds(text: str) -> list[str]:
    size = max(1, -(-len(text) // 3))
    return [text[start : start + size] for start in range(0, len(text), size)]


async def _speak_socket(request: web.Request) -> web.StreamResponse:
    session = await websocket(request)
    models: dict[str, Any] = {}
    pending: dict[str, str] = {}

    async def reply(context: str, field: str, value: Any) -> None:
        result = {"contextId": context, field: value, "status": {"code": 0, "message": "", "details": []}}
        await session.send({"result": result})

    async def flush(context: str) -> None:
        text = pending.pop(context, "")
        for part in _thirds(text):
            usage = {"processedCharactersCount": len(part), "modelId": models.get(context)}
            chunk = {"audioContent": _b64(AUDIO), "usage": usage, "timestampInfo": _timestamps(part)}
            await reply(context, "audioChunk", chunk)
        await reply(context, "flushCompleted", {})

    async for raw in session:
        message = json.loads(raw)
        context = _pick(message, "contextId") or ""
        if (create := message.get("create")) is not None:
            models[context] = _pick(create, "modelId")
            await reply(context, "contextCreated", {"voiceId": _pick(create, "voiceId")})
        elif (send := _pick(message, "sendText")) is not None:
            if context not in models:
                status = {"code": 3, "message": f"no context for {_pick(send, 'text')}", "details": []}
                await session.send({"result": {"contextId": context, "status": status}})
                continue
            pending[context] = pending.get(context, "") + (_pick(send, "text") or "")
            if _pick(send, "flushContext") is not None:
                await flush(context)
        elif _pick(message, "flushContext") is not None:
            await flush(context)
        elif _pick(message, "closeContext") is not None:
            if pending.get(context):
                await flush(context)
            models.pop(context, None)
            await reply(context, "contextClosed", {})
    return session.response


# voices


async def _clone(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    samples = [
        {"transcription": sample.get("transcription", "heard in the sample"), "langCode": body["langCode"]}
        for sample in body["voiceSamples"]
    ]
    voice = {
        "voiceId": "workspace-1__cloned",
        "name": "workspaces/workspace-1/voices/cloned",
        "displayName": body["displayName"],
        "description": body.get("description", ""),
    }
    answer = {"voice": voice, "audioSamplesValidated": samples}
    return await respond(request, answer, headers=_headers())


async def _design(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    previews = [
        {"voiceId": f"preview-{n}", "previewText": body["previewText"], "previewAudio": _b64(AUDIO)}
        for n in range(body["voiceDesignConfig"]["numberOfSamples"])
    ]
    answer = {"langCode": body["langCode"], "previewVoices": previews}
    return await respond(request, answer, headers=_headers())


async def _voice(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    return await respond(request, {"voiceId": request.match_info["voice"], **body}, headers=_headers())


# speech to text


def _transcription(text: str, *, final: bool = True) -> dict[str, Any]:
    return {
        "transcript": text,
        "isFinal": final,
        "wordTimestamps": [
            {"word": word, "startTimeMs": 0, "endTimeMs": 100, "confidence": 0.9} for word in _words(text)
        ],
        "voiceProfile": {"age": [{"label": "adult", "confidence": 0.8}], "emotion": [{"label": text}]},
    }


def _heard(audio: bytes) -> str:
    """The fake hears whatever text the audio's bytes spell."""
    return audio.decode("utf-8", "replace")


async def _transcribe(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    config = _pick(body, "transcribeConfig")
    audio = base64.b64decode(_pick(_pick(body, "audioData"), "content") or "")
    answer = {
        "transcription": _transcription(_heard(audio)),
        "usage": {"transcribedAudioMs": TRANSCRIBED_MS, "modelId": _pick(config, "modelId")},
    }
    return await respond(request, answer, headers=_headers())


async def _transcribe_later(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    name = f"operations/op-{next(_numbers)}"
    _operations[name] = {"polls": 0, "model": _pick(_pick(body, "transcribeConfig"), "modelId"), "body": body}
    return await respond(request, {"name": name, "done": False}, headers=_headers())


async def _operation(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    operation = _operations.get(name)
    if operation is None:
        raise web.HTTPNotFound
    operation["polls"] += 1
    if operation["polls"] < 3:
        return await respond(request, {"name": name, "done": False}, headers=_headers())
    audio = _pick(operation["body"], "audioData") or {}
    answer = {
        "name": name,
        "done": True,
        "response": {
            "resultUri": f"https://storage.example/{name}?X-Signature={_pick(audio, 'content') or 'signed'}",
            "usage": {"transcribedAudioMs": TRANSCRIBED_MS, "modelId": operation["model"]},
        },
    }
    return await respond(request, answer, headers=_headers())


async def _transcribe_socket(request: web.Request) -> web.StreamResponse:
    session = await websocket(request)
    model: Any = None
    heard = b""
    with_usage = True

    async def say(final: bool) -> None:
        nonlocal heard
        if heard:
            await session.send({"result": {"transcription": _transcription(_heard(heard), final=final)}})
        if final:
            heard = b""

    async for raw in session:
        if isinstance(raw, bytes):
            heard += raw
            continue
        message = json.loads(raw)
        if (config := _pick(message, "transcribeConfig")) is not None:
            model = _pick(config, "modelId")
            with_usage = _pick(config, "language") != "no-usage"
        elif (chunk := _pick(message, "audioChunk")) is not None:
            heard += base64.b64decode(_pick(chunk, "content") or "")
            await session.send({"result": {"speechStarted": {}}})
            await say(final=False)
        elif _pick(message, "endTurn") is not None:
            await say(final=True)
            await session.send({"result": {"speechStopped": {}}})
        elif _pick(message, "closeStream") is not None:
            await say(final=True)
            if with_usage:
                usage = {"transcribedAudioMs": TRANSCRIBED_MS, "modelId": model}
                await session.send({"result": {"usage": usage}})
            await session.close()
            break
    return session.response


# router


def _attempts(model: str) -> list[dict[str, Any]]:
    hosted = {"provider": "inworld", "model": "hosted-1", "credential_type": "system", "success": True}
    third = {"provider": "openai", "model": "gpt-x", "credential_type": "byok", "success": True}
    if model.startswith("inworld/"):
        return [hosted]
    if model == "auto":
        return [{**hosted, "success": False}, third]
    provider, _, name = model.partition("/")
    return [{**third, "provider": provider, "model": name}]


def _metadata(model: str) -> dict[str, Any]:
    return {"attempts": _attempts(model), "generation_id": f"gen-{next(_numbers)}", "reasoning": None}


def _said(body: dict[str, Any]) -> str:
    """The answer: what the last message said."""
    messages = body.get("messages") or body.get("input") or ""
    if isinstance(messages, str):
        return f"You said: {messages}"
    content = messages[-1]["content"]
    if not isinstance(content, str):
        content = " ".join(part.get("text", "") for part in content)
    return f"You said: {content}"


_CHAT_USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


async def _chat(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    said, model = _said(body), body["model"]
    served = _attempts(model)[-1]["model"]
    base = {"id": f"chatcmpl-{next(_numbers)}", "created": 1700000000, "model": served}
    if not body.get("stream"):
        message: dict[str, Any] = {"role": "assistant", "content": said}
        if body.get("tools"):
            function = {"name": "look_up", "arguments": json.dumps({"q": said})}
            message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        answer = {
            **base,
            "object": "chat.completion",
            "choices": [choice],
            "usage": _CHAT_USAGE,
            "metadata": _metadata(model),
        }
        return await respond(request, answer, headers=_headers())

    def events() -> Iterator[bytes]:
        chunk = {**base, "object": "chat.completion.chunk"}
        for part in _thirds(said):
            delta = {"role": "assistant", "content": part}
            yield sse({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        last = {"index": 0, "delta": {}, "finish_reason": "stop"}
        yield sse({**chunk, "choices": [last], "metadata": _metadata(model)})
        if (body.get("stream_options") or {}).get("include_usage"):
            yield sse({**chunk, "choices": [], "usage": _CHAT_USAGE})
        yield b"data: [DONE]\n\n"

    return await stream(request, events(), content_type="text/event-stream", headers=_headers())


async def _responses(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    said, model = _said(body), body["model"]
    usage = {
        "input_tokens": 11,
        "output_tokens": 7,
        "total_tokens": 18,
        "input_tokens_details": {"cached_tokens": 3},
        "output_tokens_details": {"reasoning_tokens": 2},
    }
    text = {"type": "output_text", "text": said, "annotations": []}
    output = [
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}
    ]
    whole = {
        "id": f"resp-{next(_numbers)}",
        "object": "response",
        "created_at": 1700000000,
        "status": "completed",
        "model": _attempts(model)[-1]["model"],
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
        "metadata": _metadata(model),
    }
    if not body.get("stream"):
        return await respond(request, whole, headers=_headers())

    def events() -> Iterator[bytes]:
        started = {**whole, "status": "in_progress", "output": [], "usage": None}
        numbers = itertools.count()
        yield sse(
            {"type": "response.created", "sequence_number": next(numbers), "response": started},
            "response.created",
        )
        for part in _thirds(said):
            name = "response.output_text.delta"
            place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
            yield sse({"type": name, "sequence_number": next(numbers), "delta": part, **place}, name)
        yield sse(
            {"type": "response.completed", "sequence_number": next(numbers), "response": whole},
            "response.completed",
        )

    return await stream(request, events(), content_type="text/event-stream", headers=_headers())


async def _messages(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    said, model = _said(body), body["model"]
    usage = {
        "input_tokens": 11,
        "output_tokens": 7,
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 2,
    }
    whole = {
        "id": f"msg-{next(_numbers)}",
        "type": "message",
        "role": "assistant",
        "model": _attempts(model)[-1]["model"],
        "content": [{"type": "text", "text": said}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
        "metadata": _metadata(model),
    }
    if not body.get("stream"):
        return await respond(request, whole, headers=_headers())

    def events() -> Iterator[bytes]:
        started = {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
        yield sse({"type": "message_start", "message": started}, "message_start")
        block = {"type": "text", "text": ""}
        yield sse({"type": "content_block_start", "index": 0, "content_block": block}, "content_block_start")
        for part in _thirds(said):
            delta = {"type": "text_delta", "text": part}
            yield sse({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")
        yield sse({"type": "content_block_stop", "index": 0}, "content_block_stop")
        ending = {"stop_reason": "end_turn", "stop_sequence": None}
        yield sse({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 7}}, "message_delta")
        yield sse({"type": "message_stop"}, "message_stop")

    return await stream(request, events(), content_type="text/event-stream", headers=_headers())


async def _speech(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    if body.get("stream_format") == "sse":

        def events() -> Iterator[bytes]:
            for _ in range(3):
                yield sse({"type": "speech.audio.delta", "audio": _b64(AUDIO)})
            usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
            yield sse({"type": "speech.audio.done", "usage": usage})

        return await stream(request, events(), content_type="text/event-stream", headers=_headers())
    chunks = (AUDIO for _ in range(3))
    return await stream(request, chunks, content_type="audio/mpeg", headers=_headers())
