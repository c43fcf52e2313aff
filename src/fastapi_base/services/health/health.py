"""Whether the servers that the service depends on are available."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import DomainError, NotReady, Unavailable, cause
from fastapi_base.core.messaging.redis import check as check_redis
from fastapi_base.core.runtime import background, drain
from fastapi_base.db import session as db
from fastapi_base.schemas.health.health import Check, Ready, Started, Work
from fastapi_base.services.health import heartbeat

log = structlog.stdlib.get_logger(__name__)

CHECK_SECONDS = 3.0


class Health:
    """The answers to the probes of one process.

    HEALTH_REQUIRED names the servers without which the process must not receive traffic; the others
    are checked and reported only.
    """

    def __init__(self, settings: Settings, seconds: float = CHECK_SECONDS) -> None:
        self._required = settings.health.required
        self._token = settings.health.token
        self._open = settings.app.environment != "production"
        self._seconds = seconds
        self._started = False
        self._errors: dict[str, str | None] = {}

    def operator(self, token: str) -> bool:
        """Whether this caller may see details.

        With HEALTH_TOKEN set, only a caller who presents it may. Without it, everybody may outside
        production, and nobody in production.
        """
        if self._token is None:
            return self._open
        return hmac.compare_digest(token.encode(), self._token.get_secret_value().encode())

    async def ready(self, database: db.Database, redis: Redis, *, details: bool) -> Ready:
        """Check all servers concurrently. Raises NotReady if a required one is unavailable."""
        if drain.started():
            raise NotReady("The process is shutting down")
        checks = await self._checks(database, redis)
        failed = [name for name in self._required if not checks[name].ok]
        if failed:
            if not details:
                raise NotReady("The service cannot accept requests")
            raise NotReady(
                f"Not available: {', '.join(failed)}",
                extra={
                    "checks": {name: check.model_dump() for name, check in checks.items()},
                    "background": {name: work.model_dump() for name, work in _background().items()},
                },
            )
        self._started = True
        if not details:
            return Ready()
        try:
            worked = await heartbeat.last(redis)
            relayed = await heartbeat.last(redis, heartbeat.RELAY_KEY)
        except Unavailable:
            worked = relayed = None
        return Ready(
            checks=checks, last_heartbeat=worked, last_relay=relayed, background=_background()
        )

    async def started(self, database: db.Database, redis: Redis, *, details: bool) -> Started:
        """Whether the process was ever ready; after that no server is checked. Raises NotReady."""
        if not self._started:
            await self.ready(database, redis, details=details)
        return Started()

    async def _checks(self, database: db.Database, redis: Redis) -> dict[str, Check]:
        postgres, cache = await asyncio.gather(
            self._check("database", lambda: db.check(database)),
            self._check("redis", lambda: check_redis(redis)),
        )
        return {"database": postgres, "redis": cache}

    async def _check(self, name: str, call: Callable[[], Awaitable[None]]) -> Check:
        start = time.perf_counter()
        failure: Exception | None = None
        try:
            async with asyncio.timeout(self._seconds):
                await call()
        except Exception as error:
            failure = error
        # The type only: the message may contain an address.
        kind = None if failure is None else type(failure).__name__
        self._log(name, kind, failure)
        elapsed = round((time.perf_counter() - start) * 1000, 1)
        return Check(ok=failure is None, milliseconds=elapsed, error=kind)

    def _log(self, name: str, kind: str | None, failure: Exception | None) -> None:
        """Log changes since the last probe only: probes come every few seconds."""
        before, self._errors[name] = self._errors.get(name), kind
        if kind == before:
            return
        if failure is None:
            log.info("a server is available again", server=name)
            return
        expected = isinstance(failure, (DomainError, RedisError, OSError, TimeoutError))
        log.warning(
            "a server cannot be used",
            server=name,
            error=f"{kind}: {cause(failure)}",
            exc_info=None if expected else failure,
        )


def _background() -> dict[str, Work]:
    return {
        name: Work(ok=state.ok, failures=state.failures, error=state.error)
        for name, state in background.states().items()
    }
