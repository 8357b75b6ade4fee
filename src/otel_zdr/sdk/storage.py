"""What a span's values are stored in: cleaned as they are written, whoever writes them.

Three kinds of storage hang on a span in place of the SDK's own:

- under ZDR: a value is cleaned before it is stored;
- undecided: the visible storage is cleaned as well, and the raw value goes to a *shadow* that only the
  span's state knows, so that whoever reads early sees a cleaned copy;
- identified and not under ZDR: raw, but a write that names a workspace is noticed.

They are made beside the SDK's own and take over its parts: changing the class of an object is slower, and
leaves it bigger for as long as it is queued.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanContext

from otel_zdr.catalogue.shapes import TOKEN_PATTERN
from otel_zdr.redaction import REMOVED
from otel_zdr.redaction.redactor import CLASSES_OF_ENTRIES as _CLASSES
from otel_zdr.redaction.shaping import plain_text, token_list
from otel_zdr.sdk import eligibility, failure
from otel_zdr.sdk.identity import UNDER_ZDR

if TYPE_CHECKING:
    from otel_zdr.sdk.span import SpanState
    from otel_zdr.sdk.state import ItemState

_store = BoundedAttributes.__setitem__
_append = BoundedList.append
_new_lock = threading.Lock
_RESERVED = "zdr."
_is_token = TOKEN_PATTERN.fullmatch
_LOW, _HIGH = -(2**63), 2**63 - 1

set_value = dict.__setitem__


class StoredValues(dict[str, Any]):
    """The values of cleaned attributes; notices what is written past :class:`RedactingAttributes`.

    Vendors write into the private dict of a span. Values of ours are stored with ``dict``'s own methods,
    so that whatever goes through the methods here has not been looked at yet: it is then of another class.
    """

    __slots__ = ()

    def __setitem__(self, key: str, value: Any) -> None:
        self.__class__ = TouchedValues
        super().__setitem__(key, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        self.__class__ = TouchedValues
        super().update(*args, **kwargs)

    def setdefault(self, key: str, default: Any = None) -> Any:
        self.__class__ = TouchedValues
        return super().setdefault(key, default)

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        self.__class__ = TouchedValues
        return super().__ior__(other)

    def __reduce__(self) -> Any:
        return (dict, (dict(self),))


class TouchedValues(StoredValues):
    """Values among which somebody else has written."""

    __slots__ = ()


# --- making storages -----------------------------------------------------------------------------

# The constructors of the SDK look at each value; what they set is set directly, as long as it is this.
_KNOWN_ATTRIBUTES = vars(BoundedAttributes(None, None, immutable=True)).keys() == {
    "_dict", "_immutable", "_lock", "dropped", "max_value_len", "maxlen",
}  # fmt: skip
_KNOWN_LIST = vars(BoundedList(None)).keys() == {"_dq", "_lock", "dropped"}


def clean_attributes(
    maxlen: int | None, clean: Mapping[str, Any], max_value_len: int | None = None
) -> CleanAttributes:
    """Immutable attributes of values that were cleaned already, within the SDK's limits."""
    return _made(CleanAttributes, maxlen, clean, max_value_len, immutable=True)  # type: ignore[no-any-return]


def _made(
    cls: type[BoundedAttributes],
    maxlen: int | None,
    clean: Mapping[str, Any],
    max_value_len: int | None,
    *,
    immutable: bool,
) -> Any:
    made: Any
    if _KNOWN_ATTRIBUTES:
        made = cls.__new__(cls)
        made.dropped = 0
        made._lock = _new_lock()
    else:
        made = BoundedAttributes(None, None, immutable=False)
        made.__class__ = cls
    made.maxlen = maxlen
    made.max_value_len = max_value_len
    if max_value_len is not None:
        clean = BoundedAttributes(None, dict(clean), max_value_len=max_value_len)._dict
    if maxlen is not None and len(clean) > maxlen:
        made.dropped = len(clean) - maxlen
        clean = dict(list(clean.items())[made.dropped :])
    made._dict = StoredValues(clean)
    made._immutable = immutable
    return made


# --- attributes ----------------------------------------------------------------------------------


