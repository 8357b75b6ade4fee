"""Soniox: file transcription, live transcription, speech over REST and WebSocket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .._instrumentor import ClientInstrumentor

__all__ = ["SonioxInstrumentor"]


class SonioxInstrumentor(ClientInstrumentor):
    """Spans for the calls of `soniox`."""

    client: ClassVar[str] = "soniox"
    requires: ClassVar[tuple[str, ...]] = ("soniox >=2,<3",)
    patching: ClassVar[Mapping[str, str]] = {"soniox": ".soniox._patching"}
