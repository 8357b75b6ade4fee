"""Which workspaces are under ZDR: an immutable snapshot that decides in constant time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_zdr.settings import Settings


class Policy:
    """What the operator promised, compiled.

    Attributes:
        version: goes into ``zdr.policy.version``.
        everything: every item is under ZDR, unidentified ones too.
        nothing: no item can be under ZDR.
        unidentified_under_zdr: what holds for an item that no workspace is known for.
    """

    __slots__ = ("_listed", "everything", "nothing", "unidentified_under_zdr", "version")

    def __init__(
        self, *, version: str, listed: frozenset[str], everything: bool, unidentified_under_zdr: bool, nothing: bool
    ) -> None:
        self.version = version
        self.everything = everything
        self.nothing = nothing
        self.unidentified_under_zdr = unidentified_under_zdr
        self._listed = listed

    def is_under_zdr(self, workspace: str) -> bool:
        """Whether a normalised id (``""`` = unreadable) is under ZDR. O(1)."""
        if self.everything:
            return True
        if not workspace:
            return self.unidentified_under_zdr
        return workspace in self._listed

    def names(self, workspace: str) -> bool:
        """Whether the list names this normalised id."""
        return workspace in self._listed

    def decide(self, workspaces: Iterable[str]) -> bool:
        """Whether an item of these workspaces is under ZDR: the strictest wins; none is unidentified."""
        if self.everything:
            return True
        if self.nothing:
            return False
        empty = True
        for workspace in workspaces:
            if self.is_under_zdr(workspace):
                return True
            empty = False
        return empty and self.unidentified_under_zdr

    @classmethod
    def from_settings(cls, settings: Settings) -> Policy:
        """Compile the list of ``OTEL_ZDR_WORKSPACES``."""
        from otel_zdr.workspace import normalise

        everything = settings.workspaces == ("*",)
        nothing = not settings.workspaces
        listed = frozenset(id_ for id_ in map(normalise, settings.workspaces) if id_ and not everything)
        return cls(
            version="environment",
            listed=listed,
            everything=everything,
            unidentified_under_zdr=settings.unidentified == "redact" and not nothing,
            nothing=nothing,
        )
