"""From measured values to rows with a target, and to the table, the plot and docs/performance.md."""

from __future__ import annotations

import os
import platform
import string
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import experiments
import instructions
from experiments import (
    CLIENTS,
    ITEMS,
    LARGE,
    MIDDLE,
    OURS,
    PEER_SYSTEMS,
    PROFILED,
    SMALL,
    SYSTEMS,
    Results,
    spans,
)
from measuring import Point, Spread
from plot import Bar, bars, number


@dataclass(frozen=True)
class Row:
    """One figure; ``values`` are paired per round. ``bound`` None means shown without a target."""

    figure: str
    values: list[float]
    bound: float | None = None
    at_most: bool = True
    unit: str = ""

    @property
    def spread(self) -> Spread | None:
        return Spread.of(self.values) if self.values else None

    @property
    def target(self) -> str:
        return "" if self.bound is None else f"{'≤' if self.at_most else '≥'} {self.bound:g}{self.unit}"

    @property
    def met(self) -> bool | None:
        """Whether the median keeps the target; None without a target or a value."""
        if self.bound is None or self.spread is None:
            return None
        return self.spread.median <= self.bound if self.at_most else self.spread.median >= self.bound

    @property
    def verdict(self) -> str:
        if self.bound is None:
            return ""
        return {True: "met", False: "missed", None: "not measured"}[self.met]


def cost(results: Results, point: Point) -> list[float]:
    return results.samples.of(point) if point in results.samples else []


def added(results: Results, point: Point) -> list[float]:
    """CPU nanoseconds beyond the same task with no redaction in the same environment, round by round."""
    without = Point(point.task, SYSTEMS[point.system.baseline], point.arguments)
    return [a - b for a, b in zip(cost(results, point), cost(results, without), strict=False)]


def _microseconds(nanoseconds: list[float]) -> list[float]:
    return [value / 1_000 for value in nanoseconds]


def ratio(above: list[float], below: list[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=False) if b]


