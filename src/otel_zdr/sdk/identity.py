"""Who an item is for: the union of its workspaces, and what follows from it.

Rules 1 to 4 of "Who is it for" in the design, for spans, log records and measurements alike.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from logging import getLogger
from typing import TYPE_CHECKING, Any

from opentelemetry import baggage as baggage_api

from otel_zdr.sdk import failure
from otel_zdr.workspaces import NOBODY, UNIDENTIFIED, ambient_entries, identify

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_zdr.sdk.gate import Gate
    from otel_zdr.sdk.shared import ResourceFacts

_log = getLogger("otel_zdr")

#: No workspace is known yet: raw values stay in the item's own storage only.
UNDECIDED = 0
#: Identified, and not under ZDR: passes byte for byte.
OPEN = 1
#: Under ZDR, for the rest of its life.
UNDER_ZDR = 2

_MAX_SEEN = 10_000
_MAX_BAGGAGE = 64
_MAX_MEMO = 4096
_MAX_MEMO_ID = 64

#: Where the API keeps baggage in a context; None: not where it is known to.
_BAGGAGE_KEY: Any = getattr(baggage_api, "_BAGGAGE_KEY", None)


class _Seen:
    """The workspaces that this process has met: a resource alone identifies only while it is the only one."""

    def __init__(self) -> None:
        # Reentrant: a signal handler or finalizer may make an item while this thread is in here.
        self._lock = threading.RLock()
        self._ids: set[str] = set()
        #: Met and not announced yet.
        self.pending: list[tuple[Gate, str]] = []
        self._announced: set[str] = set()
        self.several = False

    def add(self, gate: Gate, workspaces: frozenset[str]) -> None:
        if workspaces <= self._ids:
            return
        with self._lock:
            new = workspaces - self._ids - {UNIDENTIFIED}
            if len(self._ids) < _MAX_SEEN:
                self._ids |= workspaces
            self.several = self.several or len(self._ids - {UNIDENTIFIED}) > 1
        # Not said here, where the caller may hold the lock of a span: handlers of `logging` write to spans.
        self.pending += [(gate, workspace) for workspace in new]

    def announce_pending(self) -> None:
        """:meth:`announce` what was met since. Call it where no lock is held. Never raises."""
        try:
            while self.pending:
                self.announce(*self.pending.pop())
        except Exception as error:
            failure.note("announcement", error)

    def announce(self, gate: Gate, workspace: str) -> None:
        """Say once that no list or policy names this workspace, and what therefore holds for it."""
        policy = gate.policy
        if policy.everything or policy.nothing or policy.names(workspace):
            return
        with self._lock:
            if workspace in self._announced or len(self._announced) >= _MAX_SEEN:
                return
            self._announced.add(workspace)
        _log.warning(
            "workspace %r is named by no list or policy: %s",
            workspace,
            "it is under ZDR" if policy.is_under_zdr(workspace) else "it is not under ZDR",
        )

    def ids(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._ids)

    def reset(self) -> None:
        with self._lock:
            self._ids.clear()
            self.pending.clear()
            self._announced.clear()
            self.several = False


seen = _Seen()


def verdict(
    gate: Gate, workspaces: frozenset[str], hints: frozenset[str], facts: ResourceFacts | None
) -> int:
    """What holds for an item: :data:`UNDER_ZDR`, :data:`OPEN` or :data:`UNDECIDED`.

    Args:
        workspaces: what identifies it: its own attributes, the ambient set, its in-process parent.
        hints: what a caller can influence; may put it under ZDR, never identifies it.
        facts: of its resource.
    """
    policy = gate.policy
    if policy.everything or (facts is not None and facts.forced):
        return UNDER_ZDR
    if policy.nothing:
        return OPEN
    is_under_zdr = policy.is_under_zdr
    from_resource = facts.workspaces if facts is not None else NOBODY
    if from_resource:
        seen.add(gate, from_resource)
    if workspaces:
        seen.add(gate, workspaces)
        for workspace in workspaces:
            if is_under_zdr(workspace):
                return UNDER_ZDR
    for workspace in from_resource:
        if is_under_zdr(workspace):
            return UNDER_ZDR
    for workspace in hints:
        if workspace and is_under_zdr(workspace):
            return UNDER_ZDR
    if workspaces and workspaces != _ONLY_UNREADABLE:
        return OPEN
    if from_resource and from_resource != _ONLY_UNREADABLE and not seen.several:
        return OPEN
    return UNDECIDED


_ONLY_UNREADABLE = frozenset((UNIDENTIFIED,))


def final(gate: Gate, verdict_: int) -> bool:
    """Whether an item is under ZDR when nothing more can be learned about it."""
    return verdict_ == UNDER_ZDR or (verdict_ == UNDECIDED and gate.policy.unidentified_under_zdr)


def named_by(
    gate: Gate, attributes: Mapping[str, object] | None, caller: frozenset[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """What an item's own attributes name: (ids that identify it, hints that may only tighten).

    An id that the caller's baggage holds too may have been copied from there: it is only a hint.
    """
    if not attributes:
        return NOBODY, NOBODY
    named = NOBODY
    for key in gate.workspace_keys:
        value = attributes.get(key)
        if value is not None:
            found = _ids.get(value) if type(value) is str else None
            if found is None:
                found = _identify(value)
            named = named | found if named else found
    if caller and named:
        return named - caller, named & caller
    return named, NOBODY


#: The ids that texts name, for those met lately.
_ids: dict[str, frozenset[str]] = {}


def _identify(value: object) -> frozenset[str]:
    found = identify(value)
    if type(value) is str and len(value) <= _MAX_MEMO_ID:
        if len(_ids) >= _MAX_MEMO:
            _ids.clear()
        _ids[value] = found
    return found


def ambient_of(context: Context | None) -> tuple[frozenset[str], str | tuple[str, ...] | None]:
    """The ambient ids, and the text to stamp on an item that only they identify."""
    entries = ambient_entries(context)
    if not entries:
        return NOBODY, None
    if len(entries) == 1:
        for entry in entries:
            return frozenset((entry.id,)), entry.text or None
    texts = tuple(sorted({entry.text for entry in entries if entry.text}))
    return frozenset(entry.id for entry in entries), texts[0] if len(texts) == 1 else texts or None


def from_baggage(gate: Gate, context: Context | None) -> tuple[frozenset[str], frozenset[str]]:
    """What the caller's baggage says: (ids it could have planted, hints by ``OTEL_ZDR_BAGGAGE_KEY``)."""
    if context is not None and _BAGGAGE_KEY is not None and _BAGGAGE_KEY not in context:
        return NOBODY, NOBODY
    entries = baggage_api.get_all(context)
    if not entries:
        return NOBODY, NOBODY
    caller: set[str] = set()
    hints = NOBODY
    for index, (key, value) in enumerate(entries.items()):
        if index >= _MAX_BAGGAGE:
            break
        ids = identify(value)
        if type(value) is str and ";" in value:
            # The SDK's propagator leaves an entry's properties in its value.
            ids |= identify(value.partition(";")[0])
        caller |= ids
        if key == gate.baggage_key or key in gate.workspace_keys:
            hints |= ids
    return frozenset(caller), hints
