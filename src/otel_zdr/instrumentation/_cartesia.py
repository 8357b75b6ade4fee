"""Cartesia: speech as bytes, server-sent events or over a WebSocket, batch transcription, voice cloning.

A WebSocket carries many contexts, each of them one call: from the first text sent under its id to its last
event. Both pass through two methods of the connection, whichever of the client's helpers is in use.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from . import _semconv as semconv
from ._call import INTERRUPTED, Call
from ._hosts import server_of_client
from ._patch import Patches
from ._read import fields
from ._read import get as _get
from ._speech import Speech, connection_ended, error_word, text, watch
from ._stainless import settle
from ._streams import Observer, async_generator, end_when_called
from ._telemetry import Telemetry
from ._wrap import Wrapper, async_call, sync_call

_PROVIDER = "cartesia"


def _error_type(event: Any) -> str:
    return error_word(_get(event, "error_code") or _get(event, "status_code"), "error")


class _SpeechEvents(Observer):
    """Server-sent events of speech: an error comes as an event, with status 200."""

    tells = ("error",)

    __slots__ = ()

    def chunk(self, call: Call, item: Any) -> None:
        kind = fields(item).get("type") or type(item).__name__.removesuffix("Event").lower()
        if kind == "error":
            call.response(request_id=_get(item, "request_id"))
            call.fail_as(_error_type(item))


class _Generate:
    """`tts.generate`, `generate_sse` and its alias `sse`, `infill`."""

    def __init__(self, telemetry: Telemetry, *, stream: bool) -> None:
        self._telemetry = telemetry
        self._stream = stream

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        call = self._telemetry.begin(
            semconv.TEXT_TO_SPEECH,
            provider=_PROVIDER,
            product=semconv.TTS,
            model=text(kwargs.get("model_id")),
            stream=self._stream,
            server=server_of_client(instance._client),
            attributes={semconv.OUTPUT_TYPE: "speech"},
        )
        transcript = kwargs.get("transcript")
        if call is not None and isinstance(transcript, str):
            call.characters(len(transcript))
            call.text_in(transcript)
        return call

    def done(self, call: Call, result: Any) -> Any:
        if getattr(result, "_iterator", None) is None and hasattr(result, "__stream__"):
            return _follow_lazy(call, result)
        return settle(call, result, _nothing, _SpeechEvents)


def _follow_lazy(call: Call, stream: Any) -> Any:
    """The asyncio stream of version 3.0, which makes its generator only when it is iterated."""
    make, events = stream.__stream__, _SpeechEvents()
    call.response(request_id=stream.response.headers.get("x-request-id"))
    call.on_end = events.finish
    stream.__stream__ = lambda: async_generator(make(), call, events)
    end_when_called(stream, "aclose", call)
    return stream


def _nothing(call: Call, answer: Any) -> None:
    """Audio says nothing of itself."""


class _Transcribe:
    """`stt.transcribe`."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        return self._telemetry.begin(
            semconv.SPEECH_TO_TEXT,
            provider=_PROVIDER,
            product=semconv.STT,
            model=text(kwargs.get("model")),
            server=server_of_client(instance._client),
        )

    def done(self, call: Call, result: Any) -> Any:
        return settle(call, result, _read_transcript, Observer)


def _read_transcript(call: Call, answer: Any) -> None:
    call.audio_seconds(_get(answer, "duration"))
    call.response(request_id=_get(answer, "request_id"))
    call.text_out(_get(answer, "text"))


