"""Interpreter start (the ``.pth`` hook): wait for the SDK, then put the gate in place.

Runs only where an ``OTEL_ZDR_*`` variable is set. Nothing of the SDK is imported here: a process that
never uses OpenTelemetry pays for one import hook.
"""

from __future__ import annotations

from typing import Any

_SIGNALS = ("opentelemetry.sdk.trace", "opentelemetry.sdk._logs", "opentelemetry.sdk.metrics")
_waiting = True


def _on_import(_module: Any) -> None:
    global _waiting
    if not _waiting:
        return
    _waiting = False
    from otel_zdr.sdk import activation

    activation.activate_when_imported()


def wait_for_sdk() -> None:
    """Register the hooks. Never raises: a broken start must not break the interpreter."""
    try:
        from otel_zdr.import_hooks import when_imported

        for name in _SIGNALS:
            when_imported(name, _on_import)
    except Exception as error:
        import sys

        sys.stderr.write(f"otel-zdr: cannot wait for the OpenTelemetry SDK ({type(error).__name__})\n")


wait_for_sdk()
