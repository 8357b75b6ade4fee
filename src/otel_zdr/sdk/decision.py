"""What instrumentations ask the gate: may content be made at all, and: this call is for a workspace."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from opentelemetry import trace as trace_api
from opentelemetry.context import Context

from otel_zdr.sdk import eligibility, failure, gate, identity
from otel_zdr.workspaces import normalise


def content_allowed(context: Context | None = None) -> bool:
    """Whether content of a call made in ``context`` (default: the current one) may be written down.

    False when the call is, or may turn out to be, under ZDR, and when that cannot be told. Where the
    gate is not installed there is no policy, and True. Never raises.
    """
    holding = gate.current
    if holding is None:
        return True
    try:
        if holding.closed or holding.policy.everything:
            return False
        span: Any = trace_api.get_current_span(context)
        facts = None
        resource = getattr(span, "_resource", None) or _global_resource()
        if resource is not None:
            from otel_zdr.sdk import shared

            facts = shared.facts_of(holding, resource)
        if holding.policy.nothing:
            return facts is None or not facts.forced
        workspaces, _ = identity.ambient_of(context)
        _caller, hints = identity.from_baggage(holding, context)
        from otel_zdr.sdk.span.state import state_of

        above = state_of(span)
        if above is not None:
            if above.verdict == identity.UNDER_ZDR:
                return False
            workspaces |= above.workspaces
            hints |= above.hints
        decided = identity.verdict(holding, workspaces, hints, facts)
        return not identity.final(holding, decided)
    except Exception as error:
        if not sys.is_finalizing():  # nothing can be imported then, and nothing is exported any more
            failure.note("decision", error)
        return False


def content_wanted(product: str, context: Context | None = None) -> bool:
    """Whether content is worth putting on a call's span: it may leave, or the policy may retain it.

    Where it only may be retained, the gate decides when the span ends, by what the response proves; until
    then nobody else can read it. False for products of which nothing is ever retained. Never raises.
    """
    if content_allowed(context):
        return True
    holding = gate.current
    if holding is None or holding.closed or not holding.retains or product not in _WITH_NO_ROWS:
        return False
    try:
        state = getattr(trace_api.get_current_span(context), "__dict__", {}).get("_otel_zdr")
        return state is not None and holding.policy.retains_ineligible(state.everyone, product)
    except Exception as error:
        failure.note("decision", error)
        return False


#: Products with rows of the specification that say "No".
_WITH_NO_ROWS = frozenset(("llm", "voice_cloning", "voice_design"))


def served(span: Any, providers: Iterable[str]) -> None:
    """What a response itself says of who served the call of ``span``, every attempt. Never raises."""
    try:
        state = getattr(span, "__dict__", {}).get("_otel_zdr")
        if state is not None:
            eligibility.served_by(state, providers)
    except Exception as error:
        failure.note("decision", error)


def about(context: Context, providers: tuple[str, ...]) -> Context:
    """The context of a log record about a call that these providers served, as its response said."""
    return eligibility.with_served(context, providers)


def _global_resource() -> Any:
    provider = trace_api.get_tracer_provider()
    return getattr(provider, "resource", None)


def tighten(span: Any, workspaces: Iterable[object]) -> None:
    """Hints of a call (API-key fingerprint, voice id): put ``span`` under ZDR if one of them is.

    They never identify: a hint that is not under ZDR changes nothing. Never raises.
    """
    try:
        from otel_zdr.sdk.span.state import state_of

        state = state_of(span)
        if state is None:
            return
        ids = frozenset(id_ for id_ in map(normalise, workspaces) if id_)
        if not ids:
            return
        # A span that was not sampled has no lock, and nothing that several threads write.
        with getattr(state.span() or span, "_lock", None) or nullcontext():
            state.hints |= ids
            if state.verdict == identity.UNDER_ZDR:
                state.narrow()
            elif any(state.gate.policy.is_under_zdr(id_) for id_ in ids):
                state.tighten()
    except Exception as error:
        failure.note("decision", error)
