"""The experiments of a run: each measures its points, and nothing here judges them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import environments
from environments import python_of
from measuring import Effort, Failed, Point, Progress, Samples, Worker, alternate, once
from systems import PEERS, requirements, systems

SMALL, MIDDLE, LARGE = 4_096, 40_960, 204_800
SYSTEMS = systems()
CLIENTS = ("openai", "openai, async", "inworld-tts")  # of clients.py
OURS = ("zdr", "zdr-evidence-off", "zdr-10000", "zdr-all", "zdr-other", "zdr-none")
LITERALS = ("zdr-literals-kept", "zdr-literals-dropped")  # they differ from "zdr" in log calls only
BROAD = tuple(name for name in SYSTEMS if name not in LITERALS)  # measured in every way
ITEMS = ("span", "log")
PROFILED = ("none@zdr", "floor", "zdr", "zdr-other")  # whose instructions are counted
PEER_SYSTEMS = tuple(
    s.name for s in SYSTEMS.values() if s.environment in PEERS and not s.name.startswith("none")
)


def spans(name: str, size: int = SMALL, *, live_exception: bool = False) -> Point:
    return Point("spans", SYSTEMS[name], (("size", size), ("live_exception", live_exception)))


def logs(name: str) -> Point:
    return Point("logs", SYSTEMS[name], (("size", SMALL),))


def log_calls(name: str) -> Point:
    return Point("log_calls", SYSTEMS[name], (("size", SMALL),))


def otlp(name: str, size: int, compression: str) -> Point:
    return Point("otlp", SYSTEMS[name], (("size", size), ("compression", compression)))


def chunks(name: str, client: str) -> Point:
    return Point("chunks", SYSTEMS[name], (("client", client),))


def instructions(name: str, item: str) -> Point:
    return Point("instructions", SYSTEMS[name], (("size", SMALL), ("item", item)))


def held(name: str, count: int) -> Point:
    return Point("held", SYSTEMS[name], (("size", SMALL), ("count", count)))


@dataclass
class Results:
    """Everything that a run measured."""

    samples: Samples = field(default_factory=Samples)
    held_bytes: dict[str, float] = field(default_factory=dict)
    wire_bytes: dict[Point, float] = field(default_factory=dict)
    startup_seconds: dict[str, list[float]] = field(default_factory=dict)
    installing_seconds: list[float] = field(default_factory=list)
    coverage: dict[str, dict[str, Any]] = field(default_factory=dict)
    instructions: dict[Point, dict[str, float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


class Run:
    """Runs experiments into ``results``."""

    def __init__(self, effort: Effort, progress: Progress, *, quick: bool) -> None:
        self.results = Results()
        self._effort = effort
        self._progress = progress
        self._quick = quick
        self.unavailable: set[str] = set()

    def prepare(self) -> None:
        """Makes the environments; one that cannot be made takes its systems out of the run."""
        for index, environment in enumerate(requirements(), 1):
            self._progress(f"environment {index}/{len(requirements())}: {environment}", passing=True)
            try:
                environments.make(environment)
            except RuntimeError as error:
                self.unavailable.add(environment)
                self.results.failures[f"environment {environment}"] = str(error)

    def spans(self) -> None:
        """CPU per span of every system, small and large contents, through the simple processor."""
        points = [spans(name) for name in BROAD]
        if self._quick:
            points += [spans(name, LARGE) for name in ("none@base", "none@zdr", "floor", "zdr")]
        else:
            points += [spans(name, LARGE) for name in BROAD if name not in OURS[1:]]
        points += [spans(name, live_exception=True) for name in ("none@zdr", "zdr", "zdr-other")]
        self._alternate(points, {"budget": self._effort.budget})

    def logs(self) -> None:
        """CPU per log record with a structured body, and per call of the standard library's logging."""
        points = [logs(name) for name in ("none@base", "none@zdr", "floor", *OURS)]
        points += [log_calls(name) for name in ("none@zdr", *LITERALS)]
        self._alternate(points, {"budget": self._effort.budget})

    def otlp(self) -> None:
        """CPU per span through the batch processor and OTLP/HTTP to a sink in another process."""
        points = [
            otlp(name, size, compression)
            for size in (SMALL, MIDDLE)
            for compression in ("none", "gzip")
            for name in ("none@zdr", "zdr", "zdr-evidence-off", "zdr-other")
            if not self._quick or (compression == "none" and name in ("none@zdr", "zdr"))
        ]
        points += [otlp(name, size, "none") for size in (SMALL, MIDDLE) for name in ("none@base", "floor")]
        with _serving("sink.py") as endpoint:

            def count(worker: Worker) -> None:
                took = _told(endpoint)
                if took["requests"] != -(-worker.units // 512):
                    raise Failed(f"{worker.point}: the sink got {took['requests']} requests")
                self.results.wire_bytes[worker.point] = took["bytes"] / worker.units

            effort = Effort(min(self._effort.generations, 2), min(self._effort.rounds, 6), 0)
            self._alternate(
                points,
                {"endpoint": endpoint + "/v1/traces"},
                effort=effort,
                before=lambda: _told(endpoint),
                after=count,
            )

    def held(self) -> None:
        """Memory that a queued span keeps alive."""
        count = 300 if self._quick else 2_000
        for name, answer in self._each("held", [held(name, count) for name in BROAD]):
            self.results.held_bytes[name] = answer["bytes"]

    def coverage(self) -> None:
        """Places that still carry content after each system."""
        cleaning = [name for name in BROAD if name not in ("zdr-other", "zdr-none")]
        for name, answer in self._each("coverage", [Point("coverage", SYSTEMS[name]) for name in cleaning]):
            self.results.coverage[name] = answer

    def instructions(self) -> None:
        """Python instructions of a span and of a log record, by purpose."""
        for item in ITEMS:
            points = {name: instructions(name, item) for name in PROFILED}
            for name, answer in self._each(f"instructions of a {item}", list(points.values())):
                self.results.instructions[points[name]] = answer["instructions"]

    def startup(self) -> None:
        """CPU seconds of an idle process under ``opentelemetry-instrument``, without and with us."""
        rounds = 5 if self._quick else 21
        for turn in range(rounds + 1):
            for environment in ("base", "zdr") if turn % 2 else ("zdr", "base"):
                with self._failing(f"startup {environment}"):
                    seconds = _instrumented_process(environment)
                    if turn:  # the first writes the bytecode
                        self.results.startup_seconds.setdefault(environment, []).append(seconds)
            with self._failing("startup in process"):
                seconds = once(Point("startup", SYSTEMS["zdr"]))["seconds"]
                if turn:
                    self.results.installing_seconds.append(seconds)
            self._progress(f"  round {turn}/{rounds}", passing=True)

    def chunks(self) -> None:
        """CPU per chunk of a stream through a wrapped client and through a bare one."""
        with _serving("clients.py") as endpoint:
            points = [chunks(name, client) for client in CLIENTS for name in ("none@zdr", "zdr")]
            effort = Effort(min(self._effort.generations, 2), min(self._effort.rounds, 6), 0)
            self._alternate(points, {"endpoint": endpoint}, effort=effort)

    def _each(self, what: str, points: list[Point]) -> Iterator[tuple[str, dict[str, Any]]]:
        """System name and answer of each point; nothing here is timed, so two run at once."""
        with ThreadPoolExecutor(2) as pool:
            asked = [(p.system.name, pool.submit(once, p)) for p in points if self._possible(p)]
            for name, future in asked:
                self._progress(f"  {name}", passing=True)
                with self._failing(f"{what} {name}"):
                    answer = future.result()
                    yield name, answer

    def _possible(self, point: Point) -> bool:
        return point.system.environment not in self.unavailable

    def _alternate(
        self, points: list[Point], extra: dict[str, Any], effort: Effort | None = None, **more: Any
    ) -> None:
        samples = self.results.samples
        points = [point for point in points if self._possible(point)]
        alternate(points, samples, effort or self._effort, self._progress, extra=extra, **more)
        self.results.failures.update({str(point): why for point, why in samples.failures.items()})

    @contextlib.contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        try:
            yield
        except Failed as failure:
            self.results.failures[what] = str(failure)


def _instrumented_process(environment: str) -> float:
    """User and system CPU seconds of ``opentelemetry-instrument python -c pass``, children included."""
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON"))},
        "OTEL_PYTHON_DISTRO": "zdr" if environment == "zdr" else "distro",
        "OTEL_PYTHON_CONFIGURATOR": "zdr" if environment == "zdr" else "configurator",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    python = python_of(environment)
    process = subprocess.Popen(
        [str(python.with_name("opentelemetry-instrument")), str(python), "-c", "pass"],
        env=variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(errors.decode(errors="replace").strip()[-600:])
    return usage.ru_utime + usage.ru_stime


@contextlib.contextmanager
def _serving(script: str) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name(script))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.communicate(timeout=30)


def _told(endpoint: str) -> dict[str, int]:
    """What the sink took since it was last asked."""
    time.sleep(0.01)
    with urllib.request.urlopen(endpoint, timeout=30) as response:
        return dict(json.loads(response.read()))
