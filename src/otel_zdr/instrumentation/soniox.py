"""Soniox: file transcription, live transcription, speech over REST and WebSocket.

The file methods nest (`transcribe_and_wait_with_tokens` down to `create`): the outermost makes the span, and
what the job says of itself on the way (duration, failure) is written there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar
from weakref import WeakSet

from opentelemetry.context import get_current

from . import _semconv as semconv
from ._call import INTERRUPTED, Call
from ._guard import CALL_KEY
from ._hosts import server_of
from ._instrumentor import ClientInstrumentor
from ._patch import Patches
from ._speech import Speech, error_word, pcm_bytes_per_second, text, watch
from ._telemetry import Telemetry
from ._wrap import Wrapper, async_call, begin, sync_call

_PROVIDER = "soniox"
_TRANSCRIBING = (
    "create",
    "transcribe",
    "transcribe_from_url",
    "transcribe_from_file_id",
    "transcribe_from_file",
    "transcribe_file_with_webhook",
    "transcribe_and_wait",
    "transcribe_and_wait_with_tokens",
    "translate",
    "translate_from_url",
    "translate_from_file_id",
    "translate_from_file",
    "translate_and_wait",
    "translate_and_wait_with_tokens",
    "wait",
)


def _default_model(instance: Any) -> str | None:
    """The client's own default, which is what it sends when no model is named."""
    defaults = type(instance).create.__kwdefaults__ or {}
    return text(defaults.get("model"))


def _job(call: Call, job: Any) -> bool:
    """Write what a `Transcription` says; whether it failed."""
    call.response(id=getattr(job, "id", None), model=text(getattr(job, "model", None)))
    milliseconds = getattr(job, "audio_duration_ms", None)
    if isinstance(milliseconds, int):
        call.audio_seconds(milliseconds / 1000)
    status = text(getattr(job, "status", None))
    call.set(semconv.RESPONSE_STATUS, status)
    return status == "error"


class _Transcribe:
    """The methods that start a job, and `wait`, which brings its usage."""

    def __init__(self, telemetry: Telemetry, *, waits: bool = False) -> None:
        self._telemetry = telemetry
        self._waits = waits

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        model = kwargs.get("model") or (None if self._waits else _default_model(instance))
        return self._telemetry.begin(
            semconv.SPEECH_TO_TEXT,
            provider=_PROVIDER,
            product=semconv.STT,
            model=text(model),
            server=server_of(instance._client.api_base_url),
        )

    def done(self, call: Call, result: Any) -> Any:
        failed = False
        if hasattr(result, "status"):
            failed = _job(call, result)
        else:
            call.response(id=getattr(result, "id", None))
            call.text_out(getattr(result, "text", None))
        if failed:
            call.fail_as(error_word(getattr(result, "error_type", None), "TranscriptionError"))
        else:
            call.end()
        return result


def _seen_on_the_way(job: Any) -> None:
    """A job as an inner request returned it, for the call that is being sent around it."""
    call = get_current().get(CALL_KEY)
    if isinstance(call, Call):
        watch(call, _write_inner, job)


def _write_inner(call: Call, job: Any) -> None:
    if _job(call, job):
        call.fail_as(error_word(getattr(job, "error_type", None), "TranscriptionError"))


