"""Measures how the API scales: `./pants run ops/measure/bench/scale.py`.

More connections, more processes, more requests; and the effect of the cache. All subjects are the
API, on the same PostgreSQL and Redis, measured in turn, several rounds. On a machine whose
processors are busy with the load and the servers, two processes cannot be twice as fast as one.
"""

import json
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import httpx2
import psutil
import typer

from ops.measure.bench import quota, serving
from ops.measure.bench.api import WORKLOADS, Measured, grouped, measure
from ops.measure.bench.load import Load
from ops.measure.bench.serving import Subject

CONNECTIONS = (16, 64, 500, 2000)
ME = WORKLOADS["me"]


def main(
    seconds: Annotated[int, typer.Option(help="Seconds per measurement.", min=1)] = 4,
    rounds: Annotated[int, typer.Option(help="Number of rounds.", min=1)] = 3,
    requests: Annotated[
        int, typer.Option(help="Number of requests during which memory is measured.", min=0)
    ] = 0,
    share: Annotated[
        float | None,
        typer.Option(
            help="Compare one process and two also with so much of a processor for each, by control"
            " groups, as root: then processors are free on small machines, too.",
            min=0.1,
            max=1,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Output file for all figures, as JSON.")
    ] = None,
) -> None:
    """Measure the API under more connections, with more processes, and with its cache."""
    try:
        # Now, rather than after a million requests.
        with quota.limited([psutil.Process()] if share else [], 1):
            pass
    except quota.QuotaError as error:
        raise typer.BadParameter(f"--share: {error}") from error
    measured, memory, crowded = _measure_all(seconds, rounds, requests, share)
    summary = _summary(measured)
    print(_table(summary))
    print(f"\nMegabytes (PSS) of one process, by requests: {memory}; after all crowds {crowded}.")
    if output:
        figures = {
            "machine": platform.machine(),
            "processors": psutil.cpu_count(),
            "memory_mb": memory,
            "memory_mb_after_crowds": crowded,
            "summary": summary,
        }
        output.write_text(json.dumps(figures, indent=2) + "\n")


def _measure_all(
    seconds: int, rounds: int, requests: int, share: float | None
) -> tuple[list[Measured], dict[int, float], float]:
    """All rounds; megabytes of one process, by requests, and after the crowds."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        environ = stack.enter_context(serving.servers(folder))

        def started(name: str, **settings: str) -> Subject:
            place = folder / name.replace(" ", "-")
            place.mkdir()
            # No worker is replaced during the measurement.
            given = {**environ, "METRICS_PORT": "0", "API_MAX_REQUESTS": "0", **settings}
            return stack.enter_context(serving.api(place, given, name))

        one = started("one process")
        two = started("two processes", API_WORKERS="2")
        uncached = started("without cache", CACHE_ENABLED="false")  # slice: items
        tokens = serving.log_in(one)
        asked = replace(ME, tokens=tokens, seconds=seconds)
        single = Load(_item(one, tokens[0]), tokens=tokens[:1], seconds=seconds)  # slice: items
        memory = _memory(one, asked, requests, folder)
        measured: list[Measured] = []
        for number in range(rounds + 1):
            print(f"round {number} of {rounds}" if number else "warming up", file=sys.stderr)
            if number == 1:
                measured.clear()
            measured += _processes(one, two, asked, share, folder)
            for subject in (one, uncached):  # slice: items
                measured.append(measure("one item", subject, single, folder))  # slice: items
            measured += _crowds(one, asked, folder)
        return measured, memory, one.memory()


def _processes(
    one: Subject, two: Subject, asked: Load, share: float | None, folder: Path
) -> Iterator[Measured]:
    """One process and two, with free processors and, if given, with a share of one for each."""
    for subject in (one, two):
        yield measure("me", subject, asked, folder)
    if share:
        # Enough that each process has work, however connections are distributed.
        many = replace(asked, connections=64)
        workload = f"me, 64 connections, {share:g} of a processor each"
        for subject in (one, two):
            with quota.limited(subject.process.children(), share):
                yield measure(workload, subject, many, folder)


def _crowds(subject: Subject, asked: Load, folder: Path) -> Iterator[Measured]:
    """More and more connections."""
    for connections in CONNECTIONS:
        crowd = replace(asked, connections=connections)
        yield measure(f"me, {connections} connections", subject, crowd, folder)
        # Follows the leftovers of the load in the same queue.
        head = {"Authorization": f"Bearer {asked.tokens[0]}"}
        httpx2.get(f"{subject.url}{ME.url}", headers=head, timeout=60).raise_for_status()


def _memory(subject: Subject, asked: Load, requests: int, folder: Path) -> dict[int, float]:
    """Megabytes after the first requests, then at intervals up to this many requests."""
    sent = measure("me", subject, asked, folder).outcome.requests
    found = {sent: subject.memory()}
    while sent < requests:
        sent += measure("me", subject, replace(asked, seconds=60), folder).outcome.requests
        found[sent] = subject.memory()
        print(f"{sent} requests, {found[sent]} MB", file=sys.stderr)
    return found


def _item(subject: Subject, token: str) -> str:  # slice: items
    head = {"Authorization": f"Bearer {token}"}  # slice: items
    url = f"{subject.url}/api/v1/items"  # slice: items
    made = httpx2.post(url, json={"title": "Teapot"}, headers=head)  # slice: items
    return str(made.raise_for_status().headers["location"])  # slice: items


def _summary(measured: list[Measured]) -> list[dict[str, str | float]]:
    return [
        {
            "workload": workload,
            "subject": subject,
            "per_second": statistics.median(
                one.outcome.per_second * (1 - one.outcome.refused / (one.outcome.requests or 1))
                for one in group
            ),
            "refused": sum(one.outcome.refused for one in group),
            "p99_ms": statistics.median(one.outcome.p99 for one in group),
            "cpu_ms_per_request": statistics.median(one.cpu_ms for one in group),
        }
        for (workload, subject), group in grouped(measured).items()
    ]


def _table(summary: list[dict[str, str | float]]) -> str:
    lines = [
        "| workload | subject | good replies/s | refused | p99 ms | CPU ms/request |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['workload']} | {row['subject']} | {float(row['per_second']):.0f} |"
        f" {row['refused']} | {float(row['p99_ms']):.1f} | {float(row['cpu_ms_per_request']):.3f} |"
        for row in summary
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
