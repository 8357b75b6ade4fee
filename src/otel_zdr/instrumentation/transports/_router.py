"""The LLM router: chat, responses, messages and speech.

The model asked for may be the name of a router, so whether a hosted model or a third party's answered stands
in the answer only (`metadata.attempts`). Until then, and where it says nothing, the provider is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _hints
from .. import _openai_shapes as openai
from .. import _semconv as semconv
from .._call import Call
from .._read import text
from .._streams import Observer
from .._telemetry import Telemetry
from . import _messages
from ._answers import Document, Each, keep_for
from ._exchange import PROVIDER, Exchange
from ._request import Request
from ._skim import METADATA, TEXT
from ._speech import length


def _operation(
    operation: str,
    content_in: Callable[[Call, Mapping[str, Any]], None],
    whole: Callable[[Call, Any], None],
    events: Callable[[], Observer],
) -> Callable[[Telemetry, Request, str], Exchange | None]:
    def opening(telemetry: Telemetry, request: Request, _: str) -> Exchange | None:
        fields = request.fields(METADATA)
        call = telemetry.begin(
            operation,
            provider=PROVIDER,
            product=semconv.LLM,
            model=fields.get("model"),
            stream=fields.get("stream") is True,
            server=request.server,
            attributes=openai.request_parameters(fields),
        )
        if call is None:
            return None
        _hints.tighten(call, key=request.key)
        if call.wants_content:
            content_in(call, request.fields(TEXT))

        def answer(content_type: str) -> Observer:
            if "event-stream" in content_type:
                return Each(keep_for(call), events())
            return Document(keep_for(call), whole)

        return Exchange(call, answer)

    return opening


def _chat_in(call: Call, fields: Mapping[str, Any]) -> None:
    openai.messages_in(call, fields.get("messages"))
    openai.tools_in(call, fields.get("tools"))


def speech(telemetry: Telemetry, request: Request, _: str) -> Exchange | None:
    fields = request.fields(TEXT)
    call = telemetry.begin(
        semconv.TEXT_TO_SPEECH,
        provider=PROVIDER,
        product=semconv.TTS,
        model=fields.get("model"),
        stream=fields.get("stream_format") == "sse",
        server=request.server,
        attributes={semconv.OUTPUT_TYPE: "speech"},
    )
    if call is None:
        return None
    _hints.tighten(call, voice=fields.get("voice"), key=request.key)
    call.text_in(fields.get("input"))
    instructions = text(fields.get("instructions"))
    if instructions is not None:
        call.content(semconv.SYSTEM_INSTRUCTIONS, lambda: [{"type": "text", "content": instructions}])
    # The answer is audio and counts nothing.
    call.characters(length(fields.get("input")))

    def answer(content_type: str) -> Observer:
        return Each(METADATA, openai.SpeechObserver()) if "event-stream" in content_type else _Audio()

    return Exchange(call, answer)


class _Audio(Observer):
    """A body that is audio: counted by nobody, kept by nobody."""


chat = _operation(
    semconv.CHAT,
    _chat_in,
    lambda call, document: openai.chat_response(call, document, True),
    lambda: openai.ChatObserver(router=True),
)
responses = _operation(
    semconv.CHAT,
    openai.responses_in,
    lambda call, document: openai.responses_response(call, document, True),
    lambda: openai.ResponsesObserver(router=True),
)
messages = _operation(
    semconv.CHAT,
    _messages.content_in,
    _messages.answer,
    _messages.Events,
)
