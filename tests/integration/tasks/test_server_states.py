"""Every process survives any state of Redis or PostgreSQL and works again afterwards."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
import redis
from sqlalchemy import text

from fastapi_base.core.config import DatabaseSettings, RedisSettings, Settings
from fastapi_base.core.errors import DomainError
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.main import create_app
from fastapi_base.migrations import runner
from fastapi_base.services.jobs.enqueue import enqueue
from ops.dev import guard, places, postgres, waiting
from ops.dev.postgres import Postgres
from ops.dev.redis import Redis
from ops.measure.chaos import states
from ops.measure.chaos.proxy import Proxy
from tests.calling import calling
from tests.integration.gate import GATE, Gate
from tests.integration.processes import CELERY, RELAY, running
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

WORKER = (*CELERY, "worker", "--include=tests.integration.gate", "--concurrency=1")
BEAT = (*CELERY, "beat")
PASSWORD = "of-the-role"


@dataclass
class Service:
    """The project's programs, and an API in this process."""

    folder: Path
    given: dict[str, str]
    database: EngineDatabase
    client: httpx2.AsyncClient

    @contextmanager
    def running(self, pool: str) -> Iterator[None]:
        """A relay, a worker and a Beat, which must be alive at the end and shut down cleanly."""
        given = {**self.given, "CELERY_HEARTBEAT_SECONDS": "1", "LOG_FORMAT": "json"}
        with ExitStack() as contexts:
            for name, command in (
                ("relay", RELAY),
                ("worker", (*WORKER, f"--pool={pool}")),
                ("beat", BEAT),
            ):
                contexts.enter_context(running(command, self.folder / f"{name}.log", **given))
            yield

    async def begin(self, name: str) -> Path:
        """Have the worker start a job that ends when the file exists; returns the file."""
        gate = self.folder / name
        self.begun = await self._enqueue(gate)
        await self._is(self.begun, "running")
        return gate

    async def done(self) -> None:
        """Wait until the started job is done."""
        await self._is(self.begun, "succeeded")

    async def noticed(self, who: str, said: str, state: str) -> None:
        """Wait until a process has encountered the state."""
        log = self.folder / f"{who}.log"
        before = (await asyncio.to_thread(log.read_text)).count(said)

        async def more() -> bool | None:
            return (await asyncio.to_thread(log.read_text)).count(said) > before or None

        await until(more, f"{who} logs {said!r} during {state}")
        assert (await self.client.get("/health/live")).status_code == 200

    async def works(self, state: str) -> None:
        """Wait until a new job is done, Beat's heartbeat arrives, and the API is ready."""
        since = datetime.now(UTC)
        gate = self.folder / f"{state}-after"
        await asyncio.to_thread(gate.touch)
        await self._is(await self._enqueue(gate), "succeeded")

        async def ready() -> bool | None:
            reply = await self.client.get("/health/ready")
            beaten = reply.json().get("last_heartbeat")
            fresh = beaten and datetime.fromisoformat(beaten) > since
            return True if fresh and reply.status_code == 200 else None

        await until(ready, f"a heartbeat after {state}", 60)

    async def _enqueue(self, gate: Path) -> Any:
        async def added() -> Any:
            try:
                async with self.database.transaction() as session:
                    return (await enqueue(session, GATE, Gate(path=str(gate)))).id
            except (DomainError, OSError):
                return None

        return await until(added, "a job is added")

    async def _is(self, job: Any, state: str) -> None:
        statement = text("SELECT true FROM jobs WHERE id = :id AND state = :state")

        async def now() -> bool | None:
            try:
                async with self.database.read() as connection:
                    found = await connection.scalar(statement, {"id": job, "state": state})
            except (DomainError, OSError):
                return None
            return True if found else None

        await until(now, f"the job is {state}", 90)


@contextmanager
def redis_of_its_own(folder: Path) -> Iterator[Redis]:
    """A separate server that can be put into any state."""
    server = Redis(places.free_port(), states.PASSWORD)
    log = folder / "redis.log"
    configuration = server.configuration() + states.CONFIGURATION
    with guard.process(server.command(), log, states.END, configuration, cwd=folder) as process:
        waiting.until_serves(process, log, server.ready, "Redis", 60)
        # A snapshot cannot replace a directory.
        (folder / states.OCCUPIED / "by").mkdir(parents=True)
        yield server


@contextmanager
def postgres_of_its_own(server: Postgres, log: Path) -> Iterator[None]:
    """Runs the server until the end of the context."""
    with guard.process(server.command(), log, signal.SIGINT) as process:
        waiting.until_serves(process, log, server.ready, "PostgreSQL", 60)
        yield


Serve = Callable[[str, str], Any]


