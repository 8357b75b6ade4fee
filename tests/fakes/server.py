"""The demo's server (`otel_zdr.verify.fake_vendors`) with every vendor of this folder added."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import tests.fakes
from otel_zdr.verify.fake_vendors import (
    FakeServer as DemoServer,
)
from otel_zdr.verify.fake_vendors import (
    Fault,
    Recorded,
    WebSocketSession,
    respond,
    stream,
    websocket,
)
from otel_zdr.verify.fake_vendors.server import sse

__all__ = ["FakeServer", "Fault", "Recorded", "WebSocketSession", "respond", "sse", "stream", "websocket"]


def vendors() -> list[ModuleType]:
    """Every module of tests/fakes that offers `add_routes(app)`."""
    modules = (
        importlib.import_module(f"tests.fakes.{found.name}")
        for found in pkgutil.iter_modules(tests.fakes.__path__)
    )
    return [module for module in modules if hasattr(module, "add_routes")]


class FakeServer(DemoServer):
    """All vendors on one port of 127.0.0.1."""

    def __init__(self) -> None:
        super().__init__(vendors())
