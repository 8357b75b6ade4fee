"""What processors and early readers get of a span: looked at once more, with the evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link

from otel_zdr.sdk import eligibility, evidence, failure, gate, identity, shared
from otel_zdr.sdk.span import making
from otel_zdr.sdk.span.adoption import late_state
from otel_zdr.sdk.span.cleaning import (
    clean_event,
    clean_link,
    name_at_end,
    name_at_write,
    without_description,
    without_trace_state,
)
from otel_zdr.sdk.span.lists import CleanEvent, CleanLink, RedactingList
from otel_zdr.sdk.span.live import PassingState
from otel_zdr.sdk.span.passed import mark_passed
from otel_zdr.sdk.span.skeleton import skeletonise
from otel_zdr.sdk.span.state import SpanState
from otel_zdr.sdk.storage import (
    LOCK_OF_SETTLED,
    RedactingAttributes,
    StoredValues,
    WatchingAttributes,
    clean_attributes,
)


def patched_readable_span(original: Callable[..., ReadableSpan]) -> Callable[..., ReadableSpan]:
    """``Span._readable_span``: what processors and early readers get is verified and marked as passed."""

    is_known = making.is_known_reading(original)

    def _readable_span(self: Any) -> ReadableSpan:
        state: SpanState | None = self._otel_zdr
        holding = gate.current
        has_ended = self._end_time is not None
        if state is None and holding is not None and not has_ended:
            state = late_state(self)
        if state is not None and state.verdict == identity.UNDER_ZDR:
            try:
                _verify(self, state)
                if has_ended and not state.done:
                    _finish_evidence(self, state)
            except Exception as error:
                skeletonise(self, state, error)
        readable: Any = None
        try:
            if is_known and making.can_read(self):
                readable = making.readable(self)
        except Exception as error:
            failure.note("span", error)
        if readable is None:
            readable = original(self)
        if state is not None or (holding is not None and holding.policy.nothing):
            try:
                if has_ended:
                    if type(state) is not PassingState:
                        _detach(readable)
                elif state is not None and state.verdict != identity.OPEN:
                    _finish_early(readable, state)
                mark_passed(readable, state)
            except Exception as error:
                # Not marked: the second wall looks at it once more.
                failure.note("span", error)
        return readable  # type: ignore[no-any-return]

    return _readable_span


def _verify(span: Any, state: SpanState) -> None:
    """Clean what reached the span past its storages: a vendor's private writes in ``_on_ending``."""
    attributes = span._attributes
    stored = attributes._dict
    if type(attributes) is not RedactingAttributes or type(stored) is not StoredValues:
        # The evidence too may be somebody else's by now: it is written anew.
        state.done = False
        written = {key: value for key, value in list(stored.items()) if key[:4] != "zdr."}
        attributes._dict = StoredValues(state.redactor.attributes(written, state.removed, state.server))
    for event in span._events._dq:
        if type(event) is not CleanEvent or not event.is_intact():
            span._events = _verified(state, span._events, clean_event)
            break
    for link in span._links._dq:
        if type(link) is not CleanLink or not link.is_intact():
            span._links = _verified(state, span._links, clean_link)
            break
    status = span._status
    if status is not None and status.description:
        span._status = without_description(state, status)
    if span._name is not state.name:
        _verify_name(span, state)
    facts = state.facts
    if facts is None or span._resource is not facts.clean:
        span._resource = shared.clean_resource(state.gate, span._resource)
    scope = span._instrumentation_scope
    if scope is not state.scope and shared.scope_of(state.gate, scope) is not scope:
        span._instrumentation_scope, span._instrumentation_info = shared.scope_and_info_of(
            state.gate, scope, None
        )


def _verified(
    state: SpanState, storage: Any, clean: Callable[[SpanState, Any], Event | Link | None]
) -> BoundedList[Any]:
    cleaned: BoundedList[Any] = BoundedList(None)
    cleaned.dropped = storage.dropped
    for item in storage:
        kept = clean(state, item)
        if kept is not None:
            cleaned.append(kept)
    return cleaned


def _verify_name(span: Any, state: SpanState) -> None:
    attributes = span._attributes._dict
    name = name_at_write(state, span._name, span._kind, attributes)
    if not state.name_stands and span._end_time is not None:
        name = name_at_end(state, span._kind, attributes)
    span._name = state.name = name


def _finish_evidence(span: Any, state: SpanState) -> None:
    attributes = span._attributes._dict
    found = eligibility.describe(state, attributes, span._attributes.max_value_len)
    span._attributes.marks = evidence.marks_of(
        state.gate, state.removed, "span", failed=state.failed, found=found, again=state.counted
    )
    state.done = state.counted = True


def _detach(readable: Any) -> None:
    """An ended span needs no watching: let go of the state, which queues would keep."""
    attributes = readable._attributes
    kind = type(attributes)
    if kind is RedactingAttributes:
        attributes.state = None
        attributes._lock = LOCK_OF_SETTLED
        events, links = readable._events, readable._links
        if type(events) is RedactingList:
            events.state = None
            readable._events = events.settled()
        if type(links) is RedactingList:
            links.state = None
            readable._links = links.settled()
    elif kind is WatchingAttributes:
        attributes.state = None


def _finish_early(readable: Any, state: SpanState) -> None:
    """What is read of an open span is not the live span: no tracestate of a caller, no hidden raw values."""
    for name in ("_context", "_parent"):
        context = getattr(readable, name)
        if context is not None and context.trace_state:
            clean = SpanState(state.gate, None, None)
            setattr(readable, name, without_trace_state(clean, context))
    if state.verdict == identity.UNDECIDED:
        readable._attributes = clean_attributes(None, readable._attributes._dict)
        for name in ("_events", "_links"):
            live = getattr(readable, name)
            setattr(readable, name, BoundedList.from_seq(None, list(live)))