@pytest.fixture
async def serve(
    make_settings: Callable[[str], Settings], tmp_path: Path
) -> AsyncIterator[Callable[[str, str], Any]]:
    """Builds the service for a database and a Redis."""
    async with AsyncExitStack() as contexts:

        async def make(database_url: str, redis_url: str) -> Service:
            settings = make_settings(database_url).model_copy(
                update={
                    "database": DatabaseSettings.model_validate({"url": database_url}),
                    "redis": RedisSettings.model_validate({"url": redis_url}),
                }
            )
            engine = create_engine(settings.database)
            contexts.push_async_callback(engine.dispose)
            client = await contexts.enter_async_context(calling(create_app(settings)))
            given = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
            return Service(tmp_path, given, EngineDatabase.of(settings.database, engine), client)

        yield make


@pytest.mark.parametrize(
    ("pool", "met"),
    [
        ("prefork", list(states.STATES.values())),
        ("threads", [states.demoted, states.forbidden]),
        ("solo", [states.demoted, states.forbidden]),
    ],
)
async def test_all_processes_survive_errors_of_redis(
    serve: Serve, fresh_database_url: str, tmp_path: Path, pool: str, met: list[states.State]
) -> None:
    with redis_of_its_own(tmp_path) as server, Proxy(server.port) as network:
        service = await serve(fresh_database_url, replace(server, port=network.port).url())
        admin = redis.Redis.from_url(server.url(), single_connection_client=True)
        admin.ping()
        with admin, service.running(pool):
            await service.works("start")
            for state in met:
                gate = await service.begin(state.__name__)
                with state(admin):
                    # It cannot be acknowledged, and is the only task that the worker takes.
                    await asyncio.to_thread(gate.touch)
                    await service.done()
                    if state is not states.disconnected:
                        await service.noticed("relay", "cannot work", state.__name__)
                await service.works(state.__name__)
            gate = await service.begin("stranded")
            network.strand()
            await asyncio.to_thread(gate.touch)
            await service.done()
            await service.works("stranded")
            gate = await service.begin("refused")
            network.refuse()
            await asyncio.to_thread(gate.touch)
            await service.done()
            await service.noticed("relay", "cannot work", "refused")
            network.thaw()
            await service.works("refused")


async def test_all_processes_survive_errors_of_postgresql(
    serve: Serve, redis: Any, redis_url: str, tmp_path: Path
) -> None:
    server = Postgres(tmp_path / "data", places.free_port(), "secret", postgres.THROWAWAY)
    server.prepare(postgres.throwaway_run)
    with ExitStack() as contexts:
        first = contexts.enter_context(ExitStack())
        begin = postgres_of_its_own(server, tmp_path / "first.log")
        await asyncio.to_thread(first.enter_context, begin)
        own = await asyncio.to_thread(server.ensure_database, "service", "service", PASSWORD)
        url = own.replace("://", "+asyncpg://")
        await asyncio.to_thread(runner.upgrade, url)
        service = await serve(url, redis_url)
        contexts.enter_context(service.running("prefork"))
        await service.works("start")
        for wrong, right in (
            (
                "DATABASE service SET default_transaction_read_only = on",
                "DATABASE service RESET ALL",
            ),
            ("ROLE service CONNECTION LIMIT 0", "ROLE service CONNECTION LIMIT -1"),
            ("ROLE service PASSWORD 'another'", f"ROLE service PASSWORD '{PASSWORD}'"),
            ("ROLE service NOLOGIN", "ROLE service LOGIN"),
            ("DATABASE service ALLOW_CONNECTIONS false", "DATABASE service ALLOW_CONNECTIONS true"),
            ("DATABASE service RENAME TO other", "DATABASE other RENAME TO service"),
        ):
            gate = await service.begin(wrong.replace(" ", "-"))
            await told(server, f"ALTER {wrong}")
            await service.noticed("relay", "cannot work", wrong)
            await service.noticed("beat", "cannot work", wrong)
            await told(server, f"ALTER {right}")
            await asyncio.to_thread(gate.touch)
            await service.done()
            await service.works(wrong.replace(" ", "-"))
        gate = await service.begin("restart")
        first.close()
        await service.noticed("relay", "cannot work", "a restart")
        # In recovery: it responds, and is read-only.
        (server.data / "standby.signal").touch()
        begin = postgres_of_its_own(server, tmp_path / "second.log")
        await asyncio.to_thread(contexts.enter_context, begin)
        await service.noticed("relay", "cannot work", "recovery")
        await told(server, None)
        await asyncio.to_thread(gate.touch)
        await service.done()
        await service.works("restart")


async def told(server: Postgres, statement: str | None) -> None:
    """Run a statement as superuser once no session of the service is left; None promotes."""
    connection = await asyncpg.connect(server.url())
    try:
        if statement is None:
            await connection.fetchval("SELECT pg_promote()")
            return
        if "RENAME TO other" in statement:
            # Not while clients are connected, which reconnect at once.
            await connection.execute("ALTER DATABASE service ALLOW_CONNECTIONS false")
        await connection.execute(ENDED)
        await connection.execute(statement)
        await connection.execute(ENDED)
        if "RENAME TO service" in statement:
            await connection.execute("ALTER DATABASE service ALLOW_CONNECTIONS true")
    finally:
        await connection.close()


ENDED = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE usename = 'service' AND pid <> pg_backend_pid()
"""