class RedactingAttributes(BoundedAttributes):
    """Attributes of an item that is, or may be, under ZDR."""

    #: Of the item that is written; None once it has ended and nothing can be written any more.
    state: ItemState | None = None
    #: Where raw values wait while the item is undecided.
    shadow: BoundedAttributes | None = None

    @classmethod
    def holding(cls, state: ItemState, clean: Mapping[str, Any], maxlen: int | None) -> RedactingAttributes:
        """Storage of ``clean`` values."""
        made = _made(cls, maxlen, clean, None, immutable=False)
        made.state = state
        return made  # type: ignore[no-any-return]

    @classmethod
    def over(cls, attributes: Any, clean: Mapping[str, Any], state: ItemState) -> RedactingAttributes:
        """Storage of ``clean`` values in the place of the SDK's ``attributes``."""
        made = _made(cls, attributes.maxlen, clean, attributes.max_value_len, immutable=False)
        made.state = state
        return made  # type: ignore[no-any-return]

    def __setitem__(self, key: str, value: Any) -> None:
        if self._immutable:
            _store(self, key, value)  # raises as the SDK does
            return
        state = self.state
        try:
            if type(key) is str and state is not None:
                # What `Redactor.attribute` decides for most keys, without calling it.
                entry = state.entry(key, 0)
                if entry > 0:
                    kind = type(value)
                    stays: object
                    if kind is str:
                        stays = entry & 4 and len(value) <= 128 and _is_token(value) and "//" not in value
                    elif kind is int:
                        stays = entry & 1 and _LOW <= value <= _HIGH
                    elif kind is tuple:
                        stays = entry & 8 and token_list(value) is value
                    else:
                        stays = (kind is float and entry & 1) or (kind is bool and entry & 2)
                    if stays:
                        stored = self._dict
                        if (
                            key not in stored
                            and (self.maxlen is None or len(stored) < self.maxlen)
                            and self.max_value_len is None
                        ):
                            set_value(stored, key, value)
                            return
                elif entry:
                    removed, content_class = state.removed, _CLASSES[-entry]
                    removed[content_class] = removed.get(content_class, 0) + 1
                    return
                elif type(value) is str and state.redactor.is_lost_text(key, value):
                    removed = state.removed
                    removed["free_text"] = removed.get("free_text", 0) + 1
                    return
            self._set_slowly(key, value)
        except Exception as error:
            self._lose(key, error)

    def _set_slowly(self, key: Any, value: Any) -> None:
        state = self.state
        name = plain_text(key)
        if state is None:
            return
        if self.shadow is not None:
            if name is not None and name.startswith(_RESERVED):
                return
            _store(self.shadow, key, value)
        if name is None:
            return  # the SDK stores nothing under what is no text
        if name in state.watched and state.learn(name, value):
            # The item turned out not to be under ZDR: its storage is the shadow now.
            return
        if state.held is not None:
            eligibility.hold_one(state, name, value)
        self._put(name, state.redactor.attribute(name, value, state.removed, state.server))

    def _lose(self, key: Any, error: Exception) -> None:
        """Nothing of a value that could not be cleaned stays, nor what it was to replace."""
        state = self.state
        if state is not None:
            failure.note(state.signal, error)
            state.failed = True
        with contextlib.suppress(Exception):
            # A subclass of str is stored under its plain text.
            self._dict.pop(key if type(key) is str else str.__str__(key), None)

    def _put(self, key: str, clean: Any) -> None:
        """Store a clean value in all the cases there are: replaced, removed, over the limits."""
        stored = self._dict
        if clean is REMOVED:
            # A later value replaces an earlier one: what stands here is no longer true.
            if key in stored:
                stored.pop(key, None)
            return
        if self.max_value_len is not None:
            # As the SDK would cut it.
            cut = BoundedAttributes(None, {key: clean}, max_value_len=self.max_value_len)
            clean = cut.get(key)
        with self._lock:
            if key in stored:
                del stored[key]
            elif self.maxlen is not None and len(stored) >= self.maxlen:
                self.dropped += 1
                if not stored:
                    return
                del stored[next(iter(stored))]
            set_value(stored, key, clean)

    def _set_items(self, attributes: Mapping[str, Any]) -> None:
        for key, value in dict(attributes).items():
            self[key] = value

    def __delitem__(self, key: str) -> None:
        if self.shadow is not None and key in self.shadow:
            del self.shadow[key]
        state = self.state
        if state is not None and state.held:
            state.held.pop(key, None)
        # What is missing may have been removed here: the caller, who wrote it, must not hear of that.
        if key in self._dict or self._immutable:
            super().__delitem__(key)


