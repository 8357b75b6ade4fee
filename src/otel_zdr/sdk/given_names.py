"""Names that are given once and used later: scopes, instruments and the API's proxies of both.

They are proven while the application's call that gives them is on the stack; a proxy hands the same
string on when a provider comes, however much later and from wherever.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from otel_zdr.import_hooks import when_imported
from otel_zdr.redaction import literals
from otel_zdr.sdk import failure, gate

PROVEN = "_otel_zdr_proven"
"""Attribute of an SDK instrument whose name is a proven literal."""

#: (module, class, whether instances are marked); where a class is missing nothing can be proven.
_CLASSES = (
    ("opentelemetry.sdk.util.instrumentation", "InstrumentationScope", False),
    ("opentelemetry.trace", "ProxyTracer", False),
    ("opentelemetry._logs._internal", "ProxyLogger", False),
    ("opentelemetry.metrics._internal", "_ProxyMeter", False),
    ("opentelemetry.metrics._internal.instrument", "_ProxyInstrument", False),
    ("opentelemetry.sdk.metrics._internal.instrument", "_Synchronous", True),
    ("opentelemetry.sdk.metrics._internal.instrument", "_Asynchronous", True),
)
_hooked: set[str] = set()


def install() -> None:
    """Prove names as they are given, from now on and as modules are imported. Idempotent."""
    for module, cls, marks in _CLASSES:
        if f"{module}.{cls}" in _hooked:
            continue
        _hooked.add(f"{module}.{cls}")
        when_imported(module, partial(_patch, class_name=cls, marks=marks))


def _patch(module: Any, class_name: str, marks: bool) -> None:
    owner = getattr(module, class_name, None)
    original = getattr(owner, "__init__", None)
    if owner is None or original is None or sys.modules.get(module.__name__) is not module:
        return
    owner.__init__ = _proving_init(original, marks)


def _proving_init(original: Callable[..., None], marks: bool) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        holding = gate.current
        if holding is None or holding.literals == "none":
            original(self, *args, **kwargs)
            return
        proven = False
        try:
            proven = literals.remember_name(args[0] if args else _named(kwargs))
        except Exception as error:
            failure.note("name", error)
        original(self, *args, **kwargs)
        if marks and proven:
            self.__dict__[PROVEN] = True

    __init__.__wrapped__ = original  # type: ignore[attr-defined]
    return __init__


def _named(kwargs: dict[str, Any]) -> object:
    return kwargs.get("name", kwargs.get("instrumenting_module_name"))
