"""What is left of a span that could not be cleaned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.trace.status import Status

from otel_zdr.policy.evidence import FAILSAFE, REDACTED
from otel_zdr.sdk import failure, identity, shared
from otel_zdr.sdk.span.cleaning import KINDS, bare_context
from otel_zdr.sdk.span.lists import NothingStored
from otel_zdr.sdk.span.state import SpanState
from otel_zdr.sdk.storage import RedactingAttributes, StoredValues


def skeletonise(
    span: Any, state: SpanState, error: BaseException, given: Mapping[str, Any] | None = None
) -> None:
    """Reduce a span that could not be cleaned to ids, times, kind, status code and exact usage keys.

    ``given``: the attributes it was to start with, if they are not stored yet.
    """
    failure.note("span", error)
    state.failed = True
    state.verdict = identity.UNDER_ZDR
    state.raw = None
    kept: dict[str, Any] = {}
    try:
        kept = state.redactor.skeleton(span._attributes if given is None else given)
    except Exception as again:
        failure.note("skeleton", again)
    # Made of as little as can be: what failed may be a part of the usual way.
    attributes: Any = BoundedAttributes(None, None, immutable=span._end_time is not None)
    attributes._dict = StoredValues(kept)
    attributes.state = state
    attributes.marks = {REDACTED: True, FAILSAFE: True} if state.gate.evidence else {REDACTED: True}
    attributes.__class__ = RedactingAttributes
    span._attributes = attributes
    for name in ("_events", "_links"):
        empty = NothingStored()
        setattr(span, name, empty)
    state.name = span._name = KINDS.get(span._kind, "internal")
    state.name_stands = True
    if span._status is not None:
        span._status = Status(span._status.status_code)
    span._resource = shared.bare_resource(state.gate, span._resource)
    span._instrumentation_scope = shared.EMPTY_SCOPE
    span._instrumentation_info = shared.EMPTY_INFO
    if span._context is not None and span._context.trace_state:
        span._context = bare_context(span._context)
    if span._parent is not None and span._parent.trace_state:
        span._parent = bare_context(span._parent)
