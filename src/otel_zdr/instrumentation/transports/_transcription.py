"""Speech to text: what requests and answers of `/stt/v1/transcribe`, `:async` and the WebSocket say.

The audio billed is `usage.transcribedAudioMs`. Without it, the length of the audio sent is taken where it
can be told: raw samples of known rate. The upstream provider is the first part of `modelId`
(`groq/whisper-large-v3`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import _hints
from .. import _semconv as semconv
from .._call import Call
from .._read import items
from .._streams import Observer
from .._telemetry import Telemetry
from ._answers import Document, keep_for
from ._exchange import PROVIDER, Exchange
from ._request import Request, count, pick
from ._skim import METADATA, TEXT

_RAW = frozenset({"LINEAR16", "PCM", "PCM16", "PCM_S16LE", "MULAW", "ALAW"})
_BYTES_PER_SAMPLE = {"MULAW": 1, "ALAW": 1}


def attributes(model: object) -> dict[str, Any]:
    """Who transcribes, by the model's name."""
    if not isinstance(model, str):
        return {}
    upstream, slash, _ = model.partition("/")
    return {semconv.ZDR_PROVIDER: upstream.lower() if slash else "inworld"}


def content_in(call: Call, config: Any) -> None:
    """Prompts bias the recognition towards names and phrases: content."""
    if call.wants_content:
        prompts = pick(config, "prompts")
        if isinstance(prompts, str):
            prompts = [prompts]
        texts = [text for text in items(prompts) if isinstance(text, str)]
        if texts:
            call.text_in("\n".join(texts))


class Audio:
    """How much audio was sent, as far as it can be told without decoding it."""

    __slots__ = ("_bytes", "_rate")

    def __init__(self, config: Any) -> None:
        self._bytes = 0
        self._rate = _bytes_per_second(config)

    def base64(self, content: object) -> None:
        """A piece in base64, or its length where it was passed over."""
        size = len(content) if isinstance(content, str) else count(content)
        if size is not None:
            self._bytes += size * 3 // 4

    def raw(self, size: int) -> None:
        """A piece of so many bytes."""
        self._bytes += size

    @property
    def seconds(self) -> float | None:
        """Its length, None when the encoding does not tell."""
        return self._bytes / self._rate if self._rate and self._bytes else None


def _bytes_per_second(config: Any) -> int | None:
    encoding = pick(config, "audioEncoding")
    rate = count(pick(config, "sampleRateHertz"))
    if not isinstance(encoding, str) or encoding.upper() not in _RAW or not rate:
        return None
    channels = count(pick(config, "numberOfChannels")) or 1
    return rate * channels * _BYTES_PER_SAMPLE.get(encoding.upper(), 2)


class Heard(Observer):
    """Usage and transcript of one transcription, in one answer or many."""

    __slots__ = ("_finals", "_milliseconds", "_model", "audio")

    def __init__(self, audio: Audio) -> None:
        super().__init__()
        self.audio = audio
        self._milliseconds: int | None = None
        self._model: Any = None
        self._finals: list[str] = []

    def chunk(self, call: Call, item: Any) -> None:
        """An answer, or a message of the WebSocket: `{"result": {…}}`."""
        result = pick(item, "result")
        answer = item if result is None else result
        usage = pick(answer, "usage")
        heard = count(pick(usage, "transcribedAudioMs"))
        if heard is not None:
            self._milliseconds = heard + (self._milliseconds or 0)
        model = pick(usage, "modelId")
        if model:
            self._model = model
        if call.wants_content:
            transcription = pick(answer, "transcription")
            words = pick(transcription, "transcript")
            if isinstance(words, str) and words and pick(transcription, "isFinal") is not False:
                self._finals.append(words)

    def finish(self, call: Call) -> None:
        heard = self._milliseconds
        call.audio_seconds(self.audio.seconds if heard is None else heard / 1000)
        call.response(model=self._model)
        if call.wants_content and self._finals:
            call.text_out(" ".join(self._finals))


def config_of(fields: Mapping[str, Any]) -> Any:
    """The `transcribeConfig` of a request or message."""
    return pick(fields, "transcribeConfig")


def transcribe(telemetry: Telemetry, request: Request, _: str) -> Exchange | None:
    call, audio = begin(telemetry, request)
    if call is None:
        return None
    heard = Heard(audio)

    def read(call: Call, document: Any) -> None:
        heard.chunk(call, document)
        heard.finish(call)

    return Exchange(call, lambda _: Document(keep_for(call), read))


def begin(telemetry: Telemetry, request: Request) -> tuple[Call | None, Audio]:
    fields = request.fields(METADATA)
    config = config_of(fields)
    model = pick(config, "modelId")
    call = telemetry.begin(
        semconv.SPEECH_TO_TEXT,
        provider=PROVIDER,
        product=semconv.STT,
        model=model,
        server=request.server,
        attributes=attributes(model),
    )
    audio = Audio(config)
    audio.base64(pick(pick(fields, "audioData"), "content"))
    if call is not None:
        _hints.tighten(call, key=request.key)
        if call.wants_content:
            content_in(call, config_of(request.fields(TEXT)))
    return call, audio
