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
from otel_zdr.sdk import failure, off
from otel_zdr.sdk.gate import say

#: The packages that all of the official OTLP exporters encode with: gRPC and HTTP; JSON over HTTP and to files.
_PROTOBUF = "opentelemetry.exporter.otlp.proto.common._internal"
_JSON = "opentelemetry.exporter.otlp.json.common._internal"
_ENCODERS = (_PROTOBUF, _JSON)

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
    f"{_PROTOBUF}.trace_encoder": (
        "otel_zdr.sdk.encoder",
        [
            (f"{_PROTOBUF}.trace_encoder", None, "_encode_resource_spans", "patched_encode_spans"),
            (f"{_PROTOBUF}.trace_encoder", None, "_encode_span", "patched_encode_span"),
        ],
    ),
    f"{_PROTOBUF}._log_encoder": (
        "otel_zdr.sdk.encoder",
        [(f"{_PROTOBUF}._log_encoder", None, "_encode_resource_logs", "patched_encode_logs")],
    ),
    f"{_PROTOBUF}.metrics_encoder": (
        "otel_zdr.sdk.encoder",
        [(f"{_PROTOBUF}.metrics_encoder", None, "_encode_resource_metrics", "patched_encode_metrics")],
    ),
    f"{_JSON}.trace_encoder": (
        "otel_zdr.sdk.encoder",
        [(f"{_JSON}.trace_encoder", None, "_encode_resource_spans", "patched_encode_spans")],
    ),
    f"{_JSON}._log_encoder": (
        "otel_zdr.sdk.encoder",
        [(f"{_JSON}._log_encoder", None, "_encode_resource_logs", "patched_encode_logs")],
    ),
    f"{_JSON}.metrics_encoder": (
        "otel_zdr.sdk.encoder",
        [(f"{_JSON}.metrics_encoder", None, "_encode_resource_metrics", "patched_encode_metrics_to_json")],
    ),
}

#: What only saves time: where an SDK has no such function, nothing passes by the gate.
_MAY_BE_MISSING = frozenset(("patched_encode_span",))

_MARK = "_otel_zdr_gate"
_MAX_WRAPPERS = 32

_originals: list[tuple[Any, str, Any]] = []
#: The classes that the gate's own build on, by module and name: those that were there first, with their modules.
_first: dict[tuple[str, str], tuple[Any, Any]] = {}
_applied: set[str] = set()
_hooked: set[str] = set()
_pending: dict[str, list[str]] = {}
_from_the_start: set[str] = set()
_said: set[tuple[str, bool]] = set()
_lock = threading.RLock()


class Misfit(RuntimeError):
    """The SDK does not look as the gate needs it to."""


class ImportedAgain(Misfit):
    """A module of the SDK has other classes than those that the gate's own build on: they stay without it.

    Attributes:
        over_itself: it was reloaded, so what the first classes do leads to the others too.
    """

    def __init__(self, *, over_itself: bool) -> None:
        super().__init__("reloaded" if over_itself else "imported a second time")
        self.over_itself = over_itself


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
            _when_imported(name)
            if is_new:
                _from_the_start.add(name)
        except Exception as error:
            problems.append(_switch_off(name, error))
    if problems:
        raise Misfit("; ".join(problems))


def apply_when_imported(*, fail_closed: bool = False) -> None:
    """Put the gate on each signal that is imported already, and on the others the moment they are.

    From then on each is looked at again whenever its code has run again.
    """
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
    when_imported(name, lambda _module: _apply_anew(name), each_time=True)


def _apply_anew(name: str) -> None:
    """The code of a signal or an encoder has run: for the first time, or again."""
    with _lock:
        _applied.discard(name)
    _apply_safely(name)


def _apply_safely(name: str, apply: Callable[[str], None] | None = None) -> None:
    try:
        if _active:
            (apply or _apply)(name)
    except ImportedAgain as error:
        _switch_off_again(name, error)
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
        off.remember(name)
        wrappers = sys.modules[ours]
        _look_for_others(targets)
        found = []
        for module_name, class_name, attribute, wrapper in targets:
            owner: Any = importlib.import_module(module_name)
            if class_name is not None:
                owner = getattr(owner, class_name, None)
                _remember(module_name, class_name)
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
    _watch(name, targets)


def _remember(module_name: str, class_name: str) -> None:
    """Keep a class that is there, and the module that it is defined in, if it is the first."""
    owner = getattr(sys.modules.get(module_name), class_name, None)
    if owner is not None:
        _first.setdefault((module_name, class_name), (owner, sys.modules.get(owner.__module__)))


def _look_for_others(targets: list[tuple[str, str | None, str, str]]) -> None:
    """Raise where a module has been imported a second time or reloaded since the gate's own classes were made."""
    for module_name, class_name, _, _ in targets:
        first, home = _first.get((module_name, class_name or ""), (None, None))
        if first is None:
            continue
        for where, name in ((first.__module__, first.__name__), (module_name, class_name)):
            module = sys.modules.get(where)
            now = getattr(module, str(name), None)
            if now is None:
                if where == first.__module__ and module is not None and module is not home:
                    raise ImportedAgain(over_itself=False)
            elif now is not first and not (isinstance(now, type) and issubclass(now, first)):
                raise ImportedAgain(over_itself=sys.modules.get(first.__module__) is home)


def _watch(name: str, targets: list[tuple[str, str | None, str, str]]) -> None:
    """Look at a signal again when the modules that its classes are defined in have run again."""
    for module_name, class_name, _, _ in targets:
        first, _home = _first.get((module_name, class_name or ""), (None, None))
        for where in (module_name, getattr(first, "__module__", module_name)):
            with _lock:
                if where in _hooked:
                    continue
                _hooked.add(where)
            when_imported(where, lambda _module: _apply_anew(name), each_time=True)


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
        for user, targets in _TARGETS.values():
            for module_name, class_name, _, _ in targets:
                if user == ours and class_name is not None:
                    _remember(module_name, class_name)
        names = _pending.pop(ours, [])
    for name in names:
        _apply_safely(name, _put_in_place)


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
    """Turn telemetry off that the gate does not fit; returns the reason."""
    reason = str(error) if isinstance(error, Misfit) else type(error).__name__
    problem = f"{name} does not fit ({reason})"
    try:
        off.switch_off()
    except Exception as again:
        failure.note("activation", again)
    say(f"the gate cannot be put in place: {problem}; telemetry is off")
    return problem


def _switch_off_again(name: str, error: ImportedAgain) -> None:
    """Turn a signal off that has other classes now: these, and where they cannot be told apart the first too."""
    try:
        off.switch_off(name, first_too=error.over_itself)
    except Exception as again:
        failure.note("activation", again)
    if (name, error.over_itself) in _said:
        return
    _said.add((name, error.over_itself))
    if error.over_itself:
        say(
            f"{name} was reloaded, and the gate does not fit what it is now: its telemetry is off in this process"
        )
    else:
        say(
            f"{name} was imported a second time, and the gate stands in the first: what the second makes is off, "
            "what the first has made goes on; leave opentelemetry.sdk in sys.modules, or start a new process"
        )


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
