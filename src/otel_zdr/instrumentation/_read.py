"""Reading what clients send and get: objects, dicts and things left out, without ever raising."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def get(source: Any, name: str) -> Any:
    """`source[name]` of a mapping or `source.name` of an object; None when it is not there."""
    kind = type(source)
    if kind is dict:
        return source.get(name)
    # Past a model's own lookup, which makes an expensive exception for every field that is not there.
    fields = getattr(source, "__dict__", None)
    if fields is not None and name in fields:
        return fields[name]
    if hasattr(kind, "__pydantic_fields__"):
        extra = getattr(source, "__pydantic_extra__", None)
        return extra.get(name) if extra else None
    if isinstance(source, Mapping):
        return source.get(name)
    return getattr(source, name, None)


def fields(source: Any) -> Mapping[str, Any]:
    """All fields of a client's model or of a dict at once, for what is read once a chunk; empty for others."""
    if isinstance(source, dict):
        return source
    found: dict[str, Any] | None = getattr(source, "__dict__", None)
    if found is None:
        return source if isinstance(source, Mapping) else {}
    extra = getattr(source, "__pydantic_extra__", None)
    return {**extra, **found} if extra else found


def items(source: Any) -> Iterable[Any]:
    """The elements of a list or tuple; nothing for anything else, for iterators above all, which are not
    ours.
    """
    return source if isinstance(source, (list, tuple)) else ()


def number(value: Any) -> int | float | None:
    """`value` if it is a number and no bool. Clients mark what was left out by objects of their own."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def text(value: Any) -> str | None:
    """`value` if it is text that is not empty."""
    return value if isinstance(value, str) and value else None


def plain(value: Any) -> Any:
    """`value` as JSON-like data: client models become dicts, bytes and other objects their class name.

    Only for content that may go out.
    """
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    dump = getattr(value, "to_dict", None) or getattr(value, "model_dump", None)
    if dump is not None:
        try:
            return plain(dump())
        except Exception:
            return type(value).__qualname__
    return type(value).__qualname__
