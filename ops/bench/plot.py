"""Draws what `make bench` measured: processor time of each request beside the limit's.

python -m ops.bench.plot docs/performance/api.json docs/pictures/performance.svg
"""

import json
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from ops.bench.api import GOALS

LEFT, WIDTH, BAR, GAP, EDGE = 110, 560, 18, 22, 10
COLOURS = {"limit": "#b0b7c3", "ours": "#4c78a8", "tutorial": "#f58518"}


def draw(summary: list[dict[str, Any]]) -> str:
    """The picture, as SVG."""
    times = {(row["workload"], row["subject"]): row["cpu_ms_per_request"] for row in summary}
    ratios = {
        (workload, subject): time / times[workload, "limit"]
        for (workload, subject), time in times.items()
        if workload in GOALS
    }
    scale = WIDTH / max(ratios.values())
    height = 60 + len(GOALS) * (len(COLOURS) * BAR + GAP)
    width = LEFT + WIDTH + 60
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12" role="img">',
        "<title>Processor time of a request, in times of the limit's</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        *_legend(),
    ]
    top = 50
    for workload in GOALS:
        lines += _group(workload, ratios, top, scale)
        top += len(COLOURS) * BAR + GAP
    return "\n".join([*lines, "</svg>"]) + "\n"


def _legend() -> Iterator[str]:
    x = LEFT
    for subject, colour in COLOURS.items():
        yield f'<rect x="{x}" y="{EDGE}" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{x + 17}" y="{EDGE + 11}">{escape(subject)}</text>'
        x += 90
    yield f'<path d="M{x + 6} {EDGE}v12" stroke="#e45756" stroke-width="2"/>'
    yield f'<text x="{x + 17}" y="{EDGE + 11}">goal</text>'


def _group(
    workload: str, ratios: dict[tuple[str, str], float], top: int, scale: float
) -> Iterator[str]:
    middle = top + len(COLOURS) * BAR / 2 + 4
    yield f'<text x="{LEFT - 8}" y="{middle:g}" text-anchor="end">{escape(workload)}</text>'
    for number, (subject, colour) in enumerate(COLOURS.items()):
        if (workload, subject) not in ratios:
            continue
        ratio = ratios[workload, subject]
        y = top + number * BAR
        length = ratio * scale
        yield f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 3}" fill="{colour}"/>'
        if subject != "limit":
            yield f'<text x="{LEFT + length + 5:.1f}" y="{y + 12}">{ratio:.1f}</text>'
    at = LEFT + GOALS[workload] * scale
    size = len(COLOURS) * BAR
    yield f'<path d="M{at:.1f} {top - 3}v{size + 3}" stroke="#e45756" stroke-width="2"/>'


if __name__ == "__main__":
    figures, picture = map(Path, sys.argv[1:])
    picture.write_text(draw(json.loads(figures.read_text())["summary"]))
