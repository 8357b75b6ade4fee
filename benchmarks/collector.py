"""What enforcing costs in the Collector: the gateway's configuration against a pass-through, on one binary.

::

    python benchmarks/collector.py [--seconds 5] [--rounds 3] [--json FILE]

Spans of 16 small attributes, two attributes of content, an event and a link are sent over OTLP/HTTP in batches
of 100 by two connections, to a Collector that exports to nothing or, compressed, to a sink that takes everything.
The Collector has one core for itself, as a gateway has its machine; senders and sink share another. Both
configurations take turns, so that a noisy machine is unfair to neither; the figures are medians of the rounds.
CPU is the Collector's own, from ``/proc``.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.collector.running import Collector  # noqa: E402
from tests.collector.telemetry import START, pairs, span, traces  # noqa: E402

BATCH = 100
SIZES = (4_000, 40_000)  # bytes of content a span
_CLK = 100


def batch(size: int) -> bytes:
    """100 spans of an LLM client with ``size`` bytes of content each."""
    spans = []
    for index in range(BATCH):
        words = " ".join(f"w{(index * 7919 + place * 104729) % 99991}" for place in range(size // 13))
        content = words[: size // 2 - 40]
        made = span(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.response.model": "gpt-4o-2024-08-06",
                "gen_ai.response.id": f"chatcmpl-{index}",
                "gen_ai.response.finish_reasons": ["stop"],
                "gen_ai.usage.input_tokens": 1111,
                "gen_ai.usage.output_tokens": 222,
                "gen_ai.request.temperature": 0.5,
                "gen_ai.request.max_tokens": 100,
                "gen_ai.request.top_p": 1.0,
                "gen_ai.output.type": "text",
                "server.address": "api.openai.com",
                "server.port": 443,
                "workspace.id": "clinic-7",
                "gen_ai.request.choice.count": 1,
                "gen_ai.input.messages": json.dumps([{"role": "user", "content": content}]),
                "gen_ai.output.messages": json.dumps([{"role": "assistant", "content": content[::-1]}]),
            }
        )
        event = made.events.add(name="gen_ai.choice", time_unix_nano=START)
        event.attributes.extend(pairs({"gen_ai.response.finish_reasons": ["stop"]}))
        made.links.add(trace_id=b"1" * 16, span_id=b"2" * 8)
        spans.append(made)
    return bytes(traces(*spans, resource={"service.name": "shop"}, scope="opentelemetry").SerializeToString())


def configuration(folder: Path, zdr: bool, destination: str) -> Path:
    """The gateway's traces pipeline, with or without enforcement, to nothing or to ``destination``."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "collector-config" / "gateway.yaml").read_text())
    traces_pipeline = config["service"]["pipelines"]["traces"]
    config["service"]["pipelines"] = {"traces": traces_pipeline}
    if not zdr:
        traces_pipeline["processors"] = ["memory_limiter"]
    if destination:
        config["exporters"] = {
            "otlp_http": {
                "endpoint": destination,
                "compression": "gzip",
                # Short: what waits in it has been taken, but its cost has not been paid.
                "sending_queue": {"queue_size": 10, "block_on_overflow": True},
            }
        }
    else:
        config["exporters"] = {"nop": None}
    traces_pipeline["exporters"] = list(config["exporters"])
    path = folder / f"{'zdr' if zdr else 'pass'}-{'otlp' if destination else 'nothing'}.yaml"
    path.write_text(yaml.safe_dump(config, width=10**9))
    return path


@contextlib.contextmanager
def core_of_its_own() -> Iterator[None]:
    """What is started inside has the first core, and this process and its other children the second.

    On a machine with one core they share it.
    """
    first, *others = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {first})
    try:
        yield
    finally:
        os.sched_setaffinity(0, others[:1] or {first})


@contextlib.contextmanager
def sink() -> Iterator[str]:
    """The address of a server that takes everything, in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name("sink.py"))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.stdin.close()
        process.wait()


def cpu_seconds(collector: Collector) -> float:
    assert collector.process is not None
    fields = Path(f"/proc/{collector.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _CLK


def measure(collector: Collector, body: bytes, seconds: float) -> tuple[float, float]:
    """(spans a second, microseconds of CPU a span) under as much load as two connections bring."""
    sent = [0, 0]

    def load(slot: int, until: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", collector.http_port)
        while time.monotonic() < until:
            connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                sent[slot] += BATCH
            else:
                time.sleep(0.01)
        connection.close()

    for run_seconds in (min(1.0, seconds), seconds):
        sent[:] = [0, 0]
        before, start = cpu_seconds(collector), time.monotonic()
        threads = [threading.Thread(target=load, args=(slot, start + run_seconds)) for slot in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed, used = time.monotonic() - start, cpu_seconds(collector) - before
    total = sum(sent)
    return total / elapsed, used / total * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description="What enforcing costs in the Collector.")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    binary = subprocess.run(
        [str(ROOT / "collector-config" / "build.sh")], capture_output=True, text=True, check=True
    ).stdout.strip()
    results: dict[str, dict[str, float]] = {}
    cores = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as name, sink() as address:
        folder = Path(name)
        for destination in ("", address):
            where = "otlp" if destination else "nothing"
            both = {
                zdr: Collector(binary, configuration(folder, zdr, destination), folder / f"{where}-{zdr}")
                for zdr in (False, True)
            }
            try:
                for collector in both.values():
                    os.sched_setaffinity(0, cores)
                    with core_of_its_own():
                        collector.start()
                for size in SIZES:
                    body = batch(size)
                    rounds: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
                    for _ in range(options.rounds):
                        for zdr, collector in both.items():
                            rounds[zdr].append(measure(collector, body, options.seconds))
                    results[f"{where} {size // 1000} kB"] = row = {
                        "pass spans/s": statistics.median(rate for rate, _ in rounds[False]),
                        "zdr spans/s": statistics.median(rate for rate, _ in rounds[True]),
                        "pass us/span": statistics.median(cpu for _, cpu in rounds[False]),
                        "zdr us/span": statistics.median(cpu for _, cpu in rounds[True]),
                    }
                    row["throughput ratio"] = row["zdr spans/s"] / row["pass spans/s"]
                    print(
                        f"{where:8} {size // 1000:3} kB",
                        *(f"{k} {v:,.2f}" for k, v in row.items()),
                        sep="   ",
                    )
            finally:
                for collector in both.values():
                    collector.stop()
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
