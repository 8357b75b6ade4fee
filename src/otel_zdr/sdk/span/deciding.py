"""Whose a span is, by its arguments and what surrounds it, and what therefore holds for it."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace as trace_api
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import Span
from opentelemetry.trace import SpanContext

from otel_zdr.sdk import eligibility, gate, identity, shared
from otel_zdr.sdk.span.live import LiveState
from otel_zdr.sdk.span.state import SpanState, state_of
from otel_zdr.workspaces import NOBODY

_SERVER, _CONSUMER = trace_api.SpanKind.SERVER, trace_api.SpanKind.CONSUMER


def decide(
    span: Span,
    holding: gate.Gate,
    resource: Any,
    attributes: Mapping[str, object] | None,
    kind: Any,
    parent: SpanContext | None,
) -> SpanState:
    """What is known of a span that is about to be made, by its arguments and what surrounds it."""
    facts = shared.facts_of(holding, resource) if resource is not None else None
    state = LiveState(holding, facts, span if holding.policy.uniform is None else None)
    state.server = kind is _SERVER or kind is _CONSUMER
    if not holding.policy.everything:
        if get_current():
            identify(state, span, attributes, None, parent)
        else:
            # Nothing surrounds it: it is for whom its attributes and its resource name.
            if attributes:
                state.workspaces = identity.named_by(holding, attributes, NOBODY)[0]
            _conclude(state, attributes)
        if state.verdict != identity.UNDER_ZDR:
            state.span = weakref.ref(span)
        return state
    state.verdict = identity.UNDER_ZDR
    if attributes:
        state.workspaces = identity.named_by(holding, attributes, NOBODY)[0]
    if get_current():  # mostly there is no context, and then nobody declared in it
        ambient, stamp = identity.ambient_of(None)
        if ambient:
            state.workspaces |= ambient
            state.stamp = stamp
    if holding.policy.uniform is None:
        state.redactor = holding.redactor_for(state.everyone)
    return state


def identify(
    state: SpanState,
    span: Span | None,
    attributes: Mapping[str, object] | None,
    context: Context | None,
    parent: SpanContext | None,
) -> None:
    """Take in whom a span is for, and conclude what holds for it.

    Args:
        context: given explicitly; None: the current one surrounds it.
        parent: the in-process or remote parent; None: nothing is inherited.
    """
    holding = state.gate
    surrounding = context if context is not None else get_current()
    if surrounding:
        caller, hints = identity.from_baggage(holding, surrounding)
        if caller:
            state.caller |= caller
            state.hints |= hints
    named, more = identity.named_by(holding, attributes, state.caller)
    if named:
        state.workspaces |= named
    if more:
        state.hints |= more
    if surrounding:
        # Given explicitly, all that is declared in it holds.
        ambient, stamp = identity.ambient_of(context)
        if ambient:
            state.workspaces |= ambient
        if stamp is not None and not named:
            state.stamp = stamp
        if parent is not None:
            _inherit(state, span, trace_api.get_current_span(surrounding), parent)
    _conclude(state, attributes)


def _conclude(state: SpanState, attributes: Mapping[str, object] | None) -> None:
    """The verdict, from what is known of the span."""
    holding = state.gate
    if state.verdict != identity.UNDER_ZDR:
        state.verdict = identity.verdict(holding, state.workspaces, state.hints, state.facts)
        if (
            holding.policy.products_matter
            and state.verdict != identity.UNDER_ZDR
            and attributes
            and eligibility.is_product_under_zdr(holding, attributes)
        ):
            state.verdict = identity.UNDER_ZDR
    if state.verdict == identity.UNDER_ZDR and holding.policy.uniform is None:
        state.redactor = holding.redactor_for(state.everyone)


def _inherit(state: SpanState, span: Span | None, parent: trace_api.Span, context: SpanContext) -> None:
    above = state_of(parent)
    if above is None or parent.get_span_context() is not context:
        return
    if above.workspaces and not state.workspaces >= above.workspaces:
        if not state.workspaces and state.stamp is None:
            state.stamp = above.passed_on
        state.workspaces |= above.workspaces
    state.hints |= above.hints
    if above.verdict == identity.UNDER_ZDR:
        state.verdict = identity.UNDER_ZDR
        return
    if span is not None:
        above.adopt_child(span)


def is_forced(holding: gate.Gate, resource: Any) -> bool:
    """Whether the resource puts its spans under ZDR, also where no policy does."""
    return resource is not None and shared.facts_of(holding, resource).forced
