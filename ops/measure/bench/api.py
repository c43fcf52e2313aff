"""Benchmarks the API against the baseline and against peers: `make bench`.

One peer is built in; others require a checkout (ops/measure/bench/peers). All serve in turn, for
several rounds, on the same PostgreSQL and Redis, with one worker process and production settings:
access log, rate limits and all middleware. The comparison uses CPU time, which is least affected by
other load. The table goes to standard output, all figures to `--output`.
"""

import json
import platform
import statistics
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import httpx2
import psutil
import typer

from ops.dev import places
from ops.measure.bench import load, serving
from ops.measure.bench.load import Load, Outcome
from ops.measure.bench.peers import fastapi_boilerplate, full_stack_fastapi_template
from ops.measure.bench.peers.peer import serving_peer
from ops.measure.bench.serving import Subject


@dataclass(frozen=True)
class Measured:
    """One round of one workload."""

    workload: str
    subject: str
    outcome: Outcome
    cpu_ms: float


PEERS = {
    "full-stack-fastapi-template": full_stack_fastapi_template.PEER,
    "fastapi-boilerplate": fastapi_boilerplate.PEER,
}
_TEAPOT = '{"title": "Teapot", "description": "Short and stout"}'  # slice: items
WORKLOADS = {
    "health": Load("/health/live"),
    "me": Load("/api/v1/users/me"),
    "create": Load("/api/v1/items", body=_TEAPOT),  # slice: items
    "list of 50": Load("/api/v1/items?limit=50"),  # slice: items
}
# Target CPU time relative to the baseline; docs/performance.md has the measured values.
GOALS = {
    "health": 3.0,
    "me": 1.3,
    "create": 1.5,  # slice: items
    "list of 50": 1.3,  # slice: items
}
# Maximum CPU time relative to the baseline: twice the measured value, since machines differ and are
# shared. A value beyond it is a regression, not noise.
GUARD = {
    "health": 10.0,
    "me": 2.7,
    "create": 5.5,  # slice: items
    "list of 50": 5.5,  # slice: items
}


