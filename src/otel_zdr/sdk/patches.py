"""Where the gate is put: the table of patched methods, applied signal by signal as the SDK is imported.

Methods that every object of a class goes through are patched on the class, so that providers, loggers,
meters and open spans that exist already are covered. A signal whose classes do not look as expected is
switched off (``off``): telemetry that the gate does not fit must not pass by it.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from typing import Any

from otel_zdr.import_hooks import when_imported
from otel_zdr.sdk import failure
from otel_zdr.sdk.gate import say

_ENCODERS = "opentelemetry.exporter.otlp.proto.common._internal"

#: module whose import completes a signal → (our module, [(module of the class, class or None, method, wrapper)])
_TARGETS: dict[str, tuple[str, list[tuple[str, str | None, str, str]]]] = {
    "opentelemetry.sdk.trace": (
        "otel_zdr.sdk.span",
        [
            ("opentelemetry.sdk.trace", "Tracer", "start_span", "patched_start_span"),
            ("opentelemetry.sdk.trace", "Span", "__init__", "patched_init"),
            ("opentelemetry.sdk.trace", "Span", "start", "patched_start"),
            ("opentelemetry.sdk.trace", "Span", "end", "patched_end"),
            ("opentelemetry.sdk.trace", "Span", "_readable_span", "patched_readable_span"),
            ("opentelemetry.sdk.trace", "Span", "update_name", "patched_update_name"),
            ("opentelemetry.sdk.trace", "Span", "set_attribute", "patched_set_attribute"),
            ("opentelemetry.sdk.trace", "Span", "set_status", "patched_set_status"),
            ("opentelemetry.sdk.trace", "Span", "add_event", "patched_add_event"),
            ("opentelemetry.sdk.trace", "Span", "record_exception", "patched_record_exception"),
        ],
    ),
    "opentelemetry.sdk._logs": (
        "otel_zdr.sdk.log",
        [("opentelemetry.sdk._logs", "Logger", "emit", "patched_emit")],
    ),
    "opentelemetry.sdk.metrics": (
        "otel_zdr.sdk.metric",
        [
            (
                "opentelemetry.sdk.metrics._internal.measurement",
                "Measurement",
                "__init__",
                "patched_measurement_init",
            ),
            (
                "opentelemetry.sdk.metrics._internal.metric_reader_storage",
                "MetricReaderStorage",
                "consume_measurement",
                "patched_consume",
            ),
            (
                "opentelemetry.sdk.metrics._internal.metric_reader_storage",
                "MetricReaderStorage",
                "collect",
                "patched_collect",
            ),
        ],
    ),
    f"{_ENCODERS}.trace_encoder": (
        "otel_zdr.sdk.encoder",
        [
            (f"{_ENCODERS}.trace_encoder", None, "_encode_resource_spans", "patched_encode_spans"),
            (f"{_ENCODERS}.trace_encoder", None, "_encode_attributes", "patched_encode_attributes"),
        ],
    ),
    f"{_ENCODERS}._log_encoder": (
        "otel_zdr.sdk.encoder",
        [(f"{_ENCODERS}._log_encoder", None, "_encode_resource_logs", "patched_encode_logs")],
    ),
    f"{_ENCODERS}.metrics_encoder": (
        "otel_zdr.sdk.encoder",
        [(f"{_ENCODERS}.metrics_encoder", None, "_encode_resource_metrics", "patched_encode_metrics")],
    ),
}

#: What only saves time: where an SDK has no such function, nothing passes by the gate.
_MAY_BE_MISSING = frozenset(("patched_encode_attributes",))

_MARK = "_otel_zdr_gate"
_MAX_WRAPPERS = 32

_originals: list[tuple[Any, str, Any]] = []
_applied: set[str] = set()
_hooked: set[str] = set()
_pending: dict[str, list[str]] = {}
_from_the_start: set[str] = set()
_lock = threading.RLock()


class Misfit(RuntimeError):
    """The SDK does not look as the gate needs it to."""


def apply_all() -> None:
    """Import the SDK's signals and put the gate on them; the encoders follow when they are imported.

    Raises:
        Misfit: a class or method is missing or does not behave; that signal is off.
    """
    problems = []
    for name in _TARGETS:
        if name.startswith(_ENCODERS):
            _when_imported(name)
            continue
        try:
            is_new = name not in sys.modules
            importlib.import_module(name)
            _apply(name)
            if is_new:
                _from_the_start.add(name)
        except Exception as error:
            problems.append(_switch_off(name, error))
    if problems:
        raise Misfit("; ".join(problems))


def apply_when_imported(*, fail_closed: bool = False) -> None:
    """Put the gate on each signal that is imported already, and on the others the moment they are."""
    for name in _TARGETS:
        _when_imported(name)


def _when_imported(name: str) -> None:
    with _lock:
        if name in _hooked:
            if name in sys.modules:
                _apply_safely(name)
            return
        _hooked.add(name)
        if name not in sys.modules:
            _from_the_start.add(name)
    when_imported(name, lambda _module: _apply_safely(name))


def _apply_safely(name: str) -> None:
    try:
        if _active:
            _apply(name)
    except Exception as error:
        _switch_off(name, error)


_active = True


def _apply(name: str) -> None:
    with _lock:
        if name in _applied:
            return
        ours, _ = _TARGETS[name]
        if _is_half_imported(ours):
            # Its own import of the SDK brought us here; loaded() goes on when it is complete.
            _pending.setdefault(ours, []).append(name)
            return
        importlib.import_module(ours)
        _put_in_place(name)


def _put_in_place(name: str) -> None:
    with _lock:
        if name in _applied:
            return
        ours, targets = _TARGETS[name]
        wrappers = sys.modules[ours]
        found = []
        for module_name, class_name, attribute, wrapper in targets:
            owner: Any = importlib.import_module(module_name)
            if class_name is not None:
                owner = getattr(owner, class_name, None)
            original = getattr(owner, attribute, None)
            if original is None or not callable(original):
                if wrapper in _MAY_BE_MISSING:
                    continue
                raise Misfit(f"{module_name}.{class_name or ''}.{attribute} is missing")
            found.append((owner, attribute, original, getattr(wrappers, wrapper)))
        for owner, attribute, original, wrapper in found:
            if not _is_in_place(original):
                _install(owner, attribute, original, wrapper)
        _applied.add(name)


def _is_in_place(function: Any) -> bool:
    """Whether the gate is in a function already: below another's wrapper, where :func:`restore` leaves it."""
    for _ in range(_MAX_WRAPPERS):
        if function is None:
            return False
        if getattr(function, _MARK, False):
            return True
        function = getattr(function, "__wrapped__", None)
    return False


