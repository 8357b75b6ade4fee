"""Fields of OTLP/JSON, whose types nobody promises: read as absent where they are wrong."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

Document = dict[str, Any]
"""One export request in the OTLP/JSON mapping: ``{"resourceSpans": [...]}`` and the like."""

SIGNALS = {"traces": "resourceSpans", "logs": "resourceLogs", "metrics": "resourceMetrics"}
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUS = ("unset", "ok", "error")

MAX_DEPTH = 64
"""Values nested deeper are read as ``None``: no exporter of ours or of the SDK writes them."""

_HEX_ID = re.compile(r"[0-9a-fA-F]+\Z")


class Attributes(dict[str, object]):
    """Attributes by key. OTLP forbids a second value for a key; what came all the same is in ``repeated``."""

    __slots__ = ("repeated",)

    def __init__(self) -> None:
        super().__init__()
        self.repeated: list[tuple[str, object]] = []

    def pairs(self) -> Iterator[tuple[str, object]]:
        """Every key and value that the file holds, repeated keys too."""
        yield from self.items()
        yield from self.repeated


class Overfull(dict[str, Any]):
    """An object of a file that holds more than a dict can: `beside` it stand further names and values.

    They are the earlier values of a name that is given twice, what a request holds besides its signals,
    and fields of protobuf (``#`` and their number) that no schema names. Whoever copies or writes the
    object leaves them out.
    """

    __slots__ = ("beside",)

    def __init__(self, content: Document, beside: list[tuple[str, object]]) -> None:
        super().__init__(content)
        self.beside = beside


def decode_value(value: object, depth: int = 0) -> object:
    """An OTLP ``AnyValue`` in JSON as str, bool, int, float, bytes, list, dict or None."""
    if not isinstance(value, dict) or depth > MAX_DEPTH:
        return None
    for name, content in value.items():
        kind = VALUE_FIELDS.get(name) if isinstance(name, str) else None
        if kind is None or content is None:
            continue
        if kind == "string":
            return content if isinstance(content, str) else None
        if kind == "bool":
            return content if isinstance(content, bool) else None
        if kind == "int":
            return integer(content, None)
        if kind == "double":
            return number(content)
        if kind == "bytes":
            return _bytes(content)
        values = members(get(content, "values"))
        if kind == "array":
            return [decode_value(member, depth + 1) for member in values]
        return decode_attributes(values, depth + 1)
    return None


def encode_value(value: object) -> dict[str, Any]:
    """The inverse of :func:`decode_value`; tuples become arrays, what OTLP cannot say an empty value."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)} if -(2**63) <= value < 2**63 else {}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else json.dumps(value)}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode("ascii")}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [encode_value(member) for member in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": encode_attributes(value)}}
    return {}


def decode_attributes(pairs: object, depth: int = 0) -> Attributes:
    """A list of OTLP ``KeyValue`` in JSON by key."""
    attributes = Attributes()
    for pair in members(pairs):
        key = pair.get("key", "") if isinstance(pair, dict) else None
        if not isinstance(key, str):
            continue
        value = decode_value(pair.get("value"), depth)
        if key in attributes:
            attributes.repeated.append((key, value))
        else:
            attributes[key] = value
    return attributes


def encode_attributes(attributes: dict[str, object]) -> list[dict[str, Any]]:
    return [{"key": key, "value": encode_value(value)} for key, value in attributes.items()]


# --- fields of unknown type ---------------------------------------------------------------------

VALUE_FIELDS = {
    "stringValue": "string",
    "string_value": "string",
    "boolValue": "bool",
    "bool_value": "bool",
    "intValue": "int",
    "int_value": "int",
    "doubleValue": "double",
    "double_value": "double",
    "arrayValue": "array",
    "array_value": "array",
    "kvlistValue": "map",
    "kvlist_value": "map",
    "bytesValue": "bytes",
    "bytes_value": "bytes",
}

_SEVERITIES = {
    f"SEVERITY_NUMBER_{level}{step or ''}": 1 + 4 * index + max(0, step - 1)
    for index, level in enumerate(("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"))
    for step in (0, 2, 3, 4)
}


@lru_cache(maxsize=256)
def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), name)


def get(node: object, name: str) -> Any:
    if not isinstance(node, dict):
        return None
    found = node.get(name)
    return node.get(_snake(name)) if found is None else found


def as_dict(value: object) -> Document:
    return value if isinstance(value, dict) else {}


def members(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def dicts(value: object) -> Iterable[Document]:
    return (member for member in members(value) if isinstance(member, dict))


def as_text(value: object) -> str:
    return value if isinstance(value, str) else ""


def integer(value: object, default: Any) -> Any:
    if isinstance(value, bool):
        return default
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value == int(value) else default
    if isinstance(value, str) and len(value) <= 20:
        try:
            return int(value)
        except ValueError:
            return default
    return default


def number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= 32):
        try:
            return float(value)
        except (ValueError, OverflowError):
            return None
    return None


def _bytes(value: object) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        # Strictly: else what is no base64 would be taken for other bytes, and a search would miss it.
        return base64.b64decode(
            value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4),
            altchars=b"-_" if "-" in value or "_" in value else None,
            validate=True,
        )
    except (binascii.Error, ValueError):
        return value.encode("utf-8", "replace")  # not base64: keep what stands there for a search


def read_id(value: object, size: int) -> str:
    """An id as lower-case hex; base64, which protobuf's own JSON writes, is accepted too."""
    if not isinstance(value, str):
        return ""
    if len(value) == size * 2 and _HEX_ID.match(value):
        return value.lower()
    if len(value) == (size + 2) // 3 * 4 and value.endswith("="):
        decoded = base64_to_hex(value)
        return decoded if len(decoded) == size * 2 else ""
    return ""


def _enum(value: object, names: tuple[str, ...], prefix: str) -> str:
    if isinstance(value, str) and not value.isdecimal():
        name = value.removeprefix(prefix).lower()
        return name if name in names else names[0]
    number = integer(value, 0)
    return names[number] if 0 <= number < len(names) else names[0]


def read_kind(value: object) -> str:
    """The kind of a span: one of :data:`KINDS`."""
    return _enum(value, KINDS, "SPAN_KIND_")


def read_status(value: object) -> str:
    """The status code of a span: one of :data:`STATUS`."""
    return _enum(value, STATUS, "STATUS_CODE_")


def read_severity(value: object) -> int:
    """The severity number of a log record, 0 if it has none."""
    if isinstance(value, str) and not value.isdecimal():
        return _SEVERITIES.get(value, 0)
    severity: int = integer(value, 0)
    return severity if 0 <= severity <= 24 else 0


def base64_to_hex(value: object) -> str:
    try:
        return base64.b64decode(str(value), validate=True).hex()
    except (binascii.Error, ValueError):
        return ""
