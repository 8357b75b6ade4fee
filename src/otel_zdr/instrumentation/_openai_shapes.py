"""What the requests and answers of OpenAI's HTTP API say, for all clients that speak it (openai, groq,
routers).

Readers take the client's models or plain dicts alike. Metadata is always read; content only when the call
wants it. Attribute names of OpenAI's own: the conventions' page for OpenAI.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _semconv as semconv
from ._call import Call, message
from ._read import fields, get, items, number, plain, text
from ._streams import Observer

_REQUEST_NUMBERS = {
    "max_tokens": semconv.REQUEST_MAX_TOKENS,
    "max_completion_tokens": semconv.REQUEST_MAX_TOKENS,
    "max_output_tokens": semconv.REQUEST_MAX_TOKENS,
    "temperature": semconv.REQUEST_TEMPERATURE,
    "top_p": semconv.REQUEST_TOP_P,
    "top_k": semconv.REQUEST_TOP_K,
    "seed": semconv.REQUEST_SEED,
    "frequency_penalty": semconv.REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": semconv.REQUEST_PRESENCE_PENALTY,
    "n": semconv.REQUEST_CHOICE_COUNT,
}


def request_parameters(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a request that the conventions name. What was left out is no number and falls away."""
    found: dict[str, Any] = {}
    for name, key in _REQUEST_NUMBERS.items():
        if name in kwargs:
            value = number(kwargs[name])
            if value is not None:
                found[key] = value
    return found


# content of requests


def chat_in(call: Call, kwargs: Mapping[str, Any]) -> None:
    """The messages and tools of a chat request."""
    messages_in(call, kwargs.get("messages"))
    tools_in(call, kwargs.get("tools"))


def completion_in(call: Call, kwargs: Mapping[str, Any]) -> None:
    """The prompt or prompts of a text completion."""
    if call.wants_content:
        prompt = kwargs.get("prompt")
        prompts = [prompt] if isinstance(prompt, str) else [p for p in items(prompt) if isinstance(p, str)]
        call.content(semconv.INPUT_MESSAGES, lambda: [message("user", *prompts)])


def speech_in(call: Call, kwargs: Mapping[str, Any]) -> None:
    """The text of a speech request, of which the characters are billed, and the instructions for the
    voice.
    """
    spoken = kwargs.get("input")
    if isinstance(spoken, str):
        call.characters(len(spoken))
        call.text_in(spoken)
    _instructions_in(call, kwargs)


def transcription_in(call: Call, kwargs: Mapping[str, Any]) -> None:
    """The hint beside the audio. Audio itself is never captured."""
    call.text_in(text(kwargs.get("prompt")))


def _instructions_in(call: Call, kwargs: Mapping[str, Any]) -> None:
    instructions = text(kwargs.get("instructions"))
    if instructions is not None and call.wants_content:
        call.content(semconv.SYSTEM_INSTRUCTIONS, lambda: [{"type": "text", "content": instructions}])


def messages_in(call: Call, messages: Any) -> None:
    """Chat messages, in the conventions' shape."""
    if call.wants_content:
        call.content(semconv.INPUT_MESSAGES, lambda: [_message(m) for m in items(messages)])


def tools_in(call: Call, tools: Any) -> None:
    """Tool definitions."""
    if call.wants_content and items(tools):
        call.content(semconv.TOOL_DEFINITIONS, lambda: plain(tools))


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    parts = []
    for part in items(content):
        words = text(get(part, "text"))
        parts.append({"type": "text", "content": words} if words is not None else plain(part))
    return parts


def _tool_calls(calls: Any) -> list[dict[str, Any]]:
    parts = []
    for call in items(calls):
        function = get(call, "function")
        parts.append(
            {
                "type": "tool_call",
                "id": get(call, "id"),
                "name": get(function, "name"),
                "arguments": get(function, "arguments"),
            }
        )
    return parts


def _message(source: Any) -> dict[str, Any]:
    role = get(source, "role")
    content = get(source, "content")
    if role == "tool":
        parts = [
            {"type": "tool_call_response", "id": get(source, "tool_call_id"), "response": plain(content)}
        ]
    else:
        parts = _parts(content) + _tool_calls(get(source, "tool_calls"))
    transcript = text(get(get(source, "audio"), "transcript"))
    if transcript is not None:
        parts.append({"type": "text", "content": transcript})
    refusal = text(get(source, "refusal"))
    if refusal is not None:
        parts.append({"type": "text", "content": refusal})
    return {"role": role, "parts": parts}


# usage


def usage(call: Call, source: Any) -> None:
    """Usage in the spelling of chat (`prompt_tokens`), of responses (`input_tokens`) and of audio
    (`seconds`).
    """
    if source is None:
        return
    said = fields(source).get
    given, made = said("prompt_tokens"), said("completion_tokens")
    call.tokens(
        input=said("input_tokens") if given is None else given,
        output=said("output_tokens") if made is None else made,
    )
    into = said("prompt_tokens_details") or said("input_tokens_details")
    if into is None:
        into = said("input_token_details")
    if into is not None:
        part = fields(into).get
        call.tokens(
            cache_read=part("cached_tokens"),
            cache_creation=part("cache_write_tokens"),
            audio_input=part("audio_tokens"),
            text_input=part("text_tokens"),
        )
    out = said("completion_tokens_details") or said("output_tokens_details")
    if out is not None:
        part = fields(out).get
        call.tokens(
            reasoning=part("reasoning_tokens"),
            audio_output=part("audio_tokens"),
            text_output=part("text_tokens"),
        )
    seconds = said("seconds")
    if seconds is not None:
        call.audio_seconds(seconds)


