"""inworld-tts: one span for each call of `InworldTTS`, however many requests it makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ._instrumentor import ClientInstrumentor


class InworldInstrumentor(ClientInstrumentor):
    """Spans for `inworld-tts`: synthesis, streams, and making voices."""

    client: ClassVar[str] = "inworld"
    requires: ClassVar[tuple[str, ...]] = ("inworld-tts >=1.0,<2",)
    patching: ClassVar[Mapping[str, str]] = {"inworld_tts": "._inworld"}
