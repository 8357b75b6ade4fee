"""Reading what a capturing exporter was sent."""

from __future__ import annotations

from typing import Any


def attributes_of(item: Any) -> dict[str, Any]:
    """Attributes of a protobuf span, event, log record or data point, as Python values."""
    return {pair.key: plain(pair.value) for pair in item.attributes}


def plain(value: Any) -> Any:
    """A protobuf `AnyValue` as a Python value."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None
