"""What is written on an open span: cleaned before it is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event
from opentelemetry.trace.status import Status, StatusCode

from otel_zdr.catalogue.shapes import PLAIN_CHARACTERS, is_token
from otel_zdr.redaction.shaping import token_list
from otel_zdr.sdk import failure, identity
from otel_zdr.sdk.span.adoption import state_at_write
from otel_zdr.sdk.span.cleaning import (
    KINDS,
    clean_event_name,
    count_removed,
    name_at_write,
    redacted_attributes,
)
from otel_zdr.sdk.span.lists import CleanEvent
from otel_zdr.sdk.span.state import SpanState
from otel_zdr.sdk.storage import is_plain_tuple, set_new_value

_OPEN = identity.OPEN
_PLAIN = PLAIN_CHARACTERS


def patched_update_name(original: Callable[..., None]) -> Callable[..., None]:
    """``Span.update_name``."""

    def update_name(self: Any, name: str) -> None:
        state: SpanState | None = self._otel_zdr
        if state is None:
            state = state_at_write(self)
        if state is not None and state.verdict != identity.OPEN and self._end_time is None:
            try:
                if state.raw is not None:
                    state.raw.name = name
                name = name_at_write(state, name, self._kind, self._attributes._dict)
            except Exception as error:
                failure.note("span name", error)
                name = KINDS.get(self._kind, "internal")
            state.name = name
        original(self, name)

    return update_name


def patched_set_attribute(original: Callable[..., None]) -> Callable[..., None]:
    """``Span.set_attribute``: what most writes are is settled here, without the calls of the SDK and of ours.

    A new key with a plain value, on a span that is not full: under ZDR one that the sets of
    :class:`otel_zdr.redaction.short_way.ShortWay` settle, else one that says nothing of whose it is. All else goes
    the way through the storage, which looks at everything.
    """

    def set_attribute(self: Any, key: str, value: Any) -> None:
        state: SpanState | None = self._otel_zdr
        with self._lock:
            if self._end_time is None:
                if state is not None and type(key) is str:
                    try:
                        stored = self._attributes._dict
                        size = len(stored)
                        if size < state.limit:
                            kind = type(value)
                            way = state.short_way
                            if way is not None:
                                if kind is str:
                                    stays = key in way.tokens and (
                                        (value and len(value) < 129 and not value.strip(_PLAIN))
                                        or is_token(value)
                                    )
                                elif kind is int:
                                    stays = key in way.numbers and value.bit_length() < 64
                                elif kind is float:
                                    stays = key in way.numbers
                                elif kind is bool:
                                    stays = key in way.flags
                                else:
                                    stays = kind is tuple and key in way.lists and token_list(value) is value
                                if stays:
                                    set_new_value(stored, key, value)
                                    if len(stored) != size:
                                        return
                                else:
                                    content_class = way.classes.get(key)
                                    if (
                                        content_class is None
                                        and kind is str
                                        and key not in stored
                                        and state.redactor.is_lost_text(key, value)
                                    ):
                                        content_class = "free_text"
                                    if content_class:
                                        removed = state.removed
                                        removed[content_class] = removed.get(content_class, 0) + 1
                                        return
                            elif (
                                state.verdict == _OPEN
                                and (
                                    kind is str
                                    or kind is int
                                    or kind is float
                                    or kind is bool
                                    or (kind is tuple and is_plain_tuple(value))
                                )
                                and key not in stored
                                and key not in state.gate.watched
                                and key[:4] != "zdr."
                                and key
                            ):
                                stored[key] = value
                                return
                    except Exception as error:
                        failure.note("span", error)
                self._attributes[key] = value
                return
        original(self, key, value)  # warns

    return set_attribute


def patched_set_status(original: Callable[..., None]) -> Callable[..., None]:
    """``Span.set_status``: the code stays, the description is error text."""

    def set_status(self: Any, status: Any, description: str | None = None) -> None:
        state: SpanState | None = self._otel_zdr
        if state is None:
            state = state_at_write(self)
        if state is None or state.verdict == identity.OPEN:
            original(self, status, description)
            return
        is_status = isinstance(status, Status)
        text = status.description if is_status else description
        if is_status and not text:
            # Without the description beside it, which the SDK would name in a warning.
            original(self, status)
            code = status.status_code
        else:
            code = status.status_code if is_status else status
            if not isinstance(code, StatusCode):
                original(self, status, None)
                return
            original(self, code)
        raw = state.raw
        if raw is not None and self._status is not None and self._status.status_code is code:
            raw.status = status if is_status else Status(code, text)
        if text:
            try:
                count_removed(state, "error_text")
            except Exception as error:
                failure.note("evidence", error)

    return set_status


def patched_add_event(original: Callable[..., None]) -> Callable[..., None]:
    """``Span.add_event``: cleaned before the SDK copies it."""

    def add_event(self: Any, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        state: SpanState | None = self._otel_zdr
        if state is None:
            state = state_at_write(self)
        if state is None or state.verdict != identity.UNDER_ZDR:
            # Raw, or an undecided span's list keeps both forms.
            original(self, name, attributes, timestamp)
            return
        try:
            event: Event = _make_event(self, state, name, attributes, timestamp)
        except Exception as error:
            failure.note("event", error)
            state.failed = True
            # The SDK's own: the storage makes a clean one of it, or leaves it out.
            event = Event("event", BoundedAttributes(0, immutable=True))
        with self._lock:
            if self._end_time is None:
                self._events.append(event)
                return
        self._add_event(event)  # warns

    return add_event


def _make_event(span: Any, state: SpanState, name: Any, attributes: Any, timestamp: int | None) -> CleanEvent:
    name = clean_event_name(state, name)
    limits = span._limits
    clean = redacted_attributes(state, attributes, limits.max_event_attributes, limits.max_attribute_length)
    return CleanEvent(name, clean, timestamp)