def service(call: Call, said: Mapping[str, Any]) -> None:
    """The service tier and fingerprint of the back end."""
    call.set("openai.response.service_tier", text(said.get("service_tier")))
    call.set("openai.response.system_fingerprint", text(said.get("system_fingerprint")))


# who served a call through a router


def served_by(call: Call, response: Any) -> None:
    """The provider of a call through Inworld's router: the last of the response's `metadata.attempts`.

    The model asked for may be the name of a router, so only the response can tell whether a hosted or a third
    party's model answered. No attempts: it stays unknown, and unknown is treated as not covered.
    """
    attempts = list(items(get(get(response, "metadata"), "attempts")))
    if not attempts:
        return
    served = next((a for a in reversed(attempts) if get(a, "success") is not False), attempts[-1])
    provider = text(get(served, "provider"))
    if provider is not None:
        name = provider.lower()
        call.provider(name)
        call.set(semconv.ZDR_PROVIDER, name)
    # A provider whose attempt failed has had the content all the same.
    tried = dict.fromkeys((text(get(attempt, "provider")) or "unknown").lower() for attempt in attempts)
    if len(tried) > 1:
        call.set(semconv.ATTEMPTS, tuple(tried))
    call.served_by(tuple(tried))
    call.response(model=get(served, "model"))


# chat and completions


def chat_response(call: Call, response: Any, router: bool) -> None:
    """A whole chat or text completion."""
    said = fields(response)
    choices = items(said.get("choices"))
    call.response(
        id=said.get("id"),
        model=said.get("model"),
        request_id=said.get("_request_id"),
        finish_reasons=[reason for c in choices if (reason := fields(c).get("finish_reason")) is not None],
    )
    usage(call, said.get("usage"))
    service(call, said)
    if router:
        served_by(call, said)
    if call.wants_content:
        call.content(semconv.OUTPUT_MESSAGES, lambda: [_choice(c) for c in choices])


def _choice(choice: Any) -> dict[str, Any]:
    whole = get(choice, "message")
    if whole is None:
        return {
            "role": "assistant",
            "parts": [{"type": "text", "content": get(choice, "text")}],
            "finish_reason": get(choice, "finish_reason"),
        }
    return {**_message(whole), "finish_reason": get(choice, "finish_reason")}


class ChatObserver(Observer):
    """The chunks of a chat or text completion."""

    tells = ("usage", "finish_reason", "metadata")

    __slots__ = ("_known", "_reasons", "_router", "_texts", "_tools", "_usage")

    def __init__(self, router: bool = False) -> None:
        super().__init__()
        self._known = False
        self._router = router
        self._reasons: dict[int, str] = {}
        self._usage: Any = None
        self._texts: dict[int, list[str]] = {}
        self._tools: dict[tuple[int, int], dict[str, Any]] = {}

    def chunk(self, call: Call, item: Any) -> None:
        found = fields(item)
        if not self._known:
            self._known = True
            call.response(id=found.get("id"), model=found.get("model"))
            service(call, found)
        counted = found.get("usage")
        if counted is None:
            extension = found.get("x_groq")
            if extension is not None:
                counted = get(extension, "usage")
        if counted is not None:
            self._usage = counted
        if self._router and found.get("metadata") is not None:
            served_by(call, item)
        for choice in found.get("choices") or ():
            inner = fields(choice)
            reason = inner.get("finish_reason")
            if reason is not None:
                self._reasons[inner.get("index") or 0] = reason
            if call.wants_content:
                self._gather(choice)

    def _gather(self, choice: Any) -> None:
        index = get(choice, "index") or 0
        delta = get(choice, "delta")
        for words in (get(delta, "content"), get(delta, "refusal"), get(choice, "text")):
            if isinstance(words, str):
                self._texts.setdefault(index, []).append(words)
        for tool in items(get(delta, "tool_calls")):
            place = (index, get(tool, "index") or 0)
            function = get(tool, "function")
            seen = self._tools.setdefault(
                place, {"type": "tool_call", "id": None, "name": None, "arguments": ""}
            )
            seen["id"] = seen["id"] or get(tool, "id")
            seen["name"] = seen["name"] or get(function, "name")
            seen["arguments"] += get(function, "arguments") or ""

    def finish(self, call: Call) -> None:
        call.response(finish_reasons=[self._reasons[index] for index in sorted(self._reasons)])
        usage(call, self._usage)
        if call.wants_content:
            call.content(semconv.OUTPUT_MESSAGES, self._messages)

    def _messages(self) -> list[dict[str, Any]]:
        messages = []
        for index in sorted({*self._texts, *(place[0] for place in self._tools)}):
            parts: list[dict[str, Any]] = []
            if index in self._texts:
                parts.append({"type": "text", "content": "".join(self._texts[index])})
            parts += [tool for place, tool in sorted(self._tools.items()) if place[0] == index]
            messages.append({"role": "assistant", "parts": parts, "finish_reason": self._reasons.get(index)})
        return messages


