"""Making voices: cloning from samples, designing from a description, publishing and renaming."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import _hints
from .. import _semconv as semconv
from .._call import Call
from .._telemetry import Telemetry
from ._answers import Document, keep_for
from ._exchange import PROVIDER, Exchange
from ._request import Request, pick
from ._skim import METADATA, TEXT


def _operation(
    operation: str, product: str, texts_in: tuple[str, ...]
) -> Callable[[Telemetry, Request, str], Exchange | None]:
    def opening(telemetry: Telemetry, request: Request, voice: str) -> Exchange | None:
        fields = request.fields(METADATA)
        call = telemetry.begin(operation, provider=PROVIDER, product=product, server=request.server)
        if call is None:
            return None
        _hints.tighten(call, voice=voice, key=request.key)
        call.served_by((PROVIDER,))
        if call.wants_content:
            fields = request.fields(TEXT)
            texts = [pick(fields, name) for name in texts_in]
            samples = pick(fields, "voiceSamples")
            if isinstance(samples, list):
                texts += [pick(sample, "transcription") for sample in samples]
            call.text_in("\n".join(item for item in texts if isinstance(item, str)))
        return Exchange(call, lambda _: Document(keep_for(call), voices_answer))

    return opening


def voices_answer(call: Call, document: Any) -> None:
    """What was heard in samples, or spoken in previews: content."""
    if not call.wants_content:
        return
    texts = [pick(item, "transcription") for item in pick(document, "audioSamplesValidated") or ()]
    texts += [pick(item, "previewText") for item in pick(document, "previewVoices") or ()]
    if texts:
        call.text_out("\n".join(item for item in texts if isinstance(item, str)))


_NAMES = ("displayName", "description")
clone = _operation(semconv.CLONE_VOICE, semconv.VOICE_CLONING, _NAMES)
design = _operation(semconv.DESIGN_VOICE, semconv.VOICE_DESIGN, ("designPrompt", "previewText"))
publish = _operation(semconv.PUBLISH_VOICE, semconv.VOICE_DESIGN, _NAMES)
update = _operation(semconv.UPDATE_VOICE, semconv.VOICE_DESIGN, _NAMES)
