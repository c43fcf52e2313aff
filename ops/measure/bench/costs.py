"""Measures the cost of each part of observability: CPU time per 1,000 requests, on and off.

    python -m ops.measure.bench.costs [--seconds 1] [--rounds 15] [--write]

One API per variant serves on the same PostgreSQL and Redis, with one worker process. The variants
are loaded one after another, round by round, and each round starts with a different one. Traces and
reports go to a receiver here that discards them; its own cost is not counted.
"""

import json
import platform
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import psutil
import typer

from ops.dev import places
from ops.measure.bench import load, pages, serving
from ops.measure.bench.collector import receiving
from ops.measure.bench.load import Load
from ops.measure.bench.serving import Subject

PROGRAM = "ops/measure/bench/costs.py"
FIGURES = pages.ROOT / "docs/performance/costs.json"
BARE = "all off"
# The same variant twice: their difference is the noise of the measurement.
AGAIN = "all off, once more"
# One connection: concurrent requests share some work, more so on a busy machine.
WORKLOADS = {
    "me": Load("/api/v1/users/me", connections=1),
    "add a job": Load(
        "/api/v1/jobs/word-count", connections=1, body='{"text": "one fish two fish"}'
    ),
}


@dataclass(frozen=True)
class Cost:
    """Processor seconds per 1,000 requests, and the ratio to the bare variant."""

    workload: str
    variant: str
    seconds: float
    ratio: float


def variants(traces: str, dsn: str) -> dict[str, dict[str, str]]:
    """The settings of each variant. "1 in 10" is a sampling rate."""
    off = {"LOG_LEVEL": "ERROR", "METRICS_PORT": "0"}
    logs = {"LOG_LEVEL": "INFO"}
    metrics = {"METRICS_PORT": str(places.free_port())}
    traced = {"TRACING_ENDPOINT": traces}
    reports = {"SENTRY_DSN": dsn}
    everything = {**logs, **metrics, **traced, **reports, "TRACING_SAMPLE": "0.1"}
    return {
        BARE: off,
        AGAIN: off,
        "logs": {**off, **logs},
        "metrics": {**off, **metrics},
        "traces, none sampled": {**off, **traced, "TRACING_SAMPLE": "0"},
        "traces of 1 in 10": {**off, **traced, "TRACING_SAMPLE": "0.1"},
        "traces of all": {**off, **traced, "TRACING_SAMPLE": "1"},
        "Sentry, errors alone": {**off, **reports},
        "Sentry, durations of 1 in 10": {**off, **reports, "SENTRY_TRACES": "0.1"},
        "all of them, 1 in 10 traced": {
            **everything,
            "METRICS_PORT": str(places.free_port()),
        },
    }


def main(
    seconds: Annotated[int, typer.Option(help="Seconds per measurement.", min=1)] = 1,
    rounds: Annotated[int, typer.Option(help="Number of rounds.", min=1)] = 15,
    write: Annotated[bool, typer.Option("--write", help="Write the results into docs.")] = False,
) -> None:
    """Measure the cost of each part on this machine."""
    measured = measure(seconds, rounds)
    costs = summarise(measured)
    text = table(costs)
    print(text)
    if write:
        about = {
            "machine": platform.machine(),
            "processors": psutil.cpu_count(),
            "seconds": seconds,
            "cpu_seconds_per_1000_requests": {
                f"{workload}: {variant}": figures
                for (workload, variant), figures in measured.items()
            },
        }
        FIGURES.write_text(json.dumps(about, indent=2) + "\n")
        pages.write(pages.OBSERVABILITY, PROGRAM, text)


# By workload and variant, the processor seconds per 1,000 requests of each round.
type Rounds = Mapping[tuple[str, str], list[float]]


def measure(seconds: int, rounds: int) -> Rounds:
    """Load all variants, round by round; the first round is a warm-up and does not count."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="costs-")))
        received = stack.enter_context(receiving(keep=False))
        environ = stack.enter_context(serving.servers(folder, "-cmax_connections=300"))
        subjects = [
            stack.enter_context(serving.api(folder, {**environ, **settings}, name))
            for name, settings in variants(received.traces_url, received.dsn).items()
        ]
        tokens = serving.log_in(subjects[0])
        found: dict[tuple[str, str], list[float]] = {}
        for number in range(rounds + 1):
            print(f"round {number} of {rounds}" if number else "warming up", file=sys.stderr)
            if number == 1:
                found.clear()
            first = number % len(subjects)
            for workload, asked in WORKLOADS.items():
                for subject in subjects[first:] + subjects[:first]:
                    spent = _spent(subject, replace(asked, tokens=tokens, seconds=seconds), folder)
                    found.setdefault((workload, subject.name), []).append(spent)
        return found


def _spent(subject: Subject, asked: Load, folder: Path) -> float:
    before = subject.cpu()
    outcome = load.finish(load.start(replace(asked, url=subject.url + asked.url), folder))
    return (subject.cpu() - before) * 1000 / outcome.requests


def summarise(measured: Rounds) -> list[Cost]:
    """The minimum of all rounds, since other activity on the machine only adds to it."""
    return [
        Cost(workload, variant, min(figures), min(figures) / min(measured[workload, BARE]))
        for variant in variants("", "")
        for workload in WORKLOADS
        if (figures := measured.get((workload, variant)))
    ]


def table(costs: list[Cost]) -> str:
    """A Markdown table with a row per variant."""
    lines = ["| | " + " | ".join(f"{name}, CPU s | times {BARE}" for name in WORKLOADS) + " |"]
    lines.append("|---" * (1 + 2 * len(WORKLOADS)) + "|")
    for variant in dict.fromkeys(cost.variant for cost in costs):
        mine = {cost.workload: cost for cost in costs if cost.variant == variant}
        cells = [f"{mine[name].seconds:.3f} | {mine[name].ratio:.2f}" for name in WORKLOADS]
        lines.append(f"| {variant} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
