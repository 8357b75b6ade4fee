"""From measured values to rows with a target, and to the table, the plot and docs/performance.md."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import experiments
from experiments import LARGE, MIDDLE, OURS, PEER_SYSTEMS, SMALL, SYSTEMS, Results, spans
from measuring import Point, Spread


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


def ratio(above: list[float], below: list[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=False) if b]


def rows(results: Results) -> list[Row]:
    """The target table of the project, then what is shown beside it."""

    def span_added(name: str, size: int = SMALL, live: bool = False) -> list[float]:
        return added(results, spans(name, size, live_exception=live))

    def end_to_end(size: int, compression: str, name: str = "zdr") -> list[float]:
        return ratio(
            cost(results, experiments.otlp("none@zdr", size, compression)),
            cost(results, experiments.otlp(name, size, compression)),
        )

    own = cost(results, spans("none@zdr"))
    own_log = cost(results, experiments.logs("none@zdr"))
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
    for client, seconds in results.chunk_seconds.items():
        table.append(
            Row(f"stream chunk, wrapped ÷ bare: {client}", ratio(seconds["wrapped"], seconds["bare"]), 1.05)
        )
    if not results.chunk_seconds:
        table.append(Row("stream chunk, wrapped ÷ bare", [], 1.05))
    table.append(Row("start of an instrumented process, added CPU", startup, 60, unit=" ms"))
    table += [
        Row("evidence off: added ÷ evidence on", ratio(span_added("zdr-evidence-off"), span_added("zdr"))),
        Row("OTLP/HTTP with gzip, ZDR off ÷ on, 4 kB", end_to_end(SMALL, "gzip")),
        Row("OTLP/HTTP with gzip, ZDR off ÷ on, 40 kB", end_to_end(MIDDLE, "gzip")),
        Row("OTLP/HTTP, evidence off, ZDR off ÷ on, 4 kB", end_to_end(SMALL, "none", "zdr-evidence-off")),
        Row("OTLP/HTTP, evidence off, ZDR off ÷ on, 40 kB", end_to_end(MIDDLE, "none", "zdr-evidence-off")),
        Row("OTLP/HTTP, not under ZDR: off ÷ installed, 4 kB", end_to_end(SMALL, "none", "zdr-other")),
        Row(
            "every workspace under ZDR: added ÷ one of them", ratio(span_added("zdr-all"), span_added("zdr"))
        ),
        Row("no workspace under ZDR: added ÷ the span's own cost", ratio(span_added("zdr-none"), own)),
        Row(
            "log record not under ZDR: added ÷ its own cost",
            ratio(added(results, experiments.logs("zdr-other")), own_log),
        ),
        Row("record_exception(), under ZDR: added ÷ own cost", ratio(span_added("zdr", live=True), own_live)),
        Row(
            "record_exception(), not under ZDR: added ÷ own",
            ratio(span_added("zdr-other", live=True), own_live),
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
                _number(row.spread.median) + row.unit if row.spread else "–",
                f"{_number(row.spread.low)} – {_number(row.spread.high)}" if row.spread else "",
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
    return f"{_number(spread.median)} ({_number(spread.low)} – {_number(spread.high)})"


def _number(value: float) -> str:
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def plot(results: Results) -> str:
    """An SVG: CPU added per span on a logarithmic axis, a bar for 4 kB and a mark for 200 kB."""
    shown = []
    for name in ("zdr", "zdr-other", "floor", *PEER_SYSTEMS):
        small, large = added(results, spans(name)), added(results, spans(name, LARGE))
        if small:
            shown.append(
                (name, Spread.of(small).median / 1_000, Spread.of(large).median / 1_000 if large else None)
            )
    shown.sort(key=lambda item: item[1])
    width, left, top, step = 860, 370, 64, 30
    height = top + step * len(shown) + 56
    largest = max([10.0, *(max(small, large or 0) for _, small, large in shown)])
    first, last = -1, math.ceil(math.log10(largest))

    def x(microseconds: float) -> float:
        return left + (math.log10(max(microseconds, 10**first)) - first) / (last - first) * (
            width - left - 80
        )

    bottom = top + step * len(shown)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif"'
        ' font-size="13" role="img" aria-label="CPU time added per span, by system">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        '<text x="16" y="26" font-size="16" font-weight="600" fill="#1b1f24">CPU time added per span</text>',
        '<text x="16" y="46" fill="#57606a">microseconds, logarithmic, median; bar: 4 kB of content, ring: 200 kB</text>',
    ]
    for power in range(first, last + 1):
        at = x(10.0**power)
        out.append(f'<line x1="{at:.1f}" y1="{top - 6}" x2="{at:.1f}" y2="{bottom}" stroke="#d8dee4"/>')
        out.append(
            f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle" fill="#57606a">{10.0**power:,g}</text>'
        )
    for index, (name, small, large) in enumerate(shown):
        y = top + index * step
        ours = name in OURS
        colour = "#0969da" if ours else "#8c959f"
        weight = ' font-weight="600"' if ours else ""
        out.append(
            f'<text x="{left - 10}" y="{y + 16}" text-anchor="end" fill="#1b1f24"{weight}>{SYSTEMS[name].title}</text>'
        )
        out.append(
            f'<rect x="{left}" y="{y + 3}" width="{max(x(small) - left, 1):.1f}" height="18" rx="2" fill="{colour}"/>'
        )
        end = x(small)
        if large is not None:
            out.append(
                f'<circle cx="{x(large):.1f}" cy="{y + 12}" r="5" fill="none" stroke="#cf222e" stroke-width="2"/>'
            )
            end = max(end, x(large) + 6)
        label = f"{_number(small)}" + (f" / {_number(large)}" if large is not None else "")
        out.append(f'<text x="{end + 6:.1f}" y="{y + 16}" fill="#1b1f24">{label}</text>')
    out.append(f'<line x1="{left}" y1="{top - 6}" x2="{left}" y2="{bottom}" stroke="#57606a"/>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def page(results: Results, versions: dict[str, str], effort: str) -> str:
    """docs/performance.md."""
    measured = rows(results)
    with_target = [row for row in measured if row.bound is not None]
    beside = [row for row in measured if row.bound is None]
    leaks = coverage_of(results, "zdr")
    parts = [
        "# Performance",
        "Written by `make bench` (`benchmarks/run.py`); the figures are of one run. CPU time of the whole process "
        "(`time.process_time`), all threads, so waiting does not count.",
        "![CPU time added per span, by system](performance.svg)",
        "## Targets",
        target_table(with_target),
        "Added means beyond the same workload with no redaction in the same environment and the same round. "
        "Evidence is on and OTLP is not compressed unless a line says so.",
    ]
    if beside:
        parts += ["## Beside the targets", target_table(beside)]
    parts += [
        "## Systems",
        systems_table(results),
        "Median and quartiles. Places that leak: of "
        + (f"{leaks[1]} places" if leaks else "the places below")
        + " of a span, a log record and a measurement, how many still carry a prose canary in the OTLP bytes.",
        "## Places that still carry content",
        coverage_table(results),
        "An empty cell is clean; `·` is a place that the SDK in that environment never exports. The peers' parts "
        "that are measured clean spans (Logfire's log records too); logs and metrics are listed all the same, "
        "because content leaves there as well.",
    ]
    if results.wire_bytes:
        parts += ["## Bytes on the wire per span", _wire_table(results)]
    parts += ["## How it is measured", METHOD.strip(), "## Run", _setting(versions, effort)]
    return "\n\n".join(parts) + "\n"


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


METHOD = """
- **Workload** (`benchmarks/workload.py`): a span with 20 attributes, of which two messages share the stated amount
  of content, an exception event, a link and an error status; a log record with a structured body. Contents are
  distinct texts made beforehand.
