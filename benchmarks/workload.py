"""The workload: one span and one log record of a call to a language model, as an instrumentation writes them,
and one line that the application logs.

A span has 20 attributes, two of them messages that share ``size`` characters of prose in JSON, an exception
event, a link and an error status. Contents come from a pool of distinct texts made beforehand, so that making
them costs nothing inside a timed loop and nothing can be gained by remembering a value.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer

if TYPE_CHECKING:
    from opentelemetry._logs import Logger

WORKSPACE_UNDER_ZDR = "ward-1"
OTHER_WORKSPACE = "studio"

# The six exact keys given to peers that take a list of keys: all the content that stands on this span.
CONTENT_KEYS = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "exception.message",
    "exception.stacktrace",
)

# The names of the two messages in the conventions that the peers know.
MESSAGE_KEYS = {
    "gen_ai": ("gen_ai.input.messages", "gen_ai.output.messages"),
    "openinference": ("llm.input_messages.0.message.content", "llm.output_messages.0.message.content"),
}

_WORDS = """the patient said that pain in her left knee began after a long walk on Tuesday evening and
she has since taken two tablets each morning with little relief could you summarise what was agreed with
our nurse about next steps including any appointment at 14 30 or later in room 7 thank you very much"""

_LINKED = SpanContext(
    trace_id=0x5B8EFFF798038103D269B633813FC60C,
    span_id=0xEEE19B7EC3C1B174,
    is_remote=True,
    trace_flags=TraceFlags(TraceFlags.SAMPLED),
)

_STACKTRACE = (
    "Traceback (most recent call last):\n"
    + "".join(
        f'  File "/srv/app/{module}.py", line {line}, in {function}\n    {code}\n'
        for module, line, function, code in (
            ("main", 41, "handle", "reply = await agent.answer(message)"),
            ("agent", 118, "answer", "completion = await self.client.create(**request)"),
            ("client", 77, "create", "response.raise_for_status()"),
            ("transport", 203, "raise_for_status", "raise RateLimited(response.text)"),
        )
    )
    + "app.transport.RateLimited: "
)


_TEXT = " ".join(random.Random(1).choices(_WORDS.split(), k=60_000))


def prose(size: int, rng: random.Random) -> str:
    """``size`` characters of words, at most 200,000, cut at a random place of a longer text."""
    start = rng.randrange(len(_TEXT) - size)
    return _TEXT[start : start + size]


def message(role: str, size: int, rng: random.Random) -> str:
    """A chat message in the form of the GenAI conventions, ``size`` characters of JSON."""
    frame = json.dumps([{"role": role, "parts": [{"type": "text", "content": ""}]}])
    return frame.replace('""', json.dumps(prose(max(size - len(frame), 1), rng)))


class Call:
    """What one call says; ``size`` is the length of both messages together, in characters."""

    __slots__ = ("answer", "error", "question", "response_id", "stacktrace")

    def __init__(self, size: int, rng: random.Random) -> None:
        self.question = message("user", size // 2, rng)
        self.answer = message("assistant", size - size // 2, rng)
        self.error = "rate limited while answering: " + prose(120, rng)
        self.stacktrace = _STACKTRACE + self.error
        self.response_id = f"chatcmpl-{rng.getrandbits(96):024x}"


def calls(size: int, count: int, seed: int = 8) -> list[Call]:
    rng = random.Random(seed)
    return [Call(size, rng) for _ in range(count)]


def span_writer(
    tracer: Tracer, *, workspace: str, dialect: str = "gen_ai", live_exception: bool = False
) -> Callable[[Call], None]:
    """A function that writes the span of one call.

    ``live_exception`` records the event with ``Span.record_exception`` from a raised exception, which also
    pays for formatting its trace; otherwise the same event is added from ready text.
    """
    question_key, answer_key = MESSAGE_KEYS[dialect]

    def write(call: Call) -> None:
        span = tracer.start_span(
            "chat gpt-4o-mini",
            kind=SpanKind.CLIENT,
            attributes={
                "workspace.id": workspace,
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4o-mini",
                "gen_ai.request.temperature": 0.2,
                "gen_ai.request.max_tokens": 1024,
                "server.address": "api.inworld.ai",
                "server.port": 443,
            },
            links=(Link(_LINKED, {"app.reason": "retry of " + call.response_id}),),
        )
        put = span.set_attribute
        put(question_key, call.question)
        put("app.customer_note", call.error)
        put("gen_ai.conversation.id", call.response_id)
        put("gen_ai.response.id", call.response_id)
        put("gen_ai.response.model", "gpt-4o-mini-2024-07-18")
        put("gen_ai.response.finish_reasons", ("stop",))
        put("gen_ai.usage.input_tokens", 512)
        put("gen_ai.usage.output_tokens", 438)
        put("gen_ai.usage.cache_read.input_tokens", 256)
        put("http.response.status_code", 429)
        put("error.type", "RateLimited")
        put(answer_key, call.answer)
        if live_exception:
            try:
                _fail(call.error)
            except RateLimited as error:
                span.record_exception(error)
        else:
            span.add_event(
                "exception",
                {
                    "exception.type": "app.transport.RateLimited",
                    "exception.message": call.error,
                    "exception.stacktrace": call.stacktrace,
                    "exception.escaped": "False",
                },
            )
        span.set_status(Status(StatusCode.ERROR, call.error))
        span.end()

    return write


class RateLimited(Exception):
    """The error of the calls of this workload."""


def _fail(text: str, depth: int = 3) -> None:
    if depth:
        _fail(text, depth - 1)
    raise RateLimited(text)


def log_writer(logger: Logger, *, workspace: str) -> Callable[[Call], None]:
    """A function that writes a log record with a structured body, as the GenAI event conventions have it."""

    def write(call: Call) -> None:
        logger.emit(
            LogRecord(
                timestamp=1_700_000_000_000_000_000,
                severity_number=SeverityNumber.INFO,
                severity_text="INFO",
                event_name="gen_ai.choice",
                body={
                    "index": 0,
                    "finish_reason": "tool_calls",
                    "message": {
                        "role": "assistant",
                        "content": call.answer,
                        "tool_calls": [
                            {
                                "id": call.response_id,
                                "type": "function",
                                "function": {"name": "book", "arguments": call.error},
                            }
                        ],
                    },
                    "usage": {"input_tokens": 512, "output_tokens": 438},
                },
                attributes={
                    "workspace.id": workspace,
                    "gen_ai.provider.name": "openai",
                    "gen_ai.request.model": "gpt-4o-mini",
                    "gen_ai.response.id": call.response_id,
                    "app.customer_note": call.error,
                },
            )
        )

    return write


def log_caller(logger: logging.Logger, *, workspace: str) -> Callable[[Call], None]:
    """A function that logs a line as applications do: a template of its source, with data as the argument."""
    more = {"workspace.id": workspace}

    def write(call: Call) -> None:
        logger.info("charge failed for %s", call.error, extra=more)

    return write


def metadata() -> dict[str, Any]:
    """What of the span must survive redaction: attribute key → value."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
        "gen_ai.usage.input_tokens": 512,
        "gen_ai.usage.output_tokens": 438,
        "gen_ai.usage.cache_read.input_tokens": 256,
        "http.response.status_code": 429,
        "error.type": "RateLimited",
    }
