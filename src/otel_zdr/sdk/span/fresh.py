"""What a new span starts with: its storages and links."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.sdk.util import BoundedList

from otel_zdr.sdk import identity
from otel_zdr.sdk.span import making
from otel_zdr.sdk.span.cleaning import clean_link
from otel_zdr.sdk.span.lists import CleanEvent, CleanLink, RedactingList
from otel_zdr.sdk.span.state import SpanState
from otel_zdr.sdk.storage import RedactingAttributes, WatchingAttributes


def new_storages(
    span: Any, state: SpanState, clean: dict[str, Any], raw: Mapping[str, Any] | None, limits: Any
) -> tuple[Any, Any, Any] | None:
    """Attributes, events and links of a span that :func:`making.fill` makes; None where the SDK has to."""
    if not making.can_fill(span) or state.verdict == identity.UNDECIDED:
        return None
    state.limit = limit_of(limits)
    if state.verdict == identity.UNDER_ZDR:
        state.begin_redacting()
        return (
            RedactingAttributes.fresh(
                state, clean, limits.max_span_attributes, limits.max_span_attribute_length
            ),
            RedactingList(state, CleanEvent, limits.max_events),
            RedactingList(state, CleanLink, limits.max_links),
        )
    attributes = WatchingAttributes.fresh(
        state, raw, limits.max_span_attributes, limits.max_span_attribute_length
    )
    return attributes, BoundedList(limits.max_events), BoundedList(limits.max_links)


def limit_of(limits: Any) -> int:
    """What a state has as its ``limit``."""
    if limits.max_span_attribute_length is not None:
        return 0
    return sys.maxsize if limits.max_span_attributes is None else limits.max_span_attributes


def hang_storages(span: Any, state: SpanState, clean: dict[str, Any]) -> None:
    """Put storages that clean what is written in the place of the (empty) ones the SDK has made."""
    state.begin_redacting()
    stored = span._attributes
    span._attributes = RedactingAttributes.fresh(state, clean, stored.maxlen, stored.max_value_len)
    events = list(span._events)
    span._events = RedactingList(state, CleanEvent, span._events._dq.maxlen)
    span._events.extend(events)
    span._links = RedactingList(state, CleanLink, span._links._dq.maxlen)


def start_links(span: Any, state: SpanState, links: Iterable[Any]) -> None:
    """Store the links that a span starts with."""
    if state.verdict != identity.UNDER_ZDR:
        span._links = span._new_links(links)
        return
    limits, stored = span._limits, span._links
    for link in links:
        kept = clean_link(state, link, limits.max_link_attributes, limits.max_attribute_length)
        # As the SDK has it: a link to nowhere is none, unless it says something.
        if kept is not None and (kept.given.is_valid or kept.attributes or kept.given.trace_state):
            stored.append(kept)
