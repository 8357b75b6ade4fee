"""Sets of words, written as text that stays readable."""

from __future__ import annotations


def word_set(text: str) -> frozenset[str]:
    """The words of ``text``, separated by white space."""
    return frozenset(text.split())
