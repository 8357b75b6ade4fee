"""The configurator ``zdr``: apart from the distro, which is loaded first and puts the gate in place before
anything imports the SDK.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk._configuration import _OTelSDKConfigurator

from otel_zdr.sdk.activation import activate


class ZDRConfigurator(_OTelSDKConfigurator):
    """``OTEL_PYTHON_CONFIGURATOR=zdr``: the stock one, behind the gate."""

    # A singleton by class attribute: without one of its own, a subclass returns whatever was made before it.
    _instance = None

    def _configure(self, **kwargs: Any) -> None:
        activate()
        super()._configure(**kwargs)  # type: ignore[no-untyped-call]
