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
import copy
import os
import threading
from collections.abc import ItemsView, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes

from otel_zdr.redaction import REMOVED
from otel_zdr.redaction.shaping import plain_text
from otel_zdr.sdk import eligibility, failure

if TYPE_CHECKING:
    from otel_zdr.sdk.state import ItemState

_store = BoundedAttributes.__setitem__
_new_lock = threading.Lock
_RESERVED = "zdr."

set_value = dict.__setitem__
#: Quicker than to ask first: Python takes the long way to ``in`` of a subclass of ``dict``.
set_new_value = dict.setdefault


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


# What cannot be written any more needs a lock only to be copied. Reentrant, because copies nest.
LOCK_OF_SETTLED: Any = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=LOCK_OF_SETTLED._at_fork_reinit)


def is_plain_tuple(values: tuple[Any, ...]) -> bool:
    """Whether the SDK would store an equal tuple."""
    for value in values:
        kind = type(value)
        if kind is not str and kind is not int and kind is not float and kind is not bool:
            return False
    return True


# --- making storages -----------------------------------------------------------------------------

# The constructors of the SDK look at each value; what they set is set directly, as long as it is this.
_KNOWN_ATTRIBUTES = vars(BoundedAttributes(None, None, immutable=True)).keys() == {
    "_dict", "_immutable", "_lock", "dropped", "max_value_len", "maxlen",
}  # fmt: skip
#: Whether storages can be made here without the SDK's constructors.
ARE_KNOWN = _KNOWN_ATTRIBUTES


def clean_attributes(
    maxlen: int | None, clean: Mapping[str, Any], max_value_len: int | None = None
) -> RedactingAttributes:
    """Immutable attributes of values that were cleaned already, within the SDK's limits."""
    return _made(None, maxlen, clean, max_value_len, True) if clean else NO_ATTRIBUTES


def _made(
    state: ItemState | None,
    maxlen: int | None,
    clean: Mapping[str, Any],
    max_value_len: int | None,
    immutable: bool,
) -> RedactingAttributes:
    # Of one class, whatever they are for: Python takes the short way to the attributes of objects of the one
    # class that a line has met, and the long way where there are two.
    made: Any
    if _KNOWN_ATTRIBUTES:
        made = RedactingAttributes.__new__(RedactingAttributes)
        made.dropped = 0
        made._lock = LOCK_OF_SETTLED if immutable else _new_lock()
    else:
        made = BoundedAttributes(None, None, immutable=False)
        made.__class__ = RedactingAttributes
    made.maxlen = maxlen
    made.max_value_len = max_value_len
    if max_value_len is not None:
        clean = BoundedAttributes(None, dict(clean), max_value_len=max_value_len)._dict
    if maxlen is not None and len(clean) > maxlen:
        made.dropped = len(clean) - maxlen
        clean = dict(list(clean.items())[made.dropped :])
    made._dict = StoredValues(clean)
    made._immutable = immutable
    made.state = state
    return made  # type: ignore[no-any-return]


# --- attributes ----------------------------------------------------------------------------------


