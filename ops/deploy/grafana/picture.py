"""Draws a dashboard as SVG: each panel in its place, from the series of its queries."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

# Timestamps and values; times are in seconds from the start.
type Points = Sequence[tuple[float, float]]

_COLUMN, _ROW, _EDGE = 42, 25, 10
_COLOURS = (
    "#4c78a8",
    "#f58518",
    "#54a24b",
    "#e45756",
    "#72b7b2",
    "#b279a2",
    "#9d755d",
    "#eeca3b",
    "#bab0ac",
)
_LEGEND = 6


@dataclass(frozen=True)
class Panel:
    """A drawn panel. The position is in Grafana's grid of 24 columns."""

    title: str
    unit: str
    kind: str
    place: dict[str, int]
    series: dict[str, Points]
    # The reason why a panel has no data.
    empty: str = ""


def draw(title: str, panels: Sequence[Panel], seconds: float, step: float) -> str:
    """The dashboard over this many seconds, with a point at each step."""
    height = max(panel.place["y"] + panel.place["h"] for panel in panels) * _ROW + 4 * _EDGE
    width = 24 * _COLUMN + 2 * _EDGE
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11" role="img">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{_EDGE}" y="22" font-size="16">{escape(title)}</text>',
    ]
    for panel in panels:
        lines += _panel(panel, seconds, step)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _panel(panel: Panel, seconds: float, step: float) -> Iterator[str]:
    x, y = _EDGE + panel.place["x"] * _COLUMN, 3 * _EDGE + panel.place["y"] * _ROW
    width, height = panel.place["w"] * _COLUMN - 6, panel.place["h"] * _ROW - 6
    yield f'<g transform="translate({x} {y})">'
    yield f'<rect width="{width}" height="{height}" fill="none" stroke="#d0d4d8"/>'
    yield f'<text x="8" y="16" font-weight="bold">{escape(panel.title)}</text>'
    if not panel.series:
        yield f'<text x="8" y="{height / 2:g}" fill="#777">{escape(panel.empty)}</text>'
    elif panel.kind == "stat":
        yield from _stat(panel, height)
    else:
        yield from _lines(panel, width, height, seconds, step)
    yield "</g>"


def _stat(panel: Panel, height: float) -> Iterator[str]:
    shown = [
        f"{name} {_said(points[-1][1], panel.unit, points[-1][1])}".strip()
        for name, points in panel.series.items()
    ]
    size = 24 if len(shown) == 1 else 13
    for number, text in enumerate(shown):
        top = height / 2 + 8 + (number - (len(shown) - 1) / 2) * (size + 4)
        yield f'<text x="8" y="{top:g}" font-size="{size}">{escape(text)}</text>'


def _lines(panel: Panel, width: float, height: float, seconds: float, step: float) -> Iterator[str]:
    legend = min(len(panel.series), _LEGEND)
    left, top, right, bottom = 58, 26, width - 10, height - 22 - 13 * math.ceil(legend / 2)
    highest = max(value for points in panel.series.values() for _, value in points)
    size = 2.0**20 if panel.unit == "bytes" else 1.0
    most = _ceiling(highest / size) * size
    for share in (0, 0.5, 1):
        at = bottom - share * (bottom - top)
        yield f'<path d="M{left} {at:g}H{right:g}" stroke="#e4e8ec"/>'
        text = escape(_said(share * most, panel.unit, most))
        yield f'<text x="{left - 5}" y="{at + 4:g}" text-anchor="end" fill="#555">{text}</text>'
    for share in (0, 0.5, 1):
        at = left + share * (right - left)
        anchor = {0: "start", 0.5: "middle", 1: "end"}[share]
        text = f"{share * seconds:.0f} s"
        yield f'<text x="{at:g}" y="{bottom + 13:g}" text-anchor="{anchor}" fill="#555">{text}'
        yield "</text>"
    # Highest first: with many series, the legend names the most visible ones.
    ordered = sorted(panel.series.items(), key=lambda one: -max(value for _, value in one[1]))
    for number, (name, points) in enumerate(ordered):
        colour = _COLOURS[number % len(_COLOURS)]
        way, last = "", -math.inf
        for at, value in points:
            # Missing data leaves a gap in the line.
            way += "L" if at - last <= 1.5 * step else "M"
            way += f"{left + at / seconds * (right - left):.1f} "
            way += f"{bottom - value / most * (bottom - top):.1f}"
            last = at
        yield f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        if number < _LEGEND:
            at, row = 10 + number % 2 * (width - 20) / 2, bottom + 30 + number // 2 * 13
            yield f'<rect x="{at:g}" y="{row - 8:g}" width="9" height="9" fill="{colour}"/>'
            yield f'<text x="{at + 13:g}" y="{row:g}">{escape(_short(name, width))}</text>'
    if len(panel.series) > _LEGEND:
        more = len(panel.series) - _LEGEND
        yield f'<text x="{right:g}" y="16" text-anchor="end" fill="#555">and {more} more</text>'


def _short(name: str, width: float) -> str:
    most = int(width / 2 / 6.2)
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _ceiling(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten; 1 for zero."""
    if value <= 0:
        return 1.0
    power = float(10.0 ** math.floor(math.log10(value)))
    return next(step * power for step in (1, 2, 5, 10) if value <= step * power * 1.0001)


def _said(value: float, unit: str, most: float) -> str:
    """A value with its unit, as short as it is readable next to the maximum."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "bytes":
        return f"{value / 2**20:.3g} MiB"
    if unit == "s" and most < 1:
        return f"{value * 1000:.3g} ms"
    ending = {"s": " s", "reqps": " /s", "ops": " /s"}.get(unit, "")
    return f"{value:.3g}{ending}"
