"""How this process is: looked at twice a second, so that no request pays for it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from sqlalchemy import QueuePool
from sqlalchemy.ext.asyncio import AsyncEngine

from fastapi_base.core import metrics
from fastapi_base.core.security import PasswordHasher

LAG = metrics.histogram(
    "event_loop_lag_seconds",
    "How late the event loop runs what is due: time that every request waits",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
CONNECTIONS = metrics.gauge("db_pool_connections", "Connections of the pool", "server", "state")
LIMIT = metrics.gauge("db_pool_limit", "Connections that the pool may hold", "server")
HASHES = metrics.gauge("password_hashes_pending", "Password hashes that run or wait for a thread")

INTERVAL_SECONDS = 0.5


@asynccontextmanager
async def watched(
    engines: Mapping[str, AsyncEngine], hasher: PasswordHasher
) -> AsyncIterator[None]:
    """Look at the event loop, the pools and the queue of hashes while the block runs."""
    task = asyncio.create_task(_watch(engines, hasher))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch(engines: Mapping[str, AsyncEngine], hasher: PasswordHasher) -> None:
    lag, hashes = LAG.child(), HASHES.child()
    pools = []
    for server, engine in engines.items():
        pool = engine.pool
        assert isinstance(pool, QueuePool)
        LIMIT.child(server).set(pool.size() + pool._max_overflow)
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
