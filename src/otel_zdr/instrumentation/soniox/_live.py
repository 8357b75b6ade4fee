"""Live transcription and live speech over WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from .. import _semconv as semconv
from .._call import INTERRUPTED, Call
from .._hosts import server_of
from .._speech import Speech, error_word, pcm_bytes_per_second, text, watch
from .._telemetry import Telemetry
from .._wrap import Wrapper, begin
from ._files import PROVIDER

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


class Session:
    """The methods of a live session, for one kind of it."""

    def __init__(self, telemetry: Telemetry, *, speaks: bool) -> None:
        self._telemetry = telemetry
        self._speaks = speaks

    def start(self, owner: Any, config: Any, url: object) -> Call | None:
        attributes = {semconv.OUTPUT_TYPE: "speech"} if self._speaks else None
        call = self._telemetry.begin(
            semconv.TEXT_TO_SPEECH if self._speaks else semconv.SPEECH_TO_TEXT,
            provider=PROVIDER,
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


def observe(
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


def parsed(instance: Any, call: Call, args: Any, kwargs: Any, event: Any) -> None:
    getattr(instance, _SPEECH).event(call, event)


def received(instance: Any, call: Call, args: Any, kwargs: Any, event: Any) -> None:
    if event is None:
        _connection_gone(instance, call)
    else:
        getattr(instance, _SPEECH).event(call, event)


def bytes_received(instance: Any, call: Call, args: Any, kwargs: Any, message: Any) -> None:
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


def heard(instance: Any, call: Call, args: Any, kwargs: Any, result: Any) -> None:
    chunk = _first(args, kwargs, "chunk")
    if isinstance(chunk, (bytes, bytearray)):
        getattr(instance, _SPEECH).heard_bytes += len(chunk)


def spoke(instance: Any, call: Call, args: Any, kwargs: Any, result: Any) -> None:
    getattr(instance, _SPEECH).speak(call, _first(args, kwargs, "text"))


def nothing(instance: Any, call: Call, args: Any, kwargs: Any, result: Any) -> None:
    """The end is all there is to see."""


def exited(asynchronous: bool) -> Wrapper:
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


class Multiplexed:
    """`open_stream` of a connection that carries several streams: one call each."""

    def __init__(self, session: Session) -> None:
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


def close_streams(asynchronous: bool) -> Wrapper:
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
