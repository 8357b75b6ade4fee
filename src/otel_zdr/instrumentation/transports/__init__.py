"""Inworld over plain HTTP and WebSockets: requests, httpx, httpx2, aiohttp and websockets, by host and path.

Speech to text and the router have no SDK of their own, so applications speak to them with any HTTP library.
Requests to other hosts than `OTEL_ZDR_INWORLD_HOSTS` pass untouched. Calls that a client's own instrumentor
covers are nested in its span and make none here; spans of HTTP instrumentors are another layer and stay.
"""

from __future__ import annotations

from typing import ClassVar

from .._instrumentor import ClientInstrumentor
from .._patch import Patches
from .._telemetry import Telemetry
from . import _aiohttp, _httpx, _requests, _websockets

__all__ = ["InworldTransportInstrumentor"]


class InworldTransportInstrumentor(ClientInstrumentor):
    """One span for each call to Inworld's API over an HTTP or WebSocket library."""

    client: ClassVar[str] = "transports"
    # Any of the libraries will do, and each is patched when it is imported.
    requires: ClassVar[tuple[str, ...]] = ()

    def _patch(self, patches: Patches, telemetry: Telemetry) -> None:
        for transport in (_requests, _httpx, _aiohttp, _websockets):
            transport.patch(patches, telemetry)
