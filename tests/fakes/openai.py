"""OpenAI's API, as far as the tests use it. What was asked comes back, so that a marker shows."""

from __future__ import annotations

import email
import itertools
import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.fakes.server import respond, sse, stream

PREFIX = "/openai/v1"
AUDIO = b"ID3" + bytes(64)
HEADERS = {"x-request-id": "req_openai_1"}
CHAT_USAGE = {
    "prompt_tokens": 19,
    "completion_tokens": 11,
    "total_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 1},
}
RESPONSES_USAGE = {
    "input_tokens": 19,
    "output_tokens": 11,
    "total_tokens": 30,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens_details": {"reasoning_tokens": 4},
}
TRANSCRIPTION_USAGE = {"type": "duration", "seconds": 3}
_numbers = itertools.count(1)


def add_routes(app: web.Application) -> None:
    app.router.add_post(f"{PREFIX}/chat/completions", chat)
    app.router.add_post("/odd/v1/chat/completions", odd)
    app.router.add_post(f"{PREFIX}/responses", responses)
    app.router.add_post(f"{PREFIX}/completions", completions)
    app.router.add_post(f"{PREFIX}/audio/speech", speech)
    app.router.add_post(f"{PREFIX}/audio/transcriptions", transcription)
    app.router.add_post(f"{PREFIX}/audio/translations", transcription)


