"""The parts of a span, each cleaned by itself: events, links, names, statuses and trace states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import trace as trace_api
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import SpanContext
from opentelemetry.trace.status import Status

from otel_zdr.redaction.naming import rebuilt_span_name
from otel_zdr.sdk import debugging, failure, shared
from otel_zdr.sdk.span.lists import CleanEvent, CleanLink
from otel_zdr.sdk.span.state import SpanState
from otel_zdr.sdk.storage import NO_ATTRIBUTES, RedactingAttributes, clean_attributes, whole

#: The names by which the redactor knows the kinds of spans.
KINDS = {kind: kind.name.lower() for kind in trace_api.SpanKind}
#: The kinds whose host keys are the caller's.
RECEIVERS = (trace_api.SpanKind.SERVER, trace_api.SpanKind.CONSUMER)
EMPTY_TRACE_STATE = trace_api.DEFAULT_TRACE_STATE


def count_removed(state: SpanState, content_class: str) -> None:
    """One value of this class was removed."""
    state.removed[content_class] = state.removed.get(content_class, 0) + 1


def redacted_attributes(
    state: SpanState,
    attributes: Mapping[str, Any] | None,
    maxlen: int | None,
    max_value_len: int | None = None,
) -> RedactingAttributes:
    """Attributes of an event or link, cleaned and within the limits."""
    if not attributes:
        return NO_ATTRIBUTES
    clean = state.redactor.attributes(whole(attributes), state.removed, state.server)
    return clean_attributes(maxlen, clean, max_value_len)


def clean_event(state: SpanState, event: Any) -> Event | None:
    """The cleaned event; one the gate made passes, without its raw original."""
    if type(event) is CleanEvent and event.is_intact():
        event.raw = None
        return event
    try:
        name = clean_event_name(state, event.name)
        maxlen = getattr(event.attributes, "maxlen", None)
        return CleanEvent(name, redacted_attributes(state, event.attributes, maxlen), event.timestamp)
    except Exception as error:
        failure.note("event", error)
        state.failed = True
        try:
            return CleanEvent("event", clean_attributes(0, {}), event.timestamp)
        except Exception:
            return CleanEvent("event", clean_attributes(0, {}))


def clean_link(
    state: SpanState, link: Any, maxlen: int | None = None, max_value_len: int | None = None
) -> CleanLink | None:
    """The cleaned link, a new object: the caller's own is never touched. One the gate made passes.

    The limits count for attributes that the SDK has not looked at yet.
    """
    if type(link) is CleanLink and link.is_intact():
        link.raw = None
        return link
    if link is None or link.context is None:
        return None
    try:
        attributes = link.attributes
        if type(attributes) is BoundedAttributes:
            maxlen = attributes.maxlen if maxlen is None else maxlen
        clean = redacted_attributes(state, attributes, maxlen, max_value_len)
        return CleanLink(without_trace_state(state, link.context), clean)
    except Exception as error:
        failure.note("link", error)
        state.failed = True
        return CleanLink(bare_context(link.context), clean_attributes(0, {}))


def bare_context(context: SpanContext) -> SpanContext:
    """It without any trace state, made of as little as can be."""
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)


def without_trace_state(state: SpanState, context: SpanContext) -> SpanContext:
    """It with only what the redactor lets stay of its trace state."""
    trace_state = context.trace_state
    if trace_state is EMPTY_TRACE_STATE or not trace_state:
        return context
    kept = state.redactor.trace_state(list(trace_state.items()), state.removed)
    if len(kept) == len(trace_state):
        return context
    return SpanContext(
        context.trace_id,
        context.span_id,
        context.is_remote,
        context.trace_flags,
        trace_api.TraceState(kept) if kept else None,
    )


def without_description(state: SpanState, status: Any) -> Status:
    """The status with its code alone."""
    if status is None or not status.description:
        return status  # type: ignore[no-any-return]
    count_removed(state, "error_text")
    return Status(status.status_code)


def clean_event_name(state: SpanState, name: Any) -> str:
    """The name of an event, if it is known, listed or proven to be a literal, else its replacement."""
    if type(name) is str and state.redactor.knows_event_name(name):
        return name
    removed: dict[str, int] = {}
    clean = state.redactor.event_name(name, removed)
    if not removed:
        return clean
    if debugging.is_proven_name(state.gate, name):
        return name  # type: ignore[no-any-return]
    for content_class, count in removed.items():
        state.removed[content_class] = state.removed.get(content_class, 0) + count
    return clean


def name_at_write(state: SpanState, name: Any, kind: Any, attributes: Mapping[str, Any]) -> str:
    """The name as it may be seen now; whether it stands, or is built anew at the end."""
    if type(name) is str and state.redactor.knows_span_name(name, attributes):
        state.name_stands = True
        return name
    removed: dict[str, int] = {}
    clean = state.redactor.span_name(name, KINDS.get(kind, "internal"), attributes, removed)
    state.name_stands = not removed and clean == name
    if not state.name_stands and debugging.is_proven_name(state.gate, name):
        state.name_stands = True
        return name  # type: ignore[no-any-return]
    return clean


def name_at_end(state: SpanState, kind: Any, attributes: Mapping[str, Any]) -> str:
    """The name of a span whose own does not stand, built from its clean attributes."""
    removed = state.removed
    removed["free_text"] = removed.get("free_text", 0) + 1
    return rebuilt_span_name(KINDS.get(kind, "internal"), attributes)


def clean_resource_of(state: SpanState, resource: Any) -> Any:
    """The resource as it may be seen; a known one has been cleaned once for all of its spans."""
    facts = state.facts
    return facts.clean if facts is not None else shared.clean_resource(state.gate, resource)
