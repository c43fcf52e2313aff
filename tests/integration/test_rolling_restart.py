"""Processes are replaced one after another under load, and no request is lost."""

import asyncio
import itertools
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import httpx2
import pytest

from ops.dev.places import free_port
from tests.integration.accounts import new_user
from tests.integration.processes import GUNICORN, running
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio


class Balancer:
    """Sends requests in turn to the servers that report ready, each on a new connection.

    It never retries a request: a failure is a lost request.
    """

    def __init__(self, urls: list[str]) -> None:
        self.urls = urls
        self.ready: set[str] = set()
        self.replies: list[int] = []
        self.lost: list[str] = []
        # No keep-alive: each request reaches whichever process listens at that time.
        limits = httpx2.Limits(max_keepalive_connections=0)
        self.client = httpx2.AsyncClient(limits=limits, timeout=30)

    async def _ask(self, url: str) -> bool:
        try:
            return (await self.client.get(f"{url}/health/ready")).status_code == 200
        except httpx2.TransportError:
            return False

    async def probe(self, url: str) -> None:
        """Poll this server's readiness."""
        while True:
            (self.ready.add if await self._ask(url) else self.ready.discard)(url)
            await asyncio.sleep(0.1)

    async def load(self, headers: dict[str, str]) -> None:
        """Send one request after another."""
        for turn in itertools.count():
            urls = sorted(self.ready)
            assert urls, "no server is ready"
            url = urls[turn % len(urls)]
            try:
                reply = await self.client.get(f"{url}/api/v1/users/me", headers=headers)
                self.replies.append(reply.status_code)
            except httpx2.TransportError as error:
                self.lost.append(repr(error))


async def test_no_request_is_lost_while_each_process_is_replaced(
    tmp_path: Path, fresh_database_url: str, redis_url: str
) -> None:
    ports = [free_port(), free_port()]
    balancer = Balancer([f"http://127.0.0.1:{port}" for port in ports])

    def start(number: int, life: int) -> ExitStack:
        stack = ExitStack()
        stack.enter_context(
            running(
                GUNICORN,
                tmp_path / f"api-{number}-{life}.log",
                DATABASE_URL=fresh_database_url,
                REDIS_URL=redis_url,
                API_PORT=str(ports[number]),
                API_WORKERS="1",
                API_DRAIN_SECONDS="2",
                AUTH_BCRYPT_ROUNDS="4",
                RATE_LIMIT_ENABLED="false",
            )
        )
        return stack

    async def both_ready() -> bool | None:
        return len(balancer.ready) == 2 or None

    async with AsyncExitStack() as ending:
        await ending.enter_async_context(balancer.client)
        lives = [start(number, 0) for number in range(2)]
        for stack in lives:
            ending.callback(stack.close)
        probes = [asyncio.create_task(balancer.probe(url)) for url in balancer.urls]
        await until(both_ready, "both are ready", 60)
        async with httpx2.AsyncClient(base_url=balancer.urls[0], timeout=30) as client:
            headers = await new_user(client, "ada@example.com")
        loads = [asyncio.create_task(balancer.load(headers)) for _ in range(3)]
        for number in range(2):
            before = len(balancer.replies)
            # It exits cleanly while requests continue.
            await asyncio.to_thread(lives[number].close)
            assert balancer.urls[number] not in balancer.ready
            assert len(balancer.replies) > before
            lives[number] = start(number, 1)
            ending.callback(lives[number].close)
            await until(both_ready, "both are ready again", 60)
        assert not [task for task in (*loads, *probes) if task.done()]
        for task in (*loads, *probes):
            task.cancel()
        await asyncio.gather(*loads, *probes, return_exceptions=True)
        assert balancer.lost == []
        assert set(balancer.replies) == {200}
