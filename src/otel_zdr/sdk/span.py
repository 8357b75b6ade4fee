"""Spans: decided at the start, cleaned as they are written, marked at the end.

The patched methods are those every span goes through, whoever made its provider and when: a span that
was open before the gate is taken under it at the next of them.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opentelemetry import trace as trace_api
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanContext
from opentelemetry.trace.status import Status, StatusCode

from otel_zdr import catalogue
from otel_zdr.catalogue.shapes import TOKEN_PATTERN
from otel_zdr.policy.evidence import FAILSAFE, REDACTED
from otel_zdr.redaction import REMOVED, Redactor
from otel_zdr.redaction.naming import rebuilt_span_name
from otel_zdr.redaction.shaping import token_list
from otel_zdr.sdk import debugging, eligibility, evidence, failure, gate, identity, making, patches, shared
from otel_zdr.sdk.state import ItemState, dropped_as, nothing_short
from otel_zdr.sdk.storage import (
    LOCK_OF_SETTLED,
    CleanEvent,
    CleanLink,
    NothingStored,
    RedactingAttributes,
    RedactingList,
    StoredValues,
    TouchedValues,
    WatchingAttributes,
    clean_attributes,
    is_plain_tuple,
    set_value,
)
from otel_zdr.workspaces import NOBODY

STATE = "_otel_zdr"
PASSED = "_otel_zdr_passed"

_KINDS = {kind: kind.name.lower() for kind in trace_api.SpanKind}
_SERVER, _CONSUMER = trace_api.SpanKind.SERVER, trace_api.SpanKind.CONSUMER
_NOTHING = SpanProcessor()
_ABSENT: Any = object()
_UNDER_ZDR = identity.UNDER_ZDR
_is_token = TOKEN_PATTERN.fullmatch
_EMPTY_TRACE_STATE = trace_api.DEFAULT_TRACE_STATE


# What spans answer that were made before the gate: their state is looked for on every write, so that it is
# an attribute like the SDK's own. Asking for their ``__dict__`` would make one, for as long as they are queued.
Span._otel_zdr = None  # type: ignore[attr-defined]


class _Raw:
    """What of an undecided span stands outside its storages."""

    __slots__ = ("name", "resource", "scope", "status")

    def __init__(self, span: Any) -> None:
        self.name = span._name
        self.status = span._status
        self.resource = span._resource
        self.scope = span._instrumentation_scope


class SpanState(ItemState):
    """The state of one open span."""

    __slots__ = ("children", "counted", "done", "limit", "name", "name_stands", "raw", "scope", "span")
    signal = "span"

    def __init__(self, holding: gate.Gate, facts: shared.ResourceFacts | None, span: Span | None) -> None:
        ItemState.__init__(self, holding, facts)  # super() is looked up on each call
        # Weak: the storages know the state, and a span must not keep itself alive through them.
        self.span: Callable[[], Span | None] = weakref.ref(span) if span is not None else _gone
        self.raw: _Raw | None = None
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

    def tighten(self) -> None:
        span = self.span()
        before, self.verdict = self.verdict, identity.UNDER_ZDR
        if span is not None:
            try:
                _redact(span, self, was_open=before == identity.OPEN)
            except Exception as error:
                _skeletonise(span, self, error)
        # Not by recursion: a tree of open spans may be deeper than the stack allows.
        pending, self.children = self.children or [], None
        while pending:
            child = pending.pop()()
            state = child.__dict__.get(STATE) if child is not None else None
            if child is not None and state is not None and state.verdict != identity.UNDER_ZDR:
                with child._lock:
                    below, state.children = state.children or [], None
                    state.tighten()
                pending += below

    def release(self) -> None:
        span = self.span()
        if span is not None:
            _reveal(span, self)

    def clean_anew(self, before: Redactor) -> None:
        span = self.span()
        if span is None or span._end_time is not None:
            return
        try:
            _narrow(span, self, before)
        except Exception as error:
            _skeletonise(span, self, error)

    def clean_event(self, event: Any) -> Event | None:
        """The cleaned event; one the gate made passes."""
        return _clean_event(self, event)

    def clean_link(self, link: Any) -> Link | None:
        """The cleaned link; one the gate made passes."""
        return _clean_link(self, link)

    def adopt_child(self, child: Span) -> None:
        """Remember an open child, which tightens when this span does."""
        children = self.children
        if children is None:
            self.children = [weakref.ref(child)]
            return
        if len(children) >= 64 and not len(children) & (len(children) - 1):
            children[:] = [reference for reference in children if reference() is not None]
        children.append(weakref.ref(child))


class _LastState(SpanState):
    """The state of a span whose own state could not be made: under ZDR, and nothing else is known."""

    __slots__ = ()

    def __init__(self, holding: gate.Gate) -> None:
        self.gate, self.facts, self.redactor = holding, None, holding.redactor
        self.removed = {}
        self.workspaces = self.hints = self.caller = NOBODY
        self.stamp, self.held, self.served = None, None, None
        self.server, self.failed, self.name_stands = False, True, True
        self.keeps, self.drops, self.limit = nothing_short, dropped_as, 0
        self.scope = None
        self.done = self.counted = False
        self.verdict = identity.UNDER_ZDR
        self.span, self.raw, self.children, self.name = _gone, None, None, None


class _Passing(SpanState):
    """What all spans share that are made while no workspace can be under ZDR: they pass untouched.

    A gate that replaces the one they were made under takes them in like spans from before any gate.
    """

    __slots__ = ()

    @property
    def hints(self) -> frozenset[str]:
        return NOBODY

    @hints.setter
    def hints(self, _hints: frozenset[str]) -> None:
        """Nothing: what is known of one span does not count for the others."""

    def adopt_child(self, child: Span) -> None:
        """Nothing: this state never tightens."""


_passing: _Passing | None = None


def _passing_of(holding: gate.Gate, limits: Any) -> _Passing:
    global _passing
    limit = _limit_of(limits) if limits is not _ABSENT else 0
    state = _passing
    if state is None or state.gate is not holding or state.limit != limit:
        state = _Passing(holding, None, None)
        state.verdict = identity.OPEN
        state.limit = limit
        _passing = state
    return state


def _gone() -> None:
    return None


# --- the start ---------------------------------------------------------------------------------


def _decide(
    span: Span,
    holding: gate.Gate,
    resource: Any,
    attributes: Mapping[str, object] | None,
    kind: Any,
    parent: SpanContext | None,
) -> SpanState:
    """What is known of a span that is about to be made, by its arguments and what surrounds it."""
    facts = shared.facts_of(holding, resource) if resource is not None else None
    state = SpanState(holding, facts, span if holding.policy.uniform is None else None)
    state.server = kind is _SERVER or kind is _CONSUMER
    if not holding.policy.everything:
        if get_current():
            _identify(state, span, attributes, None, parent)
        else:
            # Nothing surrounds it: it is for whom its attributes and its resource name.
            if attributes:
                state.workspaces = identity.named_by(holding, attributes, NOBODY)[0]
            _conclude(state, attributes)
        if state.verdict != identity.UNDER_ZDR:
            state.span = weakref.ref(span)
        return state
    state.verdict = identity.UNDER_ZDR
    if attributes:
        state.workspaces = identity.named_by(holding, attributes, NOBODY)[0]
    if get_current():  # mostly there is no context, and then nobody declared in it
        ambient, stamp = identity.ambient_of(None)
        if ambient:
            state.workspaces |= ambient
            state.stamp = stamp
    if holding.policy.uniform is None:
        state.redactor = holding.redactor_for(state.everyone)
    return state


def _identify(
    state: SpanState,
    span: Span | None,
    attributes: Mapping[str, object] | None,
    context: Context | None,
    parent: SpanContext | None,
) -> None:
    holding = state.gate
    surrounding = context if context is not None else get_current()
    if surrounding:
        caller, hints = identity.from_baggage(holding, surrounding)
        if caller:
            state.caller |= caller
            state.hints |= hints
    named, more = identity.named_by(holding, attributes, state.caller)
    if named:
        state.workspaces |= named
    if more:
        state.hints |= more
    if surrounding:
        # Given explicitly, all that is declared in it holds.
        ambient, stamp = identity.ambient_of(context)
        if ambient:
            state.workspaces |= ambient
        if stamp is not None and not named:
            state.stamp = stamp
        if parent is not None:
            _inherit(state, span, trace_api.get_current_span(surrounding), parent)
    _conclude(state, attributes)


def _conclude(state: SpanState, attributes: Mapping[str, object] | None) -> None:
    """The verdict, from what is known of the span."""
    holding = state.gate
    if state.verdict != identity.UNDER_ZDR:
        state.verdict = identity.verdict(holding, state.workspaces, state.hints, state.facts)
        if (
            holding.policy.products_matter
            and state.verdict != identity.UNDER_ZDR
            and attributes
            and eligibility.is_product_under_zdr(holding, attributes)
        ):
            state.verdict = identity.UNDER_ZDR
    if state.verdict == identity.UNDER_ZDR and holding.policy.uniform is None:
        state.redactor = holding.redactor_for(state.everyone)


def state_of(span: Any) -> SpanState | None:
    """The state of a span of this process, also of one that a vendor has wrapped in an object of its own."""
    parts: dict[str, Any] = getattr(span, "__dict__", _NO_PARTS)
    state: SpanState | None = parts.get(STATE)
    if state is None and type(span) is not trace_api.NonRecordingSpan:
        for part in list(parts.values()):
            if isinstance(part, Span):
                return part.__dict__.get(STATE)
    return state


_NO_PARTS: dict[str, Any] = {}


def _inherit(state: SpanState, span: Span | None, parent: trace_api.Span, context: SpanContext) -> None:
    above = state_of(parent)
    if above is None or parent.get_span_context() is not context:
        return
    if above.workspaces and not state.workspaces >= above.workspaces:
        if not state.workspaces and state.stamp is None:
            state.stamp = above.stamp or _ids_of(parent, above)
        state.workspaces |= above.workspaces
    state.hints |= above.hints
    if above.verdict == identity.UNDER_ZDR:
        state.verdict = identity.UNDER_ZDR
        return
    if span is not None:
        above.adopt_child(span)


def _ids_of(parent: Any, above: SpanState) -> str | tuple[str, ...] | None:
    texts = tuple(sorted(id_ for id_ in above.workspaces if id_))
    return texts[0] if len(texts) == 1 else texts or None


def _new_storages(
    span: Any, state: SpanState, clean: dict[str, Any], raw: Mapping[str, Any] | None, limits: Any
) -> tuple[Any, Any, Any] | None:
    """Attributes, events and links of a span that :func:`making.fill` makes; None where the SDK has to."""
    if not making.can_fill(span) or state.verdict == identity.UNDECIDED:
        return None
    state.limit = _limit_of(limits)
    if state.verdict == identity.UNDER_ZDR:
        state.begin_redacting()
        return (
            RedactingAttributes.fresh(
                state, clean, limits.max_span_attributes, limits.max_span_attribute_length
            ),
            RedactingList(state, CleanEvent, limits.max_events),
            RedactingList(state, CleanLink, limits.max_links),
        )
    attributes = WatchingAttributes.fresh(
        state, raw, limits.max_span_attributes, limits.max_span_attribute_length
    )
    return attributes, BoundedList(limits.max_events), BoundedList(limits.max_links)


def _limit_of(limits: Any) -> int:
    if limits.max_span_attribute_length is not None:
        return 0
    return sys.maxsize if limits.max_span_attributes is None else limits.max_span_attributes


def _hang_storages(span: Any, state: SpanState, clean: dict[str, Any]) -> None:
    """Put storages that clean what is written in the place of the (empty) ones the SDK has made."""
    state.begin_redacting()
    stored = span._attributes
    span._attributes = RedactingAttributes.fresh(state, clean, stored.maxlen, stored.max_value_len)
    events = list(span._events)
    span._events = RedactingList(state, CleanEvent, span._events._dq.maxlen)
    span._events.extend(events)
    span._links = RedactingList(state, CleanLink, span._links._dq.maxlen)


def _start_links(span: Any, state: SpanState, links: Iterable[Any]) -> None:
    if state.verdict != identity.UNDER_ZDR:
        span._links = span._new_links(links)
        return
    limits, stored = span._limits, span._links
    for link in links:
        kept = _clean_link(state, link, limits.max_link_attributes, limits.max_attribute_length)
        # As the SDK has it: a link to nowhere is none, unless it says something.
        if kept is not None and (kept.context.is_valid or kept.attributes or kept.context.trace_state):
            stored.append(kept)


def _settle_storage(span: Any, state: SpanState) -> None:
    """Hang the right storages on a span that holds raw values."""
    if state.verdict == identity.OPEN:
        _watch_open(span, state)
    elif state.verdict == identity.UNDECIDED:
        _hide(span, state)
    else:
        _redact(span, state, was_open=True)


def _watch_open(span: Any, state: SpanState) -> None:
    attributes = WatchingAttributes.over(span._attributes, state)
    attributes.drop_marks()
    span._attributes = attributes
    if state.facts is not None and span._resource is not state.facts.unmarked:
        span._resource = state.facts.unmarked


def _hide(span: Any, state: SpanState) -> None:
    """Move what an undecided span holds into shadows; what is visible is a cleaned copy."""
    state.raw = _Raw(span)
    raw_attributes, raw_events, raw_links = span._attributes, span._events, span._links
    for key in [key for key in raw_attributes._dict if key[:4] == "zdr."]:
        raw_attributes._dict.pop(key, None)
    clean = state.redactor.attributes(raw_attributes._dict, {}, state.server)
    attributes = RedactingAttributes.fresh(state, clean, raw_attributes.maxlen, None)
    attributes.shadow = raw_attributes
    events = RedactingList(state, CleanEvent, raw_events._dq.maxlen)
    events.extend(raw_events)
    events.shadow = raw_events
    links = RedactingList(state, CleanLink, raw_links._dq.maxlen)
    links.extend(raw_links)
    links.shadow = raw_links
    _show_clean(span, state)
    span._attributes, span._events, span._links = attributes, events, links


def _show_clean(span: Any, state: SpanState) -> None:
    """Clean what stands outside the storages: name, status, resource, scope."""
    if state.facts is not None:
        span._resource = state.facts.clean
    else:
        span._resource = shared.clean_resource(state.gate, span._resource)
    scope = shared.scope_of(state.gate, span._instrumentation_scope)
    if scope is not span._instrumentation_scope:
        span._instrumentation_scope = scope
        span._instrumentation_info = shared.info_of(scope)
    state.name = _name_at_write(state, span._name, span._kind, {})
    span._name = state.name
    span._status = _without_description(state, span._status)


def _redact(span: Any, state: SpanState, *, was_open: bool) -> None:
    """Put a span under ZDR that was written before it was known to be."""
    state.redactor = state.gate.redactor_for(state.everyone)
    if state.gate.retains:
        shadow = getattr(span._attributes, "shadow", None)
        eligibility.hold(state, (span._attributes if shadow is None else shadow)._dict)
    state.begin_redacting()
    if not was_open:
        # What is visible is clean already; only the shadows have to go.
        _count_shadow(span, state)
        state.raw = None
        for storage in (span._attributes, span._events, span._links):
            if isinstance(storage, RedactingAttributes | RedactingList):
                storage.shadow = None
        return
    attributes = span._attributes
    attributes._dict = StoredValues(state.redactor.attributes(attributes._dict, state.removed, state.server))
    attributes.state = state
    attributes.__class__ = RedactingAttributes
    for name, kind in (("_events", CleanEvent), ("_links", CleanLink)):
        storage = getattr(span, name)
        cleaned = RedactingList(state, kind, storage._dq.maxlen)
        cleaned.extend(storage)
        cleaned.dropped = storage.dropped
        setattr(span, name, cleaned)
    _show_clean(span, state)


def _count_shadow(span: Any, state: SpanState) -> None:
    """Evidence for what the visible copy of an undecided span left out at its start."""
    shadow = getattr(span._attributes, "shadow", None)
    if shadow is None:
        return
    state.removed.clear()
    # Once more and with the lists of the workspaces that are known now.
    clean_values = state.redactor.attributes(shadow._dict, state.removed, state.server)
    span._attributes._dict = StoredValues(clean_values)
    for name, clean in (("_events", _clean_event), ("_links", _clean_link)):
        hidden = getattr(getattr(span, name), "shadow", None)
        for item in hidden or ():
            clean(state, item)
    raw = state.raw
    if raw is not None:
        if raw.status.description:
            _count(state, "error_text")
        if not state.name_stands:
            _count(state, "free_text")


def _reveal(span: Any, state: SpanState) -> None:
    """Give an undecided span its raw values back: it is not under ZDR."""
    raw, state.raw = state.raw, None
    state.removed.clear()
    for name in ("_attributes", "_events", "_links"):
        storage = getattr(span, name)
        shadow = getattr(storage, "shadow", None)
        if shadow is not None:
            immutable = getattr(storage, "_immutable", None)
            setattr(span, name, shadow)
            if immutable:
                shadow._immutable = True
    if raw is not None:
        span._name, span._status = raw.name, raw.status
        span._resource, span._instrumentation_scope = raw.resource, raw.scope
        span._instrumentation_info = shared.info_of(raw.scope)
    _watch_open(span, state)


def _narrow(span: Any, state: SpanState, before: Redactor) -> None:
    """Take out what only the lists of ``before`` let stay. Proven literals and frames are no list's."""
    redactor, removed = state.redactor, state.removed
    attributes = span._attributes
    attributes._dict = StoredValues(redactor.attributes(attributes._dict, removed, state.server))
    kind = _KINDS.get(span._kind, "internal")
    clean = redactor.span_name(span._name, kind, attributes._dict, {})
    if clean != span._name and before.span_name(span._name, kind, attributes._dict, {}) == span._name:
        state.name = span._name = clean
        state.name_stands = False
    for storage in (span._events, span._links):
        listed = list(storage._dq)
        storage._dq.clear()
        for item in listed:
            storage._dq.append(_narrowed(state, item, before))


