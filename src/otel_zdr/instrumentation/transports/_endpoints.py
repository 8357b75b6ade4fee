"""Inworld's HTTP endpoints: which one a request is for, and the span it makes.

One request makes one span, but for asynchronous transcription (see `_jobs`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from logging import getLogger

from .._telemetry import Telemetry
from . import _jobs, _router, _speech, _transcription, _voices
from ._exchange import Exchange
from ._foreign import covered
from ._request import Request

_log = getLogger(__name__)

Open = Callable[[Telemetry, Request, str], "Exchange | None"]

# The last argument of what opens is the last group of the path, if any.
_ENDPOINTS: tuple[tuple[str, re.Pattern[str], Open], ...] = tuple(
    (method, re.compile(path), opening)
    for method, path, opening in (
        ("POST", r"/tts/v\w+/voice", _speech.speak),
        ("POST", r"/tts/v\w+/voice:stream", _speech.speak_stream),
        ("POST", r"/voices/v\w+/voices:clone", _voices.clone),
        ("POST", r"/voices/v\w+/voices:design", _voices.design),
        ("POST", r"/voices/v\w+/voices/([^/]+):publish", _voices.publish),
        ("PATCH", r"/voices/v\w+/voices/([^/:]+)", _voices.update),
        ("POST", r"/stt/v\w+/transcribe", _transcription.transcribe),
        ("POST", r"/stt/v\w+/transcribe:async", _jobs.submit),
        ("GET", r"/lro/v\w+/(.+)", _jobs.poll),
        ("POST", r"/v1/chat/completions", _router.chat),
        ("POST", r"/v1/responses", _router.responses),
        ("POST", r"/v1/messages", _router.messages),
        ("POST", r"/v1/audio/speech", _router.speech),
    )
)


def open_exchange(telemetry: Telemetry, request: Request) -> Exchange | None:
    """Start the span of `request`; None when it is for no endpoint we know or makes none. Never raises."""
    try:
        found = _endpoint(request.method, request.path)
        if found is None or telemetry.skips() or covered():
            return None
        opening, name = found
        return opening(telemetry, request, name)
    except Exception as exc:
        _log.debug("no span for a request to Inworld: %s", type(exc).__qualname__)
    return None


_without_name: dict[tuple[str, str], tuple[Open, str]] = {}


def _endpoint(method: str, path: str) -> tuple[Open, str] | None:
    """Who opens the exchange, and the name of a voice or job in the path."""
    known = _without_name.get((method, path))
    if known is not None:
        return known
    for expected, pattern, opening in _ENDPOINTS:
        if method == expected and (match := pattern.fullmatch(path)):
            if match.lastindex is None and len(_without_name) < 64:
                _without_name[method, path] = (opening, "")
            return opening, match[1] if match.lastindex else ""
    return None