def rows(results: Results) -> list[Row]:
    """The target table of the project, then what is shown beside it."""

    def span_added(name: str, size: int = SMALL, live: bool = False) -> list[float]:
        return added(results, spans(name, size, live_exception=live))

    def end_to_end(size: int, compression: str, name: str = "zdr") -> list[float]:
        return ratio(
            cost(results, experiments.otlp(SYSTEMS[name].baseline, size, compression)),
            cost(results, experiments.otlp(name, size, compression)),
        )

    own = cost(results, spans("none@zdr"))
    own_log = cost(results, experiments.logs("none@zdr"))
    own_call = cost(results, experiments.log_calls("none@zdr"))
    call_added = {
        name.rpartition("-")[2]: added(results, experiments.log_calls(name)) for name in experiments.LITERALS
    }
    own_live = cost(results, spans("none@zdr", live_exception=True))
    log_added = added(results, experiments.logs("zdr"))
    held = [results.held_bytes["zdr"] / 1_000] if "zdr" in results.held_bytes else []
    startup = [
        (with_us - without) * 1_000
        for with_us, without in zip(
            results.startup_seconds.get("zdr", []), results.startup_seconds.get("base", []), strict=False
        )
    ]
    table = [
        Row(
            "added per span ÷ AWS distro's, six exact keys", ratio(span_added("zdr"), span_added("aws")), 0.2
        ),
        Row("added per span ÷ bare one-pass allowlist", ratio(span_added("zdr"), span_added("floor")), 1.0),
        Row("200 kB of content ÷ 4 kB", ratio(span_added("zdr", LARGE), span_added("zdr")), 1.1),
        Row("not under ZDR: added ÷ the span's own cost", ratio(span_added("zdr-other"), own), 0.05),
        Row("log record, structured body: added ÷ its own cost", ratio(log_added, own_log), 0.5),
        Row("kB held per queued span", held, 2.0),
        Row("OTLP/HTTP, ZDR off ÷ on, 4 kB", end_to_end(SMALL, "none"), 1.3, at_most=False),
        Row("OTLP/HTTP, ZDR off ÷ on, 40 kB", end_to_end(MIDDLE, "none"), 3, at_most=False),
        Row("10,000 workspaces ÷ 1", ratio(span_added("zdr-10000"), span_added("zdr")), 1.1),
    ]
    for client in CLIENTS:
        wrapped, bare = (cost(results, experiments.chunks(name, client)) for name in ("zdr", "none@zdr"))
        table.append(Row(f"stream chunk, wrapped ÷ bare: {client}", ratio(wrapped, bare), 1.05))
    table.append(Row("start of an instrumented process, added CPU", startup, 60, unit=" ms"))
    table += [
        Row("evidence off: added ÷ evidence on", ratio(span_added("zdr-evidence-off"), span_added("zdr"))),
        Row("OTLP/HTTP with gzip, ZDR off ÷ on, 4 kB", end_to_end(SMALL, "gzip")),
        Row("OTLP/HTTP with gzip, ZDR off ÷ on, 40 kB", end_to_end(MIDDLE, "gzip")),
        Row("OTLP/HTTP, bare allowlist, off ÷ on, 4 kB", end_to_end(SMALL, "none", "floor")),
        Row("OTLP/HTTP, bare allowlist, off ÷ on, 40 kB", end_to_end(MIDDLE, "none", "floor")),
        Row("OTLP/HTTP, evidence off, ZDR off ÷ on, 4 kB", end_to_end(SMALL, "none", "zdr-evidence-off")),
        Row("OTLP/HTTP, evidence off, ZDR off ÷ on, 40 kB", end_to_end(MIDDLE, "none", "zdr-evidence-off")),
        Row("OTLP/HTTP, not under ZDR: off ÷ installed, 4 kB", end_to_end(SMALL, "none", "zdr-other")),
        Row(
            "every workspace under ZDR: added ÷ one of them", ratio(span_added("zdr-all"), span_added("zdr"))
        ),
        Row("no workspace under ZDR: added ÷ the span's own cost", ratio(span_added("zdr-none"), own)),
        Row(
            "log record: added ÷ bare allowlist's",
            ratio(log_added, added(results, experiments.logs("floor"))),
        ),
        Row(
            "log record, bare allowlist: added ÷ its own cost",
            ratio(added(results, experiments.logs("floor")), cost(results, experiments.logs("none@base"))),
        ),
        Row(
            "log record not under ZDR: added ÷ its own cost",
            ratio(added(results, experiments.logs("zdr-other")), own_log),
        ),
        *(
            Row(f"log call, literals {mode}: added ÷ its own cost", ratio(values, own_call))
            for mode, values in call_added.items()
        ),
        *(
            Row(f"log call, added: literals {mode}", _microseconds(values), unit=" µs")
            for mode, values in call_added.items()
        ),
        Row("record_exception(), under ZDR: added ÷ own cost", ratio(span_added("zdr", live=True), own_live)),
        Row(
            "record_exception(), not under ZDR: added ÷ own",
            ratio(span_added("zdr-other", live=True), own_live),
        ),
        *(
            Row(f"stream chunk, added: {client}", _microseconds(added(results, point)), unit=" µs")
            for client in CLIENTS
            for point in [experiments.chunks("zdr", client)]
        ),
        Row(
            "import and install in a running process",
            [s * 1_000 for s in results.installing_seconds],
            unit=" ms",
        ),
    ]
    return [row for row in table if row.values or row.bound is not None]


