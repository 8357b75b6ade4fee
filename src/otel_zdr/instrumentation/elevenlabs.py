"""ElevenLabs: speech (whole, streamed, with timestamps, from a stream of text), batch and live transcription."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ._instrumentor import ClientInstrumentor


class ElevenLabsInstrumentor(ClientInstrumentor):
    """Spans for the calls of `elevenlabs`."""

    client: ClassVar[str] = "elevenlabs"
    requires: ClassVar[tuple[str, ...]] = ("elevenlabs >=2,<3",)
    patching: ClassVar[Mapping[str, str]] = {"elevenlabs": "._elevenlabs"}
