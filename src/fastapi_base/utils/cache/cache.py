"""Read-through access to the cache."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from enum import StrEnum
from typing import Any

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_base.utils.cache import scripts
from fastapi_base.utils.cache.keys import Key, Stamp
from fastapi_base.utils.cache.local import LocalTier
from fastapi_base.utils.timeouts import occurs

log = structlog.stdlib.get_logger(__name__)

LEASE_SECONDS = 5.0


class Outcome(StrEnum):
    """The outcome of a cache read."""

    LOCAL = "local"
    HIT = "hit"
    STALE = "stale"
    # This reader loaded the value.
    MISS = "miss"
    # Another reader is loading it, and this one has waited for the length of a lease.
    IMPATIENT = "impatient"
    # Redis failed during this read (ERROR), or is not used after a recent failure (AWAY).
    ERROR = "error"
    AWAY = "away"


class Cache:
    """A read-through cache in Redis; without Redis, each reader loads values itself.

    Concurrent readers of all processes share one load, for at most `lease` seconds. After a
    failure, Redis is not used for `pause` seconds. If `enabled` is false, every read loads.
    `record` is called with the namespace and the outcome of each read.
    """

    def __init__(
        self,
        redis: Redis,
        record: Callable[[str, Outcome], object],
        *,
        enabled: bool = True,
        local: LocalTier | None = None,
        lease: float = LEASE_SECONDS,
        pause: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._enabled = enabled
        self._record = record
        self._look = redis.register_script(scripts.LOOK)
        self._store = redis.register_script(scripts.STORE)
        self._local = local or LocalTier(0, 0)
        self._lease = lease
        self._pause = pause
        self._clock = clock
        self._away_until: float | None = None
        self._waiting: dict[tuple[str, str], asyncio.Event] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    async def get[T](
        self, key: Key[T], stamp: Stamp, load: Callable[[], Awaitable[T | None]]
    ) -> T | None:
        """The cached value, or the result of `load` if there is none; None if nothing exists.

        `stamp` covers everything that the value depends on, and was read from the primary database
        after the request began: an older stamp may return an older value. `load` also reads from
        the primary database, independently and on its own connection, because it may run after this
        call has returned, to renew an entry. Its errors are raised to the caller and not cached.
        """
        if not self._enabled:
            return await load()
        kind, label = key.namespace.name, _label(stamp)
        if (kept := self._local.get(key.name, label)) is not None:
            self._record(kind, Outcome.LOCAL)
            return _read(key, kept)
        lease = f"{label} {uuid.uuid4().hex}"
        until = self._clock() + self._lease
        while True:
            state, value = await self._ask(key, label, lease)
            if state != scripts.BUSY:
                break
            if self._clock() >= until:
                self._record(kind, Outcome.IMPATIENT)
                return await load()
            await self._wait(key, label, until)
        if state == scripts.LOAD:
            self._record(kind, Outcome.MISS)
            return await self._filled(key, load, label, lease)
        if state is None:
            return await load()
        if state == scripts.RENEW:
            self._spawn(self._renew(key, load, label, lease))
        try:
            found = _read(key, value)
        except ValidationError:
            # Written by code that did not increment the version. It must not fail until it expires.
            log.exception("a cache entry cannot be read; increment the version", key=key.name)
            self._record(kind, Outcome.ERROR)
            await self.drop(key)
            return await load()
        self._record(kind, Outcome.HIT if state == scripts.HIT else Outcome.STALE)
        self._local.put(key.name, label, value)
        return found

    async def drop(self, *keys: Key[Any]) -> None:
        """Free the memory of entries that are no longer readable, if Redis is available.

        Reads do not depend on it, except in processes of the release before stamps were introduced.
        For them, it must run after the commit.
        """
        if not self._enabled:
            return
        self._local.drop(*(key.name for key in keys))
        if not self._present():
            return
        try:
            await self._redis.delete(*(name for key in keys for name in (key.name, key.lease)))
        except (RedisError, OSError) as error:
            self._failed(error)
        else:
            self._away_until = None

    async def aclose(self) -> None:
        """Wait for running renewals, for at most `lease` seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._lease)

    def _present(self) -> bool:
        """Whether Redis may be used. After a pause, one caller tries it on behalf of all."""
        if self._away_until is None:
            return True
        if self._clock() < self._away_until:
            return False
        self._away_until = self._clock() + self._pause
        return True

    def _failed(self, error: Exception) -> None:
        self._away_until = self._clock() + self._pause
        log.warning("the cache is temporarily not used: Redis failed", error=str(error))

    async def _ask(self, key: Key[Any], label: str, lease: str) -> tuple[int | None, bytes]:
        kind = key.namespace
        if not self._present():
            self._record(kind.name, Outcome.AWAY)
            return None, b""
        arguments: list[str | int] = [lease, _ms(self._lease), _ms(kind.stale), label]
        try:
            state, *rest = await self._look([key.name, key.lease], arguments)
        except (RedisError, OSError) as error:
            self._failed(error)
            self._record(kind.name, Outcome.ERROR)
            return None, b""
        self._away_until = None
        return state, rest[0] if rest else b""

    async def _wait(self, key: Key[Any], label: str, until: float) -> None:
        """Wait for another reader's load. Only one reader per process polls Redis."""
        event = self._waiting.get((key.name, label))
        if event is not None:
            await occurs(event, max(0, until - self._clock()))
            return
        event = self._waiting[key.name, label] = asyncio.Event()
        delay = 0.005
        try:
            while self._clock() < until and await self._busy(key, label):
                await asyncio.sleep(delay)
                delay = min(delay * 1.5, 0.05)
        finally:
            del self._waiting[key.name, label]
            event.set()

    async def _busy(self, key: Key[Any], label: str) -> bool:
        try:
            lease = await self._redis.get(key.lease)
        except (RedisError, OSError) as error:
            self._failed(error)
            return False
        return isinstance(lease, bytes) and lease.startswith(f"{label} ".encode())

    async def _filled[T](
        self, key: Key[T], load: Callable[[], Awaitable[T | None]], label: str, lease: str
    ) -> T | None:
        try:
            value = await load()
        except BaseException:
            # In a separate task, because this one may have been cancelled.
            self._spawn(self._put(key, lease, b"", 0))
            raise
        there = value is not None
        payload = key.namespace.write(value) if there else b""
        life, _ = key.namespace.life(there=there)
        await self._put(key, lease, f"{label}\n".encode() + payload, life)
        return value

    async def _renew[T](
        self, key: Key[T], load: Callable[[], Awaitable[T | None]], label: str, lease: str
    ) -> None:
        try:
            await self._filled(key, load, label, lease)
        except Exception:
            log.exception("a cache entry was not renewed", key=key.name)

    async def _put(self, key: Key[Any], lease: str, entry: bytes, life: float) -> None:
        try:
            await self._store([key.name, key.lease], [lease, entry, _ms(life)])
        except (RedisError, OSError) as error:
            self._failed(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[object] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _label(stamp: Stamp) -> str:
    """The prefix of entries with this stamp. Entries of the previous release have another one."""
    return "@" if stamp is None else f"@{stamp}"


def _read[T](key: Key[T], payload: bytes) -> T | None:
    return key.namespace.read(payload) if payload else None


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
