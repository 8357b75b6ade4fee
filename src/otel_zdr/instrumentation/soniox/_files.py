"""File transcription and speech over REST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.context import get_current

from .. import _semconv as semconv
from .._call import Call
from .._guard import CALL_KEY
from .._hosts import server_of
from .._speech import Speech, error_word, text, watch
from .._telemetry import Telemetry

PROVIDER = "soniox"
TRANSCRIBING = (
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


class Transcribe:
    """The methods that start a job, and `wait`, which brings its usage."""

    def __init__(self, telemetry: Telemetry, *, waits: bool = False) -> None:
        self._telemetry = telemetry
        self._waits = waits

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        model = kwargs.get("model") or (None if self._waits else _default_model(instance))
        return self._telemetry.begin(
            semconv.SPEECH_TO_TEXT,
            provider=PROVIDER,
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


def get(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    job = wrapped(*args, **kwargs)
    _seen_on_the_way(job)
    return job


def get_async(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    async def getting() -> Any:
        job = await wrapped(*args, **kwargs)
        _seen_on_the_way(job)
        return job

    return getting()


class Generate:
    """`tts.generate`: bytes and nothing else."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def begin(self, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        defaults = type(instance).generate.__kwdefaults__ or {}
        call = self._telemetry.begin(
            semconv.TEXT_TO_SPEECH,
            provider=PROVIDER,
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
