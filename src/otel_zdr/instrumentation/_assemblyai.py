"""AssemblyAI: prerecorded transcription (blocking, in its thread pool, asyncio) and streaming v3.

A job that failed is returned with `status=error` and not raised: that is an error here. Streaming is read by
threads or tasks of the client, so the call stands on the client object and everything is decided where
`connect` was called. Key terms travel in the query of the socket's URL, so no URL is recorded.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from logging import getLogger
from typing import Any

from . import _semconv as semconv
from ._call import INTERRUPTED, Call
from ._guard import covered
from ._hosts import server_of
from ._patch import Patches
from ._speech import Speech, connection_ended, error_word, pcm_bytes_per_second, text, watch
from ._telemetry import Telemetry
from ._wrap import Wrapper, async_call, begin, done, sync_call

_log = getLogger(__name__)
_PROVIDER = "assemblyai"
_FAILED = "TranscriptError"  # the class the client itself raises for a failed job


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any], index: int, name: str) -> Any:
    return args[index] if len(args) > index else kwargs.get(name)


# On a submitted job or group: nobody has waited for its end yet.
_SUBMITTED = "_otel_zdr_submitted"


class _Counted:
    """Jobs whose end has been seen in this process, so that usage summed over spans counts each once.

    Bounded; of a job that is forgotten a later look-up makes another span.
    """

    def __init__(self, limit: int = 1024) -> None:
        self._limit = limit
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, identity: object) -> None:
        if isinstance(identity, str):
            with self._lock:
                self._ids[identity] = None
                while len(self._ids) > self._limit:
                    self._ids.popitem(last=False)

    def __contains__(self, identity: object) -> bool:
        return identity in self._ids


_counted = _Counted()


class _Transcribe:
    """`transcribe`, `submit` and their groups."""

    def __init__(self, telemetry: Telemetry, *, submits: bool = False) -> None:
        self._telemetry = telemetry
        self._submits = submits

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        config = _argument(args, kwargs, 1, "config") or instance.config
        models = getattr(config, "speech_models", None)
        model = getattr(config, "speech_model", None) or (models[0] if isinstance(models, list) else None)
        return self._telemetry.begin(
            semconv.SPEECH_TO_TEXT,
            provider=_PROVIDER,
            product=semconv.STT,
            model=text(model),
            server=server_of(instance._client.settings.base_url),
        )

    def done(self, call: Call, result: Any) -> Any:
        jobs, failures = _jobs(result)
        responses = [response for response in map(_response, jobs) if response is not None]
        if len(responses) == 1:
            call.response(id=responses[0].id)
            call.set(semconv.RESPONSE_STATUS, text(responses[0].status))
        for response in responses:
            used = text(getattr(response, "speech_model_used", None))
            call.response(model=used or text(getattr(response, "speech_model", None)))
        durations = [response.audio_duration for response in responses]
        seconds = [value for value in durations if isinstance(value, (int, float))]
        if seconds:
            call.audio_seconds(sum(seconds))
        if call.wants_content:
            said = [response.text for response in responses]
            call.text_out("\n".join(part for part in said if part))
        statuses = [text(response.status) for response in responses]
        for response, status in zip(responses, statuses, strict=True):
            if status in ("completed", "error"):
                _counted.add(response.id)
        if failures or "error" in statuses:
            call.fail_as(_FAILED)
        else:
            call.end()
        if self._submits:
            setattr(result, _SUBMITTED, True)
        return result


class _Wait(_Transcribe):
    """`wait_for_completion` of what was submitted: a second span, with the job's usage."""

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        # Within `transcribe` it is a part of that call, in whichever thread.
        if not getattr(instance, _SUBMITTED, False):
            return None
        setattr(instance, _SUBMITTED, False)
        jobs, _ = _jobs(instance)
        return self._look_up(instance, text(getattr(_response(jobs[0]), "speech_model", None)))

    def _look_up(self, owner: Any, model: str | None = None) -> Call | None:
        client = getattr(owner, "_client", None) or getattr(getattr(owner, "_impl", None), "_client", None)
        # A class method uses the client's global settings.
        settings = getattr(client or sys.modules.get("assemblyai"), "settings", None)
        return self._telemetry.begin(
            semconv.SPEECH_TO_TEXT,
            provider=_PROVIDER,
            product=semconv.STT,
            model=model,
            server=server_of(settings.base_url) if settings is not None else None,
        )


