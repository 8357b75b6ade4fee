"""The gate: what holds in this process right now, and how the choke points of the SDK are put under it.

Every patched method of the SDK first reads :data:`current`. There is one gate a process; it is
replaced as a whole (one reference), so no item sees half of two policies.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from otel_zdr.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_zdr.policy.decision import Policy
    from otel_zdr.settings import Settings


class Gate:
    """An immutable view of settings and policy, ready for the hot path.

    Attributes:
        closed: nothing passes: every item of every provider is dropped.
        policy: who is under ZDR.
        redactor: what may stay of an item under ZDR.
        workspace_keys: the attribute keys that name a workspace.
        stamp_key: the first of them, under which an ambient workspace is written.
        evidence: whether counts are written beside ``zdr.redacted``.
    """

    __slots__ = (
        "_redactors",
        "baggage_key",
        "closed",
        "evidence",
        "literals",
        "policy",
        "redactor",
        "settings",
        "stamp_key",
        "workspace_keys",
    )

    def __init__(self, settings: Settings, policy: Policy, *, closed: bool = False) -> None:
        self.settings = settings
        self.policy = policy
        self.closed = closed
        self.workspace_keys = frozenset(settings.workspace_keys)
        self.stamp_key = settings.workspace_keys[0]
        self.baggage_key = settings.baggage_key
        self.evidence = settings.evidence == "counts"
        self.literals = settings.literals
        self.redactor = self._compile(frozenset(settings.keep_keys))
        self._redactors: dict[frozenset[str], Redactor] = {}

    def _compile(self, keep_keys: frozenset[str]) -> Redactor:
        return Redactor(
            keep_keys=keep_keys | self.workspace_keys, keep_names=tuple(self.settings.keep_names)
        )

    def redactor_for(self, workspaces: Iterable[str]) -> Redactor:
        """The redactor for an item of these workspaces: a policy may keep further keys for some."""
        extra = self.policy.keep_keys_of(workspaces)
        if not extra:
            return self.redactor
        redactor = self._redactors.get(extra)
        if redactor is None:
            if len(self._redactors) >= 64:
                self._redactors.clear()
            redactor = self._redactors[extra] = self._compile(frozenset(self.settings.keep_keys) | extra)
        return redactor


#: What holds now; None: not installed, everything passes untouched.
current: Gate | None = None
_lock = threading.Lock()


def switch(gate: Gate | None) -> None:
    """Let ``gate`` hold from now on."""
    global current
    current = gate


def close(reason: str) -> None:
    """Drop every item of every provider, old and new, from now on. Never raises.

    Where the SDK is not imported yet, it is closed the moment it is.
    """
    from otel_zdr.policy.decision import CLOSED
    from otel_zdr.sdk import patches
    from otel_zdr.settings import Settings

    with _lock:
        switch(Gate(Settings(), CLOSED, closed=True))
        patches.apply_when_imported(fail_closed=True)
    _ = reason


def say(line: str) -> None:
    """One line to standard error, where an operator looks first. Never raises."""
    try:
        stream = sys.stderr or sys.__stderr__
        if stream is not None:
            stream.write(f"otel-zdr: {line}\n")
            stream.flush()
    except Exception:
        return
