"""Benchmark background jobs against plain Celery: `python -m ops.measure.bench.jobs`.

PostgreSQL with durable commits, Redis, a relay, and one worker process, which runs one job at a
time or, with threads, sixteen. It writes a log line and metrics for each job, as in production. The
baseline is the same worker running plain Celery tasks. Rounds alternate; each processes what Redis
holds. The table goes to standard output, all figures to `--output`.
"""

import asyncio
import json
import platform
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import psutil
import redis
import typer
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from fastapi_base.core.config import DatabaseSettings, RedisSettings, Settings
from fastapi_base.core.messaging.publisher import celery_app, lengths
from fastapi_base.core.messaging.queues import Queue
from fastapi_base.db.session import EngineDatabase
from fastapi_base.services.jobs.enqueue import enqueue
from ops.dev import guard, waiting
from ops.measure.bench.noop import JOB, TASK, EmptyPayload
from ops.measure.bench.serving import servers

READY_SECONDS = 60.0
PATIENCE_SECONDS = 300.0
AT_ONCE = 500
# Kombu's key of the messages that a worker has reserved.
UNACKED = "unacked"
RELAY = [sys.executable, "-m", "fastapi_base.cli", "relay"]
WORKER = [
    *(sys.executable, "-m", "celery", "--app=fastapi_base.tasks.app", "worker"),
    *("--include=ops.measure.bench.noop", "--without-gossip", "--without-mingle"),
]
POOLS = {
    "one at a time": ["--concurrency=1"],
    "one at a time, 16 fetched ahead": ["--concurrency=1", "--prefetch-multiplier=16"],
    "16 at once": ["--pool=threads", "--concurrency=16"],
}


@dataclass(frozen=True)
class Measured:
    """One round: what was counted, how much, in how many seconds, with the CPU time of each
    program.
    """

    what: str
    pool: str
    count: int
    seconds: float
    cpu: dict[str, float]


class Bench:
    """The benchmark and its running programs."""

    def __init__(self, folder: Path, environ: dict[str, str], postgres: psutil.Process) -> None:
        self._folder = folder
        self._environ = environ
        self._running = {"postgres": postgres}
        self._redis = redis.Redis.from_url(environ["REDIS_URL"])
        url = environ["DATABASE_URL"]
        self._settings = Settings(
            database=DatabaseSettings.model_validate({"url": url}),
            redis=RedisSettings.model_validate({"url": environ["REDIS_URL"]}),
        )
        self._url = self._settings.database.url.get_secret_value()

    @contextmanager
    def program(self, name: str, command: list[str], sign: str) -> Iterator[None]:
        """Run a program, from the moment it reports ready."""
        log = self._folder / f"{name}.log"
        with guard.process(command, log, signal.SIGTERM, environ=self._environ) as process:

            def ready() -> bool:
                return sign in log.read_text("utf-8", "replace")

            waiting.until_serves(process, log, ready, name, READY_SECONDS)
            self._running[name] = psutil.Process(process.pid)
            try:
                yield
            finally:
                del self._running[name]

    def relay(self) -> Any:
        """A relay."""
        return self.program("relay", RELAY, "relay started")

    def worker(self, pool: str) -> Any:
        """A worker with one process."""
        return self.program("worker", [*WORKER, *POOLS[pool]], " ready.")

    def latencies(self, jobs: int) -> list[float]:
        """Milliseconds from the start of the transaction that added a job to the start of the
        job.
        """

        async def one_after_another(database: EngineDatabase) -> None:
            for _ in range(jobs):
                await asyncio.sleep(random.uniform(0.02, 0.06))  # noqa: S311
                async with database.transaction() as session:
                    await enqueue(session, JOB, EmptyPayload())

        self._asynchronously(one_after_another)
        _until(lambda: not self._unfinished(), "the jobs are done")
        waited = self._sql("SELECT extract(epoch FROM started_at - run_at) FROM jobs")
        return [float(seconds) * 1000 for seconds in waited]

    def add_jobs(self, count: int) -> None:
        """Add jobs, many per transaction."""

        async def add(database: EngineDatabase) -> None:
            for start in range(0, count, AT_ONCE):
                async with database.transaction() as session:
                    for _ in range(min(AT_ONCE, count - start)):
                        await enqueue(session, JOB, EmptyPayload())

        self._asynchronously(add)

    def add_tasks(self, count: int) -> None:
        """Send plain tasks."""
        app = celery_app("bench", self._settings)
        with app.producer_or_acquire() as producer:
            for _ in range(count):
                app.send_task(TASK, queue=str(Queue.DEFAULT), producer=producer, priority=3)
        app.close()

    def published(self, count: int) -> Measured:
        """Measure a relay publishing this many jobs."""
        before = self._cpu()
        with self.relay():
            _until(lambda: self._waiting() > 0, "the relay begins")
            begun, there = time.perf_counter(), self._waiting()
            _until(lambda: self._waiting() == count, "the jobs are published")
            return self._measured("jobs published", "a relay", count - there, begun, before)

    def done(self, what: str, pool: str, count: int) -> Measured:
        """Measure a newly started worker running this many jobs that wait in Redis."""
        with self.worker(pool):
            _until(lambda: self._waiting() < count, "the worker begins")
            begun, before, there = time.perf_counter(), self._cpu(), self._waiting()
            _until(lambda: not self._waiting() + self._held(), "all are done")
            measured = self._measured(what, pool, there, begun, before)
        assert not self._unfinished(), "a job is not done"
        return measured

    def clear(self) -> None:
        """Delete all jobs."""
        self._sql("TRUNCATE jobs")
        self._redis.flushall()

    def _measured(
        self, what: str, pool: str, count: int, begun: float, before: dict[str, float]
    ) -> Measured:
        seconds = time.perf_counter() - begun
        after = self._cpu()
        spent = {name: after[name] - before.get(name, 0.0) for name in after}
        return Measured(what, pool, count, seconds, spent)

    def _cpu(self) -> dict[str, float]:
        """CPU seconds used so far by each program and its children."""
        return {name: _family_cpu(root) for name, root in self._running.items()}

    def _waiting(self) -> int:
        return sum(lengths(self._redis, [Queue.DEFAULT]).values())

    def _held(self) -> int:
        return self._redis.hlen(UNACKED)

    def _unfinished(self) -> int:
        return int(self._sql("SELECT count(*) FROM jobs WHERE state <> 'succeeded'")[0])

    def _sql(self, statement: str) -> Sequence[Any]:
        async def ask() -> Sequence[Any]:
            engine = create_async_engine(self._url, poolclass=NullPool)
            async with engine.begin() as connection:
                result = await connection.execute(text(statement))
                return result.scalars().all() if result.returns_rows else []

        return asyncio.run(ask())

    def _asynchronously(self, work: Callable[[EngineDatabase], Any]) -> None:
        async def whole() -> None:
            engine = create_async_engine(self._url, pool_size=1)
            await work(EngineDatabase(engine))
            await engine.dispose()

        asyncio.run(whole())


