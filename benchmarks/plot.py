"""The plot of docs/performance.md, as SVG written by hand: no plotting library is worth installing for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

WIDTH, LEFT, TOP, STEP = 960, 420, 64, 30
INK, MUTED, GRID, OURS, PEER, RING = "#1b1f24", "#57606a", "#d8dee4", "#0969da", "#8c959f", "#cf222e"


@dataclass(frozen=True)
class Bar:
    """Microseconds added per span at 4 kB and, where measured, at 200 kB of content."""

    title: str
    small: float
    large: float | None
    ours: bool


def bars(shown: list[Bar]) -> str:
    """An SVG of horizontal bars on a logarithmic axis, shortest first."""
    shown = sorted(shown, key=lambda bar: bar.small)
    bottom = TOP + STEP * len(shown)
    height = bottom + 40
    first = -1
    last = math.ceil(math.log10(max([10.0, *(max(bar.small, bar.large or 0) for bar in shown)])))

    def x(microseconds: float) -> float:
        decades = math.log10(max(microseconds, 10**first)) - first
        return LEFT + decades / (last - first) * (WIDTH - LEFT - 110)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
        ' font-family="system-ui, sans-serif" font-size="13" role="img"',
        ' aria-label="CPU time added per span, by system">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        _text(16, 26, "CPU time added per span", INK, size=16, weight=600),
        _text(16, 46, "microseconds, logarithmic, median; bar: 4 kB of content, ring: 200 kB", MUTED),
    ]
    for power in range(first, last + 1):
        at = x(10.0**power)
        out.append(f'<line x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{bottom}" stroke="{GRID}"/>')
        out.append(
            _text(
                at,
                bottom + 18,
                f"{10**power:,}" if power >= 0 else f"{10.0**power:g}",
                MUTED,
                anchor="middle",
            )
        )
    for index, bar in enumerate(shown):
        y = TOP + index * STEP
        out.append(_text(LEFT - 10, y + 16, bar.title, INK, anchor="end", weight=600 if bar.ours else 400))
        length = max(x(bar.small) - LEFT, 1)
        colour = OURS if bar.ours else PEER
        out.append(f'<rect x="{LEFT}" y="{y + 3}" width="{length:.1f}" height="18" rx="2" fill="{colour}"/>')
        end = x(bar.small)
        label = number(bar.small)
        if bar.large is not None:
            at = x(bar.large)
            out.append(
                f'<circle cx="{at:.1f}" cy="{y + 12}" r="5" fill="none" stroke="{RING}" stroke-width="2"/>'
            )
            end = max(end, at + 6)
            label += f" / {number(bar.large)}"
        out.append(_text(end + 6, y + 16, label, INK))
    out.append(f'<line x1="{LEFT}" y1="{TOP - 6}" x2="{LEFT}" y2="{bottom}" stroke="{MUTED}"/>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def number(value: float) -> str:
    """Three digits or so."""
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _text(
    x: float, y: float, text: str, colour: str, *, anchor: str = "start", size: int = 13, weight: int = 400
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}"'
        f' fill="{colour}">{text}</text>'
    )
