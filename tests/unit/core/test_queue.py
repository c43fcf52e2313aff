"""The queue when Redis is down: a quick, clear error, and an event loop that goes on."""

import asyncio
import time

import pytest

from fastapi_base.core.config import RedisSettings, Settings
from fastapi_base.core.errors import Unavailable
from fastapi_base.core.queue import TaskQueue, celery_config

pytestmark = pytest.mark.anyio


async def test_sending_and_reading_fail_quickly(settings: Settings) -> None:
    queue = TaskQueue(settings)
    try:
        start = time.monotonic()
        with pytest.raises(Unavailable):
            await queue.send("a.task", "id-1", ["argument"])
        with pytest.raises(Unavailable):
            await queue.result("id-1")
        assert time.monotonic() - start < settings.celery.publish_timeout
    finally:
        queue.close()


async def test_server_that_never_answers_is_given_up_and_the_event_loop_goes_on(
    settings: Settings,
) -> None:
    async def listen_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(listen_only, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        redis = RedisSettings.model_validate({"url": f"redis://127.0.0.1:{port}", "timeout": 0.3})
        queue = TaskQueue(settings.model_copy(update={"redis": redis}))
        sending = asyncio.create_task(queue.send("a.task", "id-1", []))
        turns = 0
        try:
            while not sending.done():
                turns += 1
                await asyncio.wait([sending], timeout=0.01)
            with pytest.raises(Unavailable):
                await sending
            assert turns > 5
        finally:
            queue.close()
            silent.close_clients()


def test_nothing_is_lost_and_nothing_runs_for_ever(settings: Settings) -> None:
    config = celery_config(settings)
    assert config["accept_content"] == config["result_accept_content"] == ["json"]
    assert config["task_acks_late"]
    assert config["task_reject_on_worker_lost"]
    assert config["worker_prefetch_multiplier"] == 1
    assert config["task_soft_time_limit"] < config["task_time_limit"]
    visibility = config["broker_transport_options"]["visibility_timeout"]
    assert config["task_time_limit"] < visibility
