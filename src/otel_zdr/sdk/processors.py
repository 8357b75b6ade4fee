"""Processors for those who wire providers by hand: constructing one installs the whole gate.

They have no work to do themselves: the gate cleans every item of every provider before any processor
sees it, so their place among the processors does not matter.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_zdr.sdk.activation import install
from otel_zdr.settings import Settings


class ZDRSpanProcessor(SpanProcessor):
    """Installs the gate for all signals and providers.

    Args:
        settings: as for :func:`otel_zdr.install`.

    Raises:
        ConfigurationError: as for :func:`otel_zdr.install`; the gate is closed by then.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        install(settings)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: the span is clean already."""

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing: the span is clean already."""

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is held."""
        return True


class ZDRLogRecordProcessor(LogRecordProcessor):
    """Installs the gate for all signals and providers.

    Args:
        settings: as for :func:`otel_zdr.install`.

    Raises:
        ConfigurationError: as for :func:`otel_zdr.install`; the gate is closed by then.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        install(settings)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Nothing: the record is clean already."""

    def enabled(self, **_: Any) -> bool:
        """False: a redactor alone is no reason to make a record."""
        return False

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is held."""
        return True
