"""The terms on which a workspace's telemetry is kept, and their order from loose to strict."""

from __future__ import annotations

from collections.abc import Iterable

NOTHING_KEPT: frozenset[str] = frozenset()


class Terms:
    """What holds for a workspace. Immutable; equal terms are equal and hash fast, so they key caches.

    Attributes:
        under_zdr: its content is not retained.
        ineligible_retain: what is provably outside the specification's promise stays.
        keep_keys: further metadata keys, exact or ``prefix.*``.
        keep_names: further names of spans, events, scopes and instruments, exact or ``prefix.*``.
    """

    __slots__ = ("_hash", "ineligible_retain", "keep_keys", "keep_names", "under_zdr")

    def __init__(
        self,
        *,
        under_zdr: bool,
        ineligible_retain: bool = False,
        keep_keys: Iterable[str] = NOTHING_KEPT,
        keep_names: Iterable[str] = NOTHING_KEPT,
    ) -> None:
        self.under_zdr = under_zdr
        self.ineligible_retain = ineligible_retain
        self.keep_keys = frozenset(keep_keys)
        self.keep_names = frozenset(keep_names)
        self._hash = hash((under_zdr, ineligible_retain, self.keep_keys, self.keep_names))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Terms):
            return NotImplemented
        return (
            self.under_zdr == other.under_zdr
            and self.ineligible_retain == other.ineligible_retain
            and self.keep_keys == other.keep_keys
            and self.keep_names == other.keep_names
        )

    def __repr__(self) -> str:
        return (
            f"Terms(under_zdr={self.under_zdr}, ineligible_retain={self.ineligible_retain}, "
            f"keep_keys={sorted(self.keep_keys)}, keep_names={sorted(self.keep_names)})"
        )

    def at_least_as_strict_as(self, other: Terms) -> bool:
        """Whether nothing survives on these terms that would not survive on ``other``."""
        if self.under_zdr != other.under_zdr:
            return self.under_zdr
        return (
            self.ineligible_retain <= other.ineligible_retain
            and all(covers(other.keep_keys, key) for key in self.keep_keys)
            and all(covers(other.keep_names, name) for name in self.keep_names)
        )


def strictest(terms: Iterable[Terms]) -> Terms:
    """The terms of something that belongs to all of these: only what each of them lets survive does.

    Terms that are not under ZDR let everything survive, so where any are under ZDR those alone count.

    Raises:
        ValueError: there are no terms.
    """
    every = set(terms)
    under = {each for each in every if each.under_zdr} or every
    first, *others = under
    if not others:
        return first
    keys, names = first.keep_keys, first.keep_names
    for other in others:
        keys, names = common(keys, other.keep_keys), common(names, other.keep_names)
    return Terms(
        under_zdr=first.under_zdr,
        ineligible_retain=all(each.ineligible_retain for each in under),
        keep_keys=keys,
        keep_names=names,
    )


def covers(entries: frozenset[str], entry: str) -> bool:
    """Whether ``entry`` (exact or ``prefix.*``) allows nothing that ``entries`` do not allow.

    ``a.*`` covers ``a.b``, ``a.b.c`` and ``a.b.*``, not ``a``.
    """
    if entry in entries:
        return True
    end = len(entry) - 2 if entry.endswith(".*") else len(entry)
    dot = entry.rfind(".", 0, end)
    while dot > 0:
        if entry[:dot] + ".*" in entries:
            return True
        dot = entry.rfind(".", 0, dot)
    return False


def common(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """The entries for what both allow. Two prefixes are nested or have nothing in common."""
    if one == other:
        return one
    return frozenset(
        [entry for entry in one if covers(other, entry)] + [entry for entry in other if covers(one, entry)]
    )
