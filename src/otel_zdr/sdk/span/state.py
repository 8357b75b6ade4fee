"""What the gate knows of one open span."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentelemetry import trace as trace_api
from opentelemetry.sdk.trace import Event, Span
from opentelemetry.trace import Link

from otel_zdr.sdk.state import ItemState

if TYPE_CHECKING:
    from otel_zdr.sdk.gate import Gate
    from otel_zdr.sdk.shared import ResourceFacts


STATE = "_otel_zdr"

# What spans answer that were made before the gate: their state is looked for on every write, so that it is
# an attribute like the SDK's own. Asking for their ``__dict__`` would make one, for as long as they are queued.
Span._otel_zdr = None  # type: ignore[attr-defined]

_NO_PARTS: dict[str, Any] = {}


class Raw:
    """What of an undecided span stands outside its storages."""

    __slots__ = ("name", "resource", "scope", "status")

    def __init__(self, span: Any) -> None:
        self.name = span._name
        self.status = span._status
        self.resource = span._resource
        self.scope = span._instrumentation_scope


class SpanState(ItemState):
    """The state of one open span: what is known of it and what the gate gave it.

    What acts on the span is built on this, and :class:`otel_zdr.sdk.span.live.LiveState` on that.
    """

    __slots__ = ("children", "counted", "done", "limit", "name", "name_stands", "raw", "scope", "span")
    signal = "span"

    def __init__(self, holding: Gate, facts: ResourceFacts | None, span: Span | None) -> None:
        ItemState.__init__(self, holding, facts)  # super() is looked up on each call
        # Weak: the storages know the state, and a span must not keep itself alive through them.
        self.span: Callable[[], Span | None] = weakref.ref(span) if span is not None else gone
        self.raw: Raw | None = None
        self.children: list[weakref.ref[Span]] | None = None
        self.name_stands = False
        #: The name as the gate gave it: another one was written past ``update_name``.
        self.name: str | None = None
        #: How many attributes there may be, where the values need not be cut; 0: not known, or they need.
        self.limit = 0
        #: The scope as the gate gave it.
        self.scope: Any = None
        #: The evidence is written, and nobody has written on the span since.
        self.done = False
        #: The evidence has been added to the totals.
        self.counted = False

    def clean_event(self, event: Any) -> Event | None:
        """The cleaned event; one the gate made passes."""
        raise NotImplementedError

    def clean_link(self, link: Any) -> Link | None:
        """The cleaned link; one the gate made passes."""
        raise NotImplementedError

    def adopt_child(self, child: Span) -> None:
        """Remember an open child, which tightens when this span does."""
        children = self.children
        if children is None:
            self.children = [weakref.ref(child)]
            return
        if len(children) >= 64 and not len(children) & (len(children) - 1):
            children[:] = [reference for reference in children if reference() is not None]
        children.append(weakref.ref(child))


def gone() -> None:
    """The span of a state that has none."""


def state_of(span: Any) -> SpanState | None:
    """The state of a span of this process, also of one that a vendor has wrapped in an object of its own."""
    parts: dict[str, Any] = getattr(span, "__dict__", _NO_PARTS)
    state: SpanState | None = parts.get(STATE)
    if state is None and type(span) is not trace_api.NonRecordingSpan:
        for part in list(parts.values()):
            if isinstance(part, Span):
                return part.__dict__.get(STATE)
    return state
