"""What every span of a speech client must say, and what its tests put in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from opentelemetry.trace import SpanKind, StatusCode

INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
TTS, STT = "text_to_speech", "speech_to_text"


def assert_span(
    telemetry: Any,
    operation: str,
    provider: str,
    *,
    stream: bool,
    model: str | None = None,
    error: str | None = None,
    reason: str | None = None,
    content: tuple[str, ...] = (),
    **attributes: Any,
) -> dict[str, Any]:
    """One CLIENT span with these facts, ended with a duration; the canary where it may be and nowhere else.

    `attributes`: further ones, with `__` for a dot; None means that it must be missing, `...` any value.
    """
    span = telemetry.span()
    found = dict(span.attributes)
    assert span.kind is SpanKind.CLIENT
    assert span.name == (f"{operation} {model}" if model else operation)
    product = {TTS: "tts", STT: "stt", "clone_voice": "voice_cloning"}[operation]
    expected = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "otel_zdr.product": product,
        "otel_zdr.mode": "streaming" if stream else "sync",
        "otel_zdr.request.stream": stream,
        "server.address": "127.0.0.1",
        "error.type": error,
        "otel_zdr.response.end_reason": reason,
        **{key.replace("__", "."): value for key, value in attributes.items()},
    }
    for key, value in expected.items():
        if value is ...:
            assert key in found, (key, found)
        else:
            assert found.get(key) == value, (key, found)
    assert span.status.status_code is (StatusCode.ERROR if error else StatusCode.UNSET)
    if telemetry.zdr:
        assert not span.status.description
        for event in span.events:
            assert "exception.message" not in event.attributes
    assert [point.count for point in telemetry.points("gen_ai.client.operation.duration")] == [1]
    telemetry.assert_content(*content)
    return found


def wait_until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Until something that another thread does has happened."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def assert_nowhere(telemetry: Any, *secrets: str) -> None:
    """Keys and signed URLs are in no telemetry, whatever the policy says."""
    wire = telemetry.wire()
    for secret in secrets:
        assert secret.encode() not in wire
