"""Patches of client classes that can be taken back, also from under somebody else's."""

from __future__ import annotations

import importlib
import inspect
import sys
import threading
from collections.abc import Iterator
from logging import getLogger
from typing import TYPE_CHECKING, Any

import wrapt

if TYPE_CHECKING:
    from ._wrap import Wrapper

_log = getLogger(__name__)


class _Patch(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """Tells our wrappers from others' in a chain."""


class Patches:
    """All patches of one instrumentor.

    They are applied when the client's module is imported, so that no client is imported for telemetry's sake.
    `remove` takes each out of its chain of wrappers; where it cannot (a foreign wrapper keeps it in a
    closure), it passes through from then on.
    """

    def __init__(self) -> None:
        self._enabled = True
        self._applied: list[tuple[Any, str, _Patch, bool]] = []

    def wrap(self, module: str, name: str, wrapper: Wrapper) -> None:
        """Wrap `name` (`"Class.method"` or `"function"`) of `module`, now or when it is imported. Never
        raises.

        A target that this version of the client does not have is skipped with a debug line.
        """

        def apply(loaded: Any) -> None:
            if not self._enabled:
                return
            try:
                self._apply(loaded, name, wrapper)
            except Exception as exc:
                _log.debug("%s.%s is not instrumented: %s", module, name, type(exc).__qualname__)

        try:
            loaded = sys.modules.get(module)
            if loaded is not None:
                apply(loaded)
            else:
                wrapt.register_post_import_hook(apply, module)
        except Exception as exc:
            _log.debug("%s.%s is not instrumented: %s", module, name, type(exc).__qualname__)

    def wrap_method(self, owner: type, name: str, wrapper: Wrapper) -> None:
        """Wrap the method `name` of a class that is at hand, unless it is wrapped so already. Never raises."""
        try:
            if self._enabled and not _is_wrapped(vars(owner).get(name), wrapper):
                with _applying:
                    if not _is_wrapped(vars(owner).get(name), wrapper):
                        self._apply_to(owner, name, wrapper)
        except Exception as exc:
            _log.debug("%s.%s is not observed: %s", owner.__qualname__, name, type(exc).__qualname__)

    def _apply(self, loaded: Any, name: str, wrapper: Wrapper) -> None:
        owner: Any = loaded
        *path, attribute = name.split(".")
        for part in path:
            owner = getattr(owner, part)
        self._apply_to(owner, attribute, wrapper)

    def _apply_to(self, owner: Any, attribute: str, wrapper: Wrapper) -> None:
        inherited = attribute not in vars(owner)
        original = (
            inspect.getattr_static(owner, attribute) if isinstance(owner, type) else getattr(owner, attribute)
        )
        if isinstance(original, _Patch) and original._self_wrapper == wrapper:
            return  # a second name, in another module, of a class that is wrapped already
        patch = _Patch(original, wrapper, self._is_enabled)
        setattr(owner, attribute, patch)
        self._applied.append((owner, attribute, patch, inherited))

    def _is_enabled(self) -> bool:
        return self._enabled

    def remove(self) -> None:
        """Switch every patch off, then take it out. Never raises."""
        self._enabled = False
        while self._applied:
            owner, attribute, patch, inherited = self._applied.pop()
            try:
                _take_out(owner, attribute, patch, inherited)
            except Exception as exc:
                _log.debug("a patch stays, switched off: %s", type(exc).__qualname__)


_applying = threading.Lock()


def layers(outermost: Any) -> Iterator[Any]:
    """A function and what it wraps, from the outside in; at most 32 of them, as others can make a ring."""
    layer = outermost
    for _ in range(32):
        if layer is None:
            return
        yield layer
        layer = getattr(layer, "__wrapped__", None)


def _is_wrapped(layer: Any, wrapper: Wrapper) -> bool:
    """Whether a patch with this wrapper that is switched on, of whichever instrumentor, is among the layers."""
    for each in layers(layer):
        if isinstance(each, _Patch) and each._self_wrapper is wrapper:
            is_enabled: Any = each._self_enabled
            if is_enabled():
                return True
    return False


def _take_out(owner: Any, attribute: str, patch: _Patch, inherited: bool) -> None:
    layer = vars(owner).get(attribute)
    if layer is patch:
        if inherited:
            delattr(owner, attribute)
        else:
            setattr(owner, attribute, patch.__wrapped__)
        return
    for each in layers(layer):
        if getattr(each, "__wrapped__", None) is patch:
            # Setting `__wrapped__` reroutes a wrapt proxy; on a plain function it would be a lie.
            if isinstance(each, (wrapt.FunctionWrapper, wrapt.ObjectProxy)):
                each.__wrapped__ = patch.__wrapped__
            return


def load(module: str) -> Any:
    """Import `module` if the client is there, else None."""
    try:
        return importlib.import_module(module)
    except Exception:
        return None
