"""The floor: a bare allowlist in one pass over five places, the least that a span processor could do.

And the same for a log record: name, attributes and a structured body.

It decides nothing, checks no shape, writes no evidence, survives no odd value, covers neither resource,
scope, tracestate nor readers of open spans, and depends on being registered first: it is a measure, not a
product.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.trace import Link, Status

ALLOWED_KEYS = frozenset(
    {
        "workspace.id",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.request.temperature",
        "gen_ai.request.max_tokens",
        "gen_ai.response.id",
        "gen_ai.response.model",
        "gen_ai.response.finish_reasons",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.cache_read.input_tokens",
        "server.address",
        "server.port",
        "http.response.status_code",
        "error.type",
        "exception.type",
    }
)
ALLOWED_NAMES = frozenset({"chat gpt-4o-mini", "exception"})
ALLOWED_LOG_EVENTS = frozenset({"gen_ai.choice"})
ALLOWED_IN_BODIES = frozenset(
    {
        "finish_reason",
        "id",
        "index",
        "input_tokens",
        "message",
        "output_tokens",
        "role",
        "tool_calls",
        "type",
        "usage",
    }
)


class AllowlistSpanProcessor(SpanProcessor):
    """Rebinds name, attributes, events, links and status of an ended span to what the list allows."""

    def on_end(self, span: ReadableSpan) -> None:
        if span.name not in ALLOWED_NAMES:
            span._name = span.kind.name.lower()
        span._attributes = _kept(span)
        span._events = [
            Event(event.name if event.name in ALLOWED_NAMES else "event", _kept(event), event.timestamp)
            for event in span.events
        ]
        span._links = [Link(link.context, _kept(link)) for link in span.links]
        span._status = Status(span.status.status_code)


def _kept(item: ReadableSpan | Event | Link) -> dict[str, object]:
    # copy() is the fastest way to the attributes that the public API has.
    return {key: value for key, value in item.attributes.copy().items() if key in ALLOWED_KEYS}


def log_processor(processor: Any) -> Any:
    """A log record processor that applies the lists to each record before ``processor`` gets it."""
    emit = processor.on_emit

    def on_emit(item: Any) -> None:
        record = item.log_record
        if record.event_name not in ALLOWED_LOG_EVENTS:
            record.event_name = None
        record.attributes = {
            key: value for key, value in record.attributes.copy().items() if key in ALLOWED_KEYS
        }
        record.body = _kept_of_body(record.body) if type(record.body) is dict else None
        emit(item)

    processor.on_emit = on_emit
    return processor


def _kept_of_body(part: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in part.items():
        if key in ALLOWED_IN_BODIES:
            kind = type(value)
            if kind is dict:
                value = _kept_of_body(value)
            elif kind is list:
                value = [_kept_of_body(entry) for entry in value if type(entry) is dict]
            kept[key] = value
    return kept
