"""Draws the dashboards from a real Prometheus that scraped the real service under load.

    python -m ops.deploy.grafana.draw [--seconds 150]

API, relay and worker run as processes on throwaway servers, under load and with some faults: Redis
is paused, a table is locked, a worker's process is killed. Prometheus scrapes each second and
evaluates each query of each panel. Grafana renders the same numbers differently.
Exits with 1 if a panel has no data and is not in EMPTY.
"""

import asyncio
import json
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import httpx2
import psutil
import redis
import typer
import yaml

from ops.deploy.grafana.picture import Panel, Points, draw
from ops.dev import guard, packages, places, waiting
from ops.measure.bench import serving
from ops.measure.bench.serving import Subject

FOLDER = Path(__file__).parent
PICTURES = serving.ROOT / "docs/pictures"
STEP_SECONDS = 2
# Grafana's values at a scrape interval of a second, with some tolerance for a busy machine.
RATE = "12s"
# Panels without data here, with the reason that is drawn in them.
EMPTY: dict[tuple[str, str], str] = {}


def main(
    seconds: Annotated[int, typer.Option(help="Seconds of load.", min=60)] = 150,
) -> None:
    """Draw all dashboards into docs/pictures."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="draw-")))
        environ = stack.enter_context(serving.servers(folder))
        # So few connections that some requests find none.
        environ |= {"DATABASE_POOL_SIZE": "4", "DATABASE_POOL_TIMEOUT": "2"}
        worker_metrics = places.free_port()
        api = stack.enter_context(serving.api(folder, environ, "api"))
        worker = stack.enter_context(serving.background(folder, environ, worker_metrics))
        jobs = {
            "fastapi-base-api": int(environ["METRICS_PORT"]),
            "fastapi-base-worker": worker_metrics,
        }
        url = stack.enter_context(_prometheus(folder, jobs))
        begin = time.time()
        end = _happenings(api, worker, worker_metrics, environ, seconds)
        boards = {path.stem: _panels(path, url, begin, end) for path in _dashboards()}
    bare = [
        f"{name}: {panel.title}"
        for name, (_, panels) in boards.items()
        for panel in panels
        if not panel.series and not panel.empty
    ]
    for name, (title, panels) in boards.items():
        picture = draw(title, panels, end - begin, STEP_SECONDS)
        (PICTURES / f"dashboard-{name}.svg").write_text(picture, encoding="utf-8")
    if bare:
        print("These panels have nothing to show: " + "; ".join(bare), file=sys.stderr)
        raise typer.Exit(1)


def _dashboards() -> list[Path]:
    return sorted(FOLDER.glob("dashboards/*.json"))


@contextmanager
def _prometheus(folder: Path, jobs: Mapping[str, int]) -> Iterator[str]:
    port = places.free_port()
    configuration = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {
                "job_name": job,
                "static_configs": [
                    {
                        "targets": [f"{places.LOOPBACK}:{number}"],
                        "labels": {"instance": job.removeprefix("fastapi-base-")},
                    }
                ],
            }
            for job, number in jobs.items()
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(configuration))
    root = packages.root("prometheus", "Prometheus")
    command = [
        *packages.command(root, "usr/bin/prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={places.LOOPBACK}:{port}",
        "--log.level=warn",
    ]
    url, log = f"http://{places.LOOPBACK}:{port}", folder / "prometheus.log"
    with guard.process(command, log, signal.SIGTERM) as process:

        def ready() -> bool:
            try:
                return httpx2.get(f"{url}/-/ready", timeout=5).status_code == 200
            except httpx2.TransportError:
                return False

        waiting.until_serves(process, log, ready, "Prometheus", serving.READY_SECONDS)
        yield url


def _happenings(
    api: Subject,
    worker: psutil.Process,
    metrics: int,
    environ: Mapping[str, str],
    seconds: int,
) -> float:
    """Constant load; after a third of the time Redis is down, after another one a table is locked.

    Returns the end of the load, in seconds since 1970.
    """
    over = threading.Event()
    tokens = serving.log_in(api)
    callers = [
        threading.Thread(target=_call, args=(api.url, token, number, over))
        for number, token in enumerate(tokens * 3)
    ]
    for caller in callers:
        caller.start()
    try:
        time.sleep(seconds / 3)
        client = redis.Redis.from_url(environ["REDIS_URL"])
        client.client_pause(10_000)
        time.sleep(seconds / 3)
        asyncio.run(_lock(environ["DATABASE_URL"]))
        _kill(worker, metrics)
        time.sleep(seconds / 3)
        return time.time()
    finally:
        over.set()
        for caller in callers:
            caller.join()


async def _lock(url: str) -> None:
    """Lock the jobs table for longer than a request waits for a connection."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(9)
    finally:
        await connection.close()


