"""Spans that were open before the gate, or before the policy: taken under it as they are found or written."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import Span, SpanProcessor

from otel_zdr.sdk import failure, gate, identity, shared
from otel_zdr.sdk.span.cleaning import RECEIVERS
from otel_zdr.sdk.span.deciding import identify, is_forced
from otel_zdr.sdk.span.forms import settle_storage
from otel_zdr.sdk.span.live import LiveState, PassingState
from otel_zdr.sdk.span.skeleton import skeletonise
from otel_zdr.sdk.span.state import SpanState

#: The processor of spans that no processor may hear of.
NOTHING = SpanProcessor()


def adopt(span: Any) -> SpanState | None:
    """Take a span under the gate that was made before it (or while nothing could be under ZDR)."""
    holding = gate.current
    if holding is None or span._end_time is not None:
        return None
    if holding.closed:
        shut(span)
        return None
    resource = span._resource
    state = LiveState(holding, shared.facts_of(holding, resource) if resource is not None else None, span)
    state.server = span._kind in RECEIVERS
    span._otel_zdr = state
    with span._lock:
        try:
            identify(state, span, span._attributes, None, None)
            if span._attributes.dropped:
                # A workspace may have been among what the limits evicted before the gate was there.
                state.workspaces |= frozenset(("",))
                state.verdict = identity.verdict(holding, state.workspaces, state.hints, state.facts)
            settle_storage(span, state)
        except Exception as error:
            skeletonise(span, state, error)
    return state


def late_state(span: Any) -> SpanState | None:
    """:func:`adopt`, where the policy leaves anything to decide."""
    holding = gate.current
    if holding is None:
        return None
    if not holding.closed and holding.policy.nothing and not is_forced(holding, span._resource):
        return None
    return adopt(span)


def state_at_write(span: Any) -> SpanState | None:
    """:func:`late_state` of a span that is written. Never raises."""
    if gate.current is None or span._end_time is not None:
        return None
    try:
        return late_state(span)
    except Exception as error:
        failure.note("span", error)
        return None


def shut(span: Any) -> None:
    """The gate is closed: no processor hears of this span."""
    span._span_processor = NOTHING


def move(state: SpanState, holding: gate.Gate, span: Any) -> None:
    """A policy or gate that changed while the span was open decides it."""
    state.gate = holding
    resource = state.raw.resource if state.raw is not None else span._resource
    state.facts = shared.facts_of(holding, resource) if resource is not None else None


def open_spans() -> list[Span]:
    """Spans that are open right now: for the installation, and for a policy that changed."""
    import gc

    kinds = {Span}
    pending = [Span]
    while pending:
        below = type.__subclasses__(pending.pop())
        kinds.update(below)
        pending += below
    # By the class: isinstance() would ask each of tens of thousands of objects.
    spans = [item for item in gc.get_objects() if type(item) in kinds]
    return [item for item in spans if getattr(item, "_end_time", 0) is None]


def adopt_safely(item: Any) -> None:
    """:func:`adopt` for a span found at installation; a failure leaves its skeleton."""
    try:
        state = item._otel_zdr
        if state is None or type(state) is PassingState:
            late_state(item)
    except Exception as error:
        failure.note("span", error)


def decide_anew(item: Any) -> None:
    """A policy changed while the span was open: what is under ZDR now is cleaned now."""
    state: SpanState | None = item._otel_zdr
    holding = gate.current
    if holding is None:
        return
    if state is None or type(state) is PassingState:
        adopt_safely(item)
        return
    if state.verdict == identity.UNDER_ZDR or state.gate is holding:
        return
    try:
        with item._lock:
            if item._end_time is None:
                move(state, holding, item)
                state.decide()
    except Exception as error:
        skeletonise(item, state, error)
