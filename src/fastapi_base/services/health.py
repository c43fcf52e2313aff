"""Whether what the service needs is there."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_base.core import drain
from fastapi_base.core.errors import DomainError, NotReady, Unavailable
from fastapi_base.db import database as db
from fastapi_base.schemas.health import Check, Ready
from fastapi_base.services import heartbeat


async def ready(database: db.Database, redis: Redis, seconds: float = 3) -> Ready:
    """Ask PostgreSQL and Redis at once. Raises NotReady, with all checks, when one fails."""

    if drain.begun():
        raise NotReady("this process is about to end")

    async def ping() -> None:
        await redis.ping()

    postgres, cache = await asyncio.gather(
        _check(lambda: db.check(database), seconds), _check(ping, seconds)
    )
    checks = {"database": postgres, "redis": cache}
    if failed := [name for name, check in checks.items() if not check.ok]:
        raise NotReady(
            f"no answer from: {', '.join(failed)}",
            extra={"checks": {name: check.model_dump() for name, check in checks.items()}},
        )
    try:
        seen = await heartbeat.last(redis)
    except Unavailable:
        seen = None
    return Ready(checks=checks, last_heartbeat=seen)


async def _check(call: Callable[[], Awaitable[None]], seconds: float) -> Check:
    start = time.perf_counter()
    error = None
    try:
        async with asyncio.timeout(seconds):
            await call()
    except (DomainError, RedisError, OSError, TimeoutError) as failure:
        # The kind only: a message may hold an address, and this endpoint is open to all.
        error = type(failure).__name__
    elapsed = round((time.perf_counter() - start) * 1000, 1)
    return Check(ok=error is None, milliseconds=elapsed, error=error)
