"""AssemblyAI: prerecorded transcription (blocking, in its thread pool, asyncio) and streaming v3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ._instrumentor import ClientInstrumentor


class AssemblyAIInstrumentor(ClientInstrumentor):
    """Spans for the calls of `assemblyai`."""

    client: ClassVar[str] = "assemblyai"
    requires: ClassVar[tuple[str, ...]] = ("assemblyai >=0.65,<2",)
    patching: ClassVar[Mapping[str, str]] = {"assemblyai": "._assemblyai"}
