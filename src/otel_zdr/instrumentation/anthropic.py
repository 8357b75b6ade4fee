"""anthropic below 1: messages, also against Inworld's router."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import ClassVar

from ._instrumentor import ClientInstrumentor


class AnthropicInstrumentor(ClientInstrumentor):
    """Spans for the calls of the anthropic client below 1. See `ClientInstrumentor`."""

    client: ClassVar[str] = "anthropic"
    requires: ClassVar[tuple[str, ...]] = ("anthropic >=0.40,<1",)
    # Not a shortcoming: newer versions need no instrumentation.
    out_of_range: ClassVar[int] = logging.DEBUG
    patching: ClassVar[Mapping[str, str]] = {"anthropic": "._anthropic"}
