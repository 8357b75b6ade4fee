"""ElevenLabs: speech (whole, streamed, with timestamps, from a stream of text), batch and live transcription.

`enable_logging=false` is its request-level zero retention.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from opentelemetry.context import Context, attach, detach, get_current

from . import _semconv as semconv
from ._call import Call
from ._fern import headers_of, number, query_parameter, watch_data
from ._guard import covered
from ._hosts import server_of
from ._patch import Patches
from ._speech import (
    INTERRUPTED,
    AsyncSocketTap,
    Speech,
    entered_call,
    error_word,
    is_false,
    pcm_bytes_per_second,
    text,
)
from ._streams import Observer, lazy_generator
from ._telemetry import Telemetry
from ._wrap import Wrapper, async_call, begin, sync_call

_PROVIDER = "elevenlabs"


def _base_server(instance: Any) -> tuple[str, int | None] | None:
    wrapper = instance._client_wrapper
    if hasattr(wrapper, "get_base_url"):
        return server_of(wrapper.get_base_url())
    return server_of(wrapper.get_environment().base)


def _begin_speech(telemetry: Telemetry, instance: Any, kwargs: dict[str, Any], stream: bool) -> Call | None:
    hint = is_false(query_parameter(kwargs, "enable_logging"))
    return telemetry.begin(
        semconv.TEXT_TO_SPEECH,
        provider=_PROVIDER,
        product=semconv.TTS,
        model=text(kwargs.get("model_id")),
        stream=stream,
        server=_base_server(instance),
        attributes={semconv.OUTPUT_TYPE: "speech", semconv.NO_RETENTION_HINT: hint},
    )


def _text_in(call: Call, kwargs: Mapping[str, Any]) -> None:
    """The text to be spoken, with the neighbouring texts that shape its tone."""
    parts = [kwargs.get(key) for key in ("previous_text", "text", "next_text")]
    call.text_in("\n".join(part for part in parts if isinstance(part, str)))


class _Convert:
    """`convert`, `stream` and `stream_with_timestamps` of the raw client: context managers."""

    left = INTERRUPTED

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        call = _begin_speech(self._telemetry, instance, kwargs, stream=True)
        if call is not None:
            call.on_end = Speech(kwargs.get("text")).finish
            _text_in(call, kwargs)
        return call

    def opened(self, call: Call, value: Any) -> None:
        speech: Speech = call.on_end.__self__  # type: ignore[union-attr]
        headers = headers_of(value)
        speech.characters = number(headers, "character-cost")
        call.response(request_id=headers.get("request-id"))
        watch_data(call, value, speech)


class _ConvertWithTimestamps:
    """`convert_with_timestamps`: one JSON answer."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        call = _begin_speech(self._telemetry, instance, kwargs, stream=False)
        if call is not None:
            call.on_end = Speech(kwargs.get("text")).finish
            _text_in(call, kwargs)
        return call

    def done(self, call: Call, result: Any) -> Any:
        headers = headers_of(result)
        speech: Speech = call.on_end.__self__  # type: ignore[union-attr]
        speech.characters = number(headers, "character-cost")
        call.response(request_id=headers.get("request-id"))
        call.end()
        return result


