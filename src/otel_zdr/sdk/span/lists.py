"""The events and links of a span that is, or may be, under ZDR: cleaned as they are stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock
from time import time_ns
from typing import Any

from opentelemetry.sdk.trace import Event
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Link, SpanContext

from otel_zdr.sdk import failure
from otel_zdr.sdk.identity import UNDER_ZDR
from otel_zdr.sdk.span.state import SpanState
from otel_zdr.sdk.storage import RedactingAttributes, StoredValues, are_intact

# As in ``storage``: what the constructors of the SDK set is set directly, as long as it is this.
_KNOWN_EVENT = vars(Event("", None, 1)).keys() == {"_attributes", "_name", "_timestamp"}
_KNOWN_LINK = vars(Link(INVALID_SPAN_CONTEXT)).keys() == {"_attributes", "_context"}


class CleanEvent(Event):
    """An event the gate made; carries the raw one only until it is stored."""

    raw: Event | None = None

    def __init__(self, name: str, attributes: RedactingAttributes, timestamp: int | None = None) -> None:
        if _KNOWN_EVENT:
            self._name = name
            self._timestamp = time_ns() if timestamp is None else timestamp
            self._attributes = attributes
        else:
            Event.__init__(self, name, attributes, timestamp)
        self.given = name

    def is_intact(self) -> bool:
        """Whether its parts are those the gate gave it: vendors replace them in place."""
        values = self._attributes
        return self._name is self.given and (
            (type(values) is RedactingAttributes and type(values._dict) is StoredValues) or are_intact(values)
        )


class CleanLink(Link):
    """A link the gate made; carries the raw one only until it is stored."""

    raw: Link | None = None

    def __init__(self, context: SpanContext, attributes: RedactingAttributes) -> None:
        if _KNOWN_LINK:
            self._context = context
            self._attributes = attributes
        else:
            Link.__init__(self, context, attributes)
        self.given = context

    def is_intact(self) -> bool:
        """Whether its parts are those the gate gave it."""
        values = self._attributes
        return self._context is self.given and (
            (type(values) is RedactingAttributes and type(values._dict) is StoredValues) or are_intact(values)
        )


class RedactingList(BoundedList[Any]):
    """Events or links of a span that is, or may be, under ZDR."""

    #: How many there may be.
    maxlen: int | None
    #: The class of what the gate made.
    made: type[CleanEvent] | type[CleanLink]
    #: Of the span that is written; None once it has ended, and nothing can be written any more.
    state: SpanState | None = None
    #: Where raw elements wait while the span is undecided.
    shadow: BoundedList[Any] | None = None

    def __init__(
        self, state: SpanState, made: type[CleanEvent] | type[CleanLink], maxlen: int | None
    ) -> None:
        # Not a deque, as the SDK has it: one that is empty takes more room than all that is kept of a span.
        self._dq: Any = []
        self._lock = Lock()
        self.dropped = 0
        self.maxlen = maxlen
        self.made = made
        self.state = state

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._dq}, maxlen={self.maxlen})"

    def append(self, item: Any) -> None:
        state = self.state
        if state is None:
            return
        try:
            clean: Any = item
            if type(item) is not self.made or state.verdict != UNDER_ZDR:
                if self.shadow is not None:
                    raw = item.raw if type(item) is self.made else item
                    if raw is not None:
                        self.shadow.append(raw)
                clean = state.clean_event(item) if self.made is CleanEvent else state.clean_link(item)
                if clean is None:
                    return
            elif item.raw is not None:
                item.raw = None
            with self._lock:
                stored = self._dq
                if self.maxlen is not None and len(stored) >= self.maxlen:
                    self.dropped += 1
                    if not stored:
                        return
                    del stored[0]  # a full list loses its oldest
                stored.append(clean)
        except Exception as error:
            failure.note(state.signal, error)
            state.failed = True

    def extend(self, seq: Iterable[Any]) -> None:
        for item in seq:
            self.append(item)

    def settled(self) -> Sequence[Any]:
        """What exporters get: as small as it can be."""
        return self if self.dropped else Settled(self._dq) if self._dq else NOTHING_SETTLED


class Settled(tuple[Any, ...]):
    """Events or links of an ended span, of which none was dropped."""

    __slots__ = ()
    dropped = 0

    @property
    def _dq(self) -> list[Any]:
        """Where vendors write in the SDK's own; here it is lost."""
        return list(self)


NOTHING_SETTLED = Settled()


class NothingStored(RedactingList):
    """The events and links of a skeleton: none, whatever is written later."""

    def __init__(self) -> None:
        # Made of as little as can be.
        self._dq: Any = []
        self._lock = Lock()
        self.dropped = 0
        self.maxlen = 0

    def append(self, item: Any) -> None:
        return None

    def settled(self) -> Sequence[Any]:
        return self
