"""An account that changes while a request about it is in progress."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Executable, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col

from fastapi_base.api.resources import Resources, open_resources
from fastapi_base.core.config import Settings
from fastapi_base.core.security.passwords import PasswordHasher
from fastapi_base.models import User
from tests.integration.waiting import until

_WAITS = text("SELECT 1 FROM pg_stat_activity WHERE :mine = ANY (pg_blocking_pids(pid)) LIMIT 1")


class SlowHasher(PasswordHasher):
    """Verifies passwords; can hold results back, like a long queue."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.auth)
        self.checked = asyncio.Event()
        self._go = asyncio.Event()
        self._go.set()

    async def verify(self, password: str, stored: str | None) -> bool:
        """See PasswordHasher."""
        fits = await super().verify(password, stored)
        if not self._go.is_set() and not self.checked.is_set():
            self.checked.set()
            await self._go.wait()
        return fits

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the next result back until the end of the block; others are not held."""
        self.checked.clear()
        self._go.clear()
        try:
            yield
        finally:
            self._go.set()


@asynccontextmanager
async def open_slow(settings: Settings) -> AsyncIterator[Resources]:
    """Like open_resources, with a SlowHasher."""
    hasher = SlowHasher(settings)
    async with open_resources(settings) as resources:
        yield replace(resources, hasher=hasher)
    hasher.close()


async def while_locked[T](
    engine: AsyncEngine, lock: Executable, changes: Sequence[Executable], request: Awaitable[T]
) -> T:
    """The reply to a request that runs into a transaction on the same rows.

    The transaction takes the lock, makes the changes, and commits once the request waits for the
    lock.
    """
    pid = text("SELECT pg_backend_pid()")
    async with engine.connect() as connection, connection.begin():
        mine = await connection.scalar(pid)
        assert await connection.scalar(lock) is not None
        task = asyncio.ensure_future(request)

        async def waits() -> bool | None:
            if task.done():
                raise AssertionError(f"the request did not wait: {_said(task.result())}")
            async with engine.connect() as other:
                return True if await other.scalar(_WAITS, {"mine": mine}) else None

        await until(waits, "the request waits for the lock")
        for change in changes:
            await connection.execute(change)
    return await task


def account_lock(email: str) -> Executable:
    """The lock of an account's row."""
    return select(col(User.id)).where(col(User.email) == email).with_for_update()


def _said(result: Any) -> str:
    return f"{getattr(result, 'status_code', '')} {getattr(result, 'text', result)}"
