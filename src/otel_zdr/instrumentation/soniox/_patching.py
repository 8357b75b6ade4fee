"""Soniox: file transcription, live transcription, speech over REST and WebSocket.

The file methods nest (`transcribe_and_wait_with_tokens` down to `create`): the outermost makes the span, and
what the job says of itself on the way (duration, failure) is written there.
"""

from __future__ import annotations

from collections.abc import Callable

from .._patch import Patches
from .._telemetry import Telemetry
from .._wrap import async_call, sync_call
from ._files import TRANSCRIBING, Generate, Transcribe, get, get_async
from ._live import (
    Multiplexed,
    Session,
    bytes_received,
    close_streams,
    exited,
    heard,
    nothing,
    observe,
    parsed,
    received,
    spoke,
)


def patch(patches: Patches, get_telemetry: Callable[[], Telemetry]) -> None:
    telemetry = get_telemetry()
    # The file API was renamed in the course of version 2.
    for module, name in (("stt", "SttAPI"), ("transcriptions", "TranscriptionsAPI")):
        for method in TRANSCRIBING:
            operation = Transcribe(telemetry, waits=method == "wait")
            patches.wrap(f"soniox.api.{module}", f"{name}.{method}", sync_call(operation))
            patches.wrap(f"soniox.api.async_{module}", f"Async{name}.{method}", async_call(operation))
        patches.wrap(f"soniox.api.{module}", f"{name}.get", get)
        patches.wrap(f"soniox.api.async_{module}", f"Async{name}.get", get_async)
    generate = Generate(telemetry)
    patches.wrap("soniox.api.tts", "TtsAPI.generate", sync_call(generate))
    patches.wrap("soniox.api.async_tts", "AsyncTtsAPI.generate", async_call(generate))
    _patch_sessions(patches, telemetry)


def _patch_sessions(patches: Patches, telemetry: Telemetry) -> None:
    listening, speaking = Session(telemetry, speaks=False), Session(telemetry, speaks=True)
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
            patches.wrap(module, f"{name}.__{dunder}exit__", exited(is_async))
            for method, see, ends in (
                ("parse_event", parsed, False),
                ("recv_bytes", bytes_received, False),
                ("send_byte_chunk", heard, False),
                ("send_text_chunk", spoke, False),
                ("close", nothing, True),
            ):
                wrapper = observe(see, asynchronous=is_async and method != "parse_event", ends=ends)
                patches.wrap(module, f"{name}.{method}", wrapper)
        opened, connection = Multiplexed(speaking), f"{prefix}RealtimeTTSMultiplexedConnection"
        patches.wrap(tts, f"{connection}.open_stream", opened.wrapper_async if is_async else opened.wrapper)
        patches.wrap(tts, f"{connection}.close", close_streams(is_async))
        stream = f"{prefix}RealtimeTTSStream"
        patches.wrap(tts, f"{stream}.receive_event", observe(received, asynchronous=is_async))
        patches.wrap(tts, f"{stream}.send_text_chunk", observe(spoke, asynchronous=is_async))