def main(
    seconds: Annotated[int, typer.Option(help="Seconds per measurement.", min=1)] = 3,
    rounds: Annotated[int, typer.Option(help="Number of rounds.", min=1)] = 3,
    peer: Annotated[
        list[str] | None,
        typer.Option(help=f"NAME=CHECKOUT, repeatable. Names: {', '.join(PEERS)}."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Output file for all figures, as JSON.")
    ] = None,
    guard: Annotated[bool, typer.Option(help="Fail if a ratio exceeds GUARD.")] = False,
) -> None:
    """Benchmark the API against the baseline on this machine."""
    checkouts = dict(_checkout(one) for one in peer or [])
    measured, memory, started = _measure_all(checkouts, seconds, rounds, guard=guard)
    summary = summarise(measured)
    print(table(summary))
    print(f"\nProportional set size, MB: {memory}. Start to the first 200, s: {started}.")
    if output:
        rows = [{**asdict(one.outcome), **asdict(one)} for one in measured]
        about = {
            "machine": platform.machine(),
            "processors": psutil.cpu_count(),
            "memory_mb": memory,
            "start_seconds": started,
        }
        output.write_text(
            json.dumps({**about, "summary": summary, "rounds": rows}, indent=2) + "\n"
        )
    if guard and (slow := beyond(summary)):
        print("Too slow relative to the baseline: " + "; ".join(slow), file=sys.stderr)
        raise typer.Exit(1)


def _measure_all(
    checkouts: Mapping[str, Path], seconds: int, rounds: int, *, guard: bool
) -> tuple[list[Measured], dict[str, float], dict[str, float]]:
    """All rounds; by subject, the memory in megabytes and the seconds to the first reply."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        server, redis = stack.enter_context(serving.running(folder))
        environ = serving.migrated(folder, server, redis)
        ours = stack.enter_context(serving.api(folder, environ))
        baseline = stack.enter_context(_bare(folder, environ, "baseline"))
        subjects = [ours, baseline]
        if not guard:
            subjects.append(stack.enter_context(_bare(folder, environ, "tutorial")))
        tokens = serving.log_in(ours)
        asked_of: list[tuple[Subject, list[str], Mapping[str, Load]]]
        asked_of = [(subject, tokens, WORKLOADS) for subject in subjects]
        for name, checkout in checkouts.items():
            database = server.ensure_database(name, name, "benchmark")
            subject = stack.enter_context(
                serving_peer(name, PEERS[name], checkout, folder, database, redis.url())
            )
            with httpx2.Client(base_url=subject.url, timeout=30) as client:
                asked_of.append((subject, PEERS[name].log_in(client), PEERS[name].workloads))
        measured: list[Measured] = []
        # The first round warms up connections and specialised code. It does not count.
        for number in range(rounds + 1):
            print(f"round {number} of {rounds}" if number else "warming up", file=sys.stderr)
            if number == 1:
                measured.clear()
            for workload in WORKLOADS:
                for subject, of_subject, workloads in asked_of:
                    asked = replace(workloads[workload], tokens=of_subject, seconds=seconds)
                    measured.append(measure(workload, subject, asked, folder))
            if not guard:
                asked = replace(WORKLOADS["me"], tokens=tokens, seconds=seconds)
                with _logins(ours, seconds, folder):
                    measured.append(measure("me during logins", ours, asked, folder))
        memory = {subject.name: subject.memory() for subject, *_ in asked_of}
        started = {subject.name: subject.started for subject, *_ in asked_of}
    return measured, memory, started


def _checkout(given: str) -> tuple[str, Path]:
    name, _, path = given.partition("=")
    if name not in PEERS or not Path(path).is_dir() or not path:
        raise typer.BadParameter(
            f"--peer {given}: must be NAME=CHECKOUT, NAME is {' or '.join(PEERS)}, CHECKOUT"
            " is a directory"
        )
    return name, Path(path).absolute()


def beyond(summary: list[dict[str, float | str]]) -> list[str]:
    """The workloads whose CPU time exceeds GUARD, with their ratios."""
    cpu = {(row["workload"], row["subject"]): float(row["cpu_ms_per_request"]) for row in summary}
    ratios = {name: cpu[name, "ours"] / cpu[name, "baseline"] for name in GUARD}
    return [
        f"{name} {ratio:.1f} times, at most {GUARD[name]:g}"
        for name, ratio in ratios.items()
        if ratio > GUARD[name]
    ]


def summarise(measured: list[Measured]) -> list[dict[str, float | str]]:
    """Medians per workload and subject."""
    return [
        {
            "workload": workload,
            "subject": subject,
            "per_second": statistics.median(one.outcome.per_second for one in group),
            "p50_ms": statistics.median(one.outcome.p50 for one in group),
            "p99_ms": statistics.median(one.outcome.p99 for one in group),
            "cpu_ms_per_request": statistics.median(one.cpu_ms for one in group),
        }
        for (workload, subject), group in grouped(measured).items()
    ]


def grouped(measured: list[Measured]) -> dict[tuple[str, str], list[Measured]]:
    """The rounds per workload and subject."""
    groups: dict[tuple[str, str], list[Measured]] = {}
    for one in measured:
        groups.setdefault((one.workload, one.subject), []).append(one)
    return groups


def table(summary: list[dict[str, float | str]]) -> str:
    """The summary as Markdown, with CPU time relative to the baseline."""
    baselines = {
        row["workload"]: float(row["cpu_ms_per_request"])
        for row in summary
        if row["subject"] == "baseline"
    }
    lines = [
        "| workload | subject | requests/s | p50 ms | p99 ms | CPU ms/request | x baseline |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in summary:
        baseline = baselines.get(row["workload"])
        ratio = f"{float(row['cpu_ms_per_request']) / baseline:.1f}" if baseline else ""
        lines.append(
            f"| {row['workload']} | {row['subject']} | {row['per_second']:.0f} |"
            f" {row['p50_ms']:.1f} | {row['p99_ms']:.1f} | {row['cpu_ms_per_request']:.3f} |"
            f" {ratio} |"
        )
    return "\n".join(lines)


def measure(workload: str, subject: Subject, asked: Load, folder: Path) -> Measured:
    """Send the load to the subject; only highly concurrent loads may be refused."""
    before = subject.cpu()
    asked = replace(asked, url=f"{subject.url}{asked.url}")
    crowded = asked.connections > Load.connections
    outcome = load.finish(load.start(asked, folder), may_refuse=crowded)
    spent = subject.cpu() - before
    return Measured(workload, subject.name, outcome, spent * 1000 / (outcome.requests or 1))


@contextmanager
def _logins(subject: Subject, seconds: int, folder: Path) -> Iterator[None]:
    """Four clients log in continuously meanwhile."""
    form = urllib.parse.urlencode({"username": serving.EMAIL, "password": serving.PASSWORD})
    url = f"{subject.url}/api/v1/auth/login"
    kind = "application/x-www-form-urlencoded"
    asked = Load(url, connections=4, seconds=seconds + 1, body=form, media_type=kind)
    stream = load.start(asked, folder)
    try:
        yield
    finally:
        load.finish(stream)


@contextmanager
def _bare(folder: Path, environ: dict[str, str], name: str) -> Iterator[Subject]:
    """A program of this package."""
    port = places.free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        f"ops.measure.bench.{name}:app",
        "--port",
        str(port),
    ]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    command += ["--log-level", "warning"]
    with serving.process(name, command, port, folder, environ) as subject:
        yield subject


if __name__ == "__main__":
    typer.run(main)
