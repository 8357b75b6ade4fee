"""The start of a span: decided, and made without what must not be in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from opentelemetry import trace as trace_api
from opentelemetry.context import Context

from otel_zdr.sdk import eligibility, gate, identity, patches, shared
from otel_zdr.sdk.signatures import arguments_of
from otel_zdr.sdk.span import making
from otel_zdr.sdk.span.adoption import NOTHING
from otel_zdr.sdk.span.arguments import ABSENT, PARAMETERS, called_by_name
from otel_zdr.sdk.span.cleaning import clean_event, name_at_write
from otel_zdr.sdk.span.deciding import decide, identify, is_forced
from otel_zdr.sdk.span.forms import settle_storage
from otel_zdr.sdk.span.fresh import hang_storages, limit_of, new_storages, start_links
from otel_zdr.sdk.span.live import LastState, PassingState
from otel_zdr.sdk.span.skeleton import skeletonise
from otel_zdr.sdk.span.state import SpanState


def patched_init(original: Callable[..., None]) -> Callable[..., None]:
    """``Span.__init__``: decide, and make the span without what must not be in it."""
    by_name = called_by_name(original)
    # Handing sixteen arguments on by name costs more than all else does for a span that just passes.
    is_as_expected = arguments_of(original) == (*PARAMETERS, "record_end_metrics")
    make = original if is_as_expected else by_name
    is_known = making.is_known(original)

    def __init__(
        self: Any,
        name: Any,
        context: Any,
        parent: Any = None,
        sampler: Any = None,
        trace_config: Any = None,
        resource: Any = None,
        attributes: Any = None,
        events: Any = None,
        links: Any = (),
        kind: Any = trace_api.SpanKind.INTERNAL,
        span_processor: Any = ABSENT,
        instrumentation_info: Any = None,
        record_exception: Any = True,
        set_status_on_exception: Any = True,
        limits: Any = ABSENT,
        instrumentation_scope: Any = None,
        *,
        record_end_metrics: Any = None,
        more: Any = None,
    ) -> None:
        is_usual = more is None and span_processor is not ABSENT and limits is not ABSENT
        state: SpanState | None = None
        failed: Exception | None = None
        is_made = False
        clean: dict[str, Any] = {}
        given_attributes, given_links = attributes, links
        holding = gate.current
        if holding is None:
            patches.spans_passed_by()
        elif holding.closed:
            name, attributes, events, links, span_processor = "", None, None, (), NOTHING
        else:
            try:
                if holding.policy.nothing and not is_forced(holding, resource):
                    state = _passing_of(holding, limits)
                else:
                    state = decide(self, holding, resource, attributes, kind, parent)
                    if state.verdict == identity.UNDER_ZDR:
                        if holding.retains:
                            eligibility.hold(state, attributes or {})
                        if attributes:
                            clean = state.redactor.attributes(attributes, state.removed, state.server)
                        # Not through the SDK's constructor, which looks at each value once more.
                        attributes, links = None, ()
                        if events:
                            events = [clean_event(state, event) for event in events]
                        if state.facts is not None:
                            resource = state.facts.clean
                        instrumentation_scope, instrumentation_info = shared.scope_and_info_of(
                            holding, instrumentation_scope, instrumentation_info
                        )
                        state.scope = instrumentation_scope
                        name = state.name = name_at_write(state, name, kind, clean)
                    elif state.verdict == identity.OPEN and state.facts is not None:
                        resource = state.facts.unmarked
                    if is_known and is_usual and not events and state.facts is not None:
                        stored = new_storages(self, state, clean, attributes, limits)
                        if stored is not None:
                            making.fill(
                                self, name, context, parent, sampler, trace_config, resource, kind,
                                span_processor, instrumentation_info, record_exception,
                                set_status_on_exception, limits, instrumentation_scope, record_end_metrics,
                                *stored,
                            )  # fmt: skip
                            self._otel_zdr = state
                            if given_links:
                                start_links(self, state, given_links)
                            is_made = True
            except Exception as error:
                failed, state, is_made = error, LastState(holding), False
                attributes, links, events = None, (), None
        if is_made:
            if identity.seen.pending:
                with contextlib.suppress(Exception):
                    identity.seen.announce_pending()
            return
        if is_usual:
            make(
                self, name, context, parent, sampler, trace_config, resource, attributes, events, links, kind,
                span_processor, instrumentation_info, record_exception, set_status_on_exception, limits,
                instrumentation_scope, record_end_metrics=record_end_metrics,
            )  # fmt: skip
        else:
            by_name(
                self, name, context, parent, sampler, trace_config, resource, attributes, events, links, kind,
                span_processor, instrumentation_info, record_exception, set_status_on_exception, limits,
                instrumentation_scope, record_end_metrics=record_end_metrics, **(more or {}),
            )  # fmt: skip
        if state is None:
            return
        self._otel_zdr = state
        if type(state) is PassingState:
            return
        try:
            if failed is not None:
                skeletonise(self, state, failed, given_attributes)
            elif state.verdict == identity.UNDER_ZDR:
                hang_storages(self, state, clean)
                if given_links:
                    start_links(self, state, given_links)
            else:
                settle_storage(self, state)
        except Exception as error:
            skeletonise(self, state, error, given_attributes)
        if identity.seen.pending:
            with contextlib.suppress(Exception):
                identity.seen.announce_pending()

    def init_with_more(self: Any, *args: Any, **kwargs: Any) -> None:
        """Of an SDK whose spans take arguments that are not known here."""
        known = {name: kwargs.pop(name) for name in (*PARAMETERS, "record_end_metrics") if name in kwargs}
        __init__(self, *args, **known, more=kwargs)

    return __init__ if is_as_expected else init_with_more


_passing: PassingState | None = None


def _passing_of(holding: gate.Gate, limits: Any) -> PassingState:
    global _passing
    limit = limit_of(limits) if limits is not ABSENT else 0
    state = _passing
    if state is None or state.gate is not holding or state.limit != limit:
        state = PassingState(holding, None, None)
        state.verdict = identity.OPEN
        state.limit = limit
        _passing = state
    return state


def patched_start(original: Callable[..., None]) -> Callable[..., None]:
    """``Span.start``: a parent or ambient set given by an explicit context decides too."""

    def start(self: Any, start_time: int | None = None, parent_context: Context | None = None) -> None:
        if parent_context is not None:
            state: SpanState | None = self._otel_zdr
            if state is not None and state.verdict != identity.UNDER_ZDR and self._start_time is None:
                try:
                    if type(state) is not PassingState:
                        _identify_late(self, state, parent_context)
                except Exception as error:
                    skeletonise(self, state, error)
        original(self, start_time, parent_context)

    return start


def _identify_late(span: Any, state: SpanState, context: Context) -> None:
    verdict = state.verdict
    identify(state, span, None, context, span._parent)
    decided, state.verdict = state.verdict, verdict
    if decided == identity.UNDER_ZDR:
        state.tighten()
    elif decided == identity.OPEN and verdict == identity.UNDECIDED:
        state.verdict = decided
        state.release()
