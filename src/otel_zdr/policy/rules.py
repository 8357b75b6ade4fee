"""One policy, compiled: terms by workspace id, looked up in constant time, comparable with another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from otel_zdr.policy.patterns import PatternIndex, overlap
from otel_zdr.policy.terms import Terms, strictest

#: More pairs of patterns than this are not compared; the answer is then the careful one.
_MAX_PAIRS = 250_000


class Rules:
    """What a list of workspaces or one version of a policy file says.

    Exact ids win over patterns, longer patterns over shorter; of equally long ones the strictest wins.

    Attributes:
        version: text for ``zdr.policy.version``.
        exact: terms by normalised workspace id.
        patterns: terms by pattern.
        default: terms of a workspace that is not named.
        unidentified: terms of an item that no workspace is known for.
        products: products that are under ZDR whatever the workspace.
        products_redacted: products of which nothing ineligible is retained whatever the workspace.
        api_keys: workspace id by fingerprint of an API key.
    """

    __slots__ = (
        "api_keys",
        "default",
        "exact",
        "patterns",
        "products",
        "products_redacted",
        "unidentified",
        "version",
    )

    def __init__(
        self,
        *,
        version: str,
        default: Terms,
        unidentified: Terms,
        exact: Mapping[str, Terms] | None = None,
        patterns: Iterable[tuple[str, Terms]] = (),
        products: Iterable[str] = (),
        products_redacted: Iterable[str] = (),
        api_keys: Mapping[str, str] | None = None,
    ) -> None:
        self.version = version
        self.default = default
        self.unidentified = unidentified
        self.exact = dict(exact or {})
        self.patterns = PatternIndex(patterns)
        self.products = frozenset(products)
        self.products_redacted = frozenset(products_redacted)
        self.api_keys = dict(api_keys or {})

    def terms(self, workspace: str) -> Terms:
        """The terms of a normalised id (``""``: named, but unreadable, which is decided as unidentified)."""
        terms = self.exact.get(workspace)
        if terms is not None:
            return terms
        if not workspace:
            return self.unidentified
        if self.patterns and (found := self.patterns.find(workspace)):
            return strictest(found)
        return self.default

    def names(self, workspace: str) -> bool:
        """Whether the id is listed, or a pattern matches it."""
        return workspace in self.exact or bool(workspace and self.patterns and self.patterns.find(workspace))

    def all_terms(self) -> set[Terms]:
        """Every terms that any item can have."""
        return {
            self.default,
            self.unidentified,
            *self.exact.values(),
            *(terms for _, terms in self.patterns.items),
        }

    def at_least_as_strict_as(self, other: Rules) -> bool:
        """Whether there is *provably* no item that these rules let more survive of than ``other``.

        All conceivable workspaces are considered, not only those named. False may also mean that no proof
        was found; nobody is harmed by that, the change then only has to be confirmed.
        """
        # Where everything is under ZDR, products and keys have nothing to tighten.
        everything = all(terms.under_zdr for terms in self.all_terms())
        return (
            self.unidentified.at_least_as_strict_as(other.unidentified)
            and (everything or other.products <= self.products)
            and other.products_redacted <= self.products_redacted
            and (everything or other.api_keys.items() <= self.api_keys.items())
            and all(
                self.terms(id_).at_least_as_strict_as(other.terms(id_))
                for id_ in self.exact.keys() | other.exact.keys()
            )
            and self._patterns_at_least_as_strict_as(other)
        )

    def _patterns_at_least_as_strict_as(self, other: Rules) -> bool:
        mine, theirs = self._by_rank(), other._by_rank()
        if mine == theirs:
            return True
        if len(mine) * len(theirs) > _MAX_PAIRS:
            return False
        in_mine = {pattern for pattern, _ in self.patterns.items}
        in_theirs = {pattern for pattern, _ in other.patterns.items}
        for rank, pattern, terms in mine:
            for their_rank, their_pattern, their_terms in theirs:
                if terms.at_least_as_strict_as(their_terms):
                    continue
                # Is there an id that `pattern` decides here and `their_pattern` decides there? Not if the
                # winner of one side stands on the other side too and beats what should win there.
                if rank and pattern in in_theirs and their_rank < rank:
                    continue
                if their_rank and their_pattern in in_mine and rank < their_rank:
                    continue
                if overlap(pattern, their_pattern):
                    return False
        return True

    def _by_rank(self) -> list[tuple[int, str, Terms]]:
        """What decides an id that is not listed, as (rank, pattern, terms); the default has rank 0."""
        ranked = [(len(pattern), pattern, terms) for pattern, terms in self.patterns.items]
        if not ranked or ranked[-1][1] != "*":
            ranked.append((0, "*", self.default))
        return ranked
