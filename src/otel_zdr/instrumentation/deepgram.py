"""Deepgram (`deepgram-sdk`): prerecorded and live transcription, Flux, speech over REST and WebSocket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ._instrumentor import ClientInstrumentor


class DeepgramInstrumentor(ClientInstrumentor):
    """Spans for the calls of `deepgram-sdk`."""

    client: ClassVar[str] = "deepgram"
    requires: ClassVar[tuple[str, ...]] = ("deepgram-sdk >=5,<8",)
    patching: ClassVar[Mapping[str, str]] = {"deepgram": "._deepgram"}
