"""Coverage on a span: which product it is about, and whether the specification covers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_zdr.sdk.gate import Gate
    from otel_zdr.sdk.span import SpanState


def describe(gate: Gate, state: SpanState, attributes: dict[str, Any]) -> None:
    """Write ``zdr.product`` and ``zdr.coverage`` where a product is recognised."""
    return
