"""The router's `/v1/messages`, which speaks Anthropic's API: requests, answers and streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import _semconv as semconv
from .._call import Call, message
from .._openai_shapes import served_by
from .._read import get, items, plain, text
from .._streams import Observer


def content_in(call: Call, fields: Mapping[str, Any]) -> None:
    """Messages, system prompt and tools."""
    if not call.wants_content:
        return
    call.content(
        semconv.INPUT_MESSAGES,
        lambda: [
            {"role": get(item, "role"), "parts": _parts(get(item, "content"))}
            for item in items(fields.get("messages"))
        ],
    )
    if fields.get("system"):
        call.content(semconv.SYSTEM_INSTRUCTIONS, lambda: _parts(fields["system"]))
    if items(fields.get("tools")):
        call.content(semconv.TOOL_DEFINITIONS, lambda: plain(fields["tools"]))


def _parts(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    parts = []
    for part in items(content):
        words = text(get(part, "text"))
        parts.append({"type": "text", "content": words} if words is not None else plain(part))
    return parts


def usage(call: Call, source: Any) -> None:
    """Tokens. Those read from or written to a cache stand beside `input_tokens`, not in it."""
    call.tokens(
        input=get(source, "input_tokens"),
        output=get(source, "output_tokens"),
        cache_read=get(source, "cache_read_input_tokens"),
        cache_creation=get(source, "cache_creation_input_tokens"),
    )


def answer(call: Call, document: Any) -> None:
    """A whole answer."""
    reason = text(get(document, "stop_reason"))
    call.response(
        id=get(document, "id"), model=get(document, "model"), finish_reasons=[reason] if reason else None
    )
    usage(call, get(document, "usage"))
    served_by(call, document)
    if call.wants_content:
        call.content(
            semconv.OUTPUT_MESSAGES,
            lambda: [
                {"role": "assistant", "parts": _parts(get(document, "content")), "finish_reason": reason}
            ],
        )


class Events(Observer):
    """The events of a streamed answer."""

    tells = ("message_start", "message_delta")

    __slots__ = ("_reason", "_words")

    def __init__(self) -> None:
        super().__init__()
        self._reason: str | None = None
        self._words: list[str] = []

    def chunk(self, call: Call, item: Any) -> None:
        kind = item.get("type")
        if kind == "message_start":
            started = get(item, "message")
            call.response(id=get(started, "id"), model=get(started, "model"))
            usage(call, get(started, "usage"))
            served_by(call, started)
        elif kind == "message_delta":
            usage(call, get(item, "usage"))
            self._reason = text(get(get(item, "delta"), "stop_reason")) or self._reason
            served_by(call, item)
        elif kind == "content_block_delta" and call.wants_content:
            delta = get(item, "delta")
            for words in (get(delta, "text"), get(delta, "thinking"), get(delta, "partial_json")):
                if isinstance(words, str):
                    self._words.append(words)

    def finish(self, call: Call) -> None:
        call.response(finish_reasons=[self._reason] if self._reason else None)
        if call.wants_content and self._words:
            whole = message("assistant", "".join(self._words), finish_reason=self._reason)
            call.content(semconv.OUTPUT_MESSAGES, lambda: [whole])
