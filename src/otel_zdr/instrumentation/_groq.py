"""groq: chat, transcriptions, translations and speech."""

from __future__ import annotations

from collections.abc import Callable

from ._openai import CHAT, SPEECH, TRANSCRIPTION, patch_resources
from ._patch import Patches
from ._telemetry import Telemetry


def patch(patches: Patches, get_telemetry: Callable[[], Telemetry]) -> None:
    telemetry = get_telemetry()
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
