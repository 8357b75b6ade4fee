"""The pure core: what may leave of an item under Zero Data Retention. Imports no OpenTelemetry."""

from __future__ import annotations

from otel_zdr.redaction.redactor import Redactor
from otel_zdr.redaction.removed import REMOVED

__all__ = ["REMOVED", "Redactor"]