def _narrowed(state: SpanState, item: Any, before: Redactor) -> Any:
    """An event or link without what only the lists of ``before`` let stay: what no catalogue knows."""
    redactor = state.redactor
    kept = {}
    for key, value in (item.attributes or {}).items():
        if catalogue.find(key) is None and redactor.attribute(key, value, state.removed) is REMOVED:
            continue
        kept[key] = value
    left = clean_attributes(None, kept)
    if not isinstance(item, Event):
        return CleanLink(item.context, left)
    name = redactor.event_name(item.name, {})
    if name != item.name and before.event_name(item.name, {}) != item.name:
        name = item.name
    return CleanEvent(name, left, item.timestamp)


# --- cleaning of parts -------------------------------------------------------------------------


def _count(state: SpanState, content_class: str) -> None:
    state.removed[content_class] = state.removed.get(content_class, 0) + 1


def _clean_attributes(
    state: SpanState,
    attributes: Mapping[str, Any] | None,
    maxlen: int | None,
    max_value_len: int | None = None,
) -> RedactingAttributes:
    clean = state.redactor.attributes(attributes, state.removed, state.server) if attributes else {}
    return clean_attributes(maxlen, clean, max_value_len)


def _clean_event(state: SpanState, event: Any) -> Event | None:
    """The cleaned event; one the gate made passes, without its raw original."""
    if type(event) is CleanEvent and event.is_intact():
        event.raw = None
        return event
    try:
        name = _event_name(state, event.name)
        maxlen = getattr(event.attributes, "maxlen", None)
        return CleanEvent(name, _clean_attributes(state, event.attributes, maxlen), event.timestamp)
    except Exception as error:
        failure.note("event", error)
        state.failed = True
        try:
            return CleanEvent("event", clean_attributes(0, {}), event.timestamp)
        except Exception:
            return CleanEvent("event", clean_attributes(0, {}))


