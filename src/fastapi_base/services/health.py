"""Whether what the service needs is there."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_base.core import drain
from fastapi_base.core.config import Settings
from fastapi_base.core.errors import DomainError, NotReady, Unavailable
from fastapi_base.db import database as db
from fastapi_base.schemas.health import Check, Ready, Started
from fastapi_base.services import heartbeat

CHECK_SECONDS = 3.0


class Health:
    """What the probes of one process are told.

    HEALTH_REQUIRED names the servers without which requests must not come; the others are looked at
    and reported, but traffic goes on without them.
    """

    def __init__(self, settings: Settings, seconds: float = CHECK_SECONDS) -> None:
        self._required = settings.health.required
        self._token = settings.health.token
        self._open = settings.app.environment != "production"
        self._seconds = seconds
        self._started = False

    def operator(self, authorization: str) -> bool:
        """Whether details are for this caller: who knows HEALTH_TOKEN, where one is set; else
        everybody outside production, and nobody in it."""
        if self._token is None:
            return self._open
        expected = f"Bearer {self._token.get_secret_value()}"
        return hmac.compare_digest(authorization.encode(), expected.encode())

    async def ready(self, database: db.Database, redis: Redis, *, details: bool) -> Ready:
        """Ask all servers at once. Raises NotReady when a required one does not answer."""
        if drain.begun():
            raise NotReady("this process is about to end")
        checks = await self._checks(database, redis)
        failed = [name for name in self._required if not checks[name].ok]
        if failed:
            if not details:
                raise NotReady("the service cannot take requests")
            raise NotReady(
                f"no answer from: {', '.join(failed)}",
                extra={"checks": {name: check.model_dump() for name, check in checks.items()}},
            )
        self._started = True
        if not details:
            return Ready()
        try:
            seen = await heartbeat.last(redis)
        except Unavailable:
            seen = None
        return Ready(checks=checks, last_heartbeat=seen)

    async def started(self, database: db.Database, redis: Redis, *, details: bool) -> Started:
        """Whether the process was ready once. From then on nobody is asked. Raises NotReady."""
        if not self._started:
            await self.ready(database, redis, details=details)
        return Started()

    async def _checks(self, database: db.Database, redis: Redis) -> dict[str, Check]:
        async def ping() -> None:
            await redis.ping()

        postgres, cache = await asyncio.gather(
            _check(lambda: db.check(database), self._seconds), _check(ping, self._seconds)
        )
        return {"database": postgres, "redis": cache}


async def _check(call: Callable[[], Awaitable[None]], seconds: float) -> Check:
    start = time.perf_counter()
    error = None
    try:
        async with asyncio.timeout(seconds):
            await call()
    except (DomainError, RedisError, OSError, TimeoutError) as failure:
        # The kind only: a message may hold an address.
        error = type(failure).__name__
    elapsed = round((time.perf_counter() - start) * 1000, 1)
    return Check(ok=error is None, milliseconds=elapsed, error=error)
