"""Metrics of a worker whose processes are replaced after each task."""

from pathlib import Path
from uuid import uuid4

import httpx2
import psutil
import pytest
from redis.asyncio import Redis

from fastapi_base.core.config import Settings
from fastapi_base.core.messaging.publisher import celery_app
from fastapi_base.core.messaging.queues import task_name
from fastapi_base.services.health.heartbeat import HEARTBEAT
from ops.dev.places import free_port
from tests.integration.processes import CELERY, doomed, running
from tests.integration.scraping import Scrape, scrape, writers
from tests.integration.stubborn import STUBBORN
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

WORD_COUNT = task_name("word-count")
COUNT = "task_duration_seconds_count"


async def test_tasks_are_counted_across_process_replacements(
    tmp_path: Path, redis: Redis, redis_url: str, settings: Settings
) -> None:
    port = free_port()
    client = celery_app("test", settings)
    with running(
        (*CELERY, "worker", "--include=tests.integration.stubborn"),
        tmp_path / "worker.log",
        DATABASE_URL=settings.database.url.get_secret_value(),
        REDIS_URL=redis_url,
        CELERY_CONCURRENCY="1",
        # In between, processes are replaced.
        CELERY_MAX_TASKS_PER_CHILD="2",
        METRICS_PORT=str(port),
        LOG_FORMAT="json",
    ) as process:
        for _ in range(3):
            client.send_task(WORD_COUNT, task_id=str(uuid4()))
            client.send_task(HEARTBEAT)
        client.send_task(HEARTBEAT, args=["too many"])
        # The others start in new processes, which may take longer than this on a busy machine.
        client.send_task(STUBBORN, soft_time_limit=1, time_limit=2)

        async def done() -> Scrape | None:
            try:
                seen = await scrape(port)
            except httpx2.TransportError:
                return None
            return seen if seen.total("tasks_lost_total") else None

        seen = await until(done, "all tasks have ended", 60)
        assert seen.total(COUNT, task=WORD_COUNT, state="nothing to do") == 3
        assert seen.total(COUNT, task=HEARTBEAT, state="success") == 3
        assert seen.total(COUNT, task=HEARTBEAT, state="failure") == 1
        assert seen.total(COUNT) - seen.total(COUNT, task=STUBBORN) == 7
        assert seen.total("tasks_lost_total", task=STUBBORN) == 1
        assert seen.names >= {"tasks_running", "queue_messages", "build_info"}

        async def cleaned() -> bool | None:
            seen = await scrape(port)
            alive = {process.pid, *(one.pid for one in psutil.Process(process.pid).children())}
            gone = writers(process.pid) - {0, *alive}
            return True if seen.total("tasks_running") == 0 and not gone else None

        await until(cleaned, "the killed task does not count as running and its files are removed")
    client.close()


async def test_task_whose_process_is_killed_is_counted(
    tmp_path: Path, redis: Redis, redis_url: str, settings: Settings
) -> None:
    port = free_port()
    client = celery_app("test", settings)
    with doomed(
        (*CELERY, "worker", "--include=tests.integration.stubborn"),
        tmp_path / "worker.log",
        DATABASE_URL=settings.database.url.get_secret_value(),
        REDIS_URL=redis_url,
        CELERY_CONCURRENCY="1",
        METRICS_PORT=str(port),
    ):
        client.send_task(STUBBORN)

        async def runs() -> bool | None:
            try:
                return True if (await scrape(port)).total("tasks_running") else None
            except httpx2.TransportError:
                return None

        async def lost() -> bool | None:
            return True if (await scrape(port)).total("tasks_lost_total", task=STUBBORN) else None

        await until(runs, "the task runs", 60)
        seen = await scrape(port)
        assert STUBBORN in seen.values("tasks_lost_total", "task")
        assert seen.total("tasks_lost_total") == 0
        for one in psutil.Process().children():
            if "--include=tests.integration.stubborn" in one.cmdline():
                for child in one.children():
                    child.kill()
        await until(lost, "the loss is counted")
    client.close()
