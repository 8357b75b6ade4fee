"""groq: chat, transcriptions, translations and speech."""

from __future__ import annotations

from typing import ClassVar

from ._instrumentor import ClientInstrumentor
from ._patch import Patches
from ._telemetry import Telemetry
from .openai import CHAT, SPEECH, TRANSCRIPTION, patch_resources


class GroqInstrumentor(ClientInstrumentor):
    """Spans for the calls of the groq client, which speaks OpenAI's API. See `ClientInstrumentor`."""

    client: ClassVar[str] = "groq"
    requires: ClassVar[tuple[str, ...]] = ("groq >=0.37,<2",)

    def _patch(self, patches: Patches, telemetry: Telemetry) -> None:
        patch_resources(
            patches,
            telemetry,
            (
                ("groq.resources.chat.completions", "Completions", "create", CHAT),
                ("groq.resources.audio.transcriptions", "Transcriptions", "create", TRANSCRIPTION),
                ("groq.resources.audio.translations", "Translations", "create", TRANSCRIPTION),
                ("groq.resources.audio.speech", "Speech", "create", SPEECH),
            ),
            provider="groq",
        )
