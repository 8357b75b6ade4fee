"""Deepgram (`deepgram-sdk`): prerecorded and live transcription, Flux, speech over REST and WebSocket.

`mip_opt_out` (the model improvement programme is declined) is its request-level privacy hint. Key terms,
search terms and replacements travel in the query, so no URL is recorded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from . import _semconv as semconv
from ._call import Call
from ._fern import environment_server, headers_of, number, query_parameter, watch_data
from ._patch import Patches
from ._speech import (
    INTERRUPTED,
    AsyncSocketTap,
    SocketReader,
    SocketTap,
    Speech,
    entered_call,
    error_word,
    is_true,
    pcm_bytes_per_second,
    text,
)
from ._telemetry import Telemetry
from ._wrap import async_call, sync_call

_PROVIDER = "deepgram"
_ERRORS = frozenset({"Error", "FatalError"})


def _hint(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {semconv.NO_RETENTION_HINT: is_true(query_parameter(kwargs, "mip_opt_out"))}


class _Transcribe:
    """`listen.v1.media.transcribe_file` and `transcribe_url`."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        return self._telemetry.begin(
            semconv.SPEECH_TO_TEXT,
            provider=_PROVIDER,
            product=semconv.STT,
            model=text(query_parameter(kwargs, "model")),
            server=environment_server(instance, "base"),
            attributes=_hint(kwargs),
        )

    def done(self, call: Call, result: Any) -> Any:
        data = result.data
        metadata = getattr(data, "metadata", None)
        # With a callback the answer is only that the request was taken.
        call.response(
            model=_model_name(getattr(metadata, "model_info", None)),
            request_id=getattr(metadata, "request_id", None) or getattr(data, "request_id", None),
        )
        call.audio_seconds(getattr(metadata, "duration", None))
        if call.wants_content:
            channels = getattr(getattr(data, "results", None), "channels", None) or []
            alternatives = [next(iter(channel.alternatives or []), None) for channel in channels]
            spoken = [getattr(alternative, "transcript", None) for alternative in alternatives]
            call.text_out("\n".join(part for part in spoken if part))
        call.end()
        return result


def _model_name(model_info: Any) -> str | None:
    """`{uuid: {"name": …}}` in the answer of both transports; the name of the first."""
    if hasattr(model_info, "model_dump"):
        model_info = model_info.model_dump()
    if isinstance(model_info, dict):
        for key, value in model_info.items():
            if key == "name":
                return text(value)
            name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
            if text(name):
                return text(name)
    return None


class _Generate:
    """`speak.v1.audio.generate`: a context manager of the raw client, entered by the other's generator."""

    left = INTERRUPTED

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        call = self._telemetry.begin(
            semconv.TEXT_TO_SPEECH,
            provider=_PROVIDER,
            product=semconv.TTS,
            model=text(query_parameter(kwargs, "model")),
            stream=True,
            server=environment_server(instance, "base"),
            attributes={**_hint(kwargs), semconv.OUTPUT_TYPE: "speech"},
        )
        if call is not None:
            call.on_end = Speech(kwargs.get("text")).finish
            call.text_in(kwargs.get("text"))
        return call

    def opened(self, call: Call, value: Any) -> None:
        headers = headers_of(value)
        call.response(model=headers.get("dg-model-name"), request_id=headers.get("dg-request-id"))
        speech: Speech = call.on_end.__self__  # type: ignore[union-attr]
        speech.characters = number(headers, "dg-char-count")
        watch_data(call, value, speech)


class _Listening(Speech):
    """Messages of `/v1/listen`: results with times, metadata at the end."""

    __slots__ = ("_last", "_named")

    def __init__(self, spoken: object = None) -> None:
        super().__init__(spoken)
        self._named = False  # model and request id are the same in every message, and cost to set
        self._last: str | None = None  # results that are read if no later ones come

    def sent(self, call: Call, message: Any) -> None:
        if isinstance(message, (bytes, bytearray)):
            self.heard_bytes += len(message)

    def received(self, call: Call, message: Any) -> None:
        if not isinstance(message, str):
            return
        if self._named and not call.wants_content and message.startswith(_RESULTS):
            # All that is left to learn is how far the audio went, and the last one says that.
            call.chunk()
            self._last = message
            return
        event = json.loads(message)
        kind = event.get("type")
        if kind == "Results":
            call.chunk()
            self._heard_until(event)
            if not self._named:
                self._named = True
                metadata = event.get("metadata") or {}
                call.response(
                    model=text((metadata.get("model_info") or {}).get("name")),
                    request_id=metadata.get("request_id"),
                )
            if event.get("is_final") and call.wants_content:
                alternatives = (event.get("channel") or {}).get("alternatives") or [{}]
                key = (event.get("start"), tuple(event.get("channel_index") or ()))
                self.transcript(call, key, alternatives[0].get("transcript"))
        elif kind == "Metadata":
            call.response(model=_model_name(event.get("model_info")), request_id=event.get("request_id"))
            if isinstance(event.get("duration"), (int, float)):
                self.seconds = float(event["duration"])
        elif kind in _ERRORS:
            call.fail_as(error_word(event.get("code") or event.get("variant"), str(kind)))

    def _heard_until(self, event: Any) -> None:
        self.until(event.get("start", 0) + event.get("duration", 0))

    def finish(self, call: Call) -> None:
        if self._last is not None:
            self._heard_until(json.loads(self._last))
        super().finish(call)


