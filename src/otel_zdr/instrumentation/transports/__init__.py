"""Inworld over plain HTTP and WebSockets: requests, httpx, httpx2, aiohttp and websockets, by host and path.

Speech to text and the router have no SDK of their own, so applications speak to them with any HTTP library.
Requests to other hosts than `OTEL_ZDR_INWORLD_HOSTS` pass untouched. Calls that a client's own instrumentor
covers are nested in its span and make none here; spans of HTTP instrumentors are another layer and stay.

requests and httpx are imported by most processes, if only for the exporter, and few of those speak to Inworld:
until the first request to one of its hosts only what looks at the URL is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .._instrumentor import ClientInstrumentor

__all__ = ["InworldTransportInstrumentor"]


class InworldTransportInstrumentor(ClientInstrumentor):
    """One span for each call to Inworld's API over an HTTP or WebSocket library."""

    client: ClassVar[str] = "transports"
    # Any of the libraries will do, and each is patched when it is imported.
    requires: ClassVar[tuple[str, ...]] = ()
    patching: ClassVar[Mapping[str, str]] = {
        "requests": ".transports._requests",
        "httpx": ".transports._httpx",
        "httpx2": ".transports._httpx",
        "aiohttp": ".transports._aiohttp",
        "websockets": ".transports._websockets",
    }