def _clean_link(
    state: SpanState, link: Any, maxlen: int | None = None, max_value_len: int | None = None
) -> Link | None:
    """The cleaned link, a new object: the caller's own is never touched. One the gate made passes.

    The limits count for attributes that the SDK has not looked at yet.
    """
    if type(link) is CleanLink and link.is_intact():
        link.raw = None
        return link
    if link is None or link.context is None:
        return None
    try:
        attributes = link.attributes
        if type(attributes) is BoundedAttributes:
            maxlen = attributes.maxlen if maxlen is None else maxlen
        clean = _clean_attributes(state, attributes, maxlen, max_value_len)
        return CleanLink(_without_trace_state(state, link.context), clean)
    except Exception as error:
        failure.note("link", error)
        state.failed = True
        return CleanLink(_bare(link.context), clean_attributes(0, {}))


def _bare(context: SpanContext) -> SpanContext:
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)


def _without_trace_state(state: SpanState, context: SpanContext) -> SpanContext:
    trace_state = context.trace_state
    if trace_state is _EMPTY_TRACE_STATE or not trace_state:
        return context
    kept = state.redactor.trace_state(list(trace_state.items()), state.removed)
    if len(kept) == len(trace_state):
        return context
    return SpanContext(
        context.trace_id,
        context.span_id,
        context.is_remote,
        context.trace_flags,
        trace_api.TraceState(kept) if kept else None,
    )


