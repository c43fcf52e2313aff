"""Single-use challenges with an expiry: state stored in Redis under a random token."""

import json
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis

from fastapi_base.core.errors import InvalidChallenge
from fastapi_base.core.messaging.redis import answering
from fastapi_base.core.security.opaque import digest, new_token

_PREFIX = "fastapi-base:challenge:"


class ChallengeKind(StrEnum):
    """The kind of operation. A token is valid for its kind only; the kind is the token's prefix."""

    SECOND_FACTOR = "sf"
    PASSKEY_REGISTRATION = "pr"  # slice: passkeys
    PASSKEY_LOGIN = "pl"  # slice: passkeys
    OIDC = "oc"  # slice: oidc


class Challenges:
    """Issues and redeems challenges. Redis stores digests, from which no token can be derived.

    If Redis loses them, people start again.
    """

    def __init__(self, redis: Redis, seconds: int) -> None:
        self._redis = redis
        self.seconds = seconds

    async def issue(self, kind: ChallengeKind, data: dict[str, Any]) -> str:
        """A token with 256 random bits, valid for `seconds`. Raises Unavailable."""
        token = new_token(kind)
        key, value = _key(kind, token.digest), json.dumps(data)
        with answering():
            await self._redis.set(key, value, ex=self.seconds, nx=True)
        return token.value

    async def look(self, kind: ChallengeKind, token: str) -> dict[str, Any]:
        """The stored state, without consuming it. Raises InvalidChallenge and Unavailable."""
        return await self._found(kind, token, spend=False)

    async def take(self, kind: ChallengeKind, token: str) -> dict[str, Any]:
        """Consume a challenge: one of concurrent calls gets the state. Raises as `look` does."""
        return await self._found(kind, token, spend=True)

    async def _found(self, kind: ChallengeKind, token: str, *, spend: bool) -> dict[str, Any]:
        key = _key(kind, digest(token))
        with answering():
            stored = await (self._redis.getdel(key) if spend else self._redis.get(key))
        if stored is None:
            raise InvalidChallenge
        found: dict[str, Any] = json.loads(stored)
        return found


def _key(kind: ChallengeKind, digest: bytes) -> str:
    return f"{_PREFIX}{kind}:{digest.hex()}"
