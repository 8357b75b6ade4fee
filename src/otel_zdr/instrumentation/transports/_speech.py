"""Text to speech: what requests and answers of `/tts/v1/voice`, `:stream` and the WebSocket say.

The characters billed are `usage.processedCharactersCount`, in streams the sum over all lines or messages.
Without any, the characters of the text that was sent are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import _hints
from .. import _semconv as semconv
from .._call import Call, message
from .._read import items, number
from .._streams import Observer
from .._telemetry import Telemetry
from ._answers import Document, Each, keep_for
from ._exchange import PROVIDER, Exchange, error_name
from ._request import Request, count, pick
from ._skim import TEXT, parse, skim


def attributes(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata of a request."""
    found: dict[str, Any] = {semconv.OUTPUT_TYPE: "speech"}
    temperature = number(fields.get("temperature"))
    if temperature is not None:
        found[semconv.REQUEST_TEMPERATURE] = temperature
    return found


def content_in(call: Call, fields: Mapping[str, Any]) -> None:
    """The text, what was said before it, and how to say it: content all of it."""
    if not call.wants_content:
        return
    earlier = items(pick(pick(fields, "synthesisContext"), "previousRequests"))
    texts = [pick(request, "text") for request in earlier] + [pick(fields, "text")]
    call.content(
        semconv.INPUT_MESSAGES, lambda: [message("user", text) for text in texts if isinstance(text, str)]
    )
    instruction = pick(fields, "instruction")
    if isinstance(instruction, str) and instruction:
        call.content(semconv.SYSTEM_INSTRUCTIONS, lambda: [{"type": "text", "content": instruction}])


def length(text: object) -> int:
    """Characters of a text; of one that was passed over, its bytes are all that is known."""
    if isinstance(text, str):
        return len(text)
    return text if isinstance(text, int) and not isinstance(text, bool) else 0


class Spoken(Observer):
    """Usage of one synthesis, in one answer or many.

    Args:
        sent: characters of the text sent, taken where the answers count nothing.

    Attributes:
        unread: what another thread collects for it, if any.
    """

    __slots__ = ("_counted", "_model", "_words", "sent", "unread")

    def __init__(self, sent: int = 0) -> None:
        super().__init__()
        self.sent = sent
        self.unread: Each | None = None
        self._counted: int | None = None
        self._model: Any = None
        self._words: list[str] = []

    def chunk(self, call: Call, item: Any) -> None:
        """An answer, or a line of one: `{"result": {…}}`."""
        error = pick(item, "error")
        if error is not None:
            call.error(error_name(error))
        result = pick(item, "result")
        self.read(call, item if result is None else result)

    def read(self, call: Call, answer: Any) -> None:
        """`{usage, timestampInfo}`, whichever of them there is."""
        usage = pick(answer, "usage")
        counted = count(pick(usage, "processedCharactersCount"))
        if counted is not None:
            self._counted = counted + (self._counted or 0)
        model = pick(usage, "modelId")
        if model:
            self._model = model
        if call.wants_content:
            self._words.extend(_words(pick(answer, "timestampInfo")))

    def digest(self, call: Call, lines: bytes, start: int, stop: int) -> None:
        """The usage in many lines. Each is mostly audio, so they are searched from their ends and none is
        parsed.
        """
        # Most lines end as the one before them did, which is told sooner than what their end says.
        find, before, length, repeated = lines.find, b"", 0, 0
        while (end := find(b"\n", start, stop)) >= 0:
            if length and end - length >= start and lines.startswith(before, end - length):
                repeated += 1
            else:
                at = lines.rfind(_USAGE, start, end)
                if at >= 0 and self.usage(lines[at + len(_USAGE) : end]):
                    self._repeat(before, repeated)
                    before, length, repeated = lines[at:end], end - at, 0
                elif at >= 0 or lines.startswith(b'{"error"', start):
                    self.chunk(call, skim(lines[start:end]))
            start = end + 1
        self._repeat(before, repeated)

    def _repeat(self, end: bytes, times: int) -> None:
        """Count the end of a line, from `_USAGE` on, so many times more."""
        if times:
            said = end[len(_USAGE) :]
            counted = (_usages.get(said) or _remember(said))[1]
            if counted is not None:
                self._counted = counted * times + (self._counted or 0)

    def usage(self, said: bytes | str) -> bool:
        """What follows the key, up to the end of the line: `: {…}` and whatever stands behind it.

        Returns whether it was that; else what was taken for the key is a word that was spoken.
        """
        return self._add(_usages.get(said) or _remember(said))

    def _add(self, usage: tuple[bool, int | None, Any]) -> bool:
        is_usage, counted, model = usage
        if counted is not None:
            self._counted = counted + (self._counted or 0)
        if model:
            self._model = model
        return is_usage

    def finish(self, call: Call) -> None:
        call.characters(self.sent if self._counted is None else self._counted)
        call.response(model=self._model)
        if call.wants_content and self._words:
            call.text_out(" ".join(self._words))


_USAGE = b'"usage"'
_usages: dict[bytes | str, tuple[bool, int | None, Any]] = {}


def _remember(said: bytes | str) -> tuple[bool, int | None, Any]:
    usage = _read_usage(said)
    # The counts of a stream's pieces are small and few.
    if len(_usages) < 1024 and len(said) < 256:
        _usages[said] = usage
    return usage


def _read_usage(said: bytes | str) -> tuple[bool, int | None, Any]:
    if isinstance(said, str):
        said = said.encode()
    colon, _, document = said.partition(b":")
    usage = None if colon.strip() else parse(document[: document.find(b"}") + 1])
    return isinstance(usage, dict), count(pick(usage, "processedCharactersCount")), pick(usage, "modelId")


def _words(timestamps: Any) -> Iterable[str]:
    words = pick(pick(timestamps, "wordAlignment"), "words")
    return [word for word in items(words) if isinstance(word, str)]


def speak(telemetry: Telemetry, request: Request, _: str) -> Exchange | None:
    return _open_speech(telemetry, request, stream=False)


def speak_stream(telemetry: Telemetry, request: Request, _: str) -> Exchange | None:
    return _open_speech(telemetry, request, stream=True)


def _open_speech(telemetry: Telemetry, request: Request, *, stream: bool) -> Exchange | None:
    fields = request.fields(TEXT)
    call = telemetry.begin(
        semconv.TEXT_TO_SPEECH,
        provider=PROVIDER,
        product=semconv.TTS,
        model=pick(fields, "modelId"),
        stream=stream,
        server=request.server,
        attributes=attributes(fields),
    )
    if call is None:
        return None
    _hints.tighten(call, voice=pick(fields, "voiceId"), key=request.key)
    content_in(call, fields)
    spoken = Spoken(length(pick(fields, "text")))

    def answer(content_type: str) -> Observer:
        if stream:
            return Each(keep_for(call), spoken, digest=spoken.digest)

        def read(call: Call, document: Any) -> None:
            spoken.chunk(call, document)
            spoken.finish(call)

        return Document(keep_for(call), read)

    return Exchange(call, answer)
