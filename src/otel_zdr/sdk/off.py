"""Telemetry off: the last resort where the gate does not fit the SDK. Uses the public API only."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any

_DISABLED = "OTEL_SDK_DISABLED"

_originals: list[tuple[Any, str, Any]] = []
#: What the environment said before, once it was changed.
_disabled_before: list[str | None] = []


#: The classes that were there first, by module and name.
_first: dict[tuple[str, str], Any] = {}


def remember(signal: str) -> None:
    """Keep the classes that this module of the SDK has now, if they are the first."""
    for module_name, class_name, _ in _REPLACEMENTS:
        owner = getattr(sys.modules.get(module_name), class_name, None)
        if owner is not None and module_name.startswith(signal):
            _first.setdefault((module_name, class_name), owner)


def switch_off(signal: str = "", *, first_too: bool = False) -> None:
    """Make every provider of this process, old and new, hand out and forward nothing. Idempotent.

    Args:
        signal: only the classes that this module of the SDK, such as ``opentelemetry.sdk.trace``, has now.
        first_too: and those that it had first.
    """
    if not signal:
        if not _disabled_before:
            _disabled_before.append(os.environ.get(_DISABLED))
        os.environ[_DISABLED] = "true"
    for module_name, class_name, replacements in _REPLACEMENTS:
        if not module_name.startswith(signal):
            continue
        if first_too and (module_name, class_name) in _first:
            _replace(_first[module_name, class_name], replacements)
        with contextlib.suppress(Exception):
            _replace(getattr(importlib.import_module(module_name), class_name), replacements)


def _replace(owner: Any, replacements: dict[str, Any]) -> None:
    for attribute, replacement in replacements.items():
        original = getattr(owner, attribute, replacement)
        if original is not replacement:
            _originals.append((owner, attribute, original))
            setattr(owner, attribute, replacement)


def switch_on() -> None:
    """Undo :func:`switch_off` (between tests): production code has no way back."""
    while _originals:
        owner, attribute, original = _originals.pop()
        setattr(owner, attribute, original)
    if _disabled_before:
        before = _disabled_before.pop()
        if before is None:
            os.environ.pop(_DISABLED, None)
        else:
            os.environ[_DISABLED] = before


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
