"""Alternating measurement: every configuration is a process that runs once whenever it is asked.

The machine's speed drifts, so configurations are never timed one after the other: in each round all of them
run once, in turn, and figures are made from values of the same round. Processes differ too (memory layout,
hash seeds), so all are started afresh for each generation.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environments import python_of
from systems import System

WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Point:
    """One configuration: a task of worker.py, a system and the task's arguments."""

    task: str
    system: System
    arguments: tuple[tuple[str, Any], ...] = ()

    def command(self, extra: dict[str, Any]) -> list[str]:
        pairs = {**dict(self.arguments), **extra}
        return [
            str(python_of(self.system.environment)),
            str(WORKER),
            self.task,
            self.system.name,
            *(f"{key}={json.dumps(value)}" for key, value in pairs.items()),
        ]

    def __str__(self) -> str:
        return " ".join((self.task, self.system.name, *(f"{k}={v}" for k, v in self.arguments)))


class Failed(Exception):
    """A worker ended or answered something else than a figure."""


class Worker:
    """A running configuration."""

    def __init__(self, point: Point, extra: dict[str, Any]) -> None:
        self.point = point
        self._process = subprocess.Popen(
            point.command(extra),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.units = 0

    def wait_ready(self) -> None:
        self.units = self._answer()["units"]

    def run(self) -> float:
        """CPU nanoseconds per unit of one more run."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("run\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failure("") from None
        return float(self._answer()["ns"])

    def stop(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate(timeout=30)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{"):
                return dict(json.loads(line))
        raise self._failure("ended")

    def _failure(self, what: str) -> Failed:
        _, errors = self._process.communicate(timeout=30)
        return Failed(f"{self.point}: {what} {errors.strip()[-600:]}")


class Samples:
    """Values by point, aligned: the n-th value of every point was taken in the same round."""

    def __init__(self) -> None:
        self._values: dict[Point, list[float]] = {}
        self.failures: dict[Point, str] = {}

    def add(self, point: Point, value: float) -> None:
        self._values.setdefault(point, []).append(value)

    def drop(self, point: Point, why: str) -> None:
        self._values.pop(point, None)
        self.failures[point] = why

    def __contains__(self, point: Point) -> bool:
        return point in self._values

    def of(self, point: Point) -> list[float]:
        return self._values[point]


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of values."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        listed = sorted(values)
        if len(listed) < 3:
            return cls(statistics.median(listed), listed[0], listed[-1], len(listed))
        low, median, high = statistics.quantiles(listed, n=4, method="inclusive")
        return cls(median, low, high, len(listed))


class Progress:
    """A line on standard error that is rewritten in a terminal and plain lines elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def __call__(self, text: str, *, passing: bool = False) -> None:
        if self._live:
            sys.stderr.write(f"\r\x1b[K{text}" + ("" if passing else "\n"))
        elif not passing:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()


@dataclass(frozen=True)
class Effort:
    """How much to measure: processes of each configuration, rounds in each, CPU seconds of one run."""

    generations: int
    rounds: int
    budget: float


def alternate(
    points: list[Point],
    samples: Samples,
    effort: Effort,
    progress: Progress,
    *,
    extra: dict[str, Any],
    before: Callable[[], None] = lambda: None,
    after: Callable[[Worker], None] = lambda worker: None,
) -> None:
    """Adds ``generations`` × ``rounds`` values of each point to ``samples``; a point that fails is dropped.

    ``extra`` are arguments that every worker gets; ``before`` is called when all workers have warmed up,
    ``after`` whenever one has run.
    """
    generations, rounds = effort.generations, effort.rounds
    for generation in range(generations):
        with _workers([p for p in points if p not in samples.failures], samples, extra, progress) as workers:
            before()
            for turn in range(rounds):
                # Forwards and backwards in turn: no configuration always runs behind the same one.
                for worker in workers if turn % 2 else list(reversed(workers)):
                    if worker.point in samples.failures:
                        continue
                    try:
                        samples.add(worker.point, worker.run())
                        after(worker)
                    except Failed as failure:
                        samples.drop(worker.point, str(failure))
                progress(f"  process {generation + 1}/{generations}, round {turn + 1}/{rounds}", passing=True)


@contextlib.contextmanager
def _workers(
    points: list[Point], samples: Samples, extra: dict[str, Any], progress: Progress
) -> Iterator[list[Worker]]:
    workers: list[Worker] = []
    try:
        # Two at a time: starting is mostly importing.
        for start in range(0, len(points), 2):
            pair = [Worker(point, extra) for point in points[start : start + 2]]
            workers += [worker for worker in pair if _ready(worker, samples)]
            progress(f"  starting {start + len(pair)}/{len(points)}", passing=True)
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def _ready(worker: Worker, samples: Samples) -> bool:
    try:
        worker.wait_ready()
    except Failed as failure:
        samples.drop(worker.point, str(failure))
        return False
    return True


def once(point: Point, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    """The single answer of a task that is not timed."""
    worker = Worker(point, extra or {})
    answer = worker._answer()
    worker.stop()
    return answer
