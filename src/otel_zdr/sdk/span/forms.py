"""The forms in which a span stands while it is open, and the ways from one to the other.

Raw and watched; undecided, with its raw values hidden; under ZDR.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import Event

from otel_zdr import catalogue
from otel_zdr.redaction import REMOVED, Redactor
from otel_zdr.sdk import eligibility, identity, shared
from otel_zdr.sdk.span.cleaning import (
    KINDS,
    clean_event,
    clean_link,
    clean_resource_of,
    count_removed,
    name_at_write,
    without_description,
)
from otel_zdr.sdk.span.lists import CleanEvent, CleanLink, RedactingList
from otel_zdr.sdk.span.state import Raw, SpanState
from otel_zdr.sdk.storage import (
    RedactingAttributes,
    StoredValues,
    WatchingAttributes,
    clean_attributes,
    whole,
)


def settle_storage(span: Any, state: SpanState) -> None:
    """Hang the right storages on a span that holds raw values."""
    if state.verdict == identity.OPEN:
        _watch_open(span, state)
    elif state.verdict == identity.UNDECIDED:
        _hide(span, state)
    else:
        redact(span, state, was_open=True)


def _watch_open(span: Any, state: SpanState) -> None:
    attributes = WatchingAttributes.over(span._attributes, state)
    attributes.drop_marks()
    span._attributes = attributes
    if state.facts is not None and span._resource is not state.facts.unmarked:
        span._resource = state.facts.unmarked


def _hide(span: Any, state: SpanState) -> None:
    """Move what an undecided span holds into shadows; what is visible is a cleaned copy."""
    state.raw = Raw(span)
    raw_attributes, raw_events, raw_links = span._attributes, span._events, span._links
    for key in [key for key in raw_attributes._dict if key[:4] == "zdr."]:
        raw_attributes._dict.pop(key, None)
    clean = state.redactor.attributes(whole(raw_attributes), {}, state.server)
    attributes = RedactingAttributes.fresh(state, clean, raw_attributes.maxlen, None)
    attributes.shadow = raw_attributes
    events = RedactingList(state, CleanEvent, raw_events._dq.maxlen)
    events.extend(raw_events)
    events.shadow = raw_events
    links = RedactingList(state, CleanLink, raw_links._dq.maxlen)
    links.extend(raw_links)
    links.shadow = raw_links
    _show_clean(span, state)
    span._attributes, span._events, span._links = attributes, events, links


def _show_clean(span: Any, state: SpanState) -> None:
    """Clean what stands outside the storages: name, status, resource, scope."""
    span._resource = clean_resource_of(state, span._resource)
    scope = shared.scope_of(state.gate, span._instrumentation_scope)
    if scope is not span._instrumentation_scope:
        span._instrumentation_scope = scope
        span._instrumentation_info = shared.info_of(scope)
    state.name = name_at_write(state, span._name, span._kind, {})
    span._name = state.name
    span._status = without_description(state, span._status)


def redact(span: Any, state: SpanState, *, was_open: bool) -> None:
    """Put a span under ZDR that was written before it was known to be."""
    state.redactor = state.gate.redactor_for(state.everyone)
    if state.gate.retains:
        shadow = getattr(span._attributes, "shadow", None)
        eligibility.hold(state, (span._attributes if shadow is None else shadow)._dict)
    state.begin_redacting()
    if not was_open:
        # What is visible is clean already; only the shadows have to go.
        _count_shadow(span, state)
        state.raw = None
        for storage in (span._attributes, span._events, span._links):
            if isinstance(storage, RedactingAttributes | RedactingList):
                storage.shadow = None
        return
    attributes = span._attributes
    attributes._dict = StoredValues(state.redactor.attributes(whole(attributes), state.removed, state.server))
    attributes.state = state
    attributes.__class__ = RedactingAttributes
    for name, kind in (("_events", CleanEvent), ("_links", CleanLink)):
        storage = getattr(span, name)
        cleaned = RedactingList(state, kind, storage._dq.maxlen)
        cleaned.extend(storage)
        cleaned.dropped = storage.dropped
        setattr(span, name, cleaned)
    _show_clean(span, state)


def _count_shadow(span: Any, state: SpanState) -> None:
    """Evidence for what the visible copy of an undecided span left out at its start."""
    shadow = getattr(span._attributes, "shadow", None)
    if shadow is None:
        return
    state.removed.clear()
    # Once more and with the lists of the workspaces that are known now.
    clean_values = state.redactor.attributes(whole(shadow), state.removed, state.server)
    span._attributes._dict = StoredValues(clean_values)
    for name, clean in (("_events", clean_event), ("_links", clean_link)):
        hidden = getattr(getattr(span, name), "shadow", None)
        for item in hidden or ():
            clean(state, item)
    raw = state.raw
    if raw is not None:
        if raw.status.description:
            count_removed(state, "error_text")
        if not state.name_stands:
            count_removed(state, "free_text")


def reveal(span: Any, state: SpanState) -> None:
    """Give an undecided span its raw values back: it is not under ZDR."""
    raw, state.raw = state.raw, None
    state.removed.clear()
    for name in ("_attributes", "_events", "_links"):
        storage = getattr(span, name)
        shadow = getattr(storage, "shadow", None)
        if shadow is not None:
            immutable = getattr(storage, "_immutable", None)
            setattr(span, name, shadow)
            if immutable:
                shadow._immutable = True
    if raw is not None:
        span._name, span._status = raw.name, raw.status
        span._resource, span._instrumentation_scope = raw.resource, raw.scope
        span._instrumentation_info = shared.info_of(raw.scope)
    _watch_open(span, state)


def narrow(span: Any, state: SpanState, before: Redactor) -> None:
    """Take out what only the lists of ``before`` let stay. Proven literals and frames are no list's."""
    redactor, removed = state.redactor, state.removed
    attributes = span._attributes
    attributes._dict = StoredValues(redactor.attributes(attributes._dict, removed, state.server))
    kind = KINDS.get(span._kind, "internal")
    clean = redactor.span_name(span._name, kind, attributes._dict, {})
    if clean != span._name and before.span_name(span._name, kind, attributes._dict, {}) == span._name:
        state.name = span._name = clean
        state.name_stands = False
    for storage in (span._events, span._links):
        listed = list(storage._dq)
        storage._dq.clear()
        for item in listed:
            storage._dq.append(_narrowed(state, item, before))


def _narrowed(state: SpanState, item: Any, before: Redactor) -> Any:
    """An event or link without what only the lists of ``before`` let stay: what no catalogue knows."""
    redactor = state.redactor
    kept = {}
    for key, value in (item.attributes or {}).items():
        if catalogue.find(key) is None and redactor.attribute(key, value, state.removed) is REMOVED:
            continue
        kept[key] = value
    left = clean_attributes(None, kept)
    if not isinstance(item, Event):
        return CleanLink(item.context, left)
    name = redactor.event_name(item.name, {})
    if name != item.name and before.event_name(item.name, {}) != item.name:
        name = item.name
    return CleanEvent(name, left, item.timestamp)
