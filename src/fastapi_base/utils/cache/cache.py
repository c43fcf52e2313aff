"""Reading through the cache, and dropping what changed."""

import asyncio
import contextlib
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
from fastapi_base.utils.cache.keys import PREFIX, Key
from fastapi_base.utils.cache.local import LocalTier

log = structlog.stdlib.get_logger(__name__)

LEASE_SECONDS = 5.0
# Drops that wait for Redis to be back; beyond, the oldest are left to the end of their time.
PENDING = 10_000


class Outcome(StrEnum):
    """How a read went."""

    LOCAL = "local"
    HIT = "hit"
    STALE = "stale"
    # This reader loaded it.
    MISS = "miss"
    # Another loads it, and took too long.
    IMPATIENT = "impatient"
    # Redis failed now, or has just failed and is left alone.
    ERROR = "error"
    AWAY = "away"


class Cache:
    """Values in Redis, loaded by whoever finds none; without Redis each reader loads for itself.

    Readers share one load, in all processes, until `lease` seconds are over. After a failure Redis
    is left alone for `pause` seconds. One that is not `enabled` loads always. `record` is told how
    each read of a namespace went.
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
        self._waiting: dict[str, asyncio.Event] = {}
        # Dropped while Redis was away; a dictionary for its order.
        self._pending: dict[str, None] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._telling: asyncio.Task[None] | None = None

    async def get[T](self, key: Key[T], load: Callable[[], Awaitable[T | None]]) -> T | None:
        """The value under this key; what `load` returns where there is none, None for nothing.

        `load` reads by itself, on a connection of its own: to renew a stale entry it runs after
        this call has returned. Its errors are the caller's, and are not kept.
        """
        if not self._enabled:
            return await load()
        kind = key.namespace.name
        if (kept := self._local.get(key.name)) is not None:
            self._record(kind, Outcome.LOCAL)
            return _read(key, kept)
        drops = self._local.drops
        token = uuid.uuid4().hex
        until = self._clock() + self._lease
        while True:
            state, value, words = await self._ask(key, token)
            if state != scripts.BUSY:
                break
            if self._clock() >= until:
                self._record(kind, Outcome.IMPATIENT)
                return await load()
            await self._wait(key, until)
        if state == scripts.LOAD:
            self._record(kind, Outcome.MISS)
            return await self._filled(key, load, token, words)
        if state is None:
            return await load()
        if state == scripts.RENEW:
            self._spawn(self._renew(key, load, token, words))
        try:
            found = _read(key, value)
        except ValidationError:
            # Written by code that forgot to raise the version. It must not fail for all its time.
            log.exception("an entry of the cache cannot be read; raise the version", key=key.name)
            self._record(kind, Outcome.ERROR)
            await self.drop(key)
            return await load()
        self._record(kind, Outcome.HIT if state == scripts.HIT else Outcome.STALE)
        self._local.put(key.name, value, drops)
        return found

    async def drop(self, *keys: Key[Any], tags: tuple[str, ...] = ()) -> None:
        """Forget these entries, and all that have one of these tags.

        Call it after the commit, never before: what is loaded in between would be the old value. It
        does not fail: while Redis is away, drops wait in this process until it is back.
        """
        if not self._enabled:
            return
        names = tuple(name for key in keys for name in (key.name, _lease(key)))
        names += tuple(_tag(tag) for tag in tags)
        self._local.drop(tuple(key.name for key in keys), everything=bool(tags))
        self._pending |= dict.fromkeys(names)
        while len(self._pending) > PENDING:
            del self._pending[next(iter(self._pending))]
        # Tried also while readers leave Redis alone: others may have found it again by now.
        if not await self._flush() and self._telling is None:
            self._telling = asyncio.create_task(self._tell())

    async def aclose(self) -> None:
        """Wait a little for what is being renewed. Drops that Redis never heard of are lost."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait([self._telling])
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._lease)

    def _present(self) -> bool:
        """Whether readers may ask Redis. After a pause one caller tries it for all."""
        if self._away_until is None:
            return True
        if self._clock() < self._away_until:
            return False
        self._away_until = self._clock() + self._pause
        return True

    def _failed(self, error: Exception) -> None:
        self._away_until = self._clock() + self._pause
        log.warning("the cache is not used for a moment: Redis failed", error=str(error))

    async def _tell(self) -> None:
        """Tell Redis of drops when it is back, though nobody asks here: other processes read."""
        try:
            while self._pending:
                await asyncio.sleep(self._pause)
                if self._present():
                    await self._flush()
        finally:
            self._telling = None

    async def _flush(self) -> bool:
        """Tell Redis of all drops; whether it heard them."""
        names = list(self._pending)
        try:
            if names:
                await self._redis.delete(*names)
        except (RedisError, OSError) as error:
            self._failed(error)
            return False
        for name in names:
            self._pending.pop(name, None)
        self._away_until = None
        return True

    async def _ask(self, key: Key[Any], token: str) -> tuple[int | None, bytes, bytes]:
        kind = key.namespace
        if not self._present():
            self._record(kind.name, Outcome.AWAY)
            return None, b"", b""
        # What was dropped while Redis was away must go before anything is read.
        if self._pending and not await self._flush():
            self._record(kind.name, Outcome.ERROR)
            return None, b"", b""
        life = max(kind.ttl + kind.stale, kind.absent) + self._lease
        times = [_ms(self._lease), _ms(kind.stale), _ms(life)]
        try:
            state, *rest = await self._look(_names(key), [token, *times])
        except (RedisError, OSError) as error:
            self._failed(error)
            self._record(kind.name, Outcome.ERROR)
            return None, b"", b""
        self._away_until = None
        return state, *(*rest, b"", b"")[:2]

    async def _wait(self, key: Key[Any], until: float) -> None:
        """Wait for the load of another. Of this process's readers one asks Redis, for all."""
        event = self._waiting.get(key.name)
        if event is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0, until - self._clock())):
                    await event.wait()
            return
        event = self._waiting[key.name] = asyncio.Event()
        delay = 0.005
        try:
            while self._clock() < until and await self._busy(key):
                await asyncio.sleep(delay)
                delay = min(delay * 1.5, 0.05)
        finally:
            del self._waiting[key.name]
            event.set()

    async def _busy(self, key: Key[Any]) -> bool:
        try:
            return bool(await self._redis.exists(_lease(key)))
        except (RedisError, OSError) as error:
            self._failed(error)
            return False

    async def _filled[T](
        self, key: Key[T], load: Callable[[], Awaitable[T | None]], token: str, words: bytes
    ) -> T | None:
        try:
            value = await load()
        except BaseException:
            # In a task of its own, as this one may have been cancelled.
            self._spawn(self._put(key, token, words, b"", 0))
            raise
        there = value is not None
        payload = key.namespace.write(value) if there else b""
        life, _ = key.namespace.life(there=there)
        await self._put(key, token, words, payload, life)
        return value

    async def _renew[T](
        self, key: Key[T], load: Callable[[], Awaitable[T | None]], token: str, words: bytes
    ) -> None:
        try:
            await self._filled(key, load, token, words)
        except Exception:
            log.exception("an entry of the cache was not renewed", key=key.name)

    async def _put(
        self, key: Key[Any], token: str, words: bytes, payload: bytes, life: float
    ) -> None:
        try:
            await self._store([key.name, _lease(key)], [token, words, payload, _ms(life)])
        except (RedisError, OSError) as error:
            self._failed(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[object] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _read[T](key: Key[T], payload: bytes) -> T | None:
    return key.namespace.read(payload) if payload else None


def _lease(key: Key[Any]) -> str:
    return f"{key.name}!"


def _tag(tag: str) -> str:
    return f"{PREFIX}#{tag}"


def _names(key: Key[Any]) -> list[str]:
    return [key.name, _lease(key), *(_tag(tag) for tag in key.tags)]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
