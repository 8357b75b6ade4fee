"""The inner functions of the package, found by looking, and a way to make one of them fail everywhere."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import otel_zdr.catalogue
import otel_zdr.policy
import otel_zdr.redaction
import otel_zdr.sdk
import otel_zdr.workspaces

PACKAGES = (otel_zdr.sdk, otel_zdr.redaction, otel_zdr.catalogue, otel_zdr.policy)
#: What runs the gate in another process or at build time, and the module that would start it on import.
_ELSEWHERE = (
    "otel_zdr.sdk.startup",
    "otel_zdr.sdk.distro",
    "otel_zdr.sdk.configurator",
    "otel_zdr.catalogue.build",
)
#: Methods that the SDK or the application itself calls: nothing of ours stands above them to catch.
_OUTERMOST = {
    "RedactingAttributes": (
        "__setitem__",
        "_set_items",
        "__delitem__",
        "__getitem__",
        "__iter__",
        "__len__",
        "__repr__",
        "__deepcopy__",
        "copy",
        "items",
    ),
    "WatchingAttributes": ("__setitem__", "_set_items"),
    "RedactingList": ("append", "extend"),
    "StoredValues": ("__setitem__", "update", "setdefault", "__ior__", "__reduce__"),
    "workspace": ("__init__", "__enter__", "__exit__", "__aenter__", "__aexit__", "__call__"),
    "otel_zdr.sdk.activation": ("install", "activate", "reset", "pre_instrument"),
}
Member = tuple[Any, str]


def modules() -> list[types.ModuleType]:
    """The modules of the packages under test."""
    found = [otel_zdr.workspaces]
    for package in PACKAGES:
        found.append(package)
        found.extend(_below(package))
    return found


def _below(package: types.ModuleType) -> Iterator[types.ModuleType]:
    for part in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if part.name not in _ELSEWHERE:
            module = importlib.import_module(part.name)
            yield module
            if part.ispkg:
                yield from _below(module)


def members() -> list[Member]:
    """(owner, name) of every function and method that the package defines, but the wrappers' makers."""
    found: list[Member] = []
    for module in modules():
        for name, member in vars(module).items():
            if inspect.isfunction(member) and member.__module__ == module.__name__:
                if not name.startswith("patched_") and name not in _OUTERMOST.get(module.__name__, ()):
                    found.append((module, name))
            elif inspect.isclass(member) and member.__module__ == module.__name__:
                found.extend((member, method) for method in _methods(member))
    return found


def _methods(cls: type) -> Iterator[str]:
    for name, member in vars(cls).items():
        if name in _OUTERMOST.get(cls.__name__, ()):
            continue
        if isinstance(member, types.FunctionType | classmethod | staticmethod | property):
            yield name


def label(member: Member) -> str:
    """A readable id of a test."""
    owner, name = member
    prefix = owner.__name__ if inspect.ismodule(owner) else f"{owner.__module__}.{owner.__name__}"
    return f"{prefix.removeprefix('otel_zdr.')}.{name}"


def code_of(member: Member) -> types.CodeType | None:
    """The code that runs when the member is called."""
    owner, name = member
    found = vars(owner)[name]
    if isinstance(found, property):
        found = found.fget
    found = getattr(found, "__func__", found)
    return getattr(inspect.unwrap(found), "__code__", None) if callable(found) else None


def called_by(use: Callable[[], None]) -> set[types.CodeType]:
    """The code objects that run in this thread and those it starts while ``use`` runs."""
    seen: set[types.CodeType] = set()

    def notice(frame: types.FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            seen.add(frame.f_code)

    threading.setprofile(notice)
    sys.setprofile(notice)
    try:
        use()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return seen


class Fault:
    """Makes one member raise, wherever it was imported to, and counts how often it did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, member: Member) -> None:
        self.calls = 0
        owner, name = member
        original = vars(owner)[name]

        def fail(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            # The text of the exception holds what was being cleaned, as exceptions do.
            raise RuntimeError(f"failed on {_shown(args)} {_shown(kwargs)}")

        if isinstance(original, property):
            monkeypatch.setattr(owner, name, property(fail, fail))
        elif isinstance(original, classmethod):
            monkeypatch.setattr(owner, name, classmethod(fail))
        elif isinstance(original, staticmethod):
            monkeypatch.setattr(owner, name, staticmethod(fail))
        elif inspect.isclass(owner):
            monkeypatch.setattr(owner, name, fail)
        else:
            for module in list(sys.modules.values()):
                if getattr(module, "__name__", "").startswith("otel_zdr"):
                    for key, value in list(vars(module).items()):
                        if value is original:
                            monkeypatch.setattr(module, key, fail)


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception:
        return "?"
