"""Rate limits by the generic cell rate algorithm (ITU-T I.371), stored in Redis.

A key holds one number, the theoretical arrival time: when the bucket will be empty again. A quota
of 600 a minute admits 600 requests at once, then one every tenth of a second. Therefore a minute
can see at most twice the quota, and only after a minute without requests.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_base.core.config.quotas import Quota
from fastapi_base.core.messaging.redis import is_unavailable
from fastapi_base.core.observability import metrics, reporting
from fastapi_base.utils.batching import Batcher

log = structlog.stdlib.get_logger(__name__)

APART = metrics.counter(
    "rate_limit_redis_failures",
    "Times Redis did not answer, so that each process counts on its own",
)

# Times in microseconds. One call handles many requests; for each, ARGV holds its number of buckets
# and then their quotas. All buckets of a request are checked before one is filled, so that a
# request refused by one bucket costs nothing in the others.
_HIT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local reply, key, arg = {}, 0, 1
while arg <= #ARGV do
  local count = tonumber(ARGV[arg])
  local allowed, after, found = true, {}, {}
  for i = 1, count do
    local interval, window = tonumber(ARGV[arg + 2 * i - 1]), tonumber(ARGV[arg + 2 * i])
    local full = math.max(tonumber(redis.call('GET', KEYS[key + i]) or now), now)
    after[i] = full + interval
    local wait = after[i] - now - window
    if wait > 0 then allowed = false end
    found[i] = {full - now, wait}
  end
  for i = 1, count do
    if allowed then
      found[i][1] = after[i] - now
      local life = math.ceil(found[i][1] / 1000)
      redis.call('SET', KEYS[key + i], string.format('%.0f', after[i]), 'PX', life)
    end
    reply[#reply + 1] = math.floor(found[i][1])
    reply[#reply + 1] = math.ceil(found[i][2])
  end
  key, arg = key + count, arg + 2 * count + 1
end
return reply
"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A counter to check: its key and its quota."""

    name: str
    key: str
    quota: Quota


@dataclass(frozen=True, slots=True)
class Level:
    """The level of a bucket after a request or its refusal."""

    bucket: Bucket
    remaining: int
    reset_seconds: int
    retry_seconds: int

    @property
    def allowed(self) -> bool:
        """Whether this bucket admitted the request."""
        return self.retry_seconds == 0


class RateLimiter:
    """Counts in Redis across all processes; while Redis is down each process counts separately.

    After a failure Redis is not contacted for `pause` seconds: waiting for it in each request would
    do more harm than separate counting.
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
        self._requests = Batcher(self._hit)

    async def hit(self, buckets: Sequence[Bucket]) -> list[Level]:
        """Count one request in all buckets, or in none if one of them is full."""
        return await self._requests.ask(buckets)

    async def _hit(self, requests: Sequence[Sequence[Bucket]]) -> list[list[Level]]:
        if self._clock() < self._closed_until:
            return [self._alone(buckets) for buckets in requests]
        keys = [bucket.key for buckets in requests for bucket in buckets]
        arguments: list[int] = []
        for buckets in requests:
            arguments.append(len(buckets))
            for bucket in buckets:
                arguments += (bucket.quota.interval, bucket.quota.window)
        try:
            found = await self._script(keys, arguments)
        except (RedisError, OSError) as error:
            self._closed_until = self._clock() + self._pause
            APART.child().inc()
            said = "rate limits are counted in this process alone"
            if is_unavailable(error):
                log.warning(said, error=str(error))
            else:
                # A bug in this code; the limits still apply.
                log.exception(said)
                reporting.capture(error)
            return [self._alone(buckets) for buckets in requests]
        reply = iter(found)
        return [_levels(buckets, [*islice(reply, 2 * len(buckets))]) for buckets in requests]

    def _alone(self, buckets: Sequence[Bucket]) -> list[Level]:
        return _levels(buckets, self._local.hit(buckets, round(self._clock() * 1_000_000)))


class LocalBuckets:
    """The same algorithm in memory, for at most `size` keys; evicts the least recently used."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._full: OrderedDict[str, int] = OrderedDict()

    def hit(self, buckets: Sequence[Bucket], now: int) -> list[int]:
        """The reply of the script: for each bucket its level and the wait."""
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
