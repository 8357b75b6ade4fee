"""What a span's values are stored in: cleaned as they are written, whoever writes them.

Three kinds of storage hang on a span in place of the SDK's own:

- under ZDR: a value is cleaned before it is stored;
- undecided: the visible storage is cleaned as well, and the raw value goes to a *shadow* that only the
  span's state knows, so that whoever reads early sees a cleaned copy;
- identified and not under ZDR: raw, but a write that names a workspace is noticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.util import BoundedList

from otel_zdr.redaction import REMOVED
from otel_zdr.sdk import eligibility, failure

if TYPE_CHECKING:
    from otel_zdr.sdk.span import SpanState
    from otel_zdr.sdk.state import ItemState

_store = BoundedAttributes.__setitem__
_RESERVED = "zdr."


class RedactingAttributes(BoundedAttributes):
    """Attributes of an item that is, or may be, under ZDR."""

    state: ItemState
    #: Where raw values wait while the item is undecided.
    shadow: BoundedAttributes | None = None

    @classmethod
    def holding(cls, state: ItemState, clean: Mapping[str, Any], maxlen: int | None) -> RedactingAttributes:
        """Storage of ``clean`` values."""
        made: Any = of_clean_values(maxlen, dict(clean), immutable=False)
        made._dict = StoredValues(made._dict)
        made.__class__ = cls
        made.state = state
        return made  # type: ignore[no-any-return]

    def __setitem__(self, key: str, value: Any) -> None:
        if self._immutable:
            _store(self, key, value)  # raises as the SDK does
            return
        if not isinstance(key, str):
            return  # the SDK takes no other keys
        state = self.state
        try:
            if self.shadow is not None:
                if type(key) is str and key.startswith(_RESERVED):
                    return
                _store(self.shadow, key, value)
            if key in state.watched and state.learn(key, value):
                # The item turned out not to be under ZDR: its storage is the shadow now.
                return
            if state.held is not None:
                eligibility.hold_one(state, key, value)
            clean = state.redactor.attribute(key, value, state.removed, state.server)
        except Exception as error:
            failure.note(state.signal, error)
            state.failed = True
            clean = REMOVED
        if clean is REMOVED:
            # A later value replaces an earlier one: what stands here is no longer true.
            if type(key) is str:
                self._dict.pop(key, None)
            return
        with self._lock:
            stored = self._dict
            if key in stored:
                del stored[key]
            elif self.maxlen is not None and len(stored) >= self.maxlen:
                self.dropped += 1
                if not stored:
                    return
                del stored[next(iter(stored))]
            kept: Any = clean
            set_value(stored, key, tuple(kept) if type(kept) is list else kept)

    def _set_items(self, attributes: Mapping[str, Any]) -> None:
        values: dict[Any, Any] = dict(attributes)
        for key, value in values.items():
            self[key] = value

    def __delitem__(self, key: str) -> None:
        if self.shadow is not None and key in self.shadow:
            del self.shadow[key]
        if self.state.held:
            self.state.held.pop(key, None)
        # What is missing may have been removed here: the caller, who wrote it, must not hear of that.
        if key in self._dict or self._immutable:
            super().__delitem__(key)


class WatchingAttributes(BoundedAttributes):
    """Raw attributes of an identified item: watched for a workspace that puts it under ZDR."""

    state: ItemState

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            _store(self, key, value)
            return
        state = self.state
        if key in state.watched and not self._immutable:
            try:
                state.learn(key, value)
            except Exception as error:
                failure.note(state.signal, error)
                state.tighten()
            if type(self) is not WatchingAttributes:  # learn() put the item under ZDR
                self[key] = value
                return
        elif key[:4] == _RESERVED:
            return
        _store(self, key, value)

    def _set_items(self, attributes: Mapping[str, Any]) -> None:
        for key, value in dict(attributes).items():
            self[key] = value


class RedactingEvents(BoundedList[Any]):
    """Events of a span that is, or may be, under ZDR."""

    state: SpanState
    #: Where raw events wait while the span is undecided.
    shadow: BoundedList[Any] | None = None

    def append(self, item: Any) -> None:
        if self.shadow is not None:
            raw = getattr(item, "raw", item)
            if raw is not None:
                self.shadow.append(raw)
        try:
            clean = self.clean(item)
        except Exception as error:
            failure.note(self.state.signal, error)
            self.state.failed = True
            clean = None
        if clean is not None:
            super().append(clean)

    def extend(self, seq: Iterable[Any]) -> None:
        for item in seq:
            self.append(item)

    def clean(self, item: Any) -> Any:
        """The cleaned form of one element, or None if nothing of it may stay."""
        return self.state.clean_event(item)


class RedactingLinks(RedactingEvents):
    """Links of a span that is, or may be, under ZDR."""

    def clean(self, item: Any) -> Any:
        return self.state.clean_link(item)


class StoredValues(dict[str, Any]):
    """The values of cleaned attributes; notices what is written past :class:`RedactingAttributes`.

    Vendors write into the private dict of a span. Values of ours are stored with ``dict``'s own methods,
    so that whatever goes through the methods here has not been looked at yet.
    """

    __slots__ = ("touched",)
    touched: bool

    def __init__(self, clean: Mapping[str, Any]) -> None:
        super().__init__(clean)
        self.touched = False

    def __setitem__(self, key: str, value: Any) -> None:
        self.touched = True
        super().__setitem__(key, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        self.touched = True
        super().update(*args, **kwargs)

    def setdefault(self, key: str, default: Any = None) -> Any:
        self.touched = True
        return super().setdefault(key, default)

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        self.touched = True
        return super().__ior__(other)

    def __reduce__(self) -> Any:
        return (dict, (dict(self),))


set_value = dict.__setitem__


def of_clean_values(maxlen: int | None, clean: dict[str, Any], *, immutable: bool) -> BoundedAttributes:
    """SDK attributes of values that were cleaned already, without looking at each of them again."""
    made = BoundedAttributes(maxlen, None, immutable=immutable)
    if maxlen is not None and len(clean) > maxlen:
        made.dropped = len(clean) - maxlen
        clean = dict(list(clean.items())[made.dropped :])
    made._dict = clean
    return made