class _Clone:
    """`voices.clone`: the voice's name and description are content too."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        call = self._telemetry.begin(
            semconv.CLONE_VOICE,
            provider=_PROVIDER,
            product=semconv.VOICE_CLONING,
            server=server_of_client(instance._client),
        )
        if call is not None:
            said = [text(kwargs.get("name")), text(kwargs.get("description"))]
            call.text_in("\n".join(part for part in said if part))
        return call

    def done(self, call: Call, result: Any) -> Any:
        return settle(call, result, _nothing, Observer)


# WebSocket: the calls stand on the connection object, by context id

_CONTEXTS = "_otel_zdr_contexts"


def _contexts(connection: Any) -> dict[str, tuple[Call, Speech]]:
    found: dict[str, tuple[Call, Speech]] | None = getattr(connection, _CONTEXTS, None)
    if found is None:
        found = {}
        setattr(connection, _CONTEXTS, found)
    return found


def _end_all(connection: Any, end: Callable[[Call], None]) -> None:
    contexts = _contexts(connection)
    while contexts:
        end(contexts.popitem()[1][0])


def _interrupt(call: Call) -> None:
    call.end(INTERRUPTED)


class _Socket:
    """`send`, `parse_event`, `recv_bytes` and `close` of a speech connection."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def _sending(self, connection: Any, event: Any) -> Call | None:
        """The call that `event` belongs to, begun by its first text."""
        context = _get(event, "context_id")
        if not isinstance(context, str):
            return None
        contexts = _contexts(connection)
        known = contexts.get(context)
        if _get(event, "cancel"):
            if known is not None:
                del contexts[context]
                known[0].end(INTERRUPTED)
            return None
        if known is None:
            known = self._begin(connection, event)
            if known is None:
                return None
            contexts[context] = known
        call, speech = known
        speech.speak(call, _get(event, "transcript"))
        return call

    def _begin(self, connection: Any, event: Any) -> tuple[Call, Speech] | None:
        call = self._telemetry.begin(
            semconv.TEXT_TO_SPEECH,
            provider=_PROVIDER,
            product=semconv.TTS,
            # the client's own model of the request calls it `llm_model_id`
            model=text(_get(event, "model_id")) or text(_get(event, "llm_model_id")),
            stream=True,
            server=_peer(connection),
            attributes={semconv.OUTPUT_TYPE: "speech"},
        )
        if call is None:
            return None
        speech = Speech("")
        call.on_end = speech.finish
        return call, speech

    def _contained(self, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        try:
            return self._sending(connection, args[0] if args else kwargs.get("event"))
        except Exception:
            return None

    def send(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = self._contained(instance, args, kwargs)
        if call is None:
            return wrapped(*args, **kwargs)
        token = call.attach()
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as exc:
            call.detach(token)
            _fail(instance, call, exc)
            raise
        call.detach(token)
        return result

    async def send_async(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = self._contained(instance, args, kwargs)
        if call is None:
            return await wrapped(*args, **kwargs)
        token = call.attach()
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as exc:
            call.detach(token)
            _fail(instance, call, exc)
            raise
        call.detach(token)
        return result

    def parse_event(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        event = wrapped(*args, **kwargs)
        contexts = _contexts(instance)
        if not contexts:
            return event
        found = fields(event)
        context = found.get("context_id")
        # An error that names no context is the connection's.
        names = [context] if context in contexts else list(contexts) if context is None else []
        kind = found.get("type")
        for name in names:
            call = contexts[name][0]
            if kind == "chunk":
                call.chunk()
            elif kind in ("done", "error"):
                del contexts[name]
                watch(call, _last_event, event)
        return event

    def recv_bytes(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            return wrapped(*args, **kwargs)
        except BaseException as exc:
            _lost(instance, exc)
            raise

    async def recv_bytes_async(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            return await wrapped(*args, **kwargs)
        except BaseException as exc:
            _lost(instance, exc)
            raise

    async def process_responses(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The client's reading task; it returns when the connection was lost, and raises nothing."""
        result = await wrapped(*args, **kwargs)
        if not getattr(instance, "_closing", False):
            _end_all(instance, lambda call: call.fail_as("ConnectionClosed"))
        return result

    def close(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            return wrapped(*args, **kwargs)
        finally:
            _end_all(instance, _interrupt)

    async def close_async(
        self, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        try:
            return await wrapped(*args, **kwargs)
        finally:
            _end_all(instance, _interrupt)


def _last_event(call: Call, event: Any) -> None:
    if _get(event, "type") == "error":
        call.response(request_id=_get(event, "request_id"))
        call.fail_as(_error_type(event))
    else:
        call.end()


def _fail(connection: Any, call: Call, error: BaseException) -> None:
    contexts = _contexts(connection)
    for context, (known, _) in list(contexts.items()):
        if known is call:
            del contexts[context]
    call.fail(error)


def _lost(connection: Any, error: BaseException) -> None:
    """End the calls of a connection that is gone; one read that timed out is no such thing."""
    contexts = _contexts(connection)
    for context, (call, _) in list(contexts.items()):
        connection_ended(call, error)
        if call.ended:
            contexts.pop(context, None)


def _peer(connection: Any) -> tuple[str, int | None] | None:
    """Host and port that the connection's own socket was made for; its path and query are not looked at."""
    uri = getattr(getattr(connection._connection, "protocol", None), "uri", None) or getattr(
        getattr(connection._connection, "protocol", None), "wsuri", None
    )
    if uri is None:
        return None
    secure = bool(getattr(uri, "secure", True))
    port = getattr(uri, "port", None)
    return (uri.host, None if port == (443 if secure else 80) else port)


def _receive(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[Any]:
    """`receive` of a context: leaving its loop early, or an error in it, is the end of the call."""
    source = wrapped(*args, **kwargs)
    try:
        yield from source
    except BaseException as exc:
        _context_left(instance, exc)
        raise


async def _receive_async(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncIterator[Any]:
    source = wrapped(*args, **kwargs)
    try:
        async for event in source:
            yield event
    except BaseException as exc:
        _context_left(instance, exc)
        raise
    finally:
        await source.aclose()


def _context_left(context: Any, error: BaseException) -> None:
    known = _contexts(context._connection).pop(context._context_id, None)
    if known is not None:
        known[0].fail(error)


def patch(patches: Patches, get_telemetry: Callable[[], Telemetry]) -> None:
    telemetry = get_telemetry()
    for prefix, call in (("", sync_call), ("Async", async_call)):
        tts = f"{prefix}TTSResource"
        # `sse` is an alias in newer versions and calls `generate_sse` in older ones: nested calls are one
        for method, stream in (
            ("generate", False),
            ("infill", False),
            ("generate_sse", True),
            ("sse", True),
        ):
            patches.wrap(
                "cartesia.resources.tts", f"{tts}.{method}", call(_Generate(telemetry, stream=stream))
            )
        transcribe = call(_Transcribe(telemetry))
        patches.wrap("cartesia.resources.stt.stt", f"{prefix}STTResource.transcribe", transcribe)
        # the module of version 3.0
        patches.wrap("cartesia.resources.stt", f"{prefix}SttResource.transcribe", transcribe)
        patches.wrap("cartesia.resources.voices", f"{prefix}VoicesResource.clone", call(_Clone(telemetry)))
    _patch_socket(patches, telemetry)


def _patch_socket(patches: Patches, telemetry: Telemetry) -> None:
    socket = _Socket(telemetry)
    # Version 3.0 has these classes beside the resource.
    for module in ("cartesia.lib._tts", "cartesia.resources.tts"):
        blocking: tuple[tuple[str, Wrapper], ...] = (
            ("TTSResourceConnection.send", socket.send),
            ("TTSResourceConnection.recv_bytes", socket.recv_bytes),
            ("TTSResourceConnection.close", socket.close),
            ("TTSResourceConnection.parse_event", socket.parse_event),
            ("WebSocketContext.receive", _receive),
            ("AsyncTTSResourceConnection.send", socket.send_async),
            ("AsyncTTSResourceConnection.recv_bytes", socket.recv_bytes_async),
            ("AsyncTTSResourceConnection.close", socket.close_async),
            ("AsyncTTSResourceConnection.parse_event", socket.parse_event),
            ("AsyncTTSResourceConnection._process_responses", socket.process_responses),
            ("AsyncWebSocketContext.receive", _receive_async),
        )
        for name, wrapper in blocking:
            patches.wrap(module, name, wrapper)
