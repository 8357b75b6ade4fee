"""Groq's API: OpenAI's, with usage and request id in `x_groq`."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from tests.fakes import openai
from tests.fakes.server import respond, sse, stream

PREFIX = "/groq/openai/v1"
USAGE = {
    "queue_time": 0.01,
    "prompt_tokens": 19,
    "completion_tokens": 11,
    "total_tokens": 30,
    "total_time": 0.2,
    "prompt_tokens_details": {"cached_tokens": 5},
}
HEADERS = {"x-request-id": "req_groq_1"}


def add_routes(app: web.Application) -> None:
    app.router.add_post(f"{PREFIX}/chat/completions", chat)
    app.router.add_post(f"{PREFIX}/audio/speech", openai.speech)
    app.router.add_post(f"{PREFIX}/audio/transcriptions", transcription)
    app.router.add_post(f"{PREFIX}/audio/translations", transcription)


async def chat(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    said = f"You said {openai.last_said(body['messages'])}"
    base = {"id": "chatcmpl-g1", "created": 1700000000, "model": body["model"]}
    if not body.get("stream"):
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
        answer = {**base, "object": "chat.completion", "choices": [choice], "usage": USAGE}
        return await respond(request, {**answer, "x_groq": {"id": "req_groq_1"}}, headers=HEADERS)

    def events() -> Iterator[bytes]:
        chunk = {**base, "object": "chat.completion.chunk"}
        first = True
        for part in openai.thirds(said):
            choice = {"index": 0, "delta": {"role": "assistant", "content": part}, "finish_reason": None}
            yield sse({**chunk, "choices": [choice], **({"x_groq": {"id": "req_groq_1"}} if first else {})})
            first = False
        last = {"index": 0, "delta": {}, "finish_reason": "stop"}
        yield sse({**chunk, "choices": [last], "x_groq": {"id": "req_groq_1", "usage": USAGE}})
        yield b"data: [DONE]\n\n"

    return await stream(request, events(), content_type="text/event-stream", headers=HEADERS)


async def transcription(request: web.Request) -> web.StreamResponse:
    fields = await openai.form(request)
    heard = fields["file"]
    answer = {"text": heard, "x_groq": {"id": "req_groq_1"}}
    if fields.get("response_format") == "verbose_json":
        answer |= {"duration": 2.5, "language": "English", "segments": []}
    return await respond(request, answer, headers=HEADERS)
