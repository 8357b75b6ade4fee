"""What a function of the SDK does, as far as its code's names tell: whether it is one that is known here."""

from __future__ import annotations

from typing import Any


def names_of(function: Any) -> frozenset[str]:
    """All names that the code of a function calls and sets; empty for what has no code."""
    code = getattr(function, "__code__", None)
    return frozenset(code.co_names) if code is not None else frozenset()
