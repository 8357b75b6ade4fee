"""Loggers that echo content (G8): the SDK's own, and the clients', are filtered for every handler.

``openai`` and others write whole requests at debug level, and the SDK logs values it cannot encode.
Where a call may be under ZDR, their debug records are dropped, and of the others only what is a constant
of the logging code stays: no arguments, no message of an exception, no extras. Of an exception its frames.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from otel_zdr.redaction import frames
from otel_zdr.sdk import failure, gate
from otel_zdr.sdk.decision import content_allowed

#: First words of the names of loggers whose records are filtered.
SOURCES = frozenset(
    (
        "opentelemetry", "openai", "anthropic", "groq", "deepgram", "assemblyai", "soniox", "elevenlabs",
        "cartesia", "inworld", "inworld_tts", "mistralai", "google_genai", "cohere", "litellm", "LiteLLM",
        "botocore", "httpx", "httpx2", "httpcore", "httpcore2", "urllib3", "requests", "aiohttp", "websockets",
        "websocket", "langfuse", "logfire", "traceloop", "openinference", "livekit", "pipecat",
        # Frameworks that write the messages they pass on.
        "autogen_agentchat", "autogen_core", "crewai", "dspy", "google_adk", "haystack", "instructor", "langchain",
        "langchain_community", "langchain_core", "langgraph", "langsmith", "llama_index", "mcp", "ollama",
        "pydantic_ai", "semantic_kernel", "smolagents", "strands", "vllm",
    )
)  # fmt: skip

#: Of these, the ones that only speak of how the process is set up, before there is any content in it, and those of
#: servers: what they log is the application's own.
UNFILTERED = (
    "aiohttp.access.",
    "aiohttp.server.",
    "aiohttp.web.",
    "opentelemetry.configuration.",
    "opentelemetry.instrumentation.auto_instrumentation.",
    "opentelemetry.instrumentation.distro.",
    "opentelemetry.instrumentation.instrumentor.",
    "opentelemetry.sdk._configuration.",
    "opentelemetry.util._providers.",
    "websockets.server.",
)
#: Our own loggers: they name workspaces, keys and classes, never a value.
_OWN = "otel_zdr"

WITHHELD = "message withheld under zero data retention"
ARGUMENTS_WITHHELD = "arguments withheld under zero data retention"

_STANDARD = frozenset(vars(logging.makeLogRecord({})))
_original: Any = None


def install() -> None:
    """Patch ``logging.Logger.handle``, which every record of every logger goes through."""
    global _original
    if _original is not None:
        return
    _original = logging.Logger.handle
    logging.Logger.handle = _handle  # type: ignore[method-assign]


def uninstall() -> None:
    """Put the original back, unless somebody patched over it (then it passes through)."""
    global _original
    if _original is not None and logging.Logger.handle is _handle:
        logging.Logger.handle = _original  # type: ignore[method-assign]
        _original = None


def _handle(self: logging.Logger, record: logging.LogRecord) -> None:
    original = _original or logging.Logger.handle
    source = _source(record.name)
    if gate.current is not None and source in SOURCES and not f"{record.name}.".startswith(UNFILTERED):
        try:
            if gate.current.closed or not content_allowed():
                if record.levelno <= logging.DEBUG:
                    return
                record = _without_data(record)
        except Exception as error:
            failure.note("logger", error)
            return
    elif source == _OWN and record.levelno > logging.DEBUG:
        _say_if_nobody_reads(self, record)
    original(self, record)


def _source(name: str) -> str:
    """The first word of a logger's name: ``LiteLLM`` of ``LiteLLM Router``."""
    return name.partition(".")[0].partition(" ")[0]


def _say_if_nobody_reads(logger: logging.Logger, record: logging.LogRecord) -> None:
    """To standard error what only handlers of OpenTelemetry get, where its text is removed like any other."""
    try:
        handlers: list[logging.Handler] = []
        current: logging.Logger | None = logger
        while current is not None:
            handlers += current.handlers
            current = current.parent if current.propagate else None
        if handlers and all(type(each).__module__.startswith("opentelemetry.") for each in handlers):
            gate.say(record.getMessage())
    except Exception as error:
        failure.note("logger", error)


def _without_data(record: logging.LogRecord) -> logging.LogRecord:
    """A copy with the message's constant text only; the caller's record is not edited."""
    kept = {key: value for key, value in vars(record).items() if key in _STANDARD}
    message = record.msg if _is_constant(record.msg) else WITHHELD
    if record.args and message is not WITHHELD:
        message = f"{message} ({ARGUMENTS_WITHHELD})"
    error = record.exc_info[1] if record.exc_info else None
    trace = None
    if error is not None:
        message = f"{message} ({frames.exception_type(error)})"
        trace = frames.describe(error)[1]  # where it happened; handlers print what stands here as it is
    kept.update(msg=message, args=(), exc_info=None, exc_text=trace, stack_info=None)
    return logging.makeLogRecord(kept)


def _is_constant(message: Any) -> bool:
    """Whether the text is a constant of the code that logs: the very object, not an equal one."""
    if type(message) is not str or len(message) < 2:
        return False
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != "logging" and not name.startswith(("logging.", "otel_zdr.")):
            return any(constant is message for constant in frame.f_code.co_consts)
        frame = frame.f_back  # type: ignore[assignment]
    return False