def markdown(header: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    header = list(header)
    body = ["| " + " | ".join(cells) + " |" for cells in lines]
    return "\n".join(["| " + " | ".join(header) + " |", "|" + "---|" * len(header), *body])


def target_table(table: list[Row]) -> str:
    return markdown(
        ("figure", "target", "median", "quartiles", "rounds", ""),
        (
            (
                row.figure,
                row.target,
                number(row.spread.median) + row.unit if row.spread else "–",
                f"{number(row.spread.low)} – {number(row.spread.high)}" if row.spread else "",
                str(row.spread.count) if row.spread else "",
                row.verdict,
            )
            for row in table
        ),
    )


def systems_table(results: Results) -> str:
    """Every system: added CPU per span at two sizes, memory held, places that leak, metadata kept."""
    lines = []
    for name in ("none@base", *OURS, "floor", *PEER_SYSTEMS):
        system = SYSTEMS[name]
        small, large = added(results, spans(name)), added(results, spans(name, LARGE))
        if name == "none@base":
            own = cost(results, spans(name))
            small_text, large_text = (f"(own cost {_micro(own)})" if own else ""), ""
        else:
            small_text, large_text = _micro(small), _micro(large)
        covered = coverage_of(results, name)
        memory = results.held_bytes.get(name)
        lines.append(
            (
                system.title,
                small_text,
                large_text,
                f"{memory / 1_000:.2f}" if memory else "",
                f"{covered[0]} of {covered[1]}" if covered else "",
                "{} of {}".format(*results.coverage[name]["kept"]) if name in results.coverage else "",
            )
        )
    return markdown(
        ("system", "added µs a span, 4 kB", "200 kB", "kB held", "places that leak", "metadata kept"), lines
    )


def coverage_of(results: Results, name: str) -> tuple[int, int] | None:
    """Places that leak, of those that leak without redaction in that environment."""
    places = _places(results, name)
    return (sum(places.values()), len(places)) if places else None


def _places(results: Results, name: str) -> dict[str, bool]:
    baseline = SYSTEMS[name].baseline
    if name not in results.coverage or baseline not in results.coverage:
        return {}
    there = results.coverage[baseline]["leaks"]
    return {place: leaks for place, leaks in results.coverage[name]["leaks"].items() if there[place]}


def coverage_table(results: Results) -> str:
    """One line a place, one column a system; an empty cell means clean, ``·`` that the SDK of that
    environment never exports it."""
    names = [n for n in ("zdr", "floor", *PEER_SYSTEMS) if n in results.coverage]
    by_system = {name: _places(results, name) for name in names}
    places = list(results.coverage["none@base"]["leaks"]) if "none@base" in results.coverage else []
    cell = {True: "leaks", False: "", None: "·"}
    return markdown(
        ("place", *names),
        ((place, *(cell[by_system[name].get(place)] for name in names)) for place in places),
    )


def _micro(nanoseconds: list[float]) -> str:
    if not nanoseconds:
        return ""
    spread = Spread.of(value / 1_000 for value in nanoseconds)
    return f"{number(spread.median)} ({number(spread.low)} – {number(spread.high)})"


def plot(results: Results) -> str:
    """The SVG of what every system adds per span."""
    shown = []
    for name in ("zdr", "zdr-other", "floor", *PEER_SYSTEMS):
        small, large = added(results, spans(name)), added(results, spans(name, LARGE))
        if small:
            shown.append(
                Bar(
                    SYSTEMS[name].title,
                    Spread.of(small).median / 1_000,
                    Spread.of(large).median / 1_000 if large else None,
                    name in OURS,
                )
            )
    return bars(shown)


def page(results: Results, versions: dict[str, str], effort: str) -> str:
    """docs/performance.md, from page.md beside this file."""
    measured = rows(results)
    template = string.Template(Path(__file__).with_name("page.md").read_text(encoding="utf-8"))
    return template.substitute(
        targets=target_table([row for row in measured if row.bound is not None]),
        beside=target_table([row for row in measured if row.bound is None]),
        systems=systems_table(results),
        places=coverage_table(results),
        wire=_wire_table(results),
        **{f"instructions_{item}": instructions_table(results, item) for item in ITEMS},
        setting=_setting(versions, effort),
    )


def instructions_table(results: Results, item: str) -> str:
    """One line a purpose, one column a system: Python instructions of one item."""
    names = [name for name in PROFILED if experiments.instructions(name, item) in results.instructions]
    by_system = [results.instructions[experiments.instructions(name, item)] for name in names]
    purposes = [
        purpose
        for purpose in dict.fromkeys((instructions.SDK, *dict(instructions.PURPOSES).values()))
        if any(purpose in counted for counted in by_system)
    ]
    lines = [(purpose, *(_whole(counted.get(purpose)) for counted in by_system)) for purpose in purposes]
    lines.append(("all", *(_whole(sum(counted.values())) for counted in by_system)))
    return markdown(("instructions for", *(SYSTEMS[name].title for name in names)), lines)


def _whole(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"


def _wire_table(results: Results) -> str:
    return markdown(
        ("system", "content", "compression", "bytes a span"),
        (
            (
                point.system.title,
                f"{dict(point.arguments)['size'] // 1_024} kB",
                dict(point.arguments)["compression"],
                f"{size:,.0f}",
            )
            for point, size in results.wire_bytes.items()
        ),
    )


def _setting(versions: dict[str, str], effort: str) -> str:
    machine = f"{platform.system()}, {_processor()}, {os.cpu_count()} logical processors"
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"- Python {platform.python_version()}, {machine}\n- {effort}\n- {packages}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()
