"""Rate limits by the generic cell rate algorithm (ITU-T I.371), kept in Redis.

A key holds one number, the theoretical arrival time: when the bucket will be empty again. A quota
of 600 a minute lets 600 requests through at once, then one each tenth of a second. So a minute can
see at most twice the quota, and only after a minute's rest.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_base.core import metrics
from fastapi_base.core.quotas import Quota

log = structlog.stdlib.get_logger(__name__)

APART = metrics.counter(
    "rate_limit_redis_failures", "Times that Redis did not answer, so that each process counts"
)

# Times in microseconds. All buckets are looked at before one is filled, so that a request that is
# refused by one costs nothing in the others.
_HIT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local allowed, after, found = true, {}, {}
for i, key in ipairs(KEYS) do
  local interval, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local full = math.max(tonumber(redis.call('GET', key) or now), now)
  after[i] = full + interval
  local wait = after[i] - now - window
  if wait > 0 then allowed = false end
  found[i] = {full - now, wait}
end
local reply = {}
for i, key in ipairs(KEYS) do
  if allowed then
    found[i][1] = after[i] - now
    local life = math.ceil(found[i][1] / 1000)
    redis.call('SET', key, string.format('%.0f', after[i]), 'PX', life)
  end
  reply[2 * i - 1] = math.floor(found[i][1])
  reply[2 * i] = math.ceil(found[i][2])
end
return reply
"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One count to be looked at: under which key, of which quota."""

    name: str
    key: str
    quota: Quota


@dataclass(frozen=True, slots=True)
class Level:
    """How full a bucket is after a request, or after its refusal."""

    bucket: Bucket
    remaining: int
    reset_seconds: int
    retry_seconds: int

    @property
    def allowed(self) -> bool:
        """Whether this bucket let the request through."""
        return self.retry_seconds == 0


class RateLimiter:
    """Counts in Redis, for all processes together; while Redis is down each counts for itself.

    After a failure Redis is left alone for `pause` seconds: waiting for it at each request would do
    more harm than counting apart.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        pause: float = 1.0,
        local_keys: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._script = redis.register_script(_HIT)
        self._pause = pause
        self._clock = clock
        self._closed_until = 0.0
        self._local = LocalBuckets(local_keys)

    async def hit(self, buckets: Sequence[Bucket]) -> list[Level]:
        """Count one request in all buckets, or in none when one of them is full."""
        if self._clock() >= self._closed_until:
            arguments = [value for b in buckets for value in (b.quota.interval, b.quota.window)]
            try:
                reply = await self._script([b.key for b in buckets], arguments)
            except (RedisError, OSError) as error:
                self._closed_until = self._clock() + self._pause
                APART.child().inc()
                log.warning("rate limits are counted in this process alone", error=str(error))
            else:
                return _levels(buckets, reply)
        return _levels(buckets, self._local.hit(buckets, round(self._clock() * 1_000_000)))


class LocalBuckets:
    """The same algorithm in memory, for at most `size` keys; the longest unused are forgotten."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._full: OrderedDict[str, int] = OrderedDict()

    def hit(self, buckets: Sequence[Bucket], now: int) -> list[int]:
        """What the script replies: for each bucket how full it is, and how long to wait."""
        full = [max(self._full.get(bucket.key, now), now) for bucket in buckets]
        waits = [
            busy + bucket.quota.interval - now - bucket.quota.window
            for busy, bucket in zip(full, buckets, strict=True)
        ]
        if max(waits) <= 0:
            full = [b + bucket.quota.interval for b, bucket in zip(full, buckets, strict=True)]
            for busy, bucket in zip(full, buckets, strict=True):
                self._full[bucket.key] = busy
                self._full.move_to_end(bucket.key)
            while len(self._full) > self._size:
                self._full.popitem(last=False)
        return [n for busy, wait in zip(full, waits, strict=True) for n in (busy - now, wait)]


def _levels(buckets: Sequence[Bucket], reply: Sequence[int]) -> list[Level]:
    levels = []
    for bucket, busy, wait in zip(buckets, reply[::2], reply[1::2], strict=True):
        left = (bucket.quota.window - int(busy)) // bucket.quota.interval
        levels.append(
            Level(
                bucket,
                remaining=max(0, left),
                reset_seconds=math.ceil(int(busy) / 1_000_000),
                retry_seconds=max(0, math.ceil(int(wait) / 1_000_000)),
            )
        )
    return levels