def _without_description(state: SpanState, status: Any) -> Status:
    if status is None or not status.description:
        return status  # type: ignore[no-any-return]
    _count(state, "error_text")
    return Status(status.status_code)


def _event_name(state: SpanState, name: Any) -> str:
    if type(name) is str and state.redactor.knows_event_name(name):
        return name
    removed: dict[str, int] = {}
    clean = state.redactor.event_name(name, removed)
    if not removed:
        return clean
    if _is_literal(state, name):
        return name  # type: ignore[no-any-return]
    for content_class, count in removed.items():
        state.removed[content_class] = state.removed.get(content_class, 0) + count
    return clean


def _is_literal(state: SpanState, name: object) -> bool:
    return debugging.is_proven_name(state.gate, name)


def _name_at_write(state: SpanState, name: Any, kind: Any, attributes: Mapping[str, Any]) -> str:
    """The name as it may be seen now; whether it stands, or is built anew at the end."""
    if type(name) is str and state.redactor.knows_span_name(name, attributes):
        state.name_stands = True
        return name
    removed: dict[str, int] = {}
    clean = state.redactor.span_name(name, _KINDS.get(kind, "internal"), attributes, removed)
    state.name_stands = not removed and clean == name
    if not state.name_stands and _is_literal(state, name):
        state.name_stands = True
        return name  # type: ignore[no-any-return]
    return clean


# --- the end -----------------------------------------------------------------------------------


def _settle(span: Any, state: SpanState) -> None:
    """The last decision, before the SDK freezes the span and calls the processors."""
    holding = gate.current
    if holding is None:
        if state.verdict == identity.UNDECIDED:
            state.tighten()
        return
    if holding.closed:
        _shut(span)
        return
    if state.verdict != identity.UNDER_ZDR:
        if holding is not state.gate:
            _move(state, holding, span)
        state.decide()
        if state.verdict == identity.UNDECIDED:
            if holding.policy.unidentified_under_zdr:
                state.tighten()
            else:
                state.verdict = identity.OPEN
                state.release()
    if state.verdict == identity.UNDER_ZDR:
        _finish_redacted(span, state)
    elif state.stamp is not None:
        _stamp(span, state)


def _move(state: SpanState, holding: gate.Gate, span: Any) -> None:
    """A policy or gate that changed while the span was open decides it."""
    state.gate = holding
    resource = state.raw.resource if state.raw is not None else span._resource
    state.facts = shared.facts_of(holding, resource) if resource is not None else None


def _stamp(span: Any, state: SpanState) -> None:
    key = state.gate.stamp_key
    attributes = span._attributes._dict
    if key in attributes or state.stamp is None:
        return
    stamp: Any = state.stamp
    if state.verdict == identity.UNDER_ZDR:
        stamp = state.redactor.attribute(key, stamp, {})
        if stamp is REMOVED:
            return
    set_value(attributes, key, stamp)


def _finish_redacted(span: Any, state: SpanState) -> None:
    if state.stamp is not None:
        _stamp(span, state)
    if not state.name_stands:
        state.name = span._name = rebuilt_span_name(
            _KINDS.get(span._kind, "internal"), span._attributes._dict
        )
        _count(state, "free_text")
    # Until now it was what the span's children and outgoing requests carry on.
    context = span._context
    if context is not None and context.trace_state is not _EMPTY_TRACE_STATE:
        span._context = _without_trace_state(state, context)
    parent = span._parent
    if parent is not None and parent.trace_state is not _EMPTY_TRACE_STATE:
        span._parent = _without_trace_state(state, parent)


