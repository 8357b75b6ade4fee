"""Spans that were not sampled: whom they are for counts for what is kept below them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import trace as trace_api
from opentelemetry.context import Context

from otel_zdr.sdk import failure, gate, identity, shared
from otel_zdr.sdk.signatures import positional
from otel_zdr.sdk.span.deciding import identify
from otel_zdr.sdk.span.live import LiveState
from otel_zdr.sdk.span.state import STATE, SpanState


class UnrecordedSpan(trace_api.NonRecordingSpan):
    """A span that was not sampled: still the parent of records, measurements and spans that are kept."""

    def set_attribute(self, key: str, value: Any) -> None:
        state: SpanState = self.__dict__[STATE]
        try:
            if key in state.watched:
                state.learn(key, value)
        except Exception as error:
            failure.note("span", error)
            state.verdict = identity.UNDER_ZDR

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in dict(attributes).items():
            self.set_attribute(key, value)


_OF_START_SPAN = (
    "name", "context", "kind", "attributes", "links", "start_time", "record_exception",
    "set_status_on_exception",
)  # fmt: skip


def patched_start_span(original: Callable[..., Any]) -> Callable[..., Any]:
    """``Tracer.start_span``: whom a span is for is known also where the sampler drops it."""

    def start_span(
        self: Any,
        name: str,
        context: Context | None = None,
        kind: Any = trace_api.SpanKind.INTERNAL,
        attributes: Any = None,
        links: Any = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Any:
        span = original(
            self,
            name,
            context,
            kind,
            attributes,
            links,
            start_time,
            record_exception,
            set_status_on_exception,
        )
        if type(span) is trace_api.NonRecordingSpan:
            _recall(span, self, attributes, context)
        return span

    def start_span_otherwise(
        self: Any, name: str, context: Context | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        span = original(self, name, context, *args, **kwargs)
        if type(span) is trace_api.NonRecordingSpan:
            attributes = args[1] if len(args) > 1 else kwargs.get("attributes")
            _recall(span, self, attributes, context)
        return span

    return start_span if positional(original) == _OF_START_SPAN else start_span_otherwise


def _recall(span: Any, tracer: Any, attributes: Any, context: Context | None) -> None:
    holding = gate.current
    if holding is not None and not (holding.closed or holding.policy.everything or holding.policy.nothing):
        _remember_unrecorded(span, holding, tracer, attributes, context)


def _remember_unrecorded(
    span: Any, holding: gate.Gate, tracer: Any, attributes: Any, context: Context | None
) -> None:
    try:
        state = LiveState(holding, shared.facts_of(holding, tracer.resource), None)
        try:
            identify(state, None, attributes, context, trace_api.get_current_span(context).get_span_context())
        except Exception as error:
            failure.note("span", error)
            state.verdict = identity.UNDER_ZDR
        span._otel_zdr = state
        span.__class__ = UnrecordedSpan
    except Exception as error:
        # A span of another make: what is in it is unidentified.
        failure.note("span", error)
