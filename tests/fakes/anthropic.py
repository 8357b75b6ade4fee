"""Anthropic's messages API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.fakes.openai import last_said, thirds
from tests.fakes.server import respond, sse, stream

PREFIX = "/anthropic/v1"
USAGE = {
    "input_tokens": 19,
    "output_tokens": 11,
    "cache_read_input_tokens": 5,
    "cache_creation_input_tokens": 3,
}
HEADERS = {"request-id": "req_anthropic_1"}


def add_routes(app: web.Application) -> None:
    app.router.add_post(f"{PREFIX}/messages", messages)


async def messages(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    said = f"You said {last_said(body['messages'])}"
    content: list[dict[str, Any]] = [{"type": "text", "text": said}]
    if body.get("tools"):
        content.append({"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"q": said}})
    whole = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": USAGE,
    }
    if not body.get("stream"):
        return await respond(request, whole, headers=HEADERS)

    def events() -> Iterator[bytes]:
        started = {**whole, "content": [], "stop_reason": None, "usage": {**USAGE, "output_tokens": 1}}
        yield sse({"type": "message_start", "message": started}, "message_start")
        for index, block in enumerate(content):
            text = block["type"] == "text"
            blank = {"type": "text", "text": ""} if text else {**block, "input": {}}
            name = "content_block_start"
            yield sse({"type": name, "index": index, "content_block": blank}, name)
            kind, key = ("text_delta", "text") if text else ("input_json_delta", "partial_json")
            name = "content_block_delta"
            for part in thirds(said if text else json.dumps(block["input"])):
                yield sse({"type": name, "index": index, "delta": {"type": kind, key: part}}, name)
            yield sse({"type": "content_block_stop", "index": index}, "content_block_stop")
        ending = {"stop_reason": "end_turn", "stop_sequence": None}
        yield sse({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 11}}, "message_delta")
        yield sse({"type": "message_stop"}, "message_stop")

    return await stream(request, events(), content_type="text/event-stream", headers=HEADERS)
