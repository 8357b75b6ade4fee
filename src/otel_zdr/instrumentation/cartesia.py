"""Cartesia: speech as bytes, server-sent events or over a WebSocket, batch transcription, voice cloning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ._instrumentor import ClientInstrumentor


class CartesiaInstrumentor(ClientInstrumentor):
    """Spans for the calls of `cartesia`."""

    client: ClassVar[str] = "cartesia"
    requires: ClassVar[tuple[str, ...]] = ("cartesia >=3,<5",)
    patching: ClassVar[Mapping[str, str]] = {"cartesia": "._cartesia"}