class RedactingAttributes(BoundedAttributes):
    """Attributes of an item that is, or may be, under ZDR."""

    #: Of the item that is written; None once it has ended and nothing can be written any more.
    state: ItemState | None = None
    #: Where raw values wait while the item is undecided.
    shadow: BoundedAttributes | None = None
    #: The evidence, once the item has ended: shared by all items of a kind, and not counted by the limits.
    marks: dict[str, Any] | None = None
    _immutable = False

    @classmethod
    def fresh(
        cls, state: ItemState, clean: Mapping[str, Any], maxlen: int | None, max_value_len: int | None
    ) -> RedactingAttributes:
        """Storage of ``clean`` values within the SDK's limits."""
        return _made(state, maxlen, clean, max_value_len, False)

    def __setitem__(self, key: str, value: Any) -> None:
        if self._immutable:
            _store(self, key, value)  # raises as the SDK does
            return
        state = self.state
        if state is None:
            return
        try:
            self._clean_and_put(state, key, value)
        except Exception as error:
            self._lose(key, error)

    def _clean_and_put(self, state: ItemState, key: Any, value: Any) -> None:
        name = plain_text(key)
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
        values = dict(attributes)
        state = self.state
        try:
            is_at_once = state is not None and self._takes_at_once(state, values)
        except Exception as error:
            failure.note("attributes", error)
            is_at_once = False
        if state is None or not is_at_once:
            for key, value in values.items():
                self[key] = value
            return
        clean: dict[str, Any] = state.redactor.attributes(values, state.removed, state.server)
        with self._lock:
            for key, value in clean.items():
                set_value(self._dict, key, value)

    def _takes_at_once(self, state: ItemState, values: dict[str, Any]) -> bool:
        """Whether nothing of these values needs more than being cleaned: new ones that fit, and decide nothing."""
        return (
            state.short_way is not None
            and self.shadow is None
            and not self._immutable
            and self.max_value_len is None
            and (self.maxlen is None or len(self._dict) + len(values) <= self.maxlen)
            and {type(key) for key in values} == {str}
            and self._dict.keys().isdisjoint(values)
            and state.watched.isdisjoint(values)
        )

    # What reads sees the values and the marks.

    def __getitem__(self, key: str) -> Any:
        if self.marks is not None and key in self.marks:
            return self.marks[key]
        return self._dict[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.copy())

    def __len__(self) -> int:
        return len(self._dict) + (len(self.marks) if self.marks is not None else 0)

    def __repr__(self) -> str:
        return repr(self.copy())

    def __deepcopy__(self, memo: dict[int, Any]) -> BoundedAttributes:
        made = BoundedAttributes(
            self.maxlen, None, immutable=self._immutable, max_value_len=self.max_value_len
        )
        memo[id(self)] = made
        made._dict = copy.deepcopy(self.copy(), memo)
        made.dropped = self.dropped
        return made

    def copy(self) -> dict[str, Any]:
        # One step, which no other thread comes into.
        return {**self._dict, **(self.marks or {})}

    def items(self) -> ItemsView[str, Any]:
        return self.copy().items()

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
    _immutable = False

    @classmethod
    def fresh(
        cls, state: ItemState, given: Mapping[str, Any] | None, maxlen: int | None, max_value_len: int | None
    ) -> WatchingAttributes:
        """Storage of what a span starts with, as the SDK would store it."""
        made = cls.of_plain(state, given, maxlen, max_value_len)
        if made is None:
            # Not only plain values that fit: the SDK looks at each, and warns.
            made = cls.over(BoundedAttributes(maxlen, given, False, max_value_len), state)
            made.drop_marks()
        return made

    @classmethod
    def of_plain(
        cls, state: ItemState, given: Mapping[str, Any] | None, maxlen: int | None, max_value_len: int | None
    ) -> WatchingAttributes | None:
        """Storage of values that the SDK would store as they are; None where there are others among them."""
        values: dict[str, Any] = {}
        if given:
            for key, value in list(given.items()):
                kind = type(value)
                is_plain = kind is str or kind is int or kind is float or kind is bool
                if not is_plain or type(key) is not str or key[:4] == _RESERVED:
                    return None
                values[key] = value
            if "" in values or max_value_len is not None or (maxlen is not None and len(values) > maxlen):
                return None
        made = cls.__new__(cls)
        made.maxlen = maxlen
        made.dropped = 0
        made._dict = values
        made.max_value_len = max_value_len
        made._lock = _new_lock()
        made._immutable = False
        made.state = state
        return made

    def drop_marks(self) -> None:
        """Take out the evidence, which only the gate may write."""
        for key in [key for key in self._dict if key[:4] == _RESERVED]:
            self._dict.pop(key, None)

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
        if state is not None and not self._immutable:
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
        _store(self, key, value)  # raises as the SDK does, once the item has ended

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


# --- values that the SDK cut ------------------------------------------------------------------------------


def whole(attributes: Any) -> Any:
    """Attributes to judge: what the SDK has cut to its limit is replaced by what cannot stay.

    Of a text that was prose, or too long, the beginning that is left may look like an id.
    """
    limit = getattr(attributes, "max_value_len", None)
    if limit is None or isinstance(attributes, RedactingAttributes):
        return attributes
    values = list(attributes._dict.items())
    if not any(_may_be_cut(value, limit) for _, value in values):
        return attributes
    return {key: _CUT if _may_be_cut(value, limit) else value for key, value in values}


#: In the place of a cut value: counts as one, and stays nowhere.
_CUT = "\N{HORIZONTAL ELLIPSIS} "


def _may_be_cut(value: object, limit: int) -> bool:
    if isinstance(value, str):
        return len(value) >= limit
    if isinstance(value, Mapping):
        return any(_may_be_cut(part, limit) for part in list(value.values()))
    return isinstance(value, tuple | list) and any(_may_be_cut(part, limit) for part in list(value))


# --- attributes of events and links ------------------------------------------------------------------------


class _NoValues(StoredValues):
    """The values of what has none: what vendors write here would stand on every item."""

    __slots__ = ()

    def __setitem__(self, key: str, value: Any) -> None:
        """Nothing is stored."""

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is stored."""

    def setdefault(self, key: str, default: Any = None) -> Any:
        return default

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        return self


#: The attributes of all events and links that have none.
NO_ATTRIBUTES = _made(None, None, {}, None, True)
NO_ATTRIBUTES._dict = _NoValues()


def are_intact(attributes: Any) -> bool:
    """Whether nobody wrote past the gate into these attributes, or put others in their place."""
    if attributes is NO_ATTRIBUTES:
        return not attributes._dict
    return type(attributes) is RedactingAttributes and type(attributes._dict) is StoredValues
