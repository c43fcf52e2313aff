"""Guessing is slow: failed logins are counted in Redis, and each one beyond a few makes one wait.

Three counters, so that nobody can be locked out by another:

- account and address: guessing at one account from one place. Others' failures do not count here.
- address: guessing at many accounts from one place.
- account: guessing at one account from many places. It does not hold for an address from which the
  account was logged in to before, so its owner goes on while strangers wait.

An attempt is counted before the password is looked at, and given back when it was right: attempts
that run side by side cannot slip through. Keys are digests, since Redis need not know who has an
account here; unknown addresses are counted like known ones.
"""

import hashlib
import ipaddress
import math

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_base.core.config_login import ThrottleSettings
from fastapi_base.core.errors import TooManyAttempts, Unavailable

log = structlog.stdlib.get_logger(__name__)

_PREFIX = "fastapi-base:throttle:"
# KEYS: counters, then the mark of a known address. ARGV: longest wait in ms, memory in ms, then for
# each counter its free attempts. Returns 0, or how many ms to wait. Waiting attempts do not count,
# so that asking again does not make the wait longer.
_ATTEMPT = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local known = redis.call('EXISTS', KEYS[4]) == 1
local last = known and 2 or 3
local wait = 0
for i = 1, last do
  local till = tonumber(redis.call('HGET', KEYS[i], 'until') or '0')
  wait = math.max(wait, till - now)
end
if wait > 0 then return wait end
for i = 1, last do
  local count = redis.call('HINCRBY', KEYS[i], 'count', 1)
  local beyond = count - tonumber(ARGV[2 + i])
  if beyond >= 0 then
    local pause = math.min(1000 * 2 ^ math.min(beyond, 30), tonumber(ARGV[1]))
    redis.call('HSET', KEYS[i], 'until', string.format('%.0f', now + pause))
  end
  redis.call('PEXPIRE', KEYS[i], ARGV[2])
end
return 0
"""
# The same keys. ARGV: how long the address stays known, in ms.
_RIGHT = """
local known = redis.call('EXISTS', KEYS[4])
local seen = redis.call('EXISTS', KEYS[5])
redis.call('DEL', KEYS[1])
for i = 2, 3 do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    if redis.call('HINCRBY', KEYS[i], 'count', -1) <= 0 then
      redis.call('DEL', KEYS[i])
    else
      redis.call('HDEL', KEYS[i], 'until')
    end
  end
end
redis.call('SET', KEYS[4], 1, 'PX', ARGV[1])
redis.call('SET', KEYS[5], 1, 'PX', ARGV[1])
if seen == 1 and known == 0 then return 1 end
return 0
"""
# KEYS: a counter. ARGV: memory in ms. Returns how many there were since the first.
_FAILED = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return count
"""


class Throttle:
    """Counts attempts to prove who one is, or, under another `kind`, to have mails sent.

    Each kind counts for itself. An address that is known is known to all.
    """

    def __init__(self, redis: Redis, settings: ThrottleSettings, kind: str = "") -> None:
        self._kind = kind
        self._settings = settings
        self._attempt = redis.register_script(_ATTEMPT)
        self._right = redis.register_script(_RIGHT)
        self._failed = redis.register_script(_FAILED)

    async def attempt(self, account: str, address: str | None) -> None:
        """Count an attempt. Raises TooManyAttempts, with how many seconds to wait.

        When Redis does not answer: lets the attempt pass, or raises Unavailable, as
        THROTTLE_WHEN_REDIS_FAILS says.
        """
        given = self._settings
        limits = [given.pair_attempts, given.address_attempts, given.account_attempts]
        times = [round(given.max_wait_seconds * 1000), round(given.memory_seconds * 1000)]
        try:
            wait = int(await self._attempt(self._keys(account, address), [*times, *limits]))
        except (RedisError, OSError) as error:
            log.warning("attempts are not counted: Redis does not answer", error=str(error))
            if given.when_redis_fails == "refuse":
                raise Unavailable("Redis does not answer") from error
            return
        if wait > 0:
            raise TooManyAttempts(retry_after=math.ceil(wait / 1000))

    async def right(self, account: str, address: str | None) -> bool:
        """Give back an attempt that was right, and remember that this address may be trusted.

        Whether it is new: the account was known from other addresses only.
        """
        remember = round(self._settings.known_seconds * 1000)
        try:
            return bool(await self._right(self._keys(account, address), [remember]))
        except (RedisError, OSError) as error:
            log.warning("attempts are not counted: Redis does not answer", error=str(error))
            return False

    async def failed(self, account: str) -> bool:
        """Count a failure, wherever it came from. Whether its owner should be told: once a period.

        Unknown accounts are counted alike.
        """
        memory = round(self._settings.memory_seconds * 1000)
        try:
            count = int(await self._failed([f"{_PREFIX}failures:{_digest(account)}"], [memory]))
        except (RedisError, OSError) as error:
            log.warning("attempts are not counted: Redis does not answer", error=str(error))
            return False
        return count == self._settings.notice_attempts

    def _keys(self, account: str, address: str | None) -> list[str]:
        who, where = _digest(account), _digest(network(address))
        return [
            f"{_PREFIX}{self._kind}pair:{who}:{where}",
            f"{_PREFIX}{self._kind}address:{where}",
            f"{_PREFIX}{self._kind}account:{who}",
            f"{_PREFIX}known:{who}:{where}",
            f"{_PREFIX}seen:{who}",
        ]


def network(address: str | None) -> str:
    """What one party holds: an IPv4 address, or an IPv6 /64 (a household gets at least that)."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found.packed, 64), strict=False))
    return str(found)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