class WatchingAttributes(BoundedAttributes):
    """Raw attributes of an identified item: watched for a workspace that puts it under ZDR."""

    #: Of the item that is written; None once it has ended and nothing can be written any more.
    state: ItemState | None = None

    @classmethod
    def over(cls, attributes: Any, state: ItemState) -> WatchingAttributes:
        """Storage in the place of the SDK's ``attributes``, of which it takes all parts."""
        made: Any
        if _KNOWN_ATTRIBUTES:
            made = cls.__new__(cls)
        else:
            made = BoundedAttributes(None, None, immutable=False)
            made.__class__ = cls
        made.maxlen = attributes.maxlen
        made.dropped = attributes.dropped
        made._dict = attributes._dict
        made.max_value_len = attributes.max_value_len
        made._lock = attributes._lock
        made._immutable = attributes._immutable
        made.state = state
        return made  # type: ignore[no-any-return]

    def __setitem__(self, key: str, value: Any) -> None:
        state = self.state
        if state is None or self._immutable:
            _store(self, key, value)  # raises as the SDK does, once the item has ended
            return
        # What the SDK does with a plain value that fits, without its calls: they pay for the look at the key.
        if (
            type(key) is str
            and key
            and key not in state.gate.watched
            and key[:4] != _RESERVED
            and self.max_value_len is None
        ):
            kind = type(value)
            if kind is str or kind is int or kind is float or kind is bool:
                with self._lock:
                    stored = self._dict
                    if key in stored:
                        del stored[key]
                        stored[key] = value
                        return
                    if self.maxlen is None or len(stored) < self.maxlen:
                        stored[key] = value
                        return
            _store(self, key, value)
            return
        try:
            if self._is_for_the_gate(key, value):
                return
        except Exception as error:
            # Whose it is cannot be told any more: closed.
            failure.note(state.signal, error)
            state.tighten()
        if type(self) is not WatchingAttributes:  # the item came under ZDR
            self[key] = value
            return
        _store(self, key, value)

    def _is_for_the_gate(self, key: Any, value: Any) -> bool:
        """Learn what the key says of workspace or product. True: only the gate may write it."""
        state, name = self.state, plain_text(key)
        if state is None or name is None:
            return False
        if name in state.watched:
            state.learn(name, value)
            return False
        return name.startswith(_RESERVED)

    def _set_items(self, attributes: Mapping[str, Any]) -> None:
        for key, value in dict(attributes).items():
            self[key] = value


# --- events and links ----------------------------------------------------------------------------


class CleanAttributes(BoundedAttributes):
    """The attributes of what the gate made."""


def _are_intact(attributes: Any) -> bool:
    """Whether nobody wrote past the gate into these attributes, or put others in their place."""
    return type(attributes) is CleanAttributes and type(attributes._dict) is StoredValues


class CleanEvent(Event):
    """An event the gate made; carries the raw one only until it is stored."""

    raw: Event | None = None

    def __init__(self, name: str, attributes: CleanAttributes, timestamp: int | None = None) -> None:
        super().__init__(name, attributes, timestamp)
        self.given = name

    def is_intact(self) -> bool:
        """Whether its parts are those the gate gave it: vendors replace them in place."""
        return self._name is self.given and _are_intact(self._attributes)


class CleanLink(Link):
    """A link the gate made; carries the raw one only until it is stored."""

    raw: Link | None = None

    def __init__(self, context: SpanContext, attributes: CleanAttributes) -> None:
        super().__init__(context, attributes)
        self.given = context

    def is_intact(self) -> bool:
        """Whether its parts are those the gate gave it."""
        return self.context is self.given and _are_intact(self._attributes)


class RedactingEvents(BoundedList[Any]):
    """Events of a span that is, or may be, under ZDR."""

    #: The class of what the gate made.
    made: type[CleanEvent] | type[CleanLink] = CleanEvent
    #: Of the span that is written; None once it has ended.
    state: SpanState | None = None
    #: Where raw events wait while the span is undecided.
    shadow: BoundedList[Any] | None = None

    @classmethod
    def over(cls, storage: Any, state: SpanState) -> RedactingEvents:
        """Storage in the place of ``storage``, which is empty or whose elements are clean."""
        made: Any
        if not _KNOWN_LIST:
            made = cls(storage._dq.maxlen)
        else:
            made = cls.__new__(cls)
            made._lock = storage._lock
        made.dropped = storage.dropped
        made._dq = storage._dq
        made.state = state
        return made  # type: ignore[no-any-return]

    def append(self, item: Any) -> None:
        state = self.state
        if type(item) is self.made and state is not None and state.verdict == UNDER_ZDR:
            if item.raw is not None:
                item.raw = None
            _append(self, item)
            return
        if self.shadow is not None:
            raw = item.raw if type(item) is self.made else item
            if raw is not None:
                self.shadow.append(raw)
        clean = None
        try:
            clean = self.clean(item)
        except Exception as error:
            if state is not None:
                failure.note(state.signal, error)
                state.failed = True
        if clean is not None:
            _append(self, clean)

    def extend(self, seq: Iterable[Any]) -> None:
        for item in seq:
            self.append(item)

    def clean(self, item: Any) -> Any:
        """The cleaned form of one element, or None if nothing of it may stay."""
        state = self.state
        return state.clean_event(item) if state is not None else None


class RedactingLinks(RedactingEvents):
    """Links of a span that is, or may be, under ZDR."""

    made = CleanLink

    def clean(self, item: Any) -> Any:
        state = self.state
        return state.clean_link(item) if state is not None else None
