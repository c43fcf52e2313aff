"""Things that were begun and must be finished soon, once: kept in Redis under a random token."""

import json
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_base.core.errors import InvalidChallenge, Unavailable
from fastapi_base.core.opaque import digest, new_token

_PREFIX = "fastapi-base:challenge:"


class Kind(StrEnum):
    """What was begun. A token of one kind is nothing to another; it is the token's prefix too."""

    SECOND_FACTOR = "sf"
    PASSKEY_REGISTRATION = "pr"
    PASSKEY_LOGIN = "pl"
    OIDC = "oc"


class Challenges:
    """Begins and finishes. Redis knows digests, so whoever reads it cannot go on with anything.

    When Redis loses them, people begin again.
    """

    def __init__(self, redis: Redis, seconds: int) -> None:
        self._redis = redis
        self.seconds = seconds

    async def issue(self, kind: Kind, data: dict[str, Any]) -> str:
        """A token with 256 random bits, good for `seconds`. Raises Unavailable."""
        token = new_token(kind)
        try:
            await self._redis.set(
                _key(kind, token.digest), json.dumps(data), ex=self.seconds, nx=True
            )
        except (RedisError, OSError) as error:
            raise Unavailable("Redis does not answer") from error
        return token.value

    async def look(self, kind: Kind, token: str) -> dict[str, Any]:
        """What was begun; it can still be finished. Raises InvalidChallenge, Unavailable."""
        return await self._found(kind, token, spend=False)

    async def take(self, kind: Kind, token: str) -> dict[str, Any]:
        """What was begun; of takers at once exactly one gets it. Raises as `look` does."""
        return await self._found(kind, token, spend=True)

    async def _found(self, kind: Kind, token: str, *, spend: bool) -> dict[str, Any]:
        key = _key(kind, digest(token))
        try:
            stored = await (self._redis.getdel(key) if spend else self._redis.get(key))
        except (RedisError, OSError) as error:
            raise Unavailable("Redis does not answer") from error
        if stored is None:
            raise InvalidChallenge
        found: dict[str, Any] = json.loads(stored)
        return found


def _key(kind: Kind, digest: bytes) -> str:
    return f"{_PREFIX}{kind}:{digest.hex()}"
