"""A job's events are streamed by one API process, then by another, while a worker runs it."""

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
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.services.jobs.enqueue import enqueue
from ops.dev.places import free_port
from tests.integration.accounts import new_user
from tests.integration.meeting import MEETING, Meeting
from tests.integration.processes import CELERY, GUNICORN, RELAY, running, serves

pytestmark = pytest.mark.anyio

WORKER = (*CELERY, "worker", "--include=tests.integration.meeting", "--concurrency=2")


@pytest.fixture
def processes(
    tmp_path: Path, fresh_database_url: str, redis: Redis, redis_url: str
) -> Iterator[list[int]]:
    """The ports of two API processes; a relay and a worker run too."""
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
        yield ports


async def events(reply: httpx2.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The ID of each event and the job in it, as they arrive."""
    name = ""
    async for line in reply.aiter_lines():
        if line.startswith("id: "):
            name = line.removeprefix("id: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def test_event_stream_resumes_in_another_process(
    processes: list[int], make_settings: Callable[[str], Settings], fresh_database_url: str
) -> None:
    engine = create_engine(make_settings(fresh_database_url).database)
    database = EngineDatabase(engine)
    one, other = (
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) for port in processes
    )

    async def meets(owner: str) -> UUID:
        async with database.transaction() as session:
            return (await enqueue(session, MEETING, Meeting(people=2), owner=UUID(owner))).id

    for port in processes:
        await serves(port)
    async with one, other:
        headers = await new_user(one, "ada@example.com")
        owner = (await one.get("/api/v1/users/me", headers=headers)).json()["id"]
        job = await meets(owner)
        url = f"/api/v1/jobs/{job}/events"
        async with one.stream("GET", url, headers=headers) as reply:
            # Until it waits for another job, and reports that.
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
