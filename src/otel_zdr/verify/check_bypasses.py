"""Ways round the OpenTelemetry SDK that a process may have, and what is outside the promise."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any

#: module → (variables that switch its own upload on, what it sends by a way of its own)
_UPLOADS: dict[str, tuple[tuple[str, ...], str]] = {
    "ddtrace": (("DD_LLMOBS_ENABLED",), "its own traces and LLM observability"),
    "newrelic": (("NEW_RELIC_LICENSE_KEY", "NEW_RELIC_CONFIG_FILE"), "its own traces and AI monitoring"),
    "sentry_sdk": (("SENTRY_DSN",), "errors with local variables, and traces"),
    "elasticapm": (("ELASTIC_APM_SERVER_URL", "ELASTIC_APM_SECRET_TOKEN"), "its own traces and errors"),
    "langsmith": (("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING_V2"), "runs with content"),
    "weave": ((), "calls with content"),
    "braintrust": ((), "logs with content"),
    "opik": ((), "traces with content"),
    "mlflow": (("MLFLOW_TRACKING_URI",), "traces with content"),
    "rollbar": ((), "errors with local variables"),
    "bugsnag": ((), "errors with local variables"),
    "honeybadger": (("HONEYBADGER_API_KEY",), "errors with local variables"),
    "appsignal": (("APPSIGNAL_PUSH_API_KEY",), "errors and samples of requests"),
    "scout_apm": (("SCOUT_KEY",), "its own traces"),
    "instana": (("INSTANA_AGENT_KEY",), "its own traces"),
    "helicone_async": ((), "calls with content"),
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

    One is active where its module is loaded or a variable that switches it on is set; else it is only
    installed.
    """
    found = []
    for module, (variables, sends) in _UPLOADS.items():
        if not _is_installed(module):
            continue
        switched = [name for name in variables if os.environ.get(name, "").strip().lower() not in _OFF]
        active = module in sys.modules or bool(switched)
        found.append({"module": module, "sends": sends, "active": active, "variables": switched})
    return found


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return module in sys.modules


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
