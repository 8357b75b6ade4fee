"""What the gate knows of one open item, kept beside it and gone with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_zdr.sdk import eligibility, identity
from otel_zdr.workspaces import NOBODY, UNIDENTIFIED, identify

if TYPE_CHECKING:
    from otel_zdr.redaction import Redactor
    from otel_zdr.redaction.short_way import ShortWay
    from otel_zdr.sdk.gate import Gate
    from otel_zdr.sdk.shared import ResourceFacts

_ONLY_UNREADABLE = frozenset((UNIDENTIFIED,))


def everyone_of(
    workspaces: frozenset[str], hints: frozenset[str], facts: ResourceFacts | None
) -> frozenset[str]:
    """All workspaces on whose terms an item is kept: of what survives, only what each of them allows.

    A hint only tightens: beside it an item that nothing identifies counts as unidentified.
    """
    if facts is not None and facts.workspaces:
        workspaces |= facts.workspaces
    return (workspaces or _ONLY_UNREADABLE) | hints if hints else workspaces


class ItemState:
    """Who an item is for so far, and what was removed from it.

    Attributes:
        verdict: ``UNDECIDED``, ``OPEN`` or ``UNDER_ZDR``; the last one is final.
        workspaces: normalised ids that identify the item.
        hints: normalised ids that may only tighten.
        caller: ids that the caller's baggage holds.
        short_way: what of an item under ZDR is settled by the key and the type of the value alone; None before,
            and where nothing is.
        stamp: what to write under the first workspace key, where only context identifies the item.
        removed: values removed, by content class.
        server: the item is a server's or consumer's span (its host keys are the caller's).
        failed: cleaning failed somewhere; the item says so.
        held: raw values that the policy may retain at the end, by key, with their class.
        served: the providers that the response says it went to, as a client instrumentation of ours read it.
    """

    __slots__ = (
        "caller",
        "facts",
        "failed",
        "gate",
        "held",
        "hints",
        "redactor",
        "removed",
        "served",
        "server",
        "short_way",
        "stamp",
        "verdict",
        "workspaces",
    )
    signal = "item"

    def __init__(self, gate: Gate, facts: ResourceFacts | None) -> None:
        # Slots: quickly made and quickly read, which every write to an item does.
        self.gate = gate
        self.facts = facts
        self.redactor: Redactor = gate.redactor
        self.removed: dict[str, int] = {}
        self.workspaces = NOBODY
        self.hints = NOBODY
        self.caller = NOBODY
        self.stamp: str | tuple[str, ...] | None = None
        self.server = False
        self.failed = False
        self.held: dict[str, tuple[str, Any]] | None = None
        self.served: tuple[str, ...] | None = None
        self.verdict = identity.UNDECIDED
        self.short_way: ShortWay | None = None

    def begin_redacting(self) -> None:
        """From now on what is written is cleaned by the short way, where there is one for its key."""
        if self.held is None:
            self.short_way = self.redactor.short_way(self.server)

    @property
    def watched(self) -> frozenset[str]:
        """The attribute keys whose values decide: see :meth:`learn`."""
        return self.gate.watched

    @property
    def everyone(self) -> frozenset[str]:
        """The workspaces on whose terms the item is kept, see :func:`everyone_of`."""
        return everyone_of(self.workspaces, self.hints, self.facts)

    @property
    def passed_on(self) -> str | tuple[str, ...] | None:
        """What to stamp on an item that only this one identifies."""
        if self.stamp is not None:
            return self.stamp
        texts = tuple(sorted(id_ for id_ in self.workspaces if id_))
        return texts[0] if len(texts) == 1 else texts or None

    def learn(self, key: str, value: object) -> bool:
        """Take in what an attribute says of workspace or product. True: known not to be under ZDR."""
        if key not in self.gate.workspace_keys:
            if self.verdict != identity.UNDER_ZDR and eligibility.is_product_under_zdr(
                self.gate, {key: value}
            ):
                self.tighten()
            return self.verdict == identity.OPEN
        named = identify(value)
        if self.caller:
            self.hints |= named & self.caller
            named -= self.caller
        self.workspaces |= named
        if named:
            self.stamp = None
        if self.verdict == identity.UNDER_ZDR:
            self.narrow()
            return False
        return self.decide()

    def narrow(self) -> None:
        """More became known of whom an item under ZDR is for: of what it holds, only what all of them keep."""
        if self.gate.policy.uniform is not None:
            return
        before, now = self.redactor, self.gate.redactor_for(self.everyone)
        if now is not before:
            self.redactor = now
            self.begin_redacting()
            self.clean_anew(before)

    def clean_anew(self, before: Redactor) -> None:
        """Apply :attr:`redactor`, which is at least as strict as ``before``, to what is stored already."""
        raise NotImplementedError

    def decide(self) -> bool:
        """Decide anew and act on a change. True: the item is known not to be under ZDR."""
        if self.verdict == identity.UNDER_ZDR:
            return False
        verdict = identity.verdict(self.gate, self.workspaces, self.hints, self.facts)
        if verdict == identity.UNDER_ZDR:
            self.tighten()
            return False
        if verdict == identity.OPEN and self.verdict == identity.UNDECIDED:
            self.verdict = verdict
            self.release()
        return self.verdict == identity.OPEN

    def tighten(self) -> None:
        """Put the item under ZDR, in place."""
        raise NotImplementedError

    def release(self) -> None:
        """Give an undecided item its raw values back."""
        raise NotImplementedError