# responses


def responses_in(call: Call, kwargs: Mapping[str, Any]) -> None:
    """The input, instructions and tools of a request to the responses API."""
    if not call.wants_content:
        return
    given = kwargs.get("input")
    if isinstance(given, str):
        call.text_in(given)
    elif items(given):
        call.content(semconv.INPUT_MESSAGES, lambda: [_input_item(item) for item in items(given)])
    _instructions_in(call, kwargs)
    tools_in(call, kwargs.get("tools"))


def _input_item(item: Any) -> dict[str, Any]:
    if get(item, "role") is not None:
        return _message(item)
    return {"role": "user", "parts": [plain(item)]}


def responses_response(call: Call, response: Any, router: bool) -> None:
    """A whole answer of the responses API."""
    said = fields(response)
    status = text(said.get("status"))
    call.response(
        id=said.get("id"),
        model=said.get("model"),
        request_id=said.get("_request_id"),
        finish_reasons=_responses_reasons(said, status),
    )
    call.set(semconv.RESPONSE_STATUS, status)
    usage(call, said.get("usage"))
    service(call, said)
    if router:
        served_by(call, said)
    if call.wants_content:
        call.content(semconv.OUTPUT_MESSAGES, lambda: [_output_item(o) for o in items(said.get("output"))])
    if status == "failed":
        call.fail_as(_failure(said))


def _failure(response: Any) -> str:
    """The code of a failed response: one of a closed list of the API. Its message may repeat the request."""
    return text(get(get(response, "error"), "code")) or "failed"


def _responses_reasons(response: Any, status: str | None) -> list[str]:
    reason = text(get(get(response, "incomplete_details"), "reason"))
    if reason is not None:
        return [reason]
    return [status] if status is not None else []


def _output_item(item: Any) -> dict[str, Any]:
    if get(item, "type") == "message":
        return _message(item)
    if get(item, "type") == "function_call":
        part = {
            "type": "tool_call",
            "id": get(item, "call_id"),
            "name": get(item, "name"),
            "arguments": get(item, "arguments"),
        }
        return {"role": "assistant", "parts": [part]}
    return {"role": "assistant", "parts": [plain(item)]}


class ResponsesObserver(Observer):
    """The events of the responses API. Each closing event carries the whole response."""

    tells = ("response",)

    __slots__ = ("_last", "_router", "_seen")

    def __init__(self, router: bool = False) -> None:
        super().__init__()
        self._router = router
        self._last: Any = None
        self._seen = False

    def chunk(self, call: Call, item: Any) -> None:
        response = fields(item).get("response")
        if response is None:
            return
        if not self._seen:
            self._seen = True
            call.response(id=get(response, "id"), model=get(response, "model"))
        kind = get(item, "type")
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self._last = response
            if kind == "response.failed":
                call.fail_as(_failure(response))

    def finish(self, call: Call) -> None:
        if self._last is not None:
            responses_response(call, self._last, self._router)


# speech


def transcription_response(call: Call, response: Any, router: bool = False) -> None:
    """A transcription or translation, as a model, as plain text, or as a dict."""
    if isinstance(response, str):
        call.text_out(response)
        return
    usage(call, get(response, "usage"))
    duration = get(response, "duration")
    if isinstance(duration, str):  # openai declares it as text in some versions
        try:
            duration = float(duration)
        except ValueError:
            duration = None
    call.audio_seconds(duration)
    call.response(
        request_id=get(response, "_request_id") or get(get(response, "x_groq"), "id"),
        model=get(response, "model"),
    )
    if router:
        served_by(call, response)
    call.text_out(get(response, "text"))


class SpeechObserver(Observer):
    """The events of streamed speech (`stream_format="sse"`); the last one counts tokens."""

    tells = ("usage",)

    __slots__ = ()

    def chunk(self, call: Call, item: Any) -> None:
        counted = fields(item).get("usage")
        if counted is not None:
            usage(call, counted)


class TranscriptionObserver(Observer):
    """The events of a streamed transcription."""

    tells = ("usage",)

    __slots__ = ("_usage", "_words")

    def __init__(self) -> None:
        super().__init__()
        self._usage: Any = None
        self._words: list[str] = []

    def chunk(self, call: Call, item: Any) -> None:
        counted = fields(item).get("usage")
        if counted is not None:
            self._usage = counted
        if call.wants_content:
            whole = get(item, "text")
            delta = get(item, "delta")
            if get(item, "type") == "transcript.text.done" and isinstance(whole, str):
                self._words = [whole]
            elif isinstance(delta, str):
                self._words.append(delta)

    def finish(self, call: Call) -> None:
        usage(call, self._usage)
        if call.wants_content and self._words:
            call.text_out("".join(self._words))
