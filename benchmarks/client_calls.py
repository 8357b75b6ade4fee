"""What instrumentation adds to one client call, beyond a bare span and its metrics.

    python benchmarks/client_calls.py [--calls 20]

The real openai client answers from a transport in memory, so that no network hides the difference. Prints
CPU microseconds a call, which a busy machine distorts less than wall time: the least of many short, interleaved
rounds. Target: at most 60 µs beyond the floor.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import openai
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

import otel_zdr
from otel_zdr.instrumentation.openai import OpenAIInstrumentor
from otel_zdr.testing import uninstall

try:  # openai 3 has moved to httpx2
    import httpx2 as transport_library
except ImportError:
    transport_library = httpx

ROUNDS = 80
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 19, "completion_tokens": 11, "total_tokens": 30},
}
BODY = json.dumps(ANSWER).encode()
REQUEST = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "temperature": 0.5}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=20, help="calls a round (default 20)")
    calls = parser.parse_args().calls

    def answer(request: Any) -> Any:
        return transport_library.Response(200, content=BODY, headers={"content-type": "application/json"})

    http = transport_library.Client(transport=transport_library.MockTransport(answer))
    client = openai.OpenAI(api_key="none", base_url="http://bench.invalid/v1", http_client=http)

    spans = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider(metric_readers=[InMemoryMetricReader()], shutdown_on_exit=False)
    tracer, meter = tracers.get_tracer("bench"), meters.get_meter("bench")
    duration, tokens = meter.create_histogram("duration"), meter.create_histogram("tokens")
    names = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini", "server.port": 1}

    def bare() -> None:
        client.chat.completions.create(**REQUEST)

    def floor() -> None:
        """The span and the metrics that the conventions ask for, written by hand."""
        with tracer.start_as_current_span("chat gpt-4o-mini", kind=SpanKind.CLIENT, attributes=names) as span:
            found = client.chat.completions.create(**REQUEST)
            span.set_attribute("gen_ai.response.id", found.id)
            span.set_attribute("gen_ai.response.model", found.model)
            span.set_attribute("gen_ai.response.finish_reasons", [found.choices[0].finish_reason])
            span.set_attribute("gen_ai.usage.input_tokens", found.usage.prompt_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", found.usage.completion_tokens)
            duration.record(0.1, names)
            tokens.record(19, {**names, "gen_ai.token.type": "input"})
            tokens.record(11, {**names, "gen_ai.token.type": "output"})

    def ours() -> None:
        client.chat.completions.create(**REQUEST)

    def timed(run: Callable[[], None]) -> float:
        spans.clear()
        for _ in range(5):
            run()
        started = time.thread_time()
        for _ in range(calls):
            run()
        return (time.thread_time() - started) / calls * 1e6

    owner: Any = openai.resources.chat.completions.Completions
    original = vars(owner)["create"]
    OpenAIInstrumentor().instrument(tracer_provider=tracers, meter_provider=meters)
    wrapped = vars(owner)["create"]

    def instrumented(run: Callable[[], None]) -> float:
        owner.create = wrapped
        try:
            return timed(run)
        finally:
            owner.create = original

    owner.create = original
    for gate in ("no gate", "under ZDR"):
        if gate == "under ZDR":
            otel_zdr.install(otel_zdr.Settings(workspaces=("*",)))
        figures: dict[str, list[float]] = {"bare": [], "floor": [], "instrumented": []}
        for _ in range(ROUNDS):
            figures["bare"].append(timed(bare))
            figures["floor"].append(timed(floor))
            figures["instrumented"].append(instrumented(ours))
        least = {name: min(values) for name, values in figures.items()}
        beyond = least["instrumented"] - least["floor"]
        print(
            f"{gate}: bare {least['bare']:.0f} µs, with a bare span and metrics {least['floor']:.0f} µs,"
            f" instrumented {least['instrumented']:.0f} µs: {beyond:+.0f} µs beyond the floor"
        )
    uninstall()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
