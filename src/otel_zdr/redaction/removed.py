"""The mark of a value that must not leave, and the counting of what was removed."""

from __future__ import annotations


class _Removed:
    """The type of `REMOVED`, which stands for "this value goes"."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "REMOVED"

    def __bool__(self) -> bool:
        return False


REMOVED = _Removed()


def count(removed: dict[str, int], content_class: str) -> None:
    """Adds one value of ``content_class`` to the counts of an item."""
    removed[content_class] = removed.get(content_class, 0) + 1
