"""Exceptions recorded on a span, told without their text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event

from otel_zdr.sdk import debugging, failure, identity
from otel_zdr.sdk.span.adoption import state_at_write
from otel_zdr.sdk.span.cleaning import count_removed
from otel_zdr.sdk.span.lists import CleanEvent
from otel_zdr.sdk.span.state import SpanState
from otel_zdr.sdk.storage import clean_attributes


def patched_record_exception(original: Callable[..., None]) -> Callable[..., None]:
    """``Span.record_exception``: built from the exception's frames, never formatted."""

    def record_exception(
        self: Any,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        state: SpanState | None = self._otel_zdr
        if state is None:
            state = state_at_write(self)
        if state is None or state.verdict == identity.OPEN:
            original(self, exception, attributes, timestamp, escaped)
            return
        try:
            made = _exception_event(self, state, exception, attributes, timestamp, escaped)
            if state.verdict == identity.UNDECIDED:
                capture = _Capture()
                original(capture, exception, attributes, timestamp, escaped)
                made.raw = capture.event(self, made.timestamp)
            event: Event = made
        except Exception as error:
            failure.note("exception", error)
            state.failed = True
            # The SDK's own: the storage makes a clean one of it, or leaves it out.
            event = Event("exception", BoundedAttributes(0, immutable=True))
        self._add_event(event)

    return record_exception


def _exception_event(
    span: Any,
    state: SpanState,
    exception: BaseException,
    attributes: Mapping[str, Any] | None,
    timestamp: int | None,
    escaped: bool,
) -> CleanEvent:
    clean: dict[str, Any] = debugging.exception_attributes(exception)
    clean["exception.escaped"] = str(bool(escaped))
    count_removed(state, "error_text")
    if attributes:
        clean.update(state.redactor.attributes(attributes, state.removed, state.server))
    limits = span._limits
    stored = clean_attributes(limits.max_event_attributes, clean, limits.max_attribute_length)
    return CleanEvent("exception", stored, timestamp)


class _Capture:
    """Stands in for a span, to have the SDK format an undecided span's exception for the shadow."""

    def __init__(self) -> None:
        self.arguments: tuple[str, Any] = ("exception", None)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self.arguments = (name, attributes)

    def event(self, span: Any, timestamp: int) -> Event:
        name, attributes = self.arguments
        limits = span._limits
        return Event(
            name,
            BoundedAttributes(
                limits.max_event_attributes,
                attributes,
                immutable=True,
                max_value_len=limits.max_attribute_length,
            ),
            timestamp,
        )
