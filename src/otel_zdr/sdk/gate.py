"""The gate: what holds in this process right now, and how the choke points of the SDK are put under it.

Every patched method of the SDK first reads :data:`current`. There is one gate a process; it is
replaced as a whole (one reference), so no item sees half of two policies.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from otel_zdr import workspaces
from otel_zdr.redaction import Redactor

if TYPE_CHECKING:
    from otel_zdr.policy.decision import Policy
    from otel_zdr.settings import Settings


class Gate:
    """An immutable view of settings and policy, ready for the hot path.

    Attributes:
        closed: nothing passes: every item of every provider is dropped.
        policy: who is under ZDR.
        redactor: what may stay of an item under ZDR.
        workspace_keys: the attribute keys that name a workspace.
        watched: these, and the keys that tell the product where the policy names products.
        stamp_key: the first workspace key, under which an ambient workspace is written.
        retains: some workspace keeps what is provably not eligible.
        evidence: whether counts are written beside ``zdr.redacted``.
    """

    __slots__ = (
        "_redactors",
        "baggage_key",
        "closed",
        "evidence",
        "inworld_hosts",
        "literals",
        "policy",
        "redactor",
        "retains",
        "settings",
        "stamp_key",
        "watched",
        "workspace_keys",
    )

    def __init__(self, settings: Settings, policy: Policy, *, closed: bool = False) -> None:
        self.settings = settings
        self.policy = policy
        self.closed = closed
        self.workspace_keys = frozenset(settings.workspace_keys)
        self.watched = self.workspace_keys
        if policy.products_matter:
            from otel_zdr.sdk.eligibility import PRODUCT_KEYS

            self.watched = self.workspace_keys | PRODUCT_KEYS
        self.retains = any(terms.ineligible_retain for rules in policy.rules for terms in rules.all_terms())
        self.inworld_hosts = frozenset(settings.inworld_hosts)
        self.stamp_key = settings.workspace_keys[0]
        self.baggage_key = settings.baggage_key
        self.evidence = settings.evidence == "counts"
        self.literals = settings.literals
        self._redactors: dict[tuple[frozenset[str], frozenset[str]], Redactor] = {}
        keys, names = frozenset(settings.keep_keys), frozenset(settings.keep_names)
        if policy.uniform is not None:
            keys |= policy.uniform.keep_keys
            names |= policy.uniform.keep_names
        self.redactor = self._compiled(keys, names)

    def _compiled(self, keys: frozenset[str], names: frozenset[str]) -> Redactor:
        redactor = self._redactors.get((keys, names))
        if redactor is None:
            if len(self._redactors) >= _MAX_REDACTORS:
                self._redactors.clear()
            redactor = Redactor(keep_keys=keys | self.workspace_keys, keep_names=names, watched=self.watched)
            self._redactors[keys, names] = redactor
        return redactor

    def redactor_for(self, workspaces: frozenset[str]) -> Redactor:
        """The redactor for an item of these workspaces: a policy may keep further keys for some."""
        if self.policy.uniform is not None:
            return self.redactor
        terms = self.policy.terms(workspaces)
        return self._compiled(
            terms.keep_keys | frozenset(self.settings.keep_keys),
            terms.keep_names | frozenset(self.settings.keep_names),
        )


_MAX_REDACTORS = 64

#: What holds now; None: not installed, everything passes untouched.
current: Gate | None = None
_lock = threading.Lock()


def switch(gate: Gate | None) -> None:
    """Let ``gate`` hold from now on."""
    global current
    current = gate
    workspaces.heard = gate is not None


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
