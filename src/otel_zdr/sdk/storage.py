"""What a span's values are stored in: cleaned as they are written, whoever writes them.

Three kinds of storage hang on a span in place of the SDK's own:

- under ZDR: a value is cleaned before it is stored;
- undecided: the visible storage is cleaned as well, and the raw value goes to a *shadow* that only the
  span's state knows, so that whoever reads early sees a cleaned copy;
- identified and not under ZDR: raw, but a write that names a workspace is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.util import BoundedList

from otel_zdr.redaction import REMOVED
from otel_zdr.sdk import eligibility, failure

if TYPE_CHECKING:
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
        """Storage of ``clean`` values; by way of the SDK's own, which does not know of states."""
        made = BoundedAttributes(maxlen, clean, immutable=False)
        made.__class__ = cls
        made.state = state  # type: ignore[attr-defined]
        return made  # type: ignore[return-value]

    def __setitem__(self, key: str, value: Any) -> None:
        if self._immutable:
            _store(self, key, value)  # raises as the SDK does
            return
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
        if clean is not REMOVED:
            _store(self, key, clean)
        elif key in self._dict:
            # A later value replaces an earlier one: what stands here is no longer true.
            self._dict.pop(key, None)

    def _set_items(self, attributes: Mapping[str, Any]) -> None:
        for key, value in dict(attributes).items():
            self[key] = value

    def __delitem__(self, key: str) -> None:
        if self.shadow is not None and key in self.shadow:
            del self.shadow[key]
        if key in self._dict or self.shadow is None:
            super().__delitem__(key)


class WatchingAttributes(BoundedAttributes):
    """Raw attributes of an identified item: watched for a workspace that puts it under ZDR."""

    state: ItemState

    def __setitem__(self, key: str, value: Any) -> None:
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


class RedactingList(BoundedList):
    """Events or links of a span that is, or may be, under ZDR."""

    clean: Callable[[Any], Any]
    #: Where raw elements wait while the span is undecided.
    shadow: BoundedList | None = None

    def append(self, item: Any) -> None:
        raw = getattr(item, "raw", item)
        if self.shadow is not None and raw is not None:
            self.shadow.append(raw)
        clean = self.clean(item)
        if clean is not None:
            super().append(clean)

    def extend(self, seq: Iterable[Any]) -> None:
        for item in seq:
            self.append(item)


def bounded_list(maxlen: int | None, items: Iterable[Any]) -> BoundedList:
    """An SDK list of ``items`` that were cleaned already."""
    made = BoundedList(maxlen)
    for item in items:
        made.append(item)
    return made
