"""Whether a call may put content into its telemetry: the policy first, then the conventions' own switch."""

from __future__ import annotations

import enum
import importlib
import os
import sys
from collections.abc import Callable
from logging import getLogger
from typing import Any

from opentelemetry.context import Context

_log = getLogger(__name__)

CAPTURE_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


class Capture(enum.Enum):
    """Where content goes, as `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` asks (the conventions'
    values).
    """

    NO_CONTENT = (False, False)
    SPAN_ONLY = (True, False)
    EVENT_ONLY = (False, True)
    SPAN_AND_EVENT = (True, True)

    def __init__(self, on_span: bool, on_event: bool) -> None:
        self.on_span = on_span
        self.on_event = on_event


_OFF = frozenset({"", "FALSE", "0", "NO_CONTENT"})
_known: dict[str, Capture] = {}
_stored_name = os.environ.encodekey(CAPTURE_VARIABLE)


def capture_from_environment() -> Capture:
    """The switch's value now; unset, empty, `false` and anything unknown mean `NO_CONTENT`, `true` means
    `SPAN_ONLY`.
    """
    # What is not there, as mostly, `get` looks up by an exception that it raises and catches.
    if _stored_name not in getattr(os.environ, "_data", (_stored_name,)):
        return Capture.NO_CONTENT
    raw = os.environ.get(CAPTURE_VARIABLE)
    if raw is None:
        return Capture.NO_CONTENT
    capture = _known.get(raw)
    if capture is None:
        capture = _parse(raw)
        if len(_known) < 16:
            _known[raw] = capture
    return capture


def _parse(raw: str) -> Capture:
    text = raw.strip().upper()
    if text in _OFF:
        return Capture.NO_CONTENT
    if text in ("TRUE", "1"):
        return Capture.SPAN_ONLY
    try:
        return Capture[text]
    except KeyError:
        # A mistyped switch must not mean capture.
        _log.warning(
            "%s: allowed are %s, true and false; no content is captured",
            CAPTURE_VARIABLE,
            ", ".join(Capture.__members__),
        )
        return Capture.NO_CONTENT


_decision: Callable[[Context | None], bool] | None = None
_wanted: Callable[[str, Context | None], bool] | None = None


def content_allowed(context: Context | None = None) -> bool:
    """Whether the policy lets the content of a call made in `context` (default: current) out. Never raises.

    False when the decision cannot be made: a call that may be under ZDR is treated as if it were.
    """
    global _decision
    try:
        if _decision is None:
            # Late, because the edge imports the SDK, and an instrumentor must not.
            _decision = importlib.import_module("otel_zdr.sdk.decision").content_allowed
        return _decision(context) is True
    except Exception:
        return False


def content_wanted(product: str, context: Context | None = None) -> bool:
    """As `content_allowed`, for attributes of the call's span and its content event: also True where the
    policy may retain them, which the gate decides by what the response proves. Never raises.
    """
    global _wanted
    try:
        if _wanted is None:
            _wanted = importlib.import_module("otel_zdr.sdk.decision").content_wanted
        return _wanted(product, context) is True
    except Exception:
        return False


def gated(span: Any) -> bool:
    """Whether the gate follows `span`: then it makes exception events of frames alone where they must be."""
    module = sys.modules.get("otel_zdr.sdk.span.state")
    return module is not None and module.STATE in getattr(span, "__dict__", ())