def _get(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    job = wrapped(*args, **kwargs)
    _seen_on_the_way(job)
    return job


def _get_async(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    async def getting() -> Any:
        job = await wrapped(*args, **kwargs)
        _seen_on_the_way(job)
        return job

    return getting()


class _Generate:
    """`tts.generate`: bytes and nothing else."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        defaults = type(instance).generate.__kwdefaults__ or {}
        call = self._telemetry.begin(
            semconv.TEXT_TO_SPEECH,
            provider=_PROVIDER,
            product=semconv.TTS,
            model=text(kwargs.get("model")) or text(defaults.get("model")),
            server=server_of(instance._client.tts_api_base_url),
            attributes={semconv.OUTPUT_TYPE: "speech"},
        )
        if call is not None:
            call.on_end = Speech(kwargs.get("text")).finish
            call.text_in(kwargs.get("text"))
        return call

    def done(self, call: Call, result: Any) -> Any:
        call.end()
        return result


# sessions: the call and what it heard stand on the client's session object

_CALL = "_otel_zdr_call"
_SPEECH = "_otel_zdr_speech"
_STREAMS = "_otel_zdr_streams"


class _Listening(Speech):
    """Events of the live transcription; a token is final once."""

    __slots__ = ("_said",)

    def __init__(self, spoken: object = None) -> None:
        super().__init__(spoken)
        self._said: list[str] = []

    def event(self, call: Call, event: Any) -> None:
        call.chunk()
        if isinstance(event.total_audio_proc_ms, int):
            self.until(event.total_audio_proc_ms / 1000)
        if call.wants_content and event.tokens:
            self._said += [t.text for t in event.tokens if t.is_final and t.text not in ("<end>", "<fin>")]
        if event.error_code is not None:
            call.fail_as(error_word(event.error_code, "SonioxRealtimeError"))
        elif event.finished:
            call.end()

    def finish(self, call: Call) -> None:
        self.transcript(call, 0, "".join(self._said))
        self._said = []
        super().finish(call)


class _Speaking(Speech):
    """Events of live speech."""

    __slots__ = ()

    def event(self, call: Call, event: Any) -> None:
        if event.audio:
            call.chunk()
        if event.error_code is not None:
            call.fail_as(error_word(event.error_code, "SonioxRealtimeError"))
        elif event.terminated:
            call.end()


class _Session:
    """The methods of a live session, for one kind of it."""

    def __init__(self, telemetry: Telemetry, *, speaks: bool) -> None:
        self._telemetry = telemetry
        self._speaks = speaks

    def start(self, owner: Any, config: Any, url: object) -> Call | None:
        attributes = {semconv.OUTPUT_TYPE: "speech"} if self._speaks else None
        call = self._telemetry.begin(
            semconv.TEXT_TO_SPEECH if self._speaks else semconv.SPEECH_TO_TEXT,
            provider=_PROVIDER,
            product=semconv.TTS if self._speaks else semconv.STT,
            model=text(getattr(config, "model", None)),
            stream=True,
            server=server_of(url),
            attributes=attributes,
        )
        if call is not None:
            speech = _Speaking("") if self._speaks else _Listening()
            if not self._speaks:
                speech.byte_rate = pcm_bytes_per_second(
                    getattr(config, "audio_format", None),
                    getattr(config, "sample_rate", None),
                    getattr(config, "num_channels", None),
                )
            call.on_end = speech.finish
            setattr(owner, _CALL, call)
            setattr(owner, _SPEECH, speech)
        return call

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        return self.start(instance, instance._config, instance._url)

    def done(self, call: Call, result: Any) -> Any:
        return result


def _observe(
    see: Callable[[Any, Call, tuple[Any, ...], dict[str, Any], Any], None],
    *,
    asynchronous: bool,
    ends: bool = False,
) -> Wrapper:
    """A wrapper that shows a method's arguments and result to `see`; an error of the method ends the call.

    ends: also when it went well.
    """

    def saw(instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        call: Call | None = getattr(instance, _CALL, None)
        if call is not None:
            watch(call, lambda call, _: see(instance, call, args, kwargs, result), None)
            if ends:
                call.end(INTERRUPTED)

    def failed(instance: Any, error: BaseException) -> None:
        call: Call | None = getattr(instance, _CALL, None)
        if call is not None and (ends or not isinstance(error, asyncio.CancelledError)):
            # The client puts its own error round a lost connection; the text of neither goes out under ZDR.
            call.fail(error)

    def wrapper(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as exc:
            failed(instance, exc)
            raise
        saw(instance, args, kwargs, result)
        return result

    async def wrapper_async(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as exc:
            failed(instance, exc)
            raise
        saw(instance, args, kwargs, result)
        return result

    return wrapper_async if asynchronous else wrapper


def _first(args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> Any:
    return args[0] if args else kwargs.get(name)


def _parsed(instance: Any, call: Call, args: Any, kwargs: Any, event: Any) -> None:
    getattr(instance, _SPEECH).event(call, event)


def _received(instance: Any, call: Call, args: Any, kwargs: Any, event: Any) -> None:
    if event is None:
        _connection_gone(instance, call)
    else:
        getattr(instance, _SPEECH).event(call, event)


def _bytes_received(instance: Any, call: Call, args: Any, kwargs: Any, message: Any) -> None:
    if not message:
        _connection_gone(instance, call)


def _connection_gone(instance: Any, call: Call) -> None:
    """The client hides how its connection was closed; the socket knows."""
    socket = getattr(instance, "_ws", None) or getattr(getattr(instance, "_connection", None), "_ws", None)
    code = getattr(getattr(socket, "protocol", None), "close_code", None)
    if code in (None, 1000, 1001):
        call.end()
    else:
        call.fail_as("ConnectionClosed")


def _heard(instance: Any, call: Call, args: Any, kwargs: Any, result: Any) -> None:
    chunk = _first(args, kwargs, "chunk")
    if isinstance(chunk, (bytes, bytearray)):
        getattr(instance, _SPEECH).heard_bytes += len(chunk)


def _spoke(instance: Any, call: Call, args: Any, kwargs: Any, result: Any) -> None:
    getattr(instance, _SPEECH).speak(call, _first(args, kwargs, "text"))


def _nothing(instance: Any, call: Call, args: Any, kwargs: Any, result: Any) -> None:
    """The end is all there is to see."""


def _exit(asynchronous: bool) -> Wrapper:
    """`__exit__`: an error in the body is the call's."""

    def failed(instance: Any, args: tuple[Any, ...]) -> None:
        call: Call | None = getattr(instance, _CALL, None)
        if call is not None and len(args) > 1 and isinstance(args[1], BaseException):
            call.fail(args[1])

    def wrapper(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        failed(instance, args)
        return wrapped(*args, **kwargs)

    return wrapper


class _Multiplexed:
    """`open_stream` of a connection that carries several streams: one call each."""

    def __init__(self, session: _Session) -> None:
        self._session = session

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        return self._session.start(_Holder(), kwargs.get("config"), instance._url)

    def _keep(self, call: Call, instance: Any, stream: Any) -> None:
        setattr(stream, _CALL, call)
        setattr(stream, _SPEECH, call.on_end.__self__)  # type: ignore[union-attr]
        streams: WeakSet[Any] | None = getattr(instance, _STREAMS, None)
        if streams is None:
            streams = WeakSet()
            setattr(instance, _STREAMS, streams)
        streams.add(stream)

    def wrapper(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = begin(self, instance, args, kwargs)  # type: ignore[arg-type]
        if call is None:
            return wrapped(*args, **kwargs)
        token = call.attach()
        try:
            stream = wrapped(*args, **kwargs)
        except BaseException as exc:
            call.detach(token)
            call.fail(exc)
            raise
        call.detach(token)
        watch(call, lambda call, stream: self._keep(call, instance, stream), stream)
        return stream

    async def wrapper_async(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = begin(self, instance, args, kwargs)  # type: ignore[arg-type]
        if call is None:
            return await wrapped(*args, **kwargs)
        token = call.attach()
        try:
            stream = await wrapped(*args, **kwargs)
        except BaseException as exc:
            call.detach(token)
            call.fail(exc)
            raise
        call.detach(token)
        watch(call, lambda call, stream: self._keep(call, instance, stream), stream)
        return stream


class _Holder:
    """Takes the call until its stream exists."""


def _close_streams(asynchronous: bool) -> Wrapper:
    def end(instance: Any) -> None:
        for stream in list(getattr(instance, _STREAMS, ())):
            call: Call | None = getattr(stream, _CALL, None)
            if call is not None:
                call.end(INTERRUPTED)

    def wrapper(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            return wrapped(*args, **kwargs)
        finally:
            end(instance)

    async def wrapper_async(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            return await wrapped(*args, **kwargs)
        finally:
            end(instance)

    return wrapper_async if asynchronous else wrapper


class SonioxInstrumentor(ClientInstrumentor):
    """Spans for the calls of `soniox`."""

    client: ClassVar[str] = "soniox"
    requires: ClassVar[tuple[str, ...]] = ("soniox >=2,<3",)

    def _patch(self, patches: Patches, telemetry: Telemetry) -> None:
        # The file API was renamed in the course of version 2.
        for module, name in (("stt", "SttAPI"), ("transcriptions", "TranscriptionsAPI")):
            for method in _TRANSCRIBING:
                operation = _Transcribe(telemetry, waits=method == "wait")
                patches.wrap(f"soniox.api.{module}", f"{name}.{method}", sync_call(operation))
                patches.wrap(f"soniox.api.async_{module}", f"Async{name}.{method}", async_call(operation))
            patches.wrap(f"soniox.api.{module}", f"{name}.get", _get)
            patches.wrap(f"soniox.api.async_{module}", f"Async{name}.get", _get_async)
        generate = _Generate(telemetry)
        patches.wrap("soniox.api.tts", "TtsAPI.generate", sync_call(generate))
        patches.wrap("soniox.api.async_tts", "AsyncTtsAPI.generate", async_call(generate))
        self._patch_sessions(patches, telemetry)

    def _patch_sessions(self, patches: Patches, telemetry: Telemetry) -> None:
        listening, speaking = _Session(telemetry, speaks=False), _Session(telemetry, speaks=True)
        for prefix, is_async in (("", False), ("Async", True)):
            infix, dunder = ("async_", "a") if is_async else ("", "")
            stt, tts = f"soniox.realtime.{infix}stt", f"soniox.realtime.{infix}tts"
            start = async_call if is_async else sync_call
            for module, name, session in (
                (stt, f"{prefix}RealtimeSTTSession", listening),
                (tts, f"{prefix}RealtimeTTSConnection", speaking),
            ):
                # `enter` and `aenter` are aliases of the method, not patched with it
                for method in (f"__{dunder}enter__", "enter", "aenter"):
                    patches.wrap(module, f"{name}.{method}", start(session))
                patches.wrap(module, f"{name}.__{dunder}exit__", _exit(is_async))
                for method, see, ends in (
                    ("parse_event", _parsed, False),
                    ("recv_bytes", _bytes_received, False),
                    ("send_byte_chunk", _heard, False),
                    ("send_text_chunk", _spoke, False),
                    ("close", _nothing, True),
                ):
                    wrapper = _observe(see, asynchronous=is_async and method != "parse_event", ends=ends)
                    patches.wrap(module, f"{name}.{method}", wrapper)
            opened, connection = _Multiplexed(speaking), f"{prefix}RealtimeTTSMultiplexedConnection"
            patches.wrap(
                tts, f"{connection}.open_stream", opened.wrapper_async if is_async else opened.wrapper
            )
            patches.wrap(tts, f"{connection}.close", _close_streams(is_async))
            stream = f"{prefix}RealtimeTTSStream"
            patches.wrap(tts, f"{stream}.receive_event", _observe(_received, asynchronous=is_async))
            patches.wrap(tts, f"{stream}.send_text_chunk", _observe(_spoke, asynchronous=is_async))
