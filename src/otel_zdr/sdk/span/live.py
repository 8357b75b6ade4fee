"""States that act on their spans when more becomes known of them."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import Event, Span
from opentelemetry.trace import Link

from otel_zdr.redaction import Redactor
from otel_zdr.sdk import gate, identity
from otel_zdr.sdk.span.cleaning import clean_event, clean_link
from otel_zdr.sdk.span.forms import narrow, redact, reveal
from otel_zdr.sdk.span.skeleton import skeletonise
from otel_zdr.sdk.span.state import STATE, SpanState, gone
from otel_zdr.workspaces import NOBODY


class LiveState(SpanState):
    """The state of a span that can still be acted on."""

    __slots__ = ()

    def tighten(self) -> None:
        span = self.span()
        before, self.verdict = self.verdict, identity.UNDER_ZDR
        if span is not None:
            try:
                redact(span, self, was_open=before == identity.OPEN)
            except Exception as error:
                skeletonise(span, self, error)
        # Not by recursion: a tree of open spans may be deeper than the stack allows.
        pending, self.children = self.children or [], None
        while pending:
            child = pending.pop()()
            state = child.__dict__.get(STATE) if child is not None else None
            if child is not None and state is not None and state.verdict != identity.UNDER_ZDR:
                with child._lock:
                    below, state.children = state.children or [], None
                    if not state.workspaces and state.stamp is None:
                        state.stamp = self.passed_on
                    state.workspaces |= self.workspaces
                    state.hints |= self.hints
                    state.tighten()
                pending += below

    def release(self) -> None:
        span = self.span()
        if span is not None:
            reveal(span, self)

    def clean_anew(self, before: Redactor) -> None:
        span = self.span()
        if span is None or span._end_time is not None:
            return
        try:
            narrow(span, self, before)
        except Exception as error:
            skeletonise(span, self, error)

    def clean_event(self, event: Any) -> Event | None:
        """The cleaned event; one the gate made passes."""
        return clean_event(self, event)

    def clean_link(self, link: Any) -> Link | None:
        """The cleaned link; one the gate made passes."""
        return clean_link(self, link)


class LastState(LiveState):
    """The state of a span whose own state could not be made: under ZDR, and nothing else is known."""

    __slots__ = ()

    def __init__(self, holding: gate.Gate) -> None:
        self.gate, self.facts, self.redactor = holding, None, holding.redactor
        self.removed = {}
        self.workspaces = self.hints = self.caller = NOBODY
        self.stamp, self.held, self.served = None, None, None
        self.server, self.failed, self.name_stands = False, True, True
        self.short_way, self.limit = None, 0
        self.scope = None
        self.done = self.counted = False
        self.verdict = identity.UNDER_ZDR
        self.span, self.raw, self.children, self.name = gone, None, None, None


class PassingState(LiveState):
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