def _until(ready: Callable[[], bool], what: str) -> None:
    waiting.until(ready, what, PATIENCE_SECONDS, pause=0.005)


def main(
    jobs: Annotated[int, typer.Option(help="Number of jobs of each kind per round.", min=1)] = 5000,
    rounds: Annotated[int, typer.Option(help="Number of rounds.", min=1)] = 3,
    output: Annotated[
        Path | None, typer.Option(help="Output file for all figures, as JSON.")
    ] = None,
) -> None:
    """Benchmark jobs against plain Celery on this machine."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        environ = stack.enter_context(servers(folder))
        environ["DATABASE_POOL_SIZE"] = "20"
        # A round starts with all its jobs in the broker.
        environ["JOBS_WINDOW"] = "1000000"
        (postgres,) = [one for one in psutil.Process().children() if one.name() == "postgres"]
        bench = Bench(folder, environ, postgres)
        with bench.relay(), bench.worker("one at a time"):
            bench.add_jobs(100)
            bench.latencies(50)
            bench.clear()
            latencies = sorted(bench.latencies(500))
        measured: list[Measured] = []
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            for pool in POOLS:
                bench.clear()
                bench.add_tasks(jobs)
                measured.append(bench.done("tasks of Celery alone", pool, jobs))
                bench.clear()
                bench.add_jobs(jobs)
                measured.append(bench.published(jobs))
                measured.append(bench.done("jobs", pool, jobs))
    summary = summarise(measured)
    p50, p99 = statistics.median(latencies), latencies[len(latencies) * 99 // 100]
    print(table(summary))
    print(f"\nFrom enqueue to start on an idle queue, ms: p50 {p50:.1f}, p99 {p99:.1f}.")
    if output:
        about = {"machine": platform.machine(), "processors": psutil.cpu_count()}
        latency = {"jobs": len(latencies), "p50_ms": p50, "p99_ms": p99}
        rows = [asdict(one) for one in measured]
        figures = {**about, "latency": latency, "summary": summary, "rounds": rows}
        output.write_text(json.dumps(figures, indent=1) + "\n")


def summarise(measured: list[Measured]) -> list[dict[str, float | str]]:
    """Medians of each, with milliseconds of CPU time per job."""
    groups: dict[tuple[str, str], list[Measured]] = {}
    for one in measured:
        groups.setdefault((one.what, one.pool), []).append(one)
    return [
        {
            "what": what,
            "pool": pool,
            "per_second": statistics.median(one.count / one.seconds for one in group),
            **{
                f"{name}_cpu_ms": statistics.median(
                    one.cpu.get(name, 0.0) * 1000 / one.count for one in group
                )
                for name in ("worker", "relay", "postgres")
            },
        }
        for (what, pool), group in groups.items()
    ]


def table(summary: list[dict[str, float | str]]) -> str:
    """The summary as Markdown, with CPU time."""
    lines = [
        "| what | by | a second | worker ms each | relay ms each | PostgreSQL ms each |",
        "|---|---|---|---|---|---|",
    ]
    for row in summary:
        times = [f"{float(row[f'{name}_cpu_ms']):.2f}" for name in ("worker", "relay", "postgres")]
        rate = f"{float(row['per_second']):.0f}"
        lines.append(f"| {row['what']} | {row['pool']} | {rate} | {' | '.join(times)} |")
    return "\n".join(lines)


def _family_cpu(root: psutil.Process) -> float:
    total = sum(root.cpu_times()[:4])
    for child in root.children(recursive=True):
        # A child that has ended is counted with its parent.
        with suppress(psutil.NoSuchProcess):
            total += sum(child.cpu_times()[:4])
    return total


if __name__ == "__main__":
    typer.run(main)
