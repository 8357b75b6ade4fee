"""Inworld's WebSockets: speech synthesis with a span for each context, transcription with one a session."""

from __future__ import annotations

import re
from functools import cache
from logging import getLogger
from typing import Any, Protocol

from .. import _hints
from .. import _semconv as semconv
from .._call import Call
from .._telemetry import Telemetry
from . import _speech, _transcription
from ._answers import keep_for
from ._exchange import PROVIDER, error_name
from ._request import Server, pick
from ._skim import METADATA, TEXT, skim
from ._watched import Observes

_log = getLogger(__name__)

CONNECTION_CLOSED = "ConnectionClosed"


class Conversation(Protocol):
    """What is spoken over one connection."""

    def begin(self, message: Any) -> None:
        """Start a call of which nothing is known yet."""
        ...

    def sent(self, message: Any) -> None: ...

    def received(self, message: Any) -> None: ...

    def calls(self) -> list[Call]:
        """Those that are open."""
        ...

    def settled(self, call: Call) -> bool:
        """Whether everything asked for has been answered, so that closing is no interruption."""
        ...


class Socket(Observes):
    """One connection, as its transport sees it. Every method is contained.

    Attributes:
        receiving: for the transport's use: how many waits for a message there are.
    """

    __slots__ = ("_protocol", "receiving")

    def __init__(self, protocol: Conversation) -> None:
        self._protocol = protocol
        self.receiving = 0

    def sent(self, message: Any) -> None:
        """Text or bytes about to be sent; anything else (an iterator of pieces) is not ours to read."""
        if isinstance(message, (str, bytes, bytearray, memoryview)):
            self._contained(self._protocol.sent, message)

    def received(self, message: Any) -> None:
        """Text or bytes that the application is about to get."""
        self._contained(self._protocol.received, message)

    def closed(self, reason: str | None = None) -> None:
        """The connection is closed in order: by the server, or with INTERRUPTED by the application."""
        for call in self._protocol.calls():
            call.end(None if self._protocol.settled(call) else reason)

    def failed(self, error: BaseException | None) -> None:
        """The connection broke, or was closed with an error code."""
        for call in self._protocol.calls():
            if error is None:
                call.fail_as(CONNECTION_CLOSED)
            else:
                call.fail(error)

    def refused(self, error: BaseException) -> None:
        """The connection was not opened: a call that failed before its first message."""
        self._contained(self._protocol.begin, None)
        self.failed(error)

    def _contained(self, read: Any, message: Any) -> None:
        try:
            read(message)
        except Exception as exc:
            _log.debug("a message was not read: %s", type(exc).__qualname__)


class _Speech:
    """Contexts on one connection; a context that is not named is the one without a name."""

    def __init__(self, telemetry: Telemetry, server: Server, key: str | None) -> None:
        self._telemetry = telemetry
        self._server = server
        self._key = key
        self._open: dict[Any, tuple[Call, _speech.Spoken]] = {}
        self._texts: dict[Any, list[str]] = {}
        self._pending: set[Any] = set()

    def sent(self, message: Any) -> None:
        fields = skim(message, TEXT)
        if not isinstance(fields, dict):
            return
        name = _name(fields)
        create = pick(fields, "create")
        text = pick(fields, "sendText")
        if name not in self._open and (create is not None or text is not None):
            self._begin(name, create)
        if text is not None and name in self._open:
            call, spoken = self._open[name]
            words = pick(text, "text")
            spoken.sent += _speech.length(words)
            self._pending.add(name)
            if call.wants_content and isinstance(words, str):
                texts = self._texts.setdefault(name, [])
                texts.append(words)
                call.text_in("".join(texts))

    def begin(self, message: Any) -> None:
        self._begin("", None)

    def _begin(self, name: Any, create: Any) -> None:
        call = self._telemetry.begin(
            semconv.TEXT_TO_SPEECH,
            provider=PROVIDER,
            product=semconv.TTS,
            model=pick(create, "modelId"),
            stream=True,
            server=self._server,
            attributes=_speech.attributes(create or {}),
        )
        if call is None:
            return
        _hints.tighten(call, voice=pick(create, "voiceId"), key=self._key)
        _speech.content_in(call, create or {})
        spoken = _speech.Spoken()
        call.on_end = spoken.finish
        self._open[name] = (call, spoken)

    def received(self, message: Any) -> None:
        if len(self._open) == 1 and self._usual_chunk(message):
            return
        wants = any(call.wants_content for call, _ in self._open.values())
        document = skim(message, TEXT if wants else METADATA)
        result = pick(document, "result")
        name = _name(result if result is not None else document)
        if name not in self._open and len(self._open) == 1 and not name:
            name = next(iter(self._open))
        found = self._open.get(name)
        if found is None:
            return
        call, spoken = found
        error = _error(document, result)
        if error is not None:
            self._forget(name)
            call.fail_as(error_name(error))
            return
        chunk = pick(result, "audioChunk")
        if chunk is not None:
            call.chunk()
            spoken.read(call, chunk)
        elif pick(result, "flushCompleted") is not None:
            self._pending.discard(name)
        elif pick(result, "contextClosed") is not None:
            self._forget(name)
            call.end()

    def _usual_chunk(self, message: Any) -> bool:
        """Whether `message` was a chunk of audio as most are, read without parsing it."""
        head = _chunk_pattern().match(message) if isinstance(message, str) else None
        found = self._open.get(head[1]) if head is not None else None
        if found is None:
            return False
        call, spoken = found
        at = message.find('"usage"', -_TAIL)
        if at < 0 or call.wants_content or message.find('"status"', at) >= 0:
            return False
        if not spoken.usage(message[at + 7 :]):
            return False
        call.chunk()
        return True

    def _forget(self, name: Any) -> None:
        self._open.pop(name, None)
        self._texts.pop(name, None)
        self._pending.discard(name)

    def calls(self) -> list[Call]:
        return [call for call, _ in list(self._open.values())]

    def settled(self, call: Call) -> bool:
        return all(self._open[name][0] is not call for name in self._pending if name in self._open)


