"""One measured configuration, in a process of its own: ``python worker.py TASK SYSTEM [NAME=VALUE ...]``.

Tasks that are timed (``spans``, ``logs``, ``log_calls``, ``otlp``, ``chunks``) answer a line ``{"ready": ...}`` and then,
for each line read from standard input, run once and answer ``{"ns": CPU nanoseconds per unit}``: so the
runner can alternate between configurations. The others (``held``, ``coverage``, ``instructions``, ``startup``) run
once and answer a single line.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

POOL = {4_096: 128, 40_960: 32, 204_800: 12}


def say(**answer: Any) -> None:
    """One line to the runner; the real standard output, whatever a library has put in its place."""
    sys.__stdout__.write(json.dumps(answer) + "\n")
    sys.__stdout__.flush()


class Discard:
    """A span or log exporter that takes everything and keeps nothing."""

    def export(self, batch: Any) -> Any:
        return self.success

    def shutdown(self, timeout_millis: int = 0) -> None:
        return None

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


def discard_spans() -> Any:
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    return type("DiscardSpans", (Discard, SpanExporter), {"success": SpanExportResult.SUCCESS})()


def discard_logs() -> Any:
    from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

    return type("DiscardLogs", (Discard, LogRecordExporter), {"success": LogRecordExportResult.SUCCESS})()


def serve(run: Any, units: int | None, budget: float) -> None:
    """Calibrates ``run(units)`` to ``budget`` CPU seconds (unless fixed), then runs it once per line read."""
    if units is None:
        units = 1
        while True:
            started = time.process_time()
            run(units)
            spent = time.process_time() - started
            if spent > budget / 4:
                units = max(1, int(units * budget / spent))
                break
            units *= 2 if spent > budget / 16 else 4
    run(units)
    gc.collect()
    gc.freeze()
    say(ready=True, units=units)
    for _ in sys.stdin:
        gc.collect()
        started = time.process_time_ns()
        run(units)
        say(ns=(time.process_time_ns() - started) / units)


def spans(system: Any, size: int, budget: float, live_exception: bool) -> None:
    import workload
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = system.build(SimpleSpanProcessor, discard_spans(), shutdown_on_exit=False)
    write = _span_writer(system, provider, live_exception=live_exception)
    pool = workload.calls(size, POOL.get(size, 16))
    serve(_cycle(write, pool), None, budget)


def _cycle(write: Any, pool: list[Any]) -> Any:
    def run(units: int) -> None:
        whole, rest = divmod(units, len(pool))
        for _ in range(whole):
            for call in pool:
                write(call)
        for call in pool[:rest]:
            write(call)

    return run


_SCOPE = ("opentelemetry.instrumentation.openai_v2", "2.1b0")


def _span_writer(system: Any, provider: Any, **more: Any) -> Any:
    import workload

    tracer = provider.get_tracer(*_SCOPE)
    return workload.span_writer(tracer, workspace=system.workspace, dialect=system.dialect, **more)


def _log_writer(system: Any) -> Any:
    import workload

    return workload.log_writer(_logger_provider(system).get_logger(*_SCOPE), workspace=system.workspace)


def _logger_provider(system: Any) -> Any:
    import systems
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

    systems.install(system.settings)
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(system.log_processor(SimpleLogRecordProcessor(discard_logs())))
    return provider


def logs(system: Any, size: int, budget: float) -> None:
    import workload

    serve(_cycle(_log_writer(system), workload.calls(size, POOL.get(size, 16))), None, budget)


def log_calls(system: Any, size: int, budget: float) -> None:
    """Calls of the standard library's ``logging``, through the SDK's handler."""
    import warnings

    import workload
    from opentelemetry.sdk._logs import LoggingHandler

    logging.disable(logging.NOTSET)
    logger = logging.getLogger("benchmark")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it has moved to another distribution
        logger.addHandler(LoggingHandler(logger_provider=_logger_provider(system)))
    write = workload.log_caller(logger, workspace=system.workspace)
    serve(_cycle(write, workload.calls(size, POOL.get(size, 16))), None, budget)


def otlp(system: Any, size: int, endpoint: str, compression: str) -> None:
    """Spans through the batch processor and the stock OTLP/HTTP exporter to a sink in another process."""
    import workload
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    units = 512

    def batching(exporter: Any) -> Any:
        return BatchSpanProcessor(
            exporter, max_queue_size=4_096, max_export_batch_size=512, schedule_delay_millis=600_000
        )

    exporter = OTLPSpanExporter(endpoint, compression=Compression(compression), timeout=60)
    provider = system.build(batching, exporter, shutdown_on_exit=False)
    cycle = _cycle(_span_writer(system, provider), workload.calls(size, POOL.get(size, 16)))

    def run(count: int) -> None:
        cycle(count)
        if not provider.force_flush(60_000):
            raise RuntimeError("the batch processor did not flush in time")

    serve(run, units, 0)


def chunks(system: Any, client: str, endpoint: str) -> None:
    """Chunks of a stream through an official client."""
    import clients

    serve(clients.prepare(system, client, endpoint), 2 * clients.CHUNKS, 0)


def instructions(system: Any, size: int, item: str) -> None:
    """Python instructions of one ``span`` or ``log`` record, by purpose."""
    import instructions
    import workload
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    if item == "span":
        provider = system.build(SimpleSpanProcessor, discard_spans(), shutdown_on_exit=False)
        write = _span_writer(system, provider)
    else:
        write = _log_writer(system)
    say(instructions=instructions.count(write, workload.calls(size, 16)))


def held(system: Any, size: int, count: int) -> None:
    """Bytes that the queue of the batch processor keeps alive per span, contents made anew for each span."""
    import random
    import tracemalloc

    import workload
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    def batching(exporter: Any) -> Any:
        return BatchSpanProcessor(
            exporter, max_queue_size=8_192, max_export_batch_size=8_192, schedule_delay_millis=600_000
        )

    provider = system.build(batching, discard_spans(), shutdown_on_exit=False)
    write = _span_writer(system, provider)
    rng = random.Random(8)
    for _ in range(64):
        write(workload.Call(size, rng))
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(count):
        write(workload.Call(size, rng))
    gc.collect()
    say(bytes=(tracemalloc.get_traced_memory()[0] - before) / count)
    sys.__stdout__.flush()
    os._exit(0)  # the queue is not worth exporting


def main(arguments: list[str]) -> None:
    import systems

    # Peers warn about their own set-up on the loggers; that is not what is measured.
    logging.disable(logging.CRITICAL)
    task, name, *pairs = arguments
    given = {key: json.loads(value) for key, value in (pair.split("=", 1) for pair in pairs)}
    system = systems.systems()[name]
    if task == "coverage":
        import coverage_of_places

        say(**coverage_of_places.measure(system))
    elif task == "startup":
        startup(system)
    else:
        timed = {"spans": spans, "logs": logs, "log_calls": log_calls, "otlp": otlp, "chunks": chunks}
        {**timed, "held": held, "instructions": instructions}[task](system, **given)


def startup(system: Any) -> None:
    """CPU seconds that importing and installing the package adds once the SDK and an exporter are loaded."""
    import opentelemetry.exporter.otlp.proto.grpc.trace_exporter
    import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: F401
    import systems
    from opentelemetry.sdk import _logs, metrics, trace  # noqa: F401

    started = time.process_time()
    systems.install(system.settings)
    say(seconds=time.process_time() - started)


if __name__ == "__main__":
    main(sys.argv[1:])
