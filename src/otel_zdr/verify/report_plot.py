"""The report's plots: stacked bars over time as inline SVG, coloured by the classes of the page's style."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from otel_zdr.verify.report import OTHERS, Report
from otel_zdr.verify.report_text import moment, number, text

_WIDTH, _HEIGHT = 1000, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 18, 22
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200)
_DAY = 86400
_BARS = 72
_CLASSES_SHOWN = 6
_ITEMS = (("redacted", "redacted"), ("failsafe", "reduced to a skeleton"), ("untouched", "not redacted"))


def plots(report: Report) -> str:
    begin, end = report.seen.span
    if not end:
        return ""
    width = _step(end - begin)
    changes = sorted((first // 10**9, version) for version, (first, _) in report.versions.items())
    classes = [name for name, _ in _totals(report).most_common(_CLASSES_SHOWN)]
    series = [(name, text(name)) for name in classes]
    removed = report.removed.regular(width)
    more = any(name not in classes for _, counts in removed for name in counts)
    if more:
        series.append((OTHERS, "others"))
        removed = [(start, _fold(counts, classes)) for start, counts in removed]
    parts = [
        "<h2>Over time</h2>\n",
        _figure(
            "Spans and log records",
            report.seen.regular(width),
            _ITEMS,
            width,
            changes,
            [n for n, _ in _ITEMS],
        ),
    ]
    if any(counts for _, counts in removed):
        colours = [f"c{index}" for index in range(_CLASSES_SHOWN)] + ["c6"]
        parts.append(
            _figure(
                "Values removed, by class",
                _aligned(removed, report.seen.regular(width)),
                series,
                width,
                changes,
                colours[: len(series) - more] + (["c6"] if more else []),
            )
        )
    return "".join(parts)


def _totals(report: Report) -> Counter[str]:
    totals: Counter[str] = Counter()
    for group in report.groups:
        totals.update(group.removed)
    totals.pop(OTHERS, None)
    return totals


def _fold(counts: Counter[str], kept: Iterable[str]) -> Counter[str]:
    folded = Counter({name: counts[name] for name in kept if counts[name]})
    rest = sum(counts.values()) - sum(folded.values())
    if rest:
        folded[OTHERS] = rest
    return folded


def _aligned(
    buckets: list[tuple[int, Counter[str]]], like: list[tuple[int, Counter[str]]]
) -> list[tuple[int, Counter[str]]]:
    found = dict(buckets)
    return [(start, found.get(start, Counter())) for start, _ in like]


def _step(seconds: int) -> int:
    """A length of time people think in, so that there are at most so many bars."""
    least = max(1, -(-seconds // _BARS))
    for step in _STEPS:
        if step >= least:
            return step
    return -(-least // _DAY) * _DAY


def _figure(
    title: str,
    buckets: list[tuple[int, Counter[str]]],
    series: Sequence[tuple[str, str]],
    width: int,
    changes: list[tuple[int, str]],
    colours: Sequence[str],
) -> str:
    highest = max((sum(counts.values()) for _, counts in buckets), default=0)
    top = _round_up(highest)
    plot_width, plot_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    each = plot_width / len(buckets)
    bar = max(1.0, min(each - (2 if each > 6 else 0.5), 48))
    body: list[str] = []
    for level in (0, top // 2, top) if top > 1 else (0, top):
        y = _TOP + plot_height * (1 - level / top)
        body.append(
            f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(level)}</text>'
        )
    for index, (start, counts) in enumerate(buckets):
        x = _LEFT + each * index + (each - bar) / 2
        y = float(_TOP + plot_height)
        for (name, label), colour in zip(series, colours, strict=True):
            count = counts[name]
            if not count:
                continue
            height = plot_height * count / top
            y -= height
            body.append(
                f'<rect class="{colour}" x="{x:.1f}" y="{y:.1f}" width="{bar:.1f}" '
                f'height="{max(height, 0.6):.1f}">'
                f"<title>{moment(start)}: {number(count)} {label}</title></rect>"
            )
    body.append(_time_axis(buckets, each, width))
    body.append(_changes(changes, buckets, each, width))
    legend = "".join(
        '<li><svg viewBox="0 0 10 10" aria-hidden="true">'
        f'<rect class="{colour}" width="10" height="10"/></svg>{label}</li>'
        for (name, label), colour in zip(series, colours, strict=True)
        if any(counts[name] for _, counts in buckets)
    )
    return (
        f'<figure>\n<figcaption class="soft">{title}, in steps of {_duration(width)}</figcaption>\n'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title} over time">'
        f"{''.join(body)}</svg>\n"
        f'<ul class="legend">{legend}</ul>\n</figure>\n'
    )


def _time_axis(buckets: list[tuple[int, Counter[str]]], each: float, width: int) -> str:
    form = (
        "%Y-%m-%d"
        if width >= _DAY
        else "%H:%M:%S"
        if width < 60
        else "%m-%d %H:%M"
        if width >= 600
        else "%H:%M"
    )
    labels = []
    every = max(1, -(-len(buckets) // 8))
    for index in range(0, len(buckets), every):
        x = _LEFT + each * index
        labels.append(f'<text x="{x:.1f}" y="{_HEIGHT - 6}">{moment(buckets[index][0], form)}</text>')
    return "".join(labels)


def _changes(
    changes: list[tuple[int, str]], buckets: list[tuple[int, Counter[str]]], each: float, width: int
) -> str:
    """Where a policy version was first seen."""
    drawn, lines = -1000.0, []
    for first, version in changes:
        x = _LEFT + each * (first - buckets[0][0]) / width
        x = min(max(x, _LEFT), _WIDTH - _RIGHT)
        lines.append(
            f'<line class="change" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 4}" y2="{_HEIGHT - _BOTTOM}"/>'
        )
        if x - drawn > 70:
            anchor = ' text-anchor="end"' if x > _WIDTH - 90 else ""
            lines.append(
                f'<text x="{x + (-3 if anchor else 3):.1f}" y="10"{anchor}>policy {text(version[:12])}</text>'
            )
            drawn = x
    return "".join(lines)


def _round_up(value: int) -> int:
    """The next number that is good at the top of an axis."""
    step = 1
    while True:
        for factor in (1, 2, 4, 6, 8):
            if value <= step * factor:
                return step * factor
        step *= 10


def _short(value: int) -> str:
    for size, sign in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            return f"{value / size:g}{sign}"
    return str(value)


def _duration(seconds: int) -> str:
    for size, name in ((_DAY, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count} {name}{'s' if count != 1 else ''}"
    return f"{seconds} seconds"
