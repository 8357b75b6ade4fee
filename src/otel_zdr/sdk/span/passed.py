"""The mark of what passed the gate, by which the second wall knows it."""

from __future__ import annotations

from typing import Any

from otel_zdr.sdk import identity, shared
from otel_zdr.sdk.span.lists import CleanEvent, CleanLink
from otel_zdr.sdk.span.state import SpanState
from otel_zdr.sdk.storage import RedactingAttributes, StoredValues, TouchedValues

PASSED = "_otel_zdr_passed"


def mark_passed(readable: Any, state: SpanState | None) -> None:
    """Remember that it passed the gate, and by what to tell that its parts are those that passed."""
    if state is None or state.verdict == identity.OPEN:
        # All of it is raw: what counts is whose it is.
        readable._otel_zdr_passed = (readable._attributes, readable._resource)
    elif readable._end_time is not None:
        # Its parts are of classes that only the gate makes.
        readable._otel_zdr_passed = readable._name
    else:
        # Of an open span they may grow, by what the gate looks at.
        readable._otel_zdr_passed = (
            readable._attributes,
            readable._resource,
            readable._events,
            readable._links,
            readable._name,
            readable._status,
            readable._instrumentation_scope,
        )


def has_passed(readable: Any) -> bool:
    """Whether this very span, with these very parts, came out of the gate."""
    passed = getattr(readable, PASSED, None)
    if type(passed) is tuple:
        if passed[0] is not readable._attributes or passed[1] is not readable._resource:
            return False
        return len(passed) == 2 or (
            type(readable._attributes._dict) is not TouchedValues
            and passed[2] is readable._events
            and passed[3] is readable._links
            and passed[4] is readable._name
            and passed[5] is readable._status
            and passed[6] is readable._instrumentation_scope
        )
    if type(passed) is not str or passed is not readable._name:
        return False
    attributes, status, scope = readable._attributes, readable._status, readable._instrumentation_scope
    return (
        type(attributes) is RedactingAttributes
        and type(attributes._dict) is StoredValues
        and attributes.marks is not None
        and (status is None or not status.description)
        and type(readable._resource) is shared.CleanResource
        and (scope is None or shared.is_clean_scope(scope) or scope is shared.EMPTY_SCOPE)
        and all(type(event) is CleanEvent and event.is_intact() for event in readable._events)
        and all(type(link) is CleanLink and link.is_intact() for link in readable._links)
    )
