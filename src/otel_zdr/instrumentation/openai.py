"""openai, against OpenAI, a compatible server or Inworld's router."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ._instrumentor import ClientInstrumentor


class OpenAIInstrumentor(ClientInstrumentor):
    """Spans for the calls of the openai client. See `ClientInstrumentor`."""

    client: ClassVar[str] = "openai"
    requires: ClassVar[tuple[str, ...]] = ("openai >=2.54,<4",)
    patching: ClassVar[Mapping[str, str]] = {"openai": "._openai"}
