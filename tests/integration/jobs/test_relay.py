"""A relay counts as working only while its turns succeed or wait for servers."""

import asyncio

import pytest

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import Overloaded, Unavailable
from fastapi_base.core.messaging.publisher import Publisher
from fastapi_base.db.session import EngineDatabase
from fastapi_base.tasks import relay
from fastapi_base.tasks.relay import Relay
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio


class Turning(Relay):
    """A relay whose turns all end in the same way."""

    ends: Exception | None = None
    turns = 0

    async def sweep(self) -> None:
        await asyncio.sleep(0)
        self.turns += 1
        if self.ends is not None:
            raise self.ends

    async def publish(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("ends", "works"),
    [
        (None, True),
        (Unavailable("the broker does not answer"), True),
        (Overloaded("all database connections are in use"), True),
        (ZeroDivisionError("a programming error"), False),
    ],
)
async def test_relay_whose_turns_fail_shows_no_progress(
    database: EngineDatabase,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    ends: Exception | None,
    works: bool,
) -> None:
    monkeypatch.setattr(relay, "PAUSE_SECONDS", 0.01)
    jobs = settings.jobs.model_copy(update={"sweep_seconds": 0})
    turning = Turning(settings.model_copy(update={"jobs": jobs}), database, Publisher(settings))
    turning.ends = ends
    stop = asyncio.Event()
    running = asyncio.create_task(turning.run(stop))

    async def twenty_turns() -> float:
        """Wait for twenty more turns. Returns when the relay last worked."""
        last = turning.turns + 20

        async def enough() -> float | None:
            return turning.turned_at if turning.turns >= last else None

        return await until(enough, "twenty turns")

    try:
        before = await twenty_turns()
        assert (await twenty_turns() > before) == works
    finally:
        stop.set()
        await running
        await asyncio.to_thread(turning.close)
