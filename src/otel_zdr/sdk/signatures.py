"""What a function of the SDK takes and uses, read off its code: versions differ, and some patch what they find."""

from __future__ import annotations

import inspect
from typing import Any


def names_of(function: Any) -> frozenset[str]:
    """All global names and attributes that its code mentions; none if it cannot be told."""
    code = getattr(function, "__code__", None)
    return frozenset(code.co_names) if code is not None else frozenset()


def positional(function: Any) -> tuple[str, ...]:
    """Names of the positional parameters after ``self``; none if it cannot be told."""
    code = getattr(function, "__code__", None)
    return code.co_varnames[1 : code.co_argcount] if code is not None else ()


def arguments_of(function: Any) -> tuple[str, ...]:
    """Names of all parameters after ``self``; none if it cannot be told, or if it takes any."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
        return ()
    return code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]  # type: ignore[no-any-return]
