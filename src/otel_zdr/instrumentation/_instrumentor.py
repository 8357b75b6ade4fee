"""The base of our instrumentors."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from otel_zdr.version import VERSION

from . import _hosts
from ._patch import Patches
from ._telemetry import Telemetry

_log = logging.getLogger(__name__)


class ClientInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """One client library. Subclasses set the class variables and `_patch`.

    `instrument(tracer_provider=None, meter_provider=None, logger_provider=None)` and `uninstrument()` are
    those of every OpenTelemetry instrumentor. A client that is not installed is passed over quietly, one
    whose version is out of range with one line that says so.

    Class variables:
        client: the name of the client, last part of the scope `otel_zdr.instrumentation.<client>`.
        requires: requirements such as `"openai >=2.54,<4"`. Empty: always instrumented.
        out_of_range: the level of the line about a version out of range.
    """

    client: ClassVar[str]
    requires: ClassVar[tuple[str, ...]]
    out_of_range: ClassVar[int] = logging.WARNING

    _patches: Patches | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        return self.requires

    def instrument(self, **kwargs: Any) -> Any:
        """Patch the client. See `opentelemetry.instrumentation.instrumentor.BaseInstrumentor.instrument`."""
        if not kwargs.get("skip_dep_check", False):
            conflict = self._check_dependency_conflicts()
            if conflict is not None:
                if conflict.found:
                    _log.log(
                        self.out_of_range,
                        "%s is not instrumented: this version works with %s, installed is %s",
                        self.client,
                        conflict.required,
                        conflict.found,
                    )
                    return None
                if not kwargs.get("raise_exception_on_conflict", False):
                    _log.debug("%s is not instrumented: it is not installed", self.client)
                    return None
        return super().instrument(**kwargs)

    def _instrument(self, **kwargs: Any) -> None:
        telemetry = Telemetry(
            f"otel_zdr.instrumentation.{self.client}",
            VERSION,
            tracer_provider=kwargs.get("tracer_provider"),
            meter_provider=kwargs.get("meter_provider"),
            logger_provider=kwargs.get("logger_provider"),
        )
        _hosts.forget()
        self._patches = Patches()
        self._patch(self._patches, telemetry)

    def _uninstrument(self, **kwargs: Any) -> None:
        patches, self._patches = self._patches, None
        if patches is not None:
            patches.remove()

    @abstractmethod
    def _patch(self, patches: Patches, telemetry: Telemetry) -> None:
        """Apply `patches.wrap(module, name, sync_call(operation) or async_call(operation))` for each
        method.
        """