- **Floor** (`benchmarks/floor.py`): a bare allowlist in one pass over name, attributes, events, links and status. It
  decides nothing, checks no shape and writes no evidence.
- **Peers** (`benchmarks/peers/`): each in an environment of its own with pinned versions, given what it needs to
  know to remove the content of this workload, and nothing else of the peer switched on.
- Every configuration is a process of its own. In each round all run once in turn, about a tenth of a second of CPU,
  and ratios are made from values of the same round; processes are started afresh several times.
- Spans go through the SDK's simple processor to an exporter that discards them, so that work done at export is
  counted too. Memory is what the queue of a batch processor keeps alive per span (`tracemalloc`), with contents made
  anew for each span.
- The OTLP figures go through the batch processor and the stock OTLP/HTTP exporter to a sink in another process.
- The start of a process is `opentelemetry-instrument python -c pass`, user and system CPU time, with and without the
  package, an LLM client installed in both.
- Places: each holds a canary of its own, made at run time, and is looked for in what the OTLP encoder makes of the
  item inside `export()`.
"""


def _setting(versions: dict[str, str], effort: str) -> str:
    lines = [
        f"- Python {platform.python_version()}, {platform.system()}, {_processor()}, {os.cpu_count()} logical processors",
        f"- {effort}",
        "- " + ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]
    return "\n".join(lines)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()