def _verify(span: Any, state: SpanState) -> None:
    """Clean what reached the span past its storages: a vendor's private writes in ``_on_ending``."""
    attributes = span._attributes
    stored = attributes._dict
    if type(attributes) is not RedactingAttributes or type(stored) is not StoredValues:
        # The evidence too may be somebody else's by now: it is written anew.
        state.done = False
        written = {key: value for key, value in list(stored.items()) if key[:4] != "zdr."}
        attributes._dict = StoredValues(state.redactor.attributes(written, state.removed, state.server))
    for event in span._events._dq:
        if type(event) is not CleanEvent or not event.is_intact():
            span._events = _verified(state, span._events, _clean_event)
            break
    for link in span._links._dq:
        if type(link) is not CleanLink or not link.is_intact():
            span._links = _verified(state, span._links, _clean_link)
            break
    status = span._status
    if status is not None and status.description:
        span._status = _without_description(state, status)
    if span._name is not state.name:
        _verify_name(span, state)
    facts = state.facts
    if facts is None or span._resource is not facts.clean:
        span._resource = shared.clean_resource(state.gate, span._resource)
    scope = span._instrumentation_scope
    if scope is not state.scope and shared.scope_of(state.gate, scope) is not scope:
        span._instrumentation_scope, span._instrumentation_info = shared.scope_and_info_of(
            state.gate, scope, None
        )


def _verified(
    state: SpanState, storage: Any, clean: Callable[[SpanState, Any], Event | Link | None]
) -> BoundedList[Any]:
    cleaned: BoundedList[Any] = BoundedList(None)
    cleaned.dropped = storage.dropped
    for item in storage:
        kept = clean(state, item)
        if kept is not None:
            cleaned.append(kept)
    return cleaned


def _verify_name(span: Any, state: SpanState) -> None:
    kind = _KINDS.get(span._kind, "internal")
    attributes = span._attributes._dict
    name = _name_at_write(state, span._name, span._kind, attributes)
    if not state.name_stands and span._end_time is not None:
        name = rebuilt_span_name(kind, attributes)
        _count(state, "free_text")
    span._name = state.name = name


def cleaned_copy(item: Any, state: SpanState) -> ReadableSpan:
    """A cleaned copy of a span that did not pass the gate, with its evidence."""
    kind = _KINDS.get(item.kind, "internal")
    state.server = item.kind in (_SERVER, _CONSUMER)
    clean = state.redactor.attributes(item.attributes, state.removed, state.server)
    name = _name_at_write(state, item.name, item.kind, clean)
    if not state.name_stands:
        name = rebuilt_span_name(kind, clean)
        _count(state, "free_text")
    attributes: Any = BoundedAttributes(None, None, immutable=True)
    attributes._dict = clean
    attributes.dropped = item.dropped_attributes
    events: BoundedList[Any] = BoundedList(None)
    events.extend([_clean_event(state, event) for event in item.events])
    events.dropped = item.dropped_events
    links: BoundedList[Any] = BoundedList(None)
    links.extend([kept for link in item.links if (kept := _clean_link(state, link)) is not None])
    links.dropped = item.dropped_links
    copy = ReadableSpan(
        name=name,
        context=_without_trace_state(state, item.context),
        parent=_without_trace_state(state, item.parent) if item.parent is not None else None,
        resource=state.facts.clean
        if state.facts is not None
        else shared.clean_resource(state.gate, item.resource),
        attributes=attributes,
        events=events,
        links=links,
        kind=item.kind,
        status=_without_description(state, item.status),
        start_time=item.start_time,
        end_time=item.end_time,
        instrumentation_scope=shared.scope_of(state.gate, item.instrumentation_scope),
    )
    found = eligibility.describe(state, clean)
    evidence.mark(state.gate, clean, state.removed, "span", failed=state.failed, found=found)
    return copy


def _finish_evidence(span: Any, state: SpanState) -> None:
    attributes = span._attributes._dict
    found = eligibility.describe(state, attributes, span._attributes.max_value_len)
    span._attributes.marks = evidence.marks_of(
        state.gate, state.removed, "span", failed=state.failed, found=found, again=state.counted
    )
    state.done = state.counted = True


def _skeletonise(
    span: Any, state: SpanState, error: BaseException, given: Mapping[str, Any] | None = None
) -> None:
    """Reduce a span that could not be cleaned to ids, times, kind, status code and exact usage keys.

    ``given``: the attributes it was to start with, if they are not stored yet.
    """
    failure.note("span", error)
    state.failed = True
    state.verdict = identity.UNDER_ZDR
    state.raw = None
    kept: dict[str, Any] = {}
    try:
        kept = state.redactor.skeleton(span._attributes if given is None else given)
    except Exception as again:
        failure.note("skeleton", again)
    # Made of as little as can be: what failed may be a part of the usual way.
    attributes: Any = BoundedAttributes(None, None, immutable=span._end_time is not None)
    attributes._dict = StoredValues(kept)
    attributes.state = state
    attributes.marks = {REDACTED: True, FAILSAFE: True} if state.gate.evidence else {REDACTED: True}
    attributes.__class__ = RedactingAttributes
    span._attributes = attributes
    for name in ("_events", "_links"):
        empty = NothingStored()
        setattr(span, name, empty)
    state.name = span._name = _KINDS.get(span._kind, "internal")
    state.name_stands = True
    if span._status is not None:
        span._status = Status(span._status.status_code)
    span._resource = shared.bare_resource(state.gate, span._resource)
    span._instrumentation_scope = shared.EMPTY_SCOPE
    span._instrumentation_info = shared.EMPTY_INFO
    if span._context is not None and span._context.trace_state:
        span._context = _bare(span._context)
    if span._parent is not None and span._parent.trace_state:
        span._parent = _bare(span._parent)


def _shut(span: Any) -> None:
    """The gate is closed: no processor hears of this span."""
    span._span_processor = _NOTHING


