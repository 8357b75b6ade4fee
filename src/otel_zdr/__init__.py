"""Zero Data Retention for OpenTelemetry.

For a workspace under ZDR, nothing that goes through the OpenTelemetry SDK carries content to an
exporter, a queue, another vendor's processor or a disk; usage metadata does arrive.

The names below are the public API; everything else may move. They are loaded when first used, so that
importing the package costs a process nothing it does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_zdr import settings as _settings
from otel_zdr.errors import ConfigurationError

if TYPE_CHECKING:
    from otel_zdr.policy.coverage import coverage
    from otel_zdr.sdk.activation import install
    from otel_zdr.sdk.processors import ZDRLogRecordProcessor, ZDRSpanProcessor
    from otel_zdr.settings import Settings
    from otel_zdr.workspaces import workspace

__all__ = [
    "ConfigurationError",
    "Settings",
    "ZDRLogRecordProcessor",
    "ZDRSpanProcessor",
    "coverage",
    "install",
    "workspace",
]

_WHERE = {
    "Settings": "otel_zdr.settings",
    "ZDRLogRecordProcessor": "otel_zdr.sdk.processors",
    "ZDRSpanProcessor": "otel_zdr.sdk.processors",
    "coverage": "otel_zdr.policy.coverage",
    "install": "otel_zdr.sdk.activation",
    "workspace": "otel_zdr.workspaces",
}


def __getattr__(name: str) -> Any:
    where = _WHERE.get(name)
    if where is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(where), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _close_gate(reason: str) -> None:
    # G6: a bad setting closes the gate before it is an error. Wired here, because the settings are
    # below the SDK edge and know nothing of it.
    from otel_zdr.sdk.activation import close

    close(reason)


_settings.on_invalid = _close_gate

# Where packages stand in a folder that is no site directory (``pip install --target``, layers of functions) no
# interpreter reads our ``.pth`` file; then at least whoever uses the package gets what a variable asks for.
if _settings.is_variable_set():
    from otel_zdr.sdk import startup as _startup  # noqa: F401
