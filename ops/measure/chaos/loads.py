"""Ways to submit jobs, and to count the effects of each."""

import asyncio
import random
import uuid
from collections import Counter
from typing import Protocol

import httpx2
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import DomainError
from fastapi_base.db.session import Database
from fastapi_base.services.jobs.enqueue import enqueue
from fastapi_base.services.jobs.groups import Step, enqueue_all, parts
from ops.measure.chaos.beating import SCHEDULES
from ops.measure.chaos.effects import MARK, POISON, TABLE, Mark, Poison
from ops.measure.chaos.stack import Stack

EMAIL, PASSWORD = "ada@example.com", "correct horse battery staple"
REQUEST_SECONDS = 5.0
START_SECONDS = 60.0


class Load(Protocol):
    """A way to submit jobs."""

    async def prepare(self, stack: Stack, database: Database) -> None:
        """Called before the first job."""

    async def submit(self, stack: Stack, database: Database, jobs: int, pause: float) -> None:
        """Submit this many jobs, with this many seconds between them where that can be chosen."""

    async def promised(self, database: Database) -> set[str]:
        """The names of the jobs that must take effect."""

    async def effects(self, database: Database) -> Counter[str]:
        """The number of effects of each job, by name."""

    def finish(self, stack: Stack) -> None:
        """Called after the last job."""


class Transactions:
    """Transactions of one to ten jobs; in half of them the last job runs after the others.

    An unconfirmed commit guarantees nothing.
    """

    def __init__(self) -> None:
        self._accepted: set[str] = set()

    async def prepare(self, stack: Stack, database: Database) -> None:
        """Recreate the table of effects."""
        async with database.transaction() as session:
            connection = await session.connection()
            await connection.execute(text("DROP TABLE IF EXISTS chaos_effects"))
            await connection.execute(text(TABLE))

    async def submit(self, stack: Stack, database: Database, jobs: int, pause: float) -> None:
        """See Load."""
        while len(self._accepted) < jobs:
            size = min(random.randint(1, 10), jobs - len(self._accepted))  # noqa: S311
            try:
                async with database.transaction() as session:
                    added = await _add(session, size)
            except DomainError:
                await asyncio.sleep(0.1)
                continue
            self._accepted |= added
            await asyncio.sleep(pause * size)

    async def promised(self, database: Database) -> set[str]:
        """The jobs whose commit was confirmed."""
        return self._accepted

    async def effects(self, database: Database) -> Counter[str]:
        """See Load."""
        async with database.read() as connection:
            rows = await connection.execute(text("SELECT job_id FROM chaos_effects"))
            return Counter(str(row[0]) for row in rows)

    def finish(self, stack: Stack) -> None:
        """Nothing to stop."""


class Poisoned(Transactions):
    """Transactions, plus jobs that kill their processes, one per twenty others.

    Only the others are guaranteed to take effect.
    """

    async def submit(self, stack: Stack, database: Database, jobs: int, pause: float) -> None:
        """See Load."""
        poisons = max(2, jobs // 20)
        waiting = asyncio.create_task(super().submit(stack, database, jobs, pause))
        for _ in range(poisons):
            try:
                async with database.transaction() as session:
                    await enqueue(session, POISON, Poison())
            except DomainError:
                continue
            await asyncio.sleep(pause * jobs / poisons)
        await waiting


async def _add(session: AsyncSession, size: int) -> set[str]:
    mark = Mark()
    if random.random() < 0.5:  # noqa: S311
        return {str((await enqueue(session, MARK, mark)).id) for _ in range(size)}
    step = Step(MARK, mark)
    last = await enqueue_all(session, [step] * (size - 1), then=step)
    return {str(last.id), *(str(part.id) for part in await parts(session, last.id))}


class Requests:
    """Requests to the API. A request without a reply is retried with its Idempotency-Key.

    So each text is guaranteed to be counted by exactly one job.
    """

    async def prepare(self, stack: Stack, database: Database) -> None:
        """Start the API and create an account."""
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

    async def submit(self, stack: Stack, database: Database, jobs: int, pause: float) -> None:
        """See Load."""
        self._texts = [f"text {number}" for number in range(jobs)]
        headers = {"Authorization": f"Bearer {self._token}"}
        async with httpx2.AsyncClient(
            base_url=stack.api_url, timeout=REQUEST_SECONDS, headers=headers
        ) as client:
            # Four at once: otherwise each fault interrupts one request at most.
            waiting = iter(self._texts)

            async def caller() -> None:
                for one in waiting:
                    await _post(client, one)
                    await asyncio.sleep(pause * 4)

            await asyncio.gather(*(caller() for _ in range(4)))

    async def promised(self, database: Database) -> set[str]:
        """All texts."""
        return set(self._texts)

    async def effects(self, database: Database) -> Counter[str]:
        """See Load."""
        statement = """
            SELECT payload ->> 'text' FROM jobs
            WHERE kind = 'word-count' AND state = 'succeeded' AND result ->> 'words' = '2'
        """
        async with database.read() as connection:
            return Counter(await connection.scalars(text(statement)))

    def finish(self, stack: Stack) -> None:
        """Stop the API."""
        stack.kill("api")


class Moments:
    """Schedules run by two Beats. Each moment is guaranteed one job."""

    async def prepare(self, stack: Stack, database: Database) -> None:
        """Delete the schedules, and start the Beats."""
        async with database.transaction() as session:
            connection = await session.connection()
            await connection.execute(text("DELETE FROM jobs WHERE kind = 'chaos-tick'"))
            await connection.execute(text("DELETE FROM schedules WHERE name LIKE 'chaos-%'"))
        for name in stack.beats:
            stack.start(name)

    async def submit(self, stack: Stack, database: Database, jobs: int, pause: float) -> None:
        """See Load. It takes a second for each job of each schedule, whatever the pause."""
        async with asyncio.timeout(START_SECONDS + 2 * jobs / SCHEDULES):
            seen = 0
            while seen < jobs:
                await asyncio.sleep(0.5)
                seen = len(await self.promised(database))

    async def promised(self, database: Database) -> set[str]:
        """For each schedule, the moments from the first with a job to the last one processed."""
        statement = """
            SELECT n || ' ' || extract(epoch FROM due)::bigint FROM (
                SELECT right(name, 1) AS n, last_at,
                    (SELECT min((payload ->> 'due')::timestamptz) FROM jobs
                     WHERE kind = 'chaos-tick' AND payload ->> 'schedule' = right(name, 1)) AS began
                FROM schedules WHERE name LIKE 'chaos-%'
            ) AS seen, generate_series(began, last_at, '1 second') AS due
        """
        async with database.read() as connection:
            return set(await connection.scalars(text(statement)))

    async def effects(self, database: Database) -> Counter[str]:
        """See Load."""
        statement = """
            SELECT (payload ->> 'schedule') || ' '
                || extract(epoch FROM (payload ->> 'due')::timestamptz)::bigint
            FROM jobs WHERE kind = 'chaos-tick' AND state = 'succeeded'
        """
        async with database.read() as connection:
            return Counter(await connection.scalars(text(statement)))

    def finish(self, stack: Stack) -> None:
        """Stop the Beats."""
        for name in stack.beats:
            stack.kill(name)


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
        # Unavailable, or the first attempt is in progress; any other status is a fault of the
        # service.
        assert reply.status_code in {409, 503}, reply.text
        await asyncio.sleep(0.1)