def adopt(span: Any) -> SpanState | None:
    """Take a span under the gate that was made before it (or while nothing could be under ZDR)."""
    holding = gate.current
    if holding is None or span._end_time is not None:
        return None
    if holding.closed:
        _shut(span)
        return None
    resource = span._resource
    state = SpanState(holding, shared.facts_of(holding, resource) if resource is not None else None, span)
    state.server = span._kind in (_SERVER, _CONSUMER)
    span._otel_zdr = state
    with span._lock:
        try:
            _identify(state, span, span._attributes, None, None)
            if span._attributes.dropped:
                # A workspace may have been among what the limits evicted before the gate was there.
                state.workspaces |= frozenset(("",))
                state.verdict = identity.verdict(holding, state.workspaces, state.hints, state.facts)
            _settle_storage(span, state)
        except Exception as error:
            _skeletonise(span, state, error)
    return state


# --- the patched methods -----------------------------------------------------------------------

_PARAMETERS = (
    "name", "context", "parent", "sampler", "trace_config", "resource", "attributes", "events", "links",
    "kind", "span_processor", "instrumentation_info", "record_exception", "set_status_on_exception",
    "limits", "instrumentation_scope",
)  # fmt: skip


def patched_init(original: Callable[..., None]) -> Callable[..., None]:
    """``Span.__init__``: decide, and make the span without what must not be in it."""
    by_name = _called_by_name(original)
    # Handing sixteen arguments on by name costs more than all else does for a span that just passes.
    is_as_expected = _arguments_of(original) == (*_PARAMETERS, "record_end_metrics")
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
        span_processor: Any = _ABSENT,
        instrumentation_info: Any = None,
        record_exception: Any = True,
        set_status_on_exception: Any = True,
        limits: Any = _ABSENT,
        instrumentation_scope: Any = None,
        *,
        record_end_metrics: Any = None,
        more: Any = None,
    ) -> None:
        is_usual = more is None and span_processor is not _ABSENT and limits is not _ABSENT
        state: SpanState | None = None
        failed: Exception | None = None
        is_made = False
        clean: dict[str, Any] = {}
        given_attributes, given_links = attributes, links
        holding = gate.current
        if holding is None:
            pass
        elif holding.closed:
            name, attributes, events, links, span_processor = "", None, None, (), _NOTHING
        else:
            try:
                if holding.policy.nothing and not _is_forced(holding, resource):
                    state = _passing_of(holding, limits)
                else:
                    state = _decide(self, holding, resource, attributes, kind, parent)
                    if state.verdict == identity.UNDER_ZDR:
                        if holding.retains:
                            eligibility.hold(state, attributes or {})
                        if attributes:
                            clean = state.redactor.attributes(attributes, state.removed, state.server)
                        # Not through the SDK's constructor, which looks at each value once more.
                        attributes, links = None, ()
                        if events:
                            events = [_clean_event(state, event) for event in events]
                        if state.facts is not None:
                            resource = state.facts.clean
                        instrumentation_scope, instrumentation_info = shared.scope_and_info_of(
                            holding, instrumentation_scope, instrumentation_info
                        )
                        state.scope = instrumentation_scope
                        name = state.name = _name_at_write(state, name, kind, clean)
                    elif state.verdict == identity.OPEN and state.facts is not None:
                        resource = state.facts.unmarked
                    if is_known and is_usual and not events and state.facts is not None:
                        stored = _new_storages(self, state, clean, attributes, limits)
                        if stored is not None:
                            making.fill(
                                self, name, context, parent, sampler, trace_config, resource, kind,
                                span_processor, instrumentation_info, record_exception,
                                set_status_on_exception, limits, instrumentation_scope, record_end_metrics,
                                *stored,
                            )  # fmt: skip
                            self._otel_zdr = state
                            if given_links:
                                _start_links(self, state, given_links)
                            is_made = True
            except Exception as error:
                failed, state, is_made = error, _LastState(holding), False
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
        if type(state) is _Passing:
            return
        try:
            if failed is not None:
                _skeletonise(self, state, failed, given_attributes)
            elif state.verdict == identity.UNDER_ZDR:
                _hang_storages(self, state, clean)
                if given_links:
                    _start_links(self, state, given_links)
            else:
                _settle_storage(self, state)
        except Exception as error:
            _skeletonise(self, state, error, given_attributes)
        if identity.seen.pending:
            with contextlib.suppress(Exception):
                identity.seen.announce_pending()

    def init_with_more(self: Any, *args: Any, **kwargs: Any) -> None:
        """Of an SDK whose spans take arguments that are not known here."""
        known = {name: kwargs.pop(name) for name in (*_PARAMETERS, "record_end_metrics") if name in kwargs}
        __init__(self, *args, **known, more=kwargs)

    return __init__ if is_as_expected else init_with_more


def _positional(function: Any) -> tuple[str, ...]:
    code = getattr(function, "__code__", None)
    return code.co_varnames[1 : code.co_argcount] if code is not None else ()


def _arguments_of(function: Any) -> tuple[str, ...]:
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
        return ()
    return code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]  # type: ignore[no-any-return]


def _called_by_name(original: Callable[..., None]) -> Callable[..., None]:
    """``original``, for a call with all of our parameters in our order, without those it does not have."""
    known = frozenset(_positional(original))

    def call(span: Any, *values: Any, **more: Any) -> None:
        given = {
            name: value
            for name, value in zip(_PARAMETERS, values, strict=True)
            if value is not _ABSENT and (not known or name in known)
        }
        original(span, **given, **more)

    return call


def _is_forced(holding: gate.Gate, resource: Any) -> bool:
    return resource is not None and shared.facts_of(holding, resource).forced


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

    return start_span if _positional(original) == _OF_START_SPAN else start_span_otherwise


def _recall(span: Any, tracer: Any, attributes: Any, context: Context | None) -> None:
    holding = gate.current
    if holding is not None and not (holding.closed or holding.policy.everything or holding.policy.nothing):
        _remember_unrecorded(span, holding, tracer, attributes, context)


