"""groq: chat, transcriptions, translations and speech."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ._instrumentor import ClientInstrumentor


class GroqInstrumentor(ClientInstrumentor):
    """Spans for the calls of the groq client, which speaks OpenAI's API. See `ClientInstrumentor`."""

    client: ClassVar[str] = "groq"
    requires: ClassVar[tuple[str, ...]] = ("groq >=0.37,<2",)
    patching: ClassVar[Mapping[str, str]] = {"groq": "._groq"}
