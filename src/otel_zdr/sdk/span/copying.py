"""Copies of spans that did not pass the gate, for the second wall."""

from __future__ import annotations

from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util import BoundedList

from otel_zdr.sdk import eligibility, evidence, shared
from otel_zdr.sdk.span.cleaning import (
    RECEIVERS,
    clean_event,
    clean_link,
    clean_resource_of,
    name_at_end,
    name_at_write,
    without_description,
    without_trace_state,
)
from otel_zdr.sdk.span.state import SpanState
from otel_zdr.sdk.storage import whole


def cleaned_copy(item: Any, state: SpanState) -> ReadableSpan:
    """A cleaned copy of a span that did not pass the gate, with its evidence."""
    state.server = item.kind in RECEIVERS
    clean = state.redactor.attributes(whole(item.attributes), state.removed, state.server)
    name = name_at_write(state, item.name, item.kind, clean)
    if not state.name_stands:
        name = name_at_end(state, item.kind, clean)
    attributes: Any = BoundedAttributes(None, None, immutable=True)
    attributes._dict = clean
    attributes.dropped = item.dropped_attributes
    events: BoundedList[Any] = BoundedList(None)
    events.extend([clean_event(state, event) for event in item.events])
    events.dropped = item.dropped_events
    links: BoundedList[Any] = BoundedList(None)
    links.extend([kept for link in item.links if (kept := clean_link(state, link)) is not None])
    links.dropped = item.dropped_links
    copy = ReadableSpan(
        name=name,
        context=without_trace_state(state, item.context),
        parent=without_trace_state(state, item.parent) if item.parent is not None else None,
        resource=clean_resource_of(state, item.resource),
        attributes=attributes,
        events=events,
        links=links,
        kind=item.kind,
        status=without_description(state, item.status),
        start_time=item.start_time,
        end_time=item.end_time,
        instrumentation_scope=shared.scope_of(state.gate, item.instrumentation_scope),
    )
    found = eligibility.describe(state, clean)
    evidence.mark(state.gate, clean, state.removed, "span", failed=state.failed, found=found)
    return copy
