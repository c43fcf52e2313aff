"""Follows one request by its ID, from the caller to the job that it enqueued.

    python -m ops.measure.bench.follow [--write]

API, relay and worker run as processes on throwaway servers; traces go to a collector here. One
request enqueues a job, with the caller's request ID and trace. Everything found by the two IDs, in
log lines, PostgreSQL's own log, spans and metrics, goes to standard output as Markdown, or, with
`--write`, between the markers of docs/observability.md.
"""

import json
import re
import secrets
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from prometheus_client.parser import text_string_to_metric_families

from ops.dev import places, waiting
from ops.measure.bench import pages, serving
from ops.measure.bench.collector import Span, receiving

PROGRAM = "ops/measure/bench/follow.py"
PATH = "/api/v1/jobs/word-count"
SECONDS = 60
_PROGRAMS = ("api", "relay", "worker")
# Metrics that change without any request.
_OWN = ("process_", "event_loop_", "db_pool_")

Samples = dict[str, float]


@dataclass(frozen=True)
class Followed:
    """Everything that was found for a request. Log lines and metrics by program."""

    request_id: str
    trace_id: str
    lines: dict[str, list[str]]
    statements: list[str]
    spans: list[Span]
    metrics: dict[str, Samples]


def main(
    write: Annotated[
        bool, typer.Option("--write", help="Write the results into docs/observability.md.")
    ] = False,
) -> None:
    """Follow one request through the whole system."""
    with tempfile.TemporaryDirectory(prefix="follow-") as folder:
        text = page(follow(Path(folder)))
    print(text)
    if write:
        pages.write(pages.OBSERVABILITY, PROGRAM, text)


def follow(folder: Path) -> Followed:
    """Start everything, send the request, and collect. Raises UpError if a program does not
    start.
    """
    request_id, trace_id = f"follow-{secrets.token_hex(6)}", secrets.token_hex(16)
    parent = f"00-{trace_id}-{secrets.token_hex(8)}-01"
    worker = places.free_port()
    with receiving() as received, serving.servers(folder, "-clog_statement=all") as environ:
        # The caller's trace is recorded; no new trace starts here.
        environ |= {"TRACING_ENDPOINT": received.traces_url, "TRACING_SAMPLE": "0"}
        environ["DATABASE_SQL_COMMENTS"] = "true"
        ports = {"API": int(environ["METRICS_PORT"]), "worker": worker}
        with (
            serving.api(folder, environ, "api") as api,
            serving.background(folder, environ, worker),
        ):
            token = serving.log_in(api)[0]
            before = {name: _samples(port) for name, port in ports.items()}
            head = {"authorization": f"Bearer {token}", "x-request-id": request_id}
            asked = httpx2.post(
                api.url + PATH, json={"text": "one fish"}, headers={**head, "traceparent": parent}
            )
            asked.raise_for_status()
            _wait_for(folder / "worker.log", request_id)
            _wait_for(folder / "api.log", request_id)
            metrics = {name: _changed(before[name], _samples(at)) for name, at in ports.items()}
        # All programs have ended and exported their data.
        spans = [span for span in received.spans if span.trace == trace_id]
    lines = {name: list(_lines(folder / f"{name}.log", request_id)) for name in _PROGRAMS}
    statements = list(_statements(folder / "postgres.log", request_id))
    return Followed(request_id, trace_id, lines, statements, spans, metrics)


def _wait_for(log: Path, request_id: str) -> None:
    waiting.until(lambda: any(_lines(log, request_id)), f"{request_id} in {log}", SECONDS)


def _lines(log: Path, request_id: str) -> Iterator[str]:
    return (line for line in log.read_text().splitlines() if request_id in line)


def _statements(log: Path, request_id: str) -> Iterator[str]:
    """The statements in PostgreSQL's log that name the request, one line each."""
    for entry in re.split(r"^(?=[A-Z]+:  )", log.read_text(), flags=re.MULTILINE):
        found = re.match(r"LOG:  (?:execute [^:]*|statement): (.*)", entry, re.DOTALL)
        if found and request_id in entry:
            yield " ".join(found[1].split())


def _samples(port: int) -> Samples:
    """The metric samples, by name and labels."""
    reply = httpx2.get(f"http://{places.LOOPBACK}:{port}/metrics", timeout=30)
    counted: Samples = {}
    for family in text_string_to_metric_families(reply.raise_for_status().text):
        for sample in family.samples:
            if sample.name.endswith(("_count", "_total")) and not sample.name.startswith(_OWN):
                labels = ",".join(f'{key}="{text}"' for key, text in sample.labels.items())
                counted[f"{sample.name}{{{labels}}}"] = sample.value
    return counted


def _changed(before: Samples, after: Samples) -> Samples:
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    return {name: value for name, value in grown.items() if value}


def page(found: Followed) -> str:
    """The result as Markdown."""
    logged = [f"{name:7}{_short(line)}" for name, lines in found.lines.items() for line in lines]
    changed = [
        f"{name:7}{sample} +{value:g}"
        for name, samples in found.metrics.items()
        for sample, value in samples.items()
    ]
    comment = re.compile(r"/\*.*\*/$")
    verbs = Counter(
        (text.split()[0], seen[0]) for text in found.statements if (seen := comment.search(text))
    )
    statements = [f"{count} x {verb} ... {text}" for (verb, text), count in verbs.items()]
    return (
        f"`POST {PATH}` with `X-Request-ID: {found.request_id}` and a `traceparent` of trace "
        f"`{found.trace_id}`.\n\n"
        "Log lines with the id (without time, level, logger and the trace's id, which is the"
        f" same in all):\n\n{_block(logged)}\n\n"
        "Statements with the id in PostgreSQL's log, by their comments:\n\n"
        f"{_block(statements)}\n\n"
        "Spans of the trace, with the milliseconds from its beginning and those that they took:\n\n"
        f"{_block(list(_tree(found.spans)))}\n\n"
        f"What the metrics counted meanwhile:\n\n{_block(changed)}"
    )


def _short(line: str) -> str:
    event = json.loads(line)
    for key in ("timestamp", "level", "logger", "trace_id"):
        event.pop(key, None)
    first = event.pop("event")
    return " ".join([first, *(f"{key}={value}" for key, value in sorted(event.items()))])


def _tree(spans: list[Span]) -> Iterator[str]:
    """Each span below its parent."""
    known = {span.id for span in spans}
    begin = min(span.start for span in spans)

    def below(parent: str | None, depth: int) -> Iterator[str]:
        mine = [s for s in spans if (s.parent if s.parent in known else None) == parent]
        for span in sorted(mine, key=lambda one: one.start):
            at, took = (span.start - begin) / 1e6, (span.end - span.start) / 1e6
            who = span.service.removeprefix("fastapi-base-")
            yield f"{at:8.1f} {took:7.1f}  {who:7}{'  ' * depth}{span.name}"
            yield from below(span.id, depth + 1)

    return below(None, 0)


def _block(lines: list[str]) -> str:
    return "\n".join(["```text", *lines, "```"])


if __name__ == "__main__":
    typer.run(main)
