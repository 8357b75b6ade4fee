"""The distro ``zdr``: the stock defaults, with the gate in place before the SDK is imported."""

from __future__ import annotations

import os
from typing import Any

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]

from otel_zdr.sdk.activation import activate

_DEFAULTS = {
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
}


class ZDRDistro(BaseDistro):  # type: ignore[misc]
    """``OTEL_PYTHON_DISTRO=zdr``."""

    # BaseDistro is a singleton by class attribute: without one of its own, a subclass returns whatever
    # distro was made before it.
    _instance = None

    def _configure(self, **kwargs: Any) -> None:
        activate()
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
