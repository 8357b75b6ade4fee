"""Which workspaces are under ZDR: an immutable snapshot that decides in constant time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from otel_zdr.policy.rules import Rules
from otel_zdr.policy.terms import Terms, strictest

if TYPE_CHECKING:
    from otel_zdr.settings import Settings

#: Ids and sets of ids whose terms are remembered: enough for the tenants of one process, bounded
#: because an application may make ids up.
_REMEMBERED = 4096


class Policy:
    """What the operator promised, compiled.

    Mostly one set of rules. While a change of the policy file is not confirmed there are several in force
    at once, and for each item the strictest of them (see :mod:`otel_zdr.policy.reload`).

    Attributes:
        rules: what is in force, newest first.
        version: goes into ``zdr.policy.version``; ``8+7`` while the stricter of two versions holds.
        everything: every item is under ZDR, unidentified ones too.
        nothing: no item can be under ZDR.
        unidentified_under_zdr: what holds for an item that no workspace is known for.
        uniform: the terms of every item that is under ZDR, if they are the same for all of them, else None.
        products_matter: some product is under ZDR whatever the workspace.
    """

    __slots__ = (
        "_of_sets",
        "_products",
        "_products_redacted",
        "_terms",
        "everything",
        "nothing",
        "products_matter",
        "rules",
        "unidentified_under_zdr",
        "uniform",
        "version",
    )

    def __init__(self, *rules: Rules) -> None:
        if not rules:
            raise ValueError("a policy needs rules")
        self.rules = rules
        self.version = "+".join(dict.fromkeys(each.version for each in rules))
        self._products = frozenset().union(*(each.products for each in rules))
        self._products_redacted = frozenset().union(*(each.products_redacted for each in rules))
        self.products_matter = bool(self._products)
        possible = [each.all_terms() for each in rules]
        self.everything = any(all(terms.under_zdr for terms in each) for each in possible)
        self.nothing = not self.products_matter and not any(
            terms.under_zdr for each in possible for terms in each
        )
        under = {terms for each in possible for terms in each if terms.under_zdr}
        self.uniform = under.pop() if len(under) == 1 and not self._products else None
        self._terms: dict[str, Terms] = {}
        self._of_sets: dict[frozenset[str], Terms] = {}
        self.unidentified_under_zdr = self._look_up("").under_zdr

    def is_under_zdr(self, workspace: str) -> bool:
        """Whether a normalised id (``""`` = unreadable) is under ZDR. O(1)."""
        if self.everything:
            return True
        return (self._terms.get(workspace) or self._look_up(workspace)).under_zdr

    def names(self, workspace: str) -> bool:
        """Whether the list or the policy names this normalised id, itself or by a pattern."""
        return any(each.names(workspace) for each in self.rules)

    def decide(self, workspaces: Iterable[str]) -> bool:
        """Whether an item of these workspaces is under ZDR: the strictest wins; none is unidentified."""
        if self.everything:
            return True
        if self.nothing:
            return False
        empty = True
        for workspace in workspaces:
            if (self._terms.get(workspace) or self._look_up(workspace)).under_zdr:
                return True
            empty = False
        return empty and self.unidentified_under_zdr

    def terms(self, workspaces: frozenset[str]) -> Terms:
        """The terms of an item of these workspaces; none is unidentified.

        A key or name survives only where all of its workspaces under ZDR allow it. If none is, the lists
        are what all of them allow: they count for an item that something else puts under ZDR (its resource,
        its product).
        """
        if self.uniform is not None and self.everything:
            return self.uniform
        terms = self._of_sets.get(workspaces)
        if terms is None:
            terms = strictest([self._terms.get(id_) or self._look_up(id_) for id_ in workspaces or ("",)])
            if len(self._of_sets) >= _REMEMBERED:
                self._of_sets.clear()
            self._of_sets[workspaces] = terms
        return terms

    def keep_keys_of(self, workspaces: Iterable[str]) -> frozenset[str]:
        """The further metadata keys of an item of these workspaces."""
        return self.terms(frozenset(workspaces)).keep_keys

    def keep_names_of(self, workspaces: Iterable[str]) -> frozenset[str]:
        """The further names of an item of these workspaces."""
        return self.terms(frozenset(workspaces)).keep_names

    def product_under_zdr(self, product: str | None) -> bool:
        """Whether this product is under ZDR whatever the workspace."""
        return product in self._products

    def retains_ineligible(self, workspaces: frozenset[str], product: str | None) -> bool:
        """Whether what is provably not eligible stays on an item of these workspaces and this product."""
        return product not in self._products_redacted and self.terms(workspaces).ineligible_retain

    def workspaces_of_key(self, fingerprint: str) -> frozenset[str]:
        """The workspaces an API key is mapped to: a hint that only tightens and never identifies."""
        found = (each.api_keys.get(fingerprint) for each in self.rules)
        return frozenset(workspace for workspace in found if workspace)

    def maps_keys(self) -> bool:
        """Whether fingerprints are worth computing."""
        return any(each.api_keys for each in self.rules)

    def at_least_as_strict_as(self, other: Policy) -> bool:
        """Whether provably nothing survives here that would not survive under ``other``."""
        return all(any(mine.at_least_as_strict_as(theirs) for mine in self.rules) for theirs in other.rules)

    def _look_up(self, workspace: str) -> Terms:
        terms = strictest([each.terms(workspace) for each in self.rules])
        if len(self._terms) >= _REMEMBERED:
            self._terms.clear()
        self._terms[workspace] = terms
        return terms

    @classmethod
    def from_settings(cls, settings: Settings) -> Policy:
        """Compile ``OTEL_ZDR_WORKSPACES``, or the policy file that stands in its place, as it is now.

        Raises:
            ConfigurationError: the file cannot be read or used.
        """
        if settings.policy_file is not None:
            from otel_zdr.policy.document import read_policy

            document = read_policy(settings.policy_file)
            return cls(document.rules(settings.keep_keys, settings.keep_names))

        from otel_zdr.workspaces import normalise

        def terms(under_zdr: bool) -> Terms:
            return Terms(
                under_zdr=under_zdr,
                ineligible_retain=settings.ineligible == "retain",
                keep_keys=settings.keep_keys,
                keep_names=settings.keep_names,
            )

        everything = settings.workspaces == ("*",)
        nothing = not settings.workspaces
        ids = () if everything else (normalise(id_) for id_ in settings.workspaces)
        under_zdr = terms(True)
        return cls(
            Rules(
                version="environment",
                default=terms(everything),
                unidentified=terms(settings.unidentified == "redact" and not nothing),
                exact={id_: under_zdr for id_ in ids if id_},
            )
        )


#: What holds while the gate is closed: everything is under ZDR.
CLOSED = Policy(Rules(version="closed", default=Terms(under_zdr=True), unidentified=Terms(under_zdr=True)))
