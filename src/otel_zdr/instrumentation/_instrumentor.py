"""The base of our instrumentors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)

from otel_zdr.import_hooks import when_imported
from otel_zdr.version import VERSION

if TYPE_CHECKING:
    from ._patch import Patches
    from ._telemetry import Telemetry

_log = logging.getLogger(__name__)


class ClientInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """One client library. Subclasses set the class variables.

    `instrument(tracer_provider=None, meter_provider=None, logger_provider=None)` and `uninstrument()` are
    those of every OpenTelemetry instrumentor. A client that is not installed is passed over quietly, one
    whose version is out of range with one line that says so.

    The launcher loads every instrumentor in every process, whatever that process uses. So the modules of the
    subclasses hold nothing but these variables, and what patches a client is imported when the client is.

    Class variables:
        client: the name of the client, last part of the scope `otel_zdr.instrumentation.<client>`.
        requires: requirements such as `"openai >=2.54,<4"`. Empty: always instrumented.
        patching: for each package that is waited for, the module here that patches it. Its
            `patch(patches, get_telemetry)` applies `patches.wrap(module, name, wrapper)` for each method.
        out_of_range: the level of the line about a version out of range.
    """

    client: ClassVar[str]
    requires: ClassVar[tuple[str, ...]]
    patching: ClassVar[Mapping[str, str]]
    out_of_range: ClassVar[int] = logging.WARNING

    _active: _Patching | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        return self.requires

    def instrument(self, **kwargs: Any) -> Any:
        """Patch the client. See `opentelemetry.instrumentation.instrumentor.BaseInstrumentor.instrument`."""
        if not kwargs.get("skip_dep_check", False):
            conflict = self._check_dependency_conflicts()
            if conflict is not None:
                if conflict.found:
                    self._say_out_of_range(conflict)
                    return None
                if not kwargs.get("raise_exception_on_conflict", False):
                    _log.debug("%s is not instrumented: it is not installed", self.client)
                    return None
        return super().instrument(**kwargs)

    def _is_out_of_range(self) -> bool:
        """Whether a version is installed that is not worked with; says so."""
        conflict = self._check_dependency_conflicts()
        if conflict is None or not conflict.found:
            return False
        self._say_out_of_range(conflict)
        return True

    def _say_out_of_range(self, conflict: Any) -> None:
        _log.log(
            self.out_of_range,
            "%s is not instrumented: this version works with %s, installed is %s",
            self.client,
            conflict.required,
            conflict.found,
        )

    def _instrument(self, **kwargs: Any) -> None:
        scope = f"otel_zdr.instrumentation.{self.client}"
        # Asked again: the launcher has every instrumentor skip the check, as if it had made it, but looks only at
        # what a distribution of a single instrumentor says of itself.
        self._active = _Patching(scope, kwargs, self._is_out_of_range)
        for package, module in self.patching.items():
            when_imported(package, partial(self._active.apply, module))

    def _uninstrument(self, **kwargs: Any) -> None:
        active, self._active = self._active, None
        if active is not None:
            active.remove()


class _Patching:
    """The patches between one `instrument` and the `uninstrument` that follows."""

    def __init__(self, scope: str, providers: Mapping[str, Any], is_out_of_range: Callable[[], bool]) -> None:
        self._scope = scope
        self._providers = providers
        self._is_out_of_range = is_out_of_range
        self._lock = threading.Lock()
        self._patches: Patches | None = None
        self._telemetry: Telemetry | None = None
        self._removed = False

    def apply(self, module: str, _package: Any) -> None:
        """Have `module` patch the package that has been imported. Never raises."""
        try:
            if self._is_out_of_range():
                return

            from . import _hosts
            from ._patch import Patches

            patch = import_module(module, __package__).patch
            with self._lock:
                if self._removed:
                    return
                if self._patches is None:
                    _hosts.forget()
                    self._patches = Patches()
            patch(self._patches, self._get_telemetry)
        except Exception as exc:
            _log.warning("%s is not instrumented: %s", self._scope, type(exc).__qualname__)

    def _get_telemetry(self) -> Telemetry:
        from ._telemetry import Telemetry

        with self._lock:
            if self._telemetry is None:
                given = (f"{signal}_provider" for signal in ("tracer", "meter", "logger"))
                providers = {name: self._providers.get(name) for name in given}
                self._telemetry = Telemetry(self._scope, VERSION, **providers)
            return self._telemetry

    def remove(self) -> None:
        """Take them back, and apply none from now on."""
        with self._lock:
            self._removed = True
        if self._patches is not None:
            self._patches.remove()
