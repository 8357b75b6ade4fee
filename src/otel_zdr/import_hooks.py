"""Call back when a module has been imported.

wrapt offers the same. Importing it brings asyncio along, some 30 ms in every interpreter that is started where an
``OTEL_ZDR_*`` variable is set, also in those that never use OpenTelemetry; this module brings nothing.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

_lock = threading.RLock()
_waiting: dict[str, list[Callable[[Any], None]]] = {}
_listening: dict[str, list[Callable[[Any], None]]] = {}
_looking = threading.local()


def when_imported(name: str, call: Callable[[Any], None], *, each_time: bool = False) -> None:
    """Call ``call(module)`` when the module ``name`` has been imported, now if it is already.

    ``call`` must not raise: what it raises comes out of the import.

    Args:
        each_time: call again whenever its code has run again: it was taken out of ``sys.modules`` and imported
            once more, or reloaded.
    """
    with _lock:
        module = sys.modules.get(name)
        if module is None or each_time:
            (_listening if each_time else _waiting).setdefault(name, []).append(call)
            if _finder not in sys.meta_path:
                sys.meta_path.insert(0, _finder)
        if module is None:
            return
    call(module)


def _arrived(name: str, module: Any) -> None:
    with _lock:
        calls = _waiting.pop(name, []) + _listening.get(name, [])
    for call in calls:
        call(module)


class _Finder:
    """Finds nothing itself: lets the others find what is waited for, and has the loader say when it is done."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _waiting and name not in _listening:
            return None
        names: set[str] = _looking.__dict__.setdefault("names", set())
        if name in names:
            return None  # another finder of this kind asks all finders in its turn
        names.add(name)
        try:
            for finder in list(sys.meta_path):
                find = getattr(finder, "find_spec", None)
                spec = find(name, path, target) if find is not None and finder is not self else None
                if spec is not None:
                    _announce(spec, name)
                    return spec
        finally:
            names.discard(name)
        return None


def _announce(spec: Any, name: str) -> None:
    """Have the loader call :func:`_arrived` after it has run the module's code."""
    loader = spec.loader
    execute = getattr(loader, "exec_module", None)
    if execute is None:
        return

    def exec_module(module: Any) -> None:
        execute(module)
        if getattr(module, "__name__", None) == name:
            _arrived(name, module)

    try:
        # On this one object, which stays what it is for whoever asks the module for its loader.
        loader.exec_module = exec_module
    except (AttributeError, TypeError):
        spec.loader = _Loader(loader, exec_module)


class _Loader:
    """A loader in the place of one that nothing can be set on."""

    def __init__(self, loader: Any, exec_module: Callable[[Any], None]) -> None:
        self._loader = loader
        self.exec_module = exec_module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


_finder = _Finder()
