"""Fake vendors on loopback, for `otel-zdr demo` and for the tests; needs the `demo` extra (aiohttp)."""

from otel_zdr.verify.fake_vendors.server import (
    FakeServer,
    Fault,
    Recorded,
    WebSocketSession,
    respond,
    stream,
    websocket,
)

__all__ = ["FakeServer", "Fault", "Recorded", "WebSocketSession", "respond", "stream", "websocket"]
