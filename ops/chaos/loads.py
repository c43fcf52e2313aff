"""Ways to ask for jobs, and to count what became of each."""

import asyncio
import random
import uuid
from collections import Counter
from typing import Protocol

import httpx2
from sqlalchemy import text

from fastapi_base.core.errors import DomainError
from fastapi_base.db.database import Database
from fastapi_base.services.jobs.enqueue import enqueue
from ops.chaos.effects import MARK, TABLE, Mark
from ops.chaos.stack import Stack

EMAIL, PASSWORD = "ada@example.com", "correct horse battery staple"
REQUEST_SECONDS = 5.0


class Load(Protocol):
    """One way."""

    async def prepare(self, stack: Stack, database: Database) -> None:
        """Before the first job."""

    async def submit(self, stack: Stack, database: Database, jobs: int, pause: float) -> set[str]:
        """Ask for so many jobs; names of those that were promised."""

    async def effects(self, database: Database) -> Counter[str]:
        """How often each took effect, by its name."""

    def finish(self, stack: Stack) -> None:
        """After the last job."""


class Transactions:
    """By transactions of one to ten jobs. A commit that was not confirmed is no promise."""

    async def prepare(self, stack: Stack, database: Database) -> None:
        """Make the table of effects anew."""
        async with database.transaction() as session:
            connection = await session.connection()
            await connection.execute(text("DROP TABLE IF EXISTS chaos_effects"))
            await connection.execute(text(TABLE))

    async def submit(self, stack: Stack, database: Database, jobs: int, pause: float) -> set[str]:
        """See Load."""
        accepted: set[str] = set()
        while len(accepted) < jobs:
            size = min(random.randint(1, 10), jobs - len(accepted))  # noqa: S311
            mark = Mark(number=len(accepted))
            try:
                async with database.transaction() as session:
                    added = [await enqueue(session, MARK, mark) for _ in range(size)]
            except DomainError:
                await asyncio.sleep(0.1)
                continue
            accepted |= {str(job.id) for job in added}
            await asyncio.sleep(pause * size)
        return accepted

    async def effects(self, database: Database) -> Counter[str]:
        """See Load."""
        async with database.read() as connection:
            rows = await connection.execute(text("SELECT job_id FROM chaos_effects"))
            return Counter(str(row[0]) for row in rows)

    def finish(self, stack: Stack) -> None:
        """Leave all as it is."""


class Requests:
    """By requests to the API. One without a reply is sent again with its Idempotency-Key.

    So each text is promised to be counted, and by one job.
    """

    async def prepare(self, stack: Stack, database: Database) -> None:
        """Start the API, with an account."""
        stack.start_api()
        async with database.transaction() as session:
            connection = await session.connection()
            await connection.execute(text("DELETE FROM jobs WHERE kind = 'word-count'"))
        async with httpx2.AsyncClient(base_url=stack.api_url, timeout=30) as client:
            account = {"email": EMAIL, "password": PASSWORD}
            (await client.post("/auth/register", json=account)).raise_for_status()
            form = {"username": EMAIL, "password": PASSWORD}
            login = await client.post("/auth/login", data=form)
            self._token = login.raise_for_status().json()["access_token"]

    async def submit(self, stack: Stack, database: Database, jobs: int, pause: float) -> set[str]:
        """See Load. The names are the texts."""
        texts = [f"text {number}" for number in range(jobs)]
        headers = {"Authorization": f"Bearer {self._token}"}
        async with httpx2.AsyncClient(
            base_url=stack.api_url, timeout=REQUEST_SECONDS, headers=headers
        ) as client:
            # Four at once: else one request at most is cut off by each fault.
            waiting = iter(texts)

            async def caller() -> None:
                for one in waiting:
                    await _post(client, one)
                    await asyncio.sleep(pause * 4)

            await asyncio.gather(*(caller() for _ in range(4)))
        return set(texts)

    async def effects(self, database: Database) -> Counter[str]:
        """See Load."""
        statement = """
            SELECT payload ->> 'text' FROM jobs
            WHERE kind = 'word-count' AND state = 'succeeded' AND result ->> 'words' = '2'
        """
        async with database.read() as connection:
            return Counter(await connection.scalars(text(statement)))

    def finish(self, stack: Stack) -> None:
        """End the API."""
        stack.kill("api")


async def _post(client: httpx2.AsyncClient, asked: str) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    while True:
        try:
            reply = await client.post("/jobs/word-count", json={"text": asked}, headers=headers)
        except httpx2.TransportError:
            await asyncio.sleep(0.1)
            continue
        if reply.status_code == 202:
            return
        # Not now, or the first attempt is under way; anything else is a fault of the service.
        assert reply.status_code in {409, 503}, reply.text
        await asyncio.sleep(0.1)
