"""Draws the results of `make bench`: CPU time per request next to the baseline's.

python -m ops.measure.bench.plot docs/performance/api.json docs/pictures/performance.svg
"""

import json
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from ops.measure.bench.api import GOALS

LEFT, WIDTH, BAR, GAP, EDGE = 110, 560, 18, 22, 10
COLOURS = {
    "baseline": "#b0b7c3",
    "ours": "#4c78a8",
    "tutorial": "#f58518",
    "full-stack-fastapi-template": "#54a24b",
    "fastapi-boilerplate": "#b279a2",
}


def draw(summary: list[dict[str, Any]]) -> str:
    """The picture as SVG."""
    times = {(row["workload"], row["subject"]): row["cpu_ms_per_request"] for row in summary}
    ratios = {
        (workload, subject): time / times[workload, "baseline"]
        for (workload, subject), time in times.items()
        if workload in GOALS
    }
    subjects = [name for name in COLOURS if any(subject == name for _, subject in ratios)]
    scale = WIDTH / max(ratios.values())
    height = 60 + len(GOALS) * (len(subjects) * BAR + GAP)
    width = LEFT + WIDTH + 60
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12" role="img">',
        "<title>CPU time per request, relative to the baseline</title>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        *_legend(subjects),
    ]
    top = 50
    for workload in GOALS:
        own = {subject: ratios[workload, subject] for subject in subjects}
        lines += _group(workload, own, top, scale)
        top += len(subjects) * BAR + GAP
    return "\n".join([*lines, "</svg>"]) + "\n"


def _legend(subjects: list[str]) -> Iterator[str]:
    x = LEFT
    for subject in subjects:
        yield f'<rect x="{x}" y="{EDGE}" width="12" height="12" fill="{COLOURS[subject]}"/>'
        yield f'<text x="{x + 17}" y="{EDGE + 11}">{escape(subject)}</text>'
        x += 35 + 6 * len(subject)
    yield f'<path d="M{x + 6} {EDGE}v12" stroke="#e45756" stroke-width="2"/>'
    yield f'<text x="{x + 17}" y="{EDGE + 11}">goal</text>'


def _group(workload: str, ratios: dict[str, float], top: int, scale: float) -> Iterator[str]:
    size = len(ratios) * BAR
    middle = top + size / 2 + 4
    yield f'<text x="{LEFT - 8}" y="{middle:g}" text-anchor="end">{escape(workload)}</text>'
    for number, (subject, ratio) in enumerate(ratios.items()):
        y = top + number * BAR
        length = ratio * scale
        yield (
            f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 3}"'
            f' fill="{COLOURS[subject]}"/>'
        )
        if subject != "baseline":
            yield f'<text x="{LEFT + length + 5:.1f}" y="{y + 12}">{ratio:.1f}</text>'
    at = LEFT + GOALS[workload] * scale
    yield f'<path d="M{at:.1f} {top - 3}v{size + 3}" stroke="#e45756" stroke-width="2"/>'


if __name__ == "__main__":
    figures, picture = map(Path, sys.argv[1:])
    picture.write_text(draw(json.loads(figures.read_text())["summary"]))
