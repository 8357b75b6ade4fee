"""The floor: a bare allowlist in one pass over five places, the least that a span processor could do.

It decides nothing, checks no shape, writes no evidence, survives no odd value, covers neither resource, scope,
tracestate nor readers of open spans, and depends on being registered first: it is a measure, not a product.
"""

from __future__ import annotations

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


class AllowlistSpanProcessor(SpanProcessor):
    """Rebinds name, attributes, events, links and status of an ended span to what the list allows."""

    def on_end(self, span: ReadableSpan) -> None:
        allowed = ALLOWED_KEYS
        if span.name not in ALLOWED_NAMES:
            span._name = span.kind.name.lower()
        attributes = span.attributes or {}
        span._attributes = {key: attributes[key] for key in attributes if key in allowed}
        events = []
        for event in span.events:
            attributes = event.attributes or {}
            name = event.name if event.name in ALLOWED_NAMES else "event"
            kept = {key: attributes[key] for key in attributes if key in allowed}
            events.append(Event(name, kept, event.timestamp))
        span._events = events
        links = []
        for link in span.links:
            attributes = link.attributes or {}
            links.append(Link(link.context, {key: attributes[key] for key in attributes if key in allowed}))
        span._links = links
        span._status = Status(span.status.status_code)
