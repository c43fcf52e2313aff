"""Several real Beats: if one is killed, frozen or cut off, each moment still has one job."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from typer.testing import CliRunner

from fastapi_base.cli.main import app as commands
from fastapi_base.migrations import runner
from ops.dev import guard, places, postgres, waiting
from ops.dev.postgres import Postgres
from tests.integration.processes import environment
from tests.integration.waiting import until
from tests.pgbouncer import pgbouncer

pytestmark = pytest.mark.anyio

TICKING = (sys.executable, "-m", "celery", "--app=tests.integration.ticking", "beat")
SECOND = timedelta(seconds=1)


@dataclass
class Ticks:
    """The jobs of the schedule that is due every second."""

    engine: AsyncEngine

    async def due(self) -> list[datetime]:
        """The moments that have a job, in order; a moment with two jobs appears twice."""
        statement = text("SELECT payload->>'due' FROM jobs WHERE kind = 'tick'")
        async with self.engine.connect() as connection:
            found = await connection.scalars(statement)
            return sorted(datetime.fromisoformat(due) for due in found)

    async def more(self, count: int) -> list[datetime]:
        """The moments, once there are this many more."""
        before = len(await self.due())

        async def enough() -> list[datetime] | None:
            due = await self.due()
            return due if len(due) >= before + count else None

        return await until(enough, f"{count} more jobs", seconds=60)


def without_gap_or_double(due: list[datetime]) -> bool:
    return all(other - one == SECOND for one, other in itertools.pairwise(due))


@pytest.fixture
async def ticks(fresh_database_url: str) -> AsyncIterator[Ticks]:
    engine = create_async_engine(fresh_database_url, poolclass=NullPool)
    yield Ticks(engine)
    await engine.dispose()


Start = Callable[[str], subprocess.Popen[bytes]]


@contextmanager
def starting(folder: Path, **settings: str) -> Iterator[Start]:
    """Starts Beats; kills those still running at the end."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> subprocess.Popen[bytes]:
        with (folder / f"{name}.log").open("wb") as log:
            begun.append(
                subprocess.Popen(
                    TICKING,
                    env=environment(**settings),
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
        return begun[-1]

    try:
        yield start
    finally:
        for process in begun:
            process.kill()
            process.wait()


@pytest.fixture
def start(tmp_path: Path, fresh_database_url: str, redis: Redis, redis_url: str) -> Iterator[Start]:
    given = {"DATABASE_URL": fresh_database_url, "REDIS_URL": redis_url}
    with starting(tmp_path, **given) as one:
        yield one


async def said(folder: Path, name: str, what: str = "beat started") -> None:
    log = folder / f"{name}.log"

    async def seen() -> bool | None:
        return what in await asyncio.to_thread(log.read_text) or None

    await until(seen, f"{name} logs {what!r}", seconds=60)


async def test_another_beat_takes_over_after_a_kill(
    ticks: Ticks, start: Start, tmp_path: Path
) -> None:
    old = start("beat-0")
    await said(tmp_path, "beat-0")
    for number in range(1, 3):
        new = start(f"beat-{number}")
        await said(tmp_path, f"beat-{number}")
        await ticks.more(3)
        old.kill()
        old.wait()
        old = new
    due = await ticks.more(3)
    assert without_gap_or_double(due), due


async def test_beat_that_thaws_fires_nothing_twice(
    ticks: Ticks, start: Start, tmp_path: Path
) -> None:
    both = [start("beat-0"), start("beat-1")]
    await said(tmp_path, "beat-0")
    await said(tmp_path, "beat-1")
    await ticks.more(2)
    for process in both:
        process.send_signal(signal.SIGSTOP)
        await ticks.more(4)
        process.send_signal(signal.SIGCONT)
        await ticks.more(2)
    # All of them at once: neglected moments are caught up.
    for process in both:
        process.send_signal(signal.SIGSTOP)
    last = (await ticks.due())[-1]

    async def passed() -> bool | None:
        return datetime.now(last.tzinfo) - last > 4 * SECOND or None

    await until(passed, "several scheduled times pass")
    for process in both:
        process.send_signal(signal.SIGCONT)
    due = await ticks.more(6)
    assert without_gap_or_double(due), due


@contextmanager
def serving(server: Postgres, log: Path) -> Iterator[Callable[[], None]]:
    """Runs the server; yields a function that waits until it responds."""
    with guard.process(server.command(), log, signal.SIGINT) as process:
        yield lambda: waiting.until_serves(process, log, server.ready, "the server", 60)


async def test_beat_survives_a_restart_of_postgresql(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    server = Postgres(tmp_path / "data", places.free_port(), "secret", postgres.THROWAWAY)
    server.prepare(postgres.throwaway_run)
    url = server.url().replace("postgresql:", "postgresql+asyncpg:")
    ticks = Ticks(create_async_engine(url, poolclass=NullPool))
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        await asyncio.to_thread(first.enter_context(serving(server, tmp_path / "first.log")))
        await asyncio.to_thread(runner.upgrade, url)
        start = stack.enter_context(starting(tmp_path, DATABASE_URL=url, REDIS_URL=redis_url))
        both = [start("beat-0"), start("beat-1")]
        await said(tmp_path, "beat-1")
        await ticks.more(2)
        first.close()
        await said(tmp_path, "beat-0", "beat cannot work")
        second = stack.enter_context(serving(server, tmp_path / "second.log"))
        await asyncio.to_thread(second)
        due = await ticks.more(4)
        assert [process.poll() for process in both] == [None, None]
    assert without_gap_or_double(due), due


async def test_beats_share_few_connections_of_pgbouncer(
    ticks: Ticks, tmp_path: Path, fresh_database_url: str, redis: Redis, redis_url: str
) -> None:
    with pgbouncer(fresh_database_url, 2) as url:
        given = {"DATABASE_URL": url, "DATABASE_PGBOUNCER": "true", "REDIS_URL": redis_url}
        with starting(tmp_path, **given) as start:
            first, _ = [start(f"beat-{number}") for number in range(2)]
            await said(tmp_path, "beat-0")
            await said(tmp_path, "beat-1")
            await ticks.more(2)
            first.kill()
            due = await ticks.more(3)
    assert without_gap_or_double(due), due


async def test_running_beat_applies_an_override(
    ticks: Ticks,
    start: Start,
    tmp_path: Path,
    fresh_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    beat = start("beat")
    await said(tmp_path, "beat")

    async def purges() -> int:
        statement = text("SELECT count(*) FROM jobs WHERE kind = 'purge'")
        async with ticks.engine.connect() as connection:
            return int(await connection.scalar(statement) or 0)

    async def purged() -> int | None:
        return await purges() or None

    await ticks.more(2)
    assert await purges() == 0
    changed = await asyncio.to_thread(
        CliRunner().invoke, commands, ["schedule", "set", "purge", "every 1s"]
    )
    assert changed.exit_code == 0, changed.output
    await until(purged, "the purge has its job")
    assert beat.poll() is None
    os.kill(beat.pid, signal.SIGTERM)
    assert await asyncio.to_thread(beat.wait, 30) == 0
    await said(tmp_path, "beat", "beat stopped")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_beat_asked_to_stop_during_a_turn_completes_it(
    ticks: Ticks,
    start: Start,
    tmp_path: Path,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TICKING_SIGNAL", str(int(number)))
    beat = start("beat")
    assert await asyncio.to_thread(beat.wait, 60) == 0
    await said(tmp_path, "beat", "beat stopped")
    assert len(await ticks.due()) == 1


async def test_jobs_are_fired_while_the_broker_is_down(
    ticks: Ticks, tmp_path: Path, fresh_database_url: str
) -> None:
    given = {
        "DATABASE_URL": fresh_database_url,
        "REDIS_URL": f"redis://127.0.0.1:{places.free_port()}/0",
        "CELERY_HEARTBEAT_SECONDS": "1",
    }
    with starting(tmp_path, **given) as start:
        start("beat")
        await said(tmp_path, "beat", "the broker does not answer")
        assert without_gap_or_double(await ticks.more(4))
