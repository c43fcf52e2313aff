"""Slows down guessing: failed logins are counted in Redis, and each one beyond a limit adds a wait.

Three counters, so that one client cannot lock out another:

- account and IP address: guessing one account from one place, independent of others' failures.
- IP address: guessing many accounts from one place.
- account: guessing one account from many places.

The last two neither count nor block an attempt from a network from which the account has logged in
before: its owner can log in while attackers have to wait, even behind a shared IP address.

Each counter is a leaky bucket. An attempt adds one, and a full bucket drains at a constant rate in
THROTTLE_MEMORY_SECONDS: attempts below that rate never accumulate. A bucket is full when the wait
reaches its maximum, so that nobody can block an account for days.

An attempt is counted before the password is checked, and given back if it was correct: concurrent
attempts cannot bypass the limit. Keys are digests, so that Redis does not reveal who has an
account; unknown addresses are counted like known ones.
"""

import hashlib
import math
import time

import structlog
from redis.asyncio import Redis

from fastapi_base.core.config.throttle import ThrottleSettings
from fastapi_base.core.errors import TooManyAttempts, Unavailable, cause
from fastapi_base.core.messaging.redis import answering
from fastapi_base.utils.addresses import network

log = structlog.stdlib.get_logger(__name__)

_PREFIX = "fastapi-base:throttle:"
# KEYS: the counters, then the known networks of the account (a sorted set, scored by expiry). ARGV:
# maximum wait in ms, memory in ms, the number of attempts beyond the free ones at which a counter
# is full, the free attempts of each counter, then the network. Returns 0, or the wait in ms.
# Attempts during a wait do not count, so that retrying does not extend it.
_ATTEMPT = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local longest, memory, beyond = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local known = tonumber(redis.call('ZSCORE', KEYS[4], ARGV[7]) or '0') > now
local last = known and 1 or 3
local wait, level = 0, {}
for i = 1, last do
  local found = redis.call('HMGET', KEYS[i], 'until', 'level', 'at')
  wait = math.max(wait, tonumber(found[1] or '0') - now)
  local full = tonumber(ARGV[3 + i]) + beyond
  local leaked = (now - tonumber(found[3] or now)) * full / memory
  level[i] = math.max(0, math.min(tonumber(found[2] or '0'), full) - math.max(0, leaked))
end
if wait > 0 then return wait end
for i = 1, last do
  local free = tonumber(ARGV[3 + i])
  level[i] = math.min(level[i] + 1, free + beyond)
  redis.call('HSET', KEYS[i], 'level', string.format('%.6f', level[i]), 'at', now)
  local over = math.floor(level[i] + 0.5) - free
  if over >= 0 then
    local pause = math.min(1000 * 2 ^ over, longest)
    redis.call('HSET', KEYS[i], 'until', string.format('%.0f', now + pause))
  end
  redis.call('PEXPIRE', KEYS[i], ARGV[2])