def _remember_unrecorded(
    span: Any, holding: gate.Gate, tracer: Any, attributes: Any, context: Context | None
) -> None:
    try:
        state = SpanState(holding, shared.facts_of(holding, tracer.resource), None)
        try:
            _identify(
                state, None, attributes, context, trace_api.get_current_span(context).get_span_context()
            )
        except Exception as error:
            failure.note("span", error)
            state.verdict = identity.UNDER_ZDR
        span._otel_zdr = state
        span.__class__ = UnrecordedSpan
    except Exception as error:
        # A span of another make: what is in it is unidentified.
        failure.note("span", error)


def patched_start(original: Callable[..., None]) -> Callable[..., None]:
    """``Span.start``: a parent or ambient set given by an explicit context decides too."""

    def start(self: Any, start_time: int | None = None, parent_context: Context | None = None) -> None:
        if parent_context is not None:
            state: SpanState | None = self._otel_zdr
            if state is not None and state.verdict != identity.UNDER_ZDR and self._start_time is None:
                try:
                    if type(state) is not _Passing:
                        _identify_late(self, state, parent_context)
                except Exception as error:
                    _skeletonise(self, state, error)
        original(self, start_time, parent_context)

    return start


def _identify_late(span: Any, state: SpanState, context: Context) -> None:
    verdict = state.verdict
    _identify(state, span, None, context, span._parent)
    decided, state.verdict = state.verdict, verdict
    if decided == identity.UNDER_ZDR:
        state.tighten()
    elif decided == identity.OPEN and verdict == identity.UNDECIDED:
        state.verdict = decided
        state.release()


def patched_end(original: Callable[..., None]) -> Callable[..., None]:
    """``Span.end``: the last decision comes before any processor."""

    def end(self: Any, end_time: int | None = None) -> None:
        state: SpanState | None = self._otel_zdr
        holding = gate.current
        if (
            state is not None
            and state.verdict == identity.OPEN
            and state.gate is holding
            and state.stamp is None
        ):
            # Nothing has changed since it was decided.
            original(self, end_time)
            if identity.seen.pending:
                with contextlib.suppress(Exception):
                    identity.seen.announce_pending()
            return
        if holding is not None or state is not None:
            try:
                if self._end_time is None:
                    if state is None or type(state) is _Passing:
                        state = _late_state(self)
                    if state is not None:
                        with self._lock:
                            if (
                                state.verdict == identity.UNDER_ZDR
                                and holding is not None
                                and not holding.closed
                            ):
                                _finish_redacted(self, state)
                            else:
                                _settle(self, state)
            except Exception as error:
                if state is None or type(state) is _Passing:
                    state = _state_after(self)
                _skeletonise(self, state, error)
        original(self, end_time)
        if identity.seen.pending:
            with contextlib.suppress(Exception):
                identity.seen.announce_pending()

    return end


def _state_after(span: Any) -> SpanState:
    """The state of a span for which making one has failed."""
    state: SpanState | None = span._otel_zdr
    if state is None or type(state) is _Passing:
        state = span._otel_zdr = _LastState(_holding())
    return state


def _holding() -> gate.Gate:
    holding = gate.current
    if holding is None:
        raise RuntimeError("the gate was removed while a span ended")
    return holding


def _late_state(span: Any) -> SpanState | None:
    holding = gate.current
    if holding is None:
        return None
    if not holding.closed and holding.policy.nothing and not _is_forced(holding, span._resource):
        return None
    return adopt(span)


def patched_readable_span(original: Callable[..., ReadableSpan]) -> Callable[..., ReadableSpan]:
    """``Span._readable_span``: what processors and early readers get is verified and marked as passed."""

    is_known = making.is_known_reading(original)

    def _readable_span(self: Any) -> ReadableSpan:
        state: SpanState | None = self._otel_zdr
        holding = gate.current
        has_ended = self._end_time is not None
        if state is None and holding is not None and not has_ended:
            state = _late_state(self)
        if state is not None and state.verdict == identity.UNDER_ZDR:
            try:
                _verify(self, state)
                if has_ended and not state.done:
                    _finish_evidence(self, state)
            except Exception as error:
                _skeletonise(self, state, error)
        readable: Any = None
        try:
            if is_known and making.can_fill(self):
                readable = making.readable(self)
        except Exception as error:
            failure.note("span", error)
        if readable is None:
            readable = original(self)
        if state is not None or (holding is not None and holding.policy.nothing):
            try:
                if has_ended:
                    if type(state) is not _Passing:
                        _detach(readable)
                elif state is not None and state.verdict != identity.OPEN:
                    _finish_early(readable, state)
                mark_passed(readable, state)
            except Exception as error:
                # Not marked: the second wall looks at it once more.
                failure.note("span", error)
        return readable  # type: ignore[no-any-return]

    return _readable_span


def _detach(readable: Any) -> None:
    """An ended span needs no watching: let go of the state, which queues would keep."""
    attributes = readable._attributes
    kind = type(attributes)
    if kind is RedactingAttributes:
        attributes.state = None
        attributes._lock = LOCK_OF_SETTLED
        events, links = readable._events, readable._links
        if type(events) is RedactingList:
            events.state = None
            readable._events = events.settled()
        if type(links) is RedactingList:
            links.state = None
            readable._links = links.settled()
    elif kind is WatchingAttributes:
        attributes.state = None


def _finish_early(readable: Any, state: SpanState) -> None:
    """What is read of an open span is not the live span: no tracestate of a caller, no hidden raw values."""
    for name in ("_context", "_parent"):
        context = getattr(readable, name)
        if context is not None and context.trace_state:
            clean = SpanState(state.gate, None, None)
            setattr(readable, name, _without_trace_state(clean, context))
    if state.verdict == identity.UNDECIDED:
        readable._attributes = clean_attributes(None, readable._attributes._dict)
        for name in ("_events", "_links"):
            live = getattr(readable, name)
            setattr(readable, name, BoundedList.from_seq(None, list(live)))


def mark_passed(readable: Any, state: SpanState | None) -> None:
    """Remember that it passed the gate, and by what to tell that its parts are those that passed."""
    if state is None or state.verdict == identity.OPEN:
        # All of it is raw: what counts is whose it is.
        readable._otel_zdr_passed = (readable._attributes, readable._resource)
    elif readable._end_time is not None:
        # Its parts are of classes that only the gate makes.
        readable._otel_zdr_passed = readable._name
    else:
        # Of an open span they may grow, by what the gate looks at.
        readable._otel_zdr_passed = (
            readable._attributes,
            readable._resource,
            readable._events,
            readable._links,
            readable._name,
            readable._status,
            readable._instrumentation_scope,
        )