def _is_half_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def loaded(ours: str) -> None:
    """Called by each module of wrappers as its last statement: apply what waited for it."""
    with _lock:
        names = _pending.pop(ours, [])
    for name in names:
        _apply_loaded(name)


def _apply_loaded(name: str) -> None:
    try:
        if _active:
            with _lock:
                _put_in_place(name)
    except Exception as error:
        _switch_off(name, error)


def _install(owner: Any, attribute: str, original: Any, wrapper: Callable[[Any], Any]) -> None:
    replacement = wrapper(original)
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        value = getattr(original, name, None)
        if value is not None:
            setattr(replacement, name, value)
    replacement.__wrapped__ = original
    setattr(replacement, _MARK, True)
    _originals.append((owner, attribute, original))
    setattr(owner, attribute, replacement)


def _switch_off(name: str, error: BaseException) -> str:
    """Turn a signal off that the gate does not fit; returns the reason."""
    reason = str(error) if isinstance(error, Misfit) else type(error).__name__
    problem = f"{name} does not fit ({reason})"
    try:
        from otel_zdr.sdk import off

        off.switch_off()
    except Exception as again:
        failure.note("activation", again)
    say(f"the gate cannot be put in place: {problem}; telemetry is off")
    return problem


def may_have_open_spans() -> bool:
    """Whether spans may be open that were made while the gate was not in place."""
    return "opentelemetry.sdk.trace" not in _from_the_start


def spans_passed_by() -> None:
    """A span was made while there was no gate to decide it."""
    _from_the_start.discard("opentelemetry.sdk.trace")


def restore() -> None:
    """Take the gate off again (for tests)."""
    global _active
    with _lock:
        while _originals:
            owner, attribute, original = _originals.pop()
            if getattr(getattr(owner, attribute, None), "__wrapped__", None) is original:
                setattr(owner, attribute, original)
        _applied.clear()
        _from_the_start.clear()
        _active = False


def enable() -> None:
    """Let import hooks apply (again)."""
    global _active
    _active = True