_RESULTS = ('{"type":"Results"', '{"type": "Results"')
_TURN = ('{"type":"TurnInfo"', '{"type": "TurnInfo"')


class _Flux(Speech):
    """Messages of `/v2/listen`: turns. There is no total, so the furthest audio window counts."""

    __slots__ = ("_last",)

    def __init__(self, spoken: object = None) -> None:
        super().__init__(spoken)
        self._last: str | None = None

    def sent(self, call: Call, message: Any) -> None:
        if isinstance(message, (bytes, bytearray)):
            self.heard_bytes += len(message)

    def received(self, call: Call, message: Any) -> None:
        if not isinstance(message, str):
            return
        if not call.wants_content and message.startswith(_TURN):
            call.chunk()
            self._last = message
            return
        event = json.loads(message)
        kind = event.get("type")
        if kind == "TurnInfo":
            call.chunk()
            self.until(event.get("audio_window_end"))
            if event.get("event") == "EndOfTurn":
                self.transcript(call, event.get("turn_index"), event.get("transcript"))
        elif kind == "Connected":
            call.response(request_id=event.get("request_id"))
        elif kind in _ERRORS:
            call.fail_as(error_word(event.get("code"), str(kind)))

    def finish(self, call: Call) -> None:
        if self._last is not None:
            self.until(json.loads(self._last).get("audio_window_end"))
        super().finish(call)


class _Speaking(Speech):
    """Messages of the speak WebSocket: text out, audio in."""

    __slots__ = ()

    def sent(self, call: Call, message: Any) -> None:
        if isinstance(message, str):
            event = json.loads(message)
            if event.get("type") == "Speak":
                self.speak(call, event.get("text"))

    def received(self, call: Call, message: Any) -> None:
        if isinstance(message, (bytes, bytearray)):
            call.chunk()
            return
        event = json.loads(message)
        kind = event.get("type")
        if kind == "Metadata":
            call.response(model=text(event.get("model_name")), request_id=event.get("request_id"))
        elif kind in _ERRORS:
            call.fail_as(error_word(event.get("code") or event.get("err_code"), str(kind)))


class _Connect:
    """`connect` of a WebSocket client; the connection's socket is tapped."""

    left = None

    def __init__(
        self, telemetry: Telemetry, reader: type[Speech], tap: type[SocketTap] | type[AsyncSocketTap]
    ) -> None:
        self._telemetry = telemetry
        self._reader = reader
        self._tap = tap

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        speaks = self._reader is _Speaking
        attributes = _hint(kwargs)
        if speaks:
            attributes[semconv.OUTPUT_TYPE] = "speech"
        # Version 5 connects Flux to the environment `preview`.
        names = ("preview", "production") if self._reader is _Flux else ("production",)
        call = self._telemetry.begin(
            semconv.TEXT_TO_SPEECH if speaks else semconv.SPEECH_TO_TEXT,
            provider=_PROVIDER,
            product=semconv.TTS if speaks else semconv.STT,
            model=text(query_parameter(kwargs, "model")),
            stream=True,
            server=environment_server(instance._raw_client, *names),
            attributes=attributes,
        )
        if call is not None:
            reader = self._reader("" if speaks else None)
            if not speaks:
                reader.byte_rate = pcm_bytes_per_second(
                    query_parameter(kwargs, "encoding"),
                    query_parameter(kwargs, "sample_rate"),
                    query_parameter(kwargs, "channels"),
                )
            call.on_end = reader.finish
        return call

    def opened(self, call: Call, value: Any) -> None:
        reader: SocketReader = call.on_end.__self__  # type: ignore[union-attr]
        value._websocket = self._tap(value._websocket, call, reader)


def patch(patches: Patches, get_telemetry: Callable[[], Telemetry]) -> None:
    telemetry = get_telemetry()
    media, audio = "deepgram.listen.v1.media.raw_client", "deepgram.speak.v1.audio.raw_client"
    transcribe = _Transcribe(telemetry)
    for method in ("transcribe_file", "transcribe_url"):
        patches.wrap(media, f"RawMediaClient.{method}", sync_call(transcribe))
        patches.wrap(media, f"AsyncRawMediaClient.{method}", async_call(transcribe))
    generate = entered_call(_Generate(telemetry))
    patches.wrap(audio, "RawAudioClient.generate", generate)
    patches.wrap(audio, "AsyncRawAudioClient.generate", generate)
    for module, name, reader in (
        ("deepgram.listen.v1.client", "V1Client", _Listening),
        ("deepgram.listen.v2.client", "V2Client", _Flux),
        ("deepgram.speak.v1.client", "V1Client", _Speaking),
    ):
        patches.wrap(module, f"{name}.connect", entered_call(_Connect(telemetry, reader, SocketTap)))
        patches.wrap(
            module, f"Async{name}.connect", entered_call(_Connect(telemetry, reader, AsyncSocketTap))
        )
