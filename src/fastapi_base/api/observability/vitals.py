"""Vital signs of this process, sampled twice a second so that requests do not pay for it."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from sqlalchemy import QueuePool
from sqlalchemy.ext.asyncio import AsyncEngine

from fastapi_base.core.observability import metrics
from fastapi_base.core.runtime import background
from fastapi_base.core.security.passwords import PasswordHasher

LAG = metrics.histogram(
    "event_loop_lag_seconds",
    "Delay with which the event loop runs scheduled callbacks",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
CONNECTIONS = metrics.gauge(
    "db_pool_connections", "Connections of the database pools", "server", "state"
)
LIMIT = metrics.gauge(
    "db_pool_limit", "Maximum number of connections of all the service's pools together", "server"
)
HASHES = metrics.gauge("password_hashes_pending", "Password hashes running or queued")

INTERVAL_SECONDS = 0.5


@asynccontextmanager
async def watched(
    engines: Mapping[str, AsyncEngine], limit: int, hasher: PasswordHasher
) -> AsyncIterator[None]:
    """Sample the event loop, the pools and the hashing queue while the block runs.

    `limit` is the maximum number of connections per pool.
    """
    async with background.running("vitals", lambda: _watch(engines, limit, hasher)):
        yield


async def _watch(engines: Mapping[str, AsyncEngine], limit: int, hasher: PasswordHasher) -> None:
    lag, hashes = LAG.child(), HASHES.child()
    pools = []
    for server, engine in engines.items():
        pool = engine.pool
        assert isinstance(pool, QueuePool)
        LIMIT.child(server).set(limit)
        used, idle = CONNECTIONS.child(server, "used"), CONNECTIONS.child(server, "idle")
        pools.append((pool, used, idle))
    while True:
        for pool, used, idle in pools:
            used.set(pool.checkedout())
            idle.set(pool.checkedin())
        hashes.set(hasher.pending)
        due = time.perf_counter() + INTERVAL_SECONDS
        await asyncio.sleep(INTERVAL_SECONDS)
        lag.observe(max(0.0, time.perf_counter() - due))