class _Transcription:
    """A session: its configuration, audio, turns, and its end."""

    def __init__(self, telemetry: Telemetry, server: Server, key: str | None) -> None:
        self._telemetry = telemetry
        self._server = server
        self._key = key
        self._call: Call | None = None
        self._heard: _transcription.Heard | None = None
        self._started = False
        self._finishing = False

    def sent(self, message: Any) -> None:
        if not isinstance(message, str):
            # Audio, unless the application sends its JSON as bytes.
            if bytes(message[:1]) != b"{":
                self._begin(None)
                if self._heard is not None:
                    self._heard.audio.raw(len(message))
                return
            message = bytes(message)
        fields = skim(message, METADATA)
        if not isinstance(fields, dict):
            return
        config = _transcription.config_of(fields)
        self._begin(config, message)
        chunk = pick(fields, "audioChunk")
        if chunk is not None and self._heard is not None:
            self._heard.audio.base64(pick(chunk, "content"))
        if pick(fields, "closeStream") is not None:
            self._finishing = True

    def begin(self, message: Any) -> None:
        self._begin(None, message)

    def _begin(self, config: Any, message: Any = None) -> None:
        if self._started:
            return
        self._started = True
        model = pick(config, "modelId")
        call = self._telemetry.begin(
            semconv.SPEECH_TO_TEXT,
            provider=PROVIDER,
            product=semconv.STT,
            model=model,
            stream=True,
            server=self._server,
            attributes=_transcription.attributes(model),
        )
        if call is None:
            return
        _hints.tighten(call, key=self._key)
        if call.wants_content and message is not None:
            fields = skim(message, TEXT)
            if isinstance(fields, dict):
                _transcription.content_in(call, _transcription.config_of(fields))
        self._heard = _transcription.Heard(_transcription.Audio(config))
        call.on_end = self._heard.finish
        self._call = call

    def received(self, message: Any) -> None:
        call, heard = self._call, self._heard
        if call is None or heard is None or call.ended:
            return
        if not call.wants_content and isinstance(message, str) and not _telling(message):
            if '"transcription"' in message:
                call.chunk()
            return
        document = skim(message, keep_for(call))
        result = pick(document, "result")
        error = _error(document, result)
        if error is not None:
            call.fail_as(error_name(error))
            return
        if isinstance(document, dict):
            if pick(result, "transcription") is not None:
                call.chunk()
            heard.chunk(call, document)

    def calls(self) -> list[Call]:
        return [] if self._call is None else [self._call]

    def settled(self, call: Call) -> bool:
        return self._finishing


_TAIL = 192  # the end of a message in which its usage stands, most often
_CHUNK = r'\s*\{\s*"result"\s*:\s*\{\s*"context_?[iI]d"\s*:\s*"([^"\\]*)"\s*,\s*"audio_?[cC]hunk"\s*:\s*\{'


@cache
def _chunk_pattern() -> re.Pattern[str]:
    return re.compile(_CHUNK)  # takes its time, which only who opens such a socket shall pay


def _telling(message: str) -> bool:
    """Whether a message of a transcription says more than content."""
    return '"usage"' in message or '"error"' in message or '"status"' in message


def _name(fields: Any) -> Any:
    name = pick(fields, "contextId")
    return name if isinstance(name, str) else ""


def _error(document: Any, result: Any) -> Any:
    error = pick(document, "error")
    if error is not None:
        return error
    status = pick(result, "status")
    return status if pick(status, "code") else None


_PROTOCOLS: tuple[tuple[re.Pattern[str], Any], ...] = (
    (re.compile(r"/tts/v\w+/voice:streamBidirectional"), _Speech),
    (re.compile(r"/stt/v\w+/transcribe:streamBidirectional"), _Transcription),
)


def open_socket(telemetry: Telemetry, server: Server, path: str, key: str | None) -> Socket | None:
    """The observer of a connection to `path`; None when it is none of those we know."""
    for pattern, protocol in _PROTOCOLS:
        if pattern.fullmatch(path):
            return Socket(protocol(telemetry, server, key))
    return None