class _LookUp(_Wait):
    """`get_by_id` and its kin: the end of a job that perhaps another process has submitted."""

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        wanted = _argument(args, kwargs, 0, "transcript_id") or kwargs.get("transcript_ids")
        names = [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else []
        if names and all(name in _counted for name in names):
            return None
        return self._look_up(instance)


def _jobs(result: Any) -> tuple[list[Any], list[Any]]:
    """The jobs and the errors in what a call returns: a job, a group, a list, or these with failures."""
    failures: list[Any] = []
    if isinstance(result, tuple):
        result, failures = result
    if isinstance(result, list):
        return result, failures
    grouped = getattr(result, "transcripts", None)
    return (list(grouped) if grouped is not None else [result]), failures


def _response(job: Any) -> Any:
    """What the server said of a job; the client's properties raise while there is nothing."""
    try:
        return job._response() if hasattr(job, "_response") else job._impl.transcript
    except Exception:
        return getattr(getattr(job, "_impl", None), "transcript", None)


def _future_call(operation: _Transcribe) -> Wrapper:
    """The wrapper for a method that returns a Future: the call is made here, its thread has no context."""

    def wrapper(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = None if covered(wrapped, instance) else begin(operation, instance, args, kwargs)
        if call is None:
            return wrapped(*args, **kwargs)
        token = call.attach()
        try:
            future = wrapped(*args, **kwargs)
        except BaseException as exc:
            call.detach(token)
            call.fail(exc)
            raise
        call.detach(token)

        def completed(finished: Future[Any]) -> None:
            if finished.cancelled():
                call.end(INTERRUPTED)
                return
            error = finished.exception()
            if error is not None:
                call.fail(error)
            else:
                done(operation, call, finished.result())

        future.add_done_callback(completed)
        return future

    return wrapper


class _Session(Speech):
    """What a streaming session said so far."""

    __slots__ = ()

    def turn(self, call: Call, event: Any) -> None:
        call.chunk()
        words = getattr(event, "words", None)
        if words:
            self.until((getattr(words[-1], "end", None) or 0) / 1000)
        if getattr(event, "end_of_turn", False):
            # a formatted version of the same turn may follow
            self.transcript(call, event.turn_order, event.transcript)

    def message(self, call: Call, event: Any) -> None:
        kind = getattr(event, "type", None)
        if kind == "Turn":
            self.turn(call, event)
        elif kind == "Begin":
            call.response(id=getattr(event, "id", None))
        elif kind == "Termination":
            seconds = getattr(event, "audio_duration_seconds", None)
            if isinstance(seconds, (int, float)):
                self.seconds = float(seconds)


_CALL = "_otel_zdr_call"
_SESSION = "_otel_zdr_session"


class _Streaming:
    """The methods of a streaming client, blocking or of asyncio."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        parameters = _argument(args, kwargs, 0, "params")
        host = instance._options.api_host
        call = self._telemetry.begin(
            semconv.SPEECH_TO_TEXT,
            provider=_PROVIDER,
            product=semconv.STT,
            model=text(getattr(parameters, "speech_model", None)),
            stream=True,
            server=server_of(host if "://" in host else f"wss://{host}"),
        )
        if call is not None:
            session = _Session()
            session.byte_rate = pcm_bytes_per_second(
                getattr(parameters, "encoding", None) or "pcm_s16le", getattr(parameters, "sample_rate", None)
            )
            call.on_end = session.finish
            # Set before the client's reader starts, which happens within `connect`.
            setattr(instance, _CALL, call)
            setattr(instance, _SESSION, session)
        return call

    def done(self, call: Call, result: Any) -> Any:
        """Connected, or refused: a refusal is reported to the client's handlers and has ended the call."""
        return result


def _observed(
    before: Callable[[Any, Call, Any], None] | None = None,
    after: Callable[[Any, Call, Any], None] | None = None,
) -> Callable[[bool], Wrapper]:
    """Make wrappers, blocking or of asyncio, that look at a method's first argument."""

    def look(see: Callable[[Any, Call, Any], None] | None, instance: Any, argument: Any) -> None:
        call: Call | None = getattr(instance, _CALL, None)
        if see is not None and call is not None:
            watch(call, lambda call, item: see(instance, call, item), argument)

    def make(asynchronous: bool) -> Wrapper:
        def wrapper(
            wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            argument = args[0] if args else next(iter(kwargs.values()), None)
            look(before, instance, argument)
            try:
                return wrapped(*args, **kwargs)
            finally:
                look(after, instance, argument)

        async def wrapper_async(
            wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            argument = args[0] if args else next(iter(kwargs.values()), None)
            look(before, instance, argument)
            try:
                return await wrapped(*args, **kwargs)
            finally:
                look(after, instance, argument)

        return wrapper_async if asynchronous else wrapper

    return make


def _message(instance: Any, call: Call, event: Any) -> None:
    session: _Session = getattr(instance, _SESSION)
    session.message(call, event)


def _terminated(instance: Any, call: Call, event: Any) -> None:
    if getattr(event, "type", None) == "Termination":
        call.end()


def _server_error(instance: Any, call: Call, event: Any) -> None:
    call.fail_as(error_word(getattr(event, "error_code", None), "StreamingError"))


def _closed(instance: Any, call: Call, error: Any) -> None:
    if isinstance(error, BaseException):
        connection_ended(call, error)
        call.fail(error)
    else:
        _server_error(instance, call, error)


def _disconnected(instance: Any, call: Call, terminate: Any) -> None:
    call.end(INTERRUPTED)


def _sent(instance: Any, call: Call, data: Any) -> None:
    if isinstance(data, (bytes, bytearray)):
        session: _Session = getattr(instance, _SESSION)
        session.heard_bytes += len(data)


def patch(patches: Patches, get_telemetry: Callable[[], Telemetry]) -> None:
    telemetry = get_telemetry()
    blocking, asynchronous = "assemblyai.prerecorded.v2.client", "assemblyai.prerecorded.v2.async_client"
    transcribe, submit = _Transcribe(telemetry), _Transcribe(telemetry, submits=True)
    for method, operation in (
        ("transcribe", transcribe),
        ("submit", submit),
        ("transcribe_group", transcribe),
        ("submit_group", submit),
    ):
        patches.wrap(blocking, f"Transcriber.{method}", sync_call(operation))
        patches.wrap(asynchronous, f"AsyncTranscriber.{method}", async_call(operation))
    wait, look_up = _Wait(telemetry), _LookUp(telemetry)
    for module, name, found in (
        ("transcript", "Transcript", "get_by_id"),
        ("transcript_group", "TranscriptGroup", "get_by_ids"),
    ):
        module = f"assemblyai.prerecorded.v2.{module}"
        patches.wrap(module, f"{name}.wait_for_completion", sync_call(wait))
        patches.wrap(module, f"{name}.wait_for_completion_async", _future_call(wait))
        patches.wrap(module, f"{name}.{found}", sync_call(look_up))
        patches.wrap(module, f"{name}.{found}_async", _future_call(look_up))
    patches.wrap(
        "assemblyai.prerecorded.v2.async_transcript",
        "AsyncTranscript.wait_for_completion",
        async_call(wait),
    )
    patches.wrap(asynchronous, "AsyncTranscriber.get_by_id", async_call(look_up))
    for method in ("transcribe_async", "transcribe_group_async"):
        patches.wrap(blocking, f"Transcriber.{method}", _future_call(transcribe))

    streaming = _Streaming(telemetry)
    # In 1.x these names are aliases of RealTimeTranscriber: the same classes.
    for module, name, is_async in (
        ("assemblyai.streaming.v3.client", "StreamingClient", False),
        ("assemblyai.streaming.v3.async_client", "AsyncStreamingClient", True),
    ):
        connect = async_call(streaming) if is_async else sync_call(streaming)
        patches.wrap(module, f"{name}.connect", connect)
        for method, make in (
            ("stream", _observed(before=_sent)),
            ("_handle_message", _observed(before=_message, after=_terminated)),
            ("_report_server_error", _observed(before=_server_error)),
            ("_report_connection_closed", _observed(before=_closed)),
            ("disconnect", _observed(after=_disconnected)),
        ):
            patches.wrap(module, f"{name}.{method}", make(is_async))