def _kill(worker: psutil.Process, metrics: int) -> None:
    """Kill the process that runs tasks, until one was running a task."""
    for _ in range(20):
        for child in worker.children():
            child.kill()
        time.sleep(1)
        reply = httpx2.get(f"http://{places.LOOPBACK}:{metrics}/metrics", timeout=30)
        if re.search(r"^tasks_lost_total\{.*\} [1-9]", reply.text, re.MULTILINE):
            return


def _call(url: str, token: str, number: int, over: threading.Event) -> None:
    """One client: reads, lists, jobs and occasional logins."""
    account = {"username": serving.EMAIL, "password": serving.PASSWORD}
    with httpx2.Client(base_url=url, timeout=60) as client:
        head = {"authorization": f"Bearer {token}"}
        turn = number
        while not over.is_set():
            turn += 1
            try:
                client.get("/api/v1/users/me", headers=head)
                client.get("/api/v1/jobs?limit=5", headers=head)
                if turn % 3 == 0:
                    body = {"text": "one fish two fish " * 50}
                    client.post("/api/v1/jobs/word-count", json=body, headers=head)
                if turn % 80 == 0:
                    client.post("/api/v1/auth/login", data=account)
                if turn % 10 == 0:
                    client.get("/api/v1/users/me")
            except httpx2.TransportError:
                pass
            over.wait(0.3)


def _panels(path: Path, url: str, begin: float, end: float) -> tuple[str, list[Panel]]:
    """The title of a dashboard, and its panels with their series."""
    board = json.loads(path.read_text())
    panels = []
    for panel in board["panels"]:
        series: dict[str, Points] = {}
        for target in panel["targets"]:
            series.update(_series(url, target, begin, end))
        panels.append(
            Panel(
                title=panel["title"],
                unit=panel["fieldConfig"]["defaults"].get("unit", "short"),
                kind=panel["type"],
                place=panel["gridPos"],
                series=series,
                empty=EMPTY.get((path.stem, panel["title"]), ""),
            )
        )
    return board["title"], panels


def _series(url: str, target: Mapping[str, Any], begin: float, end: float) -> dict[str, Points]:
    """The result of a panel's query in Prometheus, with Grafana's variables substituted."""
    query = target["expr"].replace("$__rate_interval", RATE).replace("$instance", ".*")
    asked = {"query": query, "start": begin, "end": end, "step": STEP_SECONDS}
    reply = httpx2.get(f"{url}/api/v1/query_range", params=asked, timeout=60).raise_for_status()
    found: dict[str, Points] = {}
    for one in reply.json()["data"]["result"]:
        points = [(at - begin, float(value)) for at, value in one["values"] if value != "NaN"]
        if points:
            found[_legend(target.get("legendFormat") or "", one["metric"])] = points
    return found


def _legend(form: str, labels: Mapping[str, str]) -> str:
    """The name of a series, in the panel's legend format."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda name: labels.get(name[1], ""), form)


if __name__ == "__main__":
    typer.run(main)