end
return 0
"""
# The same keys. ARGV: for how many ms the network stays known, 0 for no change; 1 if the attempt
# was correct, 0 if it was not judged; the network. An attempt from a known network was counted by
# the first counter only. Returns 1 for a new network of an account that has others.
_RIGHT = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local known = tonumber(redis.call('ZSCORE', KEYS[4], ARGV[3]) or '0') > now
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
local others = redis.call('ZCARD', KEYS[4])
if ARGV[2] == '1' then redis.call('DEL', KEYS[1]) end
for i = 1, known and 1 or 3 do
  local level = tonumber(redis.call('HGET', KEYS[i], 'level') or '0')
  if level > 1 then
    redis.call('HSET', KEYS[i], 'level', string.format('%.6f', level - 1))
    redis.call('HDEL', KEYS[i], 'until')
  else
    redis.call('DEL', KEYS[i])
  end
end
if ARGV[1] == '0' then return 0 end
redis.call('ZADD', KEYS[4], now + ARGV[1], ARGV[3])
redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -101)
redis.call('PEXPIRE', KEYS[4], ARGV[1])
if others > 0 and not known then return 1 end
return 0
"""
# KEYS: a counter. ARGV: memory in ms. Returns the number of failures since the first.
_FAILED = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return count
"""


class Throttle:
    """Counts attempts to log in or, under another `kind`, requests for mails.

    Each kind has its own counters. All kinds share the known networks.
    """

    def __init__(self, redis: Redis, settings: ThrottleSettings, kind: str = "") -> None:
        self._redis = redis
        self._kind = kind
        self._settings = settings
        self._attempt = redis.register_script(_ATTEMPT)
        self._right = redis.register_script(_RIGHT)
        self._failed = redis.register_script(_FAILED)

    async def attempt(self, account: str, address: str | None) -> None:
        """Count an attempt. Raises TooManyAttempts, with the seconds to wait.

        If Redis does not answer, THROTTLE_WHEN_REDIS_FAILS decides: the attempt passes, or
        Unavailable is raised.
        """
        given = self._settings
        limits = [given.pair_attempts, given.address_attempts, given.account_attempts]
        times = [round(given.max_wait_seconds * 1000), round(given.memory_seconds * 1000)]
        # From 1 s on the wait doubles.
        beyond = max(0, math.ceil(math.log2(given.max_wait_seconds)))
        where = _digest(network(address))
        try:
            with answering():
                arguments: list[int | str] = [*times, beyond, *limits, where]
                reply = await self._attempt(self._keys(account, where), arguments)
        except Unavailable as error:
            if given.when_redis_fails == "refuse":
                raise
            log.warning("attempts are not counted: Redis does not answer", error=cause(error))
            return
        wait = int(reply)
        if wait > 0:
            raise TooManyAttempts(retry_after=math.ceil(wait / 1000))

    async def right(self, account: str, address: str | None) -> bool:
        """Give back a correct attempt, and remember its network as trusted.

        Returns whether the network is new and the account has other known networks. An account has
        at most 100 known networks; the one that expires first is evicted.
        """
        return await self._settle(account, address, [round(self._settings.known_seconds * 1000), 1])

    async def know(self, account: str, address: str | None) -> None:
        """Trust only this network, from which the owner of the account has just authenticated.

        There was no attempt, so none is given back; failed logins to the account from there are
        cleared, whatever kind of attempts this throttle counts.
        """
        who, where = _digest(account), _digest(network(address))
        known = round(self._settings.known_seconds * 1000)
        try:
            with answering():
                async with self._redis.pipeline() as pipeline:
                    pipeline.delete(_networks(who), f"{_PREFIX}pair:{who}:{where}")
                    pipeline.zadd(_networks(who), {where: time.time() * 1000 + known})
                    pipeline.pexpire(_networks(who), known)
                    await pipeline.execute()
        except Unavailable as error:
            log.warning("the network is not remembered: Redis does not answer", error=cause(error))

    async def forget(self, account: str) -> None:
        """Forget all networks from which the account has logged in."""
        try:
            with answering():
                await self._redis.delete(_networks(_digest(account)))
        except Unavailable as error:
            log.warning(
                "known networks are not forgotten: Redis does not answer", error=cause(error)
            )

    async def give_back(self, account: str, address: str | None) -> None:
        """Give back an attempt that was not judged, for example when the service was busy."""
        await self._settle(account, address, [0, 0])

    async def _settle(self, account: str, address: str | None, arguments: list[int]) -> bool:
        where = _digest(network(address))
        try:
            with answering():
                return bool(await self._right(self._keys(account, where), [*arguments, where]))
        except Unavailable as error:
            log.warning("attempts are not counted: Redis does not answer", error=cause(error))
            return False

    async def failed(self, account: str) -> bool:
        """Count a failure from any network. Returns whether to notify the owner: once per period.

        Unknown accounts are counted alike.
        """
        memory = round(self._settings.memory_seconds * 1000)
        try:
            with answering():
                count = int(await self._failed([f"{_PREFIX}failures:{_digest(account)}"], [memory]))
        except Unavailable as error:
            log.warning("attempts are not counted: Redis does not answer", error=cause(error))
            return False
        return count == self._settings.notice_attempts

    def _keys(self, account: str, where: str) -> list[str]:
        who = _digest(account)
        return [
            f"{_PREFIX}{self._kind}pair:{who}:{where}",
            f"{_PREFIX}{self._kind}address:{where}",
            f"{_PREFIX}{self._kind}account:{who}",
            _networks(who),
        ]


def _networks(who: str) -> str:
    return f"{_PREFIX}networks:{who}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
