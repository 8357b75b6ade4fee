"""Telemetry off: the last resort where the gate does not fit the SDK. Uses the public API only."""

from __future__ import annotations

import contextlib
import importlib
import os
from typing import Any

_DISABLED = "OTEL_SDK_DISABLED"

_originals: list[tuple[Any, str, Any]] = []
_disabled_before: str | None = None


def switch_off() -> None:
    """Make every provider of this process, old and new, hand out and forward nothing. Idempotent."""
    global _disabled_before
    if not _originals:
        _disabled_before = os.environ.get(_DISABLED)
    os.environ[_DISABLED] = "true"
    for module_name, class_name, replacements in _REPLACEMENTS:
        with contextlib.suppress(Exception):
            owner = getattr(importlib.import_module(module_name), class_name)
            for attribute, replacement in replacements.items():
                original = getattr(owner, attribute, replacement)
                if original is not replacement:
                    _originals.append((owner, attribute, original))
                    setattr(owner, attribute, replacement)


def switch_on() -> None:
    """Undo :func:`switch_off` (between tests): production code has no way back."""
    if not _originals:
        return
    while _originals:
        owner, attribute, original = _originals.pop()
        setattr(owner, attribute, original)
    if _disabled_before is None:
        os.environ.pop(_DISABLED, None)
    else:
        os.environ[_DISABLED] = _disabled_before


def _tracer(*_args: Any, **_kwargs: Any) -> Any:
    from opentelemetry.trace import NoOpTracer

    return NoOpTracer()


def _span(*_args: Any, **_kwargs: Any) -> Any:
    from opentelemetry.trace import INVALID_SPAN

    return INVALID_SPAN


def _logger(*_args: Any, **_kwargs: Any) -> Any:
    from opentelemetry._logs import NoOpLogger

    return NoOpLogger("")


def _meter(*_args: Any, **_kwargs: Any) -> Any:
    from opentelemetry.metrics import NoOpMeter

    return NoOpMeter("")


def _nothing(*_args: Any, **_kwargs: Any) -> None:
    return None


_REPLACEMENTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("opentelemetry.sdk.trace", "TracerProvider", {"get_tracer": _tracer, "add_span_processor": _nothing}),
    ("opentelemetry.sdk.trace", "Tracer", {"start_span": _span}),
    ("opentelemetry.sdk.trace", "SynchronousMultiSpanProcessor", {"on_start": _nothing, "on_end": _nothing}),
    ("opentelemetry.sdk.trace", "ConcurrentMultiSpanProcessor", {"on_start": _nothing, "on_end": _nothing}),
    ("opentelemetry.sdk._logs", "LoggerProvider", {"get_logger": _logger}),
    ("opentelemetry.sdk._logs", "Logger", {"emit": _nothing}),
    ("opentelemetry.sdk.metrics", "MeterProvider", {"get_meter": _meter}),
    (
        "opentelemetry.sdk.metrics._internal.metric_reader_storage",
        "MetricReaderStorage",
        {"collect": _nothing},
    ),
)