def thirds(words: str) -> list[str]:
    """`words` in three pieces, as models send them."""
    size = -(-len(words) // 3) or 1
    return [words[at : at + size] for at in range(0, len(words), size)]


def last_said(messages: list[dict[str, Any]]) -> str:
    content = messages[-1]["content"]
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


async def form(request: web.Request) -> dict[str, str]:
    """The fields of a multipart form by name; the fakes hear audio as the text it spells."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + await request.read())
    fields = {}
    for part in message.get_payload():
        payload = part.get_payload(decode=True)
        fields[str(part.get_param("name", header="content-disposition"))] = payload.decode("utf-8", "replace")
    return fields


async def chat(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    said = f"You said {last_said(body['messages'])}"
    base = {"id": "chatcmpl-1", "created": 1700000000, "model": f"{body['model']}-2026-01-01"}
    base["service_tier"] = "default"
    if not body.get("stream"):
        message: dict[str, Any] = {"role": "assistant", "content": said}
        if body.get("response_format", {}).get("type") == "json_schema":
            message["content"] = json.dumps({"said": said})
        if body.get("tools"):
            function = {"name": "look_up", "arguments": json.dumps({"q": said})}
            message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        answer = {**base, "object": "chat.completion", "choices": [choice], "usage": CHAT_USAGE}
        return await respond(request, answer, headers=HEADERS)

    def events() -> Iterator[bytes]:
        chunk = {**base, "object": "chat.completion.chunk"}
        for part in thirds(said):
            delta = {"role": "assistant", "content": part}
            yield sse({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        yield sse({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (body.get("stream_options") or {}).get("include_usage"):
            yield sse({**chunk, "choices": [], "usage": CHAT_USAGE})
        yield b"data: [DONE]\n\n"

    return await stream(request, events(), content_type="text/event-stream", headers=HEADERS)


async def odd(request: web.Request) -> web.StreamResponse:
    """Valid JSON in which every field a reader might look at has a wrong type."""
    choices = [{"index": "x", "finish_reason": 7, "message": "text"}, None, 3]
    usage = {"prompt_tokens": "many", "completion_tokens": -1, "prompt_tokens_details": [1]}
    answer = {"id": 5, "model": {"a": 1}, "choices": choices, "usage": usage, "metadata": "none"}
    return await respond(request, answer)


async def responses(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    given = body["input"]
    said = f"You said {given if isinstance(given, str) else last_said(given)}"
    if body.get("text", {}).get("format", {}).get("type") == "json_schema":
        said = json.dumps({"said": said})
    part = {"type": "output_text", "text": said, "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    whole = {
        "id": f"resp_{next(_numbers)}",  # some instrumentors remember answers by id
        "object": "response",
        "created_at": 1700000000,
        "status": "completed",
        "model": f"{body['model']}-2026-01-01",
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": RESPONSES_USAGE,
    }
    failed = body["model"] == "gpt-fails"
    if failed:
        error = {"code": "server_error", "message": f"could not answer {said}"}
        whole |= {"status": "failed", "output": [], "error": error}
    if not body.get("stream"):
        return await respond(request, whole, headers=HEADERS)

    def events() -> Iterator[bytes]:
        started = {**whole, "status": "in_progress", "output": [], "usage": None, "error": None}
        yield sse({"type": "response.created", "sequence_number": 0, "response": started}, "response.created")
        place = {"output_index": 0, "sequence_number": 1}
        new = {**item, "status": "in_progress", "content": []}
        yield sse({"type": "response.output_item.added", "item": new, **place}, "response.output_item.added")
        place |= {"item_id": "msg_1", "content_index": 0}
        blank = {"type": "output_text", "text": "", "annotations": []}
        name = "response.content_part.added"
        yield sse({"type": name, "part": blank, **place}, name)
        name = "response.output_text.delta"
        for delta in thirds(said):
            yield sse({"type": name, "delta": delta, "logprobs": [], **place}, name)
        name = "response.failed" if failed else "response.completed"
        yield sse({"type": name, "sequence_number": 9, "response": whole}, name)

    return await stream(request, events(), content_type="text/event-stream", headers=HEADERS)


async def completions(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    said = f"You said {body['prompt']}"
    base = {"id": "cmpl-1", "object": "text_completion", "created": 1700000000, "model": body["model"]}
    if not body.get("stream"):
        choice = {"index": 0, "finish_reason": "length", "text": said, "logprobs": None}
        return await respond(request, {**base, "choices": [choice], "usage": CHAT_USAGE}, headers=HEADERS)

    def events() -> Iterator[bytes]:
        for part in thirds(said):
            yield sse({**base, "choices": [{"index": 0, "text": part, "finish_reason": None}]})
        yield sse({**base, "choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
        yield b"data: [DONE]\n\n"

    return await stream(request, events(), content_type="text/event-stream", headers=HEADERS)


async def speech(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    if body.get("stream_format") == "sse":
        usage = {"input_tokens": 7, "output_tokens": 31, "total_tokens": 38}
        events = [
            sse({"type": "speech.audio.delta", "audio": "AAAA"}),
            sse({"type": "speech.audio.done", "usage": usage}),
        ]
        return await stream(request, events, content_type="text/event-stream", headers=HEADERS)
    return await stream(request, [AUDIO, AUDIO, AUDIO], content_type="audio/mpeg", headers=HEADERS)


async def transcription(request: web.Request) -> web.StreamResponse:
    fields = await form(request)
    heard = fields["file"]
    shape = fields.get("response_format", "json")
    if fields.get("stream") == "true":
        pieces = [sse({"type": "transcript.text.delta", "delta": part}) for part in thirds(heard)]
        usage = {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59}
        usage["input_token_details"] = {"text_tokens": 4, "audio_tokens": 10}
        pieces.append(sse({"type": "transcript.text.done", "text": heard, "usage": usage}))
        pieces.append(b"data: [DONE]\n\n")
        return await stream(request, pieces, content_type="text/event-stream", headers=HEADERS)
    if shape in ("text", "srt", "vtt"):
        return await respond(request, heard.encode(), content_type="text/plain", headers=HEADERS)
    answer: dict[str, Any] = {"text": heard, "usage": TRANSCRIPTION_USAGE}
    if shape == "verbose_json":
        answer |= {"duration": 2.5, "language": "english", "segments": []}
        del answer["usage"]
    return await respond(request, answer, headers=HEADERS)