def has_passed(readable: Any) -> bool:
    """Whether this very span, with these very parts, came out of the gate."""
    passed = getattr(readable, PASSED, None)
    if type(passed) is tuple:
        if passed[0] is not readable._attributes or passed[1] is not readable._resource:
            return False
        return len(passed) == 2 or (
            type(readable._attributes._dict) is not TouchedValues
            and passed[2] is readable._events
            and passed[3] is readable._links
            and passed[4] is readable._name
            and passed[5] is readable._status
            and passed[6] is readable._instrumentation_scope
        )
    if type(passed) is not str or passed is not readable._name:
        return False
    attributes, status, scope = readable._attributes, readable._status, readable._instrumentation_scope
    return (
        type(attributes) is RedactingAttributes
        and type(attributes._dict) is StoredValues
        and attributes.marks is not None
        and (status is None or not status.description)
        and type(readable._resource) is shared.CleanResource
        and (scope is None or shared.is_clean_scope(scope) or scope is shared.EMPTY_SCOPE)
        and all(type(event) is CleanEvent and event.is_intact() for event in readable._events)
        and all(type(link) is CleanLink and link.is_intact() for link in readable._links)
    )


def patched_update_name(original: Callable[..., None]) -> Callable[..., None]:
    """``Span.update_name``."""

    def update_name(self: Any, name: str) -> None:
        state: SpanState | None = self._otel_zdr
        if state is None:
            state = _state_at_write(self)
        if state is not None and state.verdict != identity.OPEN and self._end_time is None:
            try:
                if state.raw is not None:
                    state.raw.name = name
                name = _name_at_write(state, name, self._kind, self._attributes._dict)
            except Exception as error:
                failure.note("span name", error)
                name = _KINDS.get(self._kind, "internal")
            state.name = name
        original(self, name)

    return update_name


def _state_at_write(span: Any) -> SpanState | None:
    if gate.current is None or span._end_time is not None:
        return None
    try:
        return _late_state(span)
    except Exception as error:
        failure.note("span", error)
        return None


def patched_set_attribute(original: Callable[..., None]) -> Callable[..., None]:
    """``Span.set_attribute``: what most writes are is settled here, without the calls of the SDK and of ours.

    A new key with a plain value, on a span that is not full: under ZDR one that the look-ups of
    :meth:`otel_zdr.redaction.Redactor.ways` settle, else one that says nothing of whose it is. All else goes
    the way through the storage, which looks at everything.
    """

    def set_attribute(self: Any, key: str, value: Any) -> None:
        state: SpanState | None = self._otel_zdr
        with self._lock:
            if self._end_time is None:
                if state is not None and type(key) is str:
                    try:
                        stored = self._attributes._dict
                        if len(stored) < state.limit and key not in stored:
                            kind = type(value)
                            if state.verdict == _UNDER_ZDR:
                                bits = state.keeps(key, 0)
                                stays: object = 0
                                if kind is str:
                                    stays = bits & 4 and _is_token(value, 0, 129) and "//" not in value
                                elif kind is int:
                                    stays = bits & 1 and value.bit_length() < 64
                                elif kind is float:
                                    stays = bits & 1
                                elif kind is bool:
                                    stays = bits & 2
                                elif kind is tuple:
                                    stays = bits & 8 and token_list(value) is value
                                if stays:
                                    set_value(stored, key, value)
                                    return
                                if not bits:
                                    content_class = state.drops(key)
                                    if (
                                        content_class is None
                                        and kind is str
                                        and state.redactor.is_lost_text(key, value)
                                    ):
                                        content_class = "free_text"
                                    if content_class is not None:
                                        removed = state.removed
                                        removed[content_class] = removed.get(content_class, 0) + 1
                                        return
                            elif (
                                (
                                    kind is str
                                    or kind is int
                                    or kind is float
                                    or kind is bool
                                    or (kind is tuple and is_plain_tuple(value))
                                )
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
            state = _state_at_write(self)
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
                _count(state, "error_text")
            except Exception as error:
                failure.note("evidence", error)

    return set_status


def patched_add_event(original: Callable[..., None]) -> Callable[..., None]:
    """``Span.add_event``: cleaned before the SDK copies it."""

    def add_event(self: Any, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        state: SpanState | None = self._otel_zdr
        if state is None:
            state = _state_at_write(self)
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
    name = _event_name(state, name)
    limits = span._limits
    clean = _clean_attributes(state, attributes, limits.max_event_attributes, limits.max_attribute_length)
    return CleanEvent(name, clean, timestamp)


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
            state = _state_at_write(self)
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
    _count(state, "error_text")
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


def open_spans() -> list[Span]:
    """Spans that are open right now: for the installation, and for a policy that changed."""
    import gc

    kinds = {Span}
    pending = [Span]
    while pending:
        below = type.__subclasses__(pending.pop())
        kinds.update(below)
        pending += below
    # By the class: isinstance() would ask each of tens of thousands of objects.
    spans = [item for item in gc.get_objects() if type(item) in kinds]
    return [item for item in spans if getattr(item, "_end_time", 0) is None]


def adopt_safely(item: Any) -> None:
    """:func:`adopt` for a span found at installation; a failure leaves its skeleton."""
    try:
        state = item._otel_zdr
        if state is None or type(state) is _Passing:
            _late_state(item)
    except Exception as error:
        failure.note("span", error)


def decide_anew(item: Any) -> None:
    """A policy changed while the span was open: what is under ZDR now is cleaned now."""
    state: SpanState | None = item._otel_zdr
    holding = gate.current
    if holding is None:
        return
    if state is None or type(state) is _Passing:
        adopt_safely(item)
        return
    if state.verdict == identity.UNDER_ZDR or state.gate is holding:
        return
    try:
        with item._lock:
            if item._end_time is None:
                _move(state, holding, item)
                state.decide()
    except Exception as error:
        _skeletonise(item, state, error)


patches.loaded(__name__)
