"""Workspace patterns: ``*`` stands for any run of characters, everything else for itself.

No regular expressions: matching is linear in the id for any pattern, so that a pattern cannot be written
(nor an id sent) that takes long. ``*`` is the only sign with a meaning; the policy document refuses the
others that people expect one of (``?``, ``[``).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Generic, TypeVar

_T = TypeVar("_T")


def is_pattern(text: str) -> bool:
    """Whether the text is a pattern and not an id."""
    return "*" in text


def canonical(pattern: str) -> str:
    """The pattern with runs of ``*`` made one: they mean the same, and length decides precedence."""
    while "**" in pattern:
        pattern = pattern.replace("**", "*")
    return pattern


def matches(pattern: str, text: str) -> bool:
    """Whether ``pattern`` matches all of ``text``.

    Given another pattern as ``text`` the answer is whether every id of that one is matched here: its ``*``
    can only be taken up by a ``*`` of this one.
    """
    if "*" not in pattern:
        return text == pattern
    first, *middle, last = pattern.split("*")
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    position, end = len(first), len(text) - len(last)
    for part in middle:
        position = text.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True


@lru_cache(maxsize=4096)
def overlap(one: str, other: str) -> bool:
    """Whether some id is matched by both patterns. Either may be a plain id."""
    head, tail = one.split("*")[0], other.split("*")[0]
    if not (head.startswith(tail) or tail.startswith(head)):
        return False
    # reachable[j]: one[:i] and other[:j] can have consumed the same id
    reachable = [True] + [False] * len(other)
    for j, sign in enumerate(other):
        reachable[j + 1] = reachable[j] and sign == "*"
    for a in one:
        row = [reachable[0] and a == "*"]
        for j, b in enumerate(other):
            # A `*` may stand for nothing, or take in what the other side consumes.
            row.append(
                (a == "*" and (reachable[j + 1] or row[j]))
                or (b == "*" and (row[j] or reachable[j + 1]))
                or (a == b and reachable[j])
            )
        reachable = row
    return reachable[-1]


class PatternIndex(Generic[_T]):
    """Patterns with a value each; finds what the longest that match say.

    Patterns of the usual shape ``prefix*`` are looked up by prefix, in a step for each different length of
    prefix, however many there are; the others one by one.

    Attributes:
        items: (pattern, value), longest first.
    """

    __slots__ = ("_lengths", "_others", "_prefixes", "items")

    def __init__(self, items: Iterable[tuple[str, _T]]) -> None:
        self.items = tuple(sorted(items, key=lambda item: (-len(item[0]), item[0])))
        self._prefixes = {pattern[:-1]: value for pattern, value in self.items if _is_prefix(pattern)}
        self._others = tuple(item for item in self.items if not _is_prefix(item[0]))
        self._lengths = tuple(sorted({len(prefix) for prefix in self._prefixes}, reverse=True))

    def __bool__(self) -> bool:
        return bool(self.items)

    def find(self, text: str, *, but: str = "") -> list[_T]:
        """The values of the longest patterns, ``but`` left out, that match ``text``: one, several of a
        length, or none.
        """
        found: list[_T] = []
        longest = 0
        for length in self._lengths:
            prefix = text[:length]
            if length <= len(text) and prefix in self._prefixes and prefix + "*" != but:
                found, longest = [self._prefixes[prefix]], length + 1
                break
        for pattern, value in self._others:
            if len(pattern) < longest:
                break
            if pattern != but and matches(pattern, text):
                if len(pattern) > longest:
                    found, longest = [], len(pattern)
                found.append(value)
        return found


def _is_prefix(pattern: str) -> bool:
    return pattern.find("*") == len(pattern) - 1