class _Transcribe:
    """`speech_to_text.convert`."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        return self._telemetry.begin(
            semconv.SPEECH_TO_TEXT,
            provider=_PROVIDER,
            product=semconv.STT,
            model=text(kwargs.get("model_id")),
            server=_base_server(instance),
            attributes={semconv.NO_RETENTION_HINT: is_false(query_parameter(kwargs, "enable_logging"))},
        )

    def done(self, call: Call, result: Any) -> Any:
        data, headers = result.data, headers_of(result)
        call.response(
            id=getattr(data, "transcription_id", None),
            request_id=headers.get("request-id") or getattr(data, "request_id", None),
        )
        call.audio_seconds(_duration(data))
        if call.wants_content:
            # with several channels there is one transcript for each
            pieces = getattr(data, "transcripts", None) or [data]
            said = [getattr(piece, "text", None) for piece in pieces]
            call.text_out("\n".join(part for part in said if isinstance(part, str)))
        call.end()
        return result


def _duration(data: Any) -> object:
    """Seconds of audio. Version 2.0 has no such field: the end of the last word stands in."""
    seconds = getattr(data, "audio_duration_secs", None)
    if seconds is not None:
        return seconds
    pieces = getattr(data, "transcripts", None) or [data]
    found = [getattr(piece, "audio_duration_secs", None) for piece in pieces]
    counted = [value for value in found if isinstance(value, (int, float))]
    if counted:
        return max(counted)
    ends = [getattr(word, "end", None) for piece in pieces for word in getattr(piece, "words", None) or []]
    return max((end for end in ends if isinstance(end, (int, float))), default=None)


class _CountedText:
    """The caller's pieces of text, the same ones in the same order, counted as they are taken.

    Attributes:
        outside: the caller's context. What makes the pieces (a language model, often) is no part of the call.
    """

    def __init__(self, pieces: Iterable[str]) -> None:
        self._pieces: Iterator[str] = iter(pieces)
        self.take: Callable[[str], None] | None = None
        self.outside: Context | None = None

    def __iter__(self) -> _CountedText:
        return self

    def __next__(self) -> str:
        if self.outside is None:
            piece = next(self._pieces)
        else:
            token = attach(self.outside)
            try:
                piece = next(self._pieces)
            finally:
                detach(token)
        if self.take is not None:
            self.take(piece)
        return piece


class _Realtime:
    """`convert_realtime`: a generator that sends text as it comes and yields audio."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        return _begin_speech(self._telemetry, instance, kwargs, stream=True)

    def wrapper(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if self._telemetry.skips() or kwargs.get("text") is None or covered(wrapped, instance):
            return wrapped(*args, **kwargs)
        pieces = kwargs["text"]
        try:
            pieces = counted = _CountedText(pieces)
        except TypeError:
            return wrapped(*args, **kwargs)  # the client says what is wrong
        speech = Speech("")

        def start() -> Call | None:
            call = begin(self, instance, args, kwargs)  # type: ignore[arg-type]
            if call is not None:
                counted.outside = get_current()
                counted.take = _taker(call, speech)
            return call

        def observer() -> Observer:
            return speech

        return lazy_generator(wrapped(*args, **{**kwargs, "text": pieces}), start, observer)


def _taker(call: Call, speech: Speech) -> Callable[[str], None]:
    def take(piece: str) -> None:
        speech.speak(call, piece)

    return take


_ERROR_EVENTS = frozenset(
    {
        "error",
        "auth_error",
        "quota_exceeded",
        "commit_throttled",
        "transcriber_error",
        "unaccepted_terms",
        "rate_limited",
        "input_error",
        "invalid_request",
        "queue_overflow",
        "resource_exhausted",
        "session_time_limit_exceeded",
        "chunk_size_exceeded",
        "insufficient_audio_activity",
    }
)
# The same text comes once with and once without timestamps when both are asked for.
_FINAL_EVENTS = frozenset({"committed_transcript", "final_transcript"})
_FINAL_WITH_TIMESTAMPS = frozenset(
    {"committed_transcript_with_timestamps", "final_transcript_with_timestamps"}
)


# what most messages are, and say nothing but content
_PARTIAL = (
    '{"message_type":"partial_transcript"',
    '{"message_type": "partial_transcript"',
)


class _Scribe(Speech):
    """Messages of the live transcription."""

    __slots__ = ("_finals", "_timed")

    def __init__(self, spoken: object = None) -> None:
        super().__init__(spoken)
        self._finals = 0
        self._timed = 0

    def sent(self, call: Call, message: Any) -> None:
        if isinstance(message, str):
            # base64 in JSON: its length tells the bytes without decoding
            audio = json.loads(message).get("audio_base_64")
            if isinstance(audio, str):
                self.heard_bytes += len(audio) * 3 // 4 - audio[-2:].count("=")

    def received(self, call: Call, message: Any) -> None:
        if not call.wants_content and message.startswith(_PARTIAL):
            call.chunk()
            return
        event = json.loads(message)
        kind = event.get("message_type")
        if kind == "session_started":
            call.response(id=event.get("session_id"))
        elif kind in _ERROR_EVENTS:
            call.fail_as(error_word(kind, "error"))
        elif isinstance(kind, str) and "transcript" in kind:
            call.chunk()
            if kind in _FINAL_EVENTS:
                self._finals += 1
                self.transcript(call, self._finals, event.get("text"))
            elif kind in _FINAL_WITH_TIMESTAMPS:
                self._timed += 1
                self.transcript(call, self._timed, event.get("text"))


class _ScribeConnect:
    """`speech_to_text.realtime.connect`: a connection whose messages a task of its own reads."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        options = args[0] if args else kwargs["options"]
        call = self._telemetry.begin(
            semconv.SPEECH_TO_TEXT,
            provider=_PROVIDER,
            product=semconv.STT,
            model=text(options.get("model_id")),
            stream=True,
            server=server_of(instance.base_url),
            attributes={semconv.NO_RETENTION_HINT: is_false(options.get("enable_logging"))},
        )
        if call is not None:
            scribe = _Scribe()
            audio, _, rate = (text(options.get("audio_format")) or "pcm_16000").partition("_")
            encoding = {"pcm": "pcm_s16le", "ulaw": "mulaw"}.get(audio)
            scribe.byte_rate = pcm_bytes_per_second(encoding, options.get("sample_rate") or rate)
            call.on_end = scribe.finish
        return call

    def done(self, call: Call, result: Any) -> Any:
        reader: _Scribe = call.on_end.__self__  # type: ignore[union-attr]
        # The reading task was made but has not run yet: it will find the tap.
        result.websocket = AsyncSocketTap(result.websocket, call, reader)
        result._otel_zdr_call = call
        return result


def _close(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    async def closing() -> Any:
        call: Call | None = getattr(instance, "_otel_zdr_call", None)
        try:
            return await wrapped(*args, **kwargs)
        except asyncio.CancelledError as exc:
            if call is not None:
                call.fail(exc)
            raise
        finally:
            if call is not None:
                call.end()

    return closing()


def patch(patches: Patches, get_telemetry: Callable[[], Telemetry]) -> None:
    telemetry = get_telemetry()
    speech, listening = "elevenlabs.text_to_speech.raw_client", "elevenlabs.speech_to_text.raw_client"
    convert: Wrapper = entered_call(_Convert(telemetry))
    for method in ("convert", "stream", "stream_with_timestamps"):
        patches.wrap(speech, f"RawTextToSpeechClient.{method}", convert)
        patches.wrap(speech, f"AsyncRawTextToSpeechClient.{method}", convert)
    timed = _ConvertWithTimestamps(telemetry)
    patches.wrap(speech, "RawTextToSpeechClient.convert_with_timestamps", sync_call(timed))
    patches.wrap(speech, "AsyncRawTextToSpeechClient.convert_with_timestamps", async_call(timed))
    transcribe = _Transcribe(telemetry)
    patches.wrap(listening, "RawSpeechToTextClient.convert", sync_call(transcribe))
    patches.wrap(listening, "AsyncRawSpeechToTextClient.convert", async_call(transcribe))
    patches.wrap(
        "elevenlabs.realtime_tts",
        "RealtimeTextToSpeechClient.convert_realtime",
        _Realtime(telemetry).wrapper,
    )
    patches.wrap(
        "elevenlabs.realtime.scribe", "ScribeRealtime.connect", async_call(_ScribeConnect(telemetry))
    )
    patches.wrap("elevenlabs.realtime.connection", "RealtimeConnection.close", _close)
