"""A job is watched from one process of the API, then from another, while a worker does it."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from redis.asyncio import Redis

from fastapi_base.core.config import Settings
from fastapi_base.db.database import EngineDatabase
from fastapi_base.db.engine import create_engine
from fastapi_base.services.jobs.enqueue import enqueue
from ops.dev.places import free_port
from tests.integration.accounts import new_user
from tests.integration.meeting import MEETING, Meeting
from tests.integration.processes import CELERY, GUNICORN, RELAY, running
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

WORKER = (*CELERY, "worker", "--include=tests.integration.meeting", "--concurrency=2")


@pytest.fixture
def processes(
    tmp_path: Path, fresh_database_url: str, redis: Redis, redis_url: str
) -> Iterator[list[str]]:
    """The addresses of two of the API; a relay and a worker run too."""
    given = {"DATABASE_URL": fresh_database_url, "REDIS_URL": redis_url, "API_WORKERS": "1"}
    ports = [free_port(), free_port()]
    with ExitStack() as stack:
        for port in ports:
            log = tmp_path / f"api-{port}.log"
            stack.enter_context(
                running(GUNICORN, log, API_PORT=str(port), AUTH_BCRYPT_ROUNDS="4", **given)
            )
        stack.enter_context(running(RELAY, tmp_path / "relay.log", **given))
        stack.enter_context(running(WORKER, tmp_path / "worker.log", **given))
        yield [f"http://127.0.0.1:{port}" for port in ports]


async def events(reply: httpx2.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Of each its id and the job that it shows, as they come."""
    name = ""
    async for line in reply.aiter_lines():
        if line.startswith("id: "):
            name = line.removeprefix("id: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def test_progress_goes_on_in_another_process_where_it_was_left(
    processes: list[str], make_settings: Callable[[str], Settings], fresh_database_url: str
) -> None:
    engine = create_engine(make_settings(fresh_database_url).database)
    database = EngineDatabase(engine)
    one, other = (httpx2.AsyncClient(base_url=url, timeout=60) for url in processes)

    async def both_serve() -> bool | None:
        try:
            return all([(await c.get("/health/live")).is_success for c in (one, other)]) or None
        except httpx2.TransportError:
            return None

    async def meets(owner: str) -> UUID:
        async with database.transaction() as session:
            return (await enqueue(session, MEETING, Meeting(people=2), owner=UUID(owner))).id

    async with one, other:
        await until(both_serve, "both serve", 60)
        headers = await new_user(one, "ada@example.com")
        owner = (await one.get("/api/v1/users/me", headers=headers)).json()["id"]
        job = await meets(owner)
        url = f"/api/v1/jobs/{job}/events"
        async with one.stream("GET", url, headers=headers) as reply:
            # Until it waits for another one, and says so.
            progressed = (event async for event in events(reply) if event[1]["progress"])
            seen, shown = await anext(progressed)
        assert (shown["status"], shown["progress"]["done"]) == ("running", 1)
        resumed = {**headers, "Last-Event-ID": seen}
        ids, states = [], []
        async with other.stream("GET", url, headers=resumed) as reply:
            await meets(owner)
            async for name, shown in events(reply):
                ids.append(name)
                states.append(shown["status"])
        assert seen not in ids
        assert states[-1] == "succeeded"
        assert shown["result"] == {"people": 2}
        over = await one.get(url, headers={**headers, "Last-Event-ID": ids[-1]})
        assert over.status_code == 204
    await engine.dispose()
