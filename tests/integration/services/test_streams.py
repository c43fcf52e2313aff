"""Slots for exports and event streams, in one process and across several."""

import asyncio
import uuid
from collections.abc import Container
from contextlib import ExitStack

import pytest
from redis.asyncio import Redis

from fastapi_base.core.config import RedisSettings
from fastapi_base.core.config.database import TlsSettings
from fastapi_base.core.errors import Overloaded, TooManyAtOnce
from fastapi_base.core.messaging.redis import create_redis
from fastapi_base.core.runtime.background import FAILURES
from fastapi_base.services.limits.streams import Streams
from fastapi_base.utils.addresses import Networks
from tests.integration.waiting import until

pytestmark = pytest.mark.anyio

ADA, BOB = uuid.uuid4(), uuid.uuid4()
HOME = "192.0.2.1"


def process(
    redis: Redis, *, total: int = 10, exempt: Container[str] = (), lease: float = 30
) -> Streams:
    return Streams(redis, total=total, per_account=2, exempt=exempt, lease=lease)


async def test_one_stream_per_account_across_all_processes(redis: Redis) -> None:
    one, other = process(redis), process(redis)
    for _ in range(2):
        async with one.exclusive("export", ADA, HOME):
            for again in (one, other):
                with pytest.raises(TooManyAtOnce, match="1 at a time"):
                    async with again.exclusive("export", ADA, HOME):
                        pass
            async with other.exclusive("export", BOB, HOME), other.exclusive("download", ADA, HOME):
                pass
    async with other.exclusive("export", ADA, HOME):
        pass
    assert await redis.keys("fastapi-base:stream:*") == []


async def test_slot_is_released_however_the_stream_ends(redis: Redis) -> None:
    streams, inside = process(redis), asyncio.Event()

    async def hold() -> None:
        async with streams.exclusive("export", ADA, HOME):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ZeroDivisionError):
        async with streams.exclusive("export", ADA, HOME):
            raise ZeroDivisionError
    async with process(redis).exclusive("export", ADA, HOME):
        pass


async def test_slot_of_a_dead_process_expires(redis: Redis) -> None:
    # What it leaves behind: a lock that is not renewed.
    await redis.set(f"fastapi-base:stream:export:{ADA}", "of the dead", px=300)
    streams = process(redis)

    async def free() -> bool | None:
        try:
            async with streams.exclusive("export", ADA, HOME):
                return True
        except TooManyAtOnce:
            return None

    assert await free() is None
    await until(free, "the lock expires")


async def test_held_slot_is_renewed(redis: Redis) -> None:
    name = f"fastapi-base:stream:export:{ADA}"
    async with process(redis, lease=0.6).exclusive("export", ADA, HOME):
        renewed, last = 0, await redis.pttl(name)
        async with asyncio.timeout(20):
            while renewed < 5:
                left = await redis.pttl(name)
                assert left > 0, "it was lost"
                renewed += left > last
                last = left
                await asyncio.sleep(0.01)


async def test_unexpected_renewal_failure_is_counted_and_retried(redis: Redis) -> None:
    name = f"fastapi-base:stream:export:{ADA}"
    failures = FAILURES.child("stream-places", "unexpected")
    before = failures._value.get()

    async def counted() -> bool | None:
        return True if failures._value.get() > before else None

    async def renewed() -> bool | None:
        return True if 0 < await redis.pttl(name) <= 600 else None

    async with process(redis, lease=0.6).exclusive("export", ADA, HOME):
        token = await redis.get(name)
        assert token is not None
        # A state that no release leaves.
        await redis.delete(name)
        await redis.rpush(name, "no lock")
        await until(counted, "the failure is counted")
        await redis.delete(name)
        await redis.set(name, token, px=60_000)
        await until(renewed, "the lock is renewed")
    assert not await redis.exists(name)


async def test_slots_of_a_process_are_bounded(redis: Redis) -> None:
    streams = process(redis, total=3)
    with ExitStack() as stack:
        for number, account in enumerate((ADA, ADA, BOB)):
            stack.enter_context(streams.few("events", account, f"192.0.2.{number}"))
        with pytest.raises(TooManyAtOnce):
            stack.enter_context(streams.few("events", ADA, HOME))
        with pytest.raises(Overloaded):
            stack.enter_context(streams.few("events", uuid.uuid4(), "198.51.100.1"))
    with streams.few("events", ADA, HOME):
        pass


@pytest.mark.parametrize(
    "addresses", [(HOME, HOME), ("2001:db8::1", "2001:db8::2"), (None, "no address")]
)
async def test_accounts_of_one_network_leave_half_of_the_slots_to_others(
    redis: Redis, addresses: tuple[str | None, ...]
) -> None:
    first, second = addresses
    streams = process(redis, total=4)
    with ExitStack() as stack:
        stack.enter_context(streams.few("events", uuid.uuid4(), first))
        ended = stack.enter_context(ExitStack())
        await export(streams, second)
        ended.enter_context(streams.few("events", uuid.uuid4(), second))
        for address in addresses:
            with pytest.raises(TooManyAtOnce, match="IP address"):
                stack.enter_context(streams.few("events", uuid.uuid4(), address))
            with pytest.raises(TooManyAtOnce, match="IP address"):
                await export(streams, address)
        for elsewhere in ("198.51.100.1", "2001:db8:0:1::1"):
            stack.enter_context(streams.few("events", uuid.uuid4(), elsewhere))
        ended.close()
        stack.enter_context(streams.few("events", uuid.uuid4(), second))


async def export(streams: Streams, address: str | None) -> None:
    async with streams.exclusive("export", uuid.uuid4(), address):
        pass


async def test_exempt_networks_may_take_all_slots(redis: Redis) -> None:
    streams = process(redis, total=4, exempt=Networks(["192.0.2.0/24"]))
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(streams.few("events", uuid.uuid4(), HOME))
        with pytest.raises(Overloaded):
            stack.enter_context(streams.few("events", uuid.uuid4(), HOME))


async def test_without_redis_each_process_counts_separately() -> None:
    nowhere = create_redis(
        RedisSettings.model_validate({"url": "redis://127.0.0.1:9/0"}), TlsSettings()
    )
    streams = process(nowhere)
    async with streams.exclusive("export", ADA, HOME):
        with pytest.raises(TooManyAtOnce):
            async with streams.exclusive("export", ADA, HOME):
                pass
    async with streams.exclusive("export", ADA, HOME):
        pass
    await nowhere.aclose()
