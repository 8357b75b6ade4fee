"""anthropic below 1: messages, also against Inworld's router.

From 1 on the client emits spans of its own, which the gate redacts; this instrumentor then stays away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import _hints
from . import _semconv as semconv
from ._call import Call
from ._guard import coverage
from ._hosts import is_inworld, server_of_client
from ._openai_shapes import request_parameters, served_by
from ._patch import Patches
from ._read import fields, get, items, plain, text
from ._stainless import settle
from ._streams import Observer, follow
from ._telemetry import Telemetry
from ._wrap import async_call, sync_call

# Where `messages.stream()` leaves its arguments: on the manager it returns, until that sends the request.
_PENDING = "_otel_zdr_pending"


def _usage(call: Call, source: Any) -> None:
    # Anthropic leaves what the cache served out of `input_tokens`; the conventions count it in.
    if source is None:
        return
    fresh = get(source, "input_tokens")
    cached = get(source, "cache_read_input_tokens")
    written = get(source, "cache_creation_input_tokens")
    whole = fresh
    if isinstance(fresh, int):
        whole = fresh + sum(n for n in (cached, written) if isinstance(n, int))
    call.tokens(input=whole, output=get(source, "output_tokens"), cache_read=cached, cache_creation=written)


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    parts: list[dict[str, Any]] = []
    for block in items(content):
        kind = get(block, "type")
        if kind == "text":
            parts.append({"type": "text", "content": get(block, "text")})
        elif kind == "tool_use":
            parts.append(
                {
                    "type": "tool_call",
                    "id": get(block, "id"),
                    "name": get(block, "name"),
                    "arguments": plain(get(block, "input")),
                }
            )
        elif kind == "tool_result":
            parts.append(
                {
                    "type": "tool_call_response",
                    "id": get(block, "tool_use_id"),
                    "response": plain(get(block, "content")),
                }
            )
        elif kind == "thinking":
            parts.append({"type": "reasoning", "content": get(block, "thinking")})
        else:
            parts.append(plain(block))
    return parts


def _request(call: Call, kwargs: Mapping[str, Any]) -> None:
    if not call.wants_content:
        return
    call.content(
        semconv.INPUT_MESSAGES,
        lambda: [
            {"role": get(m, "role"), "parts": _parts(get(m, "content"))}
            for m in items(kwargs.get("messages"))
        ],
    )
    system = kwargs.get("system")
    if isinstance(system, str) or items(system):
        call.content(semconv.SYSTEM_INSTRUCTIONS, lambda: _parts(system))
    tools = kwargs.get("tools")
    if items(tools):
        call.content(semconv.TOOL_DEFINITIONS, lambda: plain(tools))


def _response(call: Call, response: Any, router: bool) -> None:
    reason = text(get(response, "stop_reason"))
    call.response(
        id=get(response, "id"),
        model=get(response, "model"),
        request_id=get(response, "_request_id"),
        finish_reasons=[reason] if reason is not None else None,
    )
    _usage(call, get(response, "usage"))
    if router:
        served_by(call, response)
    if call.wants_content:
        call.content(
            semconv.OUTPUT_MESSAGES,
            lambda: [
                {"role": "assistant", "parts": _parts(get(response, "content")), "finish_reason": reason}
            ],
        )


class MessageObserver(Observer):
    """The events of a streamed message."""

    tells = ("message_start", "message_delta")

    __slots__ = ("_blocks", "_counts", "_reason", "_router")

    def __init__(self, router: bool) -> None:
        super().__init__()
        self._router = router
        self._reason: str | None = None
        self._counts: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}

    def chunk(self, call: Call, item: Any) -> None:
        kind = fields(item).get("type")
        if kind == "content_block_delta":
            if call.wants_content:
                self._gather(get(item, "index") or 0, get(item, "delta"))
        elif kind == "message_start":
            started = get(item, "message")
            call.response(id=get(started, "id"), model=get(started, "model"))
            self._count(get(started, "usage"))
            if self._router:
                served_by(call, started)
        elif kind == "message_delta":
            self._reason = text(get(get(item, "delta"), "stop_reason")) or self._reason
            self._count(get(item, "usage"))
            if self._router:
                served_by(call, item)
        elif kind == "content_block_start" and call.wants_content:
            block = get(item, "content_block")
            if get(block, "type") == "tool_use":
                self._blocks[get(item, "index") or 0] = {
                    "type": "tool_call",
                    "id": get(block, "id"),
                    "name": get(block, "name"),
                    "arguments": "",
                }

    def _count(self, source: Any) -> None:
        for name in (
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
        ):
            count = get(source, name)
            if isinstance(count, int):
                self._counts[name] = count

    def _gather(self, index: int, delta: Any) -> None:
        for name, kind, key in (
            ("text", "text", "content"),
            ("thinking", "reasoning", "content"),
            ("partial_json", "tool_call", "arguments"),
        ):
            words = get(delta, name)
            if isinstance(words, str):
                block = self._blocks.setdefault(index, {"type": kind, key: ""})
                block[key] = block.get(key, "") + words

    def finish(self, call: Call) -> None:
        if self._reason is not None:
            call.response(finish_reasons=[self._reason])
        _usage(call, self._counts)
        if call.wants_content and self._blocks:
            call.content(
                semconv.OUTPUT_MESSAGES,
                lambda: [
                    {
                        "role": "assistant",
                        "parts": [self._blocks[index] for index in sorted(self._blocks)],
                        "finish_reason": self._reason,
                    }
                ],
            )


class MessagesCall:
    """An `Operation` (see `_wrap`) of one method of `Messages`."""

    def __init__(self, telemetry: Telemetry, method: str) -> None:
        self._telemetry = telemetry
        self._method = method

    def begin(
        self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any], stream: bool = False
    ) -> Call | None:
        client = instance._client
        if coverage.foreign(instance, self._method) or coverage.foreign(client, "request"):
            return None
        server = server_of_client(client)
        call = self._telemetry.begin(
            semconv.CHAT,
            provider="inworld" if is_inworld(server) else "anthropic",
            product=semconv.LLM,
            model=kwargs.get("model"),
            stream=stream or kwargs.get("stream") is True,
            server=server,
            attributes=request_parameters(kwargs),
        )
        if call is not None:
            # first: a hint may put the call under ZDR, and then none of its content is looked at
            _hints.tighten(call, key=getattr(client, "api_key", None))
            _request(call, kwargs)
        return call

    def done(self, call: Call, result: Any) -> Any:
        router = call.provider_name == "inworld"
        # The helper around a stream keeps the raw one below; what is read from either passes there.
        raw = get(result, "_raw_stream")
        if raw is not None:
            response = getattr(raw, "response", None)
            headers = getattr(response, "headers", None)
            if headers is not None:
                call.response(request_id=headers.get("request-id"))
            follow(raw, call, MessageObserver(router), response)
            return result
        return settle(
            call,
            result,
            lambda call, answer: _response(call, answer, router),
            lambda: MessageObserver(router),
            request_id="request-id",
        )


class _StreamEntry:
    """The `Operation` of entering the context manager of `messages.stream()`, which sends the request."""

    def __init__(self, messages: MessagesCall) -> None:
        self._messages = messages
        self.done = messages.done

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        pending = getattr(instance, _PENDING, None)
        if pending is None:
            return None
        resource, arguments = pending
        setattr(instance, _PENDING, None)
        return self._messages.begin(resource, (), arguments, stream=True)


def _remember(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    manager = wrapped(*args, **kwargs)
    try:
        setattr(manager, _PENDING, (instance, kwargs))
    except Exception:
        return manager  # a manager of an unknown build: its request makes no span
    return manager


def patch(patches: Patches, get_telemetry: Callable[[], Telemetry]) -> None:
    telemetry = get_telemetry()
    for module in ("anthropic.resources.messages", "anthropic.resources.beta.messages"):
        for method in ("create", "parse"):
            operation = MessagesCall(telemetry, method)
            patches.wrap(module, f"Messages.{method}", sync_call(operation))
            patches.wrap(module, f"AsyncMessages.{method}", async_call(operation))
        patches.wrap(module, "Messages.stream", _remember)
        patches.wrap(module, "AsyncMessages.stream", _remember)
    entry = _StreamEntry(MessagesCall(telemetry, "stream"))
    for module, prefix in (
        ("anthropic.lib.streaming._messages", ""),
        ("anthropic.lib.streaming._beta_messages", "Beta"),
    ):
        patches.wrap(module, f"{prefix}MessageStreamManager.__enter__", sync_call(entry))
        patches.wrap(module, f"{prefix}AsyncMessageStreamManager.__aenter__", async_call(entry))
