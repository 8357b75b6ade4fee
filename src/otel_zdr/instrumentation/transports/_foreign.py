"""Whether a request is part of a model call that somebody else's span covers already."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.trace import SpanKind, get_current_span

# Operations that are one call to a model; agents and workflows contain several and must not hide them.
_CALLS = frozenset(
    {
        "chat",
        "text_completion",
        "generate_content",
        "completion",
        "text_to_speech",
        "speech_to_text",
        "transcription",
    }
)


def covered() -> bool:
    """Whether the current span is one that another instrumentor made for this very call.

    Recognised are client spans of the GenAI conventions, and OpenInference's kind LLM.
    """
    span = get_current_span()
    attributes = getattr(span, "attributes", None)
    if not isinstance(attributes, Mapping):
        return False
    if attributes.get("openinference.span.kind") == "LLM":
        return True
    if getattr(span, "kind", None) is not SpanKind.CLIENT:
        return False
    return attributes.get("gen_ai.operation.name") in _CALLS or "llm.request.type" in attributes
