"""Ways round the OpenTelemetry SDK that a process may have, and what is outside the promise."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import Any


@dataclass(frozen=True, slots=True)
class Upload:
    """A library's own way out, past the OpenTelemetry SDK.

    Attributes:
        sends: what it sends that way.
        on: variables that switch it on, loaded or not.
        off: a variable that switches it off.
    """

    sends: str
    on: tuple[str, ...] = ()
    off: str = ""


#: By module: dotted where only a part of a library sends, or where the first name is a common word.
UPLOADS: dict[str, Upload] = {
    # Their spans go through the SDK; this does not.
    "langfuse": Upload(
        "scores with comments, dataset items and prompts (its spans and media are decided by the gate)",
        ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"),
    ),
    "traceloop.sdk": Upload("annotations, datasets, inputs of evaluators and guardrails"),
    "livekit.agents": Upload("recordings, transcripts and chat history of sessions, to LiveKit Cloud"),
    "phoenix.client": Upload("datasets, annotations and prompts"),
    # LLM observability.
    "agents.tracing": Upload(
        "runs with prompts, answers and audio, to OpenAI", off="OPENAI_AGENTS_DISABLE_TRACING"
    ),
    "langsmith": Upload(
        "runs with content", ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2")
    ),
    "weave": Upload("calls with content", off="WEAVE_DISABLED"),
    "braintrust": Upload("logs with content"),
    "opik": Upload("traces with content"),
    "mlflow": Upload("traces with content", ("MLFLOW_TRACKING_URI",)),
    "comet_llm": Upload("prompts and answers"),
    "deepeval": Upload("traces and test cases with content"),
    "galileo": Upload("traces with content"),
    "helicone_async": Upload("calls with content"),
    "humanloop": Upload("logs with content"),
    "literalai": Upload("threads with content"),
    "lunary": Upload("runs with content"),
    "posthog": Upload("events; with posthog.ai prompts and answers"),
    "promptlayer": Upload("requests with content"),
    # Traces and errors.
    "ddtrace": Upload("its own traces and LLM observability", ("DD_LLMOBS_ENABLED",)),
    "newrelic": Upload(
        "its own traces and AI monitoring", ("NEW_RELIC_LICENSE_KEY", "NEW_RELIC_CONFIG_FILE")
    ),
    "sentry_sdk": Upload("errors with local variables, and traces", ("SENTRY_DSN",)),
    "elasticapm": Upload("its own traces and errors", ("ELASTIC_APM_SERVER_URL", "ELASTIC_APM_SECRET_TOKEN")),
    "aws_xray_sdk": Upload("its own traces with exceptions"),
    "instana": Upload("its own traces", ("INSTANA_AGENT_KEY",)),
    "scout_apm": Upload("its own traces", ("SCOUT_KEY",)),
    "appsignal": Upload("errors and samples of requests", ("APPSIGNAL_PUSH_API_KEY",)),
    "rollbar": Upload("errors with local variables"),
    "bugsnag": Upload("errors with local variables"),
    "honeybadger": Upload("errors with local variables", ("HONEYBADGER_API_KEY",)),
    "raygun4py": Upload("errors with local variables"),
    "pybrake": Upload("errors with their messages"),
}
_OFF = frozenset({"", "0", "false", "no", "off", "none"})

#: What the promise does not reach, said wherever the promise is said.
OUTSIDE: tuple[str, ...] = (
    "samplers see the attributes a span starts with",
    "baggage and trace state on outgoing requests",
    "the application's own log handlers, files and standard output",
    "trace ids and traceparent that a caller chose",
    "items that were queued before a workspace was put under ZDR",
    "secrets of token shape in model, agent or tool names",
    "values of the application's own instruments",
    "which branch ran; event times and counts of streamed chunks",
    "heap, core dumps, debuggers and profilers",
    "telemetry that does not use the OpenTelemetry SDK (vendors' own uploads)",
)


def uploads() -> list[dict[str, Any]]:
    """Vendors' own uploads of this process: each with `module`, `sends` and whether it is `active`.

    One is active where its module is loaded or a variable that switches it on is set, and none that switches
    it off; else it is only installed.
    """
    found = []
    for module, upload in UPLOADS.items():
        if not _is_installed(module):
            continue
        switched = [name for name in upload.on if _is_set(name)]
        off = bool(upload.off) and _is_set(upload.off)
        active = not off and (module in sys.modules or bool(switched))
        found.append({"module": module, "sends": upload.sends, "active": active, "variables": switched})
    return found


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() not in _OFF


def _is_installed(module: str) -> bool:
    """Whether a module could be imported. None is: that alone may start an upload."""
    if module in sys.modules:
        return True
    first, *parts = module.split(".")
    try:
        spec = find_spec(first)
        name = first
        for part in parts:
            name = f"{name}.{part}"
            places = spec.submodule_search_locations if spec is not None else None
            spec = PathFinder.find_spec(name, list(places)) if places else None
    except (ImportError, ValueError, AttributeError):
        return False
    return spec is not None


def gate_state() -> dict[str, Any]:
    """Whether the gate is in place, for which signals, and under which policy."""
    gate = sys.modules.get("otel_zdr.sdk.gate")
    current = getattr(gate, "current", None)
    if current is None:
        return {"installed": False, "closed": False, "policy": None}
    return {"installed": True, "closed": current.closed, "policy": current.policy.version}


def pipeline_facts() -> dict[str, Any]:
    """The classes that make the pipeline up, where it touches what is outside the promise."""
    from opentelemetry import _logs, metrics, propagate, trace

    provider = trace.get_tracer_provider()
    fields = sorted(propagate.get_global_textmap().fields)
    return {
        "providers": [
            _kind(each) for each in (provider, _logs.get_logger_provider(), metrics.get_meter_provider())
        ],
        "sampler": _kind(getattr(provider, "sampler", None)),
        "propagates_baggage": "baggage" in fields,
        "own_log_handlers": _own_handlers(),
    }


def _own_handlers() -> int:
    """Handlers of `logging` that write somewhere by themselves."""
    import logging

    found = 0
    for handler in logging.getLogger().handlers:
        if not isinstance(handler, logging.NullHandler) and "opentelemetry" not in type(handler).__module__:
            found += 1
    return found


def _kind(value: object) -> str:
    kind = type(value)
    return "" if value is None else f"{kind.__module__}.{kind.__qualname__}"
