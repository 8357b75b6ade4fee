"""The end of a span: the last decision, before any processor."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from otel_zdr.redaction import REMOVED
from otel_zdr.sdk import gate, identity
from otel_zdr.sdk.span.adoption import late_state, move, shut
from otel_zdr.sdk.span.cleaning import EMPTY_TRACE_STATE, name_at_end, without_trace_state
from otel_zdr.sdk.span.live import LastState, PassingState
from otel_zdr.sdk.span.skeleton import skeletonise
from otel_zdr.sdk.span.state import SpanState
from otel_zdr.sdk.storage import set_value


def patched_end(original: Callable[..., None]) -> Callable[..., None]:
    """``Span.end``: the last decision comes before any processor."""

    def end(self: Any, end_time: int | None = None) -> None:
        state: SpanState | None = self._otel_zdr
        holding = gate.current
        if state is None:
            is_settled = holding is None
        else:
            # Nothing has changed since it was decided.
            is_settled = state.verdict == identity.OPEN and state.gate is holding and state.stamp is None
        if not is_settled:
            try:
                if self._end_time is None:
                    if state is None or type(state) is PassingState:
                        state = late_state(self)
                    if state is not None:
                        with self._lock:
                            if (
                                state.verdict == identity.UNDER_ZDR
                                and holding is not None
                                and not holding.closed
                            ):
                                _finish_redacted(self, state)
                            else:
                                _settle(self, state)
            except Exception as error:
                if state is None or type(state) is PassingState:
                    state = _state_after(self, holding)
                skeletonise(self, state, error)
        original(self, end_time)
        if identity.seen.pending:
            with contextlib.suppress(Exception):
                identity.seen.announce_pending()

    return end


def _state_after(span: Any, holding: gate.Gate | None) -> SpanState:
    """The state of a span for which making one has failed."""
    state: SpanState | None = span._otel_zdr
    if state is None or type(state) is PassingState:
        # Where there is no gate there is a state: else there was nothing to decide.
        state = span._otel_zdr = LastState(holding or span._otel_zdr.gate)
    return state


def _settle(span: Any, state: SpanState) -> None:
    """The last decision, before the SDK freezes the span and calls the processors."""
    holding = gate.current
    if holding is None:
        if state.verdict == identity.UNDECIDED:
            state.tighten()
        return
    if holding.closed:
        shut(span)
        return
    if state.verdict != identity.UNDER_ZDR:
        if holding is not state.gate:
            move(state, holding, span)
        state.decide()
        if state.verdict == identity.UNDECIDED:
            if holding.policy.unidentified_under_zdr:
                state.tighten()
            else:
                state.verdict = identity.OPEN
                state.release()
    if state.verdict == identity.UNDER_ZDR:
        _finish_redacted(span, state)
    elif state.stamp is not None:
        _stamp(span, state)


def _stamp(span: Any, state: SpanState) -> None:
    key = state.gate.stamp_key
    attributes = span._attributes._dict
    if key in attributes or state.stamp is None:
        return
    stamp: Any = state.stamp
    if state.verdict == identity.UNDER_ZDR:
        stamp = state.redactor.attribute(key, stamp, {})
        if stamp is REMOVED:
            return
    set_value(attributes, key, stamp)


def _finish_redacted(span: Any, state: SpanState) -> None:
    if state.stamp is not None:
        _stamp(span, state)
    if not state.name_stands:
        state.name = span._name = name_at_end(state, span._kind, span._attributes._dict)
    # Until now it was what the span's children and outgoing requests carry on.
    context = span._context
    if context is not None and context.trace_state is not EMPTY_TRACE_STATE:
        span._context = without_trace_state(state, context)
    parent = span._parent
    if parent is not None and parent.trace_state is not EMPTY_TRACE_STATE:
        span._parent = without_trace_state(state, parent)
